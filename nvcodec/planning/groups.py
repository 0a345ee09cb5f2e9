"""Frames to chains and groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from nvcodec.errors import UsageError

T = TypeVar("T")


def chain_ranges(start: int, stop: int, chains: int, group: int) -> list[range]:
    """`chains` disjoint ranges that cover frames start .. stop - 1, borders on multiples of the group size.

    Fewer where there are not enough groups: every chain has at least one. UsageError for an empty range.
    """
    groups = -(-(stop - start) // group)
    if groups <= 0:
        raise UsageError(f"there are no frames {start}:{stop}")
    count = min(chains, groups)
    borders = [start + group * (groups * i // count) for i in range(count)] + [stop]
    return [range(a, b) for a, b in zip(borders, borders[1:], strict=False)]


def grouped(frames: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` frames in order; the last one may be shorter."""
    batch: list[T] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def is_random_access(number_in_chain: int, keyint: int) -> bool:
    """Whether a group starts from scratch: the first of a chain and, for keyint > 0, every keyint-th."""
    return number_in_chain == 0 or (keyint > 0 and number_in_chain % keyint == 0)
