"""Overlapped windows of a frame's cells on the CPU: what they predict together, and what one of them changes.

Every cell displaces a window of twice its side around it, weighted from its centre outwards; what they add up to is the
prediction that `models.motion.moved` makes, without its roundings.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nvcodec.jit import compiled

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Windows(NamedTuple):
    """The windows of one frame, of one reference or two.

    target: luma (h, w). one, two: that of the references at quarter samples, (16, h', w'), as `motion.Quarters` has it,
    with that margin; of a single one twice the same. fields: displacements, (N, 2, rows, columns). side: weights along
    a side of a window, (2 cell,). total: the weighted samples of all windows, (2, h, w). base: of one cell, what all
    other windows predict less the target, (2 cell, 2 cell).
    """

    target: Floats
    one: Floats
    two: Floats
    margin: int
    fields: Ints
    side: Floats
    total: Floats
    base: Floats


def windows(target: Floats, one: Floats, two: Floats, margin: int, fields: Ints) -> Windows:
    """Of fields that are changed in place later on."""
    size = 2 * (target.shape[0] // fields.shape[2])
    side = (size - np.abs(2 * np.arange(size) - size + 1)).astype(np.float32)
    total, base = np.zeros((2, *target.shape), np.float32), np.empty((size, size), np.float32)
    made = Windows(target, one, two, margin, fields, side, total, base)
    _fill(made)
    return made


@compiled
def _fill(w: Windows) -> None:
    """Add all windows, those beyond the edges as well, which are moved as the cells next to them are."""
    number, _, rows, columns = w.fields.shape
    for n in range(number):
        for r in range(-1, rows + 1):
            for c in range(-1, columns + 1):
                y, x = min(max(r, 0), rows - 1), min(max(c, 0), columns - 1)
                _add(w, n, r, c, w.fields[n, 1, y, x], w.fields[n, 0, y, x], 1.0)


@compiled
def _bounds(w: Windows, r: int, c: int) -> tuple[int, int, int, int, int, int]:
    """Of the window of a cell: its top and left, in samples, and which of its rows and columns are in the picture."""
    height, width = w.target.shape
    size = len(w.side)
    top, left = size // 2 * r - size // 4, size // 2 * c - size // 4
    return top, left, max(0, -top), min(size, height - top), max(0, -left), min(size, width - left)


@compiled
def _place(w: Windows, top: int, left: int, down: int, right: int) -> tuple[int, int, int]:
    """The plane, and the row and column in it, where a window begins that is displaced by so many quarters."""
    height, width = w.target.shape
    size = len(w.side)
    far = w.margin - size  # samples beyond an edge from where on all are alike
    y = min(max(4 * top + down, -4 * (size + far)), 4 * (height + far)) + 4 * w.margin
    x = min(max(4 * left + right, -4 * (size + far)), 4 * (width + far)) + 4 * w.margin
    return (x & 3) * 4 + (y & 3), y >> 2, x >> 2


@compiled
def _add(w: Windows, n: int, r: int, c: int, down: int, right: int, sign: float) -> None:
    """Add the window of reference n of the cell in row r and column c, or, with sign -1, take it away."""
    plane = w.one if n == 0 else w.two
    top, left, first, end, start, stop = _bounds(w, r, c)
    phase, y, x = _place(w, top, left, down, right)
    for i in range(first, end):
        weight = w.side[i] * np.float32(sign)
        row = plane[phase, y + i, x + start : x + stop]
        out, weights = w.total[n, top + i, left + start : left + stop], w.side[start:stop]
        for j in range(stop - start):
            out[j] += weight * weights[j] * row[j]


@compiled
def take_out(w: Windows, r: int, c: int) -> None:
    """Take away the window of a cell, so that `error` tells what another would do; `put_in` ends that."""
    size = len(w.side)
    number = len(w.fields)
    unit = np.float32(1 / (size * size * number))
    for n in range(number):
        _add(w, n, r, c, w.fields[n, 1, r, c], w.fields[n, 0, r, c], -1.0)
    top, left, first, end, start, stop = _bounds(w, r, c)
    for i in range(first, end):
        for j in range(start, stop):
            known = w.total[0, top + i, left + j] + w.total[1, top + i, left + j]
            w.base[i, j] = known * unit - w.target[top + i, left + j]


@compiled
def error(w: Windows, r: int, c: int, candidate: Ints) -> float:
    """The squared error under the window of a cell that was taken out, displaced by `candidate`, (2, 2): of both
    references, x and y."""
    number, size = len(w.fields), len(w.side)
    top, left, first, end, start, stop = _bounds(w, r, c)
    a, y, x = _place(w, top, left, candidate[0, 1], candidate[0, 0])
    b, v, u = _place(w, top, left, candidate[number - 1, 1], candidate[number - 1, 0])
    share = np.float32(1 / (2 * size * size))  # of each of two, of one that is counted twice
    wide, weights = stop - start, w.side[start:stop]
    line = np.zeros(size, np.float32)
    for i in range(first, end):
        weight, known = w.side[i] * share, w.base[i, start:stop]
        p, q = w.one[a, y + i, x + start : x + stop], w.two[b, v + i, u + start : u + stop]
        for j in range(wide):
            off = known[j] + weight * weights[j] * (p[j] + q[j])
            line[j] += off * off
    return float(line.sum())


@compiled
def put_in(w: Windows, r: int, c: int, new: Ints) -> None:
    """Displace a cell that was taken out, and what lies beyond the edge next to it, by `new`, (2, 2)."""
    number, _, rows, columns = w.fields.shape
    for n in range(number):
        was, now = w.fields[n, :, r, c], new[n]
        for y in range(-1 if r == 0 else r, rows + 1 if r == rows - 1 else r + 1):
            for x in range(-1 if c == 0 else c, columns + 1 if c == columns - 1 else c + 1):
                if y != r or x != c:
                    _add(w, n, y, x, was[1], was[0], -1.0)
                    _add(w, n, y, x, now[1], now[0], 1.0)
        _add(w, n, r, c, now[1], now[0], 1.0)
        was[0], was[1] = now[0], now[1]


@compiled
def repeated(candidates: Ints, k: int) -> bool:
    """Whether candidate k of (K, 2, 2) is one of those before."""
    for m in range(k):
        same = True
        for n in range(2):
            for axis in range(2):
                same = same and candidates[m, n, axis] == candidates[k, n, axis]
        if same:
            return True
    return False
