"""The symbols of coded frames: from what a network expects of a value to a row of `entropy.laplace`, and back.

A network gives a location and half the log2 of a scale in activation units (`models.integer`); all that is decided here
is decided in integers, by `pass_laws`, for the decoder and for the encoder, which has a `Writer` of the same shape.
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
Flags = NDArray[np.bool_]

SKIPPED = -1  # instead of a row
_UNIT_LOG = 9 * 256  # of an activation of 1, in 256ths


def _step(step: int | None) -> tuple[int, int]:
    """A step, 0 for none, and its log2 less that of an activation of 1, in 256ths."""
    return (0, 0) if step is None else (step, log2_fixed(step) - _UNIT_LOG)


def pass_laws(cells: Tensor, location: Tensor, scale: Tensor, step: Tensor | None) -> tuple[Ints, Ints]:
    """(floors, rows) of the values of one pass, those of `cells`, (h, w) bool, channel by channel, in the order of
    coding; a value is its floor plus a symbol r.

    location, scale: (1, C, h, w) float32 integers. step: what a value is multiplied with, in activation units; without
    one, the location is in 1/64 of a value. Rows are those of `entropy.laplace`, SKIPPED where the scale is so small
    that nothing is coded: the value is its floor, which is L / 8 rounded half up. With L the location in eighths of a
    value and s the index of the scale:

        L = floor(8 location / step + 1/2)                   or floor(location / 8 + 1/2)
        s = floor(4 (2 scale / 512 - log2(step / 512)) + 18 + 1/2)

    log2 in 256ths, rounded down; s is at most 47, and below 0 the value is skipped.
    """
    fields = location[0].cpu().numpy(), scale[0].cpu().numpy()
    return _laws(*fields, cells.cpu().numpy(), *_step(None if step is None else int(step)))


@compiled
def _laws(location: Floats, scale: Floats, cells: Flags, step: int, log: int) -> tuple[Ints, Ints]:
    """`pass_laws` of fields (C, h, w). step, log: as `_step` gives them."""
    size = len(location) * int(cells.sum())
    floors, rows = np.empty(size, np.int64), np.empty(size, np.int64)
    i = 0
    for c in range(location.shape[0]):
        for y in range(location.shape[1]):
            for x in range(location.shape[2]):
                if cells[y, x]:
                    where = int(location[c, y, x])
                    eighths = (16 * where + step) // (2 * step) if step else (where + 4) >> 3
                    index = min((4 * int(scale[c, y, x]) - 4 * log + 18 * 256 + 128) >> 8, laplace.SCALES - 1)
                    if index >= 0:
                        floors[i], rows[i] = eighths >> 3, index * laplace.PHASES + (eighths & 7)
                    else:
                        floors[i], rows[i] = (eighths + 4) >> 3, SKIPPED
                    i += 1
    return floors, rows


def chosen(field: Tensor, cells: Tensor) -> Ints:
    """The values of integers (1, C, h, w) at `cells`, in the order of coding."""
    return field[0, :, cells].reshape(-1).cpu().numpy().astype(np.int64)


def placed(floors: Ints, rows: Ints, symbols: Ints, cells: Tensor, like: Tensor) -> tuple[Tensor, int]:
    """What a pass gives, float32 of the shape and on the device of `like`, 0 where there is no cell, and its greatest
    magnitude. floors, rows: of all its values; symbols: of those that are not skipped."""
    field, greatest = _placed(floors, rows, symbols, cells.cpu().numpy(), like.shape[1])
    return torch.from_numpy(field).to(like.device), greatest


@compiled
def _placed(floors: Ints, rows: Ints, symbols: Ints, cells: Flags, channels: int) -> tuple[Floats, int]:
    tall, wide = cells.shape
    out = np.zeros((1, channels, tall, wide), np.float32)
    i, j, greatest = 0, 0, 0
    for c in range(channels):
        for y in range(tall):
            for x in range(wide):
                if cells[y, x]:
                    value = floors[i]
                    if rows[i] != SKIPPED:
                        value += symbols[j]
                        j += 1
                    greatest = max(greatest, abs(value))
                    out[0, c, y, x] = value
                    i += 1
    return out, greatest


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
        floors, rows = pass_laws(cells, location, scale, step)
        values, greatest = placed(floors, rows, self._decoder.take(rows[rows != SKIPPED]), cells, location)
        if greatest > MAX_MAGNITUDE:
            raise MalformedError(f"{self._what}: a value of {name} is over 2^24 - 1 in magnitude")
        return values

    def finish(self) -> None:
        """MalformedError unless the stream held these passes and nothing else."""
        self._decoder.finish()
