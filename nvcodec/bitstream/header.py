"""The first 28 bytes of a file, which keep this layout in every version of the format.

    magic 9D 4E 56 43 0D 0A 1A 0A | major u8 | minor u8 | reserved u16 = 0
    incompatible u32 | compatible u32 | advisory u32 | crc32 u32 of the 24 bytes before

Integers are little-endian. The magic starts with a byte that is not ASCII and holds CR LF, ^Z and LF, as PNG's does, so
that a copy in text mode or over seven bits is told apart from a file of another kind.
"""

import struct
import zlib
from dataclasses import dataclass

from nvcodec.errors import ChecksumError, FeatureError, MalformedError, NotNvcError, TruncatedError, VersionError

MAGIC = b"\x9dNVC\r\n\x1a\n"
VERSION = (0, 12)
ADVISORY_INDEX = 1
"""Advisory bit 0: the writer meant to end the file with an index. A killed writer leaves the bit and no index."""


def _bits(mask: int) -> str:
    return ", ".join(str(bit) for bit in range(32) if mask >> bit & 1)


def _not_magic(data: bytes) -> NotNvcError:
    """Why the first eight bytes are not the magic."""
    if data.startswith((MAGIC[:4], b"\xc2\x9dNVC", b"\xef\xbf\xbdNVC")):
        return NotNvcError("this .nvc file was damaged by a text-mode transfer; copy it again in binary mode")
    if data[:4] == bytes([MAGIC[0] & 127]) + MAGIC[1:4]:
        return NotNvcError("this .nvc file lost the high bit of its bytes; copy it again over an 8-bit channel")
    return NotNvcError("this is not an .nvc file: its first bytes are another format's")


@dataclass(frozen=True)
class FileHeader:
    """The first 28 bytes. Unknown incompatible bits refuse the file, unknown compatible and advisory bits do not."""

    SIZE = 28
    KNOWN_INCOMPATIBLE = 0

    incompatible: int = 0
    compatible: int = 0
    advisory: int = ADVISORY_INDEX
    major: int = VERSION[0]
    minor: int = VERSION[1]

    def pack(self) -> bytes:
        """The 28 bytes."""
        head = MAGIC + struct.pack(
            "<BBHIII", self.major, self.minor, 0, self.incompatible, self.compatible, self.advisory
        )
        return head + struct.pack("<I", zlib.crc32(head))

    @classmethod
    def unpack(cls, data: bytes) -> "FileHeader":
        """From the first 28 bytes of a file, fewer where the file ends before.

        The checks go from the outside in: kind of file, length, checksum, version, reserved bits, features.
        """
        if data[:8] != MAGIC[: len(data)]:
            raise _not_magic(data)
        if len(data) < cls.SIZE:
            raise TruncatedError("the file is empty" if not data else "the file ends within its header")
        major, minor, reserved, incompatible, compatible, advisory, crc = struct.unpack("<BBHIIII", data[8 : cls.SIZE])
        if zlib.crc32(data[:24]) != crc:
            raise ChecksumError("the file header is damaged: its checksum does not match")
        if (major, minor) != VERSION:
            raise VersionError(
                f"the file has format version {major}.{minor}; this release reads version {VERSION[0]}.{VERSION[1]}"
            )
        if reserved:
            raise MalformedError("file header: reserved bits are set")
        unknown = incompatible & ~cls.KNOWN_INCOMPATIBLE
        if unknown:
            raise FeatureError(f"the file needs features that this release does not have: bits {_bits(unknown)}")
        return cls(incompatible, compatible, advisory, major, minor)
