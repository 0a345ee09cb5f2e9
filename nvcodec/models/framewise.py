"""What frame-wise networks (NeRV and its kind) have in common: a canvas, stages that enlarge it, encodings of position.

A grid of h_0 x w_0 samples is enlarged by n stages with strides s_1 .. s_n, S = s_1 ... s_n:

    h_0 = ceil(H / S), w_0 = ceil(W / S)       h_i = s_i h_(i-1), w_i = s_i w_(i-1)
    C_0 = width                                C_i = max(min(lower, C_0), 10 C_(i-1) div reduction)
    z_i = PixelShuffle_s_i(conv(z_(i-1)))      C_(i-1) -> C_i s_i^2 channels at h_(i-1) x w_(i-1), then C_i at h_i x w_i

so that any size of video has a network, of which the picture is the upper left corner. Convolutions see zeros beyond
the canvas.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from nvcodec import limits
from nvcodec.errors import LimitError
from nvcodec.models.base import LATENT, TensorSpec, require

if TYPE_CHECKING:
    from typing_extensions import Self

MAX_STRIDES = 6
MAX_STRIDE = 8
MAX_FREQUENCY = 2**26  # of a positional encoding: its phases are computed in float64, and have to be right there
RADIUS = 32  # of initial integers of weights; biases start at zero


@dataclass(frozen=True)
class Stages:
    """The enlarging part of a network.

    model: its name, for messages. width: C_0. lower: the least number of channels, unless C_0 is less. reduction: of
    channels from stage to stage, in tenths. strides: MAX_STRIDES values, those that are unused 0 and last.
    MalformedError for values that make no stages.
    """

    model: str
    width: int
    lower: int
    reduction: int
    strides: tuple[int, ...]

    def __post_init__(self) -> None:
        name = self.model
        require(1 <= self.width <= 8192, f"{name}: width {self.width} is not in 1..8192")
        require(1 <= self.lower <= 8192, f"{name}: lower {self.lower} is not in 1..8192")
        require(10 <= self.reduction <= 100, f"{name}: reduction {self.reduction} is not in 10..100")
        used = self.used
        require(
            len(used) > 0 and all(1 <= s <= MAX_STRIDE for s in used) and not any(self.strides[len(used) :]),
            f"{name}: strides {self.strides} are not 1..{MAX_STRIDE} and then 0",
        )

    @property
    def used(self) -> tuple[int, ...]:
        """s_1 .. s_n: the strides before the first 0."""
        count = self.strides.index(0) if 0 in self.strides else len(self.strides)
        return self.strides[:count]

    @property
    def channels(self) -> tuple[int, ...]:
        """C_0 .. C_n."""
        out = [self.width]
        for _ in self.used:
            out.append(max(min(self.lower, self.width), 10 * out[-1] // self.reduction))
        return tuple(out)

    def specs(self, kernels: Sequence[int]) -> list[TensorSpec]:
        """Weight and bias of each stage's convolution, kernels k_i x k_i."""
        out: list[TensorSpec] = []
        channels = self.channels
        for i, (stride, kernel) in enumerate(zip(self.used, kernels, strict=True)):
            out += convolution_specs(f"stage{i + 1}", channels[i + 1] * stride**2, channels[i], kernel)
        return out


class FrameWiseConfig:
    """What the configurations of these networks share; each is a frozen dataclass with its fields in wire order.

    group: G, the most frames in a group. width, lower, reduction, s1 .. s6: of Stages. MalformedError for a group that
    is none; values that make no stages are refused when a network is made of them.
    """

    model: ClassVar[str]
    group: int
    width: int
    lower: int
    reduction: int
    s1: int
    s2: int
    s3: int
    s4: int
    s5: int
    s6: int

    def __post_init__(self) -> None:
        require(
            1 <= self.group <= limits.MAX_GROUP_FRAMES,
            f"{self.model}: group {self.group} is not in 1..{limits.MAX_GROUP_FRAMES}",
        )

    @property
    def values(self) -> tuple[int, ...]:
        """In wire order."""
        return tuple(vars(self).values())

    @classmethod
    def of(cls, values: Sequence[int]) -> Self:
        """From configuration values in wire order; MalformedError where they describe no network."""
        require(len(values) == len(cls().values), f"{cls.model}: {len(values)} configuration values")
        return cls(*values)

    @property
    def stages(self) -> Stages:
        """The enlarging part."""
        strides = (self.s1, self.s2, self.s3, self.s4, self.s5, self.s6)
        return Stages(self.model, self.width, self.lower, self.reduction, strides)


class FrameWise:
    """The canvas of frames of height x width samples: one cell, the whole frame."""

    cells = 1
    longest = limits.MAX_GROUP_FRAMES

    def __init__(self, stages: Stages, height: int, width: int) -> None:
        name, scale = stages.model, math.prod(stages.used)
        require(scale <= max(height, width), f"{name}: strides of {scale} for a picture of {width} x {height}")
        self.stages, self.height, self.width = stages, height, width
        self.rows, self.columns = -(-height // scale), -(-width // scale)  # h_0, w_0
        self.canvas = (self.rows * scale, self.columns * scale)
        self.activations, area = 3 * self.canvas[0] * self.canvas[1], self.rows * self.columns
        for channels, stride in zip(stages.channels, (*stages.used, 1), strict=True):
            self.activations = max(self.activations, channels * area)
            area *= stride**2
        if self.activations > limits.MAX_ACTIVATIONS:
            raise LimitError(f"{name}: a layer of {self.activations} values, over {limits.MAX_ACTIVATIONS}")

    def enlarged(self, z: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """All stages, each with GELU, then the head: (T, C_0, h_0, w_0) -> (1, T, 3, h_n, w_n).

        parameters: weight and bias of each stage and of the head, in wire order.
        """
        for i, stride in enumerate(self.stages.used):
            z = functional.gelu(enlarge(z, parameters[2 * i], parameters[2 * i + 1], stride))  # (T, C_i, h_i, w_i)
        head, head_bias = parameters[-2:]
        return convolve(z, head, head_bias + 0.5).unsqueeze(0)

    def assemble(self, prediction: Tensor) -> Tensor:
        """(1, T, 3, h_n, w_n) -> (T, 3, H, W): the upper left corner."""
        return prediction[0, :, :, : self.height, : self.width]

    def arrange(self, frames: Tensor) -> Tensor:
        """(T, 3, H, W) -> (1, T, 3, h_n, w_n)."""
        return self._pad(frames, "replicate").unsqueeze(0)

    def mask(self) -> Tensor:
        """(1, 1, 1, h_n, w_n)."""
        return self._pad(torch.ones(1, 1, self.height, self.width), "constant").unsqueeze(0)

    def _pad(self, frames: Tensor, mode: str) -> Tensor:
        below, right = self.canvas[0] - self.height, self.canvas[1] - self.width
        return functional.pad(frames, (0, right, 0, below), mode=mode)


def linear_specs(name: str, outputs: int, inputs: int) -> list[TensorSpec]:
    """Weight and bias of a linear layer."""
    bound = math.sqrt(3.0 / inputs)
    return [
        TensorSpec(f"{name}.weight", LATENT, (outputs, inputs), RADIUS, bound),
        TensorSpec(f"{name}.bias", LATENT, (outputs,), 0, bound),
    ]


def convolution_specs(name: str, outputs: int, inputs: int, kernel: int) -> list[TensorSpec]:
    """Weight and bias of a convolution with a kernel of kernel x kernel."""
    bound = math.sqrt(3.0 / (inputs * kernel**2))
    return [
        TensorSpec(f"{name}.weight", LATENT, (outputs, inputs, kernel, kernel), RADIUS, bound),
        TensorSpec(f"{name}.bias", LATENT, (outputs,), 0, bound),
    ]


def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(T, C, h, w) -> (T, O, h, w): an odd kernel, zeros beyond the border."""
    return functional.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


def enlarge(x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    """One stage without its activation: (T, C_(i-1), h, w) -> (T, C_i, s h, s w)."""
    return functional.pixel_shuffle(convolve(x, weight, bias), stride)


def require_encoding(model: str, base: int, levels: int) -> None:
    """MalformedError unless frequencies (base / 100) ** k, k < levels, are computable."""
    require(1 <= levels <= 128, f"{model}: levels {levels} is not in 1..128")
    require(101 <= base <= 400, f"{model}: base {base} is not in 101..400")
    require(
        base ** (levels - 1) <= MAX_FREQUENCY * 100 ** (levels - 1),
        f"{model}: {levels} levels of base {base} go too far",
    )


def encode_position(position: Tensor, base: float, levels: int) -> Tensor:
    """NeRV's encoding (Eq. 1) of float64 positions (N,): (N, 2 levels), float32 values computed in float64.

    gamma[2k] = sin(base^k pi x), gamma[2k + 1] = cos(base^k pi x), k = 0 .. levels - 1.
    """
    frequency = math.pi * base ** torch.arange(levels, dtype=torch.float64)
    phase = position[:, None] * frequency  # (N, levels)
    return torch.stack((torch.sin(phase), torch.cos(phase)), 2).flatten(1).to(torch.float32)


def place_in_group(frames: Sequence[int], group: int) -> Tensor:
    """Places in a group of `group` frames as positions in (0, 1): (t + 1/2) / G, (T,) float64."""
    return (torch.tensor(list(frames), dtype=torch.float64) + 0.5) / group
