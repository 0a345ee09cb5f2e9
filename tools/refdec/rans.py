"""Laplace rows and interleaved rANS: sections 8.4, 8.5 and 10.2 to 10.4 of the specification."""

from __future__ import annotations

from bisect import bisect_right
from functools import cache
from itertools import accumulate

from .container import Cursor, need
from .entropy import LARGEST, Bits

DECAYS = (
    253857248, 398132550, 581260615, 799036310, 1044178424, 1307656790,
    1580030169, 1852521207, 2117713904, 2369882518, 2605029347, 2820730047,
    3015876649, 3190386796, 3344923893, 3480652712, 3599040369, 3701703250,
    3790295335, 3866431115, 3931635878, 3987316692, 4034748382, 4075069962,
    4109287957, 4138284039, 4162825044, 4183574096, 4201101925, 4215897841,
    4228380000, 4238904802, 4247775344, 4255248918, 4261543595, 4266843974,
    4271306145, 4275061981, 4278222805, 4280882540, 4283120382, 4285003080,
    4286586875, 4287919135, 4289039749, 4289982295, 4290775039, 4291441769,
)  # fmt: skip
ESCAPE_ORDER = 2


@cache
def light(scale: int) -> list[int]:
    """l(0) .. l(516)."""
    out = [2**31]
    for _ in range(516):
        out.append(out[-1] * DECAYS[scale] >> 32)
    return out


@cache
def tails(scale: int) -> list[int]:
    """e(0) .. e(516); with heavy tails from 48 on."""
    if scale < 48:
        return light(scale)
    pairs = zip(light(scale - 48), light(min(scale - 48 + 17, 47)))  # noqa: B905
    return [near - (near >> 8) + (far >> 8) for near, far in pairs]


@cache
def reach(scale: int) -> int:
    """K."""
    e = tails(scale)
    return next((k for k in range(1, 63) if e[8 * k + 4] + e[8 * k + 12] < 2**20), 63)


@cache
def cumulative(row: int) -> list[int]:
    """C, 2 K + 5 numbers from 0 to 65536."""
    scale, phase = divmod(row, 8)
    e, k = tails(scale), reach(scale)
    below = [0]
    for r in range(-(k + 1), k + 2):
        d = 8 * r + 4 - phase
        below.append(2**32 - e[d] if d >= 0 else e[-d])
    below.append(2**32)
    alphabet = 2 * k + 4
    frequencies = [1 + ((b - a) * (65536 - alphabet) >> 32) for a, b in zip(below, below[1:])]  # noqa: B905
    frequencies[k + 1 + (phase > 4)] += 65536 - sum(frequencies)
    return [0, *accumulate(frequencies)]


class Stream:
    """A payload, read pass by pass (section 10.3)."""

    def __init__(self, data: bytes) -> None:
        cursor = Cursor(data)
        lanes, words = cursor.uvarint(), cursor.uvarint()
        need(1 <= lanes <= 256, "lanes")
        self.states = [cursor.u32() for _ in range(lanes)]
        need(min(self.states) >= 2**16, "a first state is below 2^16")
        packed = cursor.take(2 * words)
        self.words = [int.from_bytes(packed[i : i + 2], "little") for i in range(0, 2 * words, 2)]
        self.used = 0
        self.escapes = Bits(cursor.take(len(data) - cursor.at))

    def take(self, rows: list[int]) -> list[int]:
        """The values r of a pass (section 10.4)."""
        out = []
        for i, row in enumerate(rows):
            lane, table = i % len(self.states), cumulative(row)
            x = self.states[lane]
            slot = x % 2**16
            s = bisect_right(table, slot) - 1
            x = (table[s + 1] - table[s]) * (x >> 16) + slot - table[s]
            if x < 2**16:
                need(self.used < len(self.words), "the words end early")
                x = x << 16 | self.words[self.used]
                self.used += 1
            self.states[lane] = x
            r = s - reach(row // 8) - 1
            if s in (0, len(table) - 2):
                over = self.escapes.exp_golomb(ESCAPE_ORDER, LARGEST - abs(r))
                r += over if s else -over
            out.append(r)
        return out

    def finish(self) -> None:
        """Refuse what an encoder would not have written."""
        need(self.used == len(self.words), "words are left over")
        need(all(x == 2**16 for x in self.states), "a last state is not 2^16")
        self.escapes.finish()
