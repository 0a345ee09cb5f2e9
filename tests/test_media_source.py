"""Opening sources made by others: what is converted, repaired, refused, and what is told about it."""

import hashlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_samples import encode, noise, picture, read, same_pixels, write

from nvcodec import limits
from nvcodec.errors import NvcodecError, SourceError
from nvcodec.media.libav_source import Timeline
from nvcodec.media.png import natural_key
from nvcodec.media.source import open_source
from nvcodec.video import Chroma, ColorInfo, Frame, Range, VideoInfo

DATA = Path(__file__).parent / "data"
RNG = np.random.default_rng(5)
W, H = 37, 19


def samples(height, width, top=256, dtype=np.uint8):
    return RNG.integers(0, top, (height, width)).astype(dtype)


def raw(array):
    """Rows of bytes."""
    return np.ascontiguousarray(array).view(np.uint8).reshape(array.shape[0], -1)


def one_frame(path):
    with open_source(path) as source:
        frames = list(source)
        assert len(frames) == 1
        return source, frames[0]


def test_bundled_excerpt():
    with open_source(DATA / "bunny_320x180.mp4") as source:
        assert (source.info.width, source.info.height, source.info.pixel_format) == (320, 180, "yuv420p")
        assert (source.frame_count, source.has_audio, source.info.rate) == (33, False, 25)
        frames = list(source)
        assert [f.pts * source.info.time_base for f in frames] == [Fraction(n, 25) for n in range(33)]
        assert source.digest() == hashlib.sha256((DATA / "bunny_320x180.mp4").read_bytes()).hexdigest()
        assert same_pixels(frames[:3], list(source)[:3]), "a file can be read again"


def test_bundled_odd_excerpt_survives_as_ffv1(tmp_path):
    info, frames = read(DATA / "city_odd_159x89.mp4")
    assert info.plane_shapes == ((89, 159), (45, 80), (45, 80)) and len(frames) == 8
    write(tmp_path / "a.mkv", info, frames)
    again, got = read(tmp_path / "a.mkv")
    assert same_pixels(frames, got)
    assert replace(again, time_base=info.time_base) == info


def test_odd_planes_are_what_pyav_holds():
    _, frames = read(DATA / "city_odd_159x89.mp4")
    with av.open(str(DATA / "city_odd_159x89.mp4")) as container:
        first = next(container.decode(video=0))
        for plane, got in zip(first.planes, frames[0].planes, strict=True):
            lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            assert np.array_equal(lines[: got.shape[0], : got.shape[1]], got)


@pytest.mark.parametrize("name", ["rgb24", "bgr0", "rgba", "gbrp"])
def test_rgb_of_any_order_becomes_gbrp(tmp_path, name):
    r, g, b = samples(H, W), samples(H, W), samples(H, W)
    rows = {
        "rgb24": [raw(np.stack([r, g, b], -1))],
        "bgr0": [raw(np.stack([b, g, r, 0 * r], -1))],
        "rgba": [raw(np.stack([r, g, b, 255 - r], -1))],
        "gbrp": [g, b, r],
    }[name]
    codec = "rawvideo" if name in ("rgba", "gbrp", "rgb24") else "ffv1"
    path = encode(tmp_path / "a.nut", [picture(name, W, H, rows)], codec, name)
    source, frame = one_frame(path)
    assert source.info.pixel_format == "gbrp"
    assert (source.info.color.matrix, source.info.color.range) == (0, Range.FULL)
    assert frame.same_pixels(Frame((g, b, r), 0))
    assert ("alpha is dropped" in source.notes) == (name == "rgba")


def test_nv12_and_yuyv_lose_nothing(tmp_path):
    y, u, v = samples(H, W), samples(10, 19), samples(10, 19)
    path = encode(tmp_path / "a.nut", [picture("nv12", W, H, [y, raw(np.stack([u, v], -1))])], "rawvideo", "nv12")
    source, frame = one_frame(path)
    assert source.info.pixel_format == "yuv420p" and frame.same_pixels(Frame((y, u, v), 0)) and not source.notes
    y, u, v = samples(4, 8), samples(4, 4), samples(4, 4)
    packed = raw(np.stack([y[:, 0::2], u, y[:, 1::2], v], -1))
    path = encode(tmp_path / "b.nut", [picture("yuyv422", 8, 4, [packed])], "rawvideo", "yuyv422")
    source, frame = one_frame(path)
    assert source.info.pixel_format == "yuv422p" and frame.same_pixels(Frame((y, u, v), 0)) and not source.notes


def test_twelve_bit_is_reduced_to_ten_and_told(tmp_path):
    planes = [samples(H, W, 4096, "<u2"), samples(10, 19, 4096, "<u2"), samples(10, 19, 4096, "<u2")]
    rows = [raw(p) for p in planes]
    path = encode(tmp_path / "a.mkv", [picture("yuv420p12le", W, H, rows)], "ffv1", "yuv420p12le")
    source, frame = one_frame(path)
    assert source.info.pixel_format == "yuv420p10le" and source.notes == ["12 bit is reduced to 10 bit"]
    for a, b in zip(planes, frame.planes, strict=True):
        assert b.max() <= 1023 and np.abs(a / 4 - b).max() <= 1


def test_palette_becomes_rgb(tmp_path):
    indices, palette = samples(H, W), samples(256, 4)
    palette[:, 3] = 255  # opaque
    indexed = av.VideoFrame.from_ndarray((indices, palette), format="pal8")
    source, frame = one_frame(encode(tmp_path / "a.nut", [indexed], "png", "pal8"))
    assert source.info.pixel_format == "gbrp"
    colours = palette[indices]  # PyAV gives and takes a palette as B, G, R, A or A, R, G, B by version: compare as sets
    assert {p.tobytes() for p in frame.planes} < {colours[:, :, n].tobytes() for n in range(4)}


def test_yuvj_is_full_range(tmp_path):
    y, u, v = samples(H, W), samples(10, 19), samples(10, 19)
    path = encode(tmp_path / "a.avi", [picture("yuvj420p", W, H, [y, u, v])], "mjpeg", "yuvj420p")
    info, _ = read(path)
    assert (info.pixel_format, info.color.range) == ("yuv420p", Range.FULL)


def plain(count, pixel_format="yuv420p", width=16, height=16):
    return [av.VideoFrame(width, height, pixel_format) for _ in range(count)]


def test_rate_replaces_time_stamps(tmp_path):
    path = encode(tmp_path / "a.mkv", plain(3), "ffv1", "yuv420p", rate=7)
    info, frames = read(path, rate=Fraction(30000, 1001))
    assert info.rate == Fraction(30000, 1001)
    assert [f.pts * info.time_base for f in frames] == [Fraction(1001 * n, 30000) for n in range(3)]
    with pytest.raises(SourceError, match="frame rate"):
        open_source(path, rate=0)


def silence():
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
    frame.sample_rate = 8000
    return frame


def test_audio_is_seen(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as output:
        video, audio = output.add_stream("ffv1", rate=25), output.add_stream("pcm_s16le", rate=8000)
        video.width, video.height, video.pix_fmt = 16, 16, "yuv420p"
        output.mux(video.encode(plain(1)[0]))
        output.mux(audio.encode(silence()))
        output.mux(video.encode(None))
    with open_source(tmp_path / "a.mkv") as source:
        assert source.has_audio and len(list(source)) == 1


def test_sound_alone_is_refused(tmp_path):
    with av.open(str(tmp_path / "a.wav"), "w") as output:
        audio = output.add_stream("pcm_s16le", rate=8000)
        output.mux(audio.encode(silence()))
    with pytest.raises(SourceError, match="no video stream"):
        open_source(tmp_path / "a.wav")


def test_a_cover_picture_is_no_video(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as output:
        audio, cover = output.add_stream("aac", rate=8000), output.add_stream("png", rate=25)
        audio.layout = "mono"
        cover.width, cover.height, cover.pix_fmt = 16, 16, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        output.mux(cover.encode(plain(1, "rgb24")[0]))
        output.mux(audio.encode(silence()))
        for stream in (audio, cover):
            output.mux(stream.encode(None))
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert len(container.streams.video) == 1
    with pytest.raises(SourceError, match="no video stream"):
        open_source(tmp_path / "a.mp4")


def test_interlaced_video_is_told(tmp_path):
    def prepare(stream):
        stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct

    path = encode(tmp_path / "a.mpg", plain(2, width=64, height=64), "mpeg2video", "yuv420p", prepare=prepare)
    with open_source(path) as source:
        assert source.notes == ["interlaced video is coded as whole frames"]


@pytest.mark.parametrize(
    ("stamps", "want"),
    [
        ([0, 10, 20], [0, 10, 20]),
        ([None, None, None], [0, 10, 20]),
        ([5, None, 25], [5, 15, 25]),
        ([0, 10, 10, 20], [0, 10, 20, 30]),
        ([100, 110, 0, 10, 25], [100, 110, 120, 130, 145]),
        ([-30, -20], [-30, -20]),
    ],
)
def test_time_stamps_are_made_to_increase(stamps, want):
    timeline = Timeline(10)
    assert [timeline(s) for s in stamps] == want
    assert (timeline.repaired > 0) == (stamps != want)


def test_wild_time_stamps_are_refused():
    with pytest.raises(SourceError, match="out of range"):
        Timeline(1)(limits.MAX_PTS + 1)


def test_a_stream_without_time_stamps_gets_them(tmp_path):
    source = DATA / "bunny_320x180.mp4"
    with av.open(str(source)) as container, av.open(str(tmp_path / "a.h264"), "w", format="h264") as output:
        stream = container.streams.video[0]
        to_annex_b = av.BitStreamFilterContext("h264_mp4toannexb", stream)
        copy = output.add_stream_from_template(stream)
        for packet in container.demux(stream):
            for part in to_annex_b.filter(packet if packet.size else None):
                part.stream = copy
                output.mux(part)
    info, frames = read(tmp_path / "a.h264", rate=25)
    assert [f.pts * info.time_base for f in frames] == [Fraction(n, 25) for n in range(33)]
    info, frames = read(tmp_path / "a.h264")
    stamps = [f.pts for f in frames]
    assert len(stamps) == 33 and all(b > a for a, b in zip(stamps, stamps[1:], strict=False))


def test_a_change_of_size_is_refused_with_the_frame(tmp_path):
    for number, size in enumerate((16, 32)):
        pictures = plain(2, width=size, height=16)
        encode(tmp_path / f"{number}.mpg", pictures, "mpeg1video", "yuv420p", container="mpeg1video")
    (tmp_path / "a.mpg").write_bytes(b"".join((tmp_path / f"{n}.mpg").read_bytes() for n in range(2)))
    with open_source(tmp_path / "a.mpg") as source, pytest.raises(SourceError, match=r"frame \d is 32x16"):
        list(source)


def test_hostile_files_end_in_one_line_or_in_frames(tmp_path):
    """Cut and damaged copies of a real file: never another exception, never a wrong shape."""
    whole = (DATA / "city_odd_159x89.mp4").read_bytes()
    rng = np.random.default_rng(3)
    errors = 0
    for trial in range(30):
        data = bytearray(whole)
        if trial % 2:
            data = data[: int(rng.integers(1, len(data)))]
        for at in rng.integers(0, len(data), 40):
            data[at] = int(rng.integers(256))
        (tmp_path / "a.mp4").write_bytes(data)
        try:
            info, frames = read(tmp_path / "a.mp4")
            assert all(tuple(p.shape for p in f.planes) == info.plane_shapes for f in frames)
            assert all(b.pts > a.pts for a, b in zip(frames, frames[1:], strict=False))
        except NvcodecError as exc:
            errors += 1
            assert "\n" not in str(exc) and "a.mp4" in str(exc)
    assert errors


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.mp4", None, "no such file"),
        ("empty.mp4", b"", "is empty"),
        ("random.mp4", bytes(range(256)) * 8, "Invalid data"),
        ("coded.nvc", b"\x9dNVC\r\n\x1a\n" + bytes(40), "nvc decode"),
    ],
)
def test_not_a_video(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=words) as caught:
        open_source(tmp_path / name)
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_names_with_colons_and_percent_signs(tmp_path):
    info = VideoInfo(6, 4, 8, Chroma.C420)
    for name in ("http:x.mkv", "a%03d.mkv"):
        write(tmp_path / name, info, noise(info, [0, 1]))
        assert len(read(tmp_path / name)[1]) == 2
    write(tmp_path / "d%02d", replace(info, chroma=Chroma.C444, color=ColorInfo(matrix=0)), noise(info, []))
    assert (tmp_path / "d%02d").is_dir()


# PNG folders


def gray_folder(path, count=12):
    info = VideoInfo(5, 3, 8, Chroma.GRAY, ColorInfo(range=Range.FULL))
    frames = noise(info, range(count))
    write(path, info, frames)
    return frames


def test_png_folder_in_natural_order_without_padding(tmp_path):
    frames = gray_folder(tmp_path / "p")
    for number in range(12):
        (tmp_path / "p" / f"frame_{number + 1:06d}.png").rename(tmp_path / "p" / f"shot{number}.PNG")
    (tmp_path / "p" / "notes.txt").write_text("not a picture")
    info, got = read(tmp_path / "p", rate=30)
    assert same_pixels(frames, got) and info.rate == 30 and info.time_base == Fraction(1, 30)


def test_natural_order():
    names = ["a10.png", "a2.png", "a1b.png", "a1.png", "b.png", "10.png", "9.png"]
    assert sorted(names, key=natural_key) == ["9.png", "10.png", "a1.png", "a1b.png", "a2.png", "a10.png", "b.png"]


def test_png_of_another_size_is_refused_by_name(tmp_path):
    gray_folder(tmp_path / "p", 2)
    info = VideoInfo(6, 3, 8, Chroma.GRAY, ColorInfo(range=Range.FULL))
    write(tmp_path / "q", info, noise(info, [0]))
    (tmp_path / "q" / "frame_000001.png").rename(tmp_path / "p" / "frame_000003.png")
    with open_source(tmp_path / "p") as source, pytest.raises(SourceError, match=r"frame_000003.png: 6x3"):
        list(source)


def test_png_of_another_kind_or_damaged_is_refused_by_name(tmp_path):
    gray_folder(tmp_path / "p", 2)
    info = VideoInfo(5, 3, 8, Chroma.C444, ColorInfo(matrix=0, range=Range.FULL))
    write(tmp_path / "q", info, noise(info, [0]))
    (tmp_path / "q" / "frame_000001.png").rename(tmp_path / "p" / "frame_000003.png")
    with open_source(tmp_path / "p") as source, pytest.raises(SourceError, match=r"frame_000003.png: rgb24"):
        list(source)
    (tmp_path / "p" / "frame_000002.png").write_bytes(b"\x89PNG")
    with open_source(tmp_path / "p") as source, pytest.raises(SourceError, match="frame_000002.png: not a readable"):
        list(source)


def test_empty_folder_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"no \.png files"):
        open_source(tmp_path)


def test_png_digest_depends_on_names_and_content(tmp_path):
    gray_folder(tmp_path / "p", 2)
    before = open_source(tmp_path / "p").digest()
    assert before == open_source(tmp_path / "p").digest()
    (tmp_path / "p" / "frame_000002.png").rename(tmp_path / "p" / "frame_000003.png")
    assert open_source(tmp_path / "p").digest() != before
