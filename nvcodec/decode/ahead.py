"""What an iterator gives, made in a thread of its own while the last item is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T], Iterator[T]):
    """The items of an iterator, up to two of them before they are asked for; its errors come where they occurred.

    To be used as a context: the thread ends with it. It is a daemon: a pipe that stays silent must not keep an
    interrupted program from ending.
    """

    def __init__(self, items: Iterator[T], name: str) -> None:
        """name: of the thread."""
        self._items = items
        self._made: queue.Queue[_Item[T] | BaseException] = queue.Queue(1)
        self._abandoned = threading.Event()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def __enter__(self) -> Ahead[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._abandoned.set()

    @property
    def at_hand(self) -> bool:
        """Whether the next item, or the end, comes without waiting."""
        return not self._made.empty()

    def __next__(self) -> T:
        item = self._made.get()
        if isinstance(item, _Item):
            return item.value
        self._made.put(item)  # the end stays the end
        raise item

    def _work(self) -> None:
        try:
            for item in self._items:
                self._hand_over(_Item(item))
                if self._abandoned.is_set():
                    return
            self._hand_over(StopIteration())
        except BaseException as error:
            self._hand_over(error)

    def _hand_over(self, item: _Item[T] | BaseException) -> None:
        while not self._abandoned.is_set():
            try:
                return self._made.put(item, timeout=0.1)
            except queue.Full:
                continue


class _Item(Generic[T]):
    """One item."""

    def __init__(self, value: T) -> None:
        self.value = value
