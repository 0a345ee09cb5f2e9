"""What the worker process does for codecs through PyAV: one file to another, with the time that it took.

Nothing here imports torch, whose start would count as theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.video.stream import VideoStream

from nvcodec.bench.clock import Stopwatch
from nvcodec.errors import NvcodecError, UsageError
from nvcodec.media.pixels import make_picture, read_planes
from nvcodec.media.y4m import Y4mSink, Y4mSource
from nvcodec.video import Frame, VideoInfo


def encode(
    library: str, container: str, packets: str, options: dict[str, str], source: str, target: str, threads: int
) -> dict[str, Any]:
    """A y4m file to a stream. packets: name of a bitstream filter, or ''. Reports each packet's time stamp and size."""
    clock, sizes = Stopwatch(), []
    try:
        with Y4mSource(source, None) as video, av.open(target, "w", format=container) as output:
            stream = _stream(output, library, options, video.info, threads)
            chosen = BitStreamFilterContext(packets, stream) if packets else None
            for packet in _packets(stream, clock.lap("input", iter(video)), video.info):
                for part in chosen.filter(packet) if chosen else [packet]:
                    sizes.append((part.pts, part.size))
                    output.mux(part)
    except av.FFmpegError as error:
        raise NvcodecError(f"{library}: {error.strerror or error}") from error
    return {**clock.report("input"), "packets": sizes}


def _stream(
    output: OutputContainer, library: str, options: dict[str, str], info: VideoInfo, threads: int
) -> VideoStream:
    """An open encoder."""
    rate = info.rate or Fraction(25)
    stream = output.add_stream(library, rate=rate)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = info.width, info.height, info.pixel_format
    context = stream.codec_context
    context.time_base = 1 / rate
    context.thread_count = threads
    context.options = options
    context.open()
    if context.options:
        raise UsageError(f"{library} has no option {', '.join(context.options)}")
    return stream


def _packets(stream: VideoStream, frames: Iterable[Frame], info: VideoInfo) -> Iterator[Any]:
    """Everything that the encoder gives."""
    for number, frame in enumerate(frames):
        picture = make_picture(frame, info)
        picture.pts = number
        picture.time_base = stream.codec_context.time_base
        yield from stream.encode(picture)
    yield from stream.encode(None)


def decode(stream: str, container: str, target: str, rate: str, threads: int) -> dict[str, Any]:
    """A stream to a y4m file."""
    clock, frames = Stopwatch(), 0
    try:
        with av.open(stream, "r", format=container) as source:
            video = source.streams.video[0]
            video.thread_type = "AUTO"
            video.codec_context.thread_count = threads
            sink = None
            for number, picture in enumerate(source.decode(video)):
                info = VideoInfo(picture.width, picture.height, time_base=1 / Fraction(rate), rate=Fraction(rate))
                if picture.format.name not in ("yuv420p", "yuvj420p"):
                    raise NvcodecError(f"decoded to {picture.format.name}, not to yuv420p")
                with clock.part("output"):
                    sink = sink or Y4mSink(target, info)
                    sink.write(Frame(read_planes(picture, info), number))
                frames += 1
            if sink is None:
                raise NvcodecError("decoded to nothing")
            with clock.part("output"):
                sink.close()
    except av.FFmpegError as error:
        raise NvcodecError(f"decoding: {error.strerror or error}") from error
    return {**clock.report("output"), "frames": frames}
