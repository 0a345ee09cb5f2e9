"""A mask section to the elements that the groups of a window share: section 9.6 of the specification."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from .container import Cursor, need
from .entropy import QUARTER_OCTAVES, Bits, Mask, read_blocks, read_indices

NONE, ALL, SINGLE, ROWS, COLUMNS, PRODUCT = range(6)


@lru_cache(maxsize=64)
def cumulative(density: int) -> list[int]:
    """The cumulative table of a density index: not shared, shared."""
    total = 65536
    w = QUARTER_OCTAVES[abs(density - 32) % 4] << abs(density - 32) // 4
    return [0, 1 + (total - 2) * (w if density < 32 else total) // (total + w), total]


def read_densities(bits: Bits, coding: int, shape: tuple[int, ...]) -> list[int]:
    """The density index of every element of a tensor."""
    rows, columns = shape[0], math.prod(shape[1:])
    if coding == SINGLE:
        return [bits.fixed(6)] * (rows * columns)
    need(len(shape) > 1, "rows or columns of a mask of rank 1")
    of_row = read_indices(bits, rows) if coding in (ROWS, PRODUCT) else [32] * rows
    of_column = read_indices(bits, columns) if coding in (COLUMNS, PRODUCT) else [32] * columns
    return [min(max(row + column - 32, 0), 63) for row in of_row for column in of_column]


def decode_masks(shapes: list[tuple[int, ...]], data: bytes) -> tuple[list[Mask], list[int]]:
    """The mask of every tensor, true where shared, and their coding ids."""
    cursor = Cursor(data)
    bits = Bits(cursor.take(cursor.uvarint()))
    ids: list[int] = []
    densities: list[list[int]] = []
    for shape in shapes:
        coding = bits.fixed(3)
        need(coding <= PRODUCT, f"mask coding {coding}", "feature")
        ids.append(coding)
        densities.append(read_densities(bits, coding, shape) if coding >= SINGLE else [])
    bits.finish()
    symbols = read_blocks(cursor, [cumulative(density) for of_tensor in densities for density in of_tensor])
    cursor.done()
    masks, at = [], 0
    for shape, coding, of_tensor in zip(shapes, ids, densities, strict=True):
        part = symbols[at : at + len(of_tensor)] if coding >= SINGLE else [coding == ALL] * math.prod(shape)
        masks.append(np.array(part, dtype=np.bool_).reshape(shape))
        at += len(of_tensor)
    return masks, ids
