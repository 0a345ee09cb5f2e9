"""Frames to a file to frames: every layout, size, clock, orientation and colour that the outputs hold."""

from dataclasses import replace
from fractions import Fraction

import av
import pytest
from media_samples import noise, read, same_pixels, seconds, write

from nvcodec.errors import TargetError
from nvcodec.video import Chroma, ColorInfo, Range, VideoInfo

NTSC = Fraction(30000, 1001)
HDR = ColorInfo(primaries=9, transfer=16, matrix=9, range=Range.LIMITED)
RGB = ColorInfo(primaries=1, transfer=13, matrix=0, range=Range.FULL)


def info_of(chroma, depth, size=(35, 21), **changes):
    color = RGB if chroma == "rgb" else HDR
    info = VideoInfo(*size, depth, Chroma.C444 if chroma == "rgb" else chroma, color, Fraction(1, 30000), NTSC)
    return replace(info, **changes)


@pytest.mark.parametrize("size", [(1, 1), (35, 21), (159, 89), (16, 12)])
@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("chroma", [*Chroma, "rgb"])
def test_mkv_keeps_every_layout_and_size(tmp_path, chroma, depth, size):
    info = info_of(chroma, depth, size)
    frames = noise(info, [1001 * n for n in range(4)])
    write(tmp_path / "a.mkv", info, frames)
    got_info, got = read(tmp_path / "a.mkv")
    assert same_pixels(frames, got)
    assert replace(got_info, time_base=info.time_base) == info
    assert all(
        abs(a - b) <= Fraction(1, 2000) for a, b in zip(seconds(info, frames), seconds(got_info, got), strict=True)
    )


@pytest.mark.parametrize(
    ("chroma", "depth", "size"),
    [
        (Chroma.C420, 8, (36, 20)),
        (Chroma.C420, 10, (36, 20)),
        (Chroma.C422, 8, (36, 21)),
        (Chroma.C422, 10, (36, 21)),
        (Chroma.C444, 8, (35, 21)),
        (Chroma.C444, 10, (35, 21)),
        ("rgb", 8, (35, 21)),
    ],
)
def test_mp4_keeps_samples_time_and_colour_exactly(tmp_path, chroma, depth, size):
    info = info_of(chroma, depth, size, sample_aspect=Fraction(16, 11), rotation=270)
    frames = noise(info, [1001 * n for n in range(4)])
    write(tmp_path / "a.mp4", info, frames)
    got_info, got = read(tmp_path / "a.mp4")
    assert same_pixels(frames, got)
    assert seconds(info, frames) == seconds(got_info, got)
    # H.264 infers left siting for 4:2:2 where none is given.
    located = replace(got_info.color, chroma_location=0)
    assert replace(got_info, time_base=info.time_base, color=located if chroma is Chroma.C422 else got_info.color) == (
        replace(info, color=replace(info.color, chroma_location=1)) if chroma is Chroma.C420 else info
    )


@pytest.mark.parametrize(
    ("chroma", "depth", "size", "why"),
    [
        (Chroma.C420, 8, (35, 20), "odd size"),
        (Chroma.C422, 8, (35, 20), "odd size"),
        ("rgb", 10, (36, 20), "10 bit RGB"),
        (Chroma.GRAY, 8, (36, 20), "gray"),
    ],
)
def test_mp4_names_the_way_out_for_what_it_cannot_hold(tmp_path, chroma, depth, size, why):
    with pytest.raises(TargetError, match=rf"{why}.*\.mkv"):
        write(tmp_path / "a.mp4", info_of(chroma, depth, size), [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [(1, 1), (35, 21), (16, 12)])
@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("chroma", Chroma)
def test_y4m_keeps_every_yuv_layout_and_size(tmp_path, chroma, depth, size):
    info = info_of(chroma, depth, size, color=ColorInfo(range=Range.FULL), sample_aspect=Fraction(16, 11))
    frames = noise(info, [1001 * n for n in range(3)])
    write(tmp_path / "a.y4m", info, frames)
    got_info, got = read(tmp_path / "a.y4m")
    assert same_pixels(frames, got)
    assert replace(got_info, time_base=info.time_base) == info
    assert seconds(info, frames) == seconds(got_info, got)


@pytest.mark.parametrize(("depth", "chroma"), [(8, "rgb"), (10, "rgb"), (8, Chroma.GRAY), (10, Chroma.GRAY)])
def test_png_folder_keeps_full_range_rgb_and_gray_exactly(tmp_path, depth, chroma):
    color = RGB if chroma == "rgb" else ColorInfo(range=Range.FULL)
    info = info_of(chroma, depth, color=color, time_base=Fraction(1, 25), rate=Fraction(25))
    frames = noise(info, range(12))
    write(tmp_path / "pictures", info, frames)
    got_info, got = read(tmp_path / "pictures")
    assert same_pixels(frames, got)
    assert [f.pts for f in got] == list(range(12))
    kept = replace(info, color=ColorInfo(matrix=0 if info.is_rgb else 2, range=Range.FULL))
    assert got_info == kept


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_variable_rate_survives(tmp_path, suffix):
    info = info_of(Chroma.C444, 8, time_base=Fraction(1, 1000), rate=Fraction(20))
    stamps = [0, 40, 50, 133, 134, 1000, 1500]
    frames = noise(info, stamps)
    write(tmp_path / f"a.{suffix}", info, frames)
    got_info, got = read(tmp_path / f"a.{suffix}")
    assert same_pixels(frames, got)
    assert seconds(got_info, got) == [Fraction(s, 1000) for s in stamps]


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
@pytest.mark.parametrize("start", [540, 3600])
def test_a_late_start_survives(tmp_path, suffix, start):
    info = info_of(Chroma.C444, 8, time_base=Fraction(1, 90), rate=Fraction(10))
    frames = noise(info, [start, start + 9, start + 18])
    write(tmp_path / f"a.{suffix}", info, frames)
    assert seconds(*read(tmp_path / f"a.{suffix}")) == seconds(info, frames)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_negative_time_stamps_are_moved_and_told(tmp_path, suffix):
    info = info_of(Chroma.C444, 8, time_base=Fraction(1, 100), rate=Fraction(10))
    sink = write(tmp_path / f"a.{suffix}", info, noise(info, [-20, -10, 0, 10]))
    assert seconds(*read(tmp_path / f"a.{suffix}")) == [Fraction(n, 10) for n in range(4)]
    assert any("start at 0" in note for note in sink.notes)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_survives_and_is_not_baked_in(tmp_path, suffix, rotation):
    info = info_of(Chroma.C444, 8, rotation=rotation)
    frames = noise(info, [0, 1001])
    write(tmp_path / f"a.{suffix}", info, frames)
    got_info, got = read(tmp_path / f"a.{suffix}")
    assert got_info.rotation == rotation
    assert same_pixels(frames, got)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "y4m"])
@pytest.mark.parametrize("aspect", [None, Fraction(1), Fraction(4, 3), Fraction(16, 11), Fraction(128, 117)])
def test_sample_aspect_survives(tmp_path, suffix, aspect):
    color = HDR if suffix != "y4m" else ColorInfo()
    info = info_of(Chroma.C444, 8, sample_aspect=aspect, color=color)
    frames = noise(info, [0, 1001, 2002])
    write(tmp_path / f"a.{suffix}", info, frames)
    got_info, got = read(tmp_path / f"a.{suffix}")
    assert got_info.sample_aspect == aspect
    assert same_pixels(frames, got)


def test_the_aspect_leaves_a_matroska_file_that_others_read(tmp_path):
    info = info_of(Chroma.C444, 8, sample_aspect=Fraction(16, 11))
    write(tmp_path / "a.mkv", info, noise(info, [0, 1001]))
    with av.open(str(tmp_path / "a.mkv"), options={"err_detect": "crccheck+explode"}) as container:
        stream = container.streams.video[0]
        assert stream.sample_aspect_ratio == Fraction(16, 11)
        assert "title" not in stream.metadata
        assert len(list(container.decode(stream))) == 2


@pytest.mark.parametrize(
    ("suffix", "location"), [(s, n) for s in ("mkv", "mp4") for n in (1, 2, 3)] + [("y4m", n) for n in (0, 1, 2, 3)]
)
def test_chroma_siting_survives(tmp_path, suffix, location):
    color = ColorInfo(range=Range.LIMITED, chroma_location=location)
    info = info_of(Chroma.C420, 8, (36, 20), color=color)
    write(tmp_path / f"a.{suffix}", info, noise(info, [0, 1001]))
    assert read(tmp_path / f"a.{suffix}")[0].color == color


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
@pytest.mark.parametrize(
    "color",
    [
        ColorInfo(),
        ColorInfo(1, 1, 1, Range.LIMITED),
        ColorInfo(5, 6, 5, Range.FULL),
        ColorInfo(6, 6, 6, Range.LIMITED),
        ColorInfo(9, 18, 9, Range.LIMITED),
        ColorInfo(2, 2, 2, Range.FULL),
    ],
)
def test_colour_description_survives(tmp_path, suffix, color):
    info = info_of(Chroma.C444, 8, color=color)
    write(tmp_path / f"a.{suffix}", info, noise(info, [0, 1001]))
    assert read(tmp_path / f"a.{suffix}")[0].color == color


def test_y4m_says_what_it_cannot_hold(tmp_path):
    info = info_of(Chroma.C420, 10, rotation=90, color=replace(HDR, chroma_location=3))
    notes = " ".join(write(tmp_path / "a.y4m", info, noise(info, [0])).notes)
    assert all(word in notes for word in ("primaries", "rotation", "siting"))


def test_y4m_refuses_a_variable_rate_and_rgb_and_names_mkv(tmp_path):
    info = info_of(Chroma.C420, 8)
    with pytest.raises(TargetError, match=r"frame 2 .*\.mkv"):
        write(tmp_path / "a.y4m", info, noise(info, [0, 1001, 3003]))
    with pytest.raises(TargetError, match=r"RGB.*\.mkv"):
        write(tmp_path / "b.y4m", info_of("rgb", 8), [])
    assert not list(tmp_path.iterdir())


def test_y4m_takes_time_stamps_rounded_to_milliseconds(tmp_path):
    info = info_of(Chroma.C420, 8, time_base=Fraction(1, 1000), color=ColorInfo())
    stamps = [round(n * 1000 / NTSC) for n in range(100)]
    write(tmp_path / "a.y4m", replace(info, width=2, height=2), noise(replace(info, width=2, height=2), stamps))
    assert read(tmp_path / "a.y4m")[0].rate == NTSC


@pytest.mark.parametrize("rate", [None, Fraction(60)])
def test_y4m_takes_the_rate_from_the_frames_when_the_nominal_one_is_missing_or_wrong(tmp_path, rate):
    info = info_of(Chroma.C420, 8, time_base=Fraction(1, 90000), rate=rate, color=ColorInfo())
    write(tmp_path / "a.y4m", info, noise(info, [7, 3607, 7207]))
    assert read(tmp_path / "a.y4m")[0].rate == 25


def test_mkv_refuses_what_milliseconds_cannot_tell_apart(tmp_path):
    info = info_of(Chroma.C420, 8, time_base=Fraction(1, 10000))
    with pytest.raises(TargetError, match=r"millisecond.*\.mp4"):
        write(tmp_path / "a.mkv", info, noise(info, [0, 1]))
    assert not list(tmp_path.iterdir())


def test_limited_range_becomes_viewable_rgb_in_png(tmp_path):
    info = VideoInfo(6, 4, 8, Chroma.C420, ColorInfo(matrix=6, range=Range.LIMITED))
    frame = noise(info, [0])[0]
    frame.planes[0][:], frame.planes[1][:], frame.planes[2][:] = 235, 128, 128
    sink = write(tmp_path / "p", info, [frame])
    got_info, got = read(tmp_path / "p")
    assert got_info.is_rgb and all((p == 255).all() for p in got[0].planes)
    assert any("converted" in note for note in sink.notes)
