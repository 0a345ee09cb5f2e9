"""The index: where each group is, so that a player can start anywhere. Advisory: a reader can always rebuild it.

Payload of the index chunk:

    uvarint count, then for each group
        uvarint  offset of its chunk, counted from the magic, less the offset of the group before (of the first: 0)
        uvarint  frame_count
        u8       flags: bit 0 random access, bit 1 it shares a window, others zero
        uvarint  with bit 1 only: the offset of its chunk less that of its window's chunk

Numbers and first frames follow, as both count from zero without gaps.
"""

from typing import NamedTuple

from nvcodec import limits
from nvcodec.bitstream.fields import Cursor, uvarint
from nvcodec.bitstream.header import FileHeader
from nvcodec.errors import LimitError, MalformedError

RANDOM_ACCESS, WINDOW = 1, 2


class IndexEntry(NamedTuple):
    """One group: its number and first frame count from 0, its offset and that of its window from the magic."""

    number: int
    first_frame: int
    frame_count: int
    offset: int
    random_access: bool
    window: int | None = None


class IndexWriter:
    """Collects a few bytes for each group and packs them at the end."""

    def __init__(self) -> None:
        self.count = 0
        self._last = 0
        self._entries = bytearray()

    def add(self, entry: IndexEntry) -> None:
        """The next group."""
        assert entry.number == self.count and entry.offset > self._last
        flags = RANDOM_ACCESS * entry.random_access + WINDOW * (entry.window is not None)
        self._entries += uvarint(entry.offset - self._last) + uvarint(entry.frame_count) + bytes([flags])
        if entry.window is not None:
            self._entries += uvarint(entry.offset - entry.window)
        self._last = entry.offset
        self.count += 1

    def pack(self) -> bytes:
        """The payload of the index chunk."""
        return uvarint(self.count) + bytes(self._entries)


def unpack_index(data: bytes, least_size: int, end: int) -> list[IndexEntry]:
    """From the payload of an index chunk.

    `least_size` is that of a group's chunk and `end` the offset that all of them lie before; neither an overlap nor a
    group beyond is possible in a true index. The count is bounded by the bytes at hand before anything is built.
    """
    cursor = Cursor(data, "index")
    count = cursor.uvarint("count", limits.MAX_GROUPS)
    if 3 * count > cursor.remaining:
        raise MalformedError(f"index: {count} entries do not fit its {cursor.remaining} bytes")
    entries: list[IndexEntry] = []
    offset = first_frame = least_step = 0
    for number in range(count):
        step = cursor.uvarint("offset")
        frames = cursor.uvarint("frame count", limits.MAX_GROUP_FRAMES)
        flags = cursor.u8("flags")
        offset += step
        if step < max(least_step, 1) or offset + least_size > end:
            raise MalformedError(f"index: group {number} cannot lie at byte {offset}")
        random_access, window = bool(flags & RANDOM_ACCESS), None
        if flags & ~(RANDOM_ACCESS | WINDOW) or not frames or (number == 0 and not random_access):
            raise MalformedError(f"index: the entry of group {number} is not valid")
        if flags & WINDOW:
            window = offset - cursor.uvarint("window")
            if not FileHeader.SIZE <= window < offset:
                raise MalformedError(f"index: the window of group {number} cannot lie at byte {window}")
        entries.append(IndexEntry(number, first_frame, frames, offset, random_access, window))
        first_frame += frames
        least_step = least_size
    if first_frame > limits.MAX_FRAMES:
        raise LimitError(f"index: {first_frame} frames, over the cap of {limits.MAX_FRAMES}")
    cursor.done()
    return entries
