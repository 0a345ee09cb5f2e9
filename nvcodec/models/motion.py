"""Prediction by moved references, in integers: interpolation, overlapped blocks, pictures at half size.

A reference is interpolated once to quarter samples, one plane for each of the 16 positions between samples: a displaced
block is then a piece of one of them. Pictures are as in `models.mc`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

CELL = 16  # luma samples of a displacement's cell, and what sizes are padded to a multiple of
QUARTERS = 4
LOW, HIGH = -512, 511  # of a sample
REACH = 4  # samples beyond an edge from where on all that is interpolated is the edge's sample

TAPS = (
    (0, 0, 0, 64, 0, 0, 0, 0),
    (-1, 4, -10, 58, 17, -5, 1, 0),
    (-1, 4, -11, 40, 40, -11, 4, -1),
    (0, 1, -5, 17, 58, -10, 4, -1),
)
"""Interpolation at quarter samples, in 1/64: the luma filters of H.265 (8.5.3.3.3.1)."""


@dataclass(frozen=True, eq=False)
class Quarters:
    """Planes at quarter samples. phases: (N, 16, C, height + 2 margin, width + 2 margin), the position 4 fx + fy
    quarters right of and below the samples at place 4 fx + fy. height, width: of the planes, in samples."""

    phases: Tensor
    height: int
    width: int
    margin: int

    @classmethod
    def of(cls, planes: Tensor, size: int) -> Quarters:
        """Of planes (N, C, h, w) of integers in LOW..HIGH, for windows of up to `size` samples a side.

        Edges are repeated without end. Columns first, then rows, not rounded between; then over 4096, rounded half up,
        and clamped to the same range. The greatest sum, 512 x 112 x 112, is under 2 ** 24.
        """
        number, channels, height, width = planes.shape
        margin = size + REACH
        single = functional.pad(planes, (REACH + 3, REACH + 4) * 2, mode="replicate")
        across = planes.new_empty(number, 4, channels, height + 15, width + 8)
        phases = planes.new_empty(number, 4, 4, channels, height + 2 * margin, width + 2 * margin)
        inner = phases[..., size:-size, size:-size]
        for place, taps in enumerate(TAPS):
            _filter(single, taps, -1, across[:, place])
        for place, taps in enumerate(TAPS):
            _filter(across, taps, -2, inner[:, :, place])
        inner.add_(2048).mul_(1 / 4096).floor_().clamp_(LOW, HIGH)
        phases[..., :size, size:-size] = inner[..., :1, :]
        phases[..., -size:, size:-size] = inner[..., -1:, :]
        phases[..., :size] = phases[..., size : size + 1]
        phases[..., -size:] = phases[..., -size - 1 : -size]
        return cls(phases.flatten(1, 2), height, width, margin)

    def windows(self, rows: Tensor, columns: Tensor, size: int) -> Tensor:
        """(N, R, C, channels, size, size): the samples from the quarter positions (N, R, C), int64, on."""
        low = -QUARTERS * (size + REACH)
        rows = rows.clamp(low, QUARTERS * (self.height + REACH)) + QUARTERS * self.margin
        columns = columns.clamp(low, QUARTERS * (self.width + REACH)) + QUARTERS * self.margin
        number, _, channels, tall, wide = self.phases.shape
        n, p, c, y, x = self.phases.stride()
        shape = (number, 16, tall - size + 1, wide - size + 1, channels, size, size)
        pieces = self.phases.as_strided(shape, (n, p, y, x, c, y, x))
        phase = columns % QUARTERS * QUARTERS + rows % QUARTERS
        frame = torch.arange(number, device=rows.device).view(-1, 1, 1)
        return pieces[frame, phase, rows // QUARTERS, columns // QUARTERS]


def _filter(x: Tensor, taps: Sequence[int], dim: int, total: Tensor) -> None:
    """Write into `total` the sums of len(taps) neighbours of x along a dimension, times the taps.

    Several times as fast as a convolution with one input channel.
    """
    used = [(x.narrow(dim, place, total.shape[dim]), tap) for place, tap in enumerate(taps) if tap]
    torch.mul(*used[0], out=total)
    for part, tap in used[1:]:
        total.add_(part, alpha=tap)


@dataclass(frozen=True, eq=False)
class Reference:
    """Decoded pictures (N, 6, h, w), and their luma (one channel) and chroma (two) at quarter samples."""

    picture: Tensor
    luma: Quarters
    chroma: Quarters

    @classmethod
    def of(cls, picture: Tensor) -> Reference:
        """Of decoded pictures (N, 6, h, w)."""
        luma = functional.pixel_shuffle(picture[:, :4], 2)
        return cls(picture, Quarters.of(luma, 2 * CELL), Quarters.of(picture[:, 4:], CELL))

    def moved(self, field: Tensor) -> Tensor:
        """(N, 6, h, w): the picture displaced by `field` (N, 2, rows, columns), in quarters of a luma sample.

        Overlapped block motion compensation (Orchard and Sullivan 1994): every cell displaces a window of twice its
        size around it, and a sample is the mean of the four windows over it, with weights that fall linearly from the
        centre of a window to nothing. Chroma has half the displacement, rounded half up.
        """
        whole = functional.pad(field, (1, 1, 1, 1), mode="replicate").to(torch.int64)
        luma = _overlapped(self.luma, whole, CELL)
        chroma = _overlapped(self.chroma, (whole + 1) // 2, CELL // 2)
        return torch.cat((functional.pixel_unshuffle(luma, 2), chroma), 1)


def _overlapped(planes: Quarters, field: Tensor, cell: int) -> Tensor:
    """(N, C, h, w) of cells of that many samples. field: (N, 2, R + 2, C + 2) int64, with the cells around them."""
    tall, wide = field.shape[2] - 2, field.shape[3] - 2
    rows = QUARTERS * (cell * torch.arange(-1, tall + 1, device=field.device) - cell // 2)
    columns = QUARTERS * (cell * torch.arange(-1, wide + 1, device=field.device) - cell // 2)
    windows = planes.windows(rows[:, None] + field[:, 1], columns + field[:, 0], 2 * cell)
    number, _, _, channels = windows.shape[:4]
    windows = (windows * _tent(cell, field.device)).view(*windows.shape[:4], 2, cell, 2, cell)
    total = torch.zeros(number, tall + 3, wide + 3, channels, cell, cell, device=field.device)
    for m in (0, 1):
        for n in (0, 1):
            total[:, m : m + tall + 2, n : n + wide + 2] += windows[..., m, :, n, :]
    whole = total.permute(0, 3, 1, 4, 2, 5).reshape(number, channels, cell * (tall + 3), cell * (wide + 3))
    edge = cell + cell // 2
    inner = whole[:, :, edge : edge + cell * tall, edge : edge + cell * wide]
    unit = 4 * cell * cell
    return torch.floor((inner + unit // 2) * (1 / unit))


@lru_cache(maxsize=8)
def _tent(cell: int, device: torch.device) -> Tensor:
    """Weights of a window, (2 cell, 2 cell); four that lie over one sample add up to 4 cell ** 2."""
    side = 2 * cell - (2 * torch.arange(2 * cell, device=device) - 2 * cell + 1).abs()
    return (side[:, None] * side).to(torch.float32)


def predict(references: Sequence[Reference], fields: Sequence[Tensor]) -> Tensor:
    """(N, 12, h, w) of one or two moved references: their mean and half their difference, rounded half up, 0 for one
    alone."""
    moved = [r.moved(f) for r, f in zip(references, fields, strict=True)]
    if len(moved) == 1:
        return torch.cat((moved[0], torch.zeros_like(moved[0])), 1)
    mean, difference = moved[0] + moved[1], moved[0] - moved[1]
    return torch.floor_(torch.cat((mean, difference), 1).add_(1).mul_(0.5))


def midway(field: Tensor, part: int, whole: int) -> Tensor:
    """field, integers, times part / whole, in eighths, rounded half up: where something is after a part of its way."""
    exact = (16 * part * field.to(torch.int64) + whole) // (2 * whole)
    return exact.to(field.dtype)
