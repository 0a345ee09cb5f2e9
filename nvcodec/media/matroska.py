"""Give a Matroska file a sample aspect ratio after it is written.

FFmpeg's muxer takes the ratio from a field that PyAV cannot set. So the stream is written with the title `PLACEHOLDER`,
and here the title makes room for DisplayWidth and DisplayHeight (RFC 9559, section 5.1.4.1.28); nothing moves.
"""

from __future__ import annotations

import zlib
from fractions import Fraction
from pathlib import Path

PLACEHOLDER = "room for the display size of this video"
_HEAD = 1 << 16  # the tracks are within these first bytes
_SEGMENT, _TRACKS, _ENTRY, _NAME, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0x536E, 0xE0
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT, _CRC, _VOID = 0x54B0, 0x54BA, 0x54B2, 0xBF, 0xEC
_UNIT_PIXELS, _UNIT_ASPECT = 0, 3

Element = tuple[int, int, int, int]  # id, then the offsets of the element, its payload and its end


def set_sample_aspect(path: Path, width: int, height: int, aspect: Fraction) -> bool:
    """Store `aspect` for the first track of a file of ours. False, and no change, where its form is unexpected."""
    with path.open("r+b") as file:
        head = bytearray(file.read(_HEAD))
        try:
            segment = _find(head, 0, len(head), _SEGMENT)
            tracks = _find(head, segment[2], segment[3], _TRACKS)
            entry = _find(head, tracks[2], tracks[3], _ENTRY)
            head[entry[2] : entry[3]] = _with_display_size(head, entry, _display_size(width, height, aspect))
            first = _elements(head, tracks[2], tracks[3])[0]
            if first[0] == _CRC:
                head[first[2] : first[3]] = zlib.crc32(head[first[3] : tracks[3]]).to_bytes(4, "little")
        except (LookupError, ValueError):
            return False
        file.seek(0)
        file.write(head)
    return True


def _display_size(width: int, height: int, aspect: Fraction) -> dict[int, int]:
    """Pixels where the stretched width is a whole number, else a ratio."""
    wide = width * aspect
    if wide.denominator == 1:
        return {_DISPLAY_WIDTH: int(wide), _DISPLAY_HEIGHT: height, _DISPLAY_UNIT: _UNIT_PIXELS}
    ratio = wide / height
    return {_DISPLAY_WIDTH: ratio.numerator, _DISPLAY_HEIGHT: ratio.denominator, _DISPLAY_UNIT: _UNIT_ASPECT}


def _with_display_size(data: bytearray, entry: Element, display: dict[int, int]) -> bytes:
    """The payload of a track entry, of the same length, with its title replaced by the display size."""
    kept = b""
    for identity, start, payload, end in _elements(data, entry[2], entry[3]):
        if identity == _VIDEO:
            parts = _elements(data, payload, end)
            video = b"".join(bytes(data[p[1] : p[3]]) for p in parts if p[0] not in display)
            video += b"".join(_pack(key, _unsigned(value)) for key, value in display.items())
            kept += _pack(_VIDEO, video)
        elif not (identity == _NAME and data[payload:end] == PLACEHOLDER.encode()):
            kept += data[start:end]
    spare = entry[3] - entry[2] - len(kept)
    if spare < 2 or spare > 127 + 2:
        raise ValueError("no room")
    return kept + bytes([_VOID, 0x80 | (spare - 2)]) + bytes(spare - 2)


def _unsigned(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def _pack(identity: int, payload: bytes) -> bytes:
    """An element with a two-byte size field."""
    return _unsigned(identity) + (0x4000 | len(payload)).to_bytes(2, "big") + payload


def _find(data: bytearray, start: int, end: int, identity: int) -> Element:
    for element in _elements(data, start, end):
        if element[0] == identity:
            return element
    raise LookupError("element is missing")


def _elements(data: bytearray, start: int, end: int) -> list[Element]:
    """The elements between two offsets. Sizes that reach past `end` are cut there, as the segment's is."""
    found: list[Element] = []
    at = start
    while at < end:
        identity_size = 9 - data[at].bit_length()
        size_at = at + identity_size
        size_size = 9 - data[size_at].bit_length()
        payload = size_at + size_size
        if identity_size > 4 or size_size > 8:
            raise ValueError("not EBML")
        size = int.from_bytes(data[size_at:payload], "big") & ((1 << 7 * size_size) - 1)
        found.append((int.from_bytes(data[at:size_at], "big"), at, payload, min(payload + size, end)))
        at = payload + size
    return found
