"""The first 28 bytes: golden, kept bits, every refusal."""

import struct
import zlib

import pytest

from nvcodec.bitstream.header import MAGIC, FileHeader
from nvcodec.errors import (
    ChecksumError,
    FeatureError,
    MalformedError,
    NotNvcError,
    TruncatedError,
    VersionError,
)


def header_bytes(major=0, minor=12, reserved=0, incompatible=0, compatible=0, advisory=1):
    head = MAGIC + struct.pack("<BBHIII", major, minor, reserved, incompatible, compatible, advisory)
    return head + struct.pack("<I", zlib.crc32(head))


def test_header_golden():
    assert FileHeader().pack().hex() == "9d4e56430d0a1a0a000c0000000000000000000001000000" + "5fc634e5"


def test_header_round_trip_keeps_unknown_compatible_and_advisory_bits():
    header = FileHeader(compatible=0x80000001, advisory=0xFFFFFFFF)
    assert FileHeader.unpack(header.pack()) == header


@pytest.mark.parametrize(
    "data, error, why",
    [
        (b"", TruncatedError, "empty"),
        (MAGIC, TruncatedError, "ends within its header"),
        (header_bytes()[:27], TruncatedError, "ends within its header"),
        (b"\x00\x00\x00\x20ftypisom" + bytes(20), NotNvcError, "not an .nvc file"),
        (b"\x9dNVC\n\x1a\n" + bytes(21), NotNvcError, "text-mode"),
        (b"\x9dNVC\r\r\n\x1a\r\n" + bytes(21), NotNvcError, "text-mode"),
        (b"\xc2\x9dNVC\r\n\x1a\n" + bytes(21), NotNvcError, "text-mode"),
        (b"\xef\xbf\xbdNVC\r\n\x1a\n" + bytes(21), NotNvcError, "text-mode"),
        (b"\x1dNVC\r\n\x1a\n" + bytes(21), NotNvcError, "high bit"),
        (header_bytes()[:-1] + b"\x00", ChecksumError, "header is damaged"),
        *(
            (header_bytes(minor=n), VersionError, rf"version 0\.{n}; this release reads version 0\.12")
            for n in range(1, 12)
        ),
        (header_bytes(major=1), VersionError, r"version 1\.12; this release reads version 0\.12"),
        (header_bytes(reserved=1), MalformedError, "reserved"),
        (header_bytes(incompatible=1 << 3 | 1 << 31), FeatureError, "bits 3, 31"),
    ],
)
def test_header_refused(data, error, why):
    with pytest.raises(error, match=why) as caught:
        FileHeader.unpack(data)
    assert type(caught.value) is error
