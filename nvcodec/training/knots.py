"""What depends on the quality in training: tables of KNOTS rows, an octave apart, and straight lines between them."""

from __future__ import annotations

import torch
from torch import Tensor

KNOTS = 7  # an octave apart, from quality 0 on


def between(knots: Tensor, octaves: Tensor) -> Tensor:
    """(N, C) of a table (KNOTS, C) at octaves (N,) of quality; those beyond its ends are as at its ends."""
    place = octaves.clamp(0, KNOTS - 1)
    lower = place.floor().clamp(max=KNOTS - 2)
    part, index = (place - lower)[:, None], lower.to(torch.int64)
    return knots[index] * (1 - part) + knots[index + 1] * part
