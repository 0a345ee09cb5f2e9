"""Interleaved rANS: integers under the rows of `entropy.laplace`, in passes, each of which may depend on those before.

The coder is the range variant of Duda, "Asymmetric numeral systems" (2013), with 16 bit frequencies, words of 16 bits,
and L lanes, each a state x in 2**16..2**32 - 1. Symbol i of a pass belongs to lane i mod L: every pass starts at lane
0. Symbol s has frequency f and start c (the sum of the frequencies before it) in its row.

    decode:  slot = x mod 2**16;  s is the symbol with c <= slot < c + f
             x = f * (x div 2**16) + slot - c
             if x < 2**16:  x = x * 2**16 + next word                once is enough: x was at least f >= 1
    encode, all symbols of all passes from the last to the first, from x = 2**16 in every lane:
             if x >= f * 2**16:  write the word x mod 2**16;  x = x div 2**16
             x = (x div f) * 2**16 + x mod f + c                     below 2**32: f is at most 65535
             words are stored in the reverse of the order in which they were written, and the states that remain

Symbols are decoded in order, so the L lanes of a step take their words in the order of lanes. Payload:

    uvarint      L              1..256
    uvarint      W              number of words
    L * u32      states         each at least 2**16
    W * u16      words
    the rest     escapes        one string of bits (`entropy.bits`): for each escape symbol, in order, how far r is
                                beyond the first value outside of the window on its side, Exp-Golomb of order 2

No |r| is over MAX_MAGNITUDE. A payload is valid only if it is, byte for byte, what the encoder writes with L lanes for
the symbols that it decodes to. As each decoding step is the inverse of an encoding step, that is so exactly when the
last states are all 2**16, no word is left and the bits of the escapes end with their padding. Without symbols it is
6 bytes for L = 1: 01 00 00000100.

A lane costs about 3 bytes: a state has 4, and holds 8 bits of symbols on average; so there is one, unless a decoder
that works many at once is worth more. States of 32 bits under frequencies of 16 cost another 0.2 % of the words.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nvcodec.bitstream.fields import Cursor, require, uvarint
from nvcodec.entropy import laplace
from nvcodec.entropy.bits import BitReader, BitWriter
from nvcodec.jit import compiled
from nvcodec.limits import MAX_MAGNITUDE

MAX_LANES = 256
ESCAPE_ORDER = 2  # of the Exp-Golomb codes
_START = 1 << 16  # the state of every lane before the first symbol is encoded and after the last one is decoded
_MASK = (1 << 16) - 1

IntArray: TypeAlias = NDArray[np.int64]
AnyInts: TypeAlias = NDArray[np.integer[Any]]


class Encoder:
    """Collects passes, then codes them all."""

    def __init__(self) -> None:
        self._passes: list[tuple[IntArray, IntArray]] = []  # rows and symbols
        self._escapes = BitWriter()

    def put(self, rows: AnyInts, values: AnyInts) -> None:
        """A pass: values (n,), each under its row of (n,). |values| are at most MAX_MAGNITUDE, n >= 0."""
        assert rows.shape == values.shape and rows.ndim == 1
        if not len(rows):
            return
        assert 0 <= rows.min() and rows.max() < laplace.ROWS
        assert -MAX_MAGNITUDE <= values.min() and values.max() <= MAX_MAGNITUDE
        row, r = rows.astype(np.int64), values.astype(np.int64)
        symbol = laplace.symbols(row, r)
        over = np.abs(r - symbol + laplace.reach(row) + 1)
        for overshoot in over[_escaped(row, symbol)].tolist():
            self._escapes.exp_golomb(overshoot, ESCAPE_ORDER)
        self._passes.append((row, symbol))

    def finish(self, lanes: int = 1) -> bytes:
        """The payload of all passes so far, with 1..256 lanes."""
        assert 1 <= lanes <= MAX_LANES
        states = np.full(lanes, _START, dtype=np.int64)
        tables = laplace.packed()
        parts = [
            _encode(rows, symbols, states, tables.frequencies, tables.starts)
            for rows, symbols in reversed(self._passes)
        ]
        words = np.concatenate([np.zeros(0, np.int64), *parts])[::-1]
        head = uvarint(lanes) + uvarint(len(words))
        return head + states.astype("<u4").tobytes() + words.astype("<u2").tobytes() + self._escapes.getvalue()


class Decoder:
    """Reads a payload pass by pass; the caller knows the rows of a pass when it has the values of those before."""

    def __init__(self, data: bytes, what: str = "rANS payload") -> None:
        """`what` names the data in errors. MalformedError where the fields do not fit into the data."""
        cursor = Cursor(data, what)
        lanes = cursor.uvarint("number of lanes")
        require(1 <= lanes <= MAX_LANES, f"{what}: {lanes} lanes, not 1 to {MAX_LANES}")
        count = cursor.uvarint("number of words")
        self._states = np.frombuffer(cursor.take(4 * lanes, "states"), "<u4").astype(np.int64)
        require(int(self._states.min()) >= _START, f"{what}: a state is below {_START}")
        self._words = np.frombuffer(cursor.take(2 * count, "words"), "<u2").astype(np.int64)
        self._used = 0  # words
        self._escapes = BitReader(cursor.take(cursor.remaining, "escapes"), f"{what}, escapes")
        self._what = what

    @property
    def lanes(self) -> int:
        """Number of lanes, 1..256."""
        return len(self._states)

    def take(self, rows: AnyInts) -> IntArray:
        """Values (n,) of the next pass, each under its row of (n,); MalformedError where the data ends early.

        No |value| is over MAX_MAGNITUDE. Damage may come out as other values: nothing is certain before `finish`.
        """
        assert rows.ndim == 1
        if not len(rows):
            return np.zeros(0, np.int64)
        assert 0 <= rows.min() and rows.max() < laplace.ROWS
        row = rows.astype(np.int64, copy=False)
        tables = laplace.packed()
        values, escapes, used = _decode(
            row, self._states, self._words, self._used, tables.frequencies, tables.starts, tables.reach
        )
        require(used >= 0, f"{self._what}: the words end before the last symbol")
        self._used = used
        for i in np.flatnonzero(np.abs(2 * values - 1) > 2 * tables.reach[row] + 2).tolist() if escapes else ():
            first = int(values[i])
            over = self._escapes.exp_golomb(ESCAPE_ORDER, MAX_MAGNITUDE - abs(first))
            values[i] = first + over if first > 0 else first - over
        return values

    def finish(self) -> None:
        """MalformedError unless the passes taken are all that the payload holds and it is what the encoder writes."""
        left = len(self._words) - self._used
        require(not left, f"{self._what}: {left} words are left over")
        require(bool((self._states == _START).all()), f"{self._what}: the last states are not those of an encoder")
        self._escapes.finish()


@compiled
def _decode(
    rows: IntArray,
    states: IntArray,
    words: IntArray,
    used: int,
    frequencies: IntArray,
    starts: IntArray,
    reach: IntArray,
) -> tuple[IntArray, int, int]:
    """The values (n,) of a pass, those of escapes the first one beyond the window; how many escapes there are; and how
    many words are used then, -1 where there are too few. States are moved on."""
    values = np.empty(len(rows), np.int64)
    lane, escapes = 0, 0
    for i in range(len(rows)):
        x, start = states[lane], starts[rows[i]]
        slot = x & _MASK
        low, high = 0, len(start)  # the symbol is the last one that starts at the slot or before it
        while high - low > 1:
            middle = (low + high) >> 1
            if start[middle] <= slot:
                low = middle
            else:
                high = middle
        x = frequencies[rows[i], low] * (x >> 16) + slot - start[low]
        if x < _START:
            if used == len(words):
                return values, escapes, -1
            x = (x << 16) | words[used]
            used += 1
        k = reach[rows[i]]
        escapes += low == 0 or low == 2 * k + 3
        values[i], states[lane] = low - k - 1, x
        lane = lane + 1 if lane + 1 < len(states) else 0
    return values, escapes, used


@compiled
def _encode(rows: IntArray, symbols: IntArray, states: IntArray, frequencies: IntArray, starts: IntArray) -> IntArray:
    """The words of a pass in the order of writing; states are moved on."""
    words = np.empty(len(rows), np.int64)
    count = 0
    for i in range(len(rows) - 1, -1, -1):
        lane = i % len(states)
        x, f = states[lane], frequencies[rows[i], symbols[i]]
        if x >= f << 16:
            words[count] = x & _MASK
            count += 1
            x >>= 16
        states[lane] = ((x // f) << 16) + x % f + starts[rows[i], symbols[i]]
    return words[:count]


def _escaped(rows: IntArray, symbols: IntArray) -> NDArray[np.bool_]:
    """Which symbols are escapes."""
    out: NDArray[np.bool_] = (symbols == 0) | (symbols == 2 * laplace.reach(rows) + 3)
    return out
