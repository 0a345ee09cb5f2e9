"""Plots from numbers: each function is given what to draw and a theme, and returns a matplotlib Figure.

Everything is drawn as it was given: no smoothing, no interpolation. None, infinite and undefined values, and rates of
zero, are left out of lines. A series with nothing to draw keeps its place in the order of colours, markers and dashes,
so that plots with one order of codecs agree in how they draw each; it is not in the legend. Legends stand beside the
axes, never over points. `bench.style` turns figures into files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nvcodec.bench.extras import need
from nvcodec.bench.style import (
    SMALL,
    TEXT,
    Theme,
    fold,
    legend_beside,
    legend_style,
    log_scale,
    new_figure,
    pen,
)
from nvcodec.metrics import ms_ssim_db

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRICS = {
    "psnr_rgb": "RGB PSNR, dB (mean over frames)",
    "psnr_y": "Y PSNR, dB (mean over frames)",
    "psnr_u": "U PSNR, dB (mean over frames)",
    "psnr_v": "V PSNR, dB (mean over frames)",
    "psnr_rgb_of_mean_error": "RGB PSNR of the mean error, dB",
    "psnr_y_of_mean_error": "Y PSNR of the mean error, dB",
    "psnr_u_of_mean_error": "U PSNR of the mean error, dB",
    "psnr_v_of_mean_error": "V PSNR of the mean error, dB",
    "ms_ssim_rgb": "RGB MS-SSIM, dB: −10 log10(1 − x)",
    "ms_ssim_y": "Y MS-SSIM, dB: −10 log10(1 − x)",
    "vmaf": "VMAF v0.6.1, 0 to 100",
}
"""What an axis says of each metric."""

RATE = "bits per pixel, whole file (log scale)"
SMALL_SHARE = 0.01  # of a file's bytes: kinds that stay under it in every file are drawn as one
MOST_KINDS = 7
Number = float | None


@dataclass(frozen=True)
class Curve:
    """One codec at several rates. values: the metric in its own unit, MS-SSIM as 0..1. notes: a text at each point."""

    label: str
    bpp: tuple[Number, ...]
    values: tuple[Number, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FrameSeries:
    """One codec frame by frame. psnr: the metric that is drawn. bits: of each frame, None where they are not known.
    starts: first frames of random-access groups."""

    label: str
    psnr: tuple[Number, ...]
    bits: tuple[Number, ...] | None
    starts: tuple[int, ...] = ()


def drawn(metric: str, value: Number) -> float:
    """A value as axes have it: MS-SSIM in dB, and NaN for what cannot be drawn."""
    if value is None or not math.isfinite(value):
        return math.nan
    shown = ms_ssim_db(value) if metric.startswith("ms_ssim") else value
    return shown if math.isfinite(shown) else math.nan


def rate_distortion(curves: Sequence[Curve], metric: str, title: str, theme: Theme) -> Figure:
    """Quality over rate, a line for each codec. The legend has the order of the lines' right ends."""
    figure, (axes,) = new_figure(theme, title)
    ends = _curves(axes, curves, metric, theme)
    legend_beside(figure, theme, [line for _, line in sorted(ends, key=lambda end: -end[0])])
    return figure


def knobs(panels: Sequence[tuple[str, Sequence[Curve]]], metric: str, title: str, theme: Theme) -> Figure:
    """R-D curves in panels, two in a row: (what the panel varies, a curve for each of its values)."""
    assert panels, "something was varied"
    rows, columns = math.ceil(len(panels) / 2), min(2, len(panels))
    figure, axes = new_figure(theme, title, 6.0 * columns, 4.3 * rows + 0.4, rows, columns)
    for place, (name, curves) in zip(axes, panels, strict=False):
        place.set_title(name, loc="left", fontsize=TEXT, color=theme.ink)
        place.margins(y=0.12)
        lines = [line for _, line in _curves(place, curves, metric, theme)]
        if lines:
            place.legend(handles=lines, loc="upper left", bbox_to_anchor=(1.0, 1.02), **legend_style(theme))
    for place in axes[len(panels) :]:
        place.remove()
    return figure


def per_frame(series: Sequence[FrameSeries], title: str, theme: Theme, metric: str = "psnr_rgb") -> Figure:
    """Quality, and below it bits, over frames; a stroke across a line is a random-access point."""
    known = any(one.bits is not None for one in series)
    figure, axes = new_figure(theme, title, height=6.6 if known else 4.6, rows=1 + known, share=True)
    entries = []
    for number, one in enumerate(series):
        rows = [[drawn(metric, value) for value in one.psnr], _kbit(one)]
        lines = [_frames(place, ys, one, number, theme) for place, ys in zip(axes, rows, strict=False)]
        entries += [line for line in lines if line][:1]
    if entries and any(one.starts for one in series):
        entries.append(_entry("random-access point", marker="|", markersize=12, markeredgewidth=2, color=theme.ink))
    axes[0].set_ylabel(METRICS.get(metric, metric).replace(" (mean over frames)", ""))
    if known:
        axes[1].set_ylabel("kbit per frame (log scale)")
        log_scale(axes[1].yaxis, [value for one in series for value in _kbit(one)])
    axes[-1].set_xlabel("frame")
    axes[-1].xaxis.set_major_locator(need("matplotlib.ticker").MaxNLocator(integer=True))
    legend_beside(figure, theme, entries)
    return figure


def bytes_by_kind(files: Sequence[tuple[str, Mapping[str, int]]], title: str, theme: Theme) -> Figure:
    """A bar for each file, its bytes by kind in percent. The label has the total: the sum of all kinds."""
    kinds, shares = _shares([sizes for _, sizes in files])
    labels = [f"{fold(label)}\n{sum(sizes.values()):,} bytes" for label, sizes in files]
    lines = max(label.count("\n") + 1 for label in labels)
    figure, (axes,) = new_figure(theme, title, width=8.6, height=1.4 + max(0.62, 0.19 * lines + 0.12) * len(files))
    left, bars, places = [0.0] * len(files), [], range(len(files))
    for number, kind in enumerate(kinds):
        how, mine = pen(theme, number), [100 * share[kind] for share in shares]
        bars.append(axes.barh(places, mine, 0.62, left, color=how.colour, hatch=how.hatch, edgecolor=theme.ground,
                              linewidth=0.8, label=kind))  # fmt: skip
        for place, start, width in zip(places, left, mine, strict=True):
            if width >= 7:
                axes.text(start + width / 2, place, f"{width:.1f}%", ha="center", va="center", fontsize=SMALL,
                          color=theme.ink, bbox={"facecolor": theme.ground, "edgecolor": "none", "pad": 2})  # fmt: skip
        left = [a + b for a, b in zip(left, mine, strict=True)]
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the file's bytes, %")
    axes.grid(visible=False, axis="y")
    legend_beside(figure, theme, bars)
    return figure


def speed_quality(
    points: Sequence[tuple[str, Number, Number]], xlabel: str, ylabel: str, title: str, theme: Theme
) -> Figure:
    """Points (label, pixels per second, value in the unit of `ylabel`), x in log scale. One without a speed or a value
    is in the legend all the same, without a marker, so that its label can say why; without a label it is not."""
    figure, (axes,) = new_figure(theme, title)
    lines, speeds = [], []
    for number, (label, speed, value) in enumerate(points):
        x, y = _positive(speed), drawn("", value)
        if math.isnan(x) or math.isnan(y):
            lines += [_entry(label)] if label else []
            continue
        lines.append(_point(axes, x, y, label, number, theme))
        speeds.append(x)
    log_scale(axes.xaxis, speeds)
    axes.margins(y=0.12)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    legend_beside(figure, theme, lines)
    return figure


def bits_against_motion(points: Sequence[tuple[str, Number, Number, Number]], title: str, theme: Theme) -> Figure:
    """NIRVANA's Figure 3: points (clip, mean squared difference of consecutive frames, bits per pixel of groups that
    inherit, RGB PSNR), motion in log scale."""
    figure, (axes,) = new_figure(theme, title)
    lines, motions = [], []
    for number, (clip, motion, bpp, psnr) in enumerate(points):
        x, y, quality = _positive(motion), drawn("", bpp), drawn("", psnr)
        if math.isnan(x) or math.isnan(y):
            continue
        label = clip if math.isnan(quality) else f"{clip}: {quality:.1f} dB RGB"
        lines.append(_point(axes, x, y, label, number, theme))
        motions.append(x)
    log_scale(axes.xaxis, motions)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("mean squared difference of consecutive frames, RGB in 0..1 (log scale)")
    axes.set_ylabel("bits per pixel, groups that inherit")
    legend_beside(figure, theme, lines)
    return figure


def _point(axes: Axes, x: float, y: float, label: str, number: int, theme: Theme) -> Any:
    how = pen(theme, number)
    return axes.plot([x], [y], linestyle="", marker=how.marker, color=how.colour, markersize=9, label=label)[0]


def _curves(axes: Axes, curves: Sequence[Curve], metric: str, theme: Theme) -> list[tuple[float, Any]]:
    """Draws all, with the axes' names and limits; returns (last value, line) of each that has a point."""
    found, rates = [], []
    for number, curve in enumerate(curves):
        both = zip(curve.bpp, curve.values, curve.notes or [""] * len(curve.bpp), strict=True)
        points = [(_positive(rate), drawn(metric, value), note) for rate, value, note in both]
        points = sorted(point for point in points if not (math.isnan(point[0]) or math.isnan(point[1])))
        if not points:
            continue
        how = pen(theme, number)
        x, y = [point[0] for point in points], [point[1] for point in points]
        found.append((y[-1], axes.plot(
            x, y, linestyle=how.dash, color=how.colour, marker=how.marker, markersize=7, markeredgecolor=theme.ground,
            markeredgewidth=0.8, linewidth=1.8, label=curve.label, zorder=3)[0]))  # fmt: skip
        for rate, value, note in points:
            axes.annotate(note, (rate, value), (6, -5), textcoords="offset points", va="top", fontsize=SMALL,
                          color=theme.ink)  # fmt: skip
        rates += x
    log_scale(axes.xaxis, rates)
    axes.set_xlabel(RATE)
    axes.set_ylabel(METRICS.get(metric, metric))
    return found


def _frames(axes: Axes, ys: list[float], one: FrameSeries, number: int, theme: Theme) -> Any:
    """One series over frames, its markers not at the frames of the next one's; None where it has nothing to draw."""
    if all(math.isnan(y) for y in ys):
        return None
    how = pen(theme, number)
    step = max(1, len(ys) // 8)
    line = axes.plot(
        range(len(ys)), ys, linestyle=how.dash, color=how.colour, marker=how.marker, markersize=6, linewidth=1.6,
        markeredgecolor=theme.ground, markeredgewidth=0.8, markevery=(number * step // 3 % step, step),
        label=one.label, zorder=3,
    )[0]  # fmt: skip
    starts = [frame for frame in one.starts if frame < len(ys)]
    if starts:
        axes.plot(starts, [ys[frame] for frame in starts], linestyle="", marker="|", markersize=12, markeredgewidth=2,
                  color=how.colour, zorder=4)  # fmt: skip
    return line


def _kbit(one: FrameSeries) -> list[float]:
    return [_positive(value) / 1000 for value in one.bits or ()]


def _entry(label: str, **how: Any) -> Any:
    """Something for the legend that is not on the axes."""
    return need("matplotlib.lines").Line2D([], [], linestyle="", label=label, **how)


def _shares(files: Sequence[Mapping[str, int]]) -> tuple[list[str], list[dict[str, float]]]:
    """Kinds by their greatest share, small ones as one that names them; and each file's share of every kind."""
    totals = [max(1, sum(sizes.values())) for sizes in files]
    shares = [{kind: size / total for kind, size in sizes.items()} for sizes, total in zip(files, totals, strict=True)]
    most = {kind: max(share.get(kind, 0.0) for share in shares) for share in shares for kind in share}
    found = sorted((kind for kind in most if most[kind]), key=lambda kind: -most[kind])
    kinds = [kind for kind in found if most[kind] >= SMALL_SHARE][:MOST_KINDS]
    rest = sorted(set(found) - set(kinds))
    table = [{kind: share.get(kind, 0.0) for kind in kinds} for share in shares]
    if rest:
        kinds.append(f"other: {', '.join(rest)}")
        for row, share in zip(table, shares, strict=True):
            row[kinds[-1]] = sum(share.get(kind, 0.0) for kind in rest)
    return kinds, table


def _positive(value: Number) -> float:
    """What a log axis can show, else NaN."""
    return value if value is not None and math.isfinite(value) and value > 0 else math.nan
