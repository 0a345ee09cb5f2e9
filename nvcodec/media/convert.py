"""Any video to 8 bit yuv420p of even sizes, scaled or not: what every codec takes.

Scaling is libswscale's area method (for whole ratios the mean of each cell, correctly rounded), each plane in its own
depth, with the code paths that give the same bits on every processor. Chroma of 4:2:2 and 4:4:4 goes down the same way.
RGB becomes limited-range YUV with the matrix that readers take where none is declared (`color.working_matrix`). YUV
keeps its matrix and range.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import av
import numpy as np
from av.video.reformatter import Interpolation

from nvcodec.errors import SourceError, UsageError
from nvcodec.media.base import check_size
from nvcodec.media.color import from_rgb, split_planes, stack_planes, to_rgb
from nvcodec.media.pixels import make_picture, read_planes
from nvcodec.video import Chroma, ColorInfo, Frame, Plane, Range, VideoInfo

_METHOD = int(Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT)


@dataclass(frozen=True)
class Conversion:
    """From the layout of `source` to that of `target`, 8 bit yuv420p. cropped: an odd last column or row is cut off."""

    source: VideoInfo
    target: VideoInfo
    scaled: bool
    cropped: bool


def plan(info: VideoInfo, size: tuple[int, int] | None) -> Conversion:
    """How frames of `info` become yuv420p of `size` (width, height); None: their own size, cropped to even.

    UsageError for an odd size, LimitError for one over a cap, SourceError for a video that has no even size.
    """
    own = (info.width & ~1, info.height & ~1)
    if not all(own):
        raise SourceError(f"{info.width}x{info.height} is too small; codecs need 2x2")
    width, height = own if size is None else size
    check_size(width, height, "the size asked for")
    if width % 2 or height % 2:
        raise UsageError(f"{width}x{height} is odd, which not all codecs take; ask for {width & ~1}x{height & ~1}")
    scaled = (width, height) not in (own, (info.width, info.height))
    kept = info.chroma is Chroma.C420 and not scaled
    color = ColorInfo(
        range=Range.LIMITED if info.is_rgb else info.color.range,
        chroma_location=info.color.chroma_location if kept else 0,
    )
    target = VideoInfo(width, height, 8, Chroma.C420, color, info.time_base, info.rate)
    return Conversion(info, target, scaled, cropped=not scaled and (width, height) != (info.width, info.height))


def convert(frame: Frame, how: Conversion) -> Frame:
    """One frame of `how.source` as one of `how.target`, with the same pts."""
    info, target = how.source, how.target
    planes = frame.planes
    if info.chroma is Chroma.GRAY:
        info = replace(info, chroma=Chroma.C420)
        planes += tuple(np.full(shape, 128 << (info.bit_depth - 8), info.dtype) for shape in info.plane_shapes[1:])
    if how.cropped:
        info = replace(info, width=target.width, height=target.height)
        planes = tuple(plane[:h, :w] for plane, (h, w) in zip(planes, info.plane_shapes, strict=True))
    chroma = Chroma.C444 if info.is_rgb else Chroma.C420
    if how.scaled or info.chroma is not chroma:
        scaled = replace(info, width=target.width, height=target.height, chroma=chroma)
        planes, info = _scale(planes, info, scaled), scaled
    if info.is_rgb:
        rgb = to_rgb(stack_planes([Frame(planes, 0)]), info)
        planes = split_planes(from_rgb(rgb, target), target)[0]
    elif info.bit_depth == 10:
        planes = tuple(_to_8_bit(plane, 0 if n == 0 else 512, info) for n, plane in enumerate(planes))
    return Frame(planes, frame.pts)


def _scale(planes: tuple[Plane, ...], source: VideoInfo, target: VideoInfo) -> tuple[Plane, ...]:
    """Each plane by itself; what the planes mean is kept from libswscale, so that it changes no colour."""
    source, target = replace(source, color=ColorInfo()), replace(target, color=ColorInfo())
    picture = make_picture(Frame(planes, 0), source)
    try:
        picture = picture.reformat(target.width, target.height, target.pixel_format, interpolation=_METHOD)
    except (av.FFmpegError, ValueError) as exc:
        sizes = f"{source.width}x{source.height} cannot be scaled to {target.width}x{target.height}"
        raise SourceError(f"{sizes} by averaging; ask for a size nearer to it") from exc
    return read_planes(picture, target)


def _to_8_bit(plane: Plane, zero: int, info: VideoInfo) -> Plane:
    """10 bit code values to 8 bit, rounded half up: a quarter (H.273's limited range), or full scale to full scale.

    zero: the code value that stays where it is, 0 for luma and 512 for chroma.
    """
    if info.color.range is not Range.FULL:
        code = (plane.astype(np.int32) + 2) >> 2
    else:
        code = ((plane.astype(np.int32) - zero) * 510 + 1023) // 2046 + zero // 4
    narrow: Plane = np.clip(code, 0, 255).astype(np.uint8)
    return narrow
