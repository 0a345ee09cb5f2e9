"""The symbols of coded frames: passes of values from a stream, by the laws that a network gives (`entropy.laws`).

The encoder has a `Writer` of the same shape.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nvcodec.entropy import rans
from nvcodec.entropy.laws import SKIPPED, Flags, Floats, Ints, pass_laws
from nvcodec.errors import MalformedError
from nvcodec.jit import compiled
from nvcodec.limits import MAX_MAGNITUDE


def chosen(field: Tensor, cells: Tensor) -> Ints:
    """The values of integers (1, C, h, w) at `cells`, in the order of coding."""
    return field[0, :, cells].reshape(-1).cpu().numpy().astype(np.int64)


def placed(floors: Ints, rows: Ints, symbols: Ints, cells: Tensor, like: Tensor) -> tuple[Tensor, int]:
    """What a pass gives, float32 of the shape and on the device of `like`, 0 where there is no cell, and its greatest
    magnitude. floors, rows: of all its values; symbols: of those that are not skipped."""
    field, greatest = _placed(floors, rows, symbols, cells.numpy(force=True), like.shape[1])
    found = torch.from_numpy(field)
    return found if like.device.type == "cpu" else found.to(like.device), greatest


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
