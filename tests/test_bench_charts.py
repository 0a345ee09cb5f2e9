"""The charts of a report: that every value is where it belongs, and that none is lost."""

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nvcodec.bench.charts import LEFT, MOST_HINTS, RIGHT, WIDTH, Bar, Line, areas, dots, lines, stack, ticks


def points(svg, style):
    """The points of each stroke of a line."""
    path = next(p for p in ElementTree.fromstring(svg).iter("path") if p.get("class") == f"line {style}")
    strokes = [part for part in path.get("d").split("M") if part]
    return [[tuple(map(float, point.split())) for point in stroke.split("L")] for stroke in strokes]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 9))
@example(1.0, 400001.0, 2)
def test_ticks_are_round_even_and_within(low, length, most):
    high = low + length
    found = ticks(low, high, most)
    steps = [b - a for a, b in zip(found, found[1:], strict=False)]
    assert found and len(found) <= most + 1
    assert all(low - 1e-6 * length <= tick <= high + 1e-6 * length for tick in found)
    assert all(step == pytest.approx(steps[0], rel=1e-3) for step in steps)


def test_a_line_has_every_value():
    values = [30 + math.sin(n) for n in range(5000)]
    (stroke,) = points(lines([Line(values, "rgb")], [0], 5000, "x"), "rgb")
    assert len(stroke) == 5000
    xs, ys = zip(*stroke, strict=True)
    assert list(xs) == sorted(xs) and LEFT < xs[0] < xs[-1] < WIDTH - RIGHT
    height = (max(ys) - min(ys)) / (max(values) - min(values))
    assert all(abs((max(values) - v) * height + min(ys) - y) < 0.11 for v, y in zip(values, ys, strict=True))


def test_a_line_has_gaps_where_there_is_nothing_to_draw():
    svg = lines([Line([30, 31, None, 32, math.inf, 33, 34], "rgb")], [], 7, "x")
    assert [len(stroke) for stroke in points(svg, "rgb")] == [2, 1, 2]
    assert len(re.findall("<circle", svg)) == 1, "a value alone is a dot"
    assert lines([Line([math.inf, None], "rgb")], [], 2, "x") == ""


def test_areas_are_bits():
    bars = [Bar(0, 0, 4, 100.0, "a", True), Bar(1, 4, 1, 400.0, "b < c", False)]
    svg = areas(bars, 5, "x")
    first, second = ElementTree.fromstring(svg).iter("rect")
    height = [float(rect.get("height")) for rect in (first, second)]
    width = [float(rect.get("width")) + 1 for rect in (first, second)]
    assert height[1] == pytest.approx(4 * height[0], rel=0.01) and width[0] == pytest.approx(4 * width[1], rel=0.01)
    assert "marked" in first.get("class") and "marked" not in second.get("class")
    assert second.find("title").text == "b < c"


def test_dots_are_at_their_number_on_a_log_scale():
    bars = [Bar(n, n, 1, value, "", n == 7) for n, value in ((0, 10.0), (1, 100.0), (7, 1000.0))]
    root = ElementTree.fromstring(dots(bars, "x"))
    circles = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter("circle")]
    (diamond,) = (p.get("d") for p in root.iter("path") if p.get("class") == "dot marked")
    y = float(re.match(r"M\S+ ([\d.]+)", diamond)[1])
    assert circles[0][1] - circles[1][1] == pytest.approx(circles[1][1] - y, abs=0.11)
    assert len(circles) == 2 and circles[0][0] < circles[1][0] < LEFT + (WIDTH - LEFT - RIGHT) / 3


def test_long_videos_lose_hints_and_nothing_else():
    bars = [Bar(n, 2 * n, 2, 1.0 + n % 7, f"group {n}", n % 9 == 0) for n in range(MOST_HINTS + 1)]
    assert areas(bars, 2 * len(bars), "x").count("<rect") == len(bars)
    assert len(re.findall(r'class="dot', dots(bars, "x"))) == len(bars)
    assert "<title>" not in areas(bars, 2 * len(bars), "x") and "<title>" in areas(bars[:-1], 2 * len(bars), "x")


def test_a_stack_fills_its_width():
    rects = list(ElementTree.fromstring(stack([("a", 0.5), ("<b>", 0.25), ("c", 0.25)], "x")).iter("rect"))
    assert [float(r.get("x")) for r in rects] == [0, WIDTH / 2, 3 * WIDTH / 4]
    assert sum(float(r.get("width")) for r in rects) == WIDTH and rects[1].find("title").text == "<b>: 25.00 %"


def test_nothing_to_draw():
    assert areas([], 0, "x") == dots([], "x") == ""
