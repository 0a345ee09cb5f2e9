"""Strings of bits, most significant first, for side information: fixed fields, Golomb-Rice and Exp-Golomb codes.

The last byte is filled with zeros. A reader must be finished: it refuses whole bytes left over, and padding other
than zero.
"""

from __future__ import annotations

from nvcodec.errors import MalformedError

_WINDOW_BYTES = 512  # more than the longest code


class BitWriter:
    """Collects bits; made for thousands of short codes, not for bulk data."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def fixed(self, value: int, width: int) -> None:
        """`value` in 0..2**width - 1 as `width` bits."""
        assert 0 <= value < 1 << width
        self._parts.append(f"{value:0{width}b}")

    def rice(self, value: int, order: int) -> None:
        """value div 2**order ones, a zero, then the low `order` bits."""
        assert value >= 0
        self._parts.append("1" * (value >> order) + "0")
        if order:
            self.fixed(value & (1 << order) - 1, order)

    def exp_golomb(self, value: int, order: int) -> None:
        """x = value + 2**order, of n bits: n - 1 - order zeros, then x."""
        assert value >= 0
        x = value + (1 << order)
        self._parts.append("0" * (x.bit_length() - 1 - order) + f"{x:b}")

    def getvalue(self) -> bytes:
        """Everything so far, filled up to whole bytes."""
        text = "".join(self._parts)
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big") if text else b""


class BitReader:
    """Reads what BitWriter wrote. Every method raises MalformedError where the bits end early or are over a bound."""

    def __init__(self, data: bytes, what: str) -> None:
        """`what` names the data in errors."""
        self._data = data
        self._loaded = 0  # bytes of data that went into the window
        self._text = ""  # the window: a few thousand bits as text, which Python searches and converts fast
        self._at = 0
        self._what = what

    def fixed(self, width: int) -> int:
        """An unsigned integer of `width` >= 1 bits."""
        if self._available(width) < width:
            raise self._early()
        self._at += width
        return int(self._text[self._at - width : self._at], 2)

    def rice(self, order: int, maximum: int) -> int:
        """A Golomb-Rice code of 0..maximum."""
        ones = self._run("0", maximum >> order)
        value = ones << order | (self.fixed(order) if order else 0)
        if value > maximum:
            raise MalformedError(f"{self._what}: a Golomb-Rice code holds {value}, over {maximum}")
        return value

    def exp_golomb(self, order: int, maximum: int) -> int:
        """An Exp-Golomb code of 0..maximum."""
        zeros = self._run("1", (maximum + (1 << order)).bit_length() - 1 - order)
        self._at -= 1  # the one is the top bit of x
        value = self.fixed(zeros + 1 + order) - (1 << order)
        if value > maximum:
            raise MalformedError(f"{self._what}: an Exp-Golomb code holds {value}, over {maximum}")
        return value

    def finish(self) -> None:
        """Refuse whatever is left but less than a byte of zeros."""
        left = self._available(0) + 8 * (len(self._data) - self._loaded)
        if left >= 8 or "1" in self._text[self._at :]:
            raise MalformedError(f"{self._what}: {left} bits that are not padding follow the last code")

    def _run(self, stop: str, longest: int) -> int:
        """Length of the run before the next `stop`, which is read too."""
        available = self._available(longest + 1)
        found = self._text.find(stop, self._at, self._at + longest + 1)
        if found < 0:
            if available > longest:
                raise MalformedError(f"{self._what}: a prefix is longer than {longest} bits")
            raise self._early()
        run = found - self._at
        self._at = found + 1
        return run

    def _available(self, wanted: int) -> int:
        """Bits in the window from here on, after loading more where fewer than `wanted` are."""
        if len(self._text) - self._at < wanted and self._loaded < len(self._data):
            chunk = self._data[self._loaded : self._loaded + _WINDOW_BYTES]
            self._text = f"{self._text[self._at :]}{int.from_bytes(chunk, 'big'):0{8 * len(chunk)}b}"
            self._at = 0
            self._loaded += len(chunk)
        return len(self._text) - self._at

    def _early(self) -> MalformedError:
        return MalformedError(f"{self._what}: the bits end before the last code")
