"""One dataclass per record of the format: `pack` to bytes, `unpack` from bytes, `validate` both ways.

Integers of more than one byte are little-endian. "uvarint" and "svarint" are those of `fields`. A record uses its bytes
exactly. A value that breaks a rule is a `MalformedError`, one over a cap a `LimitError`, an id that this release does
not know a `FeatureError`; the same rules hold for what is written as for what is read.

    VideoRecord, 44 bytes:
        width u32 | height u32 | bit_depth u8 | chroma u8 | range u8 | primaries u8 | transfer u8 | matrix u8
        chroma_location u8 | reserved u8 = 0 | rotation u16 | reserved u16 = 0
        time_base u32 / u32 | rate u32 / u32 | sample_aspect u32 / u32

    ModelRecord:
        index u8 | model id u16 | exactness u8 | origin u8 | seed u32
        uvarint count, that many uvarint configuration values
        uvarint count, that many tensors: kind u8 | rank u8 | rank x uvarint

    GroupRecord:
        uvarint number | uvarint chain | model index u8 | inheritance u8 | uvarint first_frame | uvarint frame_count
        svarint first pts | (frame_count - 1) x svarint | pixel_hash, 8 bytes | planes x mean u16
        uvarint count, that many sections: kind u8 | uvarint length | bytes

    WindowRecord:
        uvarint first_group | uvarint groups | model index u8 | uvarint shared
        uvarint count, that many sections: kind u8 | uvarint length | bytes

    EndRecord, 16 bytes:
        groups u32 | frames u32 | index_offset u64
"""

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from nvcodec import limits
from nvcodec.bitstream import registry
from nvcodec.bitstream.fields import Cursor, svarint, uvarint
from nvcodec.bitstream.registry import Exactness, Inheritance, Origin, SectionKind, TensorKind
from nvcodec.errors import LimitError, MalformedError

Ratio = tuple[int, int]
UNKNOWN: Ratio = (0, 0)

MAX_SECTIONS = 4
"""Sections of a group or a window: one of each kind that it may have."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise MalformedError(message)


def _cap(value: int, cap: int, what: str) -> None:
    if value > cap:
        raise LimitError(f"{what} is {value}, over the cap of {cap}")


@dataclass(frozen=True)
class VideoRecord:
    """What the video is, apart from its pixels.

    Ratios are (numerator, denominator), (0, 0) where unknown. `chroma` is 0 gray, 1 4:2:0, 2 4:2:2, 3 4:4:4; `range` 0
    unspecified, 1 limited, 2 full; `primaries`, `transfer` and `matrix` are H.273 code points, carried as they are;
    `chroma_location` is 0 unspecified, 1 left, 2 center, 3 top left, 4 top, 5 bottom left, 6 bottom; `rotation` is in
    degrees counter-clockwise.
    """

    SIZE = 44
    _LAYOUT = struct.Struct("<II8BHH6I")

    width: int
    height: int
    bit_depth: int
    chroma: int
    time_base: Ratio
    range: int = 0
    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    chroma_location: int = 0
    rotation: int = 0
    rate: Ratio = UNKNOWN
    sample_aspect: Ratio = UNKNOWN

    @property
    def planes(self) -> int:
        """Planes of a frame: 1 for gray, else 3."""
        return 3 if self.chroma else 1

    @property
    def nominal_step(self) -> int:
        """Time from a frame to the next in units of the time base, 0 where unknown.

        1 / (rate x time base) = d / n to the nearest integer, halves up: (2 d + n) // (2 n); at most `MAX_PTS`.
        """
        if self.rate == UNKNOWN:
            return 0
        n = self.rate[0] * self.time_base[0]
        d = self.rate[1] * self.time_base[1]
        return min((2 * d + n) // (2 * n), limits.MAX_PTS)

    def validate(self) -> None:
        """Refuse what no decoder could represent."""
        name = "video record"
        for what, size in (("width", self.width), ("height", self.height)):
            _require(size > 0, f"{name}: {what} is zero")
            _cap(size, limits.MAX_DIMENSION, f"{name}: {what}")
        _cap(self.width * self.height, limits.MAX_PIXELS, f"{name}: width x height")
        _require(self.bit_depth in (8, 10), f"{name}: bit depth {self.bit_depth} is neither 8 nor 10")
        _require(0 <= self.chroma <= 3, f"{name}: chroma format {self.chroma} is not in 0..3")
        _require(0 <= self.range <= 2, f"{name}: range {self.range} is not in 0..2")
        for what, point in (("primaries", self.primaries), ("transfer", self.transfer), ("matrix", self.matrix)):
            _require(0 <= point <= 255, f"{name}: {what} {point} is not in 0..255")
        _require(self.matrix != 0 or self.chroma == 3, f"{name}: matrix 0 (RGB) needs chroma format 3 (4:4:4)")
        _require(0 <= self.chroma_location <= 6, f"{name}: chroma location {self.chroma_location} is not in 0..6")
        _require(0 <= self.rotation < 360, f"{name}: rotation {self.rotation} is not in 0..359")
        for what, ratio in (("rate", self.rate), ("sample aspect", self.sample_aspect), ("time base", self.time_base)):
            if ratio != UNKNOWN or what == "time base":
                _require(
                    all(0 < part < 2**32 for part in ratio), f"{name}: {what} {ratio[0]}/{ratio[1]} is not a ratio"
                )

    def pack(self) -> bytes:
        """The 44 bytes."""
        self.validate()
        return self._LAYOUT.pack(
            self.width, self.height, self.bit_depth, self.chroma, self.range, self.primaries, self.transfer,
            self.matrix, self.chroma_location, 0, self.rotation, 0, *self.time_base, *self.rate, *self.sample_aspect,
        )  # fmt: skip

    @classmethod
    def unpack(cls, data: bytes) -> "VideoRecord":
        """From exactly 44 bytes."""
        _require(len(data) == cls.SIZE, f"video record: {len(data)} bytes where {cls.SIZE} are due")
        (width, height, depth, chroma, range_, primaries, transfer, matrix, location, reserved8, rotation, reserved16,
         tn, td, rn, rd, an, ad) = cls._LAYOUT.unpack(data)  # fmt: skip
        _require(reserved8 == 0 and reserved16 == 0, "video record: reserved bits are set")
        record = cls(width, height, depth, chroma, (tn, td), range_, primaries, transfer, matrix, location, rotation,
                     (rn, rd), (an, ad))  # fmt: skip
        record.validate()
        return record


class TensorSpec(NamedTuple):
    """Kind and shape of one tensor of a model."""

    kind: TensorKind
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Values in the tensor."""
        size = 1
        for axis in self.shape:
            size *= axis
        return size


@dataclass(frozen=True)
class ModelRecord:
    """A network that groups refer to by `index`.

    `config` holds the values whose names are `registry.MODELS[model_id].fields`. Whether they make sense together, and
    agree with `tensors`, is for the model to say. `origin` says what the initial integers are; `seed` starts those that
    are pseudo-random.
    """

    index: int
    model_id: int
    seed: int
    config: tuple[int, ...]
    tensors: tuple[TensorSpec, ...]
    exactness: Exactness = Exactness.FLOAT
    origin: Origin = Origin.RANDOM

    @property
    def name(self) -> str:
        """The model's name in the registry."""
        return registry.model_entry(self.model_id).name

    @property
    def settings(self) -> dict[str, int]:
        """Configuration values by name."""
        return dict(zip(registry.model_entry(self.model_id).fields, self.config, strict=True))

    @property
    def parameters(self) -> int:
        """Values in all tensors."""
        return sum(spec.size for spec in self.tensors)

    def validate(self) -> None:
        """Refuse what does not fit the registry or the caps."""
        name = "model record"
        entry = registry.model_entry(self.model_id)
        _require(0 <= self.index < 256 and 0 <= self.seed < 2**32, f"{name}: index or seed out of range")
        wanted = len(entry.fields)
        _require(
            len(self.config) == wanted,
            f"{name}: model '{entry.name}' has {wanted} configuration values, not {len(self.config)}",
        )
        _require(all(0 <= value < 2**64 for value in self.config), f"{name}: a configuration value is out of range")
        _require(len(self.tensors) > 0, f"{name}: no tensors")
        _cap(len(self.tensors), limits.MAX_TENSORS, f"{name}: tensor count")
        total = 0
        for spec in self.tensors:
            _require(len(spec.shape) > 0, f"{name}: a tensor of rank 0")
            _cap(len(spec.shape), limits.MAX_RANK, f"{name}: tensor rank")
            _require(min(spec.shape) > 0, f"{name}: a tensor with an empty axis")
            _cap(max(spec.shape), limits.MAX_PARAMETERS, f"{name}: tensor axis")
            total += spec.size
            _cap(total, limits.MAX_PARAMETERS, f"{name}: parameter count")

    def pack(self) -> bytes:
        """The payload of a model chunk."""
        self.validate()
        out = bytearray(struct.pack("<BHBBI", self.index, self.model_id, self.exactness, self.origin, self.seed))
        out += uvarint(len(self.config)) + b"".join(map(uvarint, self.config)) + uvarint(len(self.tensors))
        for spec in self.tensors:
            out += bytes([spec.kind, len(spec.shape)]) + b"".join(map(uvarint, spec.shape))
        return bytes(out)

    @classmethod
    def unpack(cls, data: bytes) -> "ModelRecord":
        """From the payload of a model chunk."""
        cursor = Cursor(data, "model record")
        index, model_id = cursor.u8("index"), cursor.u16("model id")
        exactness = registry.known(Exactness, cursor.u8("exactness"), "exactness class")
        origin = registry.known(Origin, cursor.u8("origin"), "origin")
        seed = cursor.u32("seed")
        fields = registry.model_entry(model_id).fields
        count = cursor.uvarint("configuration count")
        _require(count == len(fields), f"model record: {count} configuration values where {len(fields)} are due")
        config = tuple(cursor.uvarint(what) for what in fields)
        tensors = []
        for _ in range(cursor.uvarint("tensor count", limits.MAX_TENSORS)):
            kind = registry.known(TensorKind, cursor.u8("tensor kind"), "tensor kind")
            rank = cursor.u8("tensor rank")
            _cap(rank, limits.MAX_RANK, "model record: tensor rank")
            shape = tuple(cursor.uvarint("tensor axis", limits.MAX_PARAMETERS) for _ in range(rank))
            tensors.append(TensorSpec(kind, shape))
        cursor.done()
        record = cls(index, model_id, seed, config, tuple(tensors), exactness, origin)
        record.validate()
        return record


class Section(NamedTuple):
    """One part of the payload of a group or a window."""

    kind: SectionKind
    data: bytes


Sections = tuple[Section, ...]


def _check_sections(sections: Sections, name: str) -> None:
    kinds = [section.kind for section in sections]
    _require(kinds == sorted(set(kinds)), f"{name}: sections are repeated or out of order")
    _cap(len(kinds), MAX_SECTIONS, f"{name}: section count")


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
        _require(self.first_group >= 0 and 0 <= self.model < 256, f"{name}: first group or model index out of range")
        _require(self.groups > 0, f"{name}: no groups")
        _cap(self.end, limits.MAX_GROUPS, f"{name}: groups up to its end")
        _require(self.shared > 0, f"{name}: no shared elements")
        _cap(self.shared, limits.MAX_PARAMETERS, f"{name}: shared elements")
        _check_sections(self.sections, name)

    def pack(self) -> bytes:
        """The payload of a window chunk."""
        self.validate()
        head = uvarint(self.first_group) + uvarint(self.groups) + bytes([self.model]) + uvarint(self.shared)
        data = head + _pack_sections(self.sections)
        _cap(len(data), limits.MAX_GROUP_BYTES, "window record: bytes")
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
        _cap(self.number, limits.MAX_GROUPS - 1, f"{name}: number")
        _require(0 <= self.chain <= self.number, f"{name}: chain {self.chain} in group {self.number}")
        _require(0 <= self.model < 256, f"{name}: model index out of range")
        _require(self.frame_count > 0, f"{name}: no frames")
        _cap(self.frame_count, limits.MAX_GROUP_FRAMES, f"{name}: frame count")
        _cap(self.first_frame + self.frame_count, limits.MAX_FRAMES, f"{name}: frames up to its end")
        _cap(self.frame_count * video.width * video.height, limits.MAX_GROUP_PIXELS, f"{name}: pixels")
        for pts in self.pts:
            _cap(abs(pts), limits.MAX_PTS, f"{name}: magnitude of a pts")
        _require(
            all(a < b for a, b in zip(self.pts, self.pts[1:], strict=False)), f"{name}: pts do not strictly increase"
        )
        _require(len(self.pixel_hash) == 8, f"{name}: the pixel hash is not 8 bytes")
        _require(len(self.means) == video.planes, f"{name}: {len(self.means)} means for {video.planes} planes")
        top = 16 * (2**video.bit_depth - 1)
        _require(all(0 <= mean <= top for mean in self.means), f"{name}: a plane mean is over {top}")
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
        _cap(len(out), limits.MAX_GROUP_BYTES, "group record: bytes")
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
        _require(frame_count > 0, "group record: no frames")
        record = cls(number, chain, model, inheritance, first_frame, tuple(pts), pixel_hash, means, sections)
        record.validate(video)
        return record


@dataclass(frozen=True)
class EndRecord:
    """The last record: totals, and where the index chunk starts, counted from the magic, 0 for none."""

    SIZE = 16
    _LAYOUT = struct.Struct("<IIQ")

    groups: int
    frames: int
    index_offset: int

    def pack(self) -> bytes:
        """The 16 bytes."""
        return self._LAYOUT.pack(self.groups, self.frames, self.index_offset)

    @classmethod
    def unpack(cls, data: bytes) -> "EndRecord":
        """From exactly 16 bytes; whether the totals are true is for the reader to check."""
        _require(len(data) == cls.SIZE, f"end record: {len(data)} bytes where {cls.SIZE} are due")
        return cls(*cls._LAYOUT.unpack(data))
