"""The records that hold coded frames, a group's and a window's; rules and notation are those of `records`.

GroupRecord:
    uvarint number | uvarint chain | model index u8 | inheritance u8 | uvarint first_frame | uvarint frame_count
    svarint first pts | (frame_count - 1) x svarint | pixel_hash, 8 bytes | planes x mean u16
    uvarint count, that many sections: kind u8 | uvarint length | bytes

WindowRecord:
    uvarint first_group | uvarint groups | model index u8 | uvarint shared
    uvarint count, that many sections: kind u8 | uvarint length | bytes
"""

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from nvcodec import limits
from nvcodec.bitstream import registry
from nvcodec.bitstream.fields import Cursor, cap, require, svarint, uvarint
from nvcodec.bitstream.records import VideoRecord
from nvcodec.bitstream.registry import Inheritance, SectionKind

MAX_SECTIONS = 4
"""Sections of a group or a window: one of each kind that it may have."""


class Section(NamedTuple):
    """One part of the payload of a group or a window."""

    kind: SectionKind
    data: bytes


Sections = tuple[Section, ...]


def _check_sections(sections: Sections, name: str) -> None:
    kinds = [section.kind for section in sections]
    require(kinds == sorted(set(kinds)), f"{name}: sections are repeated or out of order")
    cap(len(kinds), MAX_SECTIONS, f"{name}: section count")


def _pack_sections(sections: Sections) -> bytes:
    parts = [uvarint(len(sections))]
    for section in sections:
        parts += bytes([section.kind]), uvarint(len(section.data)), section.data
    return b"".join(parts)


def _unpack_sections(cursor: Cursor) -> Sections:
    sections = []
    for _ in range(cursor.uvarint("section count", MAX_SECTIONS)):
        kind = registry.known(SectionKind, cursor.u8("section kind"), "section kind")
        sections.append(Section(kind, cursor.take(cursor.uvarint("section length"), "section")))
    return tuple(sections)


def _section(sections: Sections, kind: SectionKind) -> bytes:
    return next((section.data for section in sections if section.kind == kind), b"")


@dataclass(frozen=True)
class WindowRecord:
    """What `groups` consecutive groups, from number `first_group` on, share: `shared` elements of their network.

    It stands before the first of them. The sections hold which elements these are and their integers.
    """

    first_group: int
    groups: int
    model: int
    shared: int
    sections: Sections = field(repr=False)

    @property
    def end(self) -> int:
        """The number of the first group after it."""
        return self.first_group + self.groups

    def covers(self, number: int) -> bool:
        """Whether the group of that number shares it."""
        return self.first_group <= number < self.end

    def section(self, kind: SectionKind) -> bytes:
        """The bytes of the section of that kind, none where it is absent."""
        return _section(self.sections, kind)

    def validate(self) -> None:
        """Refuse what no file can hold; the rules between records are in `sequence`."""
        name = "window record"
        require(self.first_group >= 0 and 0 <= self.model < 256, f"{name}: first group or model index out of range")
        require(self.groups > 0, f"{name}: no groups")
        cap(self.end, limits.MAX_GROUPS, f"{name}: groups up to its end")
        require(self.shared > 0, f"{name}: no shared elements")
        cap(self.shared, limits.MAX_PARAMETERS, f"{name}: shared elements")
        _check_sections(self.sections, name)

    def pack(self) -> bytes:
        """The payload of a window chunk."""
        self.validate()
        head = uvarint(self.first_group) + uvarint(self.groups) + bytes([self.model]) + uvarint(self.shared)
        data = head + _pack_sections(self.sections)
        cap(len(data), limits.MAX_GROUP_BYTES, "window record: bytes")
        return data

    @classmethod
    def unpack(cls, data: bytes) -> "WindowRecord":
        """From the payload of a window chunk."""
        cursor = Cursor(data, "window record")
        first_group = cursor.uvarint("first group", limits.MAX_GROUPS - 1)
        groups = cursor.uvarint("groups", limits.MAX_GROUPS)
        model = cursor.u8("model index")
        shared = cursor.uvarint("shared elements", limits.MAX_PARAMETERS)
        sections = _unpack_sections(cursor)
        cursor.done()
        record = cls(first_group, groups, model, shared, sections)
        record.validate()
        return record


@dataclass(frozen=True)
class GroupRecord:
    """`frame_count` frames coded together, and what their network follows from.

    `pts` are in units of the time base, strictly increasing. The first is stored as it is; of each later one, the
    change of its step from the step before is stored, the step before the first being the video's nominal one, so that
    a constant frame rate costs a byte of zero a frame. `pixel_hash` covers the reference pixels of the group; `means`
    are per-plane averages in sixteenths of a code value.
    """

    number: int
    chain: int
    model: int
    inheritance: Inheritance
    first_frame: int
    pts: tuple[int, ...]
    pixel_hash: bytes
    means: tuple[int, ...]
    sections: Sections = field(repr=False)

    @property
    def frame_count(self) -> int:
        """Frames in the group."""
        return len(self.pts)

    @property
    def random_access(self) -> bool:
        """Whether it decodes without the groups before; its window, if it has one, is still needed."""
        return self.inheritance in (Inheritance.NONE, Inheritance.WINDOW)

    @property
    def in_window(self) -> bool:
        """Whether it shares a window."""
        return self.inheritance in (Inheritance.WINDOW, Inheritance.WINDOW_PREVIOUS)

    def section(self, kind: SectionKind) -> bytes:
        """The bytes of the section of that kind, none where it is absent."""
        return _section(self.sections, kind)

    def validate(self, video: VideoRecord) -> None:
        """Refuse what cannot be a group of `video`; the rules between groups are in `sequence`."""
        name = "group record"
        cap(self.number, limits.MAX_GROUPS - 1, f"{name}: number")
        require(0 <= self.chain <= self.number, f"{name}: chain {self.chain} in group {self.number}")
        require(0 <= self.model < 256, f"{name}: model index out of range")
        require(self.frame_count > 0, f"{name}: no frames")
        cap(self.frame_count, limits.MAX_GROUP_FRAMES, f"{name}: frame count")
        cap(self.first_frame + self.frame_count, limits.MAX_FRAMES, f"{name}: frames up to its end")
        cap(self.frame_count * video.width * video.height, limits.MAX_GROUP_PIXELS, f"{name}: pixels")
        for pts in self.pts:
            cap(abs(pts), limits.MAX_PTS, f"{name}: magnitude of a pts")
        require(
            all(a < b for a, b in zip(self.pts, self.pts[1:], strict=False)), f"{name}: pts do not strictly increase"
        )
        require(len(self.pixel_hash) == 8, f"{name}: the pixel hash is not 8 bytes")
        require(len(self.means) == video.planes, f"{name}: {len(self.means)} means for {video.planes} planes")
        top = 16 * (2**video.bit_depth - 1)
        require(all(0 <= mean <= top for mean in self.means), f"{name}: a plane mean is over {top}")
        _check_sections(self.sections, name)

    def pack(self, video: VideoRecord) -> bytes:
        """The payload of a group chunk."""
        self.validate(video)
        out = bytearray(uvarint(self.number) + uvarint(self.chain) + bytes([self.model, self.inheritance]))
        out += uvarint(self.first_frame) + uvarint(self.frame_count) + svarint(self.pts[0])
        step = video.nominal_step
        for before, pts in zip(self.pts, self.pts[1:], strict=False):
            out += svarint(pts - before - step)
            step = pts - before
        out += self.pixel_hash + struct.pack(f"<{len(self.means)}H", *self.means) + _pack_sections(self.sections)
        cap(len(out), limits.MAX_GROUP_BYTES, "group record: bytes")
        return bytes(out)

    @classmethod
    def unpack(cls, data: bytes, video: VideoRecord) -> "GroupRecord":
        """From the payload of a group chunk of a file with that video record."""
        cursor = Cursor(data, "group record")
        number, chain = cursor.uvarint("number", limits.MAX_GROUPS - 1), cursor.uvarint("chain")
        model = cursor.u8("model index")
        inheritance = registry.known(Inheritance, cursor.u8("inheritance"), "inheritance")
        first_frame = cursor.uvarint("first frame", limits.MAX_FRAMES)
        frame_count = cursor.uvarint("frame count", limits.MAX_GROUP_FRAMES)
        pts, step = [cursor.svarint("first pts")], video.nominal_step
        for _ in range(frame_count - 1):
            step += cursor.svarint("pts step")
            pts.append(pts[-1] + step)
        pixel_hash = cursor.take(8, "pixel hash")
        means = tuple(cursor.u16("plane mean") for _ in range(video.planes))
        sections = _unpack_sections(cursor)
        cursor.done()
        require(frame_count > 0, "group record: no frames")
        record = cls(number, chain, model, inheritance, first_frame, tuple(pts), pixel_hash, means, sections)
        record.validate(video)
        return record
