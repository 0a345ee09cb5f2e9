"""Plots: their data, their looks in both themes, and their bytes."""

import io
import itertools
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nvcodec.bench import figures, style
from nvcodec.bench.figures import Curve, FrameSeries
from nvcodec.bench.style import DARK, LIGHT
from nvcodec.errors import TargetError, UsageError

ROOT = Path(__file__).resolve().parents[1]
ODD = '_a $b$ $c <&> -- style="fill: #123456"'
USAGE = {"symbols": 9000, "tables": 800, "groups": 120, "header": 28, "end": 52}


def curves(count=2):
    return [Curve(f"codec {n} preset=x", (0.1 + n, 0.4, 1.6), (24.0 + n, 27.5, 31.0)) for n in range(count)]


def series(count=2):
    return [
        FrameSeries(f"codec {n}", tuple(30 + n + k % 3 for k in range(24)), (9000,) + (800,) * 23, (0, 12))
        for n in range(count)
    ]


BUILDS = {
    "rate_distortion": partial(figures.rate_distortion, curves(), "psnr_rgb", "clip 320x180, 9 frames: RGB PSNR"),
    "per_frame": partial(figures.per_frame, series(), "clip 320x180, 24 frames"),
    "bytes_by_kind": partial(figures.bytes_by_kind, [("a", USAGE), ("b", {**USAGE, "blobs": 4000})], "clip"),
    "speed_quality": partial(figures.speed_quality, [("a", 2e4, 30.0), ("b: not timed", None, None)], "x", "y", "t"),
    "bits_against_motion": partial(figures.bits_against_motion, [("a", 4e-4, 0.1, 30.0), ("b", 2e-3, 0.3, 20.0)], "t"),
    "knobs": partial(
        figures.knobs,
        [("lambda", [Curve("l", (0.1, 0.2), (25.0, 26.0), ("0.01", "0.001"))]), ("patch", curves()), ("c", curves(1))],
        "psnr_rgb",
        "knobs",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def drawings():
    """Each plot as an SVG that has its own prefix."""
    return {name: style.svg(build, name) for name, build in BUILDS.items()}


def luminance(colour):
    """WCAG 2 relative luminance of #rrggbb."""
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def linear(colour):
    values = np.array([int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(a, b):
    dark, light = sorted((luminance(a), luminance(b)))
    return (light + 0.05) / (dark + 0.05)


CONES = {  # linear RGB as seen without one kind of cones, Machado, Oliveira and Fernandes 2009, severity 1
    "all": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}  # fmt: skip


def oklab(rgb):
    cones = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
             [0.0883024619, 0.2817188376, 0.6299787005]]  # fmt: skip
    lab = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
           [0.0259040371, 0.7827717662, -0.8086757660]]  # fmt: skip
    return np.array(lab) @ np.cbrt(np.array(cones) @ np.clip(rgb, 0, 1))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_contrast_of_every_colour(theme):
    for colour in theme.series:
        assert contrast(colour, theme.ground) >= 3, colour
    assert contrast(theme.ink, theme.ground) >= 7
    assert 1.3 <= contrast(theme.grid, theme.ground) <= 2  # there, but behind
    assert len(set(theme.colours)) == len(theme.colours)


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("cones", CONES)
def test_series_stay_apart_for_every_eye(theme, cones):
    seen = [oklab(np.array(CONES[cones]) @ linear(colour)) for colour in (*theme.series, theme.ink)]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.08


def test_series_differ_without_colour():
    pens = [style.pen(LIGHT, number) for number in range(24)]
    assert len({pen.marker for pen in pens[:12]}) == 12
    assert len({(pen.colour, pen.marker) for pen in pens}) == 24
    assert all(len({pen.hatch for pen in pens[n : n + 8]}) == 8 for n in range(16))
    neighbours = list(itertools.pairwise(pens))
    assert all(a.colour != b.colour and a.marker != b.marker and a.dash != b.dash for a, b in neighbours)


@pytest.mark.parametrize("name", BUILDS)
def test_svg_is_wellformed_and_alone(drawings, name):
    text = drawings[name]
    root = ET.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and text.startswith("<svg") and root.get("id") == name
    without_names = re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    assert not re.search(r"https?:|//|@import|data:", without_names)
    assert {a for a in re.findall(r'href="(.)', text)} <= {"#"}
    assert root.findtext("{http://www.w3.org/2000/svg}title")


@pytest.mark.parametrize("name", BUILDS)
def test_every_light_colour_has_a_dark_rule(drawings, name):
    text = drawings[name]
    light, dark = re.fullmatch(r"(.*)@media \(prefers-color-scheme:dark\)\{(.*)\}", style_of(text)).groups()
    rules = dict(re.findall(r"\.([\w-]+)\{(?:fill|stroke):(#\w{6})!important\}", dark))
    used = 0
    for element in ET.fromstring(text).iter():
        painted = re.findall(r"(fill|stroke): (#\w{6})", element.get("style", ""))
        assert not re.match("#", element.get("fill", "") + element.get("stroke", "")), "colours are styles"
        assert len(element.get("class", "").split()) == len(painted)
        for (kind, colour), rule in zip(painted, element.get("class", "").split(), strict=True):
            assert kind in rule
            assert rules[rule] == DARK.colours[LIGHT.colours.index(colour)]
            used += 1
    assert used > 20
    assert f":root{{background:{LIGHT.ground}}}" in light and f":root{{background:{DARK.ground}}}" in dark


def style_of(text):
    return ET.fromstring(text).findtext("{http://www.w3.org/2000/svg}style")


def test_no_text_is_black_by_default(drawings):
    """Glyphs take the colour of the group that they are in."""
    for text in drawings.values():
        parents = {child: parent for parent in ET.fromstring(text).iter() for child in parent}
        glyphs = [e for e in parents if "DejaVuSans" in e.get("{http://www.w3.org/1999/xlink}href", "")]
        assert glyphs
        assert all("fill" in parents[glyph].get("class", "") for glyph in glyphs)


def test_plots_share_a_page(drawings):
    twins = [style.svg(BUILDS["rate_distortion"], prefix) for prefix in ("one", "two")]
    found = [set(re.findall(r' id="([^"]+)"', text)) for text in twins]
    assert len(found[0]) > 20 and not found[0] & found[1]
    for text, ids, prefix in zip(twins, found, ("one", "two"), strict=True):
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', text)) <= ids
        assert len(re.findall(r' id="', text)) == len(ids)
        assert all(rule.startswith((f"#{prefix}", f".{prefix}-")) for rule in selectors(style_of(text)))


def selectors(text):
    return [rule for rule in re.findall(r"([^{}]+)\{", text) if not rule.startswith("@media")]


@pytest.mark.parametrize("prefix", ["", "2x", "a b", "a.b", 'a"', "ä"])
def test_prefix_has_to_be_plain(prefix):
    with pytest.raises(AssertionError, match="cannot start an id"):
        style.svg(BUILDS["rate_distortion"], prefix)


def test_bytes_are_deterministic_whatever_the_user_has_set(drawings):
    build = BUILDS["rate_distortion"]
    before = dict(matplotlib.rcParams)
    picture = style.png(build, DARK)
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.grid": False, "svg.fonttype": "none"}):
        assert style.svg(build, "rate_distortion") == drawings["rate_distortion"]
        assert style.png(build, DARK) == picture
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(("name", "theme"), [*((name, DARK) for name in BUILDS), ("rate_distortion", LIGHT)])
def test_png_has_its_ground_and_is_not_blank(name, theme):
    with Image.open(io.BytesIO(style.png(BUILDS[name], theme))) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(np.int64) @ [1 << 16, 1 << 8, 1]
    counts = {colour: (pixels == int(colour[1:], 16)).sum() for colour in theme.colours}
    assert pixels[0, 0] == int(theme.ground[1:], 16)
    assert pixels.size > counts[theme.ground] > 0.4 * pixels.size  # a ground, and something on it
    assert counts[theme.ink] > 50 and counts[theme.series[0]] > 50


def test_text_is_nine_points_and_more():
    for build in BUILDS.values():
        figure = build(LIGHT)
        figure.draw_without_rendering()
        texts = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text()]
        assert len(texts) > 5 and min(text.get_fontsize() for text in texts) >= 9


@pytest.mark.parametrize("count", [1, 2, 12])
def test_legend_is_whole_and_hides_nothing(count):
    long = [Curve(f"nvcodec fast patch=16 group={n} width=32 steps_first=150", (0.1, 0.4), (24 + n, 26)) for n in range(count)]  # fmt: skip # noqa: E501
    figure = figures.rate_distortion(long, "psnr_rgb", "a title that is so long that it has to be folded " * 3, LIGHT)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert len(figure.legends[0].get_texts()) == count
    assert box.x0 > figure.axes[0].get_window_extent().x1
    assert 0 <= box.y0 and box.y1 <= figure.bbox.y1 and box.x1 <= figure.bbox.x1
    title = next(text for text in figure.findobj(matplotlib.text.Text) if text.get_text() == figure.get_suptitle())
    assert title.get_window_extent().x1 < box.x0


def lines_of(axes):
    """What is drawn, by the number of its series."""
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}


def test_points_by_rate_and_without_what_is_no_number():
    curve = Curve("a", (0.4, 0.1, 0.2, 0.3, 0.0, 0.5), (30.0, 20.0, None, math.inf, 10.0, math.nan))
    figure = figures.rate_distortion([curve, Curve("empty", (0.1,), (None,))], "psnr_rgb", "t", LIGHT)
    assert lines_of(figure.axes[0]) == {"a": ([0.1, 0.4], [20.0, 30.0])}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a"]


def test_an_empty_series_keeps_its_place():
    figure = figures.rate_distortion([Curve("a", (), ()), *curves(1)], "psnr_rgb", "t", LIGHT)
    (line,) = figure.axes[0].get_lines()
    assert (line.get_color(), line.get_marker()) == (LIGHT.series[1], style.MARKERS[1])


def test_legend_has_the_order_of_right_ends():
    low, high = Curve("low", (0.1, 0.9), (30.0, 31.0)), Curve("high", (0.1, 0.5), (20.0, 40.0))
    figure = figures.rate_distortion([low, high], "psnr_rgb", "t", LIGHT)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["high", "low"]


def test_ms_ssim_is_drawn_in_decibels():
    figure = figures.rate_distortion([Curve("a", (0.1, 0.2, 0.4), (0.9, 0.99, 1.0))], "ms_ssim_rgb", "t", LIGHT)
    assert lines_of(figure.axes[0])["a"][1] == pytest.approx([10.0, 20.0])
    assert "dB" in figure.axes[0].get_ylabel() and "log10" in figure.axes[0].get_ylabel()


def test_axes_name_metric_and_unit():
    axes = BUILDS["rate_distortion"](LIGHT).axes[0]
    assert axes.get_ylabel() == "RGB PSNR, dB (mean over frames)"
    assert axes.get_xlabel() == "bits per pixel, whole file (log scale)" and axes.get_xscale() == "log"


@pytest.mark.parametrize(
    "build",
    [
        partial(figures.rate_distortion, [Curve("a", (0.1,), (30.0,))], "vmaf", "t"),
        partial(figures.rate_distortion, [], "vmaf", "t"),
        partial(figures.per_frame, [FrameSeries("a", (30.0,), (800.0,), (0,))], "t"),
        partial(figures.per_frame, [FrameSeries("a", (), None)], "t"),
        partial(figures.bytes_by_kind, [("empty", {})], "t"),
        partial(figures.speed_quality, [], "x", "y", "t"),
        partial(figures.bits_against_motion, [("a", None, 0.1, 30.0)], "t"),
        partial(
            figures.rate_distortion,
            [Curve('_a $b$ $c <&> -- style="fill: #123456"', (0.1,), (30.0,))],
            "vmaf",
            "$& <\x1b-->",
        ),
    ],
)
def test_little_or_nothing_can_be_drawn(build):
    ET.fromstring(style.svg(build))
    assert style.png(build, DARK).startswith(b"\x89PNG")


def test_an_odd_label_is_in_the_legend_as_it_is():
    figure = figures.rate_distortion([Curve("_a $b$", (0.1,), (30.0,))], "vmaf", "t", LIGHT)
    assert [text.get_text().strip() for text in figure.legends[0].get_texts()] == ["_a $b$"]


def test_frames():
    one = FrameSeries("a", (30.0, math.inf, 32.0, None), (8000.0, 0, None, 500.0), (0, 2))
    figure = figures.per_frame([one], "t", LIGHT)
    quality, bits = figure.axes
    line, starts = quality.get_lines()
    np.testing.assert_array_equal(line.get_ydata(), [30, math.nan, 32, math.nan])
    assert (list(starts.get_xdata()), list(starts.get_ydata()), starts.get_marker()) == ([0, 2], [30, 32], "|")
    np.testing.assert_array_equal(bits.get_lines()[0].get_ydata(), [8, math.nan, math.nan, 0.5])
    assert "kbit" in bits.get_ylabel() and bits.get_yscale() == "log" and quality.get_ylabel() == "RGB PSNR, dB"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "random-access point"]
    assert len(figures.per_frame([FrameSeries("a", (1.0, 2.0), None)], "t", LIGHT).axes) == 1


def test_bars_have_shares_of_all_bytes():
    files = [("a", {"symbols": 900, "tables": 95, "header": 3, "end": 2}), ("b", {"symbols": 500, "blobs": 500})]
    figure = figures.bytes_by_kind(files, "t", LIGHT)
    axes = figure.axes[0]
    found = {bars.get_label(): [bar.get_width() for bar in bars] for bars in axes.containers}
    assert list(found) == ["symbols", "blobs", "tables", "other: end, header"]
    assert np.array(list(found.values())) == pytest.approx(np.array([[90, 50], [0, 50], [9.5, 0], [0.5, 0]]))
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a\n1,000 bytes", "b\n1,000 bytes"]
    assert [text.get_text() for text in axes.texts] == ["90.0%", "50.0%", "50.0%", "9.5%"]


def test_speed_names_what_it_leaves_out():
    points = [("a", 2e4, 30.0), ("b: not timed", None, 31.0), ("", None, None), ("c", 5e6, 32.0)]
    figure = figures.speed_quality(points, "x", "y", "t", LIGHT)
    assert lines_of(figure.axes[0]) == {"a": ([2e4], [30.0]), "c": ([5e6], [32.0])}
    assert figure.axes[0].get_lines()[1].get_marker() == style.MARKERS[3]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b: not timed", "c"]


def test_motion_has_clips_with_their_psnr():
    figure = BUILDS["bits_against_motion"](LIGHT)
    assert lines_of(figure.axes[0]) == {"a: 30.0 dB RGB": ([4e-4], [0.1]), "b: 20.0 dB RGB": ([2e-3], [0.3])}
    assert figure.axes[0].get_xscale() == "log" and figure.axes[0].get_ylim()[0] == 0


def test_knobs_have_a_panel_each():
    axes = BUILDS["knobs"](LIGHT).axes
    assert [place.get_title(loc="left") for place in axes] == ["lambda", "patch", "c"]
    assert lines_of(axes[0]) == {"l": ([0.1, 0.2], [25.0, 26.0])}
    assert [(text.get_text(), text.xy) for text in axes[0].texts] == [("0.01", (0.1, 25.0)), ("0.001", (0.2, 26.0))]
    assert list(lines_of(axes[1])) == ["codec 0 preset=x", "codec 1 preset=x"]


@given(st.floats(1e-7, 1e9), st.floats(1.2, 1e6))
def test_log_ticks_are_round_and_plain(low, ratio):
    ticks = style.log_ticks(low, low * ratio)
    assert 2 <= len(ticks) <= 25 and ticks == sorted(set(ticks))
    assert all(low <= tick <= low * ratio for tick in ticks)
    for tick in ticks:
        assert re.fullmatch(r"\d+(\.\d+)?[kMG]?", style.plain(tick))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0005, "0.0005"), (0.2, "0.2"), (1, "1"), (30, "30"), (3000, "3000"), (2e4, "20k"), (1.5e6, "1.5M"), (0, "0"),
     (2e9, "2G"), (1e-6, "0.000001")],
)  # fmt: skip
def test_plain(value, text):
    assert style.plain(value) == text


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.08, 1.1, [0.1, 0.2, 0.5, 1]),
        (0.09, 0.99, [0.1, 0.15, 0.2, 0.3, 0.5, 0.7]),
        (9, 1e5, [10, 100, 1e3, 1e4, 1e5]),
        (0.31, 0.39, [0.32, 0.34, 0.36, 0.38]),
    ],
)
def test_log_ticks(low, high, ticks):
    assert style.log_ticks(low, high) == ticks


def test_save(tmp_path):
    folder = tmp_path / "new" / "plots"
    build = BUILDS["rate_distortion"]
    assert style.save(build, folder, "rd") == ["rd.png", "rd_dark.png", "rd.svg"]
    assert sorted(path.name for path in folder.iterdir()) == ["rd.png", "rd.svg", "rd_dark.png"]
    assert (folder / "rd.svg").read_text(encoding="utf-8") == style.svg(build, "rd")
    assert (folder / "rd_dark.png").read_bytes() == style.png(build, DARK)
    assert style.save(build, folder, "rd", formats=("svg",)) == ["rd.svg"]
    (tmp_path / "file").touch()
    with pytest.raises(TargetError, match="file"):
        style.save(build, tmp_path / "file", "rd", formats=("svg",))


def test_without_matplotlib_an_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.style", None)
    with pytest.raises(UsageError, match=r"matplotlib.*pip install"):
        style.svg(BUILDS["rate_distortion"])


def test_pyplot_is_never_imported():
    code = (
        "import sys; from nvcodec.bench import figures, style\n"
        "assert 'matplotlib' not in sys.modules\n"
        "style.svg(lambda t: figures.rate_distortion([figures.Curve('a', (1.0,), (2.0,))], 'vmaf', 't', t))\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
