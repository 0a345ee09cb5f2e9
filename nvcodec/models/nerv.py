"""NeRV (Chen et al., NeurIPS 2021): a frame from its time.

For each frame t of a group of G, with the stages, channels and canvas of models.framewise:

    gamma = (sin(b^k pi u), cos(b^k pi u))_k     u = (t + 1/2) / G, k < levels, b = 1.25            Eq. 1
    v     = GELU(W_2 GELU(W_1 gamma + b_1) + b_2)      2 levels -> stem -> C_0 h_0 w_0              MLP stem
    z_0   = v as C_0 x h_0 x w_0
    z_i   = GELU(PixelShuffle(conv3x3(z_(i-1))))       i = 1 .. n                                   NeRV blocks
    p     = conv1x1(z_n) + 1/2                         C_n -> 3: RGB                                head

The paper ends in a sigmoid; the linear head has no gradients that vanish in black and white.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from nvcodec.models.base import TensorSpec, register, require
from nvcodec.models.framewise import (
    FrameWise,
    FrameWiseConfig,
    convolution_specs,
    encode_position,
    linear_specs,
    place_in_group,
    require_encoding,
)

KERNEL = 3  # of the stages


@dataclass(frozen=True)
class NervConfig(FrameWiseConfig):
    """The knobs of the network, in wire order.

    group: G, the most frames in a group. width: C_0. stem: hidden units of the stem. levels, base: of the encoding of
    time, base in hundredths. lower, reduction, s1 .. s6: models.framewise.Stages.
    """

    model = "nerv"
    group: int = 120
    width: int = 26
    stem: int = 512
    levels: int = 40
    base: int = 125
    lower: int = 12
    reduction: int = 20
    s1: int = 5
    s2: int = 2
    s3: int = 2
    s4: int = 2
    s5: int = 2
    s6: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(1 <= self.stem <= 8192, f"nerv: stem {self.stem} is not in 1..8192")
        require_encoding("nerv", self.base, self.levels)


class Nerv(FrameWise):
    """The network for frames of height x width samples."""

    def __init__(self, config: NervConfig, height: int, width: int) -> None:
        super().__init__(config.stages, height, width)
        self.config = config
        self.tensors: tuple[TensorSpec, ...] = (
            *linear_specs("stem1", config.stem, 2 * config.levels),
            *linear_specs("stem2", config.width * self.rows * self.columns, config.stem),
            *self.stages.specs([KERNEL] * len(self.stages.used)),
            *convolution_specs("head", 3, self.stages.channels[-1], 1),
        )

    def predict(self, weights: Sequence[Tensor], frames: Sequence[int], cells: range) -> Tensor:
        """(1, T, 3, h_n, w_n) at T = len(frames) places in the group."""
        c = self.config
        stem1, stem1_bias, stem2, stem2_bias, *rest = weights
        gamma = encode_position(place_in_group(frames, c.group), c.base / 100, c.levels).to(stem1.device)
        v = functional.gelu(functional.linear(gamma, stem1, stem1_bias))
        v = functional.gelu(functional.linear(v, stem2, stem2_bias))
        z = v.view(-1, c.width, self.rows, self.columns)  # (T, C_0, h_0, w_0)
        return self.enlarged(z, rest)


@register("nerv")
def create(values: tuple[int, ...], height: int, width: int) -> Nerv:
    """From configuration values in wire order; MalformedError where they describe no network."""
    return Nerv(NervConfig.of(values), height, width)
