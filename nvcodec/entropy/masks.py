"""Masks, which elements of each tensor are shared, <-> the mask section.

uvarint  bytes of the header
header   one string of bits: the coding of each tensor, in order (`entropy.mask_codings`)
blocks   of the elements of all tensors that are not NONE or ALL (`entropy.blocks`), to the end of the section
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nvcodec.bitstream.fields import Cursor, uvarint
from nvcodec.entropy.bits import BitReader, BitWriter
from nvcodec.entropy.blocks import decode_blocks, encode_blocks
from nvcodec.entropy.choose_mask import choose_mask
from nvcodec.entropy.elements import Mask, Shape
from nvcodec.entropy.mask_codings import ALL, MaskPlan, cumulative, densities, read_mask_plan, write_mask_plan


def encode_masks(masks: Sequence[Mask]) -> bytes:
    """The mask section of boolean masks of rank >= 1, True for shared, in the cheapest way found. Deterministic."""
    plans = [choose_mask(mask) for mask in masks]
    header = BitWriter()
    for plan in plans:
        write_mask_plan(header, plan)
    head = header.getvalue()
    coded = [mask.reshape(-1) for mask, plan in zip(masks, plans, strict=True) if plan.stored]
    symbols = np.concatenate(coded or [np.zeros(0, np.bool_)]).astype(np.int16)
    numbers = _numbers(plans, [mask.shape for mask in masks])
    return uvarint(len(head)) + head + encode_blocks(symbols, cumulative(), numbers)


def decode_masks(shapes: Sequence[Shape], data: bytes) -> list[Mask]:
    """The masks of these shapes that `encode_masks` coded.

    What is allocated follows from the shapes, which the caller has checked against the limits. Raises MalformedError
    where the section is not what an encoder writes, FeatureError for an unknown coding id.
    """
    cursor = Cursor(data, "mask section")
    bits = BitReader(cursor.take(cursor.uvarint("header length"), "header"), "mask section")
    plans = [read_mask_plan(bits, shape) for shape in shapes]
    bits.finish()
    symbols = decode_blocks(cursor, cumulative(), _numbers(plans, shapes)).astype(np.bool_)
    cursor.done()
    out, at = [], 0
    for plan, shape in zip(plans, shapes, strict=True):
        size = math.prod(shape) if plan.stored else 0
        out.append(symbols[at : at + size].reshape(shape) if plan.stored else np.full(shape, plan.coding == ALL))
        at += size
    assert at == len(symbols)
    return out


def _numbers(plans: Sequence[MaskPlan], shapes: Sequence[Shape]) -> NDArray[np.uint8]:
    """The density index, hence the table, of every element of the sequence."""
    parts = [densities(plan, shape) for plan, shape in zip(plans, shapes, strict=True)]
    return np.concatenate(parts or [np.zeros(0, np.uint8)])
