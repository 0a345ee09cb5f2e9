"""E-NeRV (Li et al., ECCV 2022): space and time apart, joined on a small grid.

For each frame t of a group of G, with the stages, channels and canvas of models.framewise, D = C_0 and F = 2 D:

    a_xy = W_xy (encoding of x, encoding of y) + b_xy      h_0 w_0 tokens of D values                spatial context
    a    = a + W_o attention(norm(a))                      one head of D values                      transformer
    a    = a + W_g GELU(W_f norm(a) + b_f) + b_g           D -> F -> D
    l_t  = GELU(W_2 GELU(W_1 gamma + b_1) + b_2)           2 levels -> stem -> stem                  temporal context
    z_0  = GELU(affine_0(a))                               tokens as D x h_0 x w_0
    z_i  = GELU(affine_i(PixelShuffle(conv3x3(z_(i-1)))))  i = 1 .. n
    p    = conv1x1(z_n) + 1/2                              C_n -> 3: RGB

    affine_i(z)[c] = (1 + alpha[c]) z[c] + beta[c],  (alpha, beta) = A_i l_t + a_i

gamma is NeRV's encoding of time. The paper multiplies tokens by a vector of time, and normalises each map before its
affine (section 3.2, 3.3); here the first is an affine like the others, and maps are not normalised, as their padding
would enter. attention and norm are written out in `_attend` and `_normalise`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from nvcodec.models.base import TensorSpec, register, require
from nvcodec.models.framewise import (
    FrameWise,
    FrameWiseConfig,
    convolution_specs,
    convolve,
    encode_position,
    enlarge,
    linear_specs,
    place_in_group,
    require_encoding,
)

KERNEL = 3  # of the stages
SPACE_BASE = 2.0  # of the encoding of x and y
NORM_FLOOR = 1e-3  # added to the variance of a token
MAX_TOKENS = 4096  # of the grid: attention takes their square
AFFINE_BOUND = 0.1  # of the initial weights of affines, times their usual bound: nearly none at first


@dataclass(frozen=True)
class EnervConfig(FrameWiseConfig):
    """The knobs of the network, in wire order.

    group: G, the most frames in a group. width: C_0. stem: values of the temporal context. levels, base: of the
    encoding of time, base in hundredths. space: levels of the encodings of x and y. lower, reduction, s1 .. s6:
    models.framewise.Stages.
    """

    model = "enerv"
    group: int = 120
    width: int = 26
    stem: int = 128
    levels: int = 40
    base: int = 125
    space: int = 6
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
        require(1 <= self.stem <= 8192, f"enerv: stem {self.stem} is not in 1..8192")
        require_encoding("enerv", self.base, self.levels)
        require(1 <= self.space <= 16, f"enerv: space {self.space} is not in 1..16")


class Enerv(FrameWise):
    """The network for frames of height x width samples."""

    def __init__(self, config: EnervConfig, height: int, width: int) -> None:
        super().__init__(config.stages, height, width)
        tokens = self.rows * self.columns
        require(tokens <= MAX_TOKENS, f"enerv: a grid of {tokens} tokens, over {MAX_TOKENS}")
        self.config = config
        self.activations = max(self.activations, tokens**2)
        d, channels = config.width, self.stages.channels
        affines = [
            replace(spec, bound=spec.bound * AFFINE_BOUND)
            for i, c in enumerate(channels)
            for spec in linear_specs(f"affine{i}", 2 * c, config.stem)
        ]
        self.tensors: tuple[TensorSpec, ...] = (
            *linear_specs("space", d, 4 * config.space),
            *linear_specs("query", d, d),
            *linear_specs("key", d, d),
            *linear_specs("value", d, d),
            *linear_specs("out", d, d),
            *linear_specs("wide", 2 * d, d),
            *linear_specs("narrow", d, 2 * d),
            *linear_specs("time1", config.stem, 2 * config.levels),
            *linear_specs("time2", config.stem, config.stem),
            *affines,
            *self.stages.specs([KERNEL] * len(self.stages.used)),
            *convolution_specs("head", 3, channels[-1], 1),
        )

    def positions(self) -> Tensor:
        """Encodings of the grid's samples, row by row: (h_0 w_0, 4 space), of x and then of y, each in (0, 1)."""
        x = (torch.arange(self.columns, dtype=torch.float64) + 0.5) / self.columns
        y = (torch.arange(self.rows, dtype=torch.float64) + 0.5) / self.rows
        parts = (x.repeat(self.rows), y.repeat_interleave(self.columns))
        return torch.cat([encode_position(part, SPACE_BASE, self.config.space) for part in parts], 1)

    def predict(self, weights: Sequence[Tensor], frames: Sequence[int], cells: range) -> Tensor:
        """(1, T, 3, h_n, w_n) at T = len(frames) places in the group."""
        c, device = self.config, weights[0].device
        pairs = list(zip(weights[0::2], weights[1::2], strict=True))  # weight and bias
        space, query, key, value, out, wide, narrow, time1, time2, *rest = pairs
        count = len(self.stages.used)
        affines, stages, head = rest[: count + 1], rest[count + 1 : -1], rest[-1]
        a = functional.linear(self.positions().to(device), *space)  # (h_0 w_0, D)
        a = a + functional.linear(_attend(_normalise(a), query, key, value), *out)
        a = a + functional.linear(functional.gelu(functional.linear(_normalise(a), *wide)), *narrow)
        gamma = encode_position(place_in_group(frames, c.group), c.base / 100, c.levels).to(device)
        latent = functional.gelu(functional.linear(functional.gelu(functional.linear(gamma, *time1)), *time2))
        z = a.T.reshape(1, c.width, self.rows, self.columns)
        z = functional.gelu(_affine(z, functional.linear(latent, *affines[0])))  # (T, C_0, h_0, w_0)
        for stride, (weight, bias), affine in zip(self.stages.used, stages, affines[1:], strict=True):
            z = enlarge(z, weight, bias, stride)  # (T, C_i, h_i, w_i)
            z = functional.gelu(_affine(z, functional.linear(latent, *affine)))
        return convolve(z, head[0], head[1] + 0.5).unsqueeze(0)


def _normalise(a: Tensor) -> Tensor:
    """Each token (N, D) less its mean, over the root of its variance plus NORM_FLOOR."""
    return functional.layer_norm(a, a.shape[1:], eps=NORM_FLOOR)


def _attend(
    a: Tensor, query: tuple[Tensor, Tensor], key: tuple[Tensor, Tensor], value: tuple[Tensor, Tensor]
) -> Tensor:
    """softmax(Q K^T / sqrt(D)) V of tokens (N, D)."""
    q, k, v = (functional.linear(a, *pair) for pair in (query, key, value))
    return torch.softmax(q @ k.T / math.sqrt(a.shape[1]), 1) @ v


def _affine(z: Tensor, coefficients: Tensor) -> Tensor:
    """(1 + alpha) z + beta: z (T or 1, C, h, w), coefficients (T, 2 C) with alpha first."""
    alpha, beta = coefficients[:, :, None, None].chunk(2, 1)
    return (1 + alpha) * z + beta


@register("enerv")
def create(values: tuple[int, ...], height: int, width: int) -> Enerv:
    """From configuration values in wire order; MalformedError where they describe no network."""
    return Enerv(EnervConfig.of(values), height, width)
