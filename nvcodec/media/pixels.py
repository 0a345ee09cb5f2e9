"""PyAV pictures to planes and back.

Planes are read and written by line size, so odd sizes and padded lines are right. A layout that the codec has no place
for (interleaved, palette, alpha, other depths) is converted to the nearest one that it has; conversions between
layouts of the same depth change no sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from nvcodec.video import Chroma, Frame, Plane, VideoInfo

_BY_STEPS = {
    (0, 0): Chroma.C444,
    (0, 1): Chroma.C444,
    (1, 0): Chroma.C422,
    (2, 0): Chroma.C422,
    (1, 1): Chroma.C420,
    (2, 1): Chroma.C420,
    (2, 2): Chroma.C420,
}


@dataclass(frozen=True)
class Layout:
    """How a PyAV pixel format is represented here. `lost` says what the conversion drops, empty where nothing is."""

    chroma: Chroma
    bit_depth: int
    rgb: bool
    lost: str


def layout_of(pixel_format: av.VideoFormat) -> Layout:
    """The nearest layout to a pixel format: alpha dropped, 9 bit widened to 10, more than 10 bit narrowed to 10."""
    parts = [c for c in pixel_format.components if not c.is_alpha]
    rgb = pixel_format.has_palette or not parts[0].is_luma or pixel_format.name.startswith("xyz")
    bits = 8 if pixel_format.has_palette else max(c.bits for c in parts)
    lost = []
    if len(parts) < len(pixel_format.components):
        lost.append("alpha is dropped")
    if bits > 10:
        lost.append(f"{bits} bit is reduced to 10 bit")
    if rgb:
        chroma = Chroma.C444
    elif len(parts) == 1:
        chroma = Chroma.GRAY
    else:
        across, down = 16 // pixel_format.chroma_width(16), 16 // pixel_format.chroma_height(16)
        steps = across.bit_length() - 1, down.bit_length() - 1
        chroma = _BY_STEPS.get(steps, Chroma.C420)
        if chroma.subsampling != steps:
            lost.append("chroma is resampled")
    return Layout(chroma, 8 if bits <= 8 else 10, rgb, ", ".join(lost))


def read_planes(picture: av.VideoFrame, info: VideoInfo) -> tuple[Plane, ...]:
    """The planes of a picture in the layout of `info`, converted if its own is another; each is a fresh array."""
    if picture.format.name.replace("yuvj", "yuv") != info.pixel_format:
        picture = picture.reformat(format=info.pixel_format)
    planes = []
    for plane, (height, width) in zip(picture.planes, info.plane_shapes, strict=True):
        lines = np.frombuffer(memoryview(plane), np.uint8, plane.line_size * height).reshape(height, plane.line_size)
        samples = lines[:, : width * info.dtype.itemsize].copy().view(info.dtype.newbyteorder("<"))
        planes.append(samples.astype(info.dtype, copy=False))
    return tuple(planes)


def make_picture(frame: Frame, info: VideoInfo) -> av.VideoFrame:
    """A PyAV picture of the info's pixel format with the frame's samples. Its pts is left to the caller."""
    picture = av.VideoFrame(info.width, info.height, info.pixel_format)
    for plane, samples in zip(picture.planes, frame.planes, strict=True):
        fill_plane(plane, np.ascontiguousarray(samples, info.dtype.newbyteorder("<")).view(np.uint8))
    return picture


def fill_plane(plane: VideoPlane, rows: NDArray[np.uint8]) -> None:
    """Copy (height, bytes in a line) to the upper left of a plane; padding becomes 0."""
    lines = np.zeros((plane.buffer_size // plane.line_size, plane.line_size), np.uint8)
    lines[: rows.shape[0], : rows.shape[1]] = rows
    plane.update(lines.tobytes())
