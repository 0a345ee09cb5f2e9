"""In which order the frames of a group are coded, and from which others each one is predicted.

The ends of the group come first, then the frame in the middle between them, then each half in the same way. A group
that follows another takes that one's last frame, number -1, for its first end.

    depth:   0, 1: the ends    2: the middle    3: the middle of each half    4: of each quarter    ...

In a group of two halves the frame in the middle is predicted from the first end, and the last one from the middle, as
if each half were a group: for motion that nothing can be predicted over so many frames. Both have depth 1.

A group may be split into 2 or 4 parts: the frames of each half from depth 3 on, or of each quarter from depth 4 on,
which do not refer to those of another part. The frames of lesser depth are in the first part, before all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CARRIED = -1  # the last frame of the group before


@dataclass(frozen=True)
class Place:
    """A frame of a group: its number, those that it may be predicted from, none, one or two, how deep it lies, and
    which of the 2 ** (depth - 2) pieces of the group between frames of lesser depth it is the middle of."""

    frame: int
    references: tuple[int, ...]
    depth: int
    piece: int = 0

    def shared(self, split: int) -> bool:
        """Whether frames of every part may refer to it, of a group of 2 ** split parts."""
        return self.depth < 2 + split

    def part(self, split: int) -> int:
        """To which part it belongs."""
        return 0 if self.shared(split) else self.piece >> self.depth - 2 - split


def coding_order(frames: int, carried: bool, halves: bool = False) -> list[Place]:
    """The `frames` >= 1 frames of a group in coding order.

    carried: frame -1 is there to predict from. halves: the group is two of them, if a frame is between its ends.
    """
    assert frames >= 1
    first, last = (CARRIED if carried else 0), frames - 1
    order = [] if carried else [Place(0, (), 0)]
    if halves and last - first >= 2:
        middle = (first + last) // 2
        order += [Place(middle, (first,), 1), Place(last, (middle,), 1)]
        return [*order, *_between(first, middle, 3, 0), *_between(middle, last, 3, 1)]
    if last > first:
        order.append(Place(last, (first,), 1))
    return order + list(_between(first, last, 2, 0))


def parts(order: Sequence[Place], split: int) -> list[list[int]]:
    """The places of a coding order that each of 2 ** split parts holds, in the order in which it is coded."""
    held: list[list[int]] = [[] for _ in range(1 << split)]
    for number in sorted(range(len(order)), key=lambda number: not order[number].shared(split)):
        held[order[number].part(split)].append(number)
    return held


def _between(a: int, b: int, depth: int, piece: int) -> Iterator[Place]:
    """All frames between a and b, depth first."""
    if b - a >= 2:
        middle = (a + b) // 2
        yield Place(middle, (a, b), depth, piece)
        yield from _between(a, middle, depth + 1, 2 * piece)
        yield from _between(middle, b, depth + 1, 2 * piece + 1)
