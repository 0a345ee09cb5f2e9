"""Framing: everything after the file header is a chunk.

    type     4 ASCII letters
    flags    u16, bit 0 ANCILLARY: a reader that does not know the type skips the chunk; others reserved, zero
    length   u32, of the payload
    crc32    u32 of the 10 bytes before
    payload  `length` bytes
    crc32    u32 of the payload

crc32 is that of zlib, PNG and RFC 1952. The header has its own, so that a length is known to be good before it is used:
damage to a payload does not lose the framing, and a lost framing is found again at the next header whose CRC is right.
"""

import re
import struct
import zlib
from typing import BinaryIO, NamedTuple

from nvcodec import limits
from nvcodec.errors import (
    ChecksumError,
    FeatureError,
    FormatError,
    LimitError,
    MalformedError,
    SourceError,
    TruncatedError,
    UsageError,
)

VIDEO, META, MODEL, WINDOW, GROUP, INDEX, END = b"VIDI", b"META", b"MODL", b"WNDW", b"GRUP", b"INDX", b"FEND"

ANCILLARY_TYPES = frozenset({META, INDEX})
FIXED_LENGTHS = {VIDEO: 44, END: 16}
MAX_LENGTHS = {
    META: limits.MAX_META_BYTES,
    MODEL: limits.MAX_MODEL_BYTES,
    WINDOW: limits.MAX_GROUP_BYTES,
    GROUP: limits.MAX_GROUP_BYTES,
    INDEX: limits.MAX_INDEX_BYTES,
}
KNOWN_TYPES = frozenset({VIDEO, END, *MAX_LENGTHS})

ANCILLARY = 1
HEADER_SIZE = 14
OVERHEAD = HEADER_SIZE + 4
"""Bytes of a chunk apart from its payload."""

_HEADER = struct.Struct("<4sHII")
_LETTERS = re.compile(rb"[A-Za-z]{4}")
_TYPES = re.compile(b"|".join(sorted(KNOWN_TYPES)))
_PIECE = 1 << 20  # bytes of one read
_SPAN = 1 << 14  # bytes searched at a time: small, as a false header costs reading one again


class ChunkHeader(NamedTuple):
    """Where a chunk starts, counted from the magic, what it is, and how long its payload is."""

    offset: int
    type: bytes
    length: int

    @property
    def known(self) -> bool:
        """Whether this release knows the type; otherwise the chunk may be skipped."""
        return self.type in KNOWN_TYPES

    @property
    def size(self) -> int:
        """Bytes of the whole chunk."""
        return OVERHEAD + self.length

    def __str__(self) -> str:
        return f"chunk {self.type.decode('ascii')} at byte {self.offset}"


def pack_chunk(kind: bytes, payload: bytes) -> bytes:
    """A whole chunk of a known type."""
    assert kind in KNOWN_TYPES and len(payload) < 2**32
    head = _HEADER.pack(kind, ANCILLARY if kind in ANCILLARY_TYPES else 0, len(payload), 0)[:10]
    return b"".join((head, struct.pack("<I", zlib.crc32(head)), payload, struct.pack("<I", zlib.crc32(payload))))


def parse_header(data: bytes, offset: int) -> ChunkHeader:
    """From the 14 bytes at `offset`.

    `ChecksumError` when they are damaged; when they are whole but break a rule, `MalformedError`, `LimitError` for a
    known type that is too long, or `FeatureError` for an unknown type that must not be skipped.
    """
    kind, flags, length, crc = _HEADER.unpack(data)
    if zlib.crc32(data[:10]) != crc:
        raise ChecksumError(f"the chunk header at byte {offset} is damaged: its checksum does not match")
    if not _LETTERS.fullmatch(kind):
        raise MalformedError(f"the type of the chunk at byte {offset} is not four letters")
    header = ChunkHeader(offset, kind, length)
    if flags & ~ANCILLARY:
        raise MalformedError(f"{header} has reserved flags set")
    if not header.known:
        if not flags & ANCILLARY:
            raise FeatureError(f"the file needs the {header}, which this release does not have")
        return header
    if flags != (ANCILLARY if kind in ANCILLARY_TYPES else 0):
        raise MalformedError(f"{header} has its ancillary flag wrong")
    if length != FIXED_LENGTHS.get(kind, length):
        raise MalformedError(f"{header} has {length} bytes where {FIXED_LENGTHS[kind]} are due")
    if length > MAX_LENGTHS.get(kind, length):
        raise LimitError(f"{header} has {length} bytes, over the cap of {MAX_LENGTHS[kind]}")
    return header


def is_header(data: bytes) -> bool:
    """Whether `data` is a chunk header that this release can follow."""
    try:
        return len(data) == HEADER_SIZE and bool(parse_header(data, 0))
    except FormatError:
        return False


class ByteSource:
    """A file or pipe read from the front, with exact reads, positions counted from its start, and bytes put back.

    Reads go in pieces, so that a length that lies about a short file costs no more memory than the file is long.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seekable = file.seekable()
        self._base = file.tell() if self.seekable else 0
        self._back = b""  # bytes put back, of which those from _used on are still to be read again
        self._used = 0
        self.position = 0

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end of the file; `SourceError` where the system cannot read."""
        first = self._back[self._used : self._used + size]
        self._used += len(first)
        missing = size - len(first)
        if not missing:
            self.position += size
            return first
        pieces = [first]
        self._back, self._used = b"", 0
        while missing:
            try:
                piece = self._file.read(min(missing, _PIECE))
            except OSError as error:
                raise SourceError(f"the file cannot be read: {error.strerror or error}") from error
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
        self.position += size - missing
        return b"".join(pieces)

    def unread(self, data: bytes) -> None:
        """Put back the last bytes read."""
        if len(data) <= self._used:  # they came from the bytes put back before and are still there
            self._used -= len(data)
        else:
            self._back, self._used = data + self._back[self._used :], 0
        self.position -= len(data)

    def peek(self, size: int) -> bytes:
        """As `read`, without passing over the bytes."""
        data = self.read(size)
        self.unread(data)
        return data

    def seek(self, position: int) -> None:
        """Go to a position; on a pipe only to where it already is."""
        if position == self.position:
            return
        if not self.seekable:
            raise UsageError("a stream can be read only once, from its start; save it to a file first")
        self._file.seek(self._base + position)
        self._back, self._used = b"", 0
        self.position = position

    def end(self) -> int:
        """The position of the end of a seekable file; where to read next is kept."""
        end = self._file.seek(0, 2) - self._base
        self._file.seek(self._base + self.position + len(self._back) - self._used)
        return end

    def header(self) -> ChunkHeader | None:
        """The next chunk header, None at the end of the file.

        Errors are those of `parse_header`, and a `TruncatedError` for a part of one; the source then stands before it.
        """
        data = self.peek(HEADER_SIZE)
        if not data:
            return None
        if len(data) < HEADER_SIZE:
            raise TruncatedError(f"the file ends within the chunk header at byte {self.position}")
        header = parse_header(data, self.position)
        self.read(HEADER_SIZE)
        return header

    def payload(self, header: ChunkHeader) -> bytes:
        """The payload after `header`; on a `TruncatedError` or `ChecksumError` the source stands before it again.

        What is put back is at most one payload, which the caps on known types bound.
        """
        data = self.read(header.length + 4)
        if len(data) < header.length + 4:
            self.unread(data)
            raise TruncatedError(f"the file ends within the {header}")
        if zlib.crc32(memoryview(data)[:-4]) != int.from_bytes(data[-4:], "little"):
            self.unread(data)
            raise ChecksumError(f"the payload of the {header} is damaged: its checksum does not match")
        return data[:-4]

    def skip(self, header: ChunkHeader) -> None:
        """Pass over the payload after `header` in constant memory; errors as for `payload`, but it is passed over."""
        left, crc = header.length, 0
        while left:
            piece = self.read(min(left, _PIECE))
            if not piece:
                break
            crc = zlib.crc32(piece, crc)
            left -= len(piece)
        stored = self.read(4)
        if left or len(stored) < 4:
            raise TruncatedError(f"the file ends within the {header}")
        if crc != int.from_bytes(stored, "little"):
            raise ChecksumError(f"the payload of the {header} is damaged: its checksum does not match")

    def resync(self) -> bool:
        """Go forward to the next header of a known type whose CRC is right; False at the end of the file."""
        while True:
            span = self.read(_SPAN)
            for match in _TYPES.finditer(span):
                start = match.start()
                if is_header(span[start : start + HEADER_SIZE]):
                    self.unread(span[start:])
                    return True
            if len(span) < _SPAN:
                return False
            self.unread(span[-(HEADER_SIZE - 1) :])
