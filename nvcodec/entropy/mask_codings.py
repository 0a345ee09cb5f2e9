"""Mask codings: the probability that each element of a tensor is shared, and how the decoder is told.

A density index d in 0..63 stands for odds of 2 ** ((d - 32) / 4) for shared against not.

    NONE     0   no element is shared; nothing is coded
    ALL      1   every element is shared; nothing is coded
    SINGLE   2   one density for the tensor
    ROWS     3   one for each row: the elements that share the first coordinate
    COLUMNS  4   one for each column: the elements that share all coordinates but the first, in C order
    PRODUCT  5   one for each row and each column; that of an element is clamp(row + column - 32, 0, 63): the product of
                 their odds

A tensor of rank 1 is NONE, ALL or SINGLE. In the header of a mask section, one string of bits (`entropy.bits`), each
tensor has a coding id of 3 bits, 6 and 7 being unknown; then, with SINGLE, the density in 6 bits, else the densities
as lists (`entropy.indices`), those of rows first.

The alphabet has two symbols, 1 for shared. Exact construction of their frequencies (all divisions floor; Q is
2 ** (j / 4) in 16 bit fixed point):

    T = 65536    Q = (65536, 77936, 92682, 110218)
    w = Q[|d - 32| mod 4] * 2 ** (|d - 32| div 4)
    f[0] = 1 + (T - 2) * w div (T + w)  if d < 32, else  1 + (T - 2) * T div (T + w);    f[1] = T - f[0]
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvcodec.entropy.bits import BitReader, BitWriter
from nvcodec.entropy.elements import Shape, columns_of
from nvcodec.entropy.indices import INDICES, read_list, write_list
from nvcodec.entropy.tables import QUARTER_OCTAVES, TOTAL
from nvcodec.errors import FeatureError, MalformedError

NONE, ALL, SINGLE, ROWS, COLUMNS, PRODUCT = range(6)
EVEN = 32  # the density index of one half


@dataclass(frozen=True)
class DensityList:
    """Density indices of rows or of columns, and the order of their Golomb-Rice codes."""

    indices: tuple[int, ...]
    order: int


@dataclass(frozen=True)
class MaskPlan:
    """How the mask of one tensor is coded: `density` with SINGLE, `rows` and `columns` where the coding has them."""

    coding: int
    density: int = EVEN
    rows: DensityList | None = None
    columns: DensityList | None = None

    @property
    def stored(self) -> bool:
        """Whether elements are coded."""
        return self.coding >= SINGLE


def cumulative() -> NDArray[np.int32]:
    """The table of each density index: (INDICES, 3), from 0 to 65536."""
    d = np.arange(INDICES, dtype=np.int64)
    away = np.abs(d - EVEN)
    w = np.array(QUARTER_OCTAVES, dtype=np.int64)[away % 4] << (away // 4)
    zero = 1 + (TOTAL - 2) * np.where(d < EVEN, w, TOTAL) // (TOTAL + w)
    return np.stack([np.zeros_like(zero), zero, np.full_like(zero, TOTAL)], axis=1).astype(np.int32)


def write_mask_plan(out: BitWriter, plan: MaskPlan) -> None:
    """The bits of one tensor in the header."""
    out.fixed(plan.coding, 3)
    if plan.coding == SINGLE:
        out.fixed(plan.density, 6)
    for densities in (plan.rows, plan.columns):
        if densities is not None:
            write_list(out, densities.indices, densities.order)


def read_mask_plan(bits: BitReader, shape: Shape) -> MaskPlan:
    """Of a tensor of this shape. FeatureError for an unknown coding id, MalformedError for what breaks a rule."""
    coding = bits.fixed(3)
    if coding > PRODUCT:
        raise FeatureError(f"mask section: mask coding {coding} is unknown to this release")
    if coding > SINGLE and len(shape) == 1:
        raise MalformedError(f"mask section: mask coding {coding} of a tensor of rank 1")
    if coding == SINGLE:
        return MaskPlan(coding, density=bits.fixed(6))
    rows = _read_densities(bits, shape[0]) if coding in (ROWS, PRODUCT) else None
    columns = _read_densities(bits, columns_of(shape)) if coding in (COLUMNS, PRODUCT) else None
    return MaskPlan(coding, rows=rows, columns=columns)


def _read_densities(bits: BitReader, count: int) -> DensityList:
    return DensityList(*read_list(bits, count, "mask section: density index"))


def densities(plan: MaskPlan, shape: Shape) -> NDArray[np.uint8]:
    """The density index of every element of a tensor, in C order: (N,), or (0,) for NONE and ALL."""
    if not plan.stored:
        return np.zeros(0, np.uint8)
    if plan.coding == SINGLE:
        return np.full(math.prod(shape), plan.density, np.uint8)
    rows, columns = (np.array([EVEN] if side is None else side.indices, np.int16) for side in (plan.rows, plan.columns))
    grid = np.clip(rows[:, None] + (columns - EVEN), 0, INDICES - 1).astype(np.uint8)
    return np.broadcast_to(grid, (shape[0], columns_of(shape))).reshape(-1)
