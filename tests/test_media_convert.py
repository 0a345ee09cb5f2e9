"""Any layout to 8 bit yuv420p: exact where the formula is exact, and close to the mean of cells elsewhere."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from media_samples import noise, read

from nvcodec.errors import LimitError, SourceError, UsageError
from nvcodec.media.color import from_rgb, split_planes, stack_planes, to_rgb
from nvcodec.media.convert import convert, plan
from nvcodec.video import Chroma, ColorInfo, Frame, Range, VideoInfo

DATA = Path(__file__).parent / "data"
RGB = ColorInfo(matrix=0, range=Range.FULL)


def cells(plane, across, down):
    """Means of cells of down x across samples."""
    height, width = plane.shape
    return plane.reshape(height // down, down, width // across, across).astype(float).mean((1, 3))


def near(got, want):
    """Correctly rounded, or off by the rounding of a half and of fixed-point weights."""
    assert np.abs(got.astype(float) - want).max() <= 0.51


def test_what_is_even_8_bit_420_passes_through():
    info, frames = read(DATA / "bunny_320x180.mp4")
    for size in (None, (320, 180)):
        how = plan(info, size)
        assert not how.scaled and not how.cropped
        assert convert(frames[0], how).same_pixels(frames[0])
        assert how.target.color.chroma_location == info.color.chroma_location


def test_area_scaling_takes_the_mean_of_each_cell():
    info, frames = read(DATA / "bunny_320x180.mp4")
    how = plan(info, (80, 60))
    assert how.scaled and not how.cropped
    out = convert(frames[20], how)
    for got, plane in zip(out.planes, frames[20].planes, strict=True):
        near(got, cells(plane, 4, 3))
    assert out.planes[0].std() > 20, "there is a picture"


def test_odd_sizes_are_cropped():
    info, frames = read(DATA / "city_odd_159x89.mp4")
    for size in (None, (158, 88)):
        how = plan(info, size)
        assert how.cropped and not how.scaled and (how.target.width, how.target.height) == (158, 88)
        y, u, v = frames[0].planes
        assert convert(frames[0], how).same_pixels(Frame((y[:88, :158], u[:44, :79], v[:44, :79]), 0))


def test_odd_sizes_are_scaled_whole():
    info, frames = read(DATA / "city_odd_159x89.mp4")
    how = plan(info, (106, 60))
    assert how.scaled and not how.cropped
    out = convert(frames[0], how)
    assert [p.shape for p in out.planes] == [(60, 106), (30, 53), (30, 53)]
    assert abs(out.planes[0].mean() - frames[0].planes[0].mean()) < 0.5


@pytest.mark.parametrize("chroma", [Chroma.C422, Chroma.C444])
def test_chroma_goes_down_by_the_mean(chroma):
    info = VideoInfo(64, 48, 8, chroma)
    (frame,) = noise(info, [3])
    out = convert(frame, plan(info, None))
    assert np.array_equal(out.planes[0], frame.planes[0]) and out.pts == 3
    for got, plane in zip(out.planes[1:], frame.planes[1:], strict=True):
        near(got, cells(plane, 2 if chroma is Chroma.C444 else 1, 2))


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("color", [ColorInfo(range=Range.FULL), ColorInfo()])
def test_gray_gets_neutral_chroma(bits, color):
    info = VideoInfo(7, 6, bits, Chroma.GRAY, color)
    (frame,) = noise(info, [0])
    how = plan(info, None)
    out = convert(frame, how)
    assert how.target.color.range is color.range and how.cropped
    assert all((p == 128).all() and p.shape == (3, 3) for p in out.planes[1:])
    if bits == 8:
        assert np.array_equal(out.planes[0], frame.planes[0][:, :6])


def test_ten_bit_is_rounded_without_dither():
    codes = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    for color, want in (
        (ColorInfo(), np.minimum((codes + 2) // 4, 255)),
        (ColorInfo(range=Range.FULL), np.floor(codes * (255 / 1023) + 0.5)),
    ):
        info = VideoInfo(32, 32, 10, Chroma.GRAY, color)
        assert np.array_equal(convert(Frame((codes,), 0), plan(info, None)).planes[0], want)


def test_ten_bit_chroma_keeps_its_zero():
    codes = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    luma = np.zeros((64, 64), np.uint16)
    full = VideoInfo(64, 64, 10, Chroma.C420, ColorInfo(range=Range.FULL))
    got = convert(Frame((luma, codes, codes), 0), plan(full, None)).planes[1]
    assert np.array_equal(got, np.clip(np.floor((codes.astype(float) - 512) * 255 / 1023 + 0.5) + 128, 0, 255))
    limited = replace(full, color=ColorInfo())
    assert convert(Frame((luma, codes, codes), 0), plan(limited, None)).planes[1].flat[512] == 128


@pytest.mark.parametrize("height", [180, 720])
@pytest.mark.parametrize("bits", [8, 10])
def test_rgb_becomes_limited_yuv_that_readers_turn_back(bits, height):
    """Against H.273's equations for the matrix that readers take, BT.601 or BT.709 by height."""
    info = VideoInfo(64, height, bits, Chroma.C444, RGB)
    kr, kb = (0.299, 0.114) if height < 720 else (0.2126, 0.0722)
    level = np.random.default_rng(1).integers(0, info.peak + 1, (3, height // 2, 32)).astype(info.dtype)
    g, b, r = planes = tuple(p.repeat(2, 0).repeat(2, 1) for p in level)
    how = plan(info, None)
    y, u, v = convert(Frame(planes, 0), how).planes
    luma = (kr * r + (1 - kr - kb) * g + kb * b) / info.peak
    assert how.target.color == ColorInfo(range=Range.LIMITED)
    near(y, 16 + 219 * luma)
    near(u, cells(128 + 112 * (b / info.peak - luma) / (1 - kb), 2, 2))
    near(v, cells(128 + 112 * (r / info.peak - luma) / (1 - kr), 2, 2))
    rgb = to_rgb(stack_planes([Frame((y, u, v), 0)]), how.target)[0]
    want = torch.from_numpy(np.stack([r, g, b]).astype(np.float32) / info.peak)
    assert (rgb - want).abs().max() < 0.012


def test_rgb_is_scaled_without_a_change_of_colour():
    info, frames = read(DATA / "bunny_320x180.mp4")
    rgb_info = replace(info, chroma=Chroma.C444, color=RGB)
    rgb = to_rgb(stack_planes(frames[:1]), info)
    (planes,) = split_planes(from_rgb(rgb, rgb_info), rgb_info)
    out = convert(Frame(planes, 0), plan(rgb_info, (160, 90)))
    got = to_rgb(stack_planes([out]), plan(rgb_info, (160, 90)).target)[0].numpy()
    want = np.stack([cells(planes[n], 2, 2) for n in (2, 0, 1)]) / 255
    assert np.abs(got.mean((1, 2)) - want.mean((1, 2))).max() < 0.001
    difference = np.abs(cells(got.reshape(270, 160), 2, 2) - cells(want.reshape(270, 160), 2, 2))
    assert difference.mean() < 0.003 and difference.max() < 0.05, (
        "the rest is chroma's, and is clipped at the edges of RGB"
    )


@pytest.mark.parametrize(
    ("size", "error", "words"),
    [
        ((161, 90), UsageError, "161x90 is odd, .* ask for 160x90"),
        ((0, 90), LimitError, "0x90"),
        ((65536, 2), LimitError, "65536x2"),
    ],
)
def test_sizes_that_are_refused(size, error, words):
    with pytest.raises(error, match=words):
        plan(VideoInfo(320, 180), size)


def test_extremes_are_refused_in_one_line():
    with pytest.raises(SourceError, match="1x9 is too small"):
        plan(VideoInfo(1, 9), None)
    info = VideoInfo(2, 2)
    (frame,) = noise(info, [0])
    with pytest.raises(SourceError, match="2x2 cannot be scaled to 32768x2"):
        convert(frame, plan(info, (32768, 2)))
