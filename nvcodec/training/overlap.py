"""Fields of displacement refined by what they really predict: overlapped windows, not single blocks. On the CPU.

    minimise  sum over cells of J(E) + price          as in training.displacement

E is the squared error of the luma under the whole window of a cell (training.windows). Cells take turns in raster
order, each with the best of what its neighbours have, of the guess and of small changes, of one field or of both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nvcodec.jit import compiled
from nvcodec.training.windows import Floats, Ints, Windows, error, put_in, repeated, take_out

LOGS = np.log2(1 + np.arange(1 << 17) / 4).astype(np.float32)
"""r of a difference of n quarters of its unit."""


class Prices(NamedTuple):
    """Of displacements, in bits of a doubled difference: from a neighbour, from the mean of all four, from a guess.

    guess: of the first field, (2, rows, columns), and whether there is one. logs: LOGS.
    """

    pair: float
    mean: float
    surprise: float
    guess: Floats
    guessed: bool
    logs: Floats


@compiled
def refine(w: Windows, prices: Prices, scale: float, saturation: float, rounds: int) -> None:
    """Improve the fields of windows in place. scale: of squared errors, 1 / lambda; saturation: of J over a window."""
    number, _, rows, columns = w.fields.shape
    candidates = np.empty((64, 2, 2), np.int64)
    for turn in range(rounds):
        step = 1 + (turn == 0)
        for r in range(rows):
            for c in range(columns):
                take_out(w, r, c)
                count = _candidates(w.fields, r, c, step, prices.guess, prices.guessed, candidates)
                best, least = 0, np.float32(np.inf)
                for k in range(count):
                    if repeated(candidates, k):
                        continue
                    cost = saturation * np.log1p(error(w, r, c, candidates[k]) * scale / saturation)
                    for n in range(number):
                        cost += price(w.fields, n, candidates[k], r, c, prices)
                    if cost < least:
                        best, least = k, cost
                put_in(w, r, c, candidates[best])


@compiled
def _candidates(fields: Ints, r: int, c: int, step: int, guess: Floats, guessed: bool, out: Ints) -> int:
    """Displacements of a cell to try, both of each; how many. The first one is what it has."""
    number, _, rows, columns = fields.shape
    count = 1
    for n in range(2):
        for axis in range(2):
            out[:, n, axis] = fields[min(n, number - 1), axis, r, c]
    for y, x in ((r - 1, c), (r, c - 1), (r, c + 1), (r + 1, c)):
        if 0 <= y < rows and 0 <= x < columns:
            for n in range(number):
                for axis in range(2):
                    out[count, n, axis] = fields[n, axis, y, x]
                    if number == 2:  # both of the neighbour, then each alone
                        out[count + 1 + n, n, axis] = fields[n, axis, y, x]
            count += 3 if number == 2 else 1
    if guessed:
        for axis in range(2):
            out[count, 0, axis] = int(guess[axis, r, c])
        count += 1
    if number == 2:
        for axis in range(2):
            out[count, 1, axis] = -fields[0, axis, r, c]
            out[count + 1, 0, axis] = -fields[1, axis, r, c]
        count += 2
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if dy or dx:
                for n in range(number):
                    out[count, n, 0] += step * dx
                    out[count, n, 1] += step * dy
                    count += 1
                if number == 2:
                    out[count, 0, 0] += step * dx
                    out[count, 0, 1] += step * dy
                    out[count, 1, 0] -= step * dx
                    out[count, 1, 1] -= step * dy
                    count += 1
    return count


@compiled
def price(fields: Ints, n: int, candidate: Ints, r: int, c: int, p: Prices) -> float:
    """Bits of the field n of a cell, next to cells as they are: `displacement._Search._price`."""
    _, _, rows, columns = fields.shape
    most = len(p.logs) - 1
    plain, surprise = np.float32(0), np.float32(0)
    for axis in range(2):
        value, around, seen = candidate[n, axis], 0, 0
        own = value - int(p.guess[axis, r, c]) if n == 0 else value + candidate[0, axis]
        for y, x in ((r - 1, c), (r, c - 1), (r, c + 1), (r + 1, c)):
            if 0 <= y < rows and 0 <= x < columns:
                there = fields[n, axis, y, x]
                plain += p.pair * p.logs[min(4 * abs(value - there), most)]
                other = there - int(p.guess[axis, y, x]) if n == 0 else there + fields[0, axis, y, x]
                surprise += p.pair * p.logs[min(4 * abs(own - other), most)]
                around += there
                seen += 1
        if seen == 4:
            plain += p.mean * p.logs[min(abs(4 * value - around), most)]
        surprise += p.surprise * p.logs[min(4 * abs(own), most)]
    return float(min(plain, surprise) if p.guessed or n == 1 else plain)
