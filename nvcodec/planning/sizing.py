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
    """Parameters of a network: of all tensors, those that change from group to group, those that groups may share."""

    total: int
    moving: int
    shareable: int = 0


@dataclass(frozen=True)
class BitCosts:
    """Expected bits per parameter: fresh, of a random-access group; moving and settled, of the two parts after that;
    mask, of one that groups of a window may share, whether they do or not."""

    fresh: float = 9.0
    moving: float = 3.0
    settled: float = 0.4
    mask: float = 0.5


@dataclass(frozen=True)
class Census:
    """How many groups there are of each kind of inheritance: none, previous, window, window and previous; and windows.

    share: the part of the shareable parameters that the groups of a window have in common.
    """

    fresh: int
    inherited: int = 0
    leaders: int = 0
    followers: int = 0
    windows: int = 0
    share: float = 0.0

    @property
    def groups(self) -> int:
        """All of them."""
        return self.fresh + self.inherited + self.leaders + self.followers

    @property
    def random_access(self) -> int:
        """Groups that decode without those before."""
        return self.fresh + self.leaders


def expected_bits(size: Size, census: Census, costs: BitCosts) -> float:
    """Of all residuals and masks of a video."""
    shared = census.share * size.shareable
    moving = costs.moving * size.moving + costs.settled * (size.total - size.moving)
    alone = census.fresh * size.total * costs.fresh + census.inherited * moving
    # Groups that are trained together differ from each other as much as from the initial integers.
    within = (census.leaders + census.followers) * (size.total - shared) * costs.fresh
    return alone + within + census.windows * (shared * costs.fresh + size.shareable * costs.mask)


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
