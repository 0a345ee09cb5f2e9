"""The symbols of coded frames: from what a network expects of a value to a row of `entropy.laplace`, and back.

A network gives a location and half the log2 of a scale in activation units (`models.integer`); all that is decided here
is decided in integers, by `laws`, for the decoder and for the encoder, which has a `Writer` of the same shape.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.entropy import laplace, rans
from nvcodec.errors import MalformedError
from nvcodec.jit import compiled
from nvcodec.limits import MAX_MAGNITUDE
from nvcodec.models.integer import log2_fixed

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

SKIPPED = -1  # instead of a row
_UNIT_LOG = 9 * 256  # of an activation of 1, in 256ths


def laws(location: Ints, scale: Ints, step: int | None) -> tuple[Ints, Ints]:
    """(floors, rows) of values from their location and scale, all of one shape; a value is its floor plus a symbol r.

    step: what a value is multiplied with, in activation units; without one, the location is in 1/64 of a value. Rows
    are those of `entropy.laplace`, SKIPPED where the scale is so small that nothing is coded: the value is its floor,
    which is L / 8 rounded half up. With L the location in eighths of a value and s the index of the scale:

        L = floor(8 location / step + 1/2)                   or floor(location / 8 + 1/2)
        s = floor(4 (2 scale / 512 - log2(step / 512)) + 18 + 1/2)

    log2 in 256ths, rounded down; s is at most 47, and below 0 the value is skipped.
    """
    if step is None:
        return _laws(location, scale, 0, 0)
    return _laws(location, scale, step, log2_fixed(step) - _UNIT_LOG)


@compiled
def _laws(location: Ints, scale: Ints, step: int, log: int) -> tuple[Ints, Ints]:
    """`laws`. step: 0 for none; log: its log2 less that of an activation of 1, in 256ths."""
    floors, rows = np.empty(len(location), np.int64), np.empty(len(location), np.int64)
    for i in range(len(location)):
        eighths = (16 * location[i] + step) // (2 * step) if step else (location[i] + 4) >> 3
        index = min((4 * scale[i] - 4 * log + 18 * 256 + 128) >> 8, laplace.SCALES - 1)
        if index >= 0:
            floors[i], rows[i] = eighths >> 3, index * laplace.PHASES + (eighths & 7)
        else:
            floors[i], rows[i] = (eighths + 4) >> 3, SKIPPED
    return floors, rows


def pass_laws(cells: Tensor, location: Tensor, scale: Tensor, step: Tensor | None) -> tuple[Ints, Ints]:
    """`laws` of the values of one pass, in the order of coding: those of `cells`, (h, w) bool, channel by channel.

    location, scale: (1, C, h, w) float32 integers.
    """
    return laws(chosen(location, cells), chosen(scale, cells), None if step is None else int(step))


def chosen(field: Tensor, cells: Tensor) -> Ints:
    """The values of integers (1, C, h, w) at `cells`, in the order of coding."""
    return _gathered(np.ascontiguousarray(field[0].cpu().numpy()), cells.cpu().numpy())


@compiled
def _gathered(field: Floats, cells: NDArray[np.bool_]) -> Ints:
    channels, rows, columns = field.shape
    out = np.empty(channels * int(cells.sum()), np.int64)
    at = 0
    for c in range(channels):
        for y in range(rows):
            for x in range(columns):
                if cells[y, x]:
                    out[at] = int(field[c, y, x])
                    at += 1
    return out


def placed(values: Ints, cells: Tensor, like: Tensor) -> Tensor:
    """The inverse: float32 of the shape and on the device of `like`, 0 where there is no cell."""
    return torch.from_numpy(_scattered(values, cells.cpu().numpy(), like.shape[1])).to(like.device)


@compiled
def _scattered(values: Ints, cells: NDArray[np.bool_], channels: int) -> Floats:
    rows, columns = cells.shape
    out = np.zeros((1, channels, rows, columns), np.float32)
    at = 0
    for c in range(channels):
        for y in range(rows):
            for x in range(columns):
                if cells[y, x]:
                    out[0, c, y, x] = values[at]
                    at += 1
    return out


class Reader:
    """Decodes the passes of all frames of a group, in turn: a `models.base.Coder`."""

    def __init__(self, stream: bytes, what: str) -> None:
        """`what` begins every error message. MalformedError where the stream is none."""
        self._decoder = rans.Decoder(stream, what)
        self._what = what

    def __call__(
        self, name: str, stride: int, cells: Tensor, location: Tensor, scale: Tensor, step: Tensor | None
    ) -> Tensor:
        """The values of a pass. MalformedError where the stream ends early or a value is over 2^24 - 1 in magnitude."""
        values, rows = pass_laws(cells, location, scale, step)
        coded = rows != SKIPPED
        values[coded] += self._decoder.take(rows[coded])
        if len(values) and max(int(values.max()), -int(values.min())) > MAX_MAGNITUDE:
            raise MalformedError(f"{self._what}: a value of {name} is over 2^24 - 1 in magnitude")
        return placed(values, cells, location)

    def finish(self) -> None:
        """MalformedError unless the stream held these passes and nothing else."""
        self._decoder.finish()
