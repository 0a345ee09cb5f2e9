"""Pictures and files that the media tests share."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

from nvcodec.media.sink import open_sink
from nvcodec.media.source import open_source
from nvcodec.video import Frame


def noise(info, stamps, seed=0):
    """A frame of random samples over the whole range of codes for each time stamp."""
    rng = np.random.default_rng(seed)
    shapes = info.plane_shapes
    return [Frame(tuple(rng.integers(0, info.peak + 1, s).astype(info.dtype) for s in shapes), t) for t in stamps]


def write(path, info, frames, **options):
    """Frames to a file; returns the sink, for its notes."""
    with open_sink(path, info, **options) as sink:
        for frame in frames:
            sink.write(frame)
    return sink


def read(path, **options):
    """(info, frames) of a file."""
    with open_source(path, **options) as source:
        return source.info, list(source)


def seconds(info, frames):
    """Exact presentation times."""
    return [f.pts * info.time_base for f in frames]


def same_pixels(a, b):
    """True when two lists of frames hold equal samples."""
    return len(a) == len(b) and all(x.same_pixels(y) for x, y in zip(a, b, strict=True))


def encode(path, pictures, codec, pixel_format, *, options=None, rate=25, container=None, time_base=None, prepare=None):
    """Write PyAV pictures with PyAV itself, independent of our sinks."""
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.width, stream.height = pictures[0].width, pictures[0].height
        stream.pix_fmt = pixel_format
        stream.codec_context.options = options or {}
        stream.codec_context.time_base = time_base or 1 / Fraction(rate)
        if prepare:
            prepare(stream)
        for number, picture in enumerate(pictures):
            if picture.pts is None:
                picture.pts = number
            picture.time_base = stream.codec_context.time_base
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


def picture(pixel_format, width, height, rows):
    """A PyAV picture whose planes hold `rows`: one (lines, bytes) uint8 array a plane."""
    result = av.VideoFrame(width, height, pixel_format)
    for plane, row in zip(result.planes, rows, strict=True):
        lines = np.zeros((plane.buffer_size // plane.line_size, plane.line_size), np.uint8)
        lines[: row.shape[0], : row.shape[1]] = row
        plane.update(lines.tobytes())
    return result
