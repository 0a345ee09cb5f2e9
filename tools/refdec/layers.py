"""Layers that several networks use, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Picture = list[NDArray[Any]]  # planes
Tensors = list[tuple[int, tuple[int, ...], int]]  # (kind, shape, radius of the initial integers), in wire order

_erf = np.vectorize(math.erf, otypes=[np.float64])


def gelu(x: Real) -> Real:
    """Section 14.5, the exact form."""
    return x * 0.5 * (1 + _erf(x / math.sqrt(2)))


def convolve(x: Real, weight: Real, bias: Real) -> Real:
    """An odd kernel, zeros beyond the border: (N, C, h, w) -> (N, O, h, w)."""
    (h, w), size = x.shape[2:], weight.shape[-1]
    edge = size // 2
    padded = np.pad(x, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    out = np.zeros((x.shape[0], weight.shape[0], h, w)) + bias[:, None, None]
    for i in range(size):
        for j in range(size):
            out += np.einsum("nchw,oc->nohw", padded[:, :, i : i + h, j : j + w], weight[:, :, i, j])
    return out


def pixel_shuffle(x: Real, s: int) -> Real:
    """(N, C s^2, h, w) -> (N, C, s h, s w): channel (c s + m) s + n goes to rows m, columns n of each s x s."""
    n, c, h, w = x.shape
    x = x.reshape(n, c // s**2, s, s, h, w).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(n, c // s**2, h * s, w * s)
