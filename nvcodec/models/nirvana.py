"""NIRVANA (Maiya, Girish et al., CVPR 2023): patch volumes of a group from patch centres.

A group of T <= G frames is cut into patches of P x P samples, on a grid that covers the picture. For the patch with
centre (x, y), each in [-1, 1]:

    s_0 = (x, y)
    s_l = sin(omega (W_l s_(l-1) + b_l))             l = 1 .. depth, width outputs           SIREN stem
    f   = W s_depth + b                              (P/2, P/2, C) feature volume            linear
    for each frame t:
        z_t = GELU(PixelShuffle2(conv3x3(f + tau_t)))   C -> 4 C2 -> C2 channels, P x P      NeRV block
        p_t = conv3x3(z_t) + 1/2                        C2 -> 3: RGB of the patch            head

(section 3.3, Eq. 1, with the published code's linear last layer). f is repeated in time and the embedding tau_t of the
frame's place is added, the same for all samples of a channel. Convolutions see zeros beyond the patch. As the first
one is linear, conv(f + tau_t) = conv(f) + conv(tau_t) is computed once per patch and once per frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import torch
from torch import Tensor
from torch.nn import functional

from nvcodec import limits
from nvcodec.models.base import FLOAT32, LATENT, TensorSpec, register, require
from nvcodec.models.layers import siren, siren_bound, time_embedding

STEM_RADIUS = 128  # initial integers of the stem and the last linear layer
CONV_RADIUS = 256  # of the convolutions
TIME_AMPLITUDE = 0.3  # of tau: a larger one drowns the features when training starts


@dataclass(frozen=True)
class NirvanaConfig:
    """The knobs of the network, in wire order.

    patch: P, even, 2..256. group: G, the most frames in a group. width, depth: of the SIREN stem, depth >= 1.
    channels: C, even. block_channels: C2. omega: of the SIREN layers. conv_float: 1 leaves the convolutions' parameters
    unquantised, as the paper does; 0 quantises them like all others.
    """

    patch: int = 32
    group: int = 3
    width: int = 512
    depth: int = 5
    channels: int = 16
    block_channels: int = 16
    omega: int = 30
    conv_float: int = 0

    def __post_init__(self) -> None:
        require(2 <= self.patch <= 256 and self.patch % 2 == 0, f"nirvana: patch {self.patch} is not even, in 2..256")
        require(
            1 <= self.group <= limits.MAX_GROUP_FRAMES,
            f"nirvana: group {self.group} is not in 1..{limits.MAX_GROUP_FRAMES}",
        )
        require(1 <= self.width <= 8192, f"nirvana: width {self.width} is not in 1..8192")
        require(1 <= self.depth <= 64, f"nirvana: depth {self.depth} is not in 1..64")
        require(
            2 <= self.channels <= 256 and self.channels % 2 == 0, f"nirvana: channels {self.channels} not even, 2..256"
        )
        require(1 <= self.block_channels <= 256, f"nirvana: block channels {self.block_channels} not in 1..256")
        require(1 <= self.omega <= 1000, f"nirvana: omega {self.omega} is not in 1..1000")
        require(self.conv_float in (0, 1), f"nirvana: conv_float {self.conv_float} is neither 0 nor 1")

    @property
    def values(self) -> tuple[int, ...]:
        """In wire order."""
        return astuple(self)


def tensor_specs(config: NirvanaConfig) -> tuple[TensorSpec, ...]:
    """All coded tensors in wire order: stem weight and bias by layer, last linear layer, block, head."""
    out, inputs = [], 2
    for layer in range(config.depth):
        bound = siren_bound(inputs, layer == 0, config.omega)
        out.append(TensorSpec(f"stem{layer}.weight", LATENT, (config.width, inputs), STEM_RADIUS, bound))
        out.append(TensorSpec(f"stem{layer}.bias", LATENT, (config.width,), STEM_RADIUS, bound))
        inputs = config.width
    volume = config.channels * (config.patch // 2) ** 2
    bound = 0.5 * math.sqrt(3.0 / inputs)
    out.append(TensorSpec("volume.weight", LATENT, (volume, inputs), STEM_RADIUS, bound))
    out.append(TensorSpec("volume.bias", LATENT, (volume,), STEM_RADIUS, bound))
    kind = FLOAT32 if config.conv_float else LATENT
    for name, outputs, inputs in (
        ("block", 4 * config.block_channels, config.channels),
        ("head", 3, config.block_channels),
    ):
        bound = math.sqrt(3.0 / (9 * inputs))
        out.append(TensorSpec(f"{name}.weight", kind, (outputs, inputs, 3, 3), CONV_RADIUS, bound))
        out.append(TensorSpec(f"{name}.bias", kind, (outputs,), 0 if name == "head" else CONV_RADIUS, bound))
    return tuple(out)


def largest_patch(height: int, width: int) -> int:
    """The longer side of the picture, rounded up to an even number: a larger patch would only cost memory."""
    return -(-max(height, width) // 2) * 2


class Nirvana:
    """The network for frames of height x width samples."""

    longest = limits.MAX_GROUP_FRAMES

    def __init__(self, config: NirvanaConfig, height: int, width: int) -> None:
        require(
            config.patch <= largest_patch(height, width),
            f"nirvana: patch {config.patch} is larger than a picture of {width} x {height}",
        )
        self.config = config
        self.height, self.width = height, width
        self.activations = config.patch**2 * max(config.block_channels, config.channels // 4, 3)
        self.rows, self.columns = -(-height // config.patch), -(-width // config.patch)
        self.cells = self.rows * self.columns
        self.tensors = tensor_specs(config)

    def centres(self) -> Tensor:
        """Patch centres (cells, 2), x then y, row by row: 2 (i + 1/2) P / size - 1, over 1 at some far edges."""
        patch = self.config.patch
        y = (torch.arange(self.rows, dtype=torch.float64) + 0.5) * (2 * patch / self.height) - 1
        x = (torch.arange(self.columns, dtype=torch.float64) + 0.5) * (2 * patch / self.width) - 1
        grid = torch.stack((x.repeat(self.rows), y.repeat_interleave(self.columns)), 1)
        return grid.to(torch.float32)

    def predict(self, weights: Sequence[Tensor], frames: Sequence[int], cells: range) -> Tensor:
        """(N, T, 3, P, P) of N = len(cells) patches at T = len(frames) places in the group."""
        c = self.config
        half, device = c.patch // 2, weights[0].device
        s = self.centres()[cells.start : cells.stop].to(device)
        for layer in range(c.depth):
            s = siren(s, weights[2 * layer], weights[2 * layer + 1], c.omega)
        linear, linear_bias, block, block_bias, head, head_bias = weights[2 * c.depth :]
        f = functional.linear(s, linear, linear_bias).view(-1, half, half, c.channels).permute(0, 3, 1, 2)
        tau = time_embedding(frames, c.group, c.channels, TIME_AMPLITUDE, device)
        u = functional.conv2d(f, block, block_bias, padding=1)  # (N, 4 C2, P/2, P/2)
        v = functional.conv2d(tau[:, :, None, None].expand(-1, -1, half, half), block, padding=1)  # (T, 4 C2, P/2, P/2)
        # Channels last: what follows is twice as fast so.
        z = u.permute(0, 2, 3, 1).unsqueeze(1) + v.permute(0, 2, 3, 1)  # (N, T, P/2, P/2, 4 C2)
        z = z.flatten(0, 1).permute(0, 3, 1, 2)  # (N T, 4 C2, P/2, P/2)
        z = functional.gelu(functional.pixel_shuffle(z, 2))  # (N T, C2, P, P)
        p = functional.conv2d(z, head, head_bias + 0.5, padding=1)
        return p.view(len(cells), len(frames), 3, c.patch, c.patch)

    def assemble(self, prediction: Tensor) -> Tensor:
        """(cells, T, 3, P, P) -> (T, 3, H, W): the grid is cropped to the picture."""
        patch = self.config.patch
        grid = prediction.view(self.rows, self.columns, -1, 3, patch, patch)
        grid = grid.permute(2, 3, 0, 4, 1, 5)  # (T, 3, rows, P, columns, P)
        return grid.reshape(-1, 3, self.rows * patch, self.columns * patch)[:, :, : self.height, : self.width]

    def arrange(self, frames: Tensor) -> Tensor:
        """(T, 3, H, W) -> (cells, T, 3, P, P)."""
        return self._cut(self._pad(frames, "replicate"))

    def mask(self) -> Tensor:
        """(cells, 1, 1, P, P)."""
        return self._cut(self._pad(torch.ones(1, 1, self.height, self.width), "constant"))

    def _pad(self, frames: Tensor, mode: str) -> Tensor:
        patch = self.config.patch
        right, below = self.columns * patch - self.width, self.rows * patch - self.height
        return functional.pad(frames, (0, right, 0, below), mode=mode)

    def _cut(self, frames: Tensor) -> Tensor:
        patch, count, channels = self.config.patch, frames.shape[0], frames.shape[1]
        grid = frames.view(count, channels, self.rows, patch, self.columns, patch).permute(2, 4, 0, 1, 3, 5)
        return grid.reshape(self.cells, count, channels, patch, patch)  # (cells, T, C, P, P)


@register("nirvana")
def create(values: tuple[int, ...], height: int, width: int) -> Nirvana:
    """From configuration values in wire order; MalformedError where they describe no network."""
    require(len(values) == len(NirvanaConfig().values), f"nirvana: {len(values)} configuration values")
    return Nirvana(NirvanaConfig(*values), height, width)
