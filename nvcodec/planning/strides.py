"""How a frame-wise network enlarges its grid: the strides that fit a picture."""

from __future__ import annotations

import math

MAX_STRIDES = 6
WASTE_WEIGHT = 8.0  # of the part of the canvas outside of the picture, against octaves of grid size


def strides_for(height: int, width: int, grid: int) -> tuple[int, ...]:
    """1 .. MAX_STRIDES strides, for a grid of about `grid` samples whose enlarged canvas covers little but the picture.

    1280 x 720 has 5, 2, 2, 2, 2 for a grid of 16 x 9 = 144.
    """
    return min(_candidates(), key=lambda strides: _cost(math.prod(strides), height, width, grid))


def _candidates() -> list[tuple[int, ...]]:
    """Products of 5, 3 and 2, largest first: most channels are worth most where samples are fewest."""
    out: list[tuple[int, ...]] = [(1,)]
    for fives in range(MAX_STRIDES + 1):
        for threes in range(MAX_STRIDES + 1 - fives):
            for twos in range(MAX_STRIDES + 1 - fives - threes):
                if fives + threes + twos:
                    out.append((5,) * fives + (3,) * threes + (2,) * twos)
    return out


def _cost(scale: int, height: int, width: int, grid: int) -> float:
    """Octaves that the grid is off, and the waste; no scale is longer than the picture."""
    if scale > max(height, width):
        return math.inf
    rows, columns = -(-height // scale), -(-width // scale)
    waste = rows * columns * scale**2 / (height * width) - 1
    return abs(math.log2(rows * columns / grid)) + WASTE_WEIGHT * waste
