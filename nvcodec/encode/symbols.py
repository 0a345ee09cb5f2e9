"""The symbols of coded frames on their way to a file: what `decode.symbols` reads back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.decode.symbols import chosen, placed
from nvcodec.entropy import laplace, rans
from nvcodec.entropy.laws import SKIPPED, pass_laws


class Writer:
    """Takes the passes of one frame: a `models.base.Coder`.

    known: what is to be coded, by name, whole fields (1, C, h, w) of integers. Where a symbol is not coded a value is
    what the network expects it to be, whatever is known of it: what a pass returns is what the decoder will have.
    |value| has to stay clear of 2^24 - 1 by what a location can be.
    """

    def __init__(self, known: Mapping[str, Tensor]) -> None:
        self.bits: dict[str, float] = {}  # by name, without what escapes add
        self.passes: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []  # rows and symbols
        self._known = known

    def __call__(
        self, name: str, stride: int, cells: Tensor, location: Tensor, scale: Tensor, step: Tensor | None
    ) -> Tensor:
        """The values of a pass as the decoder will have them."""
        floors, rows = pass_laws(cells, location, scale, step)
        values = chosen(self._known[name][..., ::stride, ::stride], cells)
        coded = rows != SKIPPED
        symbols = (values - floors)[coded]
        self.passes.append((rows[coded], symbols))
        self.bits[name] = self.bits.get(name, 0.0) + float(laplace.bits(rows[coded], symbols).sum())
        return placed(floors, rows, symbols, cells, location)[0]


def stream(frames: Iterable[Writer], lanes: int = 1) -> bytes:
    """The stream of all passes of the frames of a part, in the order in which it is coded, with 1..256 lanes."""
    encoder = rans.Encoder()
    for frame in frames:
        for rows, symbols in frame.passes:
            encoder.put(rows, symbols)
    return encoder.finish(lanes)
