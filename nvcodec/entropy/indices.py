"""Lists of table indices 0..63, one for each row or column: how they are written, and the cheapest list.

Neighbours are alike, so a list is a string of bits of

    2 bits   order of the Golomb-Rice codes
    6 bits   the first index
    then for each further index its difference from the one before, zigzag (0, -1, 1, ... -> 0, 1, 2, ...), in a
    Golomb-Rice code; an index outside of 0..63 is malformed
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvcodec.entropy.bits import BitReader, BitWriter
from nvcodec.errors import MalformedError

INDICES = 64
MAX_ORDER = 3
HEAD_BITS = 8  # of the order and the first index
_LARGEST_STEP = 2 * (INDICES - 1)  # zigzag of the largest difference


def zigzag(difference: int) -> int:
    """0, -1, 1, -2, ... -> 0, 1, 2, 3, ..."""
    return 2 * difference if difference >= 0 else -2 * difference - 1


_STEPS = np.array([[zigzag(after - before) for after in range(INDICES)] for before in range(INDICES)])


def write_list(out: BitWriter, indices: Sequence[int], order: int) -> None:
    """A list of at least one index."""
    out.fixed(order, 2)
    out.fixed(indices[0], 6)
    for before, index in zip(indices, indices[1:], strict=False):
        out.rice(zigzag(index - before), order)


def read_list(bits: BitReader, count: int, what: str) -> tuple[tuple[int, ...], int]:
    """`count` >= 1 indices and the order of their codes; `what` names an index in errors."""
    order, index = bits.fixed(2), bits.fixed(6)
    indices = [index]
    for _ in range(count - 1):
        step = bits.rice(order, _LARGEST_STEP)
        index += ~(step >> 1) if step & 1 else step >> 1
        if not 0 <= index < INDICES:
            raise MalformedError(f"{what} {index} is outside 0..{INDICES - 1}")
        indices.append(index)
    return tuple(indices), order


def cheapest_list(
    costs: NDArray[np.floating[Any]], orders: Sequence[int] | None = None
) -> tuple[NDArray[np.int64], int, float]:
    """(indices (R,), order, bits of the list) with few bits in all, where index i for place r costs `costs[r, i]`.

    orders: the best list is sought for each of these, then the best order for that list. None is only the one that
    suits what each place would take alone: faster, and as good where places have little in common.
    """
    if orders is None:
        orders = [best_order(costs.argmin(axis=1))[1]]
    found = []
    for searched in orders:
        path = _cheapest_path(costs, searched)
        bits, order = best_order(path)
        found.append((bits + float(costs[np.arange(len(path)), path].sum()), path, order, float(HEAD_BITS + bits)))
    _, path, order, list_bits = min(found, key=lambda entry: entry[0])
    return path, order, list_bits


def best_order(path: NDArray[np.int64]) -> tuple[int, int]:
    """(bits, order) of the cheapest order for the differences of a list."""
    steps = _STEPS[path[:-1], path[1:]]
    return min((int(((steps >> order) + 1 + order).sum()), order) for order in range(MAX_ORDER + 1))


def _cheapest_path(costs: NDArray[np.floating[Any]], order: int) -> NDArray[np.int64]:
    """Viterbi: indices (R,) that minimise the costs (R, INDICES) plus the bits of the differences between them."""
    step_bits = (_STEPS.T >> order) + 1.0 + order  # (after, before)
    came_from = np.zeros(costs.shape, dtype=np.uint8)
    total = costs[0]
    after = np.arange(INDICES)
    for row in range(1, len(costs)):
        through = step_bits + total
        best = through.argmin(axis=1)
        came_from[row] = best
        total = through[after, best] + costs[row]
    path = np.empty(len(costs), dtype=np.int64)
    path[-1] = total.argmin()
    for row in range(len(costs) - 1, 0, -1):
        path[row - 1] = came_from[row, path[row]]
    return path
