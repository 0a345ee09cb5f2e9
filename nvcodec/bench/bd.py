"""Bjontegaard deltas: the mean difference of two rate-quality curves (VCEG-M33), or the reason why there is none.

A curve is refused rather than mended: too few points, or quality that falls while the rate rises, have no delta.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from nvcodec.bench.extras import need
from nvcodec.errors import UsageError
from nvcodec.metrics import ms_ssim_db, ms_ssim_from_db

Point = tuple[float, float]  # (rate, quality)
Row = Mapping[str, Any]

LEAST_POINTS = 4
METRICS = ("psnr_rgb", "psnr_y", "ms_ssim_rgb", "vmaf")  # what results files have deltas of


@dataclass(frozen=True)
class Bd:
    """The test against the anchor.

    rate_percent: mean difference in rate at equal quality, in percent of the anchor's; negative is better.
    quality_delta: mean difference in quality at equal rate, in the metric's unit; positive is better.
    overlap: the qualities (low, high) that both curves cover, over which rates are compared. overlap_share: its length
    over that of the range that either covers; a delta of little overlap says little. points: of anchor and test,
    exact duplicates removed. reason: why one of the deltas is None; None where both are there.
    """

    rate_percent: float | None
    quality_delta: float | None
    overlap: tuple[float, float] | None
    overlap_share: float | None
    points: tuple[int, int]
    reason: str | None


def bd(anchor: Sequence[Point], test: Sequence[Point], method: Literal["akima", "pchip"] = "akima") -> Bd:
    """Compare two curves of (rate > 0, quality), in any order of points.

    Log rates are interpolated over quality, and quality over log rates, and integrated where both curves are. Akima's
    method is the default since a point affects only the curve near it, and it has been found nearest to curves that
    were measured densely (Herglotz et al., arXiv 2304.12852); PCHIP is what the JVET common test conditions use.

    UsageError where the package bjontegaard is needed and not installed.
    """
    if method not in ("akima", "pchip"):
        raise UsageError(f"no interpolation is called {method}: use akima or pchip")
    curves = [sorted({(float(rate), float(quality)) for rate, quality in points}) for points in (anchor, test)]
    nothing = Bd(None, None, None, None, (len(curves[0]), len(curves[1])), None)
    for name, curve in zip(("anchor", "test"), curves, strict=True):
        fault = _fault(name, curve)
        if fault:
            return replace(nothing, reason=fault)
    (rates_a, values_a), (rates_t, values_t) = (tuple(zip(*curve, strict=True)) for curve in curves)
    (common, share), (rates, _) = _overlap(values_a, values_t), _overlap(rates_a, rates_t)
    reasons = []
    if common is None:
        reasons.append(_apart("quality", values_a, values_t))
    if rates is None:
        reasons.append(_apart("rate", rates_a, rates_t))
    found = replace(nothing, overlap=common, overlap_share=share, reason="; ".join(reasons) or None)
    numbers, how = (rates_a, values_a, rates_t, values_t), {"require_matching_points": False, "min_overlap": 0}
    if common is not None:
        found = replace(found, rate_percent=float(need("bjontegaard").bd_rate(*numbers, method, **how)))
    if rates is not None:
        found = replace(found, quality_delta=float(need("bjontegaard").bd_psnr(*numbers, method, **how)))
    return found


def _fault(name: str, curve: list[Point]) -> str | None:
    """What is wrong with a curve, sorted by rate."""
    if any(not math.isfinite(x) for point in curve for x in point):
        return f"the {name} has a value that is not finite"
    if any(rate <= 0 for rate, _ in curve):
        return f"the {name} has a rate that is not positive"
    if len(curve) < LEAST_POINTS:
        return f"the {name} has {len(curve)} of the {LEAST_POINTS} points that are needed"
    for (rate, quality), (next_rate, next_quality) in zip(curve, curve[1:], strict=False):
        if next_rate <= rate or next_quality <= quality:
            where = f"{quality:.6g} at {rate:.6g}, {next_quality:.6g} at {next_rate:.6g}"
            return f"the {name}'s quality does not rise with its rate: {where}"
    return None


def _overlap(a: Sequence[float], b: Sequence[float]) -> tuple[tuple[float, float] | None, float]:
    """What two rising sequences both cover, and its share of what either covers; None where rounding would decide."""
    low, high = max(a[0], b[0]), min(a[-1], b[-1])
    share = (high - low) / (max(a[-1], b[-1]) - min(a[0], b[0]))
    return ((low, high), share) if share > 1e-6 else (None, 0.0)


def _apart(what: str, a: Sequence[float], b: Sequence[float]) -> str:
    """That two rising sequences have nothing in common."""
    return f"no common {what}: {a[0]:.4g} to {a[-1]:.4g} of the anchor, {b[0]:.4g} to {b[-1]:.4g} of the test"


def bd_of_rows(rows: Iterable[Row], anchor: str) -> list[dict[str, Any]]:
    """The "bd" list of a results file: every codec label against the label `anchor`, by clip, intra period and metric.

    Rows of one label at one clip, with the same reference (by its digest) and intra period, are a curve. Rows whose
    metric is missing or infinite are not points of it. MS-SSIM is integrated in decibels, -10 log10(1 - x), in which
    its curves are about as straight as those of PSNR; its overlap is given in MS-SSIM again.
    """
    curves: dict[tuple[str, str, int | None], dict[str, list[Row]]] = {}
    for row in rows:
        place = (row["clip"]["name"], row["clip"]["reference"]["sha256"], row["intra_period"])
        curves.setdefault(place, {}).setdefault(row["codec"]["label"], []).append(row)
    return [
        {
            "clip": name,
            "reference": digest,
            "intra_period": period,
            "metric": metric,
            "anchor": anchor,
            "test": test,
            **_compare(labels.get(anchor, []), labels[test], metric),
        }
        for (name, digest, period), labels in curves.items()
        for metric in METRICS
        for test in labels
        if test != anchor
    ]


def _compare(anchor: list[Row], test: list[Row], metric: str) -> dict[str, Any]:
    """The fields of `Bd` for two lists of rows, as JSON has them."""
    left, right = _curve(anchor, metric), _curve(test, metric)
    try:
        found = bd(left, right)
    except UsageError as error:
        found = Bd(None, None, None, None, (len(set(left)), len(set(right))), str(error))
    lost = len(anchor) + len(test) - len(left) - len(right)
    reason = found.reason
    if reason and lost:
        reason += f"; rows without a finite {metric}: {lost}"
    overlap = found.overlap
    if overlap and metric.startswith("ms_ssim"):
        overlap = (ms_ssim_from_db(overlap[0]), ms_ssim_from_db(overlap[1]))
    return {
        "rate_percent": found.rate_percent,
        "quality_delta": found.quality_delta,
        "overlap": None if overlap is None else list(overlap),
        "overlap_share": found.overlap_share,
        "points": list(found.points),
        "reason": reason,
    }


def _curve(rows: list[Row], metric: str) -> list[Point]:
    """Points that have the metric, MS-SSIM in decibels."""
    points = ((row["bpp"], row.get(metric)) for row in rows)
    known = [(rate, value) for rate, value in points if value is not None]
    if metric.startswith("ms_ssim"):
        known = [(rate, ms_ssim_db(value)) for rate, value in known]
    return [(rate, value) for rate, value in known if math.isfinite(value)]
