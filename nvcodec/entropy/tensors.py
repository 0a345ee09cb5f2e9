"""The integer tensors of a group <-> two payloads: the tables section and the symbols section.

All integers of all tensors that are not coded ZERO form one sequence, in tensor order, C order. Each is a symbol under
the table that its tensor's coding gives it (`entropy.codings`, `entropy.tables`). The symbols section:

    for each block of 65536 symbols (the last one may be shorter):   uvarint length, arithmetic coded bytes
    to the end of the section:   for each escape symbol, in order, |v| - K - 1 in an Exp-Golomb code of the plan's order

The escape string is filled with zero bits to whole bytes. With no symbols the section is empty. |v| <= 2**24 - 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvcodec.bitstream import fields
from nvcodec.entropy import arithmetic, codings, tables
from nvcodec.entropy.bits import BitReader, BitWriter
from nvcodec.entropy.choose import choose
from nvcodec.entropy.codings import Classes, Plan, Shape
from nvcodec.limits import MAX_MAGNITUDE

BLOCK = arithmetic.MAX_SYMBOLS  # symbols in a block


@dataclass(frozen=True, eq=False)
class IntegerTensor:
    """int32 values of any shape, |v| <= limits.MAX_MAGNITUDE, and optionally the context class of each, uint8."""

    values: NDArray[np.int32]
    context: Classes | None = None

    def __post_init__(self) -> None:
        assert self.values.dtype == np.int32
        assert not self.values.size or int(np.abs(self.values.astype(np.int64)).max()) <= MAX_MAGNITUDE
        assert self.context is None or (self.context.dtype == np.uint8 and self.context.shape == self.values.shape)


@dataclass(frozen=True)
class EncodedTensors:
    """The two sections; and of each tensor the coding id and the bits it cost (ideal code length, for reports)."""

    tables: bytes
    symbols: bytes
    codings: tuple[int, ...]
    bits: tuple[float, ...]


def encode_tensors(tensors: Sequence[IntegerTensor]) -> EncodedTensors:
    """Code tensors in the cheapest way found. Deterministic; `decode_tensors` gives the same integers back."""
    plan, bits = _choose(tensors)
    coded = [t for t, p in zip(tensors, plan.tensors, strict=True) if p.coding != codings.ZERO]
    values = np.concatenate([t.values.reshape(-1) for t in coded] or [np.zeros(0, np.int32)])
    numbers = _table_numbers(plan, [t.values.shape for t in tensors], [t.context for t in tensors])
    rows, row_index = _tables_in_use(numbers, plan.k_max)
    symbols = (np.clip(values, -plan.k_max - 1, plan.k_max + 1) + plan.k_max + 1).astype(np.int16)
    out = bytearray()
    for start in range(0, len(symbols), BLOCK):
        block = arithmetic.encode(symbols[start : start + BLOCK], rows, row_index[start : start + BLOCK])
        out += fields.uvarint(len(block)) + block
    escapes = BitWriter()
    magnitudes = np.abs(values)
    for magnitude in magnitudes[magnitudes > plan.k_max].tolist():
        escapes.exp_golomb(magnitude - plan.k_max - 1, plan.escape_order)
    out += escapes.getvalue()
    return EncodedTensors(codings.write_plan(plan), bytes(out), tuple(p.coding for p in plan.tensors), tuple(bits))


def decode_tensors(
    shapes: Sequence[Shape], contexts: Sequence[Classes | None], tables_section: bytes, symbols_section: bytes
) -> list[NDArray[np.int32]]:
    """The int32 tensors that `encode_tensors` coded, given their shapes and context classes.

    What is allocated follows from the shapes, which the caller has checked against the limits, never from the payload.
    Raises MalformedError where a section is not what an encoder writes, FeatureError for an unknown coding id.
    """
    shapes = [tuple(shape) for shape in shapes]
    plan = codings.read_plan(tables_section, shapes, contexts)
    numbers = _table_numbers(plan, shapes, contexts)
    rows, row_index = _tables_in_use(numbers, plan.k_max)
    values = np.empty(len(numbers), np.int32)
    cursor = fields.Cursor(symbols_section, "symbols section")
    blocks = [values[start : start + BLOCK] for start in range(0, len(values), BLOCK)]
    for number, block in enumerate(blocks):
        data = cursor.take(cursor.uvarint("block length"), "block")
        symbols = arithmetic.decode(data, rows, row_index[number * BLOCK : number * BLOCK + BLOCK])
        np.subtract(symbols, plan.k_max + 1, out=block, dtype=np.int32)
    escapes = BitReader(cursor.take(cursor.remaining, "escapes"), "escapes")
    for block in blocks:
        for at in np.flatnonzero(np.abs(block) > plan.k_max).tolist():
            beyond = escapes.exp_golomb(plan.escape_order, MAX_MAGNITUDE - plan.k_max - 1)
            block[at] += beyond if block[at] > 0 else -beyond
    escapes.finish()
    return _cut(values, plan, shapes)


def code_length(tensors: Sequence[IntegerTensor]) -> float:
    """Bits of the two sections together, without coding: within a few bytes a block of what `encode_tensors` writes."""
    plan, bits = _choose(tensors)
    count = sum(t.values.size for t, p in zip(tensors, plan.tensors, strict=True) if p.coding != codings.ZERO)
    blocks = -(-count // BLOCK)
    # A block: 2 bits to end the stream, 4 of padding on average, its length; a string of bits: 4 of padding.
    length = len(fields.uvarint(int(sum(bits) / 8 / max(blocks, 1)))) * 8
    return 8 + sum(bits) + blocks * (2 + 4 + length) + 4


def _choose(tensors: Sequence[IntegerTensor]) -> tuple[Plan, list[float]]:
    return choose([t.values for t in tensors], [t.context for t in tensors])


def _table_numbers(plan: Plan, shapes: Sequence[Shape], contexts: Sequence[Classes | None]) -> NDArray[np.uint16]:
    """The table of every symbol of the sequence."""
    parts = [codings.table_numbers(p, s, c) for p, s, c in zip(plan.tensors, shapes, contexts, strict=True)]
    return np.concatenate(parts or [np.zeros(0, np.uint16)])


def _tables_in_use(numbers: NDArray[np.uint16], k_max: int) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
    """Cumulative tables (R, L + 1) of the numbers that occur, ascending, and the row of each symbol."""
    used = np.zeros(tables.ZEROS * tables.DECAYS, np.bool_)
    used[numbers] = True
    lookup = (np.cumsum(used) - 1).astype(np.uint16)
    present = np.flatnonzero(used)
    return tables.cdf_rows(present // tables.DECAYS, present % tables.DECAYS, k_max), lookup[numbers]


def _cut(values: NDArray[np.int32], plan: Plan, shapes: Sequence[Shape]) -> list[NDArray[np.int32]]:
    """The sequence as tensors; those coded ZERO are filled in."""
    out, at = [], 0
    for tensor, shape in zip(plan.tensors, shapes, strict=True):
        size = math.prod(shape)
        if tensor.coding == codings.ZERO:
            out.append(np.zeros(shape, np.int32))
        else:
            out.append(values[at : at + size].reshape(shape))
            at += size
    assert at == len(values)
    return out
