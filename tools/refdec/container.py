"""Bytes to records: sections 2 to 7 of the specification. Standard library only."""

from __future__ import annotations

import json
import math
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAGIC = bytes.fromhex("9d4e56430d0a1a0a")
LENGTH_CAPS = {b"META": 2**16, b"MODL": 2**16, b"WNDW": 2**29, b"GRUP": 2**29, b"INDX": 2**26}
FIXED_LENGTHS = {b"VIDI": 44, b"FEND": 16}
ANCILLARY = (b"META", b"INDX")
MODEL_FIELDS = {1: 8, 2: 13, 3: 11, 4: 14, 5: 14}  # model id -> number of configuration values
MC = 5  # the model id of coded frames
RANDOM, ZERO, PRIOR = range(3)  # origins
NONE, PREVIOUS, WINDOW, WINDOW_PREVIOUS = range(4)  # inheritance


class Refused(Exception):
    """The file is not valid. kind: not-nvc, malformed, version, feature, truncated, checksum or limit."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


def need(condition: bool, message: str, kind: str = "malformed") -> None:
    """Refuse the file unless `condition`."""
    if not condition:
        raise Refused(kind, message)


def cap(value: int, most: int, what: str) -> int:
    """`value`, which may not be over `most`."""
    need(value <= most, f"{what} is {value}, over {most}", "limit")
    return value


class Cursor:
    """Reads fields from the front of `data` (section 3)."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        need(self.at + size <= len(self.data), "a field does not fit in its record")
        self.at += size
        return self.data[self.at - size : self.at]

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "little")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def uvarint(self, most: int = 2**64 - 1) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self.u8()
            value |= (byte & 127) << shift
            if byte < 128:
                need(byte > 0 or shift == 0, "a varint is longer than it need be")
                need(value < 2**64, "a varint has more than 64 bits")
                return cap(value, most, "a varint field")
        raise Refused("malformed", "a varint has more than 10 bytes")

    def svarint(self) -> int:
        u = self.uvarint()
        return u // 2 if u % 2 == 0 else -(u + 1) // 2

    def done(self) -> None:
        need(self.at == len(self.data), "bytes are left over at the end of a record")


@dataclass
class Video:
    """Section 5."""

    width: int
    height: int
    depth: int
    chroma: int
    range: int
    matrix: int
    rotation: int
    time_base: tuple[int, int]
    rate: tuple[int, int]
    aspect: tuple[int, int]

    @property
    def chroma_steps(self) -> tuple[int, int]:
        """Luma samples from a chroma sample to the next: across, down."""
        return {0: (1, 1), 1: (2, 2), 2: (2, 1), 3: (1, 1)}[self.chroma]

    @property
    def plane_shapes(self) -> list[tuple[int, int]]:
        """(height, width) of each plane."""
        across, down = self.chroma_steps
        small = (-(-self.height // down), -(-self.width // across))
        return [(self.height, self.width)] + [small] * (2 if self.chroma else 0)

    @property
    def nominal_step(self) -> int:
        if self.rate == (0, 0):
            return 0
        n, d = self.rate[0] * self.time_base[0], self.rate[1] * self.time_base[1]
        return min((2 * d + n) // (2 * n), 2**62 - 1)


@dataclass
class Model:
    """Section 6. tensors: (kind, shape) in order; none of model 5."""

    index: int
    id: int
    exactness: int
    origin: int
    seed: int
    prior: bytes
    config: list[int]
    tensors: list[tuple[int, tuple[int, ...]]]


@dataclass
class Window:
    """Section 7.5. sections: bytes by kind."""

    first_group: int
    groups: int
    model: Model
    shared: int
    sections: dict[int, bytes]

    @property
    def end(self) -> int:
        """The number of the first group after it."""
        return self.first_group + self.groups


@dataclass
class Group:
    """Section 7. sections: bytes by kind; window: the one that it shares."""

    number: int
    chain: int
    model: Model
    inheritance: int
    first_frame: int
    pts: list[int]
    pixel_hash: bytes
    means: list[int]
    sections: dict[int, bytes]
    window: Window | None = None


def parse_file_header(data: bytes) -> None:
    """Section 4.1."""
    need(data[:8] == MAGIC[: len(data)], "not an .nvc file", "not-nvc")
    need(len(data) >= 28, "the file ends within its header", "truncated")
    major, minor, reserved, incompatible, _, _, crc = struct.unpack("<BBHIIII", data[8:28])
    need(zlib.crc32(data[:24]) == crc, "file header", "checksum")
    need((major, minor) == (0, 12), f"version {major}.{minor}", "version")
    need(reserved == 0, "file header: reserved bits are set")
    need(incompatible == 0, "unknown incompatible features", "feature")


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, payload) of every chunk of a known type, checked (section 4.2)."""
    at = 28
    while True:
        need(at + 14 <= len(data), "the file ends before its end record", "truncated")
        kind, flags, length, crc = struct.unpack("<4sHII", data[at : at + 14])
        need(zlib.crc32(data[at : at + 10]) == crc, "chunk header", "checksum")
        need(re.fullmatch(rb"[A-Za-z]{4}", kind) is not None, "a chunk type is not four letters")
        need(flags & 0xFFFE == 0, "reserved chunk flags are set")
        known = kind in LENGTH_CAPS or kind in FIXED_LENGTHS
        need(known or flags == 1, f"unknown chunk {kind!r}", "feature")
        if known:
            need(flags == (kind in ANCILLARY), f"the ancillary flag of {kind!r}")
            need(length == FIXED_LENGTHS.get(kind, length), f"the length of {kind!r}")
            cap(length, LENGTH_CAPS.get(kind, length), f"the length of {kind!r}")
        payload, stored = data[at + 14 : at + 14 + length], data[at + 14 + length : at + 18 + length]
        need(len(stored) == 4, f"the file ends within {kind!r}", "truncated")
        whole = zlib.crc32(payload) == int.from_bytes(stored, "little")
        need(whole or kind == b"INDX", f"payload of {kind!r}", "checksum")
        at += 18 + length
        yield (kind, payload) if known else (b"", b"")
        if kind == b"FEND":
            need(at == len(data), "bytes follow the end record")
            return


def parse_video(data: bytes) -> Video:
    """Section 5."""
    (w, h, depth, chroma, range_, _, _, matrix, location, zero8, rotation, zero16,
     *ratios) = struct.unpack("<II8BHH6I", data)  # fmt: skip
    need(zero8 == 0 and zero16 == 0, "video record: reserved bits are set")
    time_base, rate, aspect = (ratios[0], ratios[1]), (ratios[2], ratios[3]), (ratios[4], ratios[5])
    need(w > 0 and h > 0, "an empty picture")
    cap(max(w, h), 2**15, "width or height")
    cap(w * h, 2**26, "width x height")
    need(depth in (8, 10), "bit depth")
    need(chroma <= 3 and range_ <= 2 and location <= 6 and rotation < 360, "video record: a code is out of range")
    need(matrix != 0 or chroma == 3, "RGB that is not 4:4:4")
    need(min(time_base) > 0, "time base")
    need(all(ratio == (0, 0) or min(ratio) > 0 for ratio in (rate, aspect)), "rate or sample aspect")
    return Video(w, h, depth, chroma, range_, matrix, rotation, time_base, rate, aspect)


def parse_model(data: bytes) -> Model:
    """Section 6."""
    c = Cursor(data)
    index, id_, exactness = c.u8(), c.u16(), c.u8()
    need(exactness <= 1, f"exactness class {exactness}", "feature")
    origin = c.u8()
    need(origin <= PRIOR, f"origin {origin}", "feature")
    seed = c.u32()
    prior = c.take(8) if origin == PRIOR else b""
    need(id_ in MODEL_FIELDS, f"model id {id_}", "feature")
    need(exactness == (id_ == MC), "a class that the model has not")
    need(c.uvarint() == MODEL_FIELDS[id_], "the number of configuration values")
    config = [c.uvarint() for _ in range(MODEL_FIELDS[id_])]
    tensors, total = [], 0
    for _ in range(0 if id_ == MC else c.uvarint(1024)):
        kind = c.u8()
        need(kind <= 1, f"tensor kind {kind}", "feature")
        shape = tuple(c.uvarint(2**26) for _ in range(cap(c.u8(), 4, "tensor rank")))
        need(len(shape) > 0 and min(shape) > 0, "a tensor of rank 0 or with an empty axis")
        total = cap(total + math.prod(shape), 2**26, "parameters")
        tensors.append((kind, shape))
    need(len(tensors) > 0 or id_ == MC, "a model without tensors")
    c.done()
    return Model(index, id_, exactness, origin, seed, prior, config, tensors)


def parse_sections(c: Cursor) -> dict[int, bytes]:
    """The rest of a group's or a window's record: bytes by kind (section 7.4)."""
    sections: dict[int, bytes] = {}
    for _ in range(c.uvarint(4)):
        kind = c.u8()
        need(1 <= kind <= 6, f"section kind {kind}", "feature")
        need(kind > max(sections, default=0), "sections are repeated or out of order")
        sections[kind] = c.take(c.uvarint())
    c.done()
    return sections


def parse_window(data: bytes, models: dict[int, Model]) -> Window:
    """Section 7.5."""
    c = Cursor(data)
    first_group, groups, model_index, shared = c.uvarint(2**22 - 1), c.uvarint(2**22), c.u8(), c.uvarint(2**26)
    need(groups > 0, "a window without groups")
    cap(first_group + groups, 2**22, "groups")
    need(shared > 0, "a window that shares nothing")
    sections = parse_sections(c)
    need(model_index in models, f"model {model_index} is not defined")
    need(models[model_index].id != MC, "a window of model 5")
    return Window(first_group, groups, models[model_index], shared, sections)


def parse_group(data: bytes, video: Video, models: dict[int, Model]) -> Group:
    """Section 7."""
    c = Cursor(data)
    number, chain, model_index = c.uvarint(2**22 - 1), c.uvarint(), c.u8()
    inheritance = c.u8()
    need(inheritance <= WINDOW_PREVIOUS, f"inheritance {inheritance}", "feature")
    first_frame, count = c.uvarint(2**32 - 1), c.uvarint(4096)
    need(count > 0, "a group without frames")
    cap(first_frame + count, 2**32 - 1, "frames")
    cap(count * video.width * video.height, 2**29, "pixels of a group")
    pts, step = [c.svarint()], video.nominal_step
    for _ in range(count - 1):
        step += c.svarint()
        pts.append(pts[-1] + step)
    cap(max(map(abs, pts)), 2**62 - 1, "a pts")
    need(all(a < b for a, b in zip(pts, pts[1:])), "pts do not increase")  # noqa: B905
    pixel_hash = c.take(8)
    means = [c.u16() for _ in video.plane_shapes]
    need(max(means) <= 16 * (2**video.depth - 1), "a plane mean is over the peak")
    sections = parse_sections(c)
    need(chain <= number, "a chain number over the group number")
    need(model_index in models, f"model {model_index} is not defined")
    return Group(number, chain, models[model_index], inheritance, first_frame, pts, pixel_hash, means, sections)


def check_order(group: Group, last: Group | None) -> None:
    """Section 7.3: what ties a group to the one before it."""
    inherits = group.inheritance in (PREVIOUS, WINDOW_PREVIOUS)
    if last is None:
        need((group.number, group.first_frame, group.chain) == (0, 0, 0), "the first group is not group 0 of frame 0")
        need(not inherits, "the first group inherits")
        return
    need(group.number == last.number + 1, "group numbers do not count by one")
    need(group.first_frame == last.first_frame + len(last.pts), "a gap or an overlap of frames")
    need(group.pts[0] > last.pts[-1], "pts do not increase from group to group")
    need(group.chain - last.chain in (0, 1), "a chain number falls or skips")
    if inherits:
        need(group.chain == last.chain, "the first group of a chain inherits")
        need(group.model is last.model, "a group inherits from one of another model")


def check_window(group: Group, last: Group | None) -> None:
    """Section 7.5: what ties a group to the window that covers it, or to none."""
    window = group.window
    if window is None:
        need(group.inheritance in (NONE, PREVIOUS), "a group shares a window that is not there")
        return
    need(group.inheritance in (WINDOW, WINDOW_PREVIOUS), "a group of a window does not share it")
    need(group.model is window.model, "a group shares a window of another model")
    if group.number == window.first_group:
        need(group.inheritance == WINDOW, "the first group of a window inherits")
    else:
        need(last is not None and group.chain == last.chain, "a chain starts within a window")


def parse_meta(data: bytes) -> dict[str, Any]:
    """Section 4.5."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(items)) < len(items):
            raise ValueError("a key twice")
        return dict(items)

    def number(text: str) -> int | float:
        value = float(text) if re.search("[.eE]", text) else int(text[:25])
        if not (math.isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**64):
            raise ValueError("a number out of range")
        return value

    def refuse(text: str) -> None:
        raise ValueError(text)

    try:
        text = data.decode("utf-8")
        depth = deepest = 0
        for bracket in re.sub(r'"(?:[^"\\]|\\.)*"?', "", text, flags=re.S):
            depth += (bracket in "[{") - (bracket in "]}")
            deepest = max(deepest, depth)
        cap(deepest, 16, "nesting of the metadata")
        meta = json.loads(text, object_pairs_hook=pairs, parse_int=number, parse_float=number, parse_constant=refuse)
        json.dumps(meta, ensure_ascii=False).encode()  # fails for a lone surrogate
    except ValueError as error:
        raise Refused("malformed", f"metadata: {error}") from None
    if not isinstance(meta, dict):
        raise Refused("malformed", "the metadata is not an object")
    return meta


def read(data: bytes) -> Iterator[Video | Group]:
    """The video record, then every group in order; a fault is raised when its place is reached."""
    parse_file_header(data)
    video: Video | None = None
    meta: dict[str, Any] | None = None
    models: dict[int, Model] = {}
    last: Group | None = None
    window: Window | None = None  # the one that is open
    index_seen = False
    for kind, payload in chunks(data):
        need((kind == b"VIDI") == (video is None), "the video record is not once and first")
        need(not index_seen or kind in (b"FEND", b""), "a chunk follows the index")
        if kind == b"VIDI":
            video = parse_video(payload)
            yield video
        elif kind == b"META":
            need(meta is None and last is None and window is None, "metadata twice, or after a group or a window")
            meta = parse_meta(payload)
        elif kind == b"MODL":
            model = parse_model(payload)
            need(model.index not in models, f"model {model.index} is defined twice")
            models[model.index] = model
        elif kind == b"WNDW":
            need(window is None, "a window within another")
            window = parse_window(payload, models)
            need(window.first_group == (last.number + 1 if last else 0), "a window does not start at the next group")
        elif kind == b"GRUP":
            assert video is not None
            group = parse_group(payload, video, models)
            group.window = window
            check_order(group, last)
            check_window(group, last)
            last = group
            if window is not None and group.number + 1 == window.end:
                window = None
            yield group
        elif kind == b"INDX":
            index_seen = True
        elif kind == b"FEND":
            need(window is None, "the file ends within a window")
            totals = (last.number + 1, last.first_frame + len(last.pts)) if last else (0, 0)
            need(struct.unpack("<II", payload[:8]) == totals, "the totals of the end record")
