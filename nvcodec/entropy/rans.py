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

A lane costs about 3 bytes: a state has 4, and holds 8 bits of symbols on average. States of 32 bits under frequencies
of 16 cost another 0.2 % of the words. With 32 and more lanes the whole steps of a pass are worked in numpy, a step at a
time; what is left of it, and all symbols of fewer lanes, one by one in plain Python, which takes as long for any L.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nvcodec.bitstream.fields import Cursor, require, uvarint
from nvcodec.entropy import laplace
from nvcodec.entropy.bits import BitReader, BitWriter
from nvcodec.errors import MalformedError
from nvcodec.limits import MAX_MAGNITUDE

MAX_LANES = 256
ESCAPE_ORDER = 2  # of the Exp-Golomb codes
_START = 1 << 16  # the state of every lane before the first symbol is encoded and after the last one is decoded
_MASK = (1 << 16) - 1
_STEP_LANES = 32  # fewer are faster one by one
_LANE_SHARE = 600  # bytes of payload for each lane: 3 bytes of it are 0.5 %

IntArray: TypeAlias = NDArray[np.int64]
AnyInts: TypeAlias = NDArray[np.integer[Any]]


class Encoder:
    """Collects passes, then codes them all."""

    def __init__(self) -> None:
        self._passes: list[NDArray[np.int32]] = []  # row * laplace.WIDTH + symbol, one array a pass
        self._escapes = BitWriter()

    def put(self, rows: AnyInts, values: AnyInts) -> None:
        """A pass: values (n,), each under its row of (n,). Rows are 0..383, |values| at most MAX_MAGNITUDE, n >= 0."""
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
        self._passes.append((row * laplace.WIDTH + symbol).astype(np.int32))

    def finish(self, lanes: int | None = None) -> bytes:
        """The payload of all passes so far with 1..256 lanes; None chooses their number by the size of the payload."""
        escapes = self._escapes.getvalue()
        lanes = self._choose_lanes(len(escapes)) if lanes is None else lanes
        assert 1 <= lanes <= MAX_LANES
        states = np.full(lanes, _START, dtype=np.int64)
        parts: list[IntArray] = []
        for at in reversed(self._passes):
            whole = _whole_steps(len(at), lanes)
            parts.append(_encode_singly(states, at[whole:]))
            parts.append(_encode_steps(states, at[:whole].reshape(-1, lanes)))
        words = np.concatenate([np.zeros(0, np.int64), *reversed(parts)])
        head = uvarint(lanes) + uvarint(len(words))
        return head + states.astype("<u4").tobytes() + words.astype("<u2").tobytes() + escapes

    def _choose_lanes(self, escape_bytes: int) -> int:
        """64 or 32 where they cost about 0.5 % of the payload at most, else 1: between 1 and 32 nothing is gained."""
        length = sum(int(_costs()[at].sum()) for at in self._passes) // (8 * 4096) + escape_bytes
        return next((lanes for lanes in (64, 32) if length >= lanes * _LANE_SHARE), 1)


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

    def take(self, rows: AnyInts) -> NDArray[np.int32]:
        """Values (n,) of the next pass, each under its row, 0..383, of (n,); MalformedError where the data ends early.

        No |value| is over MAX_MAGNITUDE. Damage may come out as other values: nothing is certain before `finish`.
        """
        assert rows.ndim == 1
        if not len(rows):
            return np.zeros(0, np.int32)
        assert 0 <= rows.min() and rows.max() < laplace.ROWS
        row = rows.astype(np.int64)
        slots = _slot_symbols(row)
        whole = _whole_steps(len(row), self.lanes)
        symbol = np.empty(len(row), np.int64)
        symbol[:whole] = self._decode_steps(row[:whole].reshape(-1, self.lanes), slots).reshape(-1)
        symbol[whole:] = self._decode_singly(row[whole:], slots)
        values = (symbol - laplace.reach(row) - 1).astype(np.int32)
        for i in np.flatnonzero(_escaped(row, symbol)).tolist():
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

    def _decode_steps(self, rows: IntArray, slots: NDArray[np.uint8]) -> IntArray:
        """Symbols (steps, lanes) of whole steps."""
        frequencies, starts = (table.reshape(-1) for table in _tables())
        words, used, x = self._words, self._used, self._states
        mask, sixteen, least = (np.full(len(x), n, dtype=np.int64) for n in (_MASK, 16, _START))
        slot, index, f, c = (np.empty(len(x), dtype=np.int64) for _ in range(4))
        symbol, low = np.empty(len(x), dtype=np.uint8), np.empty(len(x), dtype=np.bool_)
        row_slots, at = rows << 16, rows * laplace.WIDTH
        out = np.empty_like(rows)  # row * WIDTH + symbol
        for row_slot, row_at, found in zip(row_slots, at, out, strict=True):
            np.bitwise_and(x, mask, slot)
            np.add(row_slot, slot, index)
            slots.take(index, None, symbol, "wrap")  # every index is within; the mode spares a check
            np.add(row_at, symbol, found)
            frequencies.take(found, None, f, "wrap")
            starts.take(found, None, c, "wrap")
            np.right_shift(x, sixteen, x)
            np.multiply(x, f, x)
            np.add(x, slot, x)
            np.subtract(x, c, x)
            np.less(x, least, low)
            which = low.nonzero()[0]
            if which.size:
                end = used + which.size
                if end > words.size:
                    raise self._early()
                x[which] = x[which] << 16 | words[used:end]
                used = end
        self._used = used
        return out - at

    def _decode_singly(self, rows: IntArray, slots: NDArray[np.uint8]) -> list[int]:
        """Symbols (n,), n < lanes or any n where lanes are few, from lane 0 on."""
        frequencies, starts = _lists()
        of_slot, words, used = slots.data, self._words.data, self._used
        states = self._states.tolist()
        out = []
        columns = (rows << 16).tolist(), (rows * laplace.WIDTH).tolist(), _lanes(len(rows), self.lanes)
        for row_slot, row_at, lane in zip(*columns, strict=True):
            x = states[lane]
            slot = x & 0xFFFF
            symbol = of_slot[row_slot + slot]
            at = row_at + symbol
            x = frequencies[at] * (x >> 16) + slot - starts[at]
            if x < 0x10000:
                if used == len(words):
                    raise self._early()
                x = x << 16 | words[used]
                used += 1
            states[lane] = x
            out.append(symbol)
        self._states[:] = states
        self._used = used
        return out

    def _early(self) -> MalformedError:
        return MalformedError(f"{self._what}: the words end before the last symbol")


def _encode_steps(states: IntArray, at: NDArray[np.int32]) -> IntArray:
    """Code whole steps, (steps, lanes) of row * WIDTH + symbol, from the last one; words in the order of reading."""
    frequencies, starts = (table.reshape(-1)[at] for table in _tables())
    limits, spread = frequencies << 16, (1 << 16) - frequencies
    quotient, high = np.empty_like(states), np.empty(len(states), dtype=np.bool_)
    parts: list[IntArray] = []
    for step in range(len(at) - 1, -1, -1):
        np.greater_equal(states, limits[step], high)
        which = high.nonzero()[0]
        if which.size:
            x = states[which]
            parts.append(x & _MASK)
            states[which] = x >> 16
        np.floor_divide(states, frequencies[step], quotient)
        np.multiply(quotient, spread[step], quotient)
        np.add(states, quotient, states)
        np.add(states, starts[step], states)
    return np.concatenate([np.zeros(0, np.int64), *reversed(parts)])


def _encode_singly(states: IntArray, at: NDArray[np.int32]) -> IntArray:
    """As `_encode_steps`, for symbols (n,) from lane 0 on."""
    frequencies, starts = _lists()
    lane_states = states.tolist()
    words = []
    for i, lane in zip(reversed(at.tolist()), reversed(_lanes(len(at), len(states))), strict=True):
        x, f = lane_states[lane], frequencies[i]
        if x >= f << 16:
            words.append(x & _MASK)
            x >>= 16
        quotient, rest = divmod(x, f)
        lane_states[lane] = (quotient << 16) + rest + starts[i]
    states[:] = lane_states
    return np.array(words[::-1], dtype=np.int64)


def _whole_steps(n: int, lanes: int) -> int:
    """How many of the n symbols of a pass are worked in steps of all lanes."""
    return n - n % lanes if lanes >= _STEP_LANES else 0


def _lanes(n: int, lanes: int) -> list[int]:
    """The lane of each of n symbols that begin at lane 0."""
    out: list[int] = (np.arange(n) % lanes).tolist()
    return out


def _escaped(rows: IntArray, symbols: IntArray) -> NDArray[np.bool_]:
    """Which symbols are escapes."""
    out: NDArray[np.bool_] = (symbols == 0) | (symbols == 2 * laplace.reach(rows) + 3)
    return out


def _tables() -> tuple[IntArray, IntArray]:
    """Frequencies and starts, (ROWS, WIDTH) each."""
    return laplace.packed().frequencies, laplace.packed().starts


@lru_cache(maxsize=1)
def _lists() -> tuple[list[int], list[int]]:
    """Frequencies and starts by row * WIDTH + symbol, for plain Python."""
    frequencies, starts = _tables()
    return frequencies.reshape(-1).tolist(), starts.reshape(-1).tolist()


@lru_cache(maxsize=1)
def _costs() -> IntArray:
    """Code lengths by row * WIDTH + symbol in 1/4096 bit; the last places of a logarithm do not matter to them."""
    return np.rint(4096 * laplace.packed().bits).astype(np.int64).reshape(-1)


@lru_cache(maxsize=1)
def _slot_memory() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The symbol of each slot of each row, (ROWS, 65536), and which rows are filled in: memory is used as they are."""
    return np.empty((laplace.ROWS, 1 << 16), np.uint8), np.zeros(laplace.ROWS, np.bool_)


def _slot_symbols(rows: IntArray) -> NDArray[np.uint8]:
    """The symbol of each slot by row * 65536 + slot, valid for the rows asked for here or earlier."""
    table, filled = _slot_memory()
    if not filled[rows].all():
        symbols = np.arange(laplace.WIDTH, dtype=np.uint8)
        for row in set(rows[~filled[rows]].tolist()):
            table[row] = np.repeat(symbols, laplace.packed().frequencies[row])
            filled[row] = True
    return table.reshape(-1)
