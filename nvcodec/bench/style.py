"""How every plot looks, and how a figure becomes files: PNG for each theme, and one SVG for both.

A plot is a function of a theme, `build`, so that it can be drawn more than once. Nothing depends on the settings of the
user's matplotlib, on the date or on random numbers: the same plot gives the same bytes.

The series colours were searched for, not picked: on either ground all have a contrast (WCAG 2) of 3:1 and more, and any
two stay apart in OKLab when seen without one of the three kinds of cones (Machado, Oliveira, Fernandes 2009). Markers
and dashes differ as well, so that no curve depends on its colour.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from nvcodec.bench.extras import need
from nvcodec.errors import TargetError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 144
TITLE, TEXT, SMALL = 11.5, 10.5, 9.5  # points


@dataclass(frozen=True)
class Theme:
    """Colours as #rrggbb: of the page, of text and axes, of grid lines, and of series in their order."""

    name: str
    ground: str
    ink: str
    grid: str
    series: tuple[str, ...]

    @property
    def colours(self) -> tuple[str, ...]:
        """All of them, in an order that is the same in every theme; each is there once."""
        return (self.ground, self.ink, self.grid, *self.series)


LIGHT = Theme(
    "light", "#ffffff", "#1f2328", "#d0d7de",
    ("#013689", "#f63d7a", "#04939d", "#8b3520", "#717b20", "#be71ea", "#6856e4", "#8a488c"),
)  # fmt: skip
DARK = Theme(
    "dark", "#0d1117", "#e6edf3", "#30363d",
    ("#6c9eec", "#f9a3a2", "#52d8ef", "#c85847", "#a9dc4c", "#b242c3", "#3b6cfd", "#f75fbe"),
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", "p", ">", "h", "d")
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))
HATCHES = ("", "////", "\\\\\\\\", "xxxx", "----", "||||", "++++", "//")

Build = Callable[[Theme], "Figure"]


@dataclass(frozen=True)
class Pen:
    """How one series is drawn."""

    colour: str
    marker: str
    dash: Any
    hatch: str


def pen(theme: Theme, number: int) -> Pen:
    """Of series `number`, counted from 0; the first 24 differ."""
    colours = len(theme.series)
    return Pen(
        theme.series[number % colours],
        MARKERS[number % len(MARKERS)],
        DASHES[(number + number // colours) % len(DASHES)],
        HATCHES[number % len(HATCHES)],
    )


def new_figure(
    theme: Theme,
    title: str,
    width: float = 8.6,
    height: float = 4.6,
    rows: int = 1,
    columns: int = 1,
    share: bool = False,
) -> tuple[Figure, list[Axes]]:
    """An empty figure in the theme's colours, inches wide and high, and its axes row by row, which share x if asked."""
    figure: Figure = need("matplotlib.figure").Figure((width, height), layout="constrained", facecolor=theme.ground)
    wrapped = textwrap.fill(title, int(11.3 * (width - 2.3)))  # not over the legend
    figure.suptitle(wrapped, x=0.012, ha="left", fontsize=TITLE, color=theme.ink)
    grid = figure.subplots(rows, columns, sharex=share, squeeze=False)
    axes: list[Axes] = list(grid.flat)
    for place in axes:
        place.set_facecolor(theme.ground)
        place.set_axisbelow(True)
        place.grid(color=theme.grid, linewidth=0.8)
        place.tick_params(colors=theme.ink, labelsize=SMALL)
        place.spines[:].set_color(theme.ink)
        place.spines[["top", "right"]].set_visible(False)
        for axis in (place.xaxis, place.yaxis):
            axis.label.set(color=theme.ink, fontsize=TEXT)
            axis.get_offset_text().set_color(theme.ink)
    return figure, axes


def legend_style(theme: Theme) -> dict[str, Any]:
    """Arguments of every legend."""
    return {"frameon": False, "fontsize": SMALL, "labelcolor": theme.ink, "handlelength": 3.2, "borderaxespad": 0.3}


def legend_beside(figure: Figure, theme: Theme, handles: Sequence[Any]) -> None:
    """To the right of the axes, in a figure that grows to hold it; a remark where there is nothing to draw."""
    if not handles:
        figure.text(0.5, 0.5, "no values", ha="center", va="center", color=theme.ink)
        return
    for handle in handles:
        text = fold(handle.get_label())
        handle.set_label(f" {text}" if text.startswith("_") else text)  # matplotlib hides what starts so
    lines = [line for handle in handles for line in handle.get_label().split("\n")]
    figure.set_figwidth(figure.get_figwidth() - 1.6 + 0.085 * max(map(len, lines)))
    figure.set_figheight(max(figure.get_figheight(), 0.3 + 0.165 * len(lines) + 0.075 * len(handles)))
    figure.legend(handles=list(handles), loc="outside right upper", **legend_style(theme))


def fold(label: str) -> str:
    """A label on as many lines as it needs."""
    return textwrap.fill(label, 34, break_on_hyphens=False)


def log_scale(axis: Any, values: Sequence[float]) -> None:
    """A log scale around those values, NaN left out, with ticks at round numbers in plain decimals."""
    real = [value for value in values if not math.isnan(value)]
    if not real:
        axis.set_ticks([])
        return
    low, high = min(real), max(real)
    margin = max((high / low) ** 0.06, 1.12)
    low, high = low / margin, high * margin
    axis.axes.set(**{f"{axis.axis_name}scale": "log", f"{axis.axis_name}lim": (low, high)})
    ticker = need("matplotlib.ticker")
    axis.set_major_locator(ticker.FixedLocator(log_ticks(low, high)))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: plain(value)))
    axis.set_minor_locator(ticker.NullLocator())


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers within low..high, 0 < low < high: four or more, of the fewest divisions of a decade that give as
    many; in a short range two or more that are evenly spaced."""
    decades = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    for parts in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), range(1, 10)):
        ticks = [float(f"{part}e{decade}") for decade in decades for part in parts]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 4:
            return ticks
    least = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * part for part in (1, 2, 5, 10, 20) if power * part >= least)
    even = [float(f"{n * step:.12g}") for n in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return [tick for tick in even if low <= tick <= high]


def plain(value: float) -> str:
    """A number from 0 on without an exponent: 0.0005, 0.2, 3000, 20k, 1.5M, 2G."""
    for start, unit, name in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= start:
            return f"{value / unit:.10g}{name}"
    return f"{value:.12f}".rstrip("0").rstrip(".")


def png(build: Build, theme: Theme) -> bytes:
    """The plot on the theme's ground."""
    with _matplotlib():
        out = io.BytesIO()
        build(theme).savefig(out, format="png", dpi=DPI, facecolor=theme.ground, metadata={"Software": None})
    return out.getvalue()


def svg(build: Build, prefix: str = "plot") -> str:
    """One <svg> element for light and dark pages: as a file, in <img>, or put into HTML as it is.

    It is written in the light theme, and a style within recolours it where the reader prefers dark. Put into HTML it
    has no ground; a file or picture of its own has the theme's, as the page around it may not follow the reader. All
    ids and classes start with `prefix`, so that plots of different prefixes can share a page. prefix: ASCII letters,
    digits, _ and -, a letter first.
    """
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", prefix), f"{prefix!r} cannot start an id"
    with _matplotlib():
        out = io.BytesIO()
        figure = build(LIGHT)
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    return _both_themes(out.getvalue().decode("utf-8"), figure.get_suptitle(), prefix)


def save(build: Build, folder: Path, name: str, formats: Sequence[str] = ("png", "svg")) -> list[str]:
    """Write name.png, name_dark.png and name.svg, of those asked for; returns the names in that order.

    The folder is made where it is missing; files that are there are replaced. TargetError where it cannot be written.
    """
    made: dict[str, bytes] = {}
    if "png" in formats:
        made = {f"{name}.png": png(build, LIGHT), f"{name}_dark.png": png(build, DARK)}
    if "svg" in formats:
        made[f"{name}.svg"] = svg(build, name).encode("utf-8")
    for file, content in made.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        except OSError as error:
            raise TargetError(f"{folder / file}: {error.strerror or error}") from error
    return list(made)


@contextmanager
def _matplotlib() -> Iterator[None]:
    """Matplotlib's own defaults in place of the user's, and ours over them."""
    ours = {
        "font.family": "DejaVu Sans",  # comes with matplotlib
        "font.size": TEXT,
        "axes.unicode_minus": True,
        "hatch.linewidth": 1.2,
        "svg.fonttype": "path",
        "text.parse_math": False,  # a clip may be called a$b$c
        "svg.hashsalt": "nvcodec",
    }
    with need("matplotlib.style").context(["default", ours]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands for it
        yield


def _both_themes(text: str, title: str, prefix: str) -> str:
    """Matplotlib's SVG without what stands before the element, with its ids prefixed, and with the dark colours.

    Colours get classes, not rules for what is within the plot: those would not reach what <use> repeats.
    """
    dark = dict(zip(LIGHT.colours, DARK.colours, strict=True))
    rules: dict[str, str] = {}

    def with_classes(style: re.Match[str]) -> str:
        names = []
        for kind, colour in re.findall(r"(fill|stroke): (#[0-9a-f]{6})", style[0]):
            assert colour in dark, f"{colour} is not in the theme"
            names.append(f"{prefix}-{kind}-{LIGHT.colours.index(colour)}")
            rules[names[-1]] = f".{names[-1]}{{{kind}:{dark[colour]}!important}}"
        return f'class="{" ".join(names)}" {style[0]}' if names else style[0]

    text = re.sub(r"<!--.*?-->\s*", "", text[text.index("<svg") :], flags=re.DOTALL)  # labels, once more
    text = re.sub(r'( id="|xlink:href="#|url\(#)', rf"\g<1>{prefix}-", text)
    text = re.sub(r'fill="(#[0-9a-f]{6})"', r'style="fill: \1"', text)  # of hatches
    text = re.sub(r'style="[^"]*"', with_classes, text)
    text = re.sub(r"<defs>\s*<style.*?</defs>", "", text, count=1, flags=re.DOTALL)
    page = f"#{prefix}:root{{background:%s}}"
    recoloured = "".join(rules[name] for name in sorted(rules))
    style = f"#{prefix}{{max-width:100%;height:auto}}{page % LIGHT.ground}"
    style += f"@media (prefers-color-scheme:dark){{{page % DARK.ground}{recoloured}}}"
    text = text.replace("<svg", f'<svg id="{prefix}" role="img" stroke-linejoin="round"', 1)
    shown = escape("".join(letter if letter.isprintable() else " " for letter in title))
    return text.replace(">", f">\n <title>{shown}</title>\n <style>{style}</style>", 1)
