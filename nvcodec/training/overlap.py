"""Fields of displacement refined by what they really predict: overlapped windows, not single blocks. On the CPU.

    minimise  sum over cells of J(E) + price          as in training.displacement

E is the squared error of the luma under the whole window of a cell, twice its side, of the prediction as
`motion.predict` makes it, without its roundings. Cells take turns in raster order, each with the best of what its
neighbours have, of the guess and of small changes, of one field or of both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nvcodec.jit import compiled

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

LOGS = np.log2(1 + np.arange(1 << 17) / 4).astype(np.float32)
"""r of a difference of n quarters of its unit."""


@compiled
def refine(
    target: Floats,
    one: Floats,
    two: Floats,
    margin: int,
    fields: Ints,
    guess: Floats,
    guessed: bool,
    prices: Floats,
    logs: Floats,
    scale: float,
    saturation: float,
    rounds: int,
) -> None:
    """Improve `fields` (N, 2, rows, columns), of one or two references, in place.

    target: luma (h, w); one, two: that of the references at quarter samples, (16, h', w'), as `motion.Quarters` has it;
    guess: of the first field, (2, rows, columns), where there is one; prices: of a pair, of a mean and of a guess;
    scale: of squared errors, 1 / lambda; saturation: of J over a window.
    """
    number, _, rows, columns = fields.shape
    height, width = target.shape
    cell = height // rows
    size = 2 * cell
    side = np.empty(size, np.float32)
    for i in range(size):
        side[i] = size - abs(2 * i - size + 1)
    total = np.zeros((2, height, width), np.float32)  # weighted samples of all windows
    for n in range(number):
        for r in range(-1, rows + 1):
            for c in range(-1, columns + 1):
                y, x = min(max(r, 0), rows - 1), min(max(c, 0), columns - 1)
                plane = one if n == 0 else two
                _add(total[n], plane, margin, r, c, cell, fields[n, 1, y, x], fields[n, 0, y, x], side, 1.0)
    unit = np.float32(1 / (4 * cell * cell * number))
    base = np.empty((size, size), np.float32)
    candidates = np.empty((64, 2, 2), np.int64)  # of both references, x and y
    for turn in range(rounds):
        step = 1 + (turn == 0)
        for r in range(rows):
            for c in range(columns):
                top, left = cell * r - cell // 2, cell * c - cell // 2
                first, end = max(0, -top), min(size, height - top)
                start, stop = max(0, -left), min(size, width - left)
                for n in range(number):
                    plane = one if n == 0 else two
                    _add(total[n], plane, margin, r, c, cell, fields[n, 1, r, c], fields[n, 0, r, c], side, -1.0)
                for i in range(first, end):
                    for j in range(start, stop):
                        known = total[0, top + i, left + j] + total[1, top + i, left + j]
                        base[i, j] = known * unit - target[top + i, left + j]
                count = _candidates(fields, r, c, step, guess, guessed, candidates)
                best, least = 0, np.float32(np.inf)
                for k in range(count):
                    again = False
                    for m in range(k):
                        same = True
                        for n in range(number):
                            for axis in range(2):
                                same = same and candidates[m, n, axis] == candidates[k, n, axis]
                        again = again or same
                    if again:
                        continue
                    error = _error(
                        base, one, two, margin, top, left, first, end, start, stop, candidates[k], number, side,
                        float(unit), height, width,
                    )  # fmt: skip
                    cost = saturation * np.log1p(error * scale / saturation)
                    for n in range(number):
                        cost += _price(fields, n, candidates[k], r, c, guess, guessed or n == 1, prices, logs)
                    if cost < least:
                        best, least = k, cost
                for n in range(number):
                    plane = one if n == 0 else two
                    new = candidates[best, n]
                    for y in range(-1 if r == 0 else r, rows + 1 if r == rows - 1 else r + 1):
                        for x in range(-1 if c == 0 else c, columns + 1 if c == columns - 1 else c + 1):
                            if y != r or x != c:  # beyond the edge, and moved as the cell is
                                _add(
                                    total[n],
                                    plane,
                                    margin,
                                    y,
                                    x,
                                    cell,
                                    fields[n, 1, r, c],
                                    fields[n, 0, r, c],
                                    side,
                                    -1.0,
                                )
                                _add(total[n], plane, margin, y, x, cell, new[1], new[0], side, 1.0)
                    _add(total[n], plane, margin, r, c, cell, new[1], new[0], side, 1.0)
                    fields[n, 0, r, c], fields[n, 1, r, c] = new[0], new[1]


@compiled
def _window(
    margin: int, top: int, left: int, down: int, right: int, size: int, height: int, width: int
) -> tuple[int, int, int]:
    """The plane, and the row and column in it, where a window begins that is displaced by so many quarters."""
    far = margin - size  # samples beyond an edge from where on all are alike
    y = min(max(4 * top + down, -4 * (size + far)), 4 * (height + far)) + 4 * margin
    x = min(max(4 * left + right, -4 * (size + far)), 4 * (width + far)) + 4 * margin
    return (x & 3) * 4 + (y & 3), y >> 2, x >> 2


@compiled
def _add(
    total: Floats,
    plane: Floats,
    margin: int,
    r: int,
    c: int,
    cell: int,
    down: int,
    right: int,
    side: Floats,
    sign: float,
) -> None:
    """Add the weighted window of the cell in row r and column c, or, with sign -1, take it away."""
    height, width = total.shape
    size = 2 * cell
    top, left = cell * r - cell // 2, cell * c - cell // 2
    first, end, start, stop = max(0, -top), min(size, height - top), max(0, -left), min(size, width - left)
    phase, y, x = _window(margin, top, left, down, right, size, height, width)
    for i in range(first, end):
        weight = side[i] * np.float32(sign)
        row = plane[phase, y + i, x + start : x + stop]
        out, weights = total[top + i, left + start : left + stop], side[start:stop]
        for j in range(stop - start):
            out[j] += weight * weights[j] * row[j]


@compiled
def _error(
    base: Floats,
    one: Floats,
    two: Floats,
    margin: int,
    top: int,
    left: int,
    first: int,
    end: int,
    start: int,
    stop: int,
    candidate: Ints,
    number: int,
    side: Floats,
    unit: float,
    height: int,
    width: int,
) -> float:
    """The squared error under a window. base: what all others predict, less the target."""
    size = len(side)
    a, y, x = _window(margin, top, left, candidate[0, 1], candidate[0, 0], size, height, width)
    b, v, u = _window(margin, top, left, candidate[number - 1, 1], candidate[number - 1, 0], size, height, width)
    share = np.float32(unit) if number == 2 else np.float32(unit) * np.float32(0.5)
    wide, weights = stop - start, side[start:stop]
    line = np.zeros(size, np.float32)
    for i in range(first, end):
        weight, known = side[i] * share, base[i, start:stop]
        p, q = one[a, y + i, x + start : x + stop], two[b, v + i, u + start : u + stop]
        for j in range(wide):
            off = known[j] + weight * weights[j] * (p[j] + q[j])
            line[j] += off * off
    return float(line.sum())


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
def _price(
    fields: Ints, n: int, candidate: Ints, r: int, c: int, guess: Floats, guessed: bool, prices: Floats, logs: Floats
) -> float:
    """Bits of the field n of a cell, next to cells as they are: `displacement._Search._price`."""
    _, _, rows, columns = fields.shape
    most = len(logs) - 1
    plain, surprise = np.float32(0), np.float32(0)
    for axis in range(2):
        value, around, seen = candidate[n, axis], 0, 0
        own = value - int(guess[axis, r, c]) if n == 0 else value + candidate[0, axis]
        for y, x in ((r - 1, c), (r, c - 1), (r, c + 1), (r + 1, c)):
            if 0 <= y < rows and 0 <= x < columns:
                there = fields[n, axis, y, x]
                plain += prices[0] * logs[min(4 * abs(value - there), most)]
                other = there - int(guess[axis, y, x]) if n == 0 else there + fields[0, axis, y, x]
                surprise += prices[0] * logs[min(4 * abs(own - other), most)]
                around += there
                seen += 1
        if seen == 4:
            plain += prices[1] * logs[min(abs(4 * value - around), most)]
        surprise += prices[2] * logs[min(4 * abs(own), most)]
    return float(min(plain, surprise) if guessed else plain)
