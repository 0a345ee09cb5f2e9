"""Probability tables from small integer indices: one builder for encoder, decoder and training.

A table belongs to a signed integer whose magnitude is coded up to K and escapes beyond. It has L = 2K + 3 symbols,

    symbol = clamp(v, -(K + 1), K + 1) + K + 1        0 and L - 1 are the escapes, K + 1 stands for v = 0,

is symmetric, and is fixed by two indices:

    z  zero index   0..63   odds of zero against non-zero = 2 ** ((z - 24) / 4)
    d  decay index  0..47   theta = 1 - 2 ** (-d / 4),  P(k + 1) / P(k) = theta  for k >= 1;  d = 0: all mass on 1

The escapes take what theta leaves beyond K. This is a geometric law with its own mass at zero; a discretised Laplace
law is the special case 1 - theta = 1 - (1 + odds) ** -2, which `scale_pair` walks with one index.

Exact construction (all divisions floor, all integers; Q is 2 ** (j / 4) in 16 bit fixed point):

    T = 65536    L = 2K + 3    Q = (65536, 77936, 92682, 110218)
    w = Q[|z - 24| mod 4] * 2 ** (|z - 24| div 4)
    N = (T - L) * T div (T + w)  if z >= 24, else  (T - L) * w div (T + w)      mass of non-zero, beyond 1 per symbol
    c = Q[-d mod 4] div 2 ** ceil(d / 4)                                        1 - theta
    r = (N div 2) * 65536
    for k in 1..K:   t = r * c div 65536;   f[k] = 1 + t div 65536;   r = r - t
    f[K + 1] = 1 + r div 65536                                                  each of the two escapes
    f[0] = T - 2 * (f[1] + ... + f[K + 1])                                      >= 1

No intermediate value reaches 2 ** 48. Every frequency is at least 1, so every value can be coded under every table.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

TOTAL = 1 << 16
ZEROS = 64  # number of zero indices
DECAYS = 48  # number of decay indices
SCALES = 64  # number of scale indices
TAILS = 16  # number of tail indices
LAPLACE_TAIL = 4  # the tail index that leaves the Laplace law as it is
K_CHOICES = (1, 3, 7, 15, 31, 63)  # K by its wire code

IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]

QUARTER_OCTAVES = (65536, 77936, 92682, 110218)  # round(2 ** (16 + j / 4))

# round(-4 * log2(1 - (1 + odds) ** -2)) for odds = 2 ** ((39 - s) / 4), frozen: a decoder must not take logarithms.
# fmt: off
_LAPLACE_DECAY = (
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9, 10, 11, 12, 13, 13, 14, 15, 16, 17, 18, 19, 20,
)
# fmt: on


@lru_cache(maxsize=len(K_CHOICES))
def _all_frequencies(k_max: int) -> IntArray:
    """Frequencies of one symbol of each magnitude, (ZEROS, DECAYS, K + 2) int64; the last column is one escape."""
    assert k_max in K_CHOICES
    q = np.array(QUARTER_OCTAVES, dtype=np.int64)
    z = np.arange(ZEROS, dtype=np.int64)
    d = np.arange(DECAYS, dtype=np.int64)
    spread = TOTAL - (2 * k_max + 3)
    away = np.abs(z - 24)
    w = q[away % 4] << (away // 4)
    nonzero = spread * np.where(z >= 24, TOTAL, w) // (TOTAL + w)  # (ZEROS,)
    c = q[-d % 4] >> ((d + 3) // 4)  # (DECAYS,)
    rest = np.repeat((nonzero // 2 << 16)[:, None], DECAYS, axis=1)  # (ZEROS, DECAYS)
    out = np.empty((ZEROS, DECAYS, k_max + 2), dtype=np.int64)
    for k in range(1, k_max + 1):
        taken = rest * c >> 16
        out[..., k] = 1 + (taken >> 16)
        rest -= taken
    out[..., k_max + 1] = 1 + (rest >> 16)
    out[..., 0] = TOTAL - 2 * out[..., 1:].sum(axis=-1)
    assert out.min() >= 1
    out.setflags(write=False)
    return out


@lru_cache(maxsize=len(K_CHOICES))
def _all_bits(k_max: int) -> FloatArray:
    """Code lengths in bits, (ZEROS, DECAYS, K + 2) float64."""
    out = 16.0 - np.log2(_all_frequencies(k_max))
    out.setflags(write=False)
    return out


def frequencies(z: ArrayLike, d: ArrayLike, k_max: int) -> IntArray:
    """Frequency, out of 65536, of one symbol of each magnitude 0..K and of one escape: (..., K + 2) int64."""
    rows: IntArray = _all_frequencies(k_max)[np.asarray(z), np.asarray(d)]
    return rows


def bits(z: ArrayLike, d: ArrayLike, k_max: int) -> FloatArray:
    """Code length in bits, sign included, of each magnitude 0..K and of an escape symbol: (..., K + 2) float64.

    z and d broadcast against each other. The bits that an escaped value needs after its symbol are not counted.
    """
    rows: FloatArray = _all_bits(k_max)[np.asarray(z), np.asarray(d)]
    return rows


def cdf_rows(z: ArrayLike, d: ArrayLike, k_max: int) -> NDArray[np.int32]:
    """Cumulative tables, (..., L + 1) int32, from 0 to 65536, strictly increasing."""
    side = frequencies(z, d, k_max)
    cdf = np.zeros(side.shape[:-1] + (2 * k_max + 4,), dtype=np.int32)
    np.cumsum(np.concatenate([side[..., :0:-1], side], axis=-1), axis=-1, out=cdf[..., 1:])
    return cdf


def cdf_row(z: int, d: int, k_max: int) -> NDArray[np.int32]:
    """One cumulative table, (L + 1,) int32."""
    return cdf_rows(z, d, k_max)


def scale_pair(scale: ArrayLike, tail: ArrayLike = LAPLACE_TAIL) -> tuple[IntArray, IntArray]:
    """(z, d) of scale index s in 0..63 under tail index t in 0..15.

    z = 63 - s, so a larger s is a wider law, by a quarter octave of odds a step; d is the Laplace decay of that z,
    moved by t - 4 and clamped to 0..47. Rows and columns of weights have heavier tails than Laplace: t > 4.
    """
    s = np.asarray(scale, dtype=np.int64)
    decay = np.array(_LAPLACE_DECAY, dtype=np.int64)[s] + np.asarray(tail, dtype=np.int64) - LAPLACE_TAIL
    return (ZEROS - 1) - s + np.zeros_like(decay), np.clip(decay, 0, DECAYS - 1)


def histogram(values: ArrayLike, k_max: int) -> IntArray:
    """Counts of the magnitudes 0..K and of escapes in integer `values` of any shape: (K + 2,) int64."""
    magnitude = np.minimum(np.abs(np.asarray(values).reshape(-1)), k_max + 1)
    return np.bincount(magnitude, minlength=k_max + 2).astype(np.int64)


def fit(counts: ArrayLike) -> tuple[int, int]:
    """The (z, d) that codes a histogram of magnitudes, (K + 2,), in the fewest bits; the first pair among equals."""
    h = np.asarray(counts, dtype=np.float64)
    k_max = h.shape[-1] - 2
    best = int(np.argmin(_all_bits(k_max).reshape(ZEROS * DECAYS, k_max + 2) @ h))
    return best // DECAYS, best % DECAYS


def cost(counts: ArrayLike, z: ArrayLike, d: ArrayLike) -> FloatArray:
    """Bits of a histogram, (..., K + 2), under (z, d); shapes broadcast."""
    h = np.asarray(counts, dtype=np.float64)
    total: FloatArray = (h * bits(z, d, h.shape[-1] - 2)).sum(axis=-1)
    return total
