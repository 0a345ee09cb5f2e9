"""What was made of tensors, kept while they stay as they are: weights in the order that loops and kernels want."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from weakref import ref

from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class _Entry(Generic[T]):
    first: ref[Tensor]
    others: Sequence[Tensor]  # held, so that no other tensor gets their identity
    state: Hashable
    value: T


class Kept(Generic[T]):
    """One value for each first tensor of those that values are made of, gone when that tensor is.

    A dictionary by tensors would make an object for every question; layers ask hundreds of times a frame.
    """

    def __init__(self) -> None:
        self._entries: dict[int, _Entry[T]] = {}  # by the identity of the first tensor

    def of(self, tensors: Sequence[Tensor], how: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, which depends on `tensors` and on `how` alone.

        It is made each time where the first tensor requires gradients: an optimizer changes such without a trace.
        """
        first, *others = tensors
        key, state = id(first), (how, first._version, *((id(t), t._version) for t in others))
        found = self._entries.get(key)
        if found is not None and found.first() is first and found.state == state:
            return found.value
        value = make()
        if not first.requires_grad:
            gone = ref(first, lambda _: self._entries.pop(key, None))
            self._entries[key] = _Entry(gone, others, state, value)
        return value
