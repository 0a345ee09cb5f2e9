"""The encoder's choice of mask codings: exact costs from counts, no trial encoding.

Any choice decodes; this module is free to change without touching the format.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nvcodec.entropy.elements import Mask, columns_of
from nvcodec.entropy.indices import HEAD_BITS, INDICES, MAX_ORDER, cheapest_list
from nvcodec.entropy.mask_codings import (
    ALL,
    COLUMNS,
    EVEN,
    NONE,
    PRODUCT,
    ROWS,
    SINGLE,
    DensityList,
    MaskPlan,
    cumulative,
)
from nvcodec.entropy.tables import TOTAL, FloatArray

_DENSITY_BITS = 6
_SHORTEST_LINE = 8  # elements that a density of their own may pay for; shorter lines are not tried
_MOST_ROUNDS = 8  # of the fit of rows and columns
_LEAST_GAIN = 1e-3  # part of the bits that a round must save for another one

_BITS = -np.log2(np.diff(cumulative(), axis=1) / TOTAL)  # (INDICES, 2) of an element that is not shared, of one that is
_SUMS = np.clip(np.arange(INDICES)[:, None] + np.arange(INDICES) - EVEN, 0, INDICES - 1)  # of two densities
_NOT_SHARED, _SHARED = _BITS[_SUMS, 0], _BITS[_SUMS, 1]  # (INDICES, INDICES): bits by density of a row and a column


Option = tuple[float, MaskPlan]  # bits without the coding id, and what they are spent on


class _Side(NamedTuple):
    """Density indices of all rows or all columns; bits of their list, and of all elements with them."""

    indices: NDArray[np.int64]
    order: int
    list_bits: float
    element_bits: float

    @property
    def densities(self) -> DensityList:
        """To be written."""
        return DensityList(tuple(self.indices.tolist()), self.order)


def choose_mask(mask: Mask) -> MaskPlan:
    """The plan with the fewest bits for a mask of rank >= 1."""
    shared = int(np.count_nonzero(mask))
    if shared in (0, mask.size):
        return MaskPlan(ALL if shared else NONE)
    costs = _BITS @ np.array([mask.size - shared, shared])
    density = int(costs.argmin())
    best: Option = float(costs[density]) + _DENSITY_BITS, MaskPlan(SINGLE, density=density)
    if mask.ndim == 1:
        return best[1]
    grid = mask.reshape(mask.shape[0], columns_of(mask.shape))
    for coding in (ROWS, COLUMNS):
        best = _cheaper(best, _lines(coding, grid, best[0]))
    return _cheaper(best, _product(grid, density, best[0]))[1]


def _cheaper(a: Option, b: Option | None) -> Option:
    return a if b is None or a[0] <= b[0] else b


def _lines(coding: int, grid: Mask, bound: float) -> Option | None:
    """ROWS or COLUMNS of a mask (R, C), or None where it cannot cost less than `bound`."""
    across = grid.shape[1] if coding == ROWS else grid.shape[0]
    if across < _SHORTEST_LINE:
        return None
    shared = np.count_nonzero(grid, axis=1 if coding == ROWS else 0)
    costs = _costs(shared[:, None].astype(np.float64), np.array([float(across)]), np.array([EVEN]))
    if HEAD_BITS + len(costs) - 1 + float(costs.min(axis=1).sum()) >= bound:
        return None
    side = _cheapest(costs)
    rows, columns = (side.densities if coding == which else None for which in (ROWS, COLUMNS))
    return side.list_bits + side.element_bits, MaskPlan(coding, rows=rows, columns=columns)


def _product(grid: Mask, density: int, bound: float) -> Option | None:
    """PRODUCT of a mask (R, C) with `density` as a whole, or None where it cannot cost less than `bound`.

    The best rows for the columns at hand, then the best columns for those rows, and so on; the last round is thorough.
    """
    if min(grid.shape) < _SHORTEST_LINE or 2 * HEAD_BITS + sum(grid.shape) - 2 >= bound:
        return None
    field = grid.astype(np.float32)
    columns = np.full(grid.shape[1], (density + EVEN) // 2)  # rows and columns then have as much room
    options: list[Option] = []
    last = False
    while not last:
        gained = len(options) < 2 or options[-1][0] < options[-2][0] * (1 - _LEAST_GAIN)
        last = not gained or len(options) == _MOST_ROUNDS
        rows = _fit(field, columns, thorough=last)
        side = _fit(field.T, rows.indices, thorough=last)
        columns = side.indices
        bits = rows.list_bits + side.list_bits + side.element_bits
        options.append((bits, MaskPlan(PRODUCT, rows=rows.densities, columns=side.densities)))
    return min(options, key=lambda option: option[0])


def _fit(field: NDArray[np.float32], across: NDArray[np.int64], thorough: bool) -> _Side:
    """Densities of lines (R, C) of 1 where an element is shared, given those (C,) of the lines across them."""
    offsets, kind = np.unique(across, return_inverse=True)
    of_kind = (kind[:, None] == np.arange(len(offsets))).astype(np.float32)  # (C, U)
    costs = _costs((field @ of_kind).astype(np.float64), of_kind.sum(axis=0, dtype=np.float64), offsets)
    return _cheapest(costs, thorough)


def _costs(shared: FloatArray, sizes: FloatArray, offsets: NDArray[np.int64]) -> FloatArray:
    """Bits (R, INDICES) of lines by their density: of `sizes` (U,) elements whose lines across have the density
    `offsets`, `shared` (R, U) are shared."""
    costs: FloatArray = shared @ (_SHARED - _NOT_SHARED)[offsets] + sizes @ _NOT_SHARED[offsets]
    return costs


def _cheapest(costs: FloatArray, thorough: bool = True) -> _Side:
    indices, order, list_bits = cheapest_list(costs, range(MAX_ORDER + 1) if thorough else None)
    return _Side(indices, order, list_bits, float(costs[np.arange(len(indices)), indices].sum()))
