"""In which order the frames of a group are coded, and from which others each one is predicted.

The ends of the group come first, then the frame in the middle between them, then each half in the same way. A group
that follows another takes that one's last frame, number -1, for its first end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

CARRIED = -1  # the last frame of the group before


@dataclass(frozen=True)
class Place:
    """A frame of a group: its number, those that it may be predicted from, none, one or two, and how deep it lies."""

    frame: int
    references: tuple[int, ...]
    depth: int


def coding_order(frames: int, carried: bool) -> list[Place]:
    """The `frames` >= 1 frames of a group in coding order. carried: frame -1 is there to predict from."""
    assert frames >= 1
    first, last = (CARRIED if carried else 0), frames - 1
    order = [] if carried else [Place(0, (), 0)]
    if last > first:
        order.append(Place(last, (first,), 1))
    return order + list(_between(first, last, 2))


def _between(a: int, b: int, depth: int) -> Iterator[Place]:
    """All frames between a and b, depth first."""
    if b - a >= 2:
        middle = (a + b) // 2
        yield Place(middle, (a, b), depth)
        yield from _between(a, middle, depth + 1)
        yield from _between(middle, b, depth + 1)
