"""Tensor codings: which table each integer of a tensor is coded under, and how the decoder is told.

    ZERO     0   every value is 0; nothing is coded
    SINGLE   1   one (z, d) pair for the tensor
    ROWS     2   a scale index for each row: the elements that share the first coordinate
    COLUMNS  3   a scale index for each column: the elements that share all coordinates but the first, in C order
    CONTEXT  4   a (z, d) pair for each context class (`entropy.context`) that occurs in the tensor, in ascending order

The tables section is one string of bits, most significant first (`entropy.bits`):

    3 bits   K code: K = 1, 3, 7, 15, 31, 63 for 0..5; 6 and 7 are malformed
    5 bits   order of the Exp-Golomb codes of escaped values, 0..23; more is malformed
    then for each tensor, in order:
      3 bits   coding id; 5..7 are unknown
      SINGLE           z 6 bits, d 6 bits (48..63 malformed)
      ROWS, COLUMNS    tail index 4 bits, Rice order 2 bits, the first scale 6 bits, then for each further scale its
                       difference from the one before, zigzag (0, -1, 1, ... -> 0, 1, 2, ...), in a Golomb-Rice code; a
                       scale outside 0..63 is malformed
      CONTEXT          z 6 bits, d 6 bits for each class

A tensor without elements is coded as ZERO. Both sides turn a `Plan` into one table number a symbol by `table_numbers`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nvcodec.entropy import tables
from nvcodec.entropy.bits import BitReader, BitWriter
from nvcodec.errors import FeatureError, MalformedError

ZERO, SINGLE, ROWS, COLUMNS, CONTEXT = range(5)
MAX_ESCAPE_ORDER = 23
MAX_RICE_ORDER = 3
_LARGEST_STEP = 2 * (tables.SCALES - 1)  # zigzag of the largest difference of two scales

Shape: TypeAlias = tuple[int, ...]
Classes: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class TensorPlan:
    """How one tensor is coded: (z, d) `pairs` for SINGLE and CONTEXT; `scales`, `tail`, `rice` for ROWS and COLUMNS."""

    coding: int
    pairs: tuple[tuple[int, int], ...] = ()
    scales: tuple[int, ...] = ()
    tail: int = tables.LAPLACE_TAIL
    rice: int = 0


@dataclass(frozen=True)
class Plan:
    """How all tensors of a group are coded."""

    k_code: int
    escape_order: int
    tensors: tuple[TensorPlan, ...]

    @property
    def k_max(self) -> int:
        """The largest magnitude that has symbols of its own."""
        return tables.K_CHOICES[self.k_code]


def classes_present(classes: Classes) -> list[int]:
    """The context classes that occur, ascending."""
    return [int(c) for c in np.flatnonzero(np.bincount(classes.reshape(-1), minlength=1))]


def scale_count(coding: int, shape: Shape) -> int:
    """Number of scale indices that ROWS or COLUMNS needs for a tensor."""
    return shape[0] if coding == ROWS else math.prod(shape[1:])


def zigzag(difference: int) -> int:
    """0, -1, 1, -2, ... -> 0, 1, 2, 3, ..."""
    return 2 * difference if difference >= 0 else -2 * difference - 1


def write_plan(plan: Plan) -> bytes:
    """The tables section."""
    out = BitWriter()
    out.fixed(plan.k_code, 3)
    out.fixed(plan.escape_order, 5)
    for tensor in plan.tensors:
        write_tensor_plan(out, tensor)
    return out.getvalue()


def write_tensor_plan(out: BitWriter, plan: TensorPlan) -> None:
    """The bits of one tensor in the tables section."""
    out.fixed(plan.coding, 3)
    for z, d in plan.pairs:
        out.fixed(z, 6)
        out.fixed(d, 6)
    if plan.coding in (ROWS, COLUMNS):
        out.fixed(plan.tail, 4)
        out.fixed(plan.rice, 2)
        out.fixed(plan.scales[0], 6)
        for before, scale in zip(plan.scales, plan.scales[1:], strict=False):
            out.rice(zigzag(scale - before), plan.rice)


def read_plan(data: bytes, shapes: Sequence[Shape], contexts: Sequence[Classes | None]) -> Plan:
    """Parse a tables section for tensors of these shapes and context classes.

    Raises MalformedError for what breaks a rule, FeatureError for a coding id that this release does not know.
    """
    bits = BitReader(data, "tables section")
    k_code = bits.fixed(3)
    if k_code >= len(tables.K_CHOICES):
        raise MalformedError(f"tables section: K code {k_code} is over {len(tables.K_CHOICES) - 1}")
    escape_order = bits.fixed(5)
    if escape_order > MAX_ESCAPE_ORDER:
        raise MalformedError(f"tables section: escape order {escape_order} is over {MAX_ESCAPE_ORDER}")
    plans = tuple(_read_tensor_plan(bits, shape, classes) for shape, classes in zip(shapes, contexts, strict=True))
    bits.finish()
    return Plan(k_code, escape_order, plans)


def _read_tensor_plan(bits: BitReader, shape: Shape, classes: Classes | None) -> TensorPlan:
    coding = bits.fixed(3)
    if coding > CONTEXT:
        raise FeatureError(f"tables section: tensor coding {coding} is unknown to this release")
    if coding != ZERO and not math.prod(shape):
        raise MalformedError("tables section: a tensor without elements is not coded as ZERO")
    if coding == SINGLE:
        return TensorPlan(coding, pairs=(_read_pair(bits),))
    if coding == CONTEXT:
        if classes is None:
            raise MalformedError("tables section: CONTEXT coding of a tensor that has no context")
        return TensorPlan(coding, pairs=tuple(_read_pair(bits) for _ in classes_present(classes)))
    if coding == ZERO:
        return TensorPlan(coding)
    tail, rice, scale = bits.fixed(4), bits.fixed(2), bits.fixed(6)
    scales = [scale]
    for _ in range(scale_count(coding, shape) - 1):
        step = bits.rice(rice, _LARGEST_STEP)
        scale += ~(step >> 1) if step & 1 else step >> 1
        if not 0 <= scale < tables.SCALES:
            raise MalformedError(f"tables section: scale index {scale} is outside 0..{tables.SCALES - 1}")
        scales.append(scale)
    return TensorPlan(coding, scales=tuple(scales), tail=tail, rice=rice)


def _read_pair(bits: BitReader) -> tuple[int, int]:
    z, d = bits.fixed(6), bits.fixed(6)
    if d >= tables.DECAYS:
        raise MalformedError(f"tables section: decay index {d} is over {tables.DECAYS - 1}")
    return z, d


def table_numbers(plan: TensorPlan, shape: Shape, classes: Classes | None) -> NDArray[np.uint16]:
    """The table z * DECAYS + d of every symbol of a tensor, in C order: (N,), or (0,) for ZERO."""
    if plan.coding == ZERO:
        return np.zeros(0, np.uint16)
    if plan.coding == SINGLE:
        ((z, d),) = plan.pairs
        return np.full(math.prod(shape), z * tables.DECAYS + d, np.uint16)
    if plan.coding == CONTEXT:
        assert classes is not None and classes.shape == shape
        lookup = np.zeros(256, np.uint16)
        for present, (z, d) in zip(classes_present(classes), plan.pairs, strict=True):
            lookup[present] = z * tables.DECAYS + d
        by_class: NDArray[np.uint16] = lookup[classes.reshape(-1)]
        return by_class
    zs, ds = tables.scale_pair(np.array(plan.scales), plan.tail)
    numbers = (zs * tables.DECAYS + ds).astype(np.uint16)
    columns = math.prod(shape[1:])
    return np.repeat(numbers, columns) if plan.coding == ROWS else np.tile(numbers, shape[0])
