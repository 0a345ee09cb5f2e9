"""Overlapped blocks on the CPU, in one compiled loop: samples are interpolated where they are needed, and once where
all windows over them are displaced alike.

The same integers as those of `motion.Quarters`, which has all positions between samples of a reference at hand. All is
in float32, in which no sum here reaches 2 ** 24.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nvcodec.jit import compiled

Floats = NDArray[np.float32]


@compiled
def _interpolated(
    plane: Floats,
    down: int,
    right: int,
    taps: Floats,
    low: int,
    high: int,
    across: Floats,
    out: Floats,
) -> None:
    """Samples of a plane (h, w) into `out` (tall, wide): the first one is at those quarter samples; edges are repeated.

    across: room for 7 more rows than `out` has, and for 7 more columns.
    """
    height, width = plane.shape
    tall, wide = out.shape
    m, n = down & 3, right & 3
    y, x = (down >> 2) - 3, (right >> 2) - 3
    half, whole = np.float32(2048), np.float32(1 / 4096)
    least, most = np.float32(low), np.float32(high)
    t0, t1, t2, t3, t4, t5, t6, t7 = taps[n]
    u0, u1, u2, u3, u4, u5, u6, u7 = taps[m]
    inside = x >= 0 and x + wide + 7 <= width
    edge = np.empty(wide + 7, np.float32)
    for i in range(0 if m else 3, tall + 7 if m else tall + 3):
        p = plane[min(max(y + i, 0), height - 1)]
        if inside:
            p = p[x : x + wide + 7]
        else:
            for j in range(wide + 7):
                edge[j] = p[min(max(x + j, 0), width - 1)]
            p = edge
        a = across[i]
        if n:
            for j in range(wide):
                a[j] = (
                    ((t0 * p[j] + t1 * p[j + 1]) + (t2 * p[j + 2] + t3 * p[j + 3]))
                    + ((t4 * p[j + 4] + t5 * p[j + 5]) + (t6 * p[j + 6] + t7 * p[j + 7]))
                )  # fmt: skip
        else:
            for j in range(wide):
                a[j] = t3 * p[j + 3]
    for i in range(tall):
        to = out[i]
        if m:
            a, b, d, e = across[i], across[i + 1], across[i + 2], across[i + 3]
            f, g, h, k = across[i + 4], across[i + 5], across[i + 6], across[i + 7]
            for j in range(wide):
                line = (
                    ((u0 * a[j] + u1 * b[j]) + (u2 * d[j] + u3 * e[j]))
                    + ((u4 * f[j] + u5 * g[j]) + (u6 * h[j] + u7 * k[j]))
                )  # fmt: skip
                to[j] = min(max(np.floor((line + half) * whole), least), most)
        else:
            a = across[i + 3]
            for j in range(wide):
                to[j] = min(max(np.floor((u3 * a[j] + half) * whole), least), most)


@compiled
def overlapped(planes: Floats, field: NDArray[np.int64], cell: int, taps: Floats, low: int, high: int) -> Floats:
    """(C, h, w) of planes (C, h, w), in cells of that many samples, displaced by a field (2, rows, columns), x and y in
    quarters of a sample. taps: (4, 8), in 1/64; low, high: of a sample.

    Goes through the squares between the centres of four cells, whose windows are those over a square; beyond the outer
    centres the outer cells are repeated. Neighbours in a row over which nothing differs are one.
    """
    channels, height, width = planes.shape
    _, rows, columns = field.shape
    rising = np.empty(cell, np.float32)  # weights of what lies after a square; before it they fall
    for i in range(cell):
        rising[i] = 2 * i + 1
    full, unit = np.float32(2 * cell), np.float32(1 / (4 * cell * cell))
    out = np.empty((channels, height, width), np.float32)
    across = np.empty((cell + 7, width + cell), np.float32)
    samples, total = np.empty((cell, cell), np.float32), np.empty((cell, cell), np.float32)
    dx, dy = np.empty(4, np.int64), np.empty(4, np.int64)  # of the cells over a square, row by row
    for r in range(-1, rows):
        top = cell * r + cell // 2
        first, end = max(0, -top), min(cell, height - top)  # of the rows of a square, those in the picture
        if first >= end:
            continue
        s = -1
        while s < columns:
            for q in range(4):
                y, x = min(max(r + q // 2, 0), rows - 1), min(max(s + q % 2, 0), columns - 1)
                dx[q], dy[q] = field[0, y, x], field[1, y, x]
            left, number = cell * s + cell // 2, 1
            alike = dx[1] == dx[0] and dx[2] == dx[0] and dx[3] == dx[0]
            if alike and dy[1] == dy[0] and dy[2] == dy[0] and dy[3] == dy[0]:
                upper, lower = max(r, 0), min(r + 1, rows - 1)
                while s + number < columns:
                    x = min(s + number + 1, columns - 1)
                    if field[0, upper, x] != dx[0] or field[0, lower, x] != dx[0]:
                        break
                    if field[1, upper, x] != dy[0] or field[1, lower, x] != dy[0]:
                        break
                    number += 1
                start, stop = max(0, left), min(left + number * cell, width)
                if start < stop:
                    at = 4 * (top + first) + dy[0], 4 * start + dx[0]
                    for c in range(channels):
                        to = out[c, top + first : top + end, start:stop]
                        _interpolated(planes[c], *at, taps, low, high, across, to)
                s += number
                continue
            start, stop = max(0, -left), min(cell, width - left)  # of the columns
            if start < stop:
                for c in range(channels):
                    for i in range(first, end):
                        for j in range(start, stop):
                            total[i, j] = 2 * cell * cell
                    for q in range(4):
                        known = False
                        for p in range(q):
                            known |= dx[p] == dx[q] and dy[p] == dy[q]
                        if known:
                            continue
                        part = samples[first:end, start:stop]
                        at = 4 * (top + first) + dy[q], 4 * (left + start) + dx[q]
                        _interpolated(planes[c], *at, taps, low, high, across, part)
                        for i in range(first, end):
                            before, after = np.float32(0), np.float32(0)  # weights of the row, of both columns of cells
                            for p in range(q, 4):
                                if dx[p] == dx[q] and dy[p] == dy[q]:
                                    weight = rising[i] if p >= 2 else full - rising[i]
                                    if p % 2:
                                        after += weight
                                    else:
                                        before += weight
                            for j in range(start, stop):
                                weight = before * (full - rising[j]) + after * rising[j]
                                total[i, j] += weight * samples[i, j]
                    for i in range(first, end):
                        for j in range(start, stop):
                            out[c, top + i, left + j] = np.floor(total[i, j] * unit)
            s += 1
    return out


@compiled
def blended(lumas: tuple[Floats, ...], chromas: tuple[Floats, ...], out: Floats) -> None:
    """`motion.predict` of one or two moved references, from their luma (1, 2 h, 2 w) and chroma (2, h, w), into `out`
    (h, w, 12)."""
    height, width, half = *out.shape[:2], np.float32(0.5)
    for i in range(height):
        for j in range(width):
            for c in range(6):
                if c < 4:
                    y, x = 2 * i + c // 2, 2 * j + c % 2
                    one, two = lumas[0][0, y, x], lumas[-1][0, y, x]
                else:
                    one, two = chromas[0][c - 4, i, j], chromas[-1][c - 4, i, j]
                out[i, j, c] = np.floor((one + two + 1) * half)
                out[i, j, 6 + c] = np.floor((one - two + 1) * half)
