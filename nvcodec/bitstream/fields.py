"""Bounded integers and exact reads: the primitives that every record is made of.

uvarint: unsigned LEB128 of a 64-bit integer, seven bits a byte, least significant first, the high bit of a byte set
when another follows. Only the shortest form is valid, so that equal values have equal bytes: a last byte of zero after
others and anything over 64 bits are refused.

svarint: the uvarint of the zigzag map 0, -1, 1, -2, 2 ... -> 0, 1, 2, 3, 4 ... of a signed 64-bit integer.
"""

from nvcodec.errors import LimitError, MalformedError

MAX_U64 = 2**64 - 1


def uvarint(value: int) -> bytes:
    """The 1 to 10 bytes of `value`, 0 <= value < 2**64."""
    assert 0 <= value <= MAX_U64, value
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def svarint(value: int) -> bytes:
    """The 1 to 10 bytes of `value`, -2**63 <= value < 2**63."""
    assert -(2**63) <= value < 2**63, value
    return uvarint(value << 1 if value >= 0 else ~(value << 1))


def require(condition: bool, message: str) -> None:
    """MalformedError(message) unless `condition`."""
    if not condition:
        raise MalformedError(message)


def cap(value: int, most: int, what: str) -> None:
    """LimitError where `value`, which is of `what`, is over `most`."""
    if value > most:
        raise LimitError(f"{what} is {value}, over the cap of {most}")


class Cursor:
    """Reads fields from the front of `data`, never past its end.

    `name` says what the bytes are and begins every error message. Running out of bytes is a `MalformedError`: the bytes
    were complete and checksummed when they came here, so a field that does not fit was written wrongly.
    """

    __slots__ = ("_data", "name", "position")

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self.name = name
        self.position = 0

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self.position

    def take(self, size: int, what: str) -> bytes:
        """The next `size` bytes."""
        assert size >= 0
        if size > self.remaining:
            raise MalformedError(f"{self.name}: {what} needs {size} bytes where {self.remaining} are left")
        start = self.position
        self.position = start + size
        return self._data[start : self.position]

    def u8(self, what: str) -> int:
        """An 8-bit field."""
        return self.take(1, what)[0]

    def u16(self, what: str) -> int:
        """A 16-bit little-endian field."""
        return int.from_bytes(self.take(2, what), "little")

    def u32(self, what: str) -> int:
        """A 32-bit little-endian field."""
        return int.from_bytes(self.take(4, what), "little")

    def u64(self, what: str) -> int:
        """A 64-bit little-endian field."""
        return int.from_bytes(self.take(8, what), "little")

    def uvarint(self, what: str, cap: int = MAX_U64) -> int:
        """An unsigned varint; `LimitError` when it is over `cap`."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.u8(what)
            value |= (byte & 127) << shift
            if byte < 128:
                break
        else:
            raise MalformedError(f"{self.name}: {what} is a varint of more than 10 bytes")
        if byte == 0 and shift:
            raise MalformedError(f"{self.name}: {what} is a varint that is longer than it need be")
        if value > MAX_U64:
            raise MalformedError(f"{self.name}: {what} is a varint of more than 64 bits")
        if value > cap:
            raise LimitError(f"{self.name}: {what} is {value}, over the cap of {cap}")
        return value

    def svarint(self, what: str) -> int:
        """A signed varint, -2**63 <= value < 2**63."""
        zigzag = self.uvarint(what)
        return ~(zigzag >> 1) if zigzag & 1 else zigzag >> 1

    def done(self) -> None:
        """`MalformedError` unless every byte was used."""
        if self.remaining:
            raise MalformedError(f"{self.name}: {self.remaining} bytes are left over at its end")
