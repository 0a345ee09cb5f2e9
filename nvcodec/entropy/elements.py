"""Which elements of a tensor are coded, and what the coder knows of each: its row, its column, its context class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Shape: TypeAlias = tuple[int, ...]
Classes: TypeAlias = NDArray[np.uint8]
Mask: TypeAlias = NDArray[np.bool_]

_Scalar = TypeVar("_Scalar", bound=np.generic)


def columns_of(shape: Shape) -> int:
    """The number of columns: of all coordinates but the first, in C order. A tensor of rank 1 has one."""
    return math.prod(shape[1:])


@dataclass(frozen=True, eq=False)
class Elements:
    """The elements of a tensor of rank >= 1 that are coded, a sequence in C order.

    context: the class of each element of the tensor, None where there is none. coded: True where an element is coded,
    None for all. Both have the tensor's shape.
    """

    shape: Shape
    context: Classes | None = None
    coded: Mask | None = None

    def __post_init__(self) -> None:
        assert self.context is None or (self.context.dtype == np.uint8 and self.context.shape == self.shape)
        assert self.coded is None or (self.coded.dtype == np.bool_ and self.coded.shape == self.shape)

    @property
    def count(self) -> int:
        """Elements in the sequence."""
        return math.prod(self.shape) if self.coded is None else int(np.count_nonzero(self.coded))

    @property
    def classes(self) -> Classes | None:
        """The context class of each, (count,)."""
        return None if self.context is None else self.take(self.context)

    def take(self, values: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """From a tensor: (count,)."""
        return values.reshape(-1) if self.coded is None else values[self.coded]

    def put(self, values: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """(count,) to a tensor, 0 where nothing is coded."""
        if self.coded is None:
            return values.reshape(self.shape)
        out = np.zeros(self.shape, values.dtype)
        out[self.coded] = values
        return out

    def rows(self) -> NDArray[np.signedinteger[Any]]:
        """The first coordinate of each, (count,)."""
        columns = columns_of(self.shape)
        if self.coded is None:
            return np.repeat(np.arange(self.shape[0]), columns)
        return np.flatnonzero(self.coded) // columns

    def columns(self) -> NDArray[np.signedinteger[Any]]:
        """The column of each, (count,)."""
        columns = columns_of(self.shape)
        if self.coded is None:
            return np.tile(np.arange(columns), self.shape[0])
        return np.flatnonzero(self.coded) % columns


def ranked(lines: NDArray[np.signedinteger[Any]]) -> tuple[NDArray[np.signedinteger[Any]], int]:
    """Numbers of rows or columns, counted among those that occur in `lines`; and how many occur."""
    present = np.bincount(lines) > 0
    return (np.cumsum(present) - 1)[lines], int(np.count_nonzero(present))
