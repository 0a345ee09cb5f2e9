"""Probability tables of integers under laws with a fractional location, from two small indices and a kind.

Rows 0..383 are Laplace laws; rows HEAVY on are the same with heavy tails, for what is mostly foreseen well and now and
then not at all.

    s  scale index   0..47   b = 2 ** ((s - 18) / 4) symbols, 0.044 to 152: density exp(-|x| / b) / (2 b)
    f  phase         0..7    the law is centred on f / 8

A symbol r is an integer value minus the floor of its location, so that one table serves all locations of equal phase.
The row of (s, f) is s * 8 + f, and HEAVY more of the law with heavy tails. Its window is r in -K..K + 1, with an escape
below and one above; r goes to

    symbol = clamp(r, -(K + 1), K + 2) + K + 1        0..A - 1, A = 2K + 4; 0 and A - 1 are the escapes

Exact construction (all divisions floor, all integers; q is exp(-1 / (8 b)) in 32 bit fixed point, frozen below):

    l[0] = 2 ** 31     l[d + 1] = l[d] * q div 2 ** 32           mass, of 2 ** 32, beyond d eighths from the location
    e = l              of a Laplace law; of one with heavy tails, with l' that of s' = min(s + 17, 47):
    e = l - l div 2 ** 8 + l' div 2 ** 8                         1 / 256 of the mass has 19 times the scale
    K = the smallest in 1..63 with e[8K + 4] + e[8K + 12] < 2 ** 20, else 63      (the escapes of f = 0: under 2 ** -12)
    D = 8r + 4 - f                                               the boundary above r, in eighths from the location
    B[r] = 2 ** 32 - e[D]  if D >= 0, else  e[-D]                mass below it;  r in -(K + 1)..K + 1
    mass of the symbols in turn: B[-(K + 1)], the differences of neighbours, 2 ** 32 - B[K + 1]
    frequency = 1 + mass * (65536 - A) div 2 ** 32

What the floors leave of 65536 goes to the symbol nearest the location, the most probable one of the window: r = 0 if
f <= 4, else r = 1. No intermediate value reaches 2 ** 63. Every frequency is at least 1, so every value can be coded
under every table; A is at least 6, so none is over 65531. The row of (s, 8 - f) is that of (s, f) with 1 - r for r,
save f = 4, where only the remainder breaks the symmetry.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

TOTAL = 1 << 16
SCALES = 48  # number of scale indices
PHASES = 8  # number of phases
HEAVY = SCALES * PHASES  # the first row with heavy tails
ROWS = 2 * HEAVY
TAIL_SHARE = 8  # -log2 of the mass that a heavy tail has
TAIL_SCALES = 17  # scale indices by which it is wider
MAX_REACH = 63  # the largest K
WIDTH = 2 * MAX_REACH + 4  # symbols of the widest row

IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]

# round(2 ** 32 * exp(-1 / (8 b))) for b = 2 ** ((s - 18) / 4), frozen: a decoder must not take exponentials.
# fmt: off
_DECAY = (
    253857248, 398132550, 581260615, 799036310, 1044178424, 1307656790, 1580030169, 1852521207,
    2117713904, 2369882518, 2605029347, 2820730047, 3015876649, 3190386796, 3344923893, 3480652712,
    3599040369, 3701703250, 3790295335, 3866431115, 3931635878, 3987316692, 4034748382, 4075069962,
    4109287957, 4138284039, 4162825044, 4183574096, 4201101925, 4215897841, 4228380000, 4238904802,
    4247775344, 4255248918, 4261543595, 4266843974, 4271306145, 4275061981, 4278222805, 4280882540,
    4283120382, 4285003080, 4286586875, 4287919135, 4289039749, 4289982295, 4290775039, 4291441769,
)
# fmt: on


@dataclass(frozen=True)
class Packed:
    """All rows side by side, for coders; symbols beyond a row's own have frequency 0. The arrays are read-only."""

    reach: IntArray
    """K, (ROWS,)."""
    frequencies: IntArray
    """(ROWS, WIDTH)."""
    starts: IntArray
    """Sum of the frequencies of the symbols before, (ROWS, WIDTH)."""
    bits: FloatArray
    """Code lengths, (ROWS, WIDTH); 16 where a row has no such symbol."""


@lru_cache(maxsize=1)
def packed() -> Packed:
    """The tables, built once a process in a few milliseconds."""
    tails = _tails()
    rare = tails[:, 8 + 4 : 8 * MAX_REACH + 4 : 8] + tails[:, 8 + 12 : 8 * MAX_REACH + 12 : 8] < 1 << 20  # K in 1..62
    reach = np.where(rare.any(axis=1), 1 + rare.argmax(axis=1), MAX_REACH)
    grid = np.zeros((len(tails), PHASES, WIDTH), dtype=np.int64)
    phase = np.arange(PHASES)
    for scale, k in enumerate(reach.tolist()):
        size = 2 * k + 4
        distance = 8 * np.arange(-(k + 1), k + 2) + 4 - phase[:, None]  # (PHASES, A - 1)
        beyond = tails[scale][np.abs(distance)]
        below = np.zeros((PHASES, size + 1), dtype=np.int64)
        below[:, 1:-1] = np.where(distance >= 0, (1 << 32) - beyond, beyond)
        below[:, -1] = 1 << 32
        row = 1 + (np.diff(below, axis=1) * (TOTAL - size) >> 32)
        row[phase, k + 1 + (phase > 4)] += TOTAL - row.sum(axis=1)
        grid[scale, :, :size] = row
    frequencies = grid.reshape(ROWS, WIDTH)
    starts = np.cumsum(frequencies, axis=1) - frequencies
    out = Packed(np.repeat(reach, PHASES), frequencies, starts, 16.0 - np.log2(np.maximum(frequencies, 1)))
    for array in (out.reach, out.frequencies, out.starts, out.bits):
        array.setflags(write=False)
    return out


def _tails() -> IntArray:
    """e[d] of every scale index, (2 * SCALES, 8 * MAX_REACH + 13): of Laplace laws, then of those with heavy tails."""
    q = np.array(_DECAY, dtype=np.int64)
    light = np.empty((SCALES, 8 * MAX_REACH + 13), dtype=np.int64)
    light[:, 0] = 1 << 31
    for d in range(light.shape[1] - 1):
        light[:, d + 1] = light[:, d] * q >> 32
    wide = light[np.minimum(np.arange(SCALES) + TAIL_SCALES, SCALES - 1)]
    return np.concatenate((light, light - (light >> TAIL_SHARE) + (wide >> TAIL_SHARE)))


@lru_cache(maxsize=ROWS)
def cdf(row: int) -> NDArray[np.int32]:
    """Cumulative table of a row, (A + 1,) int32, from 0 to 65536, strictly increasing."""
    size = 2 * int(packed().reach[row]) + 4
    out = np.append(packed().starts[row, :size], TOTAL).astype(np.int32)
    out.setflags(write=False)
    return out


def reach(row: ArrayLike) -> IntArray:
    """K of rows of any shape."""
    out: IntArray = packed().reach[np.asarray(row)]
    return out


def symbols(row: ArrayLike, r: ArrayLike) -> IntArray:
    """Symbols, 0..A - 1, of values r under rows; shapes broadcast."""
    k = reach(row)
    out: IntArray = np.clip(np.asarray(r, dtype=np.int64), -(k + 1), k + 2) + k + 1
    return out


def bits(row: ArrayLike, r: ArrayLike) -> FloatArray:
    """Code length in bits of values r under rows; shapes broadcast.

    Outside of the window it is the length of the escape symbol; what an escaped value needs after it is not counted.
    """
    lengths: FloatArray = packed().bits[np.asarray(row), symbols(row, r)]
    return lengths
