"""All plots of a results file (`bench.results`), by name; each is drawn when it is asked for.

    rd_METRIC_CLIP             quality over rate, for each metric
    per_frame_METRIC_CLIP      quality and bits of each frame, at one rate
    speed_METRIC_CLIP          quality over encoding speed, at one rate
    bytes_CLIP                 where the bytes of our files went
    knobs_METRIC_CLIP          what our options do, one varied at a time (NIRVANA's Figure 5)
    motion_CODEC_at_LAMBDA     bits against motion, ours with one setting on several clips (NIRVANA's Figure 3)

CLIP is a clip's name with its size, and intra period if it has one. All plots of a file draw a series in the same way.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from nvcodec.bench import figures
from nvcodec.bench.figures import Curve, FrameSeries, drawn
from nvcodec.bench.series import (
    OURS,
    Clip,
    Row,
    check,
    clips_of,
    get,
    inherited_bpp,
    nearest,
    number,
    ours,
    reference_of,
    safe,
)
from nvcodec.bench.style import Build

Named = Iterator[tuple[str, Build]]
Setting = tuple[tuple[str, str], ...]

METRICS = ("psnr_rgb", "psnr_y", "ms_ssim_rgb", "vmaf")
KNOBS = ("patch", "group", "steps")  # Figure 5's panels after that of lambda; other options follow by name
MOST_BARS = 12  # of files in one plot; beyond, one of each series
_COMMON = ("preset", "device", "threads", "seed")


def plots_of(
    results: Mapping[str, Any], metrics: Sequence[str] = METRICS, bpp: float | None = None
) -> dict[str, Build]:
    """Name -> build, for everything that the rows have the numbers for.

    metrics: of R-D curves; other plots show the first of them that they can. bpp: where plots at one rate look, by
    default `Clip.median_rate` of each. SourceError where a row lacks what every row has.
    """
    check(results["rows"])
    clips = clips_of(results["rows"])
    plots: dict[str, Build] = {}
    for clip in clips:
        rate = bpp or clip.median_rate()
        for named in (
            _rate_distortion(clip, metrics),
            _per_frame(clip, metrics, rate),
            _speed(clip, metrics, rate),
            _bytes(clip, rate),
            _knobs(clip, metrics),
        ):
            plots.update(named)
    plots.update(_motion(clips))
    return plots


def rd_curves(clip: Clip, metric: str) -> list[Curve]:
    """A curve for each series of the file, in its order; one without points where the clip has none of it."""
    return [
        Curve(name, tuple(row["bpp"] for row in rows), tuple(number(row.get(metric)) for row in rows))
        for name, rows in clip.series.items()
    ]


def interpolated(points: Sequence[tuple[float, float]], rate: float) -> float | None:
    """The value at a rate, between two neighbours of (rate, value), linear in log rate; None outside of them all."""
    points = sorted(points)
    rates = [point[0] for point in points]
    place = bisect_left(rates, rate)
    if place == len(points) or (place == 0 and rates[0] != rate):
        return None
    high, after = points[place]
    if high == rate:
        return after
    low, before = points[place - 1]
    return before + (after - before) * math.log(rate / low) / math.log(high / low)


def _rate_distortion(clip: Clip, metrics: Sequence[str]) -> Named:
    for metric in metrics:
        if any(_has(row, metric) for row in clip.rows):
            title = f"{clip.title}: {_short(metric)} over rate"
            yield f"rd_{metric}_{clip.name}", partial(figures.rate_distortion, rd_curves(clip, metric), metric, title)


def _per_frame(clip: Clip, metrics: Sequence[str], rate: float) -> Named:
    for metric in metrics:
        chosen = {
            name: nearest([row for row in rows if get(row, f"per_frame.{metric}")], rate)
            for name, rows in clip.series.items()
        }
        if any(chosen.values()):
            series = [_frame_series(name, row, metric) for name, row in chosen.items()]
            title = f"{clip.title}: {_short(metric)} and bits of each frame, near {rate:.3g} bpp"
            yield f"per_frame_{metric}_{clip.name}", partial(figures.per_frame, series, title, metric=metric)
            return


def _frame_series(name: str, row: Row | None, metric: str) -> FrameSeries:
    if row is None:
        return FrameSeries(name, (), None)
    sizes = get(row, "per_frame.bytes")
    starts = [group["first_frame"] for group in row.get("groups") or () if group["random_access"]]
    return FrameSeries(
        f"{name}, {row['bpp']:.3f} bpp",
        tuple(map(number, row["per_frame"][metric])),
        tuple(None if size is None else 8 * size for size in map(number, sizes)) if sizes else None,
        tuple(starts),
    )


def _speed(clip: Clip, metrics: Sequence[str], rate: float) -> Named:
    for metric in metrics:
        points = [_speed_point(name, rows, metric, rate) for name, rows in clip.series.items()]
        if any(point[2] is not None for point in points):
            axes = ("encoding speed, pixels per second (log scale)", figures.METRICS.get(metric, metric))
            title = f"{clip.title}: {_short(metric)} over encoding speed at {rate:.3g} bpp, interpolated in log rate"
            yield f"speed_{metric}_{clip.name}", partial(figures.speed_quality, points, *axes, title)
            return


def _speed_point(name: str, rows: Sequence[Row], metric: str, rate: float) -> tuple[str, float | None, float | None]:
    """(label, pixels per second, value); a label that says why where there is none, none where nothing was measured."""
    measured = [row for row in rows if _has(row, metric)]
    timed = [row for row in measured if (number(get(row, "encode.px_per_s")) or 0) > 0]
    if not timed:
        return (f"{name}: not timed" if measured else "", None, None)
    value = interpolated([(row["bpp"], drawn(metric, row[metric])) for row in timed], rate)
    if value is None:
        ends = dict.fromkeys(f"{pick(row['bpp'] for row in timed):.3g}" for pick in (min, max))
        return (f"{name}: measured at {' to '.join(ends)} bpp", None, None)
    speed = interpolated([(row["bpp"], math.log(row["encode"]["px_per_s"])) for row in timed], rate)
    assert speed is not None, "the rates are those of the values"
    return name, math.exp(speed), value


def _bytes(clip: Clip, rate: float) -> Named:
    series = {name: [row for row in rows if row.get("usage")] for name, rows in clip.series.items()}
    if sum(map(len, series.values())) > MOST_BARS:
        series = {name: [row for row in (nearest(rows, rate),) if row] for name, rows in series.items()}
    files = [(f"{name}, {row['bpp']:.3f} bpp", row["usage"]) for name, rows in series.items() for row in rows]
    if files:
        title = f"{clip.title}: bytes of files by kind"
        yield f"bytes_{clip.name}", partial(figures.bytes_by_kind, files, title)


def _knobs(clip: Clip, metrics: Sequence[str]) -> Named:
    for metric in metrics:
        rows = [row for row in clip.rows if ours(row) and _has(row, metric)]
        panels = knob_panels(rows, metric)
        if panels:
            presets = {str(row["codec"].get("preset")) for row in rows}
            title = f"{clip.title}: options of {OURS} {presets.pop() if len(presets) == 1 else ''}".rstrip()
            yield f"knobs_{metric}_{clip.name}", partial(figures.knobs, panels, metric, title)
            return


def knob_panels(rows: Sequence[Row], metric: str) -> list[tuple[str, list[Curve]]]:
    """A panel for each option that rows vary while all others stay: (what it shows, a curve for each value).

    Of the settings of the other options it takes that with the most values. Before them is lambda, at the setting at
    which most were measured. Nothing where no option was varied.
    """
    present = {name for row in rows for name in _settings(row) if name not in _COMMON}
    panels = []
    for option in sorted(present, key=lambda name: (KNOBS.index(name) if name in KNOBS else len(KNOBS), name)):
        rest, values = _richest((_without(row, option), _settings(row).get(option, ""), row) for row in rows)
        if len(values) > 1:
            named = [(f"{option} {value or 'of the preset'}", values[value]) for value in sorted(values, key=_numeric)]
            panels.append((f"{option}{_with(rest)}", [_knob_curve(label, found, metric) for label, found in named]))
    asked = [row for row in rows if row.get("quality") is not None]
    if panels and asked:
        base, lambdas = _richest((_without(row, ""), row["quality"], row) for row in asked)
        found = [row for same in lambdas.values() for row in same]
        curve = _knob_curve("lambda, at each point", found, metric)
        curve = replace(curve, notes=tuple(f"{row['quality']:g}" for row in found))
        panels.insert(0, (f"lambda{_with(base)}", [curve]))
    return panels


def _richest(entries: Iterable[tuple[Setting, Any, Row]]) -> tuple[Setting, dict[Any, list[Row]]]:
    """From (setting, value, row): the setting with the most values, and its rows by value."""
    found: dict[Setting, dict[Any, list[Row]]] = {}
    for setting, value, row in entries:
        found.setdefault(setting, {}).setdefault(value, []).append(row)
    return max(found.items(), key=lambda item: len(item[1]))


def _settings(row: Row) -> dict[str, str]:
    """What a row of ours was made with, but the rate; the two numbers of iterations are one option."""
    options = {name: str(value) for name, value in (row["codec"].get("options") or {}).items()}
    steps = [options.pop(name, "preset") for name in ("steps_first", "steps_next")]
    if steps != ["preset", "preset"]:
        options["steps"] = "/".join(steps)
    common = {"preset": row["codec"].get("preset"), **{name: row.get(name) for name in _COMMON[1:]}}
    return options | {name: str(value) for name, value in common.items()}


def _without(row: Row, option: str) -> Setting:
    return tuple(item for item in sorted(_settings(row).items()) if item[0] != option)


def _with(setting: Setting) -> str:
    """The options among a setting, for a title."""
    options = [f"{name} {value}" for name, value in setting if name not in _COMMON]
    return f" ({', '.join(options)})" if options else ""


def _knob_curve(label: str, rows: Sequence[Row], metric: str) -> Curve:
    return Curve(label, tuple(row["bpp"] for row in rows), tuple(number(row.get(metric)) for row in rows))


def _numeric(value: str) -> tuple[float, str]:
    """Sorts 8 before 16, 75/30 before 150/60, and what is no number first."""
    start = re.match(r"\d+(\.\d*)?", value)
    return (float(start[0]) if start else -1.0, value)


def _motion(clips: Sequence[Clip]) -> Named:
    """For each lambda of each of our series that several clips were encoded with."""
    found: dict[tuple[str, float, int], list[tuple[Row, float]]] = {}
    for name, row in ((name, row) for clip in clips for name, rows in clip.series.items() for row in rows):
        bits = inherited_bpp(row) if ours(row) else None
        if bits is not None and get(row, "rate.kind") == "quality" and get(row, "clip.reference.motion"):
            found.setdefault((name, row["rate"]["value"], row.get("intra_period") or 0), []).append((row, bits))
    for (name, value, intra_period), measured in found.items():
        if len(measured) < 2:
            continue
        points = [
            (reference_of(row).stem, row["clip"]["reference"]["motion"], bits, number(row.get("psnr_rgb")))
            for row, bits in measured
        ]
        sizes = {reference_of(row).size for row, _ in measured}
        title = f"{name}, lambda {value:g}: bits over motion; {sizes.pop() if len(sizes) == 1 else 'several sizes'}"
        ending = f"_intra{intra_period}" if intra_period else ""
        plot = partial(figures.bits_against_motion, points, title)
        yield f"motion_{safe(name)}_at_{safe(f'{value:g}')}{ending}", plot


def _has(row: Row, metric: str) -> bool:
    return not math.isnan(drawn(metric, number(row.get(metric))))


def _short(metric: str) -> str:
    """RGB PSNR, without its unit."""
    return figures.METRICS.get(metric, metric).partition(",")[0]
