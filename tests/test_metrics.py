"""Metrics against numbers worked out by hand."""

import math

import numpy as np
import pytest

from nvcodec.metrics import (
    DEFINITIONS,
    PsnrMeter,
    bpp,
    mean,
    ms_ssim_db,
    ms_ssim_from_db,
    mse,
    psnr,
    psnr_from_mse,
)


def test_mse_does_not_wrap_unsigned_integers():
    a = np.array([0, 255], np.uint8)
    assert mse(a, a[::-1]) == 255**2


def test_mse_of_strided_and_multidimensional_arrays():
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert mse(a[:, ::2], a[:, ::2] + 2) == 4


def test_psnr_of_a_tenth_is_twenty_decibels():
    assert psnr(np.zeros(5), np.full(5, 0.1)) == pytest.approx(20.0)


def test_psnr_of_equal_pictures_is_infinite():
    assert psnr_from_mse(0.0) == math.inf


def test_psnr_uses_the_peak():
    assert psnr_from_mse(1.0, 255) == pytest.approx(48.1308, abs=1e-4)
    assert psnr_from_mse(1.0, 1023) == pytest.approx(60.1975, abs=1e-4)


def test_bpp_counts_bytes_as_eight_bits():
    assert bpp(1000, 10, 20, 4) == 10.0


def test_meter_tells_the_two_averages_apart():
    meter = PsnrMeter(255)
    first = meter.add_errors(0.01, [4.0, 1.0, 1.0])
    meter.add_errors(0.0001, [1.0, 1.0, 4.0])
    assert first.rgb == pytest.approx(20.0)
    assert meter.frames == 2
    assert meter.rgb_mean_over_frames() == pytest.approx(30.0)
    assert meter.rgb_of_mean_error() == pytest.approx(10 * math.log10(1 / 0.00505))
    y, u, v = meter.planes_mean_over_frames()
    assert (y, u, v) == pytest.approx((48.1308 - 10 * math.log10(4) / 2, 48.1308, y), abs=1e-4)
    assert meter.planes_of_mean_error()[0] == pytest.approx(10 * math.log10(255**2 / 2.5))


def test_meter_keeps_every_frame():
    meter = PsnrMeter(255)
    taken = [meter.add_errors(rgb, [y, 2 * y, 3 * y]) for rgb, y in ((0.01, 4.0), (0.0, 0.0), (0.02, 9.0))]
    assert meter.rgb_by_frame() == tuple(frame.rgb for frame in taken)
    assert meter.planes_by_frame() == tuple(zip(*(frame.planes for frame in taken), strict=True))
    assert meter.rgb_by_frame()[1] == math.inf and meter.planes_by_frame()[2][2] == psnr_from_mse(27, 255)


def test_meter_measures_pictures():
    rng = np.random.default_rng(1)
    planes = [rng.integers(0, 256, (4, 6), dtype=np.uint8) for _ in range(3)]
    worse = [np.where(p < 255, p + 1, p - 1).astype(np.uint8) for p in planes]
    rgb = rng.random((3, 4, 6))
    got = PsnrMeter(255).add((rgb, rgb + 0.1), (planes, worse))
    assert got.rgb == pytest.approx(20.0)
    assert got.planes == pytest.approx((psnr_from_mse(1, 255),) * 3)


def test_one_perfect_frame_makes_the_mean_infinite_but_not_the_other_average():
    meter = PsnrMeter(255)
    meter.add_errors(0.0, [0.0])
    meter.add_errors(0.02, [2.0])
    assert meter.rgb_mean_over_frames() == math.inf
    assert meter.rgb_of_mean_error() == pytest.approx(20.0)


def test_empty_meter_has_no_numbers():
    assert math.isnan(PsnrMeter(255).rgb_mean_over_frames())
    assert PsnrMeter(255).planes_mean_over_frames() == PsnrMeter(255).planes_by_frame() == ()


def test_ms_ssim_in_decibels_and_back():
    assert ms_ssim_db(0.99) == pytest.approx(20) and ms_ssim_db(0.0) == 0
    assert ms_ssim_db(1.0) == ms_ssim_db(1.0000001) == math.inf
    assert [ms_ssim_from_db(ms_ssim_db(x)) for x in (0.0, 0.3, 0.965, 0.9999)] == pytest.approx([0, 0.3, 0.965, 0.9999])


def test_mean_of_nothing_and_of_infinity():
    assert math.isnan(mean([])) and mean([1.0, math.inf]) == math.inf and mean([0.1] * 10) == 0.1


def test_every_definition_is_one_sentence():
    assert len(DEFINITIONS) == len(set(DEFINITIONS.values()))
    for name, text in DEFINITIONS.items():
        assert text[0].isupper() and text.endswith(".") and ". " not in text and "  " not in text, name
    for what in ("Wang, Simoncelli, Bovik 2003", "11x11", "0.1333"):
        assert what in DEFINITIONS["ms_ssim_rgb"] and what in DEFINITIONS["ms_ssim_y"]
