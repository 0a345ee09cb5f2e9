"""Tensor codings: which table each integer of a tensor is coded under, and how the decoder is told.

    ZERO     0   every value is 0; nothing is coded
    SINGLE   1   one (z, d) pair for the tensor
    ROWS     2   a scale index for each row: the elements that share the first coordinate
    COLUMNS  3   a scale index for each column: the elements that share all coordinates but the first, in C order
    CONTEXT  4   a (z, d) pair for each context class (`entropy.context`) that occurs, in ascending order
    LIKE     5   the pair of the last tensor before it that is coded SINGLE

Rows, columns and classes are those of the elements that are coded (`entropy.elements`); all others do not exist here,
nor does a tensor without any.

The tables section is one string of bits, most significant first (`entropy.bits`):

    3 bits   K code: K = 1, 3, 7, 15, 31, 63 for 0..5; 6 and 7 are malformed
    5 bits   order of the Exp-Golomb codes of escaped values, 0..23; more is malformed
    then for each tensor, in order:
      3 bits   coding id; 6 and 7 are unknown
      ZERO             how many tensors after it are ZERO, too, and are not told: an Exp-Golomb code of order 0
      SINGLE           z 6 bits, d 6 bits (48..63 malformed)
      ROWS, COLUMNS    tail index 4 bits, then the scales as a list (`entropy.indices`)
      CONTEXT          z 6 bits, d 6 bits for each class

Both sides turn a `Plan` into one table number a symbol by `table_numbers`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvcodec.entropy import tables
from nvcodec.entropy.bits import BitReader, BitWriter
from nvcodec.entropy.elements import Classes, Elements, ranked
from nvcodec.entropy.indices import read_list, write_list
from nvcodec.errors import FeatureError, MalformedError

ZERO, SINGLE, ROWS, COLUMNS, CONTEXT, LIKE = range(6)
MAX_ESCAPE_ORDER = 23


@dataclass(frozen=True)
class TensorPlan:
    """How one tensor is coded: (z, d) `pairs` for SINGLE, LIKE and CONTEXT; `scales`, `tail`, `rice` for ROWS and
    COLUMNS."""

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


def lines(coding: int, elements: Elements) -> tuple[NDArray[np.int64], int]:
    """The scale of each element with ROWS or COLUMNS, (count,), and the number of scales."""
    return ranked(elements.rows() if coding == ROWS else elements.columns())


def write_plan(plan: Plan) -> bytes:
    """The tables section."""
    out = BitWriter()
    out.fixed(plan.k_code, 3)
    out.fixed(plan.escape_order, 5)
    for coding, group in itertools.groupby(plan.tensors, lambda tensor: tensor.coding):
        some = list(group)
        if coding == ZERO:
            out.fixed(ZERO, 3)
            out.exp_golomb(len(some) - 1, 0)
        else:
            for tensor in some:
                _write_tensor_plan(out, tensor)
    return out.getvalue()


def _write_tensor_plan(out: BitWriter, plan: TensorPlan) -> None:
    """The bits of one tensor that is not ZERO."""
    out.fixed(plan.coding, 3)
    for z, d in plan.pairs if plan.coding != LIKE else ():
        out.fixed(z, 6)
        out.fixed(d, 6)
    if plan.coding in (ROWS, COLUMNS):
        out.fixed(plan.tail, 4)
        write_list(out, plan.scales, plan.rice)


def read_plan(data: bytes, tensors: Sequence[Elements]) -> Plan:
    """Parse a tables section for tensors each of which has elements.

    Raises MalformedError for what breaks a rule, FeatureError for a coding id that this release does not know.
    """
    bits = BitReader(data, "tables section")
    k_code = bits.fixed(3)
    if k_code >= len(tables.K_CHOICES):
        raise MalformedError(f"tables section: K code {k_code} is over {len(tables.K_CHOICES) - 1}")
    escape_order = bits.fixed(5)
    if escape_order > MAX_ESCAPE_ORDER:
        raise MalformedError(f"tables section: escape order {escape_order} is over {MAX_ESCAPE_ORDER}")
    plans: list[TensorPlan] = []
    last: TensorPlan | None = None  # that is coded SINGLE
    while len(plans) < len(tensors):
        coding = bits.fixed(3)
        if coding == ZERO:
            plans += [TensorPlan(ZERO)] * (1 + bits.exp_golomb(0, len(tensors) - len(plans) - 1))
        elif coding == LIKE:
            if last is None:
                raise MalformedError("tables section: LIKE coding without a tensor coded SINGLE before")
            plans.append(TensorPlan(LIKE, pairs=last.pairs))
        else:
            plans.append(_read_tensor_plan(bits, coding, tensors[len(plans)]))
            last = plans[-1] if coding == SINGLE else last
    bits.finish()
    return Plan(k_code, escape_order, tuple(plans))


def _read_tensor_plan(bits: BitReader, coding: int, elements: Elements) -> TensorPlan:
    """What follows the id of a tensor that is neither ZERO nor LIKE."""
    if coding > LIKE:
        raise FeatureError(f"tables section: tensor coding {coding} is unknown to this release")
    if coding == SINGLE:
        return TensorPlan(coding, pairs=(_read_pair(bits),))
    if coding == CONTEXT:
        classes = elements.classes
        if classes is None:
            raise MalformedError("tables section: CONTEXT coding of a tensor that has no context")
        return TensorPlan(coding, pairs=tuple(_read_pair(bits) for _ in classes_present(classes)))
    tail = bits.fixed(4)
    scales, rice = read_list(bits, lines(coding, elements)[1], "tables section: scale index")
    return TensorPlan(coding, scales=scales, tail=tail, rice=rice)


def _read_pair(bits: BitReader) -> tuple[int, int]:
    z, d = bits.fixed(6), bits.fixed(6)
    if d >= tables.DECAYS:
        raise MalformedError(f"tables section: decay index {d} is over {tables.DECAYS - 1}")
    return z, d


def table_numbers(plan: TensorPlan, elements: Elements) -> NDArray[np.uint16]:
    """The table z * DECAYS + d of every element of a tensor, (count,), or (0,) for ZERO."""
    if plan.coding == ZERO:
        return np.zeros(0, np.uint16)
    if plan.coding in (SINGLE, LIKE):
        ((z, d),) = plan.pairs
        return np.full(elements.count, z * tables.DECAYS + d, np.uint16)
    if plan.coding == CONTEXT:
        classes = elements.classes
        assert classes is not None
        lookup = np.zeros(256, np.uint16)
        for present, (z, d) in zip(classes_present(classes), plan.pairs, strict=True):
            lookup[present] = z * tables.DECAYS + d
        by_class: NDArray[np.uint16] = lookup[classes]
        return by_class
    zs, ds = tables.scale_pair(np.array(plan.scales), plan.tail)
    by_line: NDArray[np.uint16] = (zs * tables.DECAYS + ds).astype(np.uint16)[lines(plan.coding, elements)[0]]
    return by_line
