"""What a group may cost, so that the file meets its target; and the lambda that did it last."""

from __future__ import annotations

from nvcodec.encode.plan import FILE_OVERHEAD, GROUP_OVERHEAD, Decision
from nvcodec.planning.sizing import OPEN_END_GROUPS

LEAST_SHARE = 0.2  # of the average: no group gets less
MOST_SHARE = 2.0  # nor, if it inherits, more: what is left at the end of a video is not worth spending on a few frames
SMOOTHING_GROUPS = 8  # over how many groups a stream of unknown length makes up for what was spent


class RateControl:
    """Budgets in bits. With no target every budget is None and lambda stays.

    lam: the lambda that was asked for, None for the preset's to start from. A random-access group may cost what the
    sizing expected of it; the others share what is left evenly.
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

    def budget(self, frames: int, fresh: bool) -> float | None:
        """Bits for the residuals of the next group, of `frames` frames."""
        bpp = self._decision.bpp
        if bpp is None:
            return None
        overhead = 8.0 * GROUP_OVERHEAD
        share = bpp * frames * self._pixels - overhead
        if fresh:
            only = self._decision.groups is not None and self._decision.groups == self._decision.fresh
            return max(share if only else self._fresh_bits, LEAST_SHARE * share)
        d = self._decision
        if d.frames is None:
            group = d.group
            horizon = OPEN_END_GROUPS * group
            debt = self._spent - bpp * self._frames * self._pixels
            groups = SMOOTHING_GROUPS if self._frames > horizon else max((horizon - self._frames) // group, 1)
            return _within(share - debt / groups, share)
        left = bpp * d.frames * self._pixels - self._spent
        left -= ((d.fresh or 1) - self._fresh_done) * self._fresh_bits
        rest = d.frames - self._frames - ((d.fresh or 1) - self._fresh_done) * d.group
        return _within(left * frames / max(rest, frames) - overhead, share)

    def account(self, frames: int, fresh: bool, size: int, lam: float) -> None:
        """A group was written: its bytes, all counted, and the lambda at its end."""
        self._spent += 8.0 * size
        self._frames += frames
        self._fresh_done += fresh
        if self._decision.bpp is not None:
            self._lam[fresh] = (self._lam[fresh] * lam) ** 0.5


def _within(budget: float, share: float) -> float:
    return min(max(budget, LEAST_SHARE * share), MOST_SHARE * share)
