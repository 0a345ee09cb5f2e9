"""Prediction by moved references, in integers: interpolation, fields of displacements, pictures at half size.

A reference is interpolated once to quarter samples; a displaced sample is then one of it, so that every filter is
stock convolution, and what is left is to gather. Pictures are as in `models.mc`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from nvcodec.models.integer import Arithmetic, sums

CELL = 16  # luma samples of a displacement's cell, and what sizes are padded to a multiple of
QUARTERS = 4
LOW, HIGH = -512, 511  # of a sample

TAPS = (
    (0, 0, 0, 64, 0, 0, 0, 0),
    (-1, 4, -10, 58, 17, -5, 1, 0),
    (-1, 4, -11, 40, 40, -11, 4, -1),
    (0, 1, -5, 17, 58, -10, 4, -1),
)
"""Interpolation at quarter samples, in 1/64: the luma filters of H.265 (8.5.3.3.3.1)."""


def interpolate(planes: Tensor) -> Tensor:
    """(N, C, h, w) integers in LOW..HIGH to (N, C, 4 h, 4 w): samples at quarter positions, the same range.

    Edges are repeated. Rows first, then columns, not rounded between; then over 4096, rounded half up. The greatest
    sum, 512 x 112 x 112, is under 2 ** 24.
    """
    taps = _taps(planes.device)
    single = planes.flatten(0, 1).unsqueeze(1)
    across = sums(functional.pad(single, (3, 4, 3, 4), mode="replicate"), taps.view(4, 1, 1, 8))
    wide = across.permute(0, 2, 3, 1).flatten(2).unsqueeze(1)  # (N C, 1, h + 7, 4 w)
    down = sums(wide, taps.view(4, 1, 8, 1))  # (N C, 4, h, 4 w)
    tall = down.permute(0, 2, 1, 3).flatten(1, 2).view(*planes.shape[:2], *[4 * n for n in planes.shape[2:]])
    return torch.floor((tall + 2048) / 4096).clamp(LOW, HIGH)


@lru_cache(maxsize=8)
def _taps(device: torch.device) -> Tensor:
    return torch.tensor(TAPS, dtype=torch.float32, device=device)


@dataclass(frozen=True, eq=False)
class Reference:
    """Decoded pictures (N, 6, h, w), and their interpolated luma (N, 1, 8 h, 8 w) and chroma (N, 2, 4 h, 4 w)."""

    picture: Tensor
    luma: Tensor
    chroma: Tensor

    @classmethod
    def of(cls, picture: Tensor) -> Reference:
        """Of decoded pictures (N, 6, h, w)."""
        return cls(picture, interpolate(functional.pixel_shuffle(picture[:, :4], 2)), interpolate(picture[:, 4:]))

    def moved(self, field: Tensor, arithmetic: Arithmetic) -> Tensor:
        """(N, 6, h, w): what lies at each sample of the picture once it is displaced by `field` (N, 2, rows, columns).

        The field is interpolated bilinearly between the centres of its cells, and, exactly, rounded to quarter samples;
        the displacement of a chroma sample is the mean of those of its four luma samples, halved.
        """
        luma = functional.interpolate(field, scale_factor=float(CELL), mode="bilinear", align_corners=False)
        if arithmetic.exact:
            luma = torch.floor(luma + 0.5)
        chroma = arithmetic.divide(functional.avg_pool2d(luma, 2, divisor_override=1), 8)
        take = _gather if arithmetic.exact else _blend
        return torch.cat((functional.pixel_unshuffle(take(self.luma, luma), 2), take(self.chroma, chroma)), 1)


def predict(references: Sequence[Reference], fields: Sequence[Tensor], arithmetic: Arithmetic) -> Tensor:
    """(N, 12, h, w) of one or two moved references: their mean and half their difference, 0 for one alone."""
    moved = [r.moved(f, arithmetic) for r, f in zip(references, fields, strict=True)]
    if len(moved) == 1:
        return torch.cat((moved[0], torch.zeros_like(moved[0])), 1)
    return torch.cat((arithmetic.divide(moved[0] + moved[1], 2), arithmetic.divide(moved[0] - moved[1], 2)), 1)


def _gather(planes: Tensor, displacement: Tensor) -> Tensor:
    """(N, C, h, w) of planes (N, C, 4 h, 4 w), displaced by (N, 2, h, w) in quarter samples; edges repeated."""
    height, width = displacement.shape[2:]
    y, x = _grid(height, width, planes.device)
    rows = (y + displacement[:, 1]).clamp(0, QUARTERS * height - 1)
    columns = (x + displacement[:, 0]).clamp(0, QUARTERS * width - 1)
    at = rows.to(torch.int64) * (QUARTERS * width) + columns.to(torch.int64)
    found = torch.gather(planes.flatten(2), 2, at.flatten(1).unsqueeze(1).expand(-1, planes.shape[1], -1))
    return found.view(*found.shape[:2], height, width)


def _blend(planes: Tensor, displacement: Tensor) -> Tensor:
    """`_gather` for training: bilinear between quarter samples, so that displacements have gradients."""
    height, width = displacement.shape[2:]
    y, x = _grid(height, width, planes.device)
    rows = (2 * (y + displacement[:, 1]) + 1) / (QUARTERS * height) - 1
    columns = (2 * (x + displacement[:, 0]) + 1) / (QUARTERS * width) - 1
    grid = torch.stack((columns, rows), -1)
    return functional.grid_sample(planes, grid, padding_mode="border", align_corners=False)


def _grid(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Quarter positions of samples that are not displaced: (h, 1) and (1, w)."""
    y = torch.arange(height, dtype=torch.float32, device=device) * QUARTERS
    x = torch.arange(width, dtype=torch.float32, device=device) * QUARTERS
    return y[:, None], x[None, :]
