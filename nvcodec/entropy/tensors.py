"""The integer tensors of a group <-> two payloads: the tables section and the symbols section.

All coded integers of all tensors that are not coded ZERO form one sequence, in tensor order, C order. Each is a symbol
under the table that its tensor's coding gives it (`entropy.codings`, `entropy.tables`). The symbols section:

    blocks of symbols, see `entropy.blocks`
    to the end of the section:   for each escape symbol, in order, |v| - K - 1 in an Exp-Golomb code of the plan's order

The escape string is filled with zero bits to whole bytes. With no symbols the section is empty. |v| <= 2**24 - 1. A
tensor without coded elements is in neither section.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvcodec.bitstream import fields
from nvcodec.entropy import codings, tables
from nvcodec.entropy.bits import BitReader, BitWriter
from nvcodec.entropy.blocks import BLOCK, decode_blocks, encode_blocks
from nvcodec.entropy.choose import choose
from nvcodec.entropy.codings import Plan
from nvcodec.entropy.elements import Classes, Elements, Mask, Shape
from nvcodec.limits import MAX_MAGNITUDE

_SLICE = 1 << 16  # values searched for escapes at a time, to bound memory


@dataclass(frozen=True, eq=False)
class IntegerTensor:
    """int32 values of any shape of rank >= 1, |v| <= limits.MAX_MAGNITUDE, and optionally, of the same shape, the
    context class of each, uint8, and where one is coded, None for everywhere; values elsewhere do not matter."""

    values: NDArray[np.int32]
    context: Classes | None = None
    coded: Mask | None = None

    def __post_init__(self) -> None:
        assert self.values.dtype == np.int32
        assert not self.values.size or int(np.abs(self.values.astype(np.int64)).max()) <= MAX_MAGNITUDE

    @property
    def elements(self) -> Elements:
        """All but the values."""
        return Elements(self.values.shape, self.context, self.coded)


@dataclass(frozen=True)
class EncodedTensors:
    """The two sections; and of each tensor the coding id and the bits it cost (ideal code length, for reports).

    A tensor without coded elements counts as ZERO and costs nothing.
    """

    tables: bytes
    symbols: bytes
    codings: tuple[int, ...]
    bits: tuple[float, ...]


def encode_tensors(tensors: Sequence[IntegerTensor]) -> EncodedTensors:
    """Code tensors in the cheapest way found. Deterministic; `decode_tensors` gives the same integers back."""
    present = _present([tensor.elements for tensor in tensors])
    parts = {number: elements.take(tensors[number].values) for number, elements in present.items()}
    plan, costs = choose(list(parts.values()), list(present.values()))
    coded = [part for part, p in zip(parts.values(), plan.tensors, strict=True) if p.coding != codings.ZERO]
    values = np.concatenate(coded or [np.zeros(0, np.int32)])
    rows, row_index = _tables_in_use(_table_numbers(plan, present), plan.k_max)
    symbols = (np.clip(values, -plan.k_max - 1, plan.k_max + 1) + plan.k_max + 1).astype(np.int16)
    out = encode_blocks(symbols, rows, row_index)
    escapes = BitWriter()
    magnitudes = np.abs(values)
    for magnitude in magnitudes[magnitudes > plan.k_max].tolist():
        escapes.exp_golomb(magnitude - plan.k_max - 1, plan.escape_order)
    ids, bits = [codings.ZERO] * len(tensors), [0.0] * len(tensors)
    for number, tensor_plan, cost in zip(present, plan.tensors, costs, strict=True):
        ids[number], bits[number] = tensor_plan.coding, cost
    return EncodedTensors(codings.write_plan(plan), out + escapes.getvalue(), tuple(ids), tuple(bits))


def decode_tensors(
    shapes: Sequence[Shape],
    contexts: Sequence[Classes | None],
    tables_section: bytes,
    symbols_section: bytes,
    coded: Sequence[Mask | None] | None = None,
) -> list[NDArray[np.int32]]:
    """The int32 tensors that `encode_tensors` coded, given their shapes and context classes; 0 where nothing is coded.

    coded: of each tensor where it is coded, None for everywhere. What is allocated follows from the shapes, which the
    caller has checked against the limits, never from the payload. Raises MalformedError where a section is not what an
    encoder writes, FeatureError for an unknown coding id.
    """
    masks = [None] * len(shapes) if coded is None else coded
    tensors = [Elements(tuple(s), c, m) for s, c, m in zip(shapes, contexts, masks, strict=True)]
    present = _present(tensors)
    plan = codings.read_plan(tables_section, list(present.values()))
    rows, row_index = _tables_in_use(_table_numbers(plan, present), plan.k_max)
    cursor = fields.Cursor(symbols_section, "symbols section")
    values = decode_blocks(cursor, rows, row_index).astype(np.int32)
    values -= plan.k_max + 1
    _add_escapes(values, plan, cursor.take(cursor.remaining, "escapes"))
    out = [np.zeros(tensor.shape, np.int32) for tensor in tensors]
    at = 0
    for (number, elements), tensor_plan in zip(present.items(), plan.tensors, strict=True):
        if tensor_plan.coding != codings.ZERO:
            out[number] = elements.put(values[at : at + elements.count])
            at += elements.count
    assert at == len(values)
    return out


def code_length(tensors: Sequence[IntegerTensor]) -> float:
    """Bits of the two sections together, without coding: within a few bytes a block of what `encode_tensors` writes."""
    present = _present([tensor.elements for tensor in tensors])
    plan, bits = choose([e.take(tensors[number].values) for number, e in present.items()], list(present.values()))
    count = sum(e.count for e, p in zip(present.values(), plan.tensors, strict=True) if p.coding != codings.ZERO)
    blocks = -(-count // BLOCK)
    # A block: 2 bits to end the stream, 4 of padding on average, its length; a string of bits: 4 of padding.
    length = len(fields.uvarint(int(sum(bits) / 8 / max(blocks, 1)))) * 8
    return 8 + sum(bits) + blocks * (2 + 4 + length) + 4


def _present(tensors: Sequence[Elements]) -> dict[int, Elements]:
    """The tensors that have coded elements, by their numbers, ascending."""
    return {number: elements for number, elements in enumerate(tensors) if elements.count}


def _table_numbers(plan: Plan, tensors: dict[int, Elements]) -> NDArray[np.uint16]:
    """The table of every symbol of the sequence."""
    parts = [codings.table_numbers(p, elements) for p, elements in zip(plan.tensors, tensors.values(), strict=True)]
    return np.concatenate(parts or [np.zeros(0, np.uint16)])


def _tables_in_use(numbers: NDArray[np.uint16], k_max: int) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
    """Cumulative tables (R, L + 1) of the numbers that occur, ascending, and the row of each symbol."""
    used = np.zeros(tables.ZEROS * tables.DECAYS, np.bool_)
    used[numbers] = True
    lookup = (np.cumsum(used) - 1).astype(np.uint16)
    present = np.flatnonzero(used)
    return tables.cdf_rows(present // tables.DECAYS, present % tables.DECAYS, k_max), lookup[numbers]


def _add_escapes(values: NDArray[np.int32], plan: Plan, data: bytes) -> None:
    """Add to each escape, in place, what lies beyond K."""
    escapes = BitReader(data, "escapes")
    for start in range(0, len(values), _SLICE):
        part = values[start : start + _SLICE]
        for at in np.flatnonzero(np.abs(part) > plan.k_max).tolist():
            beyond = escapes.exp_golomb(plan.escape_order, MAX_MAGNITUDE - plan.k_max - 1)
            part[at] += beyond if part[at] > 0 else -beyond
    escapes.finish()
