"""Transforms that the linear ways of the intra network and of its analysis begin as, before they learn.

The finest level begins as a discrete cosine transform of 8 x 8 luma samples and of the 4 x 4 of each chroma plane. A
level above it as Haar transforms of the means that four cells below have, luma and chroma: their sum and three
differences. Latents of chroma are finer than those of luma by what an error of them weighs in RGB.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.models.latents import SAMPLES
from nvcodec.models.motion import PICTURE

FINE_LEVEL = 3
GAINS = (1.0, 1.45, 1.3)  # of luma, Cb and Cr
HAAR = ((1, 1, 1, 1), (1, -1, 1, -1), (1, 1, -1, -1), (1, -1, -1, 1))
Array = NDArray[np.float64]


def of_level(level: int, channels: int) -> tuple[Tensor, Tensor]:
    """(channels, 6, s, s) from a block of a picture to a level's latents, and back; s is its side at half size.

    Channels beyond those of the transform begin small and at random on the way there, and at 0 on the way back.
    """
    there, back = _cosines() if level == FINE_LEVEL else _haar(level)
    size = there.shape[2]
    full = [torch.randn(channels, PICTURE, size, size) * 0.2 / size, torch.zeros(channels, PICTURE, size, size)]
    for whole, part in zip(full, (there, back), strict=True):
        count = min(channels, len(part))
        whole[:count] = torch.from_numpy(part[:count])
    return full[0], full[1]


def direct(level: int, channels: int, outputs: int, picture: bool) -> Tensor:
    """(outputs, channels, 3, 3): the layer of the linear way below a level, in the order that `shuffle` takes.

    picture: the level below is a quarter of the size, with the samples of its cells as channels, or the last one.
    """
    out = torch.zeros(outputs, channels, 3, 3)
    if level == 2:  # samples of a cell as they are
        for channel in range(min(channels, outputs)):
            out[channel, channel, 1, 1] = 1.0
    elif picture:
        _, back = _cosines()
        for channel in range(min(channels, len(back))):
            for place in range(4):  # the four cells of 4 x 4 luma samples
                row, column = 2 * (place // 2), 2 * (place % 2)
                cell = torch.from_numpy(back[channel, :, row : row + 2, column : column + 2])  # (6, 2, 2)
                out[place::4, channel, 1, 1] = cell.reshape(SAMPLES).float()
    else:  # sums of four cells to the means of each, the first three channels below
        for plane in range(3):
            for k, signs in enumerate(HAAR):
                channel = 4 * plane + k
                if channel < channels:
                    first = 4 * _mean(level - 1, plane)
                    if first < outputs:
                        out[first : first + 4, channel, 1, 1] = torch.tensor(signs, dtype=torch.float32)
    return out


def _mean(level: int, plane: int) -> int:
    """The channel of a plane's mean."""
    return plane if level == FINE_LEVEL else 4 * plane


def _basis(size: int) -> Array:
    """(frequency, sample), orthonormal."""
    k, n = np.arange(size)[:, None], np.arange(size)
    found = np.cos(math.pi * (2 * n + 1) * k / (2 * size)) * math.sqrt(2 / size)
    found[0] /= math.sqrt(2)
    return np.asarray(found, np.float64)


def _cosines() -> tuple[Array, Array]:
    """(96, 6, 4, 4) there and back, by frequency."""
    entries = []
    for plane, size in ((0, 8), (1, 4), (2, 4)):
        basis = _basis(size)
        for v in range(size):
            for u in range(size):
                block = np.outer(basis[v], basis[u])
                found = np.zeros((PICTURE, 4, 4))
                if plane:
                    found[3 + plane] = block
                else:
                    for m in range(2):
                        for n in range(2):
                            found[2 * m + n] = block[m::2, n::2]
                entries.append((u + v, plane, max(u, v), found))
    entries.sort(key=lambda entry: entry[:3])
    gains = np.array([GAINS[plane] for _, plane, _, _ in entries])[:, None, None, None]
    blocks = np.stack([found for *_, found in entries])
    return blocks * gains, blocks / gains


def _haar(level: int) -> tuple[Array, Array]:
    """(12, 6, s, s) there and back: of each plane the sum of four quarters of a block and their differences.

    There they are a quarter of sums of the finest level's means: as large as those.
    """
    size = 1 << level - 1
    half = size // 2
    there = np.zeros((12, PICTURE, size, size))
    for plane in range(3):
        for k, signs in enumerate(HAAR):
            quarters = np.array(signs, np.float64).reshape(2, 2).repeat(half, 0).repeat(half, 1)
            there[4 * plane + k, 3 + plane if plane else slice(0, 4)] = quarters
    # The mean of a block of 8 x 8 times 8, of 4 x 4 times 4, is what the finest level has; times its gain.
    values = there[:, :, :1, :1] ** 2
    samples = (values.sum(1) * size**2).reshape(12, 1, 1, 1)  # under each, of a picture
    scale = np.repeat([8 * GAINS[0], 4 * GAINS[1], 4 * GAINS[2]], 4).reshape(12, 1, 1, 1)
    return there / samples * scale, there / scale
