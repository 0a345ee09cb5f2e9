"""Tables and symbols sections to integers: sections 8 to 10 of the specification."""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from .container import Cursor, need

K_OF_CODE = (1, 3, 7, 15, 31, 63)
QUARTER_OCTAVES = (65536, 77936, 92682, 110218)
LAPLACE_DECAY = [0] * 34 + [1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9, 10, 11, 12, 13, 13, 14, 15, 16, 17,
                            18, 19, 20]  # fmt: skip
BLOCK = 65536
LARGEST = 2**24 - 1
ZERO, SINGLE, ROWS, COLUMNS, CONTEXT, LIKE = range(6)

Integers = NDArray[np.int32]
Mask = NDArray[np.bool_]
Pair = tuple[int, int]


class Bits:
    """A string of bits, most significant first (section 3.3)."""

    def __init__(self, data: bytes) -> None:
        self.text = "".join(f"{byte:08b}" for byte in data)
        self.at = 0

    def fixed(self, width: int) -> int:
        need(self.at + width <= len(self.text), "the bits end early")
        self.at += width
        return int(self.text[self.at - width : self.at] or "0", 2)

    def run(self, bit: str) -> int:
        """How many of `bit` come before the other one, which stays."""
        start = self.at
        while self.text[self.at : self.at + 1] == bit:
            self.at += 1
        return self.at - start

    def rice(self, order: int, most: int) -> int:
        high = self.run("1")
        self.fixed(1)
        value = (high << order) + self.fixed(order)
        need(value <= most, "a Golomb-Rice code is over its bound")
        return value

    def exp_golomb(self, order: int, most: int) -> int:
        zeros = self.run("0")
        value = self.fixed(zeros + 1 + order) - (1 << order)
        need(value <= most, "an Exp-Golomb code is over its bound")
        return value

    def finish(self) -> None:
        rest = self.text[self.at :]
        need(len(rest) < 8 and "1" not in rest, "the bits end late")


@lru_cache(maxsize=4096)
def cumulative(z: int, d: int, k_max: int) -> list[int]:
    """The cumulative table of a pair (section 8.2): 2 K + 4 numbers from 0 to 65536."""
    total, length = 65536, 2 * k_max + 3
    w = QUARTER_OCTAVES[abs(z - 24) % 4] << abs(z - 24) // 4
    n = (total - length) * (total if z >= 24 else w) // (total + w)
    c = QUARTER_OCTAVES[-d % 4] >> -(-d // 4)
    r = n // 2 * 65536
    side = []
    for _ in range(k_max):
        t = r * c // 65536
        side.append(1 + t // 65536)
        r -= t
    side.append(1 + r // 65536)
    return [0, *accumulate([*reversed(side), total - 2 * sum(side), *side])]


def scale_pair(scale: int, tail: int) -> Pair:
    """Section 8.3."""
    return 63 - scale, min(max(LAPLACE_DECAY[scale] + tail - 4, 0), 47)


def read_tables(
    data: bytes, coded: list[Mask], classes: list[NDArray[np.int64] | None]
) -> tuple[int, int, list[list[Pair]], list[int | None]]:
    """(K, escape order, the pair of every symbol of every tensor, coding ids, None of nothing coded) (section 9)."""
    bits = Bits(data)
    code, order = bits.fixed(3), bits.fixed(5)
    need(code <= 5, "K code")
    need(order <= 23, "escape order")
    pairs: list[list[Pair]] = []
    ids: list[int | None] = []
    left = sum(bool(mask.any()) for mask in coded)  # tensors that have something
    more, single = 0, None  # of a run of ZERO; the last pair of SINGLE
    for mask, of_class in zip(coded, classes, strict=True):
        places = np.flatnonzero(mask)
        if not places.size:
            pairs.append([])
            ids.append(None)
            continue
        if more:
            coding, more = ZERO, more - 1
        else:
            coding = bits.fixed(3)
            need(coding <= LIKE, f"tensor coding {coding}", "feature")
            if coding == ZERO:
                more = bits.exp_golomb(0, left - 1)
        left -= 1
        ids.append(coding)
        columns = math.prod(mask.shape[1:])
        if coding == ZERO:
            pairs.append([])
        elif coding == SINGLE:
            single = read_pair(bits)
            pairs.append([single] * places.size)
        elif coding == LIKE:
            if single is None:
                need(False, "LIKE coding without a tensor coded SINGLE before")
            assert single is not None
            pairs.append([single] * places.size)
        elif coding == CONTEXT:
            if of_class is None:
                need(False, "CONTEXT coding without a history")
            assert of_class is not None
            flat = of_class.reshape(-1)[places].tolist()
            table = {c: read_pair(bits) for c in sorted(set(flat))}
            pairs.append([table[c] for c in flat])
        else:
            lines = (places // columns if coding == ROWS else places % columns).tolist()
            present = sorted(set(lines))
            table = dict(zip(present, read_scales(bits, len(present)), strict=True))
            pairs.append([table[i] for i in lines])
    bits.finish()
    return K_OF_CODE[code], order, pairs, ids


def read_pair(bits: Bits) -> Pair:
    """z, then d."""
    z, d = bits.fixed(6), bits.fixed(6)
    need(d < 48, "decay index")
    return z, d


def read_scales(bits: Bits, count: int) -> list[Pair]:
    """The pairs of `count` rows or columns."""
    tail = bits.fixed(4)
    return [scale_pair(scale, tail) for scale in read_indices(bits, count)]


def read_indices(bits: Bits, count: int) -> list[int]:
    """`count` indices in 0 .. 63, by their differences."""
    rice, index = bits.fixed(2), bits.fixed(6)
    indices = [index]
    for _ in range(count - 1):
        u = bits.rice(rice, 126)
        index += u // 2 if u % 2 == 0 else -(u + 1) // 2
        need(0 <= index < 64, "an index of a row or column")
        indices.append(index)
    return indices


class Coder:
    """The registers that encoder and decoder share (section 10): `narrow` to a symbol's interval, then `shift` out."""

    def __init__(self) -> None:
        self.low, self.high = 0, 2**32 - 1

    def narrow(self, table: list[int], symbol: int) -> None:
        span = self.high - self.low + 1
        self.high = self.low + (span * table[symbol + 1] >> 16) - 1
        self.low = self.low + (span * table[symbol] >> 16)

    def shift(self) -> str:
        """One step: '0' or '1' settled, 'pending', or '' when there is nothing to shift; the offset goes off both."""
        if self.high < 2**31:
            what, offset = "0", 0
        elif self.low >= 2**31:
            what, offset = "1", 2**31
        elif self.low >= 2**30 and self.high < 3 * 2**30:
            what, offset = "pending", 2**30
        else:
            return ""
        self.low, self.high = 2 * (self.low - offset), 2 * (self.high - offset) + 1
        return what


OFFSETS = {"0": 0, "1": 2**31, "pending": 2**30}


def arithmetic_encode(symbols: list[int], tables: list[list[int]]) -> bytes:
    """Symbols to bytes, each under its own cumulative table."""
    coder, out, pending = Coder(), [], 0
    for symbol, table in zip(symbols, tables, strict=True):
        coder.narrow(table, symbol)
        while what := coder.shift():
            if what == "pending":
                pending += 1
            else:
                out.append(what + ("0" if what == "1" else "1") * pending)
                pending = 0
    out.append(("0" + "1" * (pending + 1)) if coder.low < 2**30 else ("1" + "0" * (pending + 1)))
    text = "".join(out)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def arithmetic_decode(data: bytes, tables: list[list[int]]) -> list[int]:
    """The symbols of a block; bits past its end are zeros. Refuses all but the encoder's own bytes."""
    text = "".join(f"{byte:08b}" for byte in data)
    value, at = int(text[:32].ljust(32, "0"), 2), 32
    coder, symbols = Coder(), []
    for table in tables:
        span = coder.high - coder.low + 1
        symbol = bisect_right(table, ((value - coder.low + 1) * 65536 - 1) // span) - 1
        symbols.append(symbol)
        coder.narrow(table, symbol)
        while what := coder.shift():
            value = 2 * (value - OFFSETS[what]) + (text[at : at + 1] == "1")
            at += 1
    need(arithmetic_encode(symbols, tables) == data, "a block is not the coding of its symbols")
    return symbols


def read_blocks(cursor: Cursor, tables: list[list[int]]) -> list[int]:
    """The symbols of all blocks, one for each cumulative table."""
    symbols: list[int] = []
    for start in range(0, len(tables), BLOCK):
        symbols += arithmetic_decode(cursor.take(cursor.uvarint()), tables[start : start + BLOCK])
    return symbols


def decode_integers(
    coded: list[Mask], classes: list[NDArray[np.int64] | None], tables: bytes, symbols: bytes
) -> tuple[list[Integers], list[int | None]]:
    """The integers of all tensors, 0 where not `coded`, and their coding ids (section 9.4)."""
    k_max, order, pairs, ids = read_tables(tables, coded, classes)
    cursor = Cursor(symbols)
    rows = [cumulative(z, d, k_max) for of_tensor in pairs for z, d in of_tensor]
    values = [s - k_max - 1 for s in read_blocks(cursor, rows)]
    escapes = Bits(cursor.take(len(symbols) - cursor.at))
    for i, v in enumerate(values):
        if abs(v) > k_max:
            more = escapes.exp_golomb(order, LARGEST - k_max - 1)
            values[i] = v + more if v > 0 else v - more
    escapes.finish()
    out, at = [], 0
    for mask, of_tensor in zip(coded, pairs, strict=True):
        residual = np.zeros(mask.shape, np.int32)
        if of_tensor:
            residual[mask] = values[at : at + len(of_tensor)]
        out.append(residual)
        at += len(of_tensor)
    return out, ids


def update_activity(activity: NDArray[np.int64], residual: Integers) -> NDArray[np.int64]:
    """Section 9.5."""
    changed: NDArray[np.int64] = np.minimum(
        255, (3 * activity + 1) // 4 + 4 * np.minimum(np.abs(residual.astype(np.int64)), 15)
    )
    return changed


def context_classes(activity: NDArray[np.int64]) -> NDArray[np.int64]:
    """Section 9.5: how many of the thresholds an activity reaches."""
    return sum((activity >= threshold).astype(np.int64) for threshold in (1, 3, 8, 16, 40))  # type: ignore[return-value]
