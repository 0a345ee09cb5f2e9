"""Overlapped blocks on the CPU: each window is interpolated where it is needed, in one compiled loop.

The same integers as those of `motion.Quarters`, which has all positions between samples of a reference at hand. All is
in float32, in which no sum here reaches 2 ** 24.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nvcodec.jit import compiled

Floats = NDArray[np.float32]


@compiled
def overlapped(planes: Floats, field: NDArray[np.int64], cell: int, taps: Floats, low: int, high: int) -> Floats:
    """(C, h, w) of planes (C, h, w), in cells of that many samples, displaced by a field (2, rows, columns), x and y in
    quarters of a sample. taps: (4, 8), in 1/64; low, high: of a sample."""
    half, whole = np.float32(2048), np.float32(1 / 4096)
    least, most = np.float32(low), np.float32(high)
    channels, height, width = planes.shape
    size = 2 * cell
    side = np.empty(size, np.float32)
    for i in range(size):
        side[i] = size - abs(2 * i - size + 1)
    total = np.full((channels, height, width), np.float32(2 * cell * cell))
    patch, across = np.empty((size + 7, size + 7), np.float32), np.empty((size + 7, size), np.float32)
    line = np.empty(size, np.float32)
    for r in range(-1, field.shape[1] + 1):
        top = cell * r - cell // 2
        first, end = max(0, -top), min(size, height - top)  # of the rows of the window, those in the picture
        for s in range(-1, field.shape[2] + 1):
            left = cell * s - cell // 2
            start, stop = max(0, -left), min(size, width - left)
            y, x = min(max(r, 0), field.shape[1] - 1), min(max(s, 0), field.shape[2] - 1)
            down, right = 4 * top + field[1, y, x], 4 * left + field[0, y, x]
            m, n = down & 3, right & 3
            y, x = (down >> 2) - 3, (right >> 2) - 3
            inside = x + start >= 0 and x + stop + 7 <= width
            t0, t1, t2, t3, t4, t5, t6, t7 = taps[n]
            u0, u1, u2, u3, u4, u5, u6, u7 = taps[m]
            wide = stop - start
            for c in range(channels):
                for i in range(first, end + 7):
                    row, p = planes[c, min(max(y + i, 0), height - 1)], patch[i]
                    if inside:
                        row = row[x + start : x + stop + 7]
                        for j in range(wide + 7):
                            p[j] = row[j]
                    else:
                        for j in range(wide + 7):
                            p[j] = row[min(max(x + start + j, 0), width - 1)]
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
                for i in range(first, end):
                    if m:
                        a, b, d, e = across[i], across[i + 1], across[i + 2], across[i + 3]
                        f, g, h, k = across[i + 4], across[i + 5], across[i + 6], across[i + 7]
                        for j in range(wide):
                            line[j] = (
                                ((u0 * a[j] + u1 * b[j]) + (u2 * d[j] + u3 * e[j]))
                                + ((u4 * f[j] + u5 * g[j]) + (u6 * h[j] + u7 * k[j]))
                            )  # fmt: skip
                    else:
                        a = across[i + 3]
                        for j in range(wide):
                            line[j] = u3 * a[j]
                    out, weights, weight = total[c, top + i, left + start : left + stop], side[start:stop], side[i]
                    for j in range(wide):
                        sample = min(max(np.floor((line[j] + half) * whole), least), most)
                        out[j] += weight * weights[j] * sample
    unit = np.float32(1 / (4 * cell * cell))
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                total[c, i, j] = np.floor(total[c, i, j] * unit)
    return total


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
