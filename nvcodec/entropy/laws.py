"""The laws of the values of a pass: from what a network expects of a value to a row of `entropy.laplace`.

A network gives a location and half the log2 of a scale in activation units (`models.integer`); all that is decided
here is decided in integers, for decoder and encoder alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.entropy import laplace
from nvcodec.jit import compiled
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
    one, as displacements are, the location is in 1/64 of a value and laws have heavy tails. Rows are those of
    `entropy.laplace`, SKIPPED where the scale is so small that nothing is coded: the value is its floor, which is L / 8
    rounded half up. With L the location in eighths of a value and s the index of the scale:

        L = floor(8 location / step + 1/2)                   or floor(location / 8 + 1/2)
        s = floor(4 (2 scale / 512 - log2(step / 512)) + 18 + 1/2)

    log2 in 256ths, rounded down; s is at most 47, and below 0 the value is skipped.
    """
    fields = location.numpy(force=True)[0], scale.numpy(force=True)[0]
    return _laws(*fields, cells.numpy(force=True), *_step(None if step is None else int(step)))


@compiled
def _laws(location: Floats, scale: Floats, cells: Flags, step: int, log: int) -> tuple[Ints, Ints]:
    """`pass_laws` of fields (C, h, w). step, log: as `_step` gives them."""
    size = len(location) * int(cells.sum())
    floors, rows = np.empty(size, np.int64), np.empty(size, np.int64)
    first = 0 if step else laplace.HEAVY
    i = 0
    for c in range(location.shape[0]):
        for y in range(location.shape[1]):
            for x in range(location.shape[2]):
                if cells[y, x]:
                    where = int(location[c, y, x])
                    eighths = (16 * where + step) // (2 * step) if step else (where + 4) >> 3
                    index = min((4 * int(scale[c, y, x]) - 4 * log + 18 * 256 + 128) >> 8, laplace.SCALES - 1)
                    if index >= 0:
                        floors[i], rows[i] = eighths >> 3, first + index * laplace.PHASES + (eighths & 7)
                    else:
                        floors[i], rows[i] = (eighths + 4) >> 3, SKIPPED
                    i += 1
    return floors, rows
