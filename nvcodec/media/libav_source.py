"""Any file that PyAV opens, as Frames: the first video stream that is not a cover picture.

What the codec cannot carry is converted and noted; time stamps are made strictly increasing; nothing is rotated, scaled
or turned into another colour space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from nvcodec import limits
from nvcodec.errors import SourceError
from nvcodec.media.base import Source, check_size
from nvcodec.media.pixels import layout_of, read_planes
from nvcodec.media.y4m import DEFAULT_RATE, file_digest
from nvcodec.video import MATRIX_IDENTITY, UNSPECIFIED, Chroma, ColorInfo, Frame, Range, VideoInfo

_U32 = 2**32 - 1
# libavutil's names in the order of AVChromaLocation, from 1.
CHROMA_LOCATIONS = ("left", "center", "topleft", "top", "bottomleft", "bottom")


class Timeline:
    """Makes time stamps strictly increasing: fills in missing ones and closes jumps backwards.

    After a jump the stamps that follow keep their distances, so a stream whose clock restarts plays on evenly.
    """

    def __init__(self, step: int) -> None:
        self._step = max(step, 1)
        self._last: int | None = None
        self._shift = 0
        self.repaired = 0

    def __call__(self, pts: int | None) -> int:
        """The stamp to use for a frame that has this one, or none."""
        expected = 0 if self._last is None else self._last + self._step
        if pts is None:
            self.repaired += 1
            self._last = expected
        elif self._last is not None and pts + self._shift <= self._last:
            self.repaired += 1
            self._shift = expected - pts
            self._last = expected
        else:
            self._last = pts + self._shift
        if abs(self._last) > limits.MAX_PTS:
            raise SourceError(f"time stamp {self._last} is out of range")
        return self._last


class LibavSource(Source):
    """A file opened with PyAV. With `rate`, its time stamps are replaced by that constant rate."""

    def __init__(self, path: str, rate: Fraction | None) -> None:
        super().__init__()
        self._path = path
        self._rate = rate
        try:
            with self._open() as container:
                stream = self._stream(container)
                self.has_audio = bool(container.streams.audio)
                location = chroma_location(container, stream)
                picture = next(container.decode(stream), None)
                if picture is None:
                    raise SourceError(f"{path}: the video has no frames")
                self.info = self._describe(stream, picture, location)
                self.frame_count = _count(container, stream)
        except (av.FFmpegError, OSError, ValueError) as exc:
            raise self._error(exc) from exc

    def _error(self, exc: Exception) -> SourceError:
        reason = getattr(exc, "strerror", None) or str(exc) or exc.__class__.__name__
        return SourceError(f"{self._path}: {' '.join(reason.split())}")

    def _open(self) -> InputContainer:
        # "file:" keeps a name with a colon in it from being taken for a protocol.
        container = av.open(f"file:{self._path}", "r")
        assert isinstance(container, InputContainer)
        return container

    def _stream(self, container: InputContainer) -> VideoStream:
        for stream in container.streams.video:
            if not stream.disposition & type(stream.disposition).attached_pic and stream.codec_context is not None:
                stream.thread_type = "AUTO"
                return stream
        raise SourceError(f"{self._path}: no video stream")

    def _describe(self, stream: VideoStream, picture: av.VideoFrame, location: int) -> VideoInfo:
        check_size(picture.width, picture.height, self._path)
        layout = layout_of(picture.format)
        if layout.lost:
            self.note(layout.lost)
        context = stream.codec_context
        color = ColorInfo(
            primaries=_code_point(picture.color_primaries, context.color_primaries),
            transfer=_code_point(picture.color_trc, context.color_trc),
            matrix=_code_point(picture.colorspace, context.colorspace, zero=True),
            range=_range(picture, context),
            chroma_location=location if layout.chroma in (Chroma.C420, Chroma.C422) else 0,
        )
        if layout.rgb:
            full = Range.FULL if color.range is Range.UNSPECIFIED else color.range
            color = replace(color, matrix=MATRIX_IDENTITY, range=full)
        elif color.matrix == MATRIX_IDENTITY:
            color = replace(color, matrix=UNSPECIFIED)
        if picture.interlaced_frame:
            self.note("interlaced video is coded as whole frames")
        rate = self._rate or _ratio(stream.average_rate) or _ratio(stream.guessed_rate)
        time_base = _ratio(picture.time_base) or _ratio(stream.time_base) or 1 / DEFAULT_RATE
        return VideoInfo(
            width=picture.width,
            height=picture.height,
            bit_depth=layout.bit_depth,
            chroma=layout.chroma,
            color=color,
            time_base=1 / self._rate if self._rate else time_base,
            rate=rate,
            sample_aspect=_ratio(stream.sample_aspect_ratio) or _ratio(context.sample_aspect_ratio),
            rotation=int(picture.rotation) % 360,
        )

    def __iter__(self) -> Iterator[Frame]:
        info = self.info
        timeline = Timeline(round(1 / ((info.rate or DEFAULT_RATE) * info.time_base)))
        count = 0
        try:
            with closing(self._open()) as container:
                for picture in container.decode(self._stream(container)):
                    if (picture.width, picture.height) != (info.width, info.height):
                        raise SourceError(
                            f"{self._path}: frame {count} is {picture.width}x{picture.height}, but the first is "
                            f"{info.width}x{info.height}"
                        )
                    if picture.is_corrupt:
                        self.note(f"frame {count} and maybe others are damaged in the source")
                    yield Frame(read_planes(picture, info), timeline(count if self._rate else picture.pts))
                    count += 1
                    if timeline.repaired:
                        self.note("missing or non-increasing time stamps were repaired")
        except (av.FFmpegError, OSError, ValueError) as exc:
            raise self._error(exc) from exc

    def digest(self) -> str | None:
        return file_digest(self._path)


def chroma_location(container: InputContainer, stream: VideoStream) -> int:
    """AVChromaLocation of a stream, 0 where it is unspecified.

    PyAV has no attribute for it; FFmpeg's own description of the stream, at verbose level, names it. Call it before
    anything is decoded, since decoder threads would log as well.
    """
    before = av.logging.get_level()
    av.logging.set_level(av.logging.VERBOSE)
    av.logging.set_libav_level(av.logging.VERBOSE)
    try:
        text = container.dumps_format()  # type: ignore[attr-defined]  # missing in PyAV's stubs
    finally:
        av.logging.set_libav_level(av.logging.INFO)
        av.logging.set_level(before)
    lines = [line for line in text.splitlines() if re.match(rf"\s*Stream #0:{stream.index}\b", line)]
    match = re.search(r"yuv\w*\((.*?)\), \d+x\d+", lines[0]) if lines else None
    names = match[1].split(", ") if match else []
    return next((CHROMA_LOCATIONS.index(name) + 1 for name in names if name in CHROMA_LOCATIONS), 0)


def _code_point(first: Any, second: Any, zero: bool = False) -> int:
    """The first specified of two H.273 code points; what does not fit a byte is unspecified."""
    for value in (first, second):
        if value is not None and value != UNSPECIFIED and (0 if zero else 1) <= int(value) <= 255:
            return int(value)
    return UNSPECIFIED


def _range(picture: av.VideoFrame, context: Any) -> Range:
    """yuvj formats are full range by their name."""
    if picture.format.name.startswith("yuvj"):
        return Range.FULL
    for value in (picture.color_range, context.color_range):
        if int(value or 0) in (1, 2):
            return Range(int(value))
    return Range.UNSPECIFIED


def _ratio(value: Fraction | None) -> Fraction | None:
    """A positive ratio that fits two 32-bit fields, else None."""
    if not value or value <= 0 or value.numerator > _U32 or value.denominator > _U32:
        return None
    return Fraction(value)


def _count(container: InputContainer, stream: VideoStream) -> int | None:
    """Frames that the container declares, or duration times rate."""
    if stream.frames:
        return int(stream.frames)
    rate = stream.average_rate
    if not rate:
        return None
    if stream.duration and stream.time_base:
        return round(stream.duration * stream.time_base * rate) or None
    if container.duration:
        return round(Fraction(container.duration, av.time_base) * rate) or None
    return None
