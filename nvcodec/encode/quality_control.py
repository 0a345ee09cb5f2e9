"""Which quality index the frames of a group have, so that the file meets its rate or its PSNR."""

from __future__ import annotations

import math
from collections.abc import Mapping

from nvcodec.bitstream.frames import QUALITIES
from nvcodec.encode.plan import Decision
from nvcodec.planning.sizing import OPEN_END_GROUPS
from nvcodec.training.frames import QUALITIES_PER_OCTAVE, quality_of

BITS_SLOPE = 1.3  # octaves of bits per octave of steps, about
SLOPES = (0.3, 2.0)  # what it is believed to be, whatever was measured
FAR = 3  # indices between two trials that tell the slope
INTRA_COST = 4.0  # of a random-access group over one that inherits, in frames' worth, until both were seen
MEMORY = 0.5  # weight of what was seen before
MOST_TURN = 8  # indices from one group to the next
FILE_END = 64  # bytes of a file after its groups, about

DECIBELS = 4.5 / QUALITIES_PER_OCTAVE  # that an index is worth, about
FLATTEST, STEEPEST = DECIBELS / 16, DECIBELS * 4  # what it is believed to be worth, whatever was measured
SLACK = 0.35  # dB over the PSNR asked for that are not worth another try


class QualityControl:
    """One quality for all groups, as nearly as the target allows: a constant one costs the fewest bits.

    With a rate: a frame at quality q is taken to cost c 2 ** (-BITS_SLOPE q / 16) bits, with one c in random-access
    groups and one in others; both follow what groups cost, and q is what spends the rest of the budget evenly. Trials
    of the first group say where to begin; once a group is written, nothing else counts but what was written.
    """

    def __init__(self, decision: Decision, pixels: int, lam: float | None, overhead: int) -> None:
        """pixels: of a frame. overhead: bytes of the file before its groups."""
        self._decision, self._pixels = decision, pixels
        self._spent, self._frames, self._fresh = 8.0 * (overhead + FILE_END), 0, 0
        self._costs: dict[bool, float] = {}  # c, bits, of random-access groups and of others, as far as they were seen
        self._slope = BITS_SLOPE
        self._trial: tuple[float, int] | None = None  # bits and quality of the last one
        self._quality = _clamp(quality_of(lam)) if lam is not None else None

    @property
    def asks(self) -> bool:
        """Whether `learn` has to be called before `quality`."""
        return self._decision.bpp is not None and not self._costs

    def quality(self) -> int:
        """Of the next group."""
        if self._decision.bpp is None:
            return _clamp(quality_of(None)) if self._quality is None else self._quality
        budget, bits = self._left()
        found = _clamp(math.log2(max(bits, 1.0) / max(budget, 1.0)) * QUALITIES_PER_OCTAVE / self._slope)
        if self._quality is not None:
            found = min(max(found, self._quality - MOST_TURN), self._quality + MOST_TURN)
        return found

    def learn(self, bits: float, frames: int, fresh: bool, quality: int) -> None:
        """What the first group costs in a trial. The last one counts, and what it differs by from the one before."""
        if self._trial and abs(quality - self._trial[1]) >= FAR:
            fall = math.log2(self._trial[0] / bits) / (quality - self._trial[1])
            self._slope = min(max(fall * QUALITIES_PER_OCTAVE, SLOPES[0]), SLOPES[1])
        self._trial = bits, quality
        self._costs = {fresh: self._at_zero(bits / frames, quality)}

    def missed(self, bits: float, frames: int, fresh: bool) -> float:
        """By what part of all that is left a group that was tried is off what there is for it."""
        budget, whole = self._left()
        share = budget * self._cost(fresh) * frames / whole
        return abs(bits - share) / max(budget, 1.0)

    def account(self, size: int, frames: int, fresh: bool, quality: int) -> None:
        """A group was written: its bytes, all counted."""
        if self._frames == 0:
            self._costs, self._slope = {}, BITS_SLOPE
        self._spent += 8.0 * size
        self._frames += frames
        self._fresh += fresh
        self._quality = quality
        found = self._at_zero(8.0 * size / frames, quality)
        self._costs[fresh] = MEMORY * self._costs.get(fresh, found) + (1 - MEMORY) * found

    def _at_zero(self, bits: float, quality: int) -> float:
        """c of a frame that has these bits at a quality."""
        return bits * 2 ** (self._slope * quality / QUALITIES_PER_OCTAVE)

    def _cost(self, fresh: bool) -> float:
        """c of one of the two kinds of groups."""
        if fresh in self._costs:
            return self._costs[fresh]
        more = 1 + INTRA_COST / self._decision.group
        return self._costs[not fresh] * (more if fresh else 1 / more)

    def _left(self) -> tuple[float, float]:
        """Bits that are left, and what all frames that are to come would cost at quality 0."""
        d = self._decision
        assert d.bpp is not None
        if d.frames is None:  # a stream: make up for what was spent over the next groups
            ahead = OPEN_END_GROUPS * d.group
            debt = self._spent - d.bpp * self._frames * self._pixels
            left, fresh = d.bpp * ahead * self._pixels - debt, d.census.fresh
        else:
            ahead = d.frames - self._frames
            left, fresh = d.bpp * d.frames * self._pixels - self._spent, d.census.fresh - self._fresh
        first = min(fresh * d.group, ahead)
        return left, first * self._cost(True) + (ahead - first) * self._cost(False)


def next_quality(tried: Mapping[int, float], target: float) -> int | None:
    """The quality to try next on the way to the coarsest one with a PSNR of `target`, None where none is worth it.

    tried: the PSNR of each quality that was tried, one or more.
    """
    reached = [quality for quality, psnr in tried.items() if psnr >= target]
    best = max(reached, default=-1)
    missed = [quality for quality in tried if quality > best]
    if reached and tried[best] - target < SLACK:
        return None
    if reached and missed:
        worse = min(missed)
        part = (tried[best] - target) / (tried[best] - tried[worse])
        found = max(best + 1, math.floor(best + part * (worse - best)))
    else:
        edge = best if reached else min(tried)
        far = (tried[edge] - target) / _worth(tried)
        found = _clamp(edge + (max(1, math.floor(far)) if reached else math.floor(far)))
    return None if found in tried else found


def _worth(tried: Mapping[int, float]) -> float:
    """dB of an index, as measured between the ends of what was tried."""
    low, high = min(tried), max(tried)
    if low == high:
        return DECIBELS
    return min(max((tried[low] - tried[high]) / (high - low), FLATTEST), STEEPEST)


def _clamp(quality: float) -> int:
    return min(max(round(quality), 0), QUALITIES - 1)
