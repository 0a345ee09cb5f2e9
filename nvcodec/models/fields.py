"""The laws of displacements on the CPU: the flow network where it is asked for, cell by cell, in one compiled loop.

The same integers as those of `mc.Mc`, whose layers work all cells of a lattice in every pass: grids are so small that
there it is the calls that take the time. All sums are whole numbers in float32, below 2 ** 24 (`integer.check_sums`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nvcodec.jit import compiled
from nvcodec.models.integer import BOUND, FINE, LEAK, UNIT

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


@compiled
def field_law(
    part: Floats,
    known: Flags,
    cells: Flags,
    guess: Floats,
    guessed: bool,
    told: Floats,
    stride: int,
    unit: int,
    near: Floats,
    near_bias: Floats,
    mid: Floats,
    mid_bias: Floats,
    out: Floats,
    out_bias: Floats,
) -> tuple[Floats, Floats]:
    """Location and scale, (2, h, w), at `cells` of a lattice, 0 elsewhere; arguments as of `mc.Mc`.

    part, guess: (2, h, w); known, cells: (h, w); told: hints (HINTS, h, w). unit: FLOW_UNIT. near, mid, out:
    weights (inputs, outputs), those of a kernel in the order of channel, row, column.
    """
    _, rows, columns = part.shape
    channels, width = 9, len(near_bias)
    x = np.zeros((channels, rows + 4, columns + 4), np.float32)  # two cells of zeros around it
    base = np.zeros((2, rows, columns), np.int64)
    for i in range(rows):
        for j in range(columns):
            count = 0
            total = np.zeros(2, np.int64)
            for a in range(max(i - 1, 0), min(i + 2, rows)):
                for b in range(max(j - 1, 0), min(j + 2, columns)):
                    if known[a, b] and (a != i or b != j):
                        weight = 2 if a == i or b == j else 1
                        count += weight
                        for c in range(2):
                            total[c] += weight * int(part[c, a, b])
            for c in range(2):
                other = int(guess[c, i, j]) if guessed else 0
                base[c, i, j] = (16 * total[c] + count) // (2 * count) if count else other
                if known[i, j]:
                    x[c, i + 2, j + 2] = (8 * int(part[c, i, j]) - base[c, i, j]) * (unit // 8)
                if guessed:
                    x[3 + c, i + 2, j + 2] = (other - base[c, i, j]) * (unit // 8)
            x[2, i + 2, j + 2] = UNIT if known[i, j] else 0
            x[5, i + 2, j + 2] = UNIT if guessed else 0
            x[6, i + 2, j + 2] = UNIT if stride == 1 else 0
            x[7, i + 2, j + 2] = UNIT if stride == 2 else 0
            x[8, i + 2, j + 2] = count * (UNIT // 8)
    location, scale = np.zeros((2, rows, columns), np.float32), np.zeros((2, rows, columns), np.float32)
    whole, least, most = np.float32(1 / FINE), np.float32(-BOUND), np.float32(BOUND)
    half, two, quarter = np.float32(0.5), np.float32(LEAK // 2), np.float32(1 / LEAK)
    first, second, last = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(4, np.float32)
    for i in range(rows):
        for j in range(columns):
            if not cells[i, j]:
                continue
            first[:], second[:], last[:] = near_bias, mid_bias, out_bias
            k = 0
            for c in range(channels):
                for a in range(5):
                    for b in range(5):
                        value = min(max(x[c, i + a, j + b], least), most) * whole
                        if value:
                            weights = near[k]
                            for o in range(width):
                                first[o] += value * weights[o]
                        k += 1
            for k in range(width):
                value = np.floor(first[k] + half)
                value = min(max(value, np.floor((value + two) * quarter), least), most) * whole
                weights = mid[k]
                for o in range(width):
                    second[o] += value * weights[o]
            for n in range(told.shape[0]):
                value = told[n, i, j] * whole
                if value:
                    weights = mid[width + n]
                    for o in range(width):
                        second[o] += value * weights[o]
            for k in range(width):
                value = np.floor(second[k] + half)
                value = min(max(value, np.floor((value + two) * quarter), least), most) * whole
                for o in range(4):
                    last[o] += value * out[k, o]
            for c in range(2):
                location[c, i, j] = np.float32(base[c, i, j] * (unit // 8)) + np.floor(last[c] + half)
                scale[c, i, j] = np.floor(last[2 + c] + half)
    return location, scale
