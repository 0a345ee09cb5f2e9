"""Bjontegaard deltas against curves whose delta is known, against the formulas, and the curves that are refused."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from test_layers import run_blocked

from nvcodec.bench.bd import METRICS, bd, bd_of_rows
from nvcodec.errors import UsageError

pytestmark = pytest.mark.filterwarnings("error:Insufficient curve overlap")

ANCHOR = [(0.06, 29.3), (0.13, 32.2), (0.31, 36.0), (0.7, 40.1)]
TEST = [(0.05, 29.9), (0.14, 33.6), (0.25, 35.9), (0.5, 39.0), (0.8, 41.5)]
METHODS = ("akima", "pchip")


def scaled(curve, factor):
    return [(rate * factor, quality) for rate, quality in curve]


@pytest.mark.parametrize("method", METHODS)
def test_half_the_rate_is_minus_fifty_percent(method):
    found = bd(ANCHOR, scaled(ANCHOR, 0.5), method)
    assert found.rate_percent == pytest.approx(-50)
    assert found.overlap == (29.3, 40.1) and found.overlap_share == 1
    assert found.points == (4, 4) and found.reason is None


@pytest.mark.parametrize("method", METHODS)
def test_two_decibels_above_is_two_decibels(method):
    found = bd(ANCHOR, [(rate, quality + 2) for rate, quality in ANCHOR], method)
    assert found.quality_delta == pytest.approx(2)
    assert found.overlap == (31.3, 40.1)
    assert found.overlap_share == pytest.approx((40.1 - 31.3) / (42.1 - 29.3))


def test_straight_lines_over_the_logarithm_have_a_delta_in_closed_form():
    """log2 rate = q / 3 and q / 3 - 1 + (q - 30) / 30: the mean over 30..36 of the difference is -0.9."""
    anchor = [(2 ** (q / 3), q) for q in (27, 30, 33, 36)]
    test = [(2 ** (q / 3 - 1 + (q - 30) / 30), q) for q in (30, 32, 35, 38, 40)]
    for method in METHODS:
        assert bd(anchor, test, method).rate_percent == pytest.approx(100 * (2**-0.9 - 1))


def test_a_curve_against_itself_is_zero():
    found = bd(ANCHOR, ANCHOR)
    assert found.rate_percent == pytest.approx(0, abs=1e-9) and found.quality_delta == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_anchor_and_test_exchanged(method):
    there, back = bd(ANCHOR, TEST, method), bd(TEST, ANCHOR, method)
    assert there.rate_percent < 0 < there.quality_delta
    assert (1 + there.rate_percent / 100) * (1 + back.rate_percent / 100) == pytest.approx(1)
    assert there.quality_delta == pytest.approx(-back.quality_delta)
    assert there.points == (4, 5) and back.points == (5, 4)
    assert (there.overlap, there.overlap_share) == (back.overlap, back.overlap_share)


def pchip_slopes(h, delta):
    """Fritsch and Carlson 1980 with Moler's one-sided ends: weighted harmonic means of neighbouring slopes."""
    slopes = np.zeros(len(h) + 1)
    for k in range(1, len(h)):
        if delta[k - 1] * delta[k] > 0:
            w, v = 2 * h[k] + h[k - 1], h[k] + 2 * h[k - 1]
            slopes[k] = (w + v) / (w / delta[k - 1] + v / delta[k])
    for end, near, far in ((0, 0, 1), (-1, -1, -2)):
        slope = ((2 * h[near] + h[far]) * delta[near] - h[near] * delta[far]) / (h[near] + h[far])
        slopes[end] = 0 if slope * delta[near] <= 0 else slope  # the third case needs delta to change its sign
    return slopes


def akima_slopes(h, delta):
    """Akima 1970: means of neighbouring slopes, each weighted by how much the slope changes on the other side."""
    m = np.concatenate(([3 * delta[0] - 2 * delta[1], 2 * delta[0] - delta[1]], delta))
    m = np.concatenate((m, [2 * delta[-1] - delta[-2], 3 * delta[-1] - 2 * delta[-2]]))
    slopes = []
    for k in range(len(h) + 1):
        before, after = abs(m[k + 1] - m[k]), abs(m[k + 3] - m[k + 2])
        even = before + after == 0
        slopes.append((m[k + 1] + m[k + 2]) / 2 if even else (after * m[k + 1] + before * m[k + 2]) / (before + after))
    return np.array(slopes)


def mean_by_formula(x, y, low, high, slopes_of):
    """The mean of a cubic Hermite curve through (x, y), by the midpoint rule."""
    x, y = np.array(x, float), np.array(y, float)
    h = np.diff(x)
    slopes = slopes_of(h, np.diff(y) / h)
    at = low + (np.arange(200000) + 0.5) * (high - low) / 200000
    k = np.clip(np.searchsorted(x, at) - 1, 0, len(h) - 1)
    t = (at - x[k]) / h[k]
    ends = (1 + 2 * t) * (1 - t) ** 2 * y[k] + t**2 * (3 - 2 * t) * y[k + 1]
    return np.mean(ends + h[k] * t * (1 - t) * ((1 - t) * slopes[k] - t * slopes[k + 1]))


@pytest.mark.parametrize(("method", "slopes"), [("akima", akima_slopes), ("pchip", pchip_slopes)])
def test_both_methods_against_their_papers(method, slopes):
    found = bd(ANCHOR, TEST, method)
    rates, values = [], []
    for curve in (TEST, ANCHOR):
        log_rate, quality = zip(*((math.log10(rate), quality) for rate, quality in curve), strict=True)
        rates.append(mean_by_formula(quality, log_rate, 29.9, 40.1, slopes))
        values.append(mean_by_formula(log_rate, quality, math.log10(0.06), math.log10(0.7), slopes))
    assert found.rate_percent == pytest.approx(100 * (10 ** (rates[0] - rates[1]) - 1), abs=1e-6)
    assert found.quality_delta == pytest.approx(values[0] - values[1], abs=1e-8)


def test_the_two_methods_differ():
    assert abs(bd(ANCHOR, TEST).rate_percent - bd(ANCHOR, TEST, "pchip").rate_percent) > 0.01


steps = st.lists(
    st.tuples(st.floats(0.05, 3), st.floats(0.05, 10)), min_size=4, max_size=8
)  # of log rate and quality, between points


def curve_of(increments, rate=0.01, quality=25.0):
    log_rates, values = (np.cumsum(column) for column in zip(*increments, strict=True))
    return [(rate * math.exp(r), quality + v) for r, v in zip(log_rates, values, strict=True)]


@given(steps, st.floats(0.01, 100), st.sampled_from(METHODS))
def test_scaling_every_rate(increments, factor, method):
    curve = curve_of(increments)
    found = bd(curve, scaled(curve, factor), method)
    assert found.rate_percent == pytest.approx((factor - 1) * 100, rel=1e-6, abs=1e-6)
    assert found.overlap_share == 1


@given(steps, steps, st.permutations(range(4)), st.sampled_from(METHODS))
def test_neither_order_nor_repetition_of_points_matters(a, b, order, method):
    first, second = curve_of(a), curve_of(b)
    shuffled = [first[n] for n in order] + first
    assert bd(first, second, method) == bd(shuffled, second[::-1] + second, method)


@given(steps, steps, st.floats(0.1, 10), st.sampled_from(METHODS))
def test_scaling_the_test_alone_multiplies_its_rate(a, b, factor, method):
    anchor, test = curve_of(a), curve_of(b)
    plain, other = bd(anchor, test, method), bd(anchor, scaled(test, factor), method)
    assume(plain.rate_percent is not None)
    assert 1 + other.rate_percent / 100 == pytest.approx(factor * (1 + plain.rate_percent / 100), rel=1e-6)


@pytest.mark.parametrize(
    ("anchor", "test", "reason"),
    [
        (ANCHOR[:3], TEST, "the anchor has 3 of the 4 points that are needed"),
        (ANCHOR, [*TEST[:3], TEST[0], TEST[1]], "the test has 3 of the 4 points that are needed"),
        ([], [], "the anchor has 0 of the 4 points that are needed"),
        (ANCHOR, [*TEST, (0.9, 41.4)], "the test's quality does not rise with its rate: 41.5 at 0.8, 41.4 at 0.9"),
        (ANCHOR, [*TEST, (0.9, 41.5)], "the test's quality does not rise with its rate: 41.5 at 0.8, 41.5 at 0.9"),
        ([*ANCHOR, (0.7, 40.2)], TEST, "the anchor's quality does not rise with its rate: 40.1 at 0.7, 40.2 at 0.7"),
        ([*ANCHOR, (2.0, math.inf)], TEST, "the anchor has a value that is not finite"),
        (ANCHOR, [*TEST, (math.nan, 50.0)], "the test has a value that is not finite"),
        (ANCHOR, [(0.0, 10.0), *TEST], "the test has a rate that is not positive"),
    ],
)
def test_a_curve_that_is_none_is_refused_with_a_reason(anchor, test, reason):
    found = bd(anchor, test)
    assert (found.rate_percent, found.quality_delta, found.overlap, found.overlap_share) == (None,) * 4
    assert found.reason == reason


def test_no_common_quality_leaves_the_delta_of_quality():
    """As a codec whose best is under the other's worst: rates cannot be compared, quality can."""
    found = bd(ANCHOR, [(rate, quality - 15) for rate, quality in ANCHOR])
    assert found.rate_percent is None and found.overlap is None and found.overlap_share == 0
    assert found.quality_delta == pytest.approx(-15)
    assert found.reason == "no common quality: 29.3 to 40.1 of the anchor, 14.3 to 25.1 of the test"


def test_no_common_rate_leaves_the_delta_of_rate():
    found = bd(ANCHOR, scaled(ANCHOR, 100))
    assert found.rate_percent == pytest.approx(9900) and found.quality_delta is None
    assert found.reason == "no common rate: 0.06 to 0.7 of the anchor, 6 to 70 of the test"


def test_ranges_that_touch_have_nothing_in_common():
    found = bd(ANCHOR, [(rate + 0.64, quality + 10.8 - 1e-12) for rate, quality in ANCHOR])
    assert found.rate_percent is None and found.quality_delta is None
    assert found.reason.startswith("no common quality") and "; no common rate" in found.reason


def test_an_unknown_method_is_refused():
    with pytest.raises(UsageError, match="akima or pchip"):
        bd(ANCHOR, TEST, "cubic")


def row(label, rate, *, clip="a.mp4", sha="1" * 64, period=None, **values):
    reference = {"sha256": sha}
    return {"clip": {"name": clip, "reference": reference}, "codec": {"label": label}, "intra_period": period,
            "bpp": rate, **values}  # fmt: skip


def rows_of(label, curve, **more):
    return [
        row(label, rate, psnr_rgb=quality, psnr_y=quality + 3, ms_ssim_rgb=1 - 10 ** (-quality / 20), **more)
        for rate, quality in curve
    ]


def test_rows_become_curves():
    rows = rows_of("x", ANCHOR) + rows_of("ours", TEST) + rows_of("half", scaled(ANCHOR, 0.5))
    found = bd_of_rows(rows, "x")
    assert [(entry["test"], entry["metric"]) for entry in found] == [(t, m) for m in METRICS for t in ("ours", "half")]
    by = {(entry["test"], entry["metric"]): entry for entry in found}
    rgb, want = by["ours", "psnr_rgb"], bd(ANCHOR, TEST)
    assert rgb == {
        "clip": "a.mp4", "reference": "1" * 64, "intra_period": None, "metric": "psnr_rgb", "anchor": "x",
        "test": "ours", "rate_percent": want.rate_percent, "quality_delta": want.quality_delta,
        "overlap": [29.9, 40.1], "overlap_share": want.overlap_share, "points": [4, 5], "reason": None,
    }  # fmt: skip
    assert by["half", "psnr_y"]["rate_percent"] == pytest.approx(-50)
    assert by["ours", "vmaf"]["reason"] == (
        "the anchor has 0 of the 4 points that are needed; rows without a finite vmaf: 9"
    )


def test_ms_ssim_is_compared_in_decibels():
    """In decibels these rows are half of the PSNR curves, so that rates agree and qualities are half."""
    entries = bd_of_rows(rows_of("x", ANCHOR) + rows_of("ours", TEST), "x")
    rgb, similar = entries[0], entries[2]
    assert similar["metric"] == "ms_ssim_rgb"
    assert similar["rate_percent"] == pytest.approx(rgb["rate_percent"])
    assert similar["quality_delta"] == pytest.approx(rgb["quality_delta"] / 2)
    assert similar["overlap"] == pytest.approx([1 - 10 ** (-q / 20) for q in rgb["overlap"]])
    assert similar["overlap_share"] == pytest.approx(rgb["overlap_share"])


def test_curves_are_of_one_clip_reference_and_intra_period():
    rows = []
    for more in ({}, {"clip": "b.mp4"}, {"sha": "2" * 64}, {"period": 24}):
        factor = 1 - len(rows) / 100
        rows += rows_of("x", ANCHOR, **more) + rows_of("ours", scaled(ANCHOR, factor), **more)
    found = [entry for entry in bd_of_rows(reversed(rows), "x") if entry["metric"] == "psnr_rgb"][::-1]
    assert [entry["rate_percent"] for entry in found] == pytest.approx([0, -8, -16, -24], abs=1e-9)
    assert [entry["clip"] for entry in found] == ["a.mp4", "b.mp4", "a.mp4", "a.mp4"]
    assert [entry["intra_period"] for entry in found] == [None, None, None, 24]
    assert [entry["reference"][0] for entry in found] == ["1", "1", "2", "1"]


def test_a_clip_without_the_anchor_says_so():
    found = bd_of_rows(rows_of("ours", TEST), "x")
    assert {entry["reason"].partition(";")[0] for entry in found} == {
        "the anchor has 0 of the 4 points that are needed"
    }
    assert found[0]["points"] == [0, 5] and found[0]["rate_percent"] is None


def test_lossless_and_missing_rows_are_no_points():
    rows = rows_of("x", ANCHOR) + [row("x", 5.0, psnr_rgb=math.inf, ms_ssim_rgb=1.0), row("x", 0.01, psnr_rgb=None)]
    rows += rows_of("ours", scaled(ANCHOR, 0.5))
    for entry in bd_of_rows(rows, "x"):
        if entry["metric"] != "vmaf":
            assert entry["rate_percent"] == pytest.approx(-50) and entry["points"] == [4, 4]


def test_rows_without_the_package_keep_their_points():
    code = (
        "from test_bench_bd import *\n"
        "entry = bd_of_rows(rows_of('x', ANCHOR) + rows_of('ours', TEST), 'x')[0]\n"
        "print(entry['rate_percent'], entry['points'], entry['reason'])"
    )
    done = run_blocked(["bjontegaard"], f"import sys\nsys.path[:0] = ['tests', '.']\n{code}")
    assert done.stdout.startswith("None [4, 5] "), done.stderr
    assert "pip install 'nvcodec[bench]'" in done.stdout
