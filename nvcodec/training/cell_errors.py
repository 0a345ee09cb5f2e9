"""Squared errors of displaced cells on the CPU: what the search of displacements spends its time on, in one loop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nvcodec.jit import compiled

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@compiled
def cell_errors(target: Floats, one: Floats, two: Floats, rows: Ints, columns: Ints, margin: int) -> Floats:
    """(K, R, C): the sums of the squared differences between the cells of a target (R, C, S, S) and the mean of windows
    of two references.

    one, two: luma at quarter samples, (16, h, w) as `motion.Quarters` has it, with that margin; rows, columns: where
    windows of S x S begin, (2, K, R, C), in quarters, within the planes.
    """
    _, number, tall, wide = rows.shape
    size = target.shape[2]
    out = np.empty((number, tall, wide), np.float32)
    half = np.float32(0.5)
    line = np.empty(size, np.float32)
    for k in range(number):
        for r in range(tall):
            for c in range(wide):
                y, x = rows[0, k, r, c] + 4 * margin, columns[0, k, r, c] + 4 * margin
                v, u = rows[1, k, r, c] + 4 * margin, columns[1, k, r, c] + 4 * margin
                a, b = one[(x & 3) * 4 + (y & 3)], two[(u & 3) * 4 + (v & 3)]
                y, x, v, u = y >> 2, x >> 2, v >> 2, u >> 2
                line[:] = 0
                for i in range(size):
                    p, q, t = a[y + i, x : x + size], b[v + i, u : u + size], target[r, c, i]
                    for j in range(size):
                        difference = (p[j] + q[j]) * half - t[j]
                        line[j] += difference * difference
                out[k, r, c] = line.sum()
    return out
