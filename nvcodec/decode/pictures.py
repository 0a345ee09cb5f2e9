"""Planes of code values to the pictures that frame models work on, and back.

A picture is (1, 6, h, w) float32 integers at half the size of the luma plane: the four luma samples of each 2 x 2 cell
in raster order, then Cb and Cr. A sample is in quarters of an 8 bit code value, less its middle: code x 4 - 512 of 8
bit, code - 512 of 10 bit. Luma is padded to multiples of 16 and chroma to multiples of 8 by repeating edges; the chroma
of gray is 0.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nvcodec.errors import MalformedError
from nvcodec.models.motion import CELL
from nvcodec.video import Chroma, Plane, VideoInfo

MIDDLE = 512
Planes = tuple[Plane, ...]


def check_format(name: str, info: VideoInfo) -> None:
    """MalformedError unless the model `name`, a frame model, can have such video."""
    if info.chroma not in (Chroma.GRAY, Chroma.C420):
        raise MalformedError(f"{name} has 4:2:0 and gray only")


def to_picture(planes: Planes, info: VideoInfo, device: torch.device) -> Tensor:
    """The picture (1, 6, h, w) of the planes of a frame, gray or 4:2:0."""
    luma = functional.pixel_unshuffle(_padded(planes[0], CELL, info, device), 2)
    if info.chroma is Chroma.GRAY:
        return torch.cat((luma, luma.new_zeros(1, 2, *luma.shape[2:])), 1)
    return torch.cat((luma, *(_padded(plane, CELL // 2, info, device) for plane in planes[1:])), 1)


def to_planes(picture: Tensor, info: VideoInfo) -> Planes:
    """The planes of a picture, each rounded half up, clamped and cropped."""
    parts = (functional.pixel_shuffle(picture[:, :4], 2), picture[:, 4:5], picture[:, 5:6])
    if info.bit_depth == 8:
        codes = [torch.floor((part + 2) / 4) + MIDDLE // 4 for part in parts]
    else:
        codes = [part + MIDDLE for part in parts]
    # Fewer planes than parts where the video is gray.
    return tuple(
        code[0, 0, :height, :width].clamp(0, info.peak).cpu().numpy().astype(info.dtype)
        for code, (height, width) in zip(codes, info.plane_shapes, strict=False)
    )


def _padded(plane: Plane, multiple: int, info: VideoInfo, device: torch.device) -> Tensor:
    """(1, 1, h, w) of a plane."""
    x = torch.from_numpy(plane.astype(np.float32)).to(device)[None, None]
    x = 4 * x - MIDDLE if info.bit_depth == 8 else x - MIDDLE
    return functional.pad(x, (0, -x.shape[3] % multiple, 0, -x.shape[2] % multiple), mode="replicate")
