"""The records that describe a video and its networks: `pack` to bytes, `unpack` from bytes, `validate` both ways.

Those that hold coded frames are in `group_records`; what is said here is true of both.

Integers of more than one byte are little-endian. "uvarint" and "svarint" are those of `fields`. A record uses its bytes
exactly. A value that breaks a rule is a `MalformedError`, one over a cap a `LimitError`, an id that this release does
not know a `FeatureError`; the same rules hold for what is written as for what is read.

    VideoRecord, 44 bytes:
        width u32 | height u32 | bit_depth u8 | chroma u8 | range u8 | primaries u8 | transfer u8 | matrix u8
        chroma_location u8 | reserved u8 = 0 | rotation u16 | reserved u16 = 0
        time_base u32 / u32 | rate u32 / u32 | sample_aspect u32 / u32

    ModelRecord:
        index u8 | model id u16 | exactness u8 | origin u8 | seed u32 | prior, 8 bytes, with origin PRIOR only
        uvarint count, that many uvarint configuration values
        uvarint count, that many tensors: kind u8 | rank u8 | rank x uvarint; nothing of this with models of coded
        frames, whose configuration says it

    EndRecord, 16 bytes:
        groups u32 | frames u32 | index_offset u64
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from nvcodec import limits
from nvcodec.bitstream import registry
from nvcodec.bitstream.fields import Cursor, cap, require, uvarint
from nvcodec.bitstream.registry import Exactness, Origin, TensorKind

Ratio = tuple[int, int]
UNKNOWN: Ratio = (0, 0)


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
            require(size > 0, f"{name}: {what} is zero")
            cap(size, limits.MAX_DIMENSION, f"{name}: {what}")
        cap(self.width * self.height, limits.MAX_PIXELS, f"{name}: width x height")
        require(self.bit_depth in (8, 10), f"{name}: bit depth {self.bit_depth} is neither 8 nor 10")
        require(0 <= self.chroma <= 3, f"{name}: chroma format {self.chroma} is not in 0..3")
        require(0 <= self.range <= 2, f"{name}: range {self.range} is not in 0..2")
        for what, point in (("primaries", self.primaries), ("transfer", self.transfer), ("matrix", self.matrix)):
            require(0 <= point <= 255, f"{name}: {what} {point} is not in 0..255")
        require(self.matrix != 0 or self.chroma == 3, f"{name}: matrix 0 (RGB) needs chroma format 3 (4:4:4)")
        require(0 <= self.chroma_location <= 6, f"{name}: chroma location {self.chroma_location} is not in 0..6")
        require(0 <= self.rotation < 360, f"{name}: rotation {self.rotation} is not in 0..359")
        for what, ratio in (("rate", self.rate), ("sample aspect", self.sample_aspect), ("time base", self.time_base)):
            if ratio != UNKNOWN or what == "time base":
                require(all(0 < part < 2**32 for part in ratio), f"{name}: {what} {ratio[0]}/{ratio[1]} is not a ratio")

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
        require(len(data) == cls.SIZE, f"video record: {len(data)} bytes where {cls.SIZE} are due")
        (width, height, depth, chroma, range_, primaries, transfer, matrix, location, reserved8, rotation, reserved16,
         tn, td, rn, rd, an, ad) = cls._LAYOUT.unpack(data)  # fmt: skip
        require(reserved8 == 0 and reserved16 == 0, "video record: reserved bits are set")
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
    agree with `tensors`, is for the model to say; a model of coded frames lists none. `origin` says what the initial
    integers are; `seed` starts those that are pseudo-random, `prior` names those of a prior and is empty with any other
    origin.
    """

    PRIOR_SIZE = 8

    index: int
    model_id: int
    seed: int
    config: tuple[int, ...]
    tensors: tuple[TensorSpec, ...] = ()
    exactness: Exactness = Exactness.FLOAT
    origin: Origin = Origin.RANDOM
    prior: bytes = b""

    @property
    def name(self) -> str:
        """The model's name in the registry."""
        return registry.model_entry(self.model_id).name

    @property
    def has_frames(self) -> bool:
        """Whether its groups hold coded frames."""
        return registry.model_entry(self.model_id).frames

    @property
    def settings(self) -> dict[str, int]:
        """Configuration values by name."""
        return dict(zip(registry.model_entry(self.model_id).fields, self.config, strict=True))

    @property
    def parameters(self) -> int:
        """Values in all tensors that are listed."""
        return sum(spec.size for spec in self.tensors)

    def validate(self) -> None:
        """Refuse what does not fit the registry or the caps."""
        name = "model record"
        entry = registry.model_entry(self.model_id)
        require(0 <= self.index < 256 and 0 <= self.seed < 2**32, f"{name}: index or seed out of range")
        due = Exactness.EXACT if entry.frames else Exactness.FLOAT
        require(self.exactness == due, f"{name}: model '{entry.name}' is of exactness class {'FX'[due]} only")
        wanted = self.PRIOR_SIZE if self.origin == Origin.PRIOR else 0
        require(len(self.prior) == wanted, f"{name}: a prior's name of {len(self.prior)} bytes, not {wanted}")
        wanted = len(entry.fields)
        require(
            len(self.config) == wanted,
            f"{name}: model '{entry.name}' has {wanted} configuration values, not {len(self.config)}",
        )
        require(all(0 <= value < 2**64 for value in self.config), f"{name}: a configuration value is out of range")
        if entry.frames:
            require(not self.tensors, f"{name}: model '{entry.name}' lists no tensors")
            return
        require(len(self.tensors) > 0, f"{name}: no tensors")
        cap(len(self.tensors), limits.MAX_TENSORS, f"{name}: tensor count")
        total = 0
        for spec in self.tensors:
            require(len(spec.shape) > 0, f"{name}: a tensor of rank 0")
            cap(len(spec.shape), limits.MAX_RANK, f"{name}: tensor rank")
            require(min(spec.shape) > 0, f"{name}: a tensor with an empty axis")
            cap(max(spec.shape), limits.MAX_PARAMETERS, f"{name}: tensor axis")
            total += spec.size
            cap(total, limits.MAX_PARAMETERS, f"{name}: parameter count")

    def pack(self) -> bytes:
        """The payload of a model chunk."""
        self.validate()
        out = bytearray(struct.pack("<BHBBI", self.index, self.model_id, self.exactness, self.origin, self.seed))
        out += self.prior + uvarint(len(self.config)) + b"".join(map(uvarint, self.config))
        if not self.has_frames:
            out += uvarint(len(self.tensors))
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
        prior = cursor.take(cls.PRIOR_SIZE, "prior") if origin == Origin.PRIOR else b""
        entry = registry.model_entry(model_id)
        count, due = cursor.uvarint("configuration count"), len(entry.fields)
        require(count == due, f"model record: {count} configuration values where {due} are due")
        config = tuple(cursor.uvarint(what) for what in entry.fields)
        tensors = []
        for _ in range(0 if entry.frames else cursor.uvarint("tensor count", limits.MAX_TENSORS)):
            kind = registry.known(TensorKind, cursor.u8("tensor kind"), "tensor kind")
            rank = cursor.u8("tensor rank")
            cap(rank, limits.MAX_RANK, "model record: tensor rank")
            shape = tuple(cursor.uvarint("tensor axis", limits.MAX_PARAMETERS) for _ in range(rank))
            tensors.append(TensorSpec(kind, shape))
        cursor.done()
        record = cls(index, model_id, seed, config, tuple(tensors), exactness, origin, prior)
        record.validate()
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
        require(len(data) == cls.SIZE, f"end record: {len(data)} bytes where {cls.SIZE} are due")
        return cls(*cls._LAYOUT.unpack(data))
