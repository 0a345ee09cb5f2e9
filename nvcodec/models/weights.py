"""Integers to weights: the quantised parametrisation, the same for decoding and training.

    W = q * step(index)        q an integer latent, step(index) = 2 ** (index / 16), one index a tensor

is NIRVANA's W = f_phi(latent) with f_phi a scale a tensor (section 3.2); the shift is left out, it bought nothing. The
product is one IEEE 754 single precision multiplication, so every device has the same weights.

A group with nothing to inherit starts from integers that encoder and decoder both make, pseudo-random ones unless the
model says that they are 0, so that an initial weight that training did not move costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.models.base import LATENT, TensorSpec

STEPS_PER_OCTAVE = 16
MIN_STEP_INDEX = -1024
MAX_STEP_INDEX = 256

# round(2 ** (23 + i / 16)): the 24 bit significands of one octave of steps.
_SIGNIFICANDS = (
    8388608, 8760003, 9147842, 9552851, 9975792, 10417458, 10878679, 11360319,
    11863283, 12388516, 12937002, 13509772, 14107901, 14732511, 15384775, 16065917,
)  # fmt: skip

_GOLDEN = 0x9E3779B97F4A7C15
_MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def step_size(index: int) -> float:
    """The step of an index in MIN_STEP_INDEX..MAX_STEP_INDEX: exactly a float32."""
    assert MIN_STEP_INDEX <= index <= MAX_STEP_INDEX
    return math.ldexp(_SIGNIFICANDS[index % STEPS_PER_OCTAVE], index // STEPS_PER_OCTAVE - 23)


def step_index(step: float) -> int:
    """The index whose step is nearest to `step` > 0 in ratio."""
    return min(max(round(STEPS_PER_OCTAVE * math.log2(step)), MIN_STEP_INDEX), MAX_STEP_INDEX)


def initial_latents(tensors: Sequence[TensorSpec], seed: int) -> list[NDArray[np.int32]]:
    """Pseudo-random initial integers of the LATENT tensors, in wire order.

    Value i of all these tensors' values in sequence (i = 0, 1, ...) is, with 64 bit wrap-around arithmetic,

        x = seed * 2**32 + i + 1;  x = x * GOLDEN
        x = (x ^ x >> 30) * MIX0;  x = (x ^ x >> 27) * MIX1;  x = x ^ x >> 31        (SplitMix64's output function)
        q = (x >> 32) * (2 * radius + 1) >> 32, less radius

    which is uniform in [-radius, radius]. seed is 32 bit.
    """
    out, at = [], 0
    for tensor in tensors:
        if tensor.kind != LATENT:
            continue
        i = np.arange(at, at + tensor.size, dtype=np.uint64)
        x = (np.uint64(seed << 32) + i + np.uint64(1)) * np.uint64(_GOLDEN)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(_MIX[0])
        x = (x ^ (x >> np.uint64(27))) * np.uint64(_MIX[1])
        x = x ^ (x >> np.uint64(31))
        q = ((x >> np.uint64(32)) * np.uint64(2 * tensor.radius + 1)) >> np.uint64(32)
        out.append((q.astype(np.int64) - tensor.radius).astype(np.int32).reshape(tensor.shape))
        at += tensor.size
    return out


def dequantise(latent: NDArray[np.int32], index: int) -> Tensor:
    """Integers |q| < 2**24 of any shape to float32 weights."""
    return torch.from_numpy(latent.astype(np.float32) * np.float32(step_size(index)))
