"""The distortion that models of coded frames are fitted for: of RGB and of luma, in equal parts.

Mean squared error of RGB alone, as the eye has it on a screen, gives luma less than all that is measured on Y alone
would have it; each of the two costs the other some percent of bits (docs/experiments.md).
"""

from __future__ import annotations

import torch
from torch import Tensor

from nvcodec.media.color import rgb_differences
from nvcodec.video import VideoInfo

PART = 0.5  # of luma


def distortion_rows(info: VideoInfo) -> tuple[tuple[float, float, float], ...]:
    """Four rows that turn differences of Y, Cb and Cr, in code values, into those of R, G, B and Y in [0, 1], times the
    roots of their weights."""
    rgb, luma = ((1 - PART) / 3) ** 0.5, PART**0.5
    rows = [(rgb * y, rgb * u, rgb * v) for y, u, v in rgb_differences(info)]
    return (*rows, (luma / info.peak, 0.0, 0.0))


def distortion(difference: Tensor, rows: Tensor) -> Tensor:
    """Weighted mean squared error, (N,), chroma repeated.

    difference: of pictures (N, 6, h, w), as in models.mc, in code values. rows: distortion_rows, (N or 1, 4, 3).
    """
    luma = rows[:, :, :1, None, None] * difference[:, None, :4]  # (N, rows, 4, h, w)
    chroma = torch.einsum("nrc,nchw->nrhw", rows[:, :, 1:].expand(len(difference), -1, -1), difference[:, 4:])
    return (luma + chroma.unsqueeze(2)).square().mean((2, 3, 4)).sum(1)
