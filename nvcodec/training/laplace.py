"""Differentiable bits of integers under the laws of the model `mc`: the rate that training minimises.

The coder's tables (entropy.laplace) quantise location and scale of the same law, so that what is coded costs what is
computed here, within a percent. Below the finest scale of the tables nothing is coded, and a value is what its location
says: the law goes on there, so that a network may learn to be that sure.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from nvcodec.entropy.laplace import TAIL_SCALES, TAIL_SHARE

LOG2_E = math.log2(math.e)
FINEST_LOG2 = -4.5  # of the scale, in the tables
SUREST_LOG2 = -8.0  # that training may go down to
MOST_LOG2 = 7.25


def bits(value: Tensor, location: Tensor, log2_scale: Tensor, least: float = FINEST_LOG2) -> Tensor:
    """-log2 of the mass within 1/2 of `value`, real, under a Laplace law; all shapes broadcast.

    A scale below 2 ** least counts as that, and its gradient only points upwards: FINEST_LOG2 where latents are fitted,
    SUREST_LOG2 where networks are.
    """
    floored: Tensor = _Floor.apply(log2_scale, least)  # type: ignore[no-untyped-call]
    scale = torch.exp2(floored.clamp(max=MOST_LOG2))
    distance = (value - location).abs()
    half = 0.5 / scale
    within = distance.clamp(max=0.5)
    inner = 1 - 0.5 * (torch.exp((within - 0.5) / scale) + torch.exp(-(within + 0.5) / scale))
    beyond = (distance - 0.5).clamp(min=0) / scale
    outer = 1 - torch.exp(-2 * half)
    near = -torch.log2(inner.clamp(min=1e-9))
    far = beyond * LOG2_E + 1 - torch.log2(outer)
    return torch.where(distance < 0.5, near, far)


def heavy_bits(value: Tensor, location: Tensor, log2_scale: Tensor, least: float = FINEST_LOG2) -> Tensor:
    """The same under a law with heavy tails."""
    share = 2.0**-TAIL_SHARE
    narrow = math.log(1 - share) - bits(value, location, log2_scale, least) / LOG2_E
    wide = math.log(share) - bits(value, location, log2_scale + TAIL_SCALES / 4, least) / LOG2_E
    return -LOG2_E * torch.logaddexp(narrow, wide)


class _Floor(torch.autograd.Function):
    """max(x, least), whose gradient passes where it would move x upwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, least: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.least = least
        return x.clamp(min=least)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradient * ((x >= ctx.least) | (gradient < 0)), None
