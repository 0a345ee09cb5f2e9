"""Target bits per pixel -> network width.

The paper's 512-wide network is made for 1080p. Here the width is the largest one whose expected bits fit: a group coded
from scratch pays for every parameter, a group that inherits pays for the part that follows the content. Both costs per
parameter are measured averages (docs/experiments.md); the encoder then steers lambda to what is left of the budget.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MAX_WIDTH = 1024
OPEN_END_GROUPS = 32  # how many groups a stream of unknown length is taken to have


@dataclass(frozen=True)
class Size:
    """Parameters of a network: of all tensors, and of those that change from group to group."""

    total: int
    moving: int


@dataclass(frozen=True)
class BitCosts:
    """Expected bits per parameter: fresh, of a random-access group; moving and settled, of the two parts after that."""

    fresh: float = 9.0
    moving: float = 3.0
    settled: float = 0.4


def expected_bits(size: Size, groups: int, fresh: int, costs: BitCosts) -> float:
    """Of a video of `groups` groups, `fresh` of which are coded from scratch."""
    inherited = size.moving * costs.moving + (size.total - size.moving) * costs.settled
    return fresh * size.total * costs.fresh + (groups - fresh) * inherited


def largest_width(fits: Callable[[int], bool], least: int) -> int:
    """The largest width in least..MAX_WIDTH that fits, as all below it do; `least` where none does."""
    low, high = least, MAX_WIDTH
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low
