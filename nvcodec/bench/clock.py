"""A clock that can tell input and output apart from the work between them."""

from __future__ import annotations

import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


def _cpu() -> float:
    """CPU seconds of this process so far, all threads, and of those begun by it that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _peak() -> int:
    """Peak resident memory of this process so far, bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Stopwatch:
    """Runs from when it is made. laps: seconds by name, of what was measured by `part` and `lap`."""

    def __init__(self) -> None:
        self.start_bytes = _peak()
        self._cpu = _cpu()
        self._began = time.perf_counter()
        self.laps: defaultdict[str, float] = defaultdict(float)

    def report(self, *laps: str) -> dict[str, float]:
        """seconds since the start, cpu_seconds of this process in them, start_bytes: peak memory at the start; and
        the laps."""
        seconds, cpu = time.perf_counter() - self._began, _cpu() - self._cpu
        told = {"seconds": seconds, "cpu_seconds": cpu, "start_bytes": self.start_bytes}
        return {**told, **{f"{name}_seconds": self.laps[name] for name in laps}}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Adds the time of a block to a lap."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.laps[name] += time.perf_counter() - began

    def lap(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """The same items; the time that it takes to get them is added to a lap."""
        iterator = iter(items)
        while True:
            with self.part(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item
