"""Which quality index the frames of a group have, so that the file meets its rate or its PSNR."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

from nvcodec.bitstream.frames import QUALITIES
from nvcodec.encode.plan import Decision
from nvcodec.encode.qualities import FINEST, clamped
from nvcodec.encode.report import GroupReport
from nvcodec.planning.sizing import OPEN_END_GROUPS
from nvcodec.training.frames import QUALITIES_PER_OCTAVE, quality_of

INTRA_SLOPE, INTER_SLOPE = 0.75, 1.15  # octaves of bits per octave of steps, about
ALONE_SLOPE = 1.6  # the same, of a group that follows one whose quality stays: a finer one pays for what that one lacks
INTRA_WORTH = 16.0  # inter frames that an intra frame costs as much as, about, until that is known
MEMORY = 0.7  # weight of what was seen before, at most
MISS = 0.02  # of all bits: what a file may be off its rate
TURN = 5  # indices from a group to those after it that are not worth another try
MOST_TURN = 8  # indices from one group to the first try of the next
FILE_END = 64  # bytes of a file after its groups, about

DECIBELS = 2.9 / QUALITIES_PER_OCTAVE  # that an index is worth, about
FLATTEST, STEEPEST = DECIBELS / 4, DECIBELS * 4  # what it is believed to be worth, whatever was measured
FAR = 8  # indices between what reaches a PSNR and what does not, of which the next one tried is in the middle half
SLACK = 0.35  # dB over the PSNR asked for that are not worth another try


class QualityControl:
    """One quality for all groups, as nearly as the target allows: a constant one costs the fewest bits.

    With a rate: a frame at quality q is taken to cost c 2 ** (-slope q / 16) bits, with one c and one slope for intra
    frames, of which there is one in a random-access group and one behind a cut, and others for all others. Each c is
    guessed before the first group, then follows what groups cost; q is what spends the rest of the budget evenly, or
    that of the last group, where it nearly does; below 0 intra frames stay as they are. A group is worth another try
    where those after it, if any, cannot make up for it.
    """

    def __init__(self, decision: Decision, pixels: int, lam: float | None, overhead: int) -> None:
        """pixels: of a frame. overhead: bytes of the file before its groups."""
        self._decision, self._pixels = decision, pixels
        self._spent, self._frames, self._fresh = 8.0 * (overhead + FILE_END), 0, 0
        self._intra, self._inter = 0.0, 0.0  # c, bits
        self._seen = (0, 0)  # groups without intra frames, and with some
        self._quality = clamped(quality_of(lam)) if lam is not None else None

    def quality(self) -> int:
        """Of the next group."""
        if self._decision.bpp is None:
            return clamped(quality_of(None)) if self._quality is None else self._quality
        found = self._nearest(self._quality)
        if self._quality is not None:
            found = min(max(found, self._quality - MOST_TURN), self._quality + MOST_TURN)
        return found

    def guess(self, quality: int, intra: float, inter: float | None = None) -> None:
        """Before the first group, where there is a rate: bits of an intra frame at a quality, and of another one, where
        there is news of that."""
        self._intra = intra / _fall(INTRA_SLOPE, max(quality, 0))
        if inter is not None:
            self._inter = inter / _fall(INTER_SLOPE, quality)
        elif not self._inter:
            self._inter = intra / INTRA_WORTH / _fall(INTER_SLOPE, quality)

    def better(self, report: GroupReport, intra: int) -> tuple[float, int]:
        """Of a group that was tried: by what part of all bits the file would be off with it, and the quality to try it
        at, the same one where no other is worth it. intra: how many intra frames it has."""
        quality, after = _quality_of(report), copy.copy(self)
        after.account(report, intra)
        left = after._left()
        off = max(after._rest(quality + TURN) - left, left - after._rest(quality - TURN), 0.0) / after._budget()
        return off, quality if off <= MISS else after._nearest(quality, report)

    def account(self, report: GroupReport, intra: int) -> None:
        """A group was written. intra: how many intra frames it has."""
        self._quality = _quality_of(report)
        if self._decision.bpp is not None:
            others, alike = self._seen if intra else self._seen[::-1]
            memory = min(alike / (alike + 1), MEMORY)
            change = memory + (1 - memory) * 8.0 * report.size / self._cost(intra, report.frames, self._quality)
            if intra:
                self._intra *= change
            if not intra or not others:
                self._inter *= change
            self._seen = (others, alike + 1) if intra else (alike + 1, others)
        self._spent += 8.0 * report.size
        self._frames += report.frames
        self._fresh += report.random_access

    def _nearest(self, quality: int | None, again: GroupReport | None = None) -> int:
        """The quality nearest to `quality` at which all that is to come meets the budget, or nearly so.

        again: the last group, if it can be had at another quality than that. quality: None for none to be near.
        """
        left, slack = self._left(), 0.0 if quality is None else MISS / 2 * self._budget()

        def missed(q: int) -> float:
            bits = self._rest(q)
            if again:
                slope = INTER_SLOPE if again.random_access else ALONE_SLOPE
                bits += 8.0 * again.size * (_fall(slope, q - _quality_of(again)) - 1)
            return max(abs(bits - left) - slack, 0.0)

        return min(range(FINEST, QUALITIES), key=lambda q: (missed(q), abs(q - (quality or 0))))

    def _cost(self, intra: int, frames: int, quality: int) -> float:
        """Bits of frames of which so many are intra frames, about."""
        inter = (frames - intra) * self._inter
        return intra * self._intra * _fall(INTRA_SLOPE, max(quality, 0)) + inter * _fall(INTER_SLOPE, quality)

    def _ahead(self) -> int:
        """Frames that are to come."""
        d = self._decision
        return OPEN_END_GROUPS * d.group if d.frames is None else d.frames - self._frames

    def _rest(self, quality: int) -> float:
        """Bits of all frames that are to come, about."""
        d = self._decision
        return self._cost(d.census.fresh - (0 if d.frames is None else self._fresh), self._ahead(), quality)

    def _budget(self) -> float:
        """Bits of the file, or of those frames of a stream that are to come."""
        d = self._decision
        assert d.bpp is not None
        return d.bpp * (d.frames or self._ahead()) * self._pixels

    def _left(self) -> float:
        """Bits for all frames that are to come. A stream makes up for what was spent over the next groups."""
        d = self._decision
        assert d.bpp is not None
        return d.bpp * (self._frames + self._ahead()) * self._pixels - self._spent


def next_quality(tried: Mapping[int, float], target: float) -> int | None:
    """The quality to try next on the way to the coarsest one with a PSNR of `target`, None where none is worth it.

    tried: the PSNR of each quality that was tried, one or more.
    """
    reached = [quality for quality, psnr in tried.items() if psnr >= target]
    best = max(reached, default=FINEST - 1)
    missed = [quality for quality in tried if quality > best]
    if reached and tried[best] - target < SLACK:
        return None
    if reached and missed:
        worse = min(missed)
        part = (tried[best] - target) / (tried[best] - tried[worse])
        edge = (worse - best) / 4 if worse - best > FAR else 0  # so that what is not straight does not take many tries
        found = max(best + 1, math.floor(min(max(best + part * (worse - best), best + edge), worse - edge)))
    else:
        edge = best if reached else min(tried)
        far = (tried[edge] - target) / _worth(tried)
        found = clamped(edge + (max(1, math.floor(far)) if reached else math.floor(far)))
    return None if found in tried else found


def _worth(tried: Mapping[int, float]) -> float:
    """dB of an index, as measured between the ends of what was tried."""
    low, high = min(tried), max(tried)
    if low == high:
        return DECIBELS
    return min(max((tried[low] - tried[high]) / (high - low), FLATTEST), STEEPEST)


def _fall(slope: float, quality: int) -> float:
    """What so many indices leave of the bits of a frame, about."""
    return 2 ** (-slope * quality / QUALITIES_PER_OCTAVE)


def _quality_of(report: GroupReport) -> int:
    return round(quality_of(report.lam))
