"""Prediction by moved references, in integers: interpolation, overlapped blocks, pictures at half size.

Off the CPU, and where blocks are searched for, a reference is interpolated once to quarter samples, one plane for each
of the 16 positions between samples: a displaced block is then a piece of one of them. Pictures are as in `models.mc`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nvcodec.jit import compiled
from nvcodec.models import blocks

PICTURE = 6  # channels of a picture
CELL = 16  # luma samples of a displacement's cell, and what sizes are padded to a multiple of
QUARTERS = 4
CELL_QUARTERS = CELL * QUARTERS
LOW, HIGH = -512, 511  # of a sample
REACH = 4  # samples beyond an edge from where on all that is interpolated is the edge's sample

TAPS = (
    (0, 0, 0, 64, 0, 0, 0, 0),
    (-1, 4, -10, 58, 17, -5, 1, 0),
    (-1, 4, -11, 40, 40, -11, 4, -1),
    (0, 1, -5, 17, 58, -10, 4, -1),
)
"""Interpolation at quarter samples, in 1/64: the luma filters of H.265 (8.5.3.3.3.1)."""
_TAPS = np.array(TAPS, np.float32)


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
        rows, columns = (at + QUARTERS * self.margin for at in self.within(rows, columns, size))
        number, _, channels, tall, wide = self.phases.shape
        n, p, c, y, x = self.phases.stride()
        shape = (number, 16, tall - size + 1, wide - size + 1, channels, size, size)
        pieces = self.phases.as_strided(shape, (n, p, y, x, c, y, x))
        phase = columns % QUARTERS * QUARTERS + rows % QUARTERS
        frame = torch.arange(number, device=rows.device).view(-1, 1, 1)
        return pieces[frame, phase, rows // QUARTERS, columns // QUARTERS]

    def within(self, rows: Tensor, columns: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """The same windows from positions that the planes have: far beyond an edge all are alike."""
        low = -QUARTERS * (size + REACH)
        ends = QUARTERS * (self.height + REACH), QUARTERS * (self.width + REACH)
        return rows.clamp(low, ends[0]), columns.clamp(low, ends[1])


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
    """Decoded pictures (N, 6, h, w), and what is moved of them."""

    picture: Tensor

    @cached_property
    def planes(self) -> tuple[Tensor, Tensor]:
        """Luma (N, 1, 2 h, 2 w) and chroma (N, 2, h, w)."""
        return functional.pixel_shuffle(self.picture[:, :4], 2), self.picture[:, 4:].contiguous()

    @cached_property
    def half(self) -> Tensor:
        """Luma at half size, (N, h, w): sums of four samples."""
        return self.picture[:, :4].sum(1)

    @cached_property
    def luma(self) -> Quarters:
        """Luma at quarter samples."""
        return Quarters.of(self.planes[0], 2 * CELL)

    @cached_property
    def chroma(self) -> Quarters:
        """Chroma at quarter samples."""
        return Quarters.of(self.planes[1], CELL)


def moved(references: Sequence[Reference], fields: Sequence[Tensor]) -> list[Tensor]:
    """(N, 6, h, w) of each: the picture displaced by its field (N, 2, rows, columns), in quarters of a luma sample.

    Overlapped block motion compensation (Orchard and Sullivan 1994): every cell displaces a window of twice its size
    around it, and a sample is the mean of the four windows over it, with weights that fall linearly from the centre of
    a window to nothing. Chroma has half the displacement, rounded half up.
    """
    pairs = zip(*_moved_planes(references, fields), strict=True)
    return [torch.cat((functional.pixel_unshuffle(y, 2), c), 1) for y, c in pairs]


def _moved_planes(references: Sequence[Reference], fields: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Luma (N, 1, 2 h, 2 w) and chroma (N, 2, h, w) of each."""
    whole = [field.to(torch.int64) for field in fields]
    luma = [(r, f, CELL) for r, f in zip(references, whole, strict=True)]
    chroma = [(r, (f + 1) // 2, CELL // 2) for r, f in zip(references, whole, strict=True)]
    if references[0].picture.device.type == "cpu":
        threads = torch.get_num_threads()
        spread = map if threads == 1 else _workers(threads).map
        found = list(spread(by_blocks, *zip(*luma, *chroma, strict=True)))
    else:
        found = [by_phases(*work) for work in luma + chroma]
    return found[: len(luma)], found[len(luma) :]


@lru_cache(maxsize=4)
def _workers(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


def by_blocks(reference: Reference, field: Tensor, cell: int) -> Tensor:
    """(N, C, h, w): the luma, in cells of CELL samples, or the chroma of a reference, moved by `field` (N, 2, R, C),
    int64, in quarters of their samples. On the CPU."""
    planes = reference.planes[cell != CELL].numpy()
    found = [blocks.overlapped(one, f, cell, _TAPS, LOW, HIGH) for one, f in zip(planes, field.numpy(), strict=True)]
    return torch.from_numpy(np.stack(found))


def by_phases(reference: Reference, field: Tensor, cell: int) -> Tensor:
    """The same on any device."""
    planes = reference.luma if cell == CELL else reference.chroma
    tall, wide = field.shape[2:]
    around = [torch.arange(-1, n + 1, device=field.device) for n in (tall, wide)]
    field = field[:, :, around[0].clamp(0, tall - 1)][..., around[1].clamp(0, wide - 1)]
    rows, columns = (QUARTERS * (cell * place - cell // 2) for place in around)
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
    if len(fields[0]) == 1 and fields[0].device.type == "cpu":
        lumas, chromas = _moved_planes(references, fields)
        out = np.empty((*chromas[0].shape[2:], 2 * PICTURE), np.float32)
        blocks.blended(tuple(y[0].numpy() for y in lumas), tuple(c[0].numpy() for c in chromas), out)
        return torch.from_numpy(out).permute(2, 0, 1)[None]
    found = moved(references, fields)
    if len(found) == 1:
        return torch.cat((found[0], torch.zeros_like(found[0])), 1)
    mean, difference = found[0] + found[1], found[0] - found[1]
    return torch.floor_(torch.cat((mean, difference), 1).add_(1).mul_(0.5))


def followed(field: Tensor, part: int, whole: int) -> Tensor:
    """A field (N, 2, rows, columns) of the frame that what moves by it comes through after `part` / `whole` of its way.

    At each of its cells it is what the field has where the cell's own displacement leads back to: bilinear between
    cells, in quarter samples, rounded half up. Integers, exact on every device.
    """
    way = followed_by_cells if field.device.type == "cpu" else followed_at_once
    return way(field, part, whole)


def followed_by_cells(field: Tensor, part: int, whole: int) -> Tensor:
    """`followed` on the CPU."""
    out = np.empty(field.shape, np.float32)
    for values, to in zip(field.to(torch.int64).numpy(), out, strict=True):
        _follow(values, part, whole, to)
    return torch.from_numpy(out)


def followed_at_once(field: Tensor, part: int, whole: int) -> Tensor:
    """`followed` on any device."""
    rows, columns = field.shape[2:]
    moved = field.to(torch.int64)
    back = (2 * part * moved + whole) // (2 * whole)
    x = (CELL_QUARTERS * torch.arange(columns, device=field.device) - back[:, 0]).clamp(
        0, CELL_QUARTERS * (columns - 1)
    )
    y = (CELL_QUARTERS * torch.arange(rows, device=field.device)[:, None] - back[:, 1]).clamp(
        0, CELL_QUARTERS * (rows - 1)
    )
    left, top = x // CELL_QUARTERS, y // CELL_QUARTERS
    right, bottom = (left + 1).clamp(max=columns - 1), (top + 1).clamp(max=rows - 1)
    u, v = (x % CELL_QUARTERS)[:, None], (y % CELL_QUARTERS)[:, None]
    values = moved.flatten(2)

    def at(row: Tensor, column: Tensor) -> Tensor:
        places = (row * columns + column).flatten(1)[:, None].expand(-1, 2, -1)
        return values.gather(2, places).view_as(moved)

    upper = (CELL_QUARTERS - u) * at(top, left) + u * at(top, right)
    lower = (CELL_QUARTERS - u) * at(bottom, left) + u * at(bottom, right)
    area = CELL_QUARTERS**2
    total = (CELL_QUARTERS - v) * upper + v * lower
    return ((total + area // 2) // area).to(field.dtype)


@compiled
def _follow(field: NDArray[np.int64], part: int, whole: int, out: NDArray[np.float32]) -> None:
    """`followed` of one field (2, rows, columns), into `out`."""
    _, rows, columns = field.shape
    area = CELL_QUARTERS**2
    for i in range(rows):
        for j in range(columns):
            back_x = (2 * part * field[0, i, j] + whole) // (2 * whole)
            back_y = (2 * part * field[1, i, j] + whole) // (2 * whole)
            x = min(max(CELL_QUARTERS * j - back_x, 0), CELL_QUARTERS * (columns - 1))
            y = min(max(CELL_QUARTERS * i - back_y, 0), CELL_QUARTERS * (rows - 1))
            left, top, u, v = x // CELL_QUARTERS, y // CELL_QUARTERS, x % CELL_QUARTERS, y % CELL_QUARTERS
            right, bottom = min(left + 1, columns - 1), min(top + 1, rows - 1)
            for c in range(2):
                upper = (CELL_QUARTERS - u) * field[c, top, left] + u * field[c, top, right]
                lower = (CELL_QUARTERS - u) * field[c, bottom, left] + u * field[c, bottom, right]
                out[c, i, j] = ((CELL_QUARTERS - v) * upper + v * lower + area // 2) // area


def midway(field: Tensor, part: int, whole: int) -> Tensor:
    """field, integers, times part / whole, in eighths, rounded half up: where something is after a part of its way."""
    exact = (16 * part * field.to(torch.int64) + whole) // (2 * whole)
    return exact.to(field.dtype)
