"""The y4m format: headers to the letter, hostile bytes, and pipes."""

import io
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_samples import noise, read, same_pixels, write

from nvcodec import limits
from nvcodec.errors import LimitError, NvcodecError, SourceError, TargetError
from nvcodec.media.sink import open_sink
from nvcodec.media.source import open_source
from nvcodec.media.y4m import format_header, parse_header, read_frames, read_header
from nvcodec.video import Chroma, ColorInfo, Range, VideoInfo

ROOT = Path(__file__).parents[1]
INFO = VideoInfo(5, 3, 8, Chroma.C420, time_base=Fraction(1, 25), rate=Fraction(25))


def test_header_is_written_to_the_letter():
    info = VideoInfo(159, 89, 8, Chroma.C420, ColorInfo(range=Range.LIMITED, chroma_location=1))
    info = replace(info, sample_aspect=Fraction(16, 11))
    assert format_header(info, Fraction(30000, 1001)) == (
        b"YUV4MPEG2 W159 H89 F30000:1001 Ip A16:11 C420mpeg2 XCOLORRANGE=LIMITED\n"
    )
    assert format_header(VideoInfo(2, 2, 10, Chroma.C422), Fraction(25)) == b"YUV4MPEG2 W2 H2 F25:1 Ip A0:0 C422p10\n"
    assert b" Cmono10\n" in format_header(VideoInfo(2, 2, 10, Chroma.GRAY), Fraction(25))


def test_frames_are_written_to_the_letter(tmp_path):
    info = replace(INFO, width=3, height=1, bit_depth=10)
    write(tmp_path / "a.y4m", info, noise(info, [0]))
    frame = noise(info, [0])[0]
    head, _, body = (tmp_path / "a.y4m").read_bytes().partition(b"\n")
    assert head == b"YUV4MPEG2 W3 H1 F25:1 Ip A0:0 C420p10"
    assert body == b"FRAME\n" + b"".join(int(v).to_bytes(2, "little") for p in frame.planes for v in p.flat)


def test_ffmpeg_reads_what_is_written(tmp_path):
    info = replace(INFO, width=159, height=89)
    frames = noise(info, range(3))
    write(tmp_path / "a.y4m", info, frames)
    with av.open(str(tmp_path / "a.y4m")) as container:
        pictures = list(container.decode(video=0))
        assert len(pictures) == 3 and pictures[0].format.name == "yuv420p"
        rows = bytes(memoryview(pictures[2].planes[0]))
        size = pictures[2].planes[0].line_size
        assert b"".join(rows[n * size : n * size + 159] for n in range(89)) == frames[2].planes[0].tobytes()


@pytest.mark.parametrize(
    ("tags", "layout", "bits", "location"),
    [
        ("", Chroma.C420, 8, 2),
        (" C420", Chroma.C420, 8, 0),
        (" C420jpeg", Chroma.C420, 8, 2),
        (" C420mpeg2", Chroma.C420, 8, 1),
        (" C420paldv", Chroma.C420, 8, 3),
        (" C422", Chroma.C422, 8, 0),
        (" C444", Chroma.C444, 8, 0),
        (" Cmono", Chroma.GRAY, 8, 0),
        (" C420p10 XYSCSS=420P10", Chroma.C420, 10, 0),
        (" C444p12", Chroma.C444, 10, 0),
    ],
)
def test_colour_space_tags(tags, layout, bits, location):
    info = parse_header(b"YUV4MPEG2 W4 H2 F25:1" + tags.encode()).info
    assert (info.chroma, info.bit_depth, info.color.chroma_location) == (layout, bits, location)


def test_header_fields():
    header = parse_header(b"YUV4MPEG2 W4 H2 F30000:1001 It A4:3 C422 XCOLORRANGE=FULL XSOMETHING")
    info = header.info
    assert (info.width, info.height, info.rate, info.time_base) == (4, 2, Fraction(30000, 1001), Fraction(1001, 30000))
    assert (info.sample_aspect, info.color.range) == (Fraction(4, 3), Range.FULL)
    assert header.notes == ["interlaced video is coded as whole frames"]
    unknown = parse_header(b"YUV4MPEG2 W4 H2 F0:0")
    assert (unknown.info.rate, unknown.info.time_base) == (None, Fraction(1, 25)) and len(unknown.notes) == 1


@pytest.mark.parametrize(
    "header",
    [
        b"YUV4MPEG W4 H2",
        b"YUV4MPEG2 W4",
        b"YUV4MPEG2 H2",
        b"YUV4MPEG2 W H2",
        b"YUV4MPEG2 W-4 H2",
        b"YUV4MPEG2 W4.0 H2",
        b"YUV4MPEG2 W4 H2 W4",
        b"YUV4MPEG2 W4 H2 F25",
        b"YUV4MPEG2 W4 H2 F25:-1",
        b"YUV4MPEG2 W4 H2 F9999999999:1",
        b"YUV4MPEG2 W4 H2 Ax:y",
        b"YUV4MPEG2 W4 H2 C411",
        b"YUV4MPEG2 W4 H2 Crgb",
        b"YUV4MPEG2 W4 H2 C420p11",
        b"YUV4MPEG2 W4 H2 \xff",
        b"YUV4MPEG2 W4 H2 X" + b"x" * 256,
    ],
)
def test_broken_headers_are_refused(header):
    with pytest.raises(SourceError) as caught:
        parse_header(header)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [(0, 2), (2, 0), (limits.MAX_DIMENSION + 1, 1), (2**14, 2**13), (9999999999, 1)])
def test_sizes_over_the_caps_are_refused(size):
    with pytest.raises(LimitError):
        parse_header(f"YUV4MPEG2 W{size[0]} H{size[1]} F25:1".encode())


def stream(frames, header=b"YUV4MPEG2 W3 H1 F25:1 C420mpeg2\n", mark=b"FRAME\n"):
    return header + b"".join(mark + bytes([n] * 7) for n in range(frames))


def frames_of(data):
    source = io.BytesIO(data)
    header, _ = read_header(source)
    return list(read_frames(source, header))


def test_frame_lines_may_have_parameters():
    assert len(frames_of(stream(2, mark=b"FRAME Ip XYZ\n"))) == 2


@pytest.mark.parametrize("cut", range(1, 13))
def test_every_cut_inside_a_frame_is_refused(cut):
    assert len(frames_of(stream(2))) == 2
    with pytest.raises(SourceError, match="frame 1"):
        frames_of(stream(2)[:-cut])


def test_every_cut_inside_the_header_is_refused():
    head = stream(0)
    for cut in range(1, len(head) + 1):
        with pytest.raises(SourceError):
            frames_of(head[:-cut])


@pytest.mark.parametrize("mark", [b"FRAMED\n", b"XFRAME\n", b"\n", b"FRAME" + b" " * 80 + b"\n"])
def test_bad_frame_marks_are_refused(mark):
    with pytest.raises(SourceError, match="FRAME mark"):
        frames_of(stream(1, mark=mark))


def test_sixteen_bit_samples_over_the_depth_are_refused():
    head = b"YUV4MPEG2 W1 H1 F25:1 Cmono10\nFRAME\n"
    assert frames_of(head + b"\xff\x03")[0][0].item() == 1023
    with pytest.raises(SourceError, match="over 1023"):
        frames_of(head + b"\x00\x04")


@pytest.mark.parametrize(
    ("bits", "code", "want"), [(9, 511, 1022), (12, 2050, 513), (12, 4095, 1023), (16, 65535, 1023)]
)
def test_other_depths_become_ten_bit(bits, code, want):
    head = f"YUV4MPEG2 W1 H1 F25:1 Cmono{bits}\nFRAME\n".encode()
    assert frames_of(head + code.to_bytes(2, "little"))[0][0].item() == want


TOKENS = [b" ", b"W4", b"H3", b"W99999", b"F25:1", b"F0:0", b"A1:1", b"Ip", b"C420", b"C444p10", b"XCOLORRANGE=FULL"]
PLAUSIBLE = st.lists(st.sampled_from(TOKENS)).map(b" ".join)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=300), PLAUSIBLE))
def test_any_header_gives_an_info_or_our_error(tail):
    try:
        header = parse_header(b"YUV4MPEG2 " + tail)
    except NvcodecError as exc:
        assert "\n" not in str(exc)
    else:
        assert 0 < header.info.width * header.info.height <= limits.MAX_PIXELS


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 60))
def test_damaged_streams_give_frames_or_our_error(junk, at):
    data = stream(3)
    try:
        for planes in frames_of(data[:at] + junk + data[at + len(junk) :]):
            assert planes[0].size > 0
    except NvcodecError as exc:
        assert len(str(exc).splitlines()) == 1


layouts = st.builds(
    VideoInfo,
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    bit_depth=st.sampled_from([8, 10]),
    chroma=st.sampled_from(list(Chroma)),
    color=st.builds(ColorInfo, range=st.sampled_from(list(Range))),
    sample_aspect=st.one_of(st.none(), st.fractions(Fraction(1, 9999), 9999, max_denominator=9999)),
)


@settings(max_examples=100, deadline=None)
@given(layouts, st.fractions(Fraction(1, 1000), 1000, max_denominator=100000))
def test_headers_round_trip(info, rate):
    info = replace(info, time_base=1 / rate, rate=rate)
    assert parse_header(format_header(info, rate)[:-1]).info == info


class Pipe:
    """Standard input or output whose bytes a test holds; like a pipe it cannot seek and reads in pieces."""

    def __init__(self, data=b""):
        self.buffer = self
        self._data = io.BytesIO(data)

    def read(self, size):
        return self._data.read(min(size, 5))

    def readline(self, size):
        return self._data.readline(size)


def test_standard_input_is_read_once_and_in_pieces(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Pipe(stream(4)))
    with open_source("-") as source:
        assert source.frame_count is None and source.digest() is None
        assert [int(f.planes[0][0, 0]) for f in source] == [0, 1, 2, 3]
        with pytest.raises(SourceError, match="only once"):
            list(source)


@pytest.mark.parametrize("data", [b"", b"\x00\x00\x00 ftypisom", stream(0)])
def test_other_bytes_on_standard_input_are_refused(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", Pipe(data))
    with pytest.raises(SourceError) as caught:
        list(open_source("-"))
    assert str(caught.value).startswith("-: ")


COPY = """
import sys
from nvcodec.media.source import open_source
from nvcodec.media.sink import open_sink
with open_source("-") as source, open_sink("-", source.info) as sink:
    for frame in source:
        sink.write(frame)
"""


def test_a_real_pipe_gives_the_same_bytes(tmp_path):
    info = replace(INFO, width=159, height=89, bit_depth=10, color=ColorInfo(range=Range.FULL))
    write(tmp_path / "a.y4m", info, noise(info, range(5)))
    data = (tmp_path / "a.y4m").read_bytes()
    run = subprocess.run([sys.executable, "-c", COPY], input=data, capture_output=True, cwd=ROOT, check=True)
    assert run.stdout == data


def test_file_without_frames_is_refused(tmp_path):
    (tmp_path / "a.y4m").write_bytes(stream(0))
    with pytest.raises(SourceError, match="no frames"):
        open_source(tmp_path / "a.y4m")


def test_count_is_exact_and_reading_repeats(tmp_path):
    frames = noise(INFO, range(6))
    write(tmp_path / "a.y4m", INFO, frames)
    with open_source(tmp_path / "a.y4m") as source:
        assert source.frame_count == 6
        assert same_pixels(list(source), frames) and same_pixels(list(source), frames)


def test_rate_replaces_the_declared_one(tmp_path):
    write(tmp_path / "a.y4m", INFO, noise(INFO, range(2)))
    info, frames = read(tmp_path / "a.y4m", rate=50)
    assert frames[1].pts * info.time_base == Fraction(1, 50)


def test_a_closed_pipe_is_a_target_error(monkeypatch):
    class Closed:
        def write(self, data):
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(sys, "stdout", type("Out", (), {"buffer": Closed()}))
    sink = open_sink("-", INFO)
    first, second = noise(INFO, [0, 1])
    sink.write(first)
    with pytest.raises(TargetError, match="standard output: Broken pipe"):
        sink.write(second)
    sink.abort()
