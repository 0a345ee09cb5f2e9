"""The distortion that models of coded frames are fitted for: mean squared error of RGB."""

from __future__ import annotations

import torch
from torch import Tensor


def rgb_error(difference: Tensor, rows: Tensor) -> Tensor:
    """Mean squared error of RGB in [0, 1], (N,), chroma repeated.

    difference: of pictures (N, 6, h, w), as in models.mc, in code values. rows: (N, 3, 3) or (1, 3, 3), what turns
    differences of Y, Cb and Cr into those of R, G and B (media.color.rgb_differences).
    """
    luma = rows[:, :, :1, None, None] * difference[:, None, :4]  # (N, 3, 4, h, w)
    chroma = torch.einsum("nrc,nchw->nrhw", rows[:, :, 1:].expand(len(difference), -1, -1), difference[:, 4:])
    return (luma + chroma.unsqueeze(2)).square().mean((1, 2, 3, 4))
