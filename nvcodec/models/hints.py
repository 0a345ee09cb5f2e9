"""What the pictures say of displacements that are not decoded yet: hints for the laws of the flow network.

Where a frame has two references, what is guessed to move through a cell should look alike in both: the more they differ
there, the less is the guess worth. And where there is no texture, the displacement hardly matters. Both are measured at
half size, where noise is less, over windows of WINDOW x WINDOW around the 8 x 8 samples of a cell, bilinear between
samples. The other hints are the same for all cells of a field: the quality, which field it is, and the depth.

All in integers: the same on every device.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.jit import compiled
from nvcodec.models.integer import BOUND, UNIT
from nvcodec.models.motion import CELL, Reference

DEPTHS = 5  # of the hierarchy that are told apart; deeper ones are as the last
HINTS = 2 + DEPTHS + 2  # channels
WINDOW = 12  # samples at half size
SIDE = CELL // 2  # of a cell
MARGIN = (WINDOW - SIDE) // 2
PARTS = 8  # of a sample at half size: a quarter of a luma sample is one
MIDDLE_QUALITY, QUALITY = 48, 16  # activations of an index
VALUE = 4 * PARTS**2  # of a bilinear sum, for a difference of 1 in all four luma samples
DIFFERENCES = VALUE * WINDOW**2  # of a window, for a mean difference of 1
SLOPES = 2 * VALUE * WINDOW * (WINDOW - 1)

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def hints(references: Sequence[Reference], through: Tensor, depth: int, quality: int, number: int) -> Tensor:
    """(N, HINTS, rows, columns), activations, for field `number`, 0 or 1, of N frames.

    through: (N, 2, rows, columns), quarter samples, from the frame to its first reference: what is guessed, or once it
    is known the first field. The second reference is expected to lie as far on the other side. depth, quality: of the
    frame.
    """
    out = through.new_zeros(len(through), HINTS, *through.shape[2:])
    out[:, 0] = (quality - MIDDLE_QUALITY) * QUALITY
    out[:, 1] = number * UNIT
    out[:, 1 + min(depth, DEPTHS)] = UNIT
    halves = [reference.half for reference in references]
    whole = through.to(torch.int64)
    if through.device.type == "cpu":
        for one, two, field, to in zip(halves[0].numpy(), halves[-1].numpy(), whole.numpy(), out.numpy(), strict=True):
            _levels_of_cells(one, two, field, len(halves) == 2, to[-2:])
    else:
        differences, slopes = _measured(halves, whole)
        if len(references) == 2:
            out[:, -2] = _level(differences, DIFFERENCES)
        out[:, -1] = _level(slopes, SLOPES)
    return out.clamp_(-BOUND, BOUND)


def _level(sums: Tensor, one: int) -> Tensor:
    """log2(1 + sums / one), about, of int64: an activation of 1 is two octaves, and 0 is one of them."""
    return (_log2(sums + one) - _log2(torch.tensor(one)) - UNIT).to(torch.float32)


def _log2(values: Tensor) -> Tensor:
    """256 log2 of int64 >= 1, linear between powers of 2, rounded down."""
    whole = torch.frexp(values.to(torch.float64)).exponent.to(torch.int64) - 1
    return 256 * (whole - 1) + ((values << 8) >> whole)


@compiled
def _log2_of(value: int) -> int:
    """`_log2` of one value."""
    whole = 0
    while value >> whole + 1:
        whole += 1
    return 256 * (whole - 1) + ((value << 8) >> whole)


@compiled
def _levels_of_cells(one: Floats, two: Floats, through: Ints, both: bool, out: Floats) -> None:
    """What is measured, into the last two hints of a frame (2, rows, columns): of differences where there are two
    references, and of slopes."""
    _, rows, columns = through.shape
    of_differences, of_slopes = -_log2_of(DIFFERENCES) - UNIT, -_log2_of(SLOPES) - UNIT
    first, second = np.empty((WINDOW, WINDOW), np.int32), np.empty((WINDOW, WINDOW), np.int32)
    for i in range(rows):
        for j in range(columns):
            right, down = through[0, i, j], through[1, i, j]
            _window(one, SIDE * i - MARGIN, SIDE * j - MARGIN, down, right, first)
            total = 0
            for y in range(WINDOW):
                for x in range(WINDOW - 1):
                    total += abs(first[y, x + 1] - first[y, x]) + abs(first[x + 1, y] - first[x, y])
            out[1, i, j] = _log2_of(total + SLOPES) + of_slopes
            if both:
                _window(two, SIDE * i - MARGIN, SIDE * j - MARGIN, -down, -right, second)
                total = 0
                for y in range(WINDOW):
                    for x in range(WINDOW):
                        total += abs(first[y, x] - second[y, x])
                out[0, i, j] = _log2_of(total + DIFFERENCES) + of_differences


@compiled
def _window(plane: Floats, top: int, left: int, down: int, right: int, out: NDArray[np.int32]) -> None:
    """The window from a sample on, displaced by parts of one: bilinear sums. Edges are repeated."""
    height, width = plane.shape
    top, left = top + down // PARTS, left + right // PARTS
    v, u = down % PARTS, right % PARTS
    for y in range(WINDOW):
        upper, lower = min(max(top + y, 0), height - 1), min(max(top + y + 1, 0), height - 1)
        x = min(max(left, 0), width - 1)
        before = (PARTS - v) * np.int32(plane[upper, x]) + v * np.int32(plane[lower, x])
        for n in range(WINDOW):
            x = min(max(left + n + 1, 0), width - 1)
            after = (PARTS - v) * np.int32(plane[upper, x]) + v * np.int32(plane[lower, x])
            out[y, n] = (PARTS - u) * before + u * after
            before = after


def _measured(halves: Sequence[Tensor], through: Tensor) -> tuple[Tensor, Tensor]:
    """How much both references differ, and how much the first one has of slopes: sums over windows, int64, (N, rows,
    columns). halves: (N, h, w) of each; through: int64. On any device."""
    one = _windows(halves[0], through)
    slopes = one.diff(dim=-1).abs().sum((-2, -1)) + one.diff(dim=-2).abs().sum((-2, -1))
    if len(halves) == 1:
        return torch.zeros_like(slopes), slopes
    return (one - _windows(halves[1], -through)).abs().sum((-2, -1)), slopes


def _windows(plane: Tensor, through: Tensor) -> Tensor:
    """The displaced window of each cell, (N, rows, columns, WINDOW, WINDOW), int64. plane: (N, h, w)."""
    number, height, width = plane.shape
    rows, columns = through.shape[2:]
    steps = torch.arange(WINDOW, device=plane.device)
    top = SIDE * torch.arange(rows, device=plane.device)[:, None] - MARGIN + through[:, 1] // PARTS
    left = SIDE * torch.arange(columns, device=plane.device) - MARGIN + through[:, 0] // PARTS
    y, x = top[..., None] + steps, left[..., None] + steps  # (N, rows, columns, WINDOW)
    v, u = (through[:, 1] % PARTS)[..., None, None], (through[:, 0] % PARTS)[..., None, None]
    values = plane.to(torch.int64).flatten(1)

    def at(down: int, right: int) -> Tensor:
        places = (y + down).clamp(0, height - 1)[..., :, None] * width + (x + right).clamp(0, width - 1)[..., None, :]
        return values.gather(1, places.flatten(1)).view(places.shape)

    upper = (PARTS - u) * at(0, 0) + u * at(0, 1)
    return (PARTS - v) * upper + v * ((PARTS - u) * at(1, 0) + u * at(1, 1))
