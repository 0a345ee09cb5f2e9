"""Headerless .yuv files: what the name says, and files that do not hold what it says."""

import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_samples import noise, read, same_pixels

from nvcodec.errors import LimitError, NvcodecError, SourceError
from nvcodec.media.raw import parse_name
from nvcodec.media.source import open_source
from nvcodec.media.y4m import frame_parts
from nvcodec.video import Chroma, Range, VideoInfo

DATA = Path(__file__).parent / "data"
ODD = "clip_7x5_50fps"


def write_raw(path, frames):
    path.write_bytes(b"".join(part for frame in frames for part in frame_parts(frame)))


@pytest.mark.parametrize(
    ("name", "size", "rate", "pixel_format"),
    [
        ("Beauty_1920x1080_120fps_420_8bit_YUV", (1920, 1080), 120, "yuv420p"),
        ("Jockey_3840x2160_120fps_420_10bit_YUV", (3840, 2160), 120, "yuv420p10le"),
        ("foreman_352x288_30", (352, 288), 30, "yuv420p"),
        ("BasketballDrill_832x480_50", (832, 480), 50, "yuv420p"),
        ("PeopleOnStreet_2560x1600_30_crop", (2560, 1600), 30, "yuv420p"),
        ("SteamLocomotiveTrain_2560x1600_60_10bit_crop", (2560, 1600), 60, "yuv420p10le"),
        ("Tango2_3840x2160_60fps_10bit_420", (3840, 2160), 60, "yuv420p10le"),
        ("sc_flyingGraphics_1920x1080_60_8bit_444", (1920, 1080), 60, "yuv444p"),
        ("Campfire_3840x2160_30fps_10bit_bt709_420_videoRange", (3840, 2160), 30, "yuv420p10le"),
        ("akiyo_qcif", (176, 144), None, "yuv420p"),
        ("bus_cif-15hz", (352, 288), 15, "yuv420p"),
        ("x 64x48 29.97 gray10le", (64, 48), Fraction(30000, 1001), "gray10le"),
        ("422_game_64x48_12.5fps_gbrp", (64, 48), Fraction(25, 2), "gbrp"),
        ("a_64x48_400", (64, 48), None, "gray"),
    ],
)
def test_names_in_use(name, size, rate, pixel_format):
    for spelled in (name + ".yuv", name.upper() + ".YUV", f"/data_1x1_5/{name}.yuv"):
        info = parse_name(spelled)
        assert (info.width, info.height) == size and info.pixel_format == pixel_format
        assert info.rate == rate and info.time_base == 1 / Fraction(rate or 25)
    assert info.color.range is (Range.FULL if pixel_format == "gbrp" else Range.UNSPECIFIED)


LAYOUTS = st.tuples(st.sampled_from([8, 10]), st.sampled_from(Chroma))
RATES = st.one_of(st.none(), st.integers(1, 999), st.sampled_from([Fraction(n, 1001) for n in (24000, 30000, 60000)]))


@given(
    st.tuples(st.integers(1, 8192), st.integers(1, 8192)),
    RATES,
    LAYOUTS,
    st.sampled_from(["fps", "Hz", ""]),
    st.permutations(range(3)),
    st.sampled_from(["_", "-", " "]),
    st.booleans(),
)
def test_what_is_put_into_a_name_comes_out(size, rate, layout, unit, order, mark, by_format):
    bits, chroma = layout
    want = VideoInfo(*size, bits, chroma, time_base=1 / Fraction(rate or 25), rate=rate)
    sampling = {Chroma.GRAY: "400", Chroma.C420: "420", Chroma.C422: "422", Chroma.C444: "444"}[chroma]
    words = [want.pixel_format, "x"] if by_format else [f"{bits}bit", sampling]
    if rate is not None:
        number = f"{float(rate):.3f}".rstrip("0").rstrip(".") if isinstance(rate, Fraction) else str(rate)
        if not unit and number in ("400", "420", "422", "444"):
            unit = "fps"
        words.insert(0, number + unit)
    if unit:  # a bare number has to follow the size
        words = [words[n] for n in order if n < len(words)]
    assert parse_name(mark.join(["Clip", "{}x{}".format(*size), *words]) + ".yuv") == want


@given(st.text(max_size=60))
def test_any_name_is_read_or_refused_in_one_line(name):
    try:
        parse_name(f"{name}_64x48_25.yuv".replace("\x00", ""))
    except NvcodecError as error:
        assert "\n" not in str(error).replace(name, "")


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("beauty.yuv", SourceError, "needs its size in its name; name it like clip_1920x1080_25fps_420_8bit.yuv"),
        ("a_64x48_32x24.yuv", SourceError, "two sizes, 64x48 and 32x24"),
        ("a_64x48_30fps_25fps.yuv", SourceError, "two rates, 30 and 25"),
        ("a_8bit_64x48_10bit.yuv", SourceError, "two depths"),
        ("a_64x48_420_444.yuv", SourceError, "two chroma formats"),
        ("a_64x48_yuv420p_10bit.yuv", SourceError, "10 bit and yuv420p"),
        ("a_64x48_yuv420p_444.yuv", SourceError, "444 and yuv420p"),
        ("a_64x48_12bit.yuv", SourceError, "convert it to 8 or 10 bit"),
        ("a_64x48_nv12.yuv", SourceError, "nv12 is not planar YUV; convert it"),
        ("a_64x48_0fps.yuv", SourceError, "a frame rate of 0"),
        ("a_0x48.yuv", LimitError, "0x48"),
        ("a_99999x48.yuv", LimitError, "99999x48"),
    ],
)
def test_names_that_cannot_be_followed(name, error, words):
    with pytest.raises(error, match=words) as caught:
        parse_name(name)
    assert "\n" not in str(caught.value) and name in str(caught.value)


@pytest.mark.parametrize("chroma", Chroma)
@pytest.mark.parametrize("bits", [8, 10])
def test_frames_of_every_layout_come_back(tmp_path, bits, chroma):
    info = VideoInfo(7, 5, bits, chroma, time_base=Fraction(1, 50), rate=Fraction(50))
    frames = noise(info, range(3))
    path = tmp_path / f"{ODD}_{info.pixel_format}.yuv"
    write_raw(path, frames)
    with open_source(path) as source:
        assert source.info == info and source.frame_count == 3 and not source.notes
        got = list(source)
        assert same_pixels(got, frames) and [f.pts for f in got] == [0, 1, 2]
        assert all(p.dtype == info.dtype for f in got for p in f.planes)
        assert same_pixels(list(source), frames), "a file can be read again"


def test_real_frames_are_those_of_the_mp4(tmp_path):
    info, frames = read(DATA / "bunny_320x180.mp4")
    write_raw(tmp_path / "bunny_320x180_25.yuv", frames[:4])
    again, got = read(tmp_path / "bunny_320x180_25.yuv")
    assert same_pixels(got, frames[:4]) and again.rate == info.rate


def test_ten_bit_is_little_endian(tmp_path):
    (tmp_path / "a_2x1_10bit_400.yuv").write_bytes(bytes([1, 2, 255, 3]))
    _, frames = read(tmp_path / "a_2x1_10bit_400.yuv")
    assert np.array_equal(frames[0].planes[0], [[513, 1023]])


def test_eight_bit_files_named_ten_are_told(tmp_path):
    info, frames = read(DATA / "bunny_320x180.mp4")
    write_raw(tmp_path / "bunny_320x180_25_10bit.yuv", frames[:2])
    with open_source(tmp_path / "bunny_320x180_25_10bit.yuv") as source, pytest.raises(SourceError, match="over 1023"):
        list(source)


@pytest.mark.parametrize("size", [1, 66, 68, 67 * 3 - 1])
def test_a_partial_frame_is_refused_with_the_numbers(tmp_path, size):
    path = tmp_path / f"{ODD}.yuv"  # 7 x 5 + 2 x 4 x 3 = 59 bytes a frame
    path.write_bytes(bytes(size))
    frames, rest = divmod(size, 59)
    want = rf"its {size} bytes are {frames} frames of 59 bytes and {rest} more; if it is not 7x5 yuv420p, name it"
    with pytest.raises(SourceError, match=want):
        open_source(path)


def test_a_file_that_shrinks_while_it_is_read(tmp_path):
    path = tmp_path / f"{ODD}.yuv"
    path.write_bytes(bytes(59 * 3))
    with open_source(path) as source:
        frames = iter(source)
        next(frames)
        path.write_bytes(bytes(60))
        with pytest.raises(SourceError, match="ends inside frame"):
            list(source)


def test_the_rate_is_given_or_assumed_and_told(tmp_path):
    path = tmp_path / "clip_7x5.yuv"
    path.write_bytes(bytes(59))
    with open_source(path) as source:
        assert source.info.rate is None and source.notes == ["the name has no frame rate; 25 is assumed"]
    with open_source(path, rate=60) as source:
        assert source.info.rate == 60 and source.info.time_base == Fraction(1, 60) and not source.notes


def test_y4m_in_disguise_is_y4m(tmp_path):
    (tmp_path / "anything.yuv").write_bytes(b"YUV4MPEG2 W2 H2 F5:1\nFRAME\n" + bytes(6))
    info, frames = read(tmp_path / "anything.yuv")
    assert info.rate == 5 and len(frames) == 1


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "clip_320x180_25.yuv"
    frame = 320 * 180 * 3 // 2
    path.write_bytes(bytes(frame * 100))
    tracemalloc.start()
    with open_source(path) as source:
        assert sum(1 for _ in source) == 100
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * frame
