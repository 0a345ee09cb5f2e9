"""Headerless planar video, .yuv: frames of raw planes and nothing else. What they are is in the file's name.

    Beauty_1920x1080_120fps_420_8bit_YUV.yuv       the UVG set
    BasketballDrill_832x480_50.yuv                 the JCT-VC's sequences
    Tango2_3840x2160_60fps_10bit_420.yuv           the JVET's

Words are parted by '_', '-' and blanks, in capitals or not. WIDTHxHEIGHT (or cif, qcif, 4cif) has to be there. The rate
is a number with "fps" or "Hz", or a number alone right after the size; else 25. The depth is "8bit" or "10bit"; else 8.
Chroma is 400, 420, 422 or 444 anywhere after the size; else 420. One of FFmpeg's names, such as yuv420p10le, gray or
gbrp, says both. Planes are Y, U, V (gbrp: G, B, R), rows from the top, 10 bit samples 16-bit little-endian.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import PurePath
from typing import BinaryIO

import numpy as np

from nvcodec.errors import SourceError
from nvcodec.media.base import Source, check_size
from nvcodec.media.y4m import DEFAULT_RATE, file_digest
from nvcodec.video import MATRIX_IDENTITY, Chroma, ColorInfo, Frame, Plane, Range, VideoInfo

SUFFIX = ".yuv"
_FIX = "name it like clip_1920x1080_25fps_420_8bit.yuv"
_SIZES = {"qcif": (176, 144), "cif": (352, 288), "4cif": (704, 576)}
_CHROMA = {"400": Chroma.GRAY, "420": Chroma.C420, "422": Chroma.C422, "444": Chroma.C444}
_FORMATS = {
    **{VideoInfo(2, 2, bits, chroma).pixel_format: (bits, chroma, False) for bits in (8, 10) for chroma in Chroma},
    "gbrp": (8, Chroma.C444, True),
    "gbrp10le": (10, Chroma.C444, True),
}
_FOREIGN = {"nv12", "nv21", "nv16", "p010", "p010le", "yv12", "uyvy", "yuyv", "yuy2", "v210", "rgb", "rgb24", "bgr24"}


class _Once:
    """One value of one kind; SourceError where a name gives two."""

    def __init__(self, name: str, kind: str) -> None:
        self._name, self._kind = name, kind
        self.value: str | None = None

    def set(self, value: str) -> None:
        if self.value not in (None, value):
            raise SourceError(f"{self._name}: the name gives two {self._kind}s, {self.value} and {value}; {_FIX}")
        self.value = value


def parse_name(name: str) -> VideoInfo:
    """What the name of a .yuv file says its frames are; `rate` is None where it does not say.

    SourceError where the size is missing, where two words disagree or where a layout is not planar 8 or 10 bit,
    LimitError for a size over a cap.
    """
    name = PurePath(name).name
    size, rate, bits, chroma, layout = (
        _Once(name, kind) for kind in ("size", "rate", "depth", "chroma format", "pixel format")
    )
    after_size = False
    for word in re.split(r"[_\-\s]+", name.lower().removesuffix(SUFFIX)):
        if re.fullmatch(r"\d{1,5}x\d{1,5}", word, re.ASCII) or word in _SIZES:
            size.set("{}x{}".format(*_SIZES[word]) if word in _SIZES else word)
            after_size = True
            continue
        if match := re.fullmatch(r"(\d{1,4}(?:\.\d{1,3})?)(?:fps|hz)", word, re.ASCII):
            rate.set(match[1])
        elif match := re.fullmatch(r"(\d{1,2})bits?", word, re.ASCII):
            bits.set(match[1])
        elif size.value and word in _CHROMA:
            chroma.set(word)
        elif after_size and re.fullmatch(r"\d{1,3}(\.\d{1,3})?", word, re.ASCII):
            rate.set(word)
        elif word in _FORMATS:
            layout.set(word)
        elif word in _FOREIGN:
            raise SourceError(f"{name}: {word} is not planar YUV; convert it, for instance to .y4m")
        after_size = False
    if size.value is None:
        raise SourceError(f"{name}: raw video needs its size in its name; {_FIX}")
    width, height = map(int, size.value.split("x"))
    check_size(width, height, name)
    depth, sampling, rgb = _layout(name, bits.value, chroma.value, layout.value)
    frames = None if rate.value is None else _rate(name, rate.value)
    color = ColorInfo(matrix=MATRIX_IDENTITY, range=Range.FULL) if rgb else ColorInfo()
    return VideoInfo(width, height, depth, sampling, color, 1 / (frames or DEFAULT_RATE), frames)


def _layout(name: str, bits: str | None, chroma: str | None, layout: str | None) -> tuple[int, Chroma, bool]:
    """(bits of a sample, chroma format, whether it is RGB)."""
    depth, sampling, rgb = _FORMATS[layout or "yuv420p"]
    if bits is not None:
        if bits not in ("8", "10"):
            raise SourceError(f"{name}: {bits} bit is not supported; convert it to 8 or 10 bit")
        if layout and int(bits) != depth:
            raise SourceError(f"{name}: the name says {bits} bit and {layout}; {_FIX}")
        depth = int(bits)
    if chroma is not None:
        if layout and _CHROMA[chroma] is not sampling:
            raise SourceError(f"{name}: the name says {chroma} and {layout}; {_FIX}")
        sampling = _CHROMA[chroma]
    return depth, sampling, rgb


def _rate(name: str, text: str) -> Fraction:
    """Frames per second; 23.976, 29.97, 59.94 and the like mean n x 1000/1001."""
    rate = Fraction(text)
    if rate <= 0:
        raise SourceError(f"{name}: a frame rate of {text} is not possible; {_FIX}")
    ntsc = Fraction(1000 * round(rate * 1001 / 1000), 1001)
    return ntsc if rate.denominator != 1 and abs(ntsc - rate) < Fraction(1, 200) else rate


class RawSource(Source):
    """A .yuv file. `rate` replaces the one in the name."""

    def __init__(self, path: str, rate: Fraction | None) -> None:
        super().__init__()
        self._path = path
        info = parse_name(path)
        if info.rate is None and rate is None:
            self.note(f"the name has no frame rate; {DEFAULT_RATE} is assumed")
        nominal = rate or info.rate
        self.info = VideoInfo(
            info.width, info.height, info.bit_depth, info.chroma, info.color, 1 / (nominal or DEFAULT_RATE), nominal
        )
        size = self._size()
        self.frame_count, rest = divmod(size, info.frame_bytes)
        if rest or not self.frame_count:
            raise SourceError(
                f"{path}: its {size} bytes are {self.frame_count} frames of {info.frame_bytes} bytes and {rest} more; "
                f"if it is not {info.width}x{info.height} {info.pixel_format}, {_FIX}"
            )

    def _size(self) -> int:
        try:
            return os.path.getsize(self._path)
        except OSError as exc:
            raise SourceError(f"{self._path}: {exc.strerror}") from exc

    def __iter__(self) -> Iterator[Frame]:
        try:
            with open(self._path, "rb") as file:
                for number in range(self.frame_count or 0):
                    yield Frame(self._planes(file, number), number)
        except OSError as exc:
            raise SourceError(f"{self._path}: {exc.strerror}") from exc

    def _planes(self, file: BinaryIO, number: int) -> tuple[Plane, ...]:
        info, planes = self.info, []
        stored = info.dtype.newbyteorder("<")
        for height, width in info.plane_shapes:
            data = file.read(height * width * stored.itemsize)
            if len(data) < height * width * stored.itemsize:
                raise SourceError(
                    f"{self._path}: the file ends inside frame {number}; it was changed while it was read"
                )
            plane = np.frombuffer(data, stored).reshape(height, width)
            if stored.itemsize == 2 and int(plane.max()) > info.peak:
                raise SourceError(
                    f"{self._path}: frame {number} has samples over {info.peak}: it is not 10 bit; {_FIX}"
                )
            planes.append(plane.astype(info.dtype, copy=False))
        return tuple(planes)

    def digest(self) -> str | None:
        return file_digest(self._path)
