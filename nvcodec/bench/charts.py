"""Charts of one file for its report, as inline SVG that takes its colours and type from the page.

Every value is drawn, none is averaged away. Text is text; a pointer that rests on a group sees its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from nvcodec.bench.style import log_ticks, plain

WIDTH, LEFT, RIGHT = 960, 62, 14  # of the drawing, and the margins beside the axes
MOST_HINTS = 2000  # groups that get a hint of their own; the table has the numbers of all


@dataclass(frozen=True)
class Bar:
    """A group: frames first .. first + frames - 1, a value for them, and what a pointer is told."""

    number: int
    first: int
    frames: int
    value: float
    hint: str
    marked: bool


@dataclass(frozen=True)
class Line:
    """Values from frame 0 on, None and infinite ones left out. style: the CSS class of its colour."""

    values: Sequence[float | None]
    style: str


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers that are evenly spaced within low .. high."""
    if high <= low:
        return [low]
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    steps = [power * part for part in (1, 2, 5, 10)]
    place = next(n for n, step in enumerate(steps) if step >= raw * (1 - 1e-9))
    if steps[place] > high - low:  # there may be no multiple within
        place -= 1
    step = steps[place]
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def lines(series: Sequence[Line], starts: Sequence[int], frames: int, label: str) -> str:
    """Quality over frames. starts: random-access points, as strokes behind the lines."""
    known = [value for line in series for value in line.values if value is not None and math.isfinite(value)]
    if not known:
        return ""
    low, high = min(known), max(known)
    margin = max((high - low) * 0.08, 0.05)
    plot = _Plot(230, (0, frames), (low - margin, high + margin), ticks(low - margin, high + margin))
    parts = [plot.axes(_frame_ticks(frames), "frame")]
    parts += [_stroke(plot, start) for start in starts]
    for line in series:
        path, alone, pen_down = [], [], False
        for place, value in enumerate(line.values):
            if value is None or not math.isfinite(value):
                pen_down = False
                continue
            x, y = plot.x(place + 0.5), plot.y(value)
            following = line.values[place + 1] if place + 1 < len(line.values) else None
            if not pen_down and (following is None or not math.isfinite(following)):
                alone.append(f'<circle class="dot {line.style}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>')
            path.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}")
            pen_down = True
        parts += [f'<path class="line {line.style}" d="{"".join(path)}"/>', *alone]
    return plot.svg(parts, label)


def areas(bars: Sequence[Bar], frames: int, label: str) -> str:
    """A rectangle for each group, as wide as its frames and as high as the value of each: the area is their product."""
    if not bars:
        return ""
    top = max(bar.value for bar in bars)
    plot = _Plot(230, (0, frames), (0.0, top * 1.05), ticks(0.0, top * 1.05))
    parts = [plot.axes(_frame_ticks(frames), "frame")]
    for bar in bars:
        x, y = plot.x(bar.first), plot.y(bar.value)
        wide = plot.x(bar.first + bar.frames) - x
        gap = 1.0 if wide > 4 else 0.0
        shape = f'class="area{" marked" if bar.marked else ""}" x="{x:.1f}" y="{y:.1f}"'
        parts.append(_hinted("rect", f'{shape} width="{wide - gap:.1f}" height="{plot.bottom - y:.1f}"', bar, bars))
    return plot.svg(parts, label)


def dots(bars: Sequence[Bar], label: str) -> str:
    """A dot for each value in order, on a log scale: circles, and diamonds for those that are marked."""
    values = [bar.value for bar in bars if bar.value > 0]
    if not values:
        return ""
    low, high = math.log10(min(values)) - 0.15, math.log10(max(values)) + 0.15
    marks = [math.log10(tick) for tick in log_ticks(10.0**low, 10.0**high)]
    first, last = bars[0].number, bars[-1].number
    plot = _Plot(200, (first - 0.5, last + 0.5), (low, high), marks, lambda value: plain(float(f"{10.0**value:.6g}")))
    parts = [plot.axes([int(t) for t in ticks(first, last, 8) if t == int(t)], "group", 0.0)]
    size = min(4.5, max(1.5, 400 / len(bars)))
    for bar in bars:
        if bar.value <= 0:
            continue
        x, y = plot.x(bar.number), plot.y(math.log10(bar.value))
        if bar.marked:
            corners = (
                f"M{x - 1.5 * size:.1f} {y:.1f}l{1.5 * size:.1f} {-1.5 * size:.1f} {1.5 * size:.1f} {1.5 * size:.1f} "
            )
            shape = f'd="{corners}{-1.5 * size:.1f} {1.5 * size:.1f}z"'
            parts.append(_hinted("path", f'class="dot marked" {shape}', bar, bars))
        else:
            parts.append(_hinted("circle", f'class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"', bar, bars))
    return plot.svg(parts, label)


def stack(shares: Sequence[tuple[str, float]], label: str) -> str:
    """One bar of all shares (name, 0 .. 1), each with a hint; the classes kind0, kind1 ... are their colours."""
    parts, at = [], 0.0
    for place, (name, share) in enumerate(shares):
        wide = share * WIDTH
        parts.append(
            f'<rect class="kind{place}" x="{at:.2f}" y="0" width="{wide:.2f}" height="34">'
            f"<title>{escape(name)}: {100 * share:.2f} %</title></rect>"
        )
        at += wide
    return (
        f'<svg class="stack" viewBox="0 0 {WIDTH} 34" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


class _Plot:
    """Axes: places for values, and the drawing around them."""

    def __init__(
        self,
        height: int,
        across: tuple[float, float],
        up: tuple[float, float],
        marks: list[float],
        name: Callable[[float], str] = plain,
    ) -> None:
        self.height, self.bottom, self.top = height, height - 40, 8
        self._across, self._up, self._marks, self._name = across, up, marks, name

    def x(self, value: float) -> float:
        """Of a place on the horizontal axis."""
        low, high = self._across
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / max(high - low, 1e-9)

    def y(self, value: float) -> float:
        """Of a value."""
        low, high = self._up
        return self.bottom - (self.bottom - self.top) * (value - low) / max(high - low, 1e-9)

    def axes(self, marks: Sequence[int], what: str, shift: float = 0.5) -> str:
        """Grid, ticks and their numbers. shift: from the number of a frame to its middle."""
        parts = []
        for value in self._marks:
            y = self.y(value)
            parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
            parts.append(f'<text class="up" x="{LEFT - 8}" y="{y + 4:.1f}">{self._name(value)}</text>')
        for mark in marks:
            parts.append(f'<text class="across" x="{self.x(mark + shift):.1f}" y="{self.bottom + 18}">{mark:,}</text>')
        parts.append(f'<path class="axis" d="M{LEFT} {self.bottom}H{WIDTH - RIGHT}"/>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text class="across" x="{middle:.0f}" y="{self.bottom + 36}">{what}</text>')
        return "".join(parts)

    def svg(self, parts: Sequence[str], label: str) -> str:
        """The element. label: what it shows, for those who do not see it."""
        return (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {self.height}" role="img" aria-label="{escape(label)}">'
            f"{''.join(parts)}</svg>"
        )


def _frame_ticks(frames: int) -> list[int]:
    return [int(t) for t in ticks(0, max(frames - 1, 0), 8) if t == int(t)]


def _stroke(plot: _Plot, frame: int) -> str:
    return f'<path class="start" d="M{plot.x(frame + 0.5):.1f} {plot.top}V{plot.bottom}"/>'


def _hinted(element: str, attributes: str, bar: Bar, bars: Sequence[Bar]) -> str:
    if len(bars) > MOST_HINTS:
        return f"<{element} {attributes}/>"
    return f"<{element} {attributes}><title>{escape(bar.hint)}</title></{element}>"
