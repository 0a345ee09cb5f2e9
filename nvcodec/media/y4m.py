"""The y4m stream format: a line of text, then frames of raw planes, each after a line "FRAME".

It has size, rate, sample aspect, range and (for 8 bit 4:2:0) chroma siting; no matrix, no primaries, no rotation, no
time stamps and no RGB. 10 bit samples are 16-bit little-endian; odd chroma sizes round up. Headers may be hostile.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO

import numpy as np

from nvcodec import limits
from nvcodec.errors import SourceError, TargetError
from nvcodec.media.base import ByteTarget, Sink, Source, check_frame, check_size
from nvcodec.video import Chroma, ColorInfo, Frame, Plane, Range, VideoInfo

MAGIC = b"YUV4MPEG2 "
DEFAULT_RATE = Fraction(25)
_FRAME = b"FRAME"
_MAX_FRAME_LINE = 80
_U32 = 2**32 - 1
_RANGES = {"LIMITED": Range.LIMITED, "FULL": Range.FULL}

# colour space tag -> chroma, bits of a sample in the file, AVChromaLocation
_TAGS: dict[str, tuple[Chroma, int, int]] = {
    "420": (Chroma.C420, 8, 0),
    "420mpeg2": (Chroma.C420, 8, 1),
    "420jpeg": (Chroma.C420, 8, 2),
    "420paldv": (Chroma.C420, 8, 3),
    "422": (Chroma.C422, 8, 0),
    "444": (Chroma.C444, 8, 0),
    "mono": (Chroma.GRAY, 8, 0),
}
for _bits in (9, 10, 12, 14, 16):
    for _name, _chroma in (("420p", Chroma.C420), ("422p", Chroma.C422), ("444p", Chroma.C444), ("mono", Chroma.GRAY)):
        _TAGS[f"{_name}{_bits}"] = (_chroma, _bits, 0)
_SITED = {1: "420mpeg2", 2: "420jpeg", 3: "420paldv"}
_PLAIN = {Chroma.GRAY: "mono", Chroma.C420: "420", Chroma.C422: "422", Chroma.C444: "444"}


class Header:
    """A parsed header: the video's info, the bits of a sample in the file (9 to 16 become 10), and notes."""

    def __init__(self, info: VideoInfo, stored_bits: int, notes: list[str]) -> None:
        self.info = info
        self.stored_bits = stored_bits
        self.notes = notes

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame's planes in the file."""
        return sum(h * w for h, w in self.info.plane_shapes) * (1 if self.stored_bits == 8 else 2)


def parse_header(line: bytes, rate: Fraction | None = None) -> Header:
    """The header line without its newline. `rate` replaces the one declared.

    SourceError for anything that breaks the format, LimitError for a size over a cap.
    """
    if not line.startswith(MAGIC):
        raise SourceError("not a y4m stream: it does not start with 'YUV4MPEG2 '")
    if len(line) >= limits.MAX_Y4M_HEADER_BYTES or not line.isascii():
        raise SourceError("damaged y4m header")
    fields: dict[str, str] = {}
    color_range = Range.UNSPECIFIED
    for token in line[len(MAGIC) :].decode("ascii").split():
        if token[0] == "X":
            key, _, value = token[1:].partition("=")
            if key == "COLORRANGE":
                color_range = _RANGES.get(value, Range.UNSPECIFIED)
        elif token[0] in fields:
            raise SourceError(f"y4m header gives {token[0]!r} twice")
        else:
            fields[token[0]] = token[1:]
    width, height = (_natural(fields.get(key, ""), key) for key in "WH")
    check_size(width, height, "y4m header")
    tag = fields.get("C", "420jpeg")
    if tag not in _TAGS:
        raise SourceError(f"y4m colour space C{tag[:32]} is not supported")
    chroma, bits, location = _TAGS[tag]
    notes = []
    if bits > 10:
        notes.append(f"{bits} bit is reduced to 10 bit")
    if fields.get("I", "p") in ("t", "b", "m"):
        notes.append("interlaced video is coded as whole frames")
    declared = _ratio(fields.get("F", "0:0"), "F")
    nominal = rate or declared
    if nominal is None:
        notes.append(f"the y4m header has no frame rate; {DEFAULT_RATE} is assumed")
    return Header(
        VideoInfo(
            width=width,
            height=height,
            bit_depth=8 if bits == 8 else 10,
            chroma=chroma,
            color=ColorInfo(range=color_range, chroma_location=location),
            time_base=1 / (nominal or DEFAULT_RATE),
            rate=nominal,
            sample_aspect=_ratio(fields.get("A", "0:0"), "A"),
        ),
        bits,
        notes,
    )


def format_header(info: VideoInfo, rate: Fraction) -> bytes:
    """The header line with its newline. RGB has no y4m form and must not come here."""
    assert not info.is_rgb
    tag = _PLAIN[info.chroma]
    if info.bit_depth == 10:
        tag += "10" if info.chroma is Chroma.GRAY else "p10"
    elif info.chroma is Chroma.C420:
        tag = _SITED.get(info.color.chroma_location, tag)
    aspect = info.sample_aspect or Fraction(0)
    sar = f"{aspect.numerator}:{aspect.denominator}" if aspect else "0:0"
    line = f"YUV4MPEG2 W{info.width} H{info.height} F{rate.numerator}:{rate.denominator} Ip A{sar} C{tag}"
    if info.color.range is not Range.UNSPECIFIED:
        line += f" XCOLORRANGE={info.color.range.name}"
    return line.encode("ascii") + b"\n"


def read_header(stream: BinaryIO, rate: Fraction | None = None) -> tuple[Header, int]:
    """Read a header from a stream: (header, bytes taken)."""
    line = _read_line(stream, limits.MAX_Y4M_HEADER_BYTES)
    if line is None:
        raise SourceError("the y4m stream is empty or its header has no end")
    return parse_header(line, rate), len(line) + 1


def read_frames(stream: BinaryIO, header: Header) -> Iterator[tuple[Plane, ...]]:
    """The planes of each frame until the stream ends. SourceError when it ends inside a frame or loses its framing."""
    number = 0
    while True:
        line = _read_line(stream, _MAX_FRAME_LINE)
        if line == b"":
            return
        if line is None or line.split(b" ")[0] != _FRAME:
            raise SourceError(f"damaged y4m stream: no FRAME mark before frame {number}")
        data = _read_exactly(stream, header.frame_bytes)
        if len(data) < header.frame_bytes:
            raise SourceError(f"the y4m stream ends inside frame {number}")
        yield _planes(data, header)
        number += 1


def frame_parts(frame: Frame) -> list[bytes]:
    """The plane bytes of a frame in y4m's order: rows from the top, 16-bit samples little-endian."""
    return [np.ascontiguousarray(p, p.dtype.newbyteorder("<")).tobytes() for p in frame.planes]


def _natural(text: str, key: str) -> int:
    """A field of digits."""
    if not re.fullmatch("[0-9]{1,10}", text):
        raise SourceError(f"y4m header has no valid {key!r}")
    return int(text)


def _ratio(text: str, key: str) -> Fraction | None:
    """A field n:d; None for 0:0, unknown."""
    match = re.fullmatch("([0-9]{1,10}):([0-9]{1,10})", text)
    if not match:
        raise SourceError(f"y4m header has no valid {key!r}")
    n, d = int(match[1]), int(match[2])
    if n == 0 or d == 0:
        return None
    if n > _U32 or d > _U32:
        raise SourceError(f"y4m header: {key!r} is out of range")
    return Fraction(n, d)


def _read_line(stream: BinaryIO, cap: int) -> bytes | None:
    """Bytes before the next newline; b"" at the end of the stream, None when there is no newline within `cap`."""
    line = stream.readline(cap)
    if not line:
        return b""
    return line[:-1] if line.endswith(b"\n") and len(line) > 1 else None


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    """`size` bytes, or what there is; a pipe may give them in pieces."""
    data = stream.read(size)
    while data and len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            break
        data += more
    return data


def _planes(data: bytes, header: Header) -> tuple[Plane, ...]:
    """Cut a frame's bytes into planes of 8 or 10 bit."""
    planes, at = [], 0
    stored = np.dtype(np.uint8 if header.stored_bits == 8 else "<u2")
    for height, width in header.info.plane_shapes:
        plane = np.frombuffer(data, stored, height * width, at).reshape(height, width)
        at += plane.nbytes
        if header.stored_bits > 8:
            top = (1 << header.stored_bits) - 1
            if int(plane.max()) > top:
                raise SourceError(f"damaged y4m stream: a sample is over {top}")
            wide = plane.astype(np.uint32)
            if header.stored_bits > 10:
                shift = header.stored_bits - 10
                wide = np.minimum((wide + (1 << shift >> 1)) >> shift, 1023)
            elif header.stored_bits == 9:
                wide <<= 1
            plane = wide.astype(np.uint16)
        planes.append(plane)
    return tuple(planes)


class Y4mSource(Source):
    """A .y4m file, or y4m on standard input when the path is '-'."""

    def __init__(self, path: str, rate: Fraction | None) -> None:
        super().__init__()
        self._path = path
        self._rate = rate
        self._stream: BinaryIO | None = self._open()
        try:
            self._header, size = read_header(self._stream, rate)
            if path != "-":
                body = os.path.getsize(path) - size
                # Exact for bare FRAME lines, which is what every common writer has.
                self.frame_count = body // (self._header.frame_bytes + len(_FRAME) + 1)
                if not body:
                    raise SourceError("the y4m stream has no frames")
        except SourceError as exc:
            self.close()
            raise SourceError(f"{path}: {exc}") from None
        except BaseException:
            self.close()
            raise
        self.info = self._header.info
        self.notes += self._header.notes

    def _open(self) -> BinaryIO:
        if self._path == "-":
            return sys.stdin.buffer
        try:
            return open(self._path, "rb")
        except OSError as exc:
            raise SourceError(f"{self._path}: {exc.strerror}") from exc

    def __iter__(self) -> Iterator[Frame]:
        stream, self._stream = self._stream, None
        if stream is None:
            if self._path == "-":
                raise SourceError("standard input can be read only once")
            stream = self._open()
            read_header(stream, self._rate)
        try:
            count = 0
            for planes in read_frames(stream, self._header):
                yield Frame(planes, count)
                count += 1
            if count == 0:
                raise SourceError("the y4m stream has no frames")
        except SourceError as exc:
            raise SourceError(f"{self._path}: {exc}") from None
        except OSError as exc:
            raise SourceError(f"{self._path}: {exc.strerror}") from exc
        finally:
            if self._path != "-":
                stream.close()

    def digest(self) -> str | None:
        return None if self._path == "-" else file_digest(self._path)

    def close(self) -> None:
        if self._stream is not None and self._path != "-":
            self._stream.close()
        self._stream = None


class Y4mSink(Sink):
    """y4m to a file or to standard output. Frames have to come at a constant rate.

    The rate is the info's nominal one where the time stamps agree with it, else that of the first two frames. A time
    stamp may be off by one unit of a coarse time base (milliseconds of a Matroska file), not by half a frame.
    """

    def __init__(self, path: str, info: VideoInfo) -> None:
        super().__init__(info)
        if info.is_rgb:
            raise TargetError("y4m cannot hold RGB; name an output that ends in .mkv")
        color = info.color
        if (color.primaries, color.transfer, color.matrix) != (2, 2, 2):
            self.notes.append("y4m has no place for primaries, transfer and matrix; .mkv has")
        if color.chroma_location and _sited_tag(info) is None:
            self.notes.append("y4m has no place for this chroma siting; .mkv has")
        if info.rotation:
            self.notes.append("y4m has no place for rotation; .mkv has")
        self._held: Frame | None = None
        self._count = 0
        self._start = 0
        self._rate: Fraction | None = None
        self._target = ByteTarget(path)

    def write(self, frame: Frame) -> None:
        check_frame(frame, self.info)
        if self._count == 0:
            self._held, self._start = frame, frame.pts
        else:
            if self._rate is None:
                self._begin(frame.pts)
            self._check(frame.pts)
            self._emit(frame)
        self._count += 1

    def _begin(self, second: int | None) -> None:
        """Decide the rate; write the header, and the frame that waited for it if there is one."""
        self._rate = self.info.rate or DEFAULT_RATE
        if second is not None and (self.info.rate is None or not self._fits(second)):
            self._rate = 1 / (max(second - self._start, 1) * self.info.time_base)
        self._target.write(format_header(self.info, self._rate))
        if self._held is not None:
            self._emit(self._held)
            self._held = None

    def _fits(self, pts: int) -> bool:
        assert self._rate is not None
        period = 1 / (self._rate * self.info.time_base)
        # Rounding start and end to the time base moves a difference by at most one unit.
        return abs(pts - self._start - self._count * period) <= min(Fraction(1), period / 4)

    def _check(self, pts: int) -> None:
        if not self._fits(pts):
            raise TargetError(
                f"frame {self._count} is not on time for a constant {float(self._rate or 0):.6g} frames per second, "
                "and y4m holds no other; name an output that ends in .mkv"
            )

    def _emit(self, frame: Frame) -> None:
        self._target.write(_FRAME + b"\n", *frame_parts(frame))

    def close(self) -> None:
        if self._rate is None:
            self._begin(None)
        self._target.close()

    def abort(self) -> None:
        self._target.abort()


def _sited_tag(info: VideoInfo) -> str | None:
    """The tag that names the info's chroma siting, if y4m has one."""
    if info.chroma is Chroma.C420 and info.bit_depth == 8:
        return _SITED.get(info.color.chroma_location)
    return None


def file_digest(path: str) -> str:
    """Hexadecimal SHA-256 of a file's bytes, in constant memory."""
    total = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(io.DEFAULT_BUFFER_SIZE * 16):
                total.update(block)
    except OSError as exc:
        raise SourceError(f"{path}: {exc.strerror}") from exc
    return total.hexdigest()
