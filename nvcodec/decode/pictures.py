"""Planes of code values to the pictures that frame models work on, and back.

A picture is (1, 6, h, w) float32 integers at half the size of the luma plane: the four luma samples of each 2 x 2 cell
in raster order, then Cb and Cr. A sample is in quarters of an 8 bit code value, less its middle: code x 4 - 512 of 8
bit, code - 512 of 10 bit. Luma is padded to multiples of 16 and chroma to multiples of 8 by repeating edges; the chroma
of gray is 0.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.errors import MalformedError
from nvcodec.jit import compiled
from nvcodec.models.motion import CELL, PICTURE
from nvcodec.video import Chroma, Plane, VideoInfo

MIDDLE = 512
Planes = tuple[Plane, ...]
Floats = NDArray[np.float32]


def check_format(name: str, info: VideoInfo) -> None:
    """MalformedError unless the model `name`, a frame model, can have such video."""
    if info.chroma not in (Chroma.GRAY, Chroma.C420):
        raise MalformedError(f"{name} has 4:2:0 and gray only")


def to_picture(planes: Planes, info: VideoInfo, device: torch.device) -> Tensor:
    """The picture (1, 6, h, w) of the planes of a frame, gray or 4:2:0."""
    height, width = (-(-n // CELL) * (CELL // 2) for n in (info.height, info.width))
    out = np.zeros((PICTURE, height, width), np.float32)
    scale = 4 if info.bit_depth == 8 else 1
    _cells(planes[0], scale, MIDDLE, out[:4])
    for plane, part in zip(planes[1:], out[4:], strict=False):
        _padded(plane, scale, MIDDLE, part)
    return torch.from_numpy(out)[None].to(device)


def to_planes(picture: Tensor, info: VideoInfo) -> Planes:
    """The planes of a picture, each rounded half up, clamped and cropped."""
    values = picture[0].cpu().numpy()
    scale, middle = (4, MIDDLE // 4) if info.bit_depth == 8 else (1, MIDDLE)
    planes = tuple(np.empty(shape, info.dtype) for shape in info.plane_shapes)
    for c in range(4):
        _samples(values[c], scale, middle, info.peak, planes[0][c // 2 :: 2, c % 2 :: 2])
    for plane, part in zip(planes[1:], values[4:], strict=False):
        _samples(part, scale, middle, info.peak, plane)
    return planes


@compiled
def _cells(plane: Plane, scale: int, middle: int, out: Floats) -> None:
    """The samples of luma (height, width), times a scale less the middle, as (4, h, w); edges are repeated."""
    height, width = plane.shape
    for c in range(4):
        for i in range(out.shape[1]):
            row, to = plane[min(2 * i + c // 2, height - 1)], out[c, i]
            for j in range(len(to)):
                to[j] = scale * np.int64(row[min(2 * j + c % 2, width - 1)]) - middle


@compiled
def _padded(plane: Plane, scale: int, middle: int, out: Floats) -> None:
    """The same of chroma, as (h, w)."""
    height, width = plane.shape
    for i in range(out.shape[0]):
        row = plane[min(i, height - 1)]
        for j in range(out.shape[1]):
            out[i, j] = scale * np.int64(row[min(j, width - 1)]) - middle


@compiled
def _samples(values: Floats, scale: int, middle: int, peak: int, out: Plane) -> None:
    """Back: of a part (h, w), over the scale, rounded half up and clamped; those that `out` has room for."""
    half, whole, add, most = np.float32(scale // 2), np.float32(1 / scale), np.float32(middle), np.float32(peak)
    for i in range(out.shape[0]):
        row, to = values[i], out[i]
        for j in range(len(to)):
            to[j] = min(max(np.floor((row[j] + half) * whole) + add, np.float32(0)), most)
