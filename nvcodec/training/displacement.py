"""Fields of displacement by search: what predicts a frame well and is cheap to code.

    minimise  sum over cells of J(E) + price of the displacements, in bits

over fields d of whole quarter samples. E is the squared error of a cell's luma, moved as one block; J(E) = a ln(1 + E /
(a lambda)) is what it costs to leave it or to code it. The price of a displacement that nothing is guessed of is

    PAIR sum r(d - d') + MEAN r(d - m)        r(x) = log2(1 + |x|), d' the neighbours of a cell, m their mean

and of one with a guess g the smaller of this and PAIR sum r((d - g) - (d' - g')) + GUESS r(d - g). The start is dense
inverse search optical flow (Kroeger et al. 2016), by OpenCV; then cells take turns, as on a checkerboard, with the best
of what their neighbours have, their means, and small changes (iterated conditional modes, Besag 1986). Of two
references each one is searched alone, then both together, where the second is guessed to mirror the first. On the CPU
fields are then settled, for the windows that really predict and by what they really cost (`training.settling`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nvcodec.models.mc import FLOW_BOUND
from nvcodec.models.motion import CELL, QUARTERS, Reference
from nvcodec.training.cell_errors import cell_errors
from nvcodec.training.settling import LOGS, Coding, Prices, settle
from nvcodec.training.windows import windows

PAIR, MEAN, GUESS = 2.0, 4.0, 4.0  # bits of a doubled difference
SATURATION = 0.5 * CELL * CELL  # a: bits of a cell
LUMA = 1 / (4 * 219)  # of a quarter of a code value, over all of the range
STRIDES = (4, 2, 1, 1)  # of small changes of one field, in quarter samples
BOTH = (2, 1, 1)  # of two together
WINDOW = 4  # cells in the area of a window
MOST_SAMPLES = 1 << 23  # that are moved at a time


def search(
    target: Tensor,
    references: Sequence[Reference],
    lam: float,
    guess: Tensor | None = None,
    starts: Sequence[Tensor] | None = None,
    coding: Coding | None = None,
) -> list[Tensor]:
    """Displacements (1, 2, rows, columns) in whole quarter samples that bring each reference to `target`, a picture
    (1, 6, h, w) as in models.mc.

    lam: lambda, mean squared error per bit and pixel. guess: of the first field, in eighths, as the model codes it.
    starts: fields (2, rows, columns) to begin from, of each reference, in place of optical flow from it. coding: how
    they will be coded, to settle them under its laws.
    """
    at = _Search(target, references, lam)
    near = None if guess is None else torch.round(guess[0] / 8)
    if starts is None:
        starts = [flow(target, reference.picture).round() for reference in references]
    fields = [at.improve(number, start, None if number else near) for number, start in enumerate(starts)]
    if len(fields) == 2:
        fields = at.improve_both(fields, near)
    if coding is not None and target.device.type == "cpu":
        fields = at.settle(fields, near, guess, coding)
    return [field[None].clamp(-FLOW_BOUND, FLOW_BOUND) for field in fields]


class _Search:
    """Fields (2, R, C) that bring some references to a target; K of them at a time are candidates (K, 2, R, C)."""

    def __init__(self, target: Tensor, references: Sequence[Reference], lam: float) -> None:
        self._references, self._lam = references, lam
        luma = functional.pixel_shuffle(target[:, :4], 2)
        rows, columns = luma.shape[2] // CELL, luma.shape[3] // CELL
        self._target = luma[0, 0].view(rows, CELL, columns, CELL).transpose(1, 2)[None].contiguous()
        y, x = torch.arange(rows, device=luma.device)[:, None], torch.arange(columns, device=luma.device)
        self._rows, self._columns = QUARTERS * CELL * y, QUARTERS * CELL * x
        even = (y + x) % 2 == 0
        self._turns = (even, ~even)
        self._changes = _CHANGES.to(luma.device)
        self._there = _neighbours(torch.ones(1, rows, columns, device=luma.device), "constant")[:, 0]
        self._inside = self._there.amin(0)  # cells with all four neighbours

    def improve(self, number: int, field: Tensor, guess: Tensor | None) -> Tensor:
        """A better field of one reference, alone."""
        fixed = torch.stack([torch.zeros_like(field), *([] if guess is None else [guess])])
        fixed_errors = self._errors([fixed], [number])
        for stride in STRIDES:
            for turn in self._turns:
                around = _neighbours(field)
                across, down = around[:2].mean(0), around[2:].mean(0)
                middles = [around.median(0).values, across.round(), down.round(), ((across + down) / 2).round()]
                moving = torch.cat((field[None], around, torch.stack(middles), field + stride * self._changes))
                candidates = torch.cat((moving, fixed))
                costs = torch.cat((self._errors([moving], [number]), fixed_errors))
                costs += self._price(candidates, field, *_less(guess, candidates, field))
                (field,) = _chosen(costs, [candidates], [field], turn)
        return field

    def improve_both(self, fields: list[Tensor], guess: Tensor | None) -> list[Tensor]:
        """Better fields of two references, for what both predict together."""
        zero = torch.zeros_like(self._changes)
        for stride in BOTH:
            changes = stride * self._changes
            for turn in self._turns:
                one, two = fields
                middle = torch.round((one - two) / 2)
                mirrored = torch.stack([one, -two, middle, *([] if guess is None else [guess])])
                ones = torch.cat((one[None], _neighbours(one), mirrored, one + changes, one + changes, one + zero))
                twos = torch.cat((two[None], _neighbours(two), -mirrored, two - changes, two + zero, two + changes))
                costs = self._errors([ones, twos], [0, 1])
                costs += self._price(ones, one, *_less(guess, ones, one))
                costs += self._price(twos, two, ones + twos, one + two)
                fields = _chosen(costs, [ones, twos], fields, turn)
        return fields

    def settle(self, fields: list[Tensor], near: Tensor | None, guess: Tensor | None, coding: Coding) -> list[Tensor]:
        """Better fields, under the laws of a network. On the CPU. near: the guess, in quarters."""
        whole = torch.stack(fields).to(torch.int64).numpy()
        planes = [reference.luma for reference in self._references]
        phases = [p.phases[0, :, 0].numpy() for p in planes]
        target = self._target[0].transpose(1, 2).reshape(whole.shape[2] * CELL, whole.shape[3] * CELL).numpy()
        w = windows(target, phases[0], phases[-1], planes[0].margin, whole)
        expected = np.zeros(whole.shape[1:], np.float32) if near is None else near.numpy()
        prices = Prices(PAIR, MEAN, GUESS, expected, near is not None, LOGS)
        settle(coding, self._references, w, prices, guess, LUMA**2 / self._lam, WINDOW * SATURATION)
        return list(torch.from_numpy(w.fields).to(torch.float32))

    def _errors(self, fields: Sequence[Tensor], numbers: Sequence[int]) -> Tensor:
        """J of each cell, (K, R, C), of the mean of the references of these numbers, each moved by K fields."""
        squares = self._squares_on_cpu if self._target.device.type == "cpu" else self._squares
        energy = squares(fields, numbers) * LUMA**2
        return SATURATION * torch.log1p(energy / (self._lam * SATURATION))

    def _squares_on_cpu(self, fields: Sequence[Tensor], numbers: Sequence[int]) -> Tensor:
        """`_squares`, in one loop."""
        planes = [self._references[number].luma for number in numbers]
        places = [p.within(*self._places(field), CELL) for p, field in zip(planes, fields, strict=True)]
        one, two = planes[0], planes[-1]
        rows, columns = (torch.stack((places[0][axis], places[-1][axis])).numpy() for axis in (0, 1))
        phases = [p.phases[0, :, 0].numpy() for p in (one, two)]
        return torch.from_numpy(cell_errors(self._target[0].numpy(), phases[0], phases[1], rows, columns, one.margin))

    def _squares(self, fields: Sequence[Tensor], numbers: Sequence[int]) -> Tensor:
        """Squared errors of the luma of each cell, (K, R, C)."""
        most = max(1, MOST_SAMPLES // self._target.numel())
        parts = []
        for some in zip(*[torch.split(f, most) for f in fields], strict=True):
            moved = sum(self._moved(n, f) for n, f in zip(numbers, some, strict=True)) / len(numbers)
            parts.append((moved - self._target).square_().sum((3, 4)))
        return torch.cat(parts)

    def _moved(self, number: int, fields: Tensor) -> Tensor:
        """Blocks (K, R, C, CELL, CELL) of a reference."""
        rows, columns = self._places(fields)
        found = self._references[number].luma.windows(rows.flatten(0, 1)[None], columns.flatten(0, 1)[None], CELL)
        return found.view(*rows.shape, CELL, CELL)

    def _places(self, fields: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and columns, (K, R, C), in quarters, where the cells come from."""
        whole = fields.to(torch.int64)
        return self._rows + whole[:, 1], self._columns + whole[:, 0]

    def _price(
        self, candidates: Tensor, field: Tensor, surprises: Tensor | None = None, surprise: Tensor | None = None
    ) -> Tensor:
        """Bits of each cell, (K, R, C), next to cells of `field`. surprises, surprise: both less the guess, if any."""
        around = _neighbours(field)
        price = self._beside(candidates, around) + MEAN * self._inside * _roughness(candidates - around.mean(0))
        if surprises is None or surprise is None:
            return price
        return torch.minimum(price, self._beside(surprises, _neighbours(surprise)) + GUESS * _roughness(surprises))

    def _beside(self, candidates: Tensor, around: Tensor) -> Tensor:
        """What differences from the neighbours cost, (K, R, C). around: them, (4, 2, R, C)."""
        total = torch.zeros_like(candidates[:, 0])
        for one, there in zip(around, self._there, strict=True):
            total += PAIR * there * _roughness(candidates - one)
        return total


_CHANGES = torch.tensor([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1) if x or y]).to(torch.float32).view(8, 2, 1, 1)


def _chosen(costs: Tensor, candidates: Sequence[Tensor], fields: Sequence[Tensor], turn: Tensor) -> list[Tensor]:
    """The fields, and where it is a cell's turn its candidate of the least cost; the first of equals."""
    best = costs.argmin(0)
    best = best.expand(1, 2, *best.shape)
    return [torch.where(turn, c.gather(0, best)[0], field) for c, field in zip(candidates, fields, strict=True)]


def _less(guess: Tensor | None, *fields: Tensor) -> list[Tensor]:
    """Fields less the guess, none without one."""
    return [] if guess is None else [field - guess for field in fields]


def _roughness(differences: Tensor) -> Tensor:
    """r of both directions together, (K, R, C)."""
    return torch.log2(1 + differences.abs()).sum(1)


def _neighbours(field: Tensor, beyond: str = "replicate") -> Tensor:
    """(4, 2, R, C) of (2, R, C): left, right, upper, lower; beyond an edge a cell itself, or, "constant", 0."""
    padded = functional.pad(field[None], (1, 1, 1, 1), mode=beyond)[0]
    rows, columns = field.shape[1:]
    places = ((1, 0), (1, 2), (0, 1), (2, 1))
    return torch.stack([padded[:, y : y + rows, x : x + columns] for y, x in places])


class Flows:
    """Optical flow between the frames of a group, from that between neighbours: over many frames, what moves far."""

    def __init__(self, picture: Callable[[int], Tensor]) -> None:
        """picture: of a frame, (1, 6, h, w)."""
        self._picture = picture
        self._steps: dict[tuple[int, int], Tensor] = {}

    def between(self, frame: int, reference: int) -> Tensor:
        """(2, rows, columns), whole quarter samples, from a frame to another one."""
        step = 1 if reference > frame else -1
        total = self._step(frame, frame + step)
        for at in range(frame + step, reference, step):
            total = total + _sampled(self._step(at, at + step), total)
        return total.round()

    def _step(self, frame: int, other: int) -> Tensor:
        if (frame, other) not in self._steps:
            self._steps[frame, other] = flow(self._picture(frame), self._picture(other))
        return self._steps[frame, other]


def _sampled(field: Tensor, displacement: Tensor) -> Tensor:
    """A field (2, R, C) at its cells' displaced places, bilinear, beyond the edges that of the edge."""
    rows, columns = field.shape[1:]
    y, x = torch.arange(rows, device=field.device)[:, None], torch.arange(columns, device=field.device)
    place = displacement / (QUARTERS * CELL)  # in cells
    grid = torch.stack(((2 * (x + place[0]) + 1) / columns - 1, (2 * (y + place[1]) + 1) / rows - 1), -1)
    return functional.grid_sample(field[None], grid[None], padding_mode="border", align_corners=False)[0]


def flow(target: Tensor, reference: Tensor) -> Tensor:
    """Optical flow (2, rows, columns) between two pictures (1, 6, h, w), in quarter samples: each cell's median."""
    one, two = _eight_bit(target), _eight_bit(reference)
    found = np.zeros((*one.shape, 2), np.float32)
    cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(one, two, found)
    rows, columns = found.shape[0] // CELL, found.shape[1] // CELL
    cells = found.reshape(rows, CELL, columns, CELL, 2).transpose(0, 2, 1, 3, 4).reshape(rows, columns, CELL * CELL, 2)
    median = 4 * np.median(cells, axis=2).transpose(2, 0, 1)  # (2, rows, columns)
    return torch.from_numpy(np.ascontiguousarray(median, np.float32)).to(target.device)


def _eight_bit(picture: Tensor) -> NDArray[np.uint8]:
    """Luma (2 h, 2 w) of a picture."""
    luma = functional.pixel_shuffle(picture[:, :4], 2)[0, 0]
    found: NDArray[np.uint8] = ((luma / 4).round() + 128).clamp(0, 255).to(torch.uint8).cpu().numpy()
    return found
