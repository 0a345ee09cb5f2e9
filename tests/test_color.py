"""Colour conversion: known values, exact round trips, and what happens at the edges."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nvcodec.media.color import from_rgb, rgb_differences, split_planes, stack_planes, to_rgb, working_matrix
from nvcodec.video import Chroma, ColorInfo, Frame, Range, VideoInfo

YUV_MATRICES = (1, 2, 4, 5, 6, 7, 8, 9, 10, 14)


def layouts():
    for chroma in Chroma:
        for matrix in YUV_MATRICES + ((0,) if chroma is Chroma.C444 else ()):
            for range_ in Range:
                for depth in (8, 10):
                    yield VideoInfo(7, 5, depth, chroma, ColorInfo(matrix=matrix, range=range_))


def in_gamut(info, count=3, seed=0):
    """Random planes whose RGB lies inside [0, 1]: middling luma, modest chroma."""
    generator = torch.Generator().manual_seed(seed)
    unit = 1 << (info.bit_depth - 8)
    planes = [torch.randint(64 * unit, 192 * unit, (count, *s), generator=generator) for s in info.plane_shapes]
    if not info.is_rgb:
        planes[1:] = [p.clamp(114 * unit, 142 * unit) for p in planes[1:]]
    return planes


def name_of(info):
    return f"{info.pixel_format}-{info.color.matrix}-{info.color.range.name}"


@pytest.mark.parametrize("info", list(layouts()), ids=name_of)
def test_to_rgb_and_back_is_the_identity_in_gamut(info):
    planes = in_gamut(info)
    rgb = to_rgb(planes, info)
    assert 0 < float(rgb.min()) and float(rgb.max()) < 1, "the test must not touch the clamp"
    back = from_rgb(rgb, info)
    assert [b.dtype for b in back] == [torch.uint8 if info.bit_depth == 8 else torch.int16] * len(planes)
    for a, b in zip(planes, back, strict=True):
        assert torch.equal(a, b.to(a.dtype))


@pytest.mark.parametrize("info", list(layouts()), ids=name_of)
def test_differences_are_those_of_rgb(info):
    """Of two pictures with equal differences within each plane."""
    planes = in_gamut(info, 1)
    moved = (2, -3, 1)[: len(planes)]
    others = [plane + by for plane, by in zip(planes, moved, strict=True)]
    expected = to_rgb(others, info) - to_rgb(planes, info)
    for channel, row in enumerate(rgb_differences(info)):
        found = sum(part * by for part, by in zip(row, moved, strict=False))
        assert torch.allclose(expected[:, channel], torch.tensor(found), atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 1), (3, 3), (159, 89), (8, 6)])
@pytest.mark.parametrize("chroma", [Chroma.C420, Chroma.C422])
def test_every_size_survives(size, chroma):
    info = VideoInfo(*size, 8, chroma)
    planes = in_gamut(info, 1)
    assert to_rgb(planes, info).shape == (1, 3, size[1], size[0])
    for a, b in zip(planes, from_rgb(to_rgb(planes, info), info), strict=True):
        assert torch.equal(a, b.to(a.dtype))


def one_pixel(info, *codes):
    return to_rgb([torch.full((1, 1, 1), c) for c in codes], info).flatten().tolist()


@pytest.mark.parametrize(
    ("matrix", "codes"),
    # Full-strength red in limited 8 bit: the published code values of each matrix.
    [(6, (81, 90, 240)), (1, (63, 102, 240)), (9, (74, 97, 240))],
)
def test_red_has_its_published_code_values(matrix, codes):
    info = VideoInfo(1, 1, 8, Chroma.C444, ColorInfo(matrix=matrix, range=Range.LIMITED))
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    assert tuple(int(p) for p in from_rgb(red, info)) == codes
    assert one_pixel(info, *codes) == pytest.approx([1, 0, 0], abs=0.01)


def test_black_and_white_of_each_range():
    limited = VideoInfo(1, 1, 10, Chroma.C444, ColorInfo(range=Range.LIMITED))
    full = replace(limited, color=ColorInfo(range=Range.FULL))
    assert one_pixel(limited, 64, 512, 512) == [0, 0, 0]
    assert one_pixel(limited, 940, 512, 512) == pytest.approx([1, 1, 1])
    assert one_pixel(full, 1023, 512, 512) == pytest.approx([1, 1, 1])
    assert one_pixel(full, 0, 512, 512) == [0, 0, 0]


def test_unspecified_range_is_limited_for_yuv_and_full_for_rgb():
    yuv, rgb = VideoInfo(1, 1, 8, Chroma.C444), VideoInfo(1, 1, 8, Chroma.C444, ColorInfo(matrix=0))
    assert one_pixel(yuv, 16, 128, 128) == [0, 0, 0]
    assert one_pixel(rgb, 51, 102, 255) == pytest.approx([1.0, 0.2, 0.4])  # planes are G, B, R


def test_unspecified_matrix_follows_the_height():
    assert working_matrix(VideoInfo(1280, 719)) == 6
    assert working_matrix(VideoInfo(1280, 720)) == 1
    assert working_matrix(VideoInfo(64, 64, color=ColorInfo(matrix=9))) == 9


def test_ycgco_green():
    info = VideoInfo(1, 1, 8, Chroma.C444, ColorInfo(matrix=8, range=Range.FULL))
    green = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1)
    assert [int(p) for p in from_rgb(green, info)] == [128, 255, 128]


def test_out_of_gamut_codes_are_clamped():
    info = VideoInfo(1, 1, 8, Chroma.C444)
    assert one_pixel(info, 255, 255, 255) == [1.0, pytest.approx(0.4913, abs=1e-3), 1.0]
    assert one_pixel(info, 0, 128, 128) == [0, 0, 0]


def test_wild_rgb_becomes_legal_codes():
    info = VideoInfo(2, 2, 10, Chroma.C420, ColorInfo(range=Range.FULL))
    rgb = torch.tensor([float("nan"), float("inf"), -float("inf"), 7.0]).repeat(3).view(1, 3, 2, 2)
    luma, u, v = from_rgb(rgb, info)
    assert luma.flatten().tolist() == [0, 1023, 0, 1023]
    assert u.item() == v.item() == 512


def test_chroma_is_the_mean_over_the_pixels_that_exist():
    info = VideoInfo(3, 1, 8, Chroma.C420, ColorInfo(matrix=6, range=Range.FULL))
    rgb = torch.zeros(1, 3, 1, 3)
    rgb[0, 2] = torch.tensor([1.0, 0.0, 1.0])  # blue, black, blue
    assert from_rgb(rgb, info)[1].flatten().tolist() == [192, 255]  # half of blue's difference, then all of it


def test_rounding_is_half_up():
    info = VideoInfo(2, 1, 8, Chroma.GRAY, ColorInfo(range=Range.FULL))
    rgb = torch.tensor([2.5 / 255, 3.5 / 255], dtype=torch.float64).repeat(3).view(1, 3, 1, 2)
    step = torch.tensor([1e-6, -1e-6]).view(1, 1, 1, 2)
    assert from_rgb(rgb + step, info)[0].flatten().tolist() == [3, 3]


def test_gray_is_three_equal_channels():
    info = VideoInfo(2, 2, 8, Chroma.GRAY)
    rgb = to_rgb([torch.tensor([[[16, 100], [200, 235]]])], info)
    assert torch.equal(rgb[:, 0], rgb[:, 1]) and torch.equal(rgb[:, 0], rgb[:, 2])


@pytest.mark.parametrize("depth", [8, 10])
def test_frames_to_tensors_and_back(depth):
    info = VideoInfo(5, 3, depth, Chroma.C420)
    rng = np.random.default_rng(depth)
    frames = [
        Frame(tuple(rng.integers(0, info.peak + 1, s).astype(info.dtype) for s in info.plane_shapes), n)
        for n in range(2)
    ]
    stacked = stack_planes(frames)
    assert [tuple(t.shape) for t in stacked] == [(2, *s) for s in info.plane_shapes]
    for frame, planes in zip(frames, split_planes(stacked, info), strict=True):
        assert frame.same_pixels(Frame(planes, 0)) and planes[0].dtype == info.dtype
