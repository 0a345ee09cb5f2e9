"""Lossless files by PyAV: FFV1 in Matroska for everything, x264 at quantiser 0 in MP4 for what H.264 has room for."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from nvcodec.errors import TargetError
from nvcodec.media.base import PendingFile, Sink, check_frame
from nvcodec.media.libav_source import CHROMA_LOCATIONS
from nvcodec.media.matroska import PLACEHOLDER, set_sample_aspect
from nvcodec.media.pixels import fill_plane, make_picture
from nvcodec.media.y4m import DEFAULT_RATE
from nvcodec.video import UNSPECIFIED, Chroma, Frame, Range, VideoInfo

_X264 = {"qp": "0", "preset": "veryfast", "bf": "0"}  # no B frames: frames leave in order, without an edit list
_FFV1 = {"level": "3", "slicecrc": "1"}
_INT32 = 2**31 - 1


class LibavSink(Sink):
    """A .mkv or .mp4 file. MP4 keeps time stamps exactly, Matroska to a millisecond, which is what it counts in."""

    def __init__(self, path: Path, info: VideoInfo) -> None:
        super().__init__(info)
        self._mp4 = path.suffix.lower() == ".mp4"
        self._name = str(path)
        if self._mp4:
            _check_mp4(info)
        self._shift: int | None = None
        self._last_ms = -1
        self._open = True
        self._pending = PendingFile(path)
        try:
            self._begin()
        except (av.FFmpegError, OSError, ValueError) as exc:
            self._pending.discard()
            raise self._error(exc) from exc

    def _error(self, exc: Exception) -> TargetError:
        reason = getattr(exc, "strerror", None) or str(exc) or exc.__class__.__name__
        return TargetError(f"{self._name}: {' '.join(reason.split())}")

    def _begin(self) -> None:
        info, color = self.info, self.info.color
        unit = info.time_base.denominator
        options = {"video_track_timescale": str(unit), "movie_timescale": str(unit)} if self._mp4 else {}
        kind = "mp4" if self._mp4 else "matroska"
        self._container = av.open(f"file:{self._pending.path}", "w", format=kind, options=options)
        codec = "ffv1" if not self._mp4 else "libx264rgb" if info.is_rgb else "libx264"
        stream = self._container.add_stream(codec, rate=info.rate or DEFAULT_RATE)
        assert isinstance(stream, VideoStream)
        self._stream = stream
        if info.rotation:
            stream.set_display_rotation(info.rotation)
        context = stream.codec_context
        context.width, context.height = info.width, info.height
        context.pix_fmt = self._pixel_format = _stored_format(info, self._mp4)
        context.time_base = Fraction(1, unit)
        settings = dict(_X264 if self._mp4 else _FFV1)
        if color.chroma_location:
            settings["chroma_sample_location"] = CHROMA_LOCATIONS[color.chroma_location - 1]
        context.color_primaries, context.color_trc, context.colorspace = color.primaries, color.transfer, color.matrix
        context.color_range = int(color.range)
        described = {color.primaries, color.transfer, color.matrix} != {UNSPECIFIED}
        if self._mp4 and color.range is Range.UNSPECIFIED and described:
            self.notes.append("MP4 cannot leave the range unspecified beside other colour; it reads as limited")
        if self._mp4 and color.range is Range.LIMITED and not described:
            settings["x264-params"] = "videoformat=component"  # makes x264 write the signal type, and the range in it
        context.options = settings
        if info.sample_aspect is not None:
            context.sample_aspect_ratio = info.sample_aspect
            if not self._mp4:
                stream.metadata["title"] = PLACEHOLDER

    def write(self, frame: Frame) -> None:
        check_frame(frame, self.info)
        if self._shift is None:
            self._shift = max(0, -frame.pts)
            if self._shift:
                self.notes.append("time stamps were moved to start at 0, since the file cannot hold negative ones")
        pts = frame.pts + self._shift
        if not self._mp4:
            ms = round(pts * self.info.time_base * 1000)
            if ms <= self._last_ms:
                raise TargetError(
                    f"{self._name}: two frames within a millisecond, which Matroska cannot tell apart; "
                    "name an output that ends in .mp4"
                )
            self._last_ms = ms
        try:
            picture = self._picture(frame)
            picture.pts = pts * self.info.time_base.numerator
            picture.time_base = Fraction(1, self.info.time_base.denominator)
            self._container.mux(self._stream.encode(picture))
        except (av.FFmpegError, OSError, ValueError, OverflowError) as exc:
            raise self._error(exc) from exc

    def _picture(self, frame: Frame) -> av.VideoFrame:
        color = self.info.color
        if self._pixel_format == self.info.pixel_format:
            picture = make_picture(frame, self.info)
        else:  # 8 bit RGB, interleaved as rgb24 or bgr0
            g, b, r = frame.planes
            order = (r, g, b) if self._pixel_format == "rgb24" else (b, g, r, np.zeros_like(b))
            picture = av.VideoFrame(self.info.width, self.info.height, self._pixel_format)
            fill_plane(picture.planes[0], np.stack(order, -1).reshape(self.info.height, -1))
        picture.colorspace, picture.color_range = color.matrix, int(color.range)
        picture.color_primaries, picture.color_trc = color.primaries, color.transfer
        return picture

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        try:
            if self._shift is None:
                self._container.start_encoding()  # no frame came: at least a header
            self._container.mux(self._stream.encode(None))
            self._container.close()
            aspect = self.info.sample_aspect
            if aspect is not None and not self._mp4:
                if not set_sample_aspect(self._pending.path, self.info.width, self.info.height, aspect):
                    self.notes.append("the sample aspect ratio could not be stored")
        except (av.FFmpegError, OSError, ValueError) as exc:
            self._pending.discard()
            raise self._error(exc) from exc
        self._pending.commit()

    def abort(self) -> None:
        if not self._open:
            return
        self._open = False
        try:
            self._container.close()
        except (av.FFmpegError, OSError, ValueError):
            pass  # it is being thrown away
        self._pending.discard()


def _stored_format(info: VideoInfo, mp4: bool) -> str:
    """The encoder's name for the layout: 8 bit RGB is interleaved for both."""
    if info.is_rgb and info.bit_depth == 8:
        return "rgb24" if mp4 else "bgr0"
    return info.pixel_format


def _check_mp4(info: VideoInfo) -> None:
    """TargetError for what H.264 in MP4 has no room for."""
    across, down = info.chroma.subsampling
    reason = ""
    if info.chroma is Chroma.GRAY:
        reason = "H.264 decoders show gray as 4:2:0"
    elif info.is_rgb and info.bit_depth > 8:
        reason = "x264 has no 10 bit RGB"
    elif info.width % (1 << across) or info.height % (1 << down):
        reason = f"x264 takes no odd size with subsampled chroma ({info.width}x{info.height})"
    elif info.time_base.denominator > _INT32:
        reason = "MP4 counts time in units of at least 1/2147483647 s"
    if reason:
        raise TargetError(f"{reason}; name an output that ends in .mkv")
