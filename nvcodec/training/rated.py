"""One pass of latents in training: what the network sees of them, and what they cost.

On the CPU one loop finds costs and gradients together, and only of the cells of the pass; elsewhere the same is made of
tensor operations.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.jit import compiled
from nvcodec.models.integer import UNIT
from nvcodec.training.laplace import FINEST_LOG2, MOST_LOG2, bits

NEVER = -math.inf
LEAST_MASS = np.float32(1e-9)
MOST_EXPONENT = np.float32(80)  # of e: float32 has little beyond it

Floats = NDArray[np.float32]


def rated(
    seen: Tensor,
    values: Tensor,
    law: tuple[Tensor, Tensor],
    step: Tensor,
    log2_step: Tensor,
    cells: Tensor,
    least: float = FINEST_LOG2,
    sure: float = NEVER,
) -> tuple[Tensor, Tensor]:
    """What the network sees, (N, C, h, w), 0 but for the cells of the pass; and bits, (N,).

    seen, values: (N, C, h, w) in steps; the network sees the former, the latter are rated (they can be one). law:
    location and scale as the model gives them, each like these, or (1, C, h, w). step: (N, 1, 1, 1) or a scalar, in
    activation units; log2_step: of it in units of 1. cells: (h, w) bool. least: as in laplace.bits. sure: the log2 of a
    scale below which a value is what its location says, in eighths and then whole, and costs nothing.
    """
    step, log2_step = (x.expand(len(seen), 1, 1, 1) for x in (step, log2_step))
    location, scale = (x.expand_as(seen) for x in law)
    if seen.device.type == "cpu":
        steps = step.reshape(-1), log2_step.reshape(-1)
        out: tuple[Tensor, Tensor] = _Rated.apply(  # type: ignore[no-untyped-call]
            seen, values, location, scale, *steps, cells, least, sure
        )
        return out
    expected, log2_scale = location / step, scale * (2 / UNIT) - log2_step
    known = log2_scale.detach() < sure
    eighths = torch.floor(8 * expected.detach() + 0.5)
    total = (bits(values, expected, log2_scale, least) * (cells & ~known)).sum((1, 2, 3))
    return torch.where(known, torch.floor((eighths + 4) / 8), seen) * cells, total


class _Rated(torch.autograd.Function):
    """`rated` on the CPU; step, log2_step: (N,)."""

    @staticmethod
    def forward(
        ctx: Any,
        seen: Tensor,
        values: Tensor,
        location: Tensor,
        scale: Tensor,
        step: Tensor,
        log2_step: Tensor,
        cells: Tensor,
        least: float,
        sure: float,
    ) -> tuple[Tensor, Tensor]:
        wanted = any(ctx.needs_input_grad)
        law = _last(location), _last(scale)
        shown = np.empty(law[0].shape, np.float32)
        coded, slope, widening = (np.zeros(shown.shape if wanted else (0, 0, 0, 0), np.float32) for _ in range(3))
        total = np.zeros(len(seen), np.float32)
        steps = step.detach().numpy(), log2_step.detach().numpy()
        limits = np.float32(least), np.float32(MOST_LOG2), np.float32(sure)
        of = _last(seen), _last(values)
        _pass(*of, *law, *steps, cells.numpy(), *limits, wanted, shown, coded, slope, widening, total)
        if wanted:
            ctx.save_for_backward(*(_first(a) for a in (coded, slope, widening)), location, step)
        return _first(shown), torch.from_numpy(total)

    @staticmethod
    def backward(ctx: Any, of_shown: Tensor, of_total: Tensor) -> tuple[Tensor | None, ...]:
        coded, slope, widening, location, step = ctx.saved_tensors
        needs = ctx.needs_input_grad
        weight = of_total.view(-1, 1, 1, 1)
        by_value, by_scale = slope * weight, widening * weight if needs[3] or needs[5] else None
        return (
            of_shown * coded if needs[0] else None,
            by_value if needs[1] else None,
            by_value / -step.view(-1, 1, 1, 1) if needs[2] else None,
            by_scale * (2 / UNIT) if by_scale is not None and needs[3] else None,
            (by_value * location).sum((1, 2, 3)) / step.square() if needs[4] else None,
            -by_scale.sum((1, 2, 3)) if by_scale is not None and needs[5] else None,
            None,
            None,
            None,
        )


def _last(x: Tensor) -> Floats:
    """Channels last."""
    return x.detach().movedim(1, -1).numpy()


def _first(x: Floats) -> Tensor:
    """Channels first, in the same memory."""
    return torch.from_numpy(x).movedim(-1, 1)


@compiled
def _pass(
    seen: Floats,
    values: Floats,
    location: Floats,
    scale: Floats,
    step: Floats,
    log2_step: Floats,
    cells: NDArray[np.bool_],
    least: np.float32,
    most: np.float32,
    sure: np.float32,
    wanted: bool,
    shown: Floats,
    coded: Floats,
    slope: Floats,
    widening: Floats,
    total: Floats,
) -> None:
    """Of arrays (N, h, w, C): what is shown, and the bits of each frame; if wanted, which values are coded, and the
    derivatives of their bits by the value and by the log2 of its scale."""
    one, half, eight, four = np.float32(1), np.float32(0.5), np.float32(8), np.float32(4)
    log2_e, ln_2 = np.float32(1.4426950408889634), np.float32(0.6931471805599453)
    unit = np.float32(2 / UNIT)
    number, rows, columns, channels = shown.shape
    for n in range(number):
        bits = 0.0
        for i in range(rows):
            for j in range(columns):
                if not cells[i, j]:
                    shown[n, i, j] = 0
                    continue
                for c in range(channels):
                    expected = location[n, i, j, c] / step[n]
                    log2_scale = scale[n, i, j, c] * unit - log2_step[n]
                    if log2_scale < sure:
                        shown[n, i, j, c] = np.floor((np.floor(eight * expected + half) + four) / eight)
                        continue
                    shown[n, i, j, c] = seen[n, i, j, c]
                    inner = least <= log2_scale <= most
                    over = np.exp2(-min(max(log2_scale, least), most))  # 1 / scale
                    difference = values[n, i, j, c] - expected
                    distance = abs(difference)
                    beyond = (distance - half) * over
                    whole = np.exp(-over)  # what a step away is less likely by
                    if beyond < 0:
                        near = np.exp(max(beyond, -MOST_EXPONENT))
                        far = whole / near
                        mass = max(one - half * (near + far), LEAST_MASS)
                        cost = -np.log(mass)
                        by_distance = half * over * (near - far) / mass
                        by_scale = half * (far * (distance + half) * over - near * beyond) / mass
                    else:
                        cost = beyond + ln_2 - np.log(one - whole)
                        by_distance = over
                        by_scale = over * whole / (one - whole) - beyond
                    bits += cost
                    if wanted:
                        coded[n, i, j, c] = one
                        slope[n, i, j, c] = log2_e * (by_distance if difference > 0 else -by_distance)
                        # by ln of the scale, in nats, is by log2 of it, in bits
                        if inner or (log2_scale < least and by_scale < 0):
                            widening[n, i, j, c] = by_scale
        total[n] = bits * log2_e
