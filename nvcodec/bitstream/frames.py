"""The section FRAMES of a group: how each frame is coded, then the symbols of all of them.

    quality u8 | layout u8 | uvarint count | count x offset u8
    for each frame, in coding order:  flags u8 | quality u8, where flag 4 is set
    for each part but the last:       uvarint length of its stream
    for each part, to the end:        symbols, a stream of `entropy.rans`

    flag 0        intra: decoded from itself alone
    flags 1 to 3  the latents of the first, second, third level, coarsest first, are coded; the others are 0
    flag 4        the frame has a quality index of its own
    flags 5 to 7  reserved, 0

A frame without a quality of its own has that of the section plus the offset of its depth in the hierarchy, at most 95;
depths beyond the last offset have that one, and without offsets it is 0. Bits 0 and 1 of the layout are split, at most
2: there are 2 ** split parts. Bit 2 says that the group is of two halves; the others are 0. What a part holds, and what
halves are, is said by the hierarchy (`models.hierarchy`).
"""

from __future__ import annotations

from dataclasses import dataclass

from nvcodec.bitstream.fields import Cursor, require, uvarint

QUALITIES = 96  # indices
LEVELS = 3
MAX_OFFSETS = 16  # more than the depths of the longest group
MAX_SPLIT = 2

_HALVES = 1 << 2  # of the layout
_INTRA, _OWN_QUALITY = 1, 1 << 1 + LEVELS
_KNOWN = (_OWN_QUALITY << 1) - 1


@dataclass(frozen=True)
class CodedFrame:
    """How one frame is coded. levels: whether its latents are coded, of each level, coarsest first. quality: its own,
    None where it is that of its depth."""

    intra: bool
    levels: tuple[bool, ...] = (True,) * LEVELS
    quality: int | None = None

    def pack(self) -> bytes:
        """One byte or two."""
        flags = self.intra * _INTRA | (self.quality is not None) * _OWN_QUALITY
        flags |= sum(coded << 1 + level for level, coded in enumerate(self.levels))
        return bytes([flags] if self.quality is None else [flags, self.quality])

    @classmethod
    def read(cls, cursor: Cursor) -> CodedFrame:
        """The next one or two bytes."""
        flags = cursor.u8("flags of a frame")
        require(flags & ~_KNOWN == 0, f"{cursor.name}: reserved flags of a frame are set")
        quality = cursor.u8("quality of a frame") if flags & _OWN_QUALITY else None
        return cls(bool(flags & _INTRA), tuple(bool(flags >> 1 + level & 1) for level in range(LEVELS)), quality)


def quality_of_depth(quality: int, offsets: tuple[int, ...], depth: int) -> int:
    """The quality index of frames of a depth of the hierarchy, those without one of their own."""
    offset = offsets[min(depth, len(offsets) - 1)] if offsets else 0
    return min(quality + offset, QUALITIES - 1)


@dataclass(frozen=True)
class FramesSection:
    """What the section holds. frames: in coding order. streams: the symbols of 1, 2 or 4 parts. halves: whether the
    group is of two."""

    quality: int
    offsets: tuple[int, ...]
    frames: tuple[CodedFrame, ...]
    streams: tuple[bytes, ...]
    halves: bool = False

    @property
    def split(self) -> int:
        """The binary logarithm of the number of parts."""
        return len(self.streams).bit_length() - 1

    def quality_of(self, place: int, depth: int) -> int:
        """The quality index of the frame at a place of the coding order, of that depth."""
        own = self.frames[place].quality
        if own is not None:
            return own
        return quality_of_depth(self.quality, self.offsets, depth)

    def validate(self, name: str) -> None:
        """Refuse indices out of range."""
        require(len(self.offsets) <= MAX_OFFSETS, f"{name}: {len(self.offsets)} offsets, over {MAX_OFFSETS}")
        require(all(0 <= offset < 256 for offset in self.offsets), f"{name}: an offset is not in 0..255")
        for quality in (self.quality, *(f.quality for f in self.frames if f.quality is not None)):
            require(0 <= quality < QUALITIES, f"{name}: quality {quality} is not in 0..{QUALITIES - 1}")
        require(all(len(frame.levels) == LEVELS for frame in self.frames), f"{name}: not {LEVELS} levels")
        parts = len(self.streams)
        require(parts in [1 << split for split in range(MAX_SPLIT + 1)], f"{name}: {parts} parts")

    def pack(self) -> bytes:
        """The bytes of the section."""
        self.validate("frames")
        layout = self.split | self.halves * _HALVES
        head = bytes([self.quality, layout]) + uvarint(len(self.offsets)) + bytes(self.offsets)
        lengths = b"".join(uvarint(len(stream)) for stream in self.streams[:-1])
        return head + b"".join(frame.pack() for frame in self.frames) + lengths + b"".join(self.streams)

    @classmethod
    def unpack(cls, data: bytes, count: int, name: str = "frames") -> FramesSection:
        """From the bytes of the section of a group of `count` frames. `name` begins every error message."""
        cursor = Cursor(data, name)
        quality = cursor.u8("quality")
        layout = cursor.u8("layout")
        require(layout < 2 * _HALVES, f"{name}: reserved bits of the layout are set")
        split, halves = layout & _HALVES - 1, layout & _HALVES != 0
        require(split <= MAX_SPLIT, f"{name}: split {split} is not in 0..{MAX_SPLIT}")
        offsets = tuple(cursor.take(cursor.uvarint("count of offsets"), "offsets"))
        frames = tuple(CodedFrame.read(cursor) for _ in range(count))
        lengths = [cursor.uvarint("length of a stream") for _ in range((1 << split) - 1)]
        streams = [cursor.take(length, "symbols") for length in lengths]
        section = cls(quality, offsets, frames, (*streams, cursor.take(cursor.remaining, "symbols")), halves)
        section.validate(name)
        return section
