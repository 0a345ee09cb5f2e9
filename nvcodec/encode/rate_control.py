"""What a group may cost, so that the file meets its target; and the lambda that did it last."""

from __future__ import annotations

from nvcodec.encode.plan import FILE_OVERHEAD, GROUP_OVERHEAD, Decision
from nvcodec.planning.sizing import OPEN_END_GROUPS

LEAST_SHARE = 0.2  # of the average: no group gets less
MOST_SHARE = 2.0  # nor, if it inherits, more: what is left at the end of a video is not worth spending on a few frames
SMOOTHING_GROUPS = 8  # over how many groups a stream of unknown length makes up for what was spent


class RateControl:
    """Budgets in bits. With no target every budget is None and lambda stays.

    lam: the lambda that was asked for, None for the preset's to start from. Where groups inherit from each other, a
    random-access group may cost what the sizing expected of it, and the others share what is left evenly. Where none
    does, all groups and windows share it evenly.
    """

    def __init__(self, decision: Decision, pixels: int, lam: float | None) -> None:
        self._decision = decision
        self._pixels = pixels
        self._spent = 8.0 * FILE_OVERHEAD
        self._granted = 0.0
        self._frames = 0
        self._fresh_done = 0
        t = decision.training
        self._lam = {True: t.lam, False: t.lam_next} if lam is None else {True: lam, False: lam}
        self._fresh_bits = decision.fresh_bits

    def lam(self, fresh: bool) -> float:
        """Where lambda starts for a group: where the last one of its kind left it."""
        return self._lam[fresh]

    def budget(self, frames: int, groups: int, fresh: bool) -> float | None:
        """Bits for the residuals of the next group, or of the next window of `groups` groups, of `frames` frames.

        fresh: it begins with a random-access group.
        """
        d = self._decision
        if d.bpp is None:
            return None
        overhead = 8.0 * GROUP_OVERHEAD * groups
        share = d.bpp * frames * self._pixels - overhead
        chained = d.census.inherited > 0
        if fresh and chained:
            return max(self._fresh_bits, LEAST_SHARE * share)
        if d.frames is None:
            group = d.group * groups
            horizon = OPEN_END_GROUPS * d.group
            debt = self._spent - d.bpp * self._frames * self._pixels
            ahead = SMOOTHING_GROUPS if self._frames > horizon else max((horizon - self._frames) // group, 1)
            return _within(share - debt / ahead, share)
        left = d.bpp * d.frames * self._pixels - self._spent
        rest = d.frames - self._frames
        if chained:
            reserved = d.census.fresh - self._fresh_done
            left -= reserved * self._fresh_bits
            rest -= reserved * d.group
        return _within(left * frames / max(rest, frames) - overhead, share)

    def account(self, frames: int, fresh: bool, size: int, lam: float) -> None:
        """A group or a window was written: its bytes, all counted, and the lambda at its end."""
        self._spent += 8.0 * size
        self._frames += frames
        self._fresh_done += fresh
        if self._decision.bpp is not None:
            self._lam[fresh] = (self._lam[fresh] * lam) ** 0.5


def _within(budget: float, share: float) -> float:
    return min(max(budget, LEAST_SHARE * share), MOST_SHARE * share)
