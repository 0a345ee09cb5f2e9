"""Zstandard decompression (RFC 8878) of one frame that declares its size and uses no dictionary. No dependencies.

Only what a decoder needs, one block at a time, with whole bit streams held as Python integers. Any fault of the data is
a ValueError, or an IndexError where it ends early. The content checksum is not verified: chunks have their own.
"""

from __future__ import annotations

from typing import NamedTuple

LITERAL_LENGTHS = [(i, 0) for i in range(16)] + [
    (16, 1), (18, 1), (20, 1), (22, 1), (24, 2), (28, 2), (32, 3), (40, 3), (48, 4), (64, 6),
    *((1 << n, n) for n in range(7, 17)),
]  # fmt: skip
MATCH_LENGTHS = [(i + 3, 0) for i in range(32)] + [
    (35, 1), (37, 1), (39, 1), (41, 1), (43, 2), (47, 2), (51, 3), (59, 3), (67, 4), (83, 4), (99, 5),
    *((3 + (1 << n), n) for n in range(7, 17)),
]  # fmt: skip
DEFAULT_LITERALS = [4, 3] + [2] * 11 + [1] * 3 + [2] * 9 + [3, 2] + [1] * 5 + [-1] * 4
DEFAULT_OFFSETS = [1] * 6 + [2] * 3 + [1] * 15 + [-1] * 5
DEFAULT_MATCHES = [1, 4, 3] + [2] * 6 + [1] * 37 + [-1] * 7


class Backward:
    """A bit stream that is read from its end: the first bit is below the highest set bit of the last byte."""

    def __init__(self, data: bytes) -> None:
        if not data or not data[-1]:
            raise ValueError("a bit stream without its mark")
        self.bits = int.from_bytes(data, "little")
        self.left = self.bits.bit_length() - 1

    def read(self, count: int) -> int:
        """`count` bits; past the beginning zeros, and `left` is negative."""
        self.left -= count
        shifted = self.bits >> self.left if self.left >= 0 else self.bits << -self.left
        return shifted & (1 << count) - 1


class State(NamedTuple):
    """An entry of an FSE table: the symbol, and how to get the next state."""

    symbol: int
    bits: int
    base: int


def fse_table(counts: list[int], log: int) -> list[State]:
    """Section 4.1.1."""
    size = 1 << log
    symbols, top = [-1] * size, size
    for symbol, count in enumerate(counts):
        if count == -1:
            top -= 1
            symbols[top] = symbol
    at = 0
    for symbol, count in enumerate(counts):
        for _ in range(max(count, 0)):
            symbols[at] = symbol
            at = (at + (size >> 1) + (size >> 3) + 3) % size
            while at >= top:
                at = (at + (size >> 1) + (size >> 3) + 3) % size
    following = [abs(count) for count in counts]
    table = []
    for symbol in symbols:
        x = following[symbol]
        following[symbol] += 1
        bits = log - (x.bit_length() - 1)
        table.append(State(symbol, bits, (x << bits) - size))
    return table


def read_fse(data: bytes, most_log: int) -> tuple[list[State], int]:
    """A table description: the table and the bytes used."""
    bits, at = int.from_bytes(data, "little"), 4
    log = (bits & 15) + 5
    if log > most_log:
        raise ValueError("an FSE table is too large")
    remaining, counts = 1 << log, []
    while remaining > 0:
        width = (remaining + 1).bit_length()
        value, low = bits >> at & (1 << width) - 1, (1 << width - 1) - 1
        spare = (1 << width) - 1 - (remaining + 1)
        if value & low < spare:
            value, width = value & low, width - 1
        elif value > low:
            value -= spare
        at += width
        counts.append(value - 1)
        remaining -= abs(value - 1)
        while value == 1:
            repeat = bits >> at & 3
            at += 2
            counts += [0] * repeat
            if repeat < 3:
                break
        if at > 8 * len(data) or len(counts) > 256:
            raise ValueError("an FSE table ends early")
    if remaining:
        raise ValueError("an FSE table does not add up")
    return fse_table(counts, log), (at + 7) // 8


def read_huffman(data: bytes) -> tuple[list[tuple[int, int]], int, int]:
    """A Huffman tree (section 4.2.1): a (symbol, bits) of every prefix, the length of prefixes, the bytes used."""
    head = data[0]
    if head >= 128:
        count = head - 127
        used = 1 + (count + 1) // 2
        nibbles = [part for byte in data[1:used] for part in (byte >> 4, byte & 15)]
        weights = nibbles[:count]
    else:
        used = 1 + head
        table, skipped = read_fse(data[1:used], 6)
        stream = Backward(data[1 + skipped : used])
        log = len(table).bit_length() - 1
        states = [stream.read(log), stream.read(log)]
        weights, turn = [], 0
        while len(weights) < 256:
            state = table[states[turn]]
            weights.append(state.symbol)
            states[turn] = state.base + stream.read(state.bits)
            if stream.left < 0:
                weights.append(table[states[1 - turn]].symbol)
                break
            turn = 1 - turn
    total = sum(1 << w >> 1 for w in weights)
    length = total.bit_length()
    last = (1 << length) - total
    if not total or last & last - 1 or length > 11:
        raise ValueError("Huffman weights do not add up")
    weights.append(last.bit_length())
    prefixes = [
        (symbol, length + 1 - weight)
        for weight in range(1, length + 1)
        for symbol, w in enumerate(weights)
        if w == weight
        for _ in range(1 << weight - 1)
    ]
    return prefixes, length, used


def huffman_stream(data: bytes, prefixes: list[tuple[int, int]], length: int, count: int) -> bytes:
    """`count` literals of one stream."""
    stream, out = Backward(data), bytearray()
    for _ in range(count):
        symbol, bits = prefixes[stream.read(length)]
        stream.left += length - bits
        out.append(symbol)
    if stream.left:
        raise ValueError("a literal stream does not end where it should")
    return bytes(out)


class Frame:
    """What one block leaves for the next."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.offsets = [1, 4, 8]
        self.huffman: tuple[list[tuple[int, int]], int] | None = None
        self.tables: list[list[State] | None] = [None, None, None]

    def literals(self, data: bytes) -> tuple[bytes, int]:
        """Section 3.1.1.3.1: the literals of a block and the bytes that they took."""
        kind, form = data[0] & 3, data[0] >> 2 & 3
        if kind < 2:
            used = (1, 2, 1, 3)[form]
            size = int.from_bytes(data[:used], "little") >> (3 if used == 1 else 4)
            body = data[used : used + size] if kind == 0 else data[used : used + 1] * size
            return body, used + (size if kind == 0 else 1)
        used, width = ((3, 10), (3, 10), (4, 14), (5, 18))[form]
        header = int.from_bytes(data[:used], "little") >> 4
        size, packed = header & (1 << width) - 1, header >> width
        body, end = data[used : used + packed], used + packed
        if kind == 2:
            prefixes, length, skipped = read_huffman(body)
            self.huffman, body = (prefixes, length), body[skipped:]
        if self.huffman is None:
            raise ValueError("literals without a Huffman tree")
        if form == 0:
            return huffman_stream(body, *self.huffman, size), end
        ends, quarter, parts = [6], (size + 3) // 4, []
        ends += [ends[-1] + int.from_bytes(body[0:2], "little")]
        ends += [ends[-1] + int.from_bytes(body[2:4], "little")]
        ends += [ends[-1] + int.from_bytes(body[4:6], "little"), len(body)]
        for i in range(4):
            count = quarter if i < 3 else size - 3 * quarter
            parts.append(huffman_stream(body[ends[i] : ends[i + 1]], *self.huffman, count))
        return b"".join(parts), end

    def block(self, data: bytes) -> None:
        """Section 3.1.1.3: literals, then sequences that copy from what is there."""
        literals, at = self.literals(data)
        count = data[at]
        at += 1
        if count == 255:
            count, at = int.from_bytes(data[at : at + 2], "little") + 0x7F00, at + 2
        elif count > 127:
            count, at = (count - 128 << 8) + data[at], at + 1
        if not count:
            self.out += literals
            return
        modes, at = data[at], at + 1
        for i, (counts, log, most) in enumerate(
            ((DEFAULT_LITERALS, 6, 9), (DEFAULT_OFFSETS, 5, 8), (DEFAULT_MATCHES, 6, 9))
        ):
            mode = modes >> 6 - 2 * i & 3
            if mode == 0:
                self.tables[i] = fse_table(counts, log)
            elif mode == 1:
                self.tables[i], at = [State(data[at], 0, 0)], at + 1
            elif mode == 2:
                self.tables[i], used = read_fse(data[at:], most)
                at += used
        by_literals, by_offsets, by_matches = self.tables
        if by_literals is None or by_offsets is None or by_matches is None:
            raise ValueError("a repeated table that was not sent")
        stream = Backward(data[at:])
        l, o, m = (stream.read(len(table).bit_length() - 1) for table in (by_literals, by_offsets, by_matches))  # noqa: E741
        done = 0
        for number in range(count):
            code = by_offsets[o].symbol
            offset = (1 << code) + stream.read(code)
            base, bits = MATCH_LENGTHS[by_matches[m].symbol]
            length = base + stream.read(bits)
            base, bits = LITERAL_LENGTHS[by_literals[l].symbol]
            run = base + stream.read(bits)
            self.copy(literals[done : done + run], self.offset(offset, run), length)
            done += run
            if number < count - 1:
                l = by_literals[l].base + stream.read(by_literals[l].bits)  # noqa: E741
                m = by_matches[m].base + stream.read(by_matches[m].bits)
                o = by_offsets[o].base + stream.read(by_offsets[o].bits)
        if stream.left or done > len(literals):
            raise ValueError("sequences do not end where they should")
        self.out += literals[done:]

    def offset(self, value: int, run: int) -> int:
        """Section 3.1.1.5: a new offset, or one of the last three."""
        if value > 3:
            self.offsets = [value - 3, *self.offsets[:2]]
            return self.offsets[0]
        place = value - 1 + (run == 0)
        chosen = self.offsets[0] - 1 if place == 3 else self.offsets[place]
        others = [old for i, old in enumerate(self.offsets) if i != place]
        self.offsets = [chosen, *others[:2]]
        return chosen

    def copy(self, run: bytes, offset: int, length: int) -> None:
        self.out += run
        if not 0 < offset <= len(self.out):
            raise ValueError("a match before the beginning")
        for _ in range(length):
            self.out.append(self.out[-offset])


def decompress(data: bytes, size: int) -> bytes:
    """Exactly `size` bytes from one frame, which must declare that size (section 3.1.1)."""
    head = data[4]
    single = head >> 5 & 1
    if data[:4] != b"\x28\xb5\x2f\xfd" or head & 8:
        raise ValueError("not a Zstandard frame")
    at = 5 if single else 6
    width = (0, 1, 2, 4)[head & 3]
    if int.from_bytes(data[at : at + width], "little"):
        raise ValueError("a dictionary")
    at += width
    width = (single, 2, 4, 8)[head >> 6]
    declared = int.from_bytes(data[at : at + width], "little") + (256 if width == 2 else 0)
    at += width
    if not width or declared != size:
        raise ValueError("the size declared is not that of the tensors")
    frame, last = Frame(), False
    while not last:
        header, at = int.from_bytes(data[at : at + 3].ljust(3, b"\x06"), "little"), at + 3
        last, kind, length = bool(header & 1), header >> 1 & 3, header >> 3
        used = 1 if kind == 1 else length
        body, at = data[at : at + used], at + used
        if kind == 3 or len(body) < used or length > 1 << 17:
            raise ValueError("a block that is reserved or cut")
        if kind == 2:
            frame.block(body)
        else:
            frame.out += body if kind == 0 else body * length
        if len(frame.out) > size:
            raise ValueError("more bytes than declared")
    if at + 4 * (head >> 2 & 1) != len(data) or len(frame.out) != size:
        raise ValueError("the frame does not end where it should")
    return bytes(frame.out)
