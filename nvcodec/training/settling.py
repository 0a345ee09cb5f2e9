"""Displacements settled while they are coded: by the bits that the laws of the flow network really take.

The model goes over a frame's displacements, pass after pass, as a decoder does. The laws of all cells of a pass are
known by then, and each takes what costs least:

    minimise  J(E) + bits under its law + FOLLOWED * price          J(E), price as in training.displacement

E is the squared error of the luma under the whole window of a cell (training.windows); the price is for the neighbours
that are coded after it. What a search found is mostly kept or given up for what the
law holds most likely, or for something between both; of two references the second field, which is guessed to mirror the
first, moves along where that is better. On the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.entropy import laplace
from nvcodec.entropy.laws import SKIPPED, pass_laws
from nvcodec.jit import compiled
from nvcodec.models.base import FIELDS, Weights
from nvcodec.models.mc import FLOW_BOUND, Mc
from nvcodec.models.motion import Reference
from nvcodec.training.windows import Floats, Ints, Windows, error, put_in, repeated, take_out

ROUNDS = 5
FOLLOWED = 0.25  # of the price of what is coded later: of its differences from a cell
MIRRORED = 0.5  # of the price of the second field, when the first is settled


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


class Coding(NamedTuple):
    """How displacements will be coded. weights: of the model; depth, quality: of the frame."""

    model: Mc
    weights: Weights
    depth: int
    quality: int


class _Laws(NamedTuple):
    """Those of one pass, as entropy.laws.pass_laws gives them, and entropy.laplace's tables."""

    floors: Ints
    rows: Ints
    bits: NDArray[np.float64]
    reach: Ints


def settle(
    coding: Coding,
    references: Sequence[Reference],
    windows: Windows,
    prices: Prices,
    guess: Tensor | None,
    scale: float,
    saturation: float,
) -> None:
    """Settle the fields of `windows` in place.

    references: one for each field. guess: of the first field, in eighths, as the model codes it. scale: of squared
    errors, 1 / lambda; saturation: of J over a window.
    """
    settler = _Settler(windows, prices, scale, saturation)
    for _ in range(ROUNDS):
        coding.model.displacements(coding.weights, references, coding.depth, coding.quality, settler, guess=guess)


class _Settler:
    """Settles the fields of one frame as the passes go: a `models.base.Coder`."""

    def __init__(self, windows: Windows, prices: Prices, scale: float, saturation: float) -> None:
        self._windows, self._prices = windows, prices
        self._scale, self._saturation = scale, saturation

    def __call__(
        self, name: str, stride: int, cells: Tensor, location: Tensor, scale: Tensor, step: Tensor | None
    ) -> Tensor:
        """The values of a pass: what `pass_laws` skips is what the network expects."""
        n, table = FIELDS.index(name), laplace.packed()
        laws = _Laws(*pass_laws(cells, location, scale, step), table.bits, table.reach)
        w = self._windows
        _settle(w, n, stride, cells.numpy(), laws, self._prices, self._scale, self._saturation, FOLLOWED, MIRRORED)
        values = torch.from_numpy(w.fields[n : n + 1, :, ::stride, ::stride].astype(np.float32))
        return values * cells


@compiled
def _settle(
    w: Windows,
    n: int,
    stride: int,
    cells: NDArray[np.bool_],
    laws: _Laws,
    prices: Prices,
    scale: float,
    saturation: float,
    followed: float,
    mirrored: float,
) -> None:
    """Settle field n in the cells of a pass."""
    number, count = len(w.fields), len(laws.floors) // 2
    candidates, expected = np.empty((64, 2, 2), np.int64), np.empty(2, np.int64)
    k = 0
    for i in range(cells.shape[0]):
        for j in range(cells.shape[1]):
            if not cells[i, j]:
                continue
            r, c = i * stride, j * stride
            for axis in range(2):
                row = laws.rows[k + axis * count]
                expected[axis] = laws.floors[k + axis * count] + (row != SKIPPED and row % laplace.PHASES > 4)
            take_out(w, r, c)
            best, least = 1, np.inf
            for p in range(_candidates(w.fields, n, r, c, expected, candidates)):
                if repeated(candidates, p):
                    continue
                cost = _bits(laws, k, count, candidates[p, n])
                cost += followed * _later(w.fields, n, candidates[p], r, c, stride, prices)
                if n == 0 and number == 2:
                    cost += mirrored * price(w.fields, 1, candidates[p], r, c, prices)
                if cost < least:
                    cost += saturation * np.log1p(error(w, r, c, candidates[p]) * scale / saturation)
                if cost < least:
                    best, least = p, cost
            put_in(w, r, c, candidates[best])
            k += 1


@compiled
def _candidates(fields: Ints, n: int, r: int, c: int, expected: Ints, out: Ints) -> int:
    """Displacements of both to try; how many. The first are what the cell has, and what is expected."""
    number = len(fields)
    for m in range(2):
        for axis in range(2):
            out[:, m, axis] = fields[min(m, number - 1), axis, r, c]
    x, y = fields[n, 0, r, c], fields[n, 1, r, c]
    count = 0
    for right, down in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
        for u, v in ((x, y), (expected[0], expected[1]), ((x + expected[0]) // 2, (y + expected[1]) // 2)):
            out[count, n, 0], out[count, n, 1] = u + right, v + down
            count += 1
    out[count, n, 0], out[count + 1, n, 1] = expected[0], expected[1]
    count += 2
    if number == 1:  # both are one
        out[:count, 1] = out[:count, 0]
    elif n == 0:
        for p in range(count):
            for axis in range(2):
                out[count + p, 0, axis] = out[p, 0, axis]
                out[count + p, 1, axis] = fields[1, axis, r, c] + fields[0, axis, r, c] - out[p, 0, axis]
        count *= 2
    return count


@compiled
def _bits(laws: _Laws, k: int, count: int, value: Ints) -> float:
    """Of the two components of cell k of `count`, about; infinite where one is skipped, and not what is expected."""
    total = 0.0
    for axis in range(2):
        row = laws.rows[k + axis * count]
        off = value[axis] - laws.floors[k + axis * count]
        if abs(value[axis]) > FLOW_BOUND or (row == SKIPPED and off != 0):
            return np.inf
        if row != SKIPPED:
            far = laws.reach[row]
            symbol = min(max(off, -(far + 1)), far + 2)
            total += laws.bits[row, symbol + far + 1]
            if symbol != off:
                total += 1 + 2 * np.log2(1 + abs(off - symbol))
    return total


@compiled
def _later(fields: Ints, n: int, candidate: Ints, r: int, c: int, stride: int, p: Prices) -> float:
    """What the differences from its neighbours cost those that are coded after a cell, as they are."""
    if stride == 1 and r % 2 != c % 2:  # of the last pass
        return 0.0
    _, _, rows, columns = fields.shape
    most = len(p.logs) - 1
    total = 0.0
    for axis in range(2):
        own = candidate[n, axis] - int(p.guess[axis, r, c]) if n == 0 else candidate[n, axis] + candidate[0, axis]
        for y, x in ((r - 1, c), (r, c - 1), (r, c + 1), (r + 1, c)):
            if 0 <= y < rows and 0 <= x < columns:
                there = fields[n, axis, y, x]
                differences = p.logs[min(4 * abs(candidate[n, axis] - there), most)]
                if p.guessed or n == 1:
                    other = there - int(p.guess[axis, y, x]) if n == 0 else there + fields[0, axis, y, x]
                    differences = min(differences, p.logs[min(4 * abs(own - other), most)])
                total += differences
    return total


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
