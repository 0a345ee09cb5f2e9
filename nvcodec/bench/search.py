"""Which quality of a codec's own scale gives a bit rate: a few encodes, as a person with a stopwatch would try them."""

from __future__ import annotations

import math
from collections.abc import Callable

from nvcodec.bench.codecs.base import Scale

TOLERANCE = 0.02  # of the rate: nearer than this is near enough
TRIES = 9
HALVING = 6.0  # steps of crf or qp that halve a rate, as a first guess


def find_quality(scale: Scale, target: float, measure: Callable[[float], float]) -> float:
    """The quality whose bpp, by `measure`, is nearest to `target`.

    Bits fall as quality (crf, qp) rises, about exponentially: secants of log bpp, held between the nearest qualities
    that were found too large and too small, on the scale's own steps.
    """
    tried: dict[float, float] = {}
    quality = _on(scale, (scale.low + scale.high) / 2)
    while quality not in tried and len(tried) < TRIES:
        tried[quality] = math.log2(measure(quality) / target)
        if abs(tried[quality]) < math.log2(1 + TOLERANCE):
            break
        quality = _next(scale, tried)
    return min(tried, key=lambda q: abs(tried[q]))


def _on(scale: Scale, quality: float) -> float:
    """The nearest quality that the scale has."""
    steps = round((min(max(quality, scale.low), scale.high) - scale.low) / scale.step)
    return round(scale.low + steps * scale.step, 6)


def _next(scale: Scale, tried: dict[float, float]) -> float:
    """Where to look next: qualities that gave too much are below it, those that gave too little above."""
    over = max((q for q, log in tried.items() if log > 0), default=None)
    under = min((q for q, log in tried.items() if log <= 0), default=None)
    if over is not None and under is not None:
        if under - over <= scale.step * 1.5 or under <= over:
            return over
        a, b = tried[over], tried[under]
        guess = _on(scale, over + (under - over) * a / (a - b))
        return min(max(guess, _on(scale, over + scale.step)), _on(scale, under - scale.step))
    known = over if over is not None else under
    assert known is not None
    others = [q for q in tried if q != known]
    slope = HALVING
    if others:
        near = min(others, key=lambda q: abs(q - known))
        fall = (tried[near] - tried[known]) / (known - near)
        slope = 1.0 / fall if fall > 1e-3 else 2 * HALVING
    step = tried[known] * slope
    return _on(scale, known + math.copysign(max(abs(step) * 1.1, scale.step), step))
