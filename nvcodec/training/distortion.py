"""The distortion that models of coded frames are fitted for: of RGB and of luma, PART of it of luma.

Mean squared error of RGB alone, as the eye has it on a screen, gives luma less than all that is measured on Y alone
would have it; each of the two costs the other some percent of bits (docs/experiments.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nvcodec.media.color import Rows, rgb_differences
from nvcodec.video import VideoInfo

PART = 0.65  # of luma


def plain_rows(info: VideoInfo) -> Rows:
    """Four rows that turn differences of Y, Cb and Cr, in code values, into those of R, G, B and Y in [0, 1]."""
    return (*rgb_differences(info), (1 / info.peak, 0.0, 0.0))


def weighted(rows: Sequence[Sequence[float]]) -> Rows:
    """`plain_rows`, times the roots of their weights."""
    rgb, luma = ((1 - PART) / 3) ** 0.5, PART**0.5
    return tuple((w * y, w * u, w * v) for w, (y, u, v) in zip((rgb, rgb, rgb, luma), rows, strict=True))


def distortion_rows(info: VideoInfo) -> Rows:
    """What `distortion` takes for such video."""
    return weighted(plain_rows(info))


def distortion(difference: Tensor, rows: Tensor) -> Tensor:
    """Weighted mean squared error, (N,), chroma repeated.

    difference: of pictures (N, 6, h, w), as in models.mc, in code values. rows: distortion_rows, (N or 1, 4, 3).
    """
    luma = rows[:, :, :1, None, None] * difference[:, None, :4]  # (N, rows, 4, h, w)
    chroma = torch.einsum("nrc,nchw->nrhw", rows[:, :, 1:].expand(len(difference), -1, -1), difference[:, 4:])
    return (luma + chroma.unsqueeze(2)).square().mean((2, 3, 4)).sum(1)
