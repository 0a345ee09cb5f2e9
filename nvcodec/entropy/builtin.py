"""The arithmetic coder in plain Python: the reference of the bit format, and the fallback where torchac cannot be had.

The coder is the bitwise one of Nelson, "Arithmetic Coding + Statistical Modeling = Data Compression" (1991), with 32
bit registers and 16 bit cumulative tables; bits go most significant first and the last byte is filled with zeros.

    low, high, pending = 0, 2**32 - 1, 0
    for each symbol s under table C:
        span = high - low + 1
        high = low + (span * C[s + 1] >> 16) - 1
        low  = low + (span * C[s]     >> 16)
        loop:  top bits of low and high equal   -> write that bit, then `pending` inverse bits; pending = 0
               low = 01.., high = 10..          -> pending += 1, drop the second bit of both
               otherwise stop;                     shift a 0 into low and a 1 into high
    finally pending += 1; write bit (low >= 2**30), then `pending` inverse bits

The loops below take all shifts of one symbol at once: equal leading bits first, then the run of second bits; an equal
top bit cannot appear after such a run. S shifts in all make a stream of ceil((S + 2) / 8) bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

_MASK = 0xFFFFFFFF
_TOP = 0x80000000
_BELOW = 0x7FFFFFFF
_QUARTER = 0x40000000


def encode(symbols: Sequence[int], rows: Sequence[Sequence[int]], row_index: Sequence[int]) -> bytes:
    """Code symbol i under rows[row_index[i]] (cumulative, 0 to 65536)."""
    out = bytearray()
    accumulator, filled = 0, 0  # bits that wait for a whole byte
    low, high, pending = 0, _MASK, 0
    for symbol, index in zip(symbols, row_index, strict=True):
        row = rows[index]
        span = high - low + 1
        high = low + (span * row[symbol + 1] >> 16) - 1
        low += span * row[symbol] >> 16
        differ = low ^ high
        if differ < _TOP:
            shift = 32 - differ.bit_length()
            head = low >> (32 - shift)
            if pending:
                first = head >> (shift - 1)
                accumulator = (accumulator << 1 + pending) | (first << pending) | (0 if first else (1 << pending) - 1)
                accumulator = (accumulator << shift - 1) | (head & (1 << shift - 1) - 1)
                filled += pending
                pending = 0
            else:
                accumulator = (accumulator << shift) | head
            filled += shift
            low = (low << shift) & _MASK
            high = ((high << shift) & _MASK) | (1 << shift) - 1
            if filled >= 256:
                filled, accumulator = _drain(out, accumulator, filled)
        if low & ~high & _QUARTER:
            shift = 31 - (~(low & ~high) & _BELOW).bit_length()
            pending += shift
            low = (low << shift) & _BELOW
            high = ((high << shift) & _MASK) | _TOP | (1 << shift) - 1
    pending += 1
    tail = (1 << pending) - 1 if low < _QUARTER else 1 << pending
    accumulator = (accumulator << 1 + pending) | tail
    filled += 1 + pending
    padding = -filled % 8
    _drain(out, accumulator << padding, filled + padding)
    return bytes(out)


def _drain(out: bytearray, accumulator: int, filled: int) -> tuple[int, int]:
    """Move whole bytes from the accumulator to `out`; what is left: (number of bits, bits)."""
    left = filled & 7
    out += (accumulator >> left).to_bytes(filled >> 3, "big")
    return left, accumulator & (1 << left) - 1


def decode(data: bytes, rows: Sequence[Sequence[int]], row_index: Sequence[int]) -> tuple[list[int], bool]:
    """Decode len(row_index) symbols; and whether `data` is, to the last bit, what `encode` writes for them."""
    padded = data + bytes(16)
    position, length = 12, len(padded)
    value = int.from_bytes(padded[:4], "big")
    ahead, held = int.from_bytes(padded[4:12], "big"), 64  # bits that follow those in `value`
    low, high, shifts = 0, _MASK, 0
    symbols: list[int] = []
    append = symbols.append
    for index in row_index:
        row = rows[index]
        span = high - low + 1
        symbol = bisect_right(row, (((value - low + 1) << 16) - 1) // span) - 1
        append(symbol)
        high = low + (span * row[symbol + 1] >> 16) - 1
        low += span * row[symbol] >> 16
        differ = low ^ high
        if differ < _TOP:
            shift = 32 - differ.bit_length()
            shifts += shift
            held -= shift
            value = ((value << shift) & _MASK) | (ahead >> held)
            ahead &= (1 << held) - 1
            low = (low << shift) & _MASK
            high = ((high << shift) & _MASK) | (1 << shift) - 1
        if low & ~high & _QUARTER:
            shift = 31 - (~(low & ~high) & _BELOW).bit_length()
            shifts += shift
            held -= shift
            value = (value & _TOP) | ((value << shift) & _BELOW) | (ahead >> held)
            ahead &= (1 << held) - 1
            low = (low << shift) & _BELOW
            high = ((high << shift) & _MASK) | _TOP | (1 << shift) - 1
        if held < 64:
            ahead = (ahead << 64) | int.from_bytes(padded[position : position + 8].ljust(8, b"\0"), "big")
            held += 64
            position = min(position + 8, length)
    # After the last shift the register holds what the encoder wrote last, in the scale of low and high: 01 or 10, 0s.
    canonical = value == (_QUARTER if low < _QUARTER else _TOP) and len(data) == (shifts + 2 + 7) // 8
    return symbols, canonical
