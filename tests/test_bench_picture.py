"""Side-by-side pictures, pixel by pixel, and where their crops and colours come from."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from nvcodec.bench.picture import (
    GROUND,
    MARK,
    PANEL,
    TOPS,
    Crop,
    Shot,
    color_table,
    levels,
    luma_error,
    rgb8,
    scale_top,
    side_by_side,
    worst_crop,
)
from nvcodec.errors import UsageError
from nvcodec.video import Chroma, ColorInfo, Frame, Range, VideoInfo

INFO = VideoInfo(80, 48)
AT = Crop(40, 20, 20, 12)  # as large as the default crop


def flat(info, *codes):
    return Frame(tuple(np.full(s, code, info.dtype) for s, code in zip(info.plane_shapes, codes, strict=False)), 0)


def noisy(info, seed):
    rng = np.random.default_rng(seed)
    return Frame(tuple(rng.integers(16, 236, s).astype(info.dtype) for s in info.plane_shapes), 0)


def hurt(frame, crop, by):
    """A copy with another luma within the crop."""
    luma = frame.planes[0].copy()
    crop.of(luma)[...] += np.uint8(by)
    return Frame((luma, *frame.planes[1:]), frame.pts)


def made(crop=None, info=INFO, by=15, name="clip.mp4"):
    one = flat(info, 100, 110, 150)
    return side_by_side(Shot(one, info, name, "reference"), Shot(hurt(one, AT, by), info, "out.nvc", "test"), crop)


def pixels(picture, box):
    return np.asarray(picture.image)[box[1] : box[3], box[0] : box[2]]


# the parts ------------------------------------------------------------------------------------------------------------


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.integers(1, 5), st.integers(1, 5))
def test_worst_crop_is_the_worst(error, width, height):
    crop = worst_crop(error.astype(np.float32), width, height)
    height, width = min(height, error.shape[0]), min(width, error.shape[1])
    assert (crop.width, crop.height) == (width, height)
    square = error.astype(np.int64) ** 2
    sums = [
        (-square[y : y + height, x : x + width].sum(), y, x)
        for y in range(error.shape[0] - height + 1)
        for x in range(error.shape[1] - width + 1)
    ]
    assert -min(sums)[0] == crop.of(square).sum() and (crop.y, crop.x) == min(sums)[1:]


def test_the_map_grows_lighter_with_the_error():
    table = color_table().astype(float) / 255
    linear = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4)
    lightness = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > 0).all() and lightness[0] < 0.001 and lightness[-1] > 0.9
    assert levels(np.array([0, 1, 32, 64, 65, 900]), 64).tolist() == [0, 4, 128, 255, 255, 255]


def test_the_scale_covers_nearly_all():
    assert scale_top(np.zeros((4, 4))) == TOPS[0]
    error = np.full((100, 100), 30.0)
    error[0, :5] = 200
    assert scale_top(error) == 32
    error[0] = 200
    assert scale_top(np.zeros((4, 4)), error) == 256


def test_luma_error_is_in_code_values():
    one, two = noisy(INFO, 1), noisy(INFO, 2)
    error = luma_error(one, two, INFO, INFO)
    assert error.tolist() == np.abs(one.planes[0].astype(int) - two.planes[0]).tolist()
    deep = VideoInfo(80, 48, bit_depth=10)
    wide = Frame(tuple(plane.astype(np.uint16) * 4 for plane in two.planes), 0)
    assert np.allclose(luma_error(one, wide, INFO, deep), error)
    assert np.allclose(luma_error(wide, one, deep, INFO), 4 * error)


def test_luma_error_between_different_kinds_of_code_values():
    full = VideoInfo(80, 48, color=ColorInfo(range=Range.FULL))
    assert luma_error(flat(INFO, 16, 128, 128), flat(full, 0, 128, 128), INFO, full).max() < 1e-3
    rgb = VideoInfo(80, 48, chroma=Chroma.C444, color=ColorInfo(matrix=0, range=Range.FULL))
    error = luma_error(flat(rgb, 100, 50, 200), flat(rgb, 110, 50, 200), rgb, rgb)
    assert error[0, 0] == pytest.approx(7.152, abs=1e-3)


# the picture ----------------------------------------------------------------------------------------------------------


def test_every_panel_has_its_pixels():
    picture = made()
    assert picture.crop == AT, "the crop is where the error is"
    zoom = PANEL[0] // INFO.width
    one, two = flat(INFO, 100, 110, 150), hurt(flat(INFO, 100, 110, 150), AT, 15)
    error = color_table()[levels(luma_error(one, two, INFO, INFO), picture.top)]
    line = 4 * zoom  # what the crop's outline may cover
    for box, frame in zip(picture.frames, (one, two), strict=True):
        whole = rgb8(frame, INFO).repeat(zoom, 0).repeat(zoom, 1)
        shown = pixels(picture, box)
        assert shown.shape == whole.shape
        assert (shown[: AT.y * zoom - line] == whole[: AT.y * zoom - line]).all()
        inside = np.s_[AT.y * zoom : (AT.y + AT.height) * zoom, AT.x * zoom : (AT.x + AT.width) * zoom]
        assert (shown[inside] == whole[inside]).all(), "the outline is around the crop, not on it"
        assert (shown[AT.y * zoom - 1, AT.x * zoom : (AT.x + AT.width) * zoom] == MARK).all()
        assert (shown[AT.y * zoom : (AT.y + AT.height) * zoom, (AT.x + AT.width) * zoom] == MARK).all()
    for box, part in zip(picture.crops, (rgb8(one, INFO), rgb8(two, INFO)), strict=True):
        assert (pixels(picture, box) == AT.of(part).repeat(4 * zoom, 0).repeat(4 * zoom, 1)).all()
    assert (pixels(picture, picture.errors[1]) == AT.of(error).repeat(4 * zoom, 0).repeat(4 * zoom, 1)).all()
    assert (pixels(picture, picture.errors[0])[:3, :3] == color_table()[0]).all()


def test_the_bar_is_the_map_from_end_to_end():
    bar = pixels(made(), made().bar)
    assert (bar[0] == bar[-1]).all()
    assert (bar[0, 0] == color_table()[0]).all() and (bar[0, -1] == color_table()[-1]).all()
    assert len(np.unique(bar[0], axis=0)) == len(np.unique(color_table(), axis=0))


def test_a_crop_that_is_asked_for():
    crop = Crop(3, 5, 10, 8)
    picture = made(crop)
    left, top, right, bottom = picture.crops[0]
    assert picture.crop == crop and right - left == 480 and bottom - top == 384, "48x: 384 lines fill the panel"
    whole = made(Crop(0, 0, INFO.width, INFO.height))
    assert whole.crops[0][2] - whole.crops[0][0] == PANEL[0]


@pytest.mark.parametrize("crop", [Crop(70, 0, 11, 4), Crop(0, 45, 4, 4), Crop(0, 0, 0, 4), Crop(-1, 0, 4, 4)])
def test_a_crop_outside(crop):
    with pytest.raises(UsageError, match="80x48"):
        made(crop)


def test_wide_frames_are_reduced_and_tall_ones_fit():
    wide = made(info=VideoInfo(2 * PANEL[1], 64))
    assert wide.frames[0][2] - wide.frames[0][0] == PANEL[1] and wide.frames[0][3] - wide.frames[0][1] == 32
    tall = made(info=VideoInfo(64, 96))
    assert tall.image.height > tall.bar[3] and tall.frames[0][3] < tall.crops[0][1] < tall.errors[0][1] < tall.bar[1]


def test_long_names_stay_in_their_column():
    name = "n" * 300 + "\n\u202e" + "é" * 5
    picture = made(name=name)
    shown = np.asarray(picture.image)[: picture.frames[0][1]]
    gap = shown[:, picture.frames[0][2] + 1 : picture.frames[1][0] - 1]
    assert (gap == GROUND).all() and (shown[:, : picture.frames[0][2]] != GROUND).any()


def test_equal_frames_and_equal_bytes():
    picture = made(by=0)
    assert picture.crop == Crop(0, 0, 20, 12) and picture.top == TOPS[0]
    assert picture.png() == made(by=0).png()
    assert Image.open(io.BytesIO(picture.png())).size == picture.image.size
