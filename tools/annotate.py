"""A small .nvc file, byte by byte, and what it decodes to: the worked example of the specification is made with this.

A line of `annotate` is `offset  hex bytes  meaning`; the bytes of all lines, joined, are the file. For valid files.
"""

from __future__ import annotations

import struct
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.refdec import decode as reference_decode
from tools.refdec.container import NONE, WINDOW, Model, Video
from tools.refdec.decoder import OpenWindow, State, initial_state
from tools.refdec.entropy import K_OF_CODE
from tools.refdec.network import network

VIDEO_FIELDS = (
    ("width", 4), ("height", 4), ("bit depth", 1), ("chroma format", 1), ("range", 1), ("primaries", 1),
    ("transfer", 1), ("matrix", 1), ("chroma location", 1), ("reserved", 1), ("rotation", 2), ("reserved", 2),
    ("time base numerator", 4), ("time base denominator", 4), ("rate numerator", 4), ("rate denominator", 4),
    ("sample aspect numerator", 4), ("sample aspect denominator", 4),
)  # fmt: skip
CONFIG_FIELDS = ("patch", "group", "width", "depth", "channels", "block channels", "omega", "conv_float")
SECTIONS = {1: "STEPS", 2: "TABLES", 3: "SYMBOLS", 4: "BLOBS", 5: "MASK"}  # of model 1
CODINGS = ("ZERO", "SINGLE", "ROWS", "COLUMNS", "CONTEXT", "LIKE")
MASK_CODINGS = ("NONE", "ALL", "SINGLE", "ROWS", "COLUMNS", "PRODUCT")
PER_LINE = 16


class Listing:
    """Lines, and the place in the file."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.lines: list[str] = []

    def heading(self, text: str) -> None:
        self.lines.append(f"; {text}")

    def bytes(self, size: int, meaning: str) -> bytes:
        """The next bytes, on as many lines as they need."""
        part = self.data[self.at : self.at + size]
        for start in range(0, size, PER_LINE):
            row = part[start : start + PER_LINE].hex(" ")
            self.lines.append(f"{self.at + start:04x}  {row:<47}  {meaning if start == 0 else ''}".rstrip())
        self.at += size
        return part

    def fixed(self, size: int, meaning: str) -> int:
        """A little-endian field."""
        value = int.from_bytes(self.data[self.at : self.at + size], "little")
        self.bytes(size, f"{meaning} = {value}")
        return value

    def varint(self, meaning: str, signed: bool = False) -> int:
        size = next(n for n in range(1, 11) if self.data[self.at + n - 1] < 128)
        value = sum((byte & 127) << 7 * i for i, byte in enumerate(self.data[self.at : self.at + size]))
        if signed:
            value = -(value + 1) // 2 if value % 2 else value // 2
        self.bytes(size, f"{meaning} = {value}")
        return value


def annotate(data: bytes) -> str:
    """The listing, one line after the other."""
    out = Listing(data)
    out.heading("file header")
    out.bytes(8, "magic")
    for name, size in (("major", 1), ("minor", 1), ("reserved", 2), ("incompatible", 4), ("compatible", 4)):
        out.fixed(size, name)
    out.fixed(4, "advisory: an index is meant to follow")
    out.bytes(4, "crc32 of the 24 bytes before")
    shape_count = 0
    planes = 3
    while out.at < len(data):
        kind, _, length = struct.unpack("<4sHI", data[out.at : out.at + 10])
        name = kind.decode()
        out.heading(f"chunk {name}")
        out.bytes(4, f"type '{name}'")
        out.bytes(2, "flags" + (": ancillary" if data[out.at] else ""))
        out.fixed(4, "length of the payload")
        out.bytes(4, "crc32 of the 10 bytes before")
        end = out.at + length
        if name == "VIDI":
            planes = 3 if data[out.at + 9] else 1
            for field, size in VIDEO_FIELDS:
                out.fixed(size, field)
        elif name == "MODL":
            shape_count = _model(out)
        elif name == "WNDW":
            _window(out, shape_count)
        elif name == "GRUP":
            _group(out, planes, shape_count)
        elif name == "INDX":
            for number in range(out.varint("groups")):
                out.varint(f"group {number}: offset, less the one before")
                out.varint("frames")
                if out.fixed(1, "flags (1: random access, 2: shares a window)") & 2:
                    out.varint("offset, less that of its window")
        elif name == "FEND":
            out.fixed(4, "groups")
            out.fixed(4, "frames")
            out.fixed(8, "offset of the index")
        assert out.at == end, f"{name} is not understood"
        out.bytes(4, "crc32 of the payload")
    return "\n".join(out.lines) + "\n"


def _model(out: Listing) -> int:
    """The payload of MODL; the number of its LATENT tensors."""
    out.fixed(1, "index")
    out.fixed(2, "model id (1: nirvana)")
    out.fixed(1, "exactness (0: F)")
    out.fixed(1, "origin (0: RANDOM, 1: ZERO)")
    out.fixed(4, "seed")
    out.varint("configuration values")
    for field in CONFIG_FIELDS:
        out.varint(field)
    latents = 0
    for number in range(out.varint("tensors")):
        at, rank = out.at, out.data[out.at + 1]
        size = 2
        for _ in range(rank):
            size += next(n for n in range(1, 11) if out.data[at + size + n - 1] < 128)
        kind = out.data[at]
        latents += kind == 0
        out.bytes(size, f"tensor {number}: {('LATENT', 'FLOAT32')[kind]}, rank {rank}, axes")
    return latents


def _window(out: Listing, latents: int) -> None:
    """The payload of WNDW."""
    out.varint("first group")
    out.varint("groups that share it")
    out.fixed(1, "model index")
    out.varint("shared elements")
    _sections(out, latents)


def _group(out: Listing, planes: int, latents: int) -> None:
    """The payload of GRUP."""
    for field in ("number", "chain"):
        out.varint(field)
    out.fixed(1, "model index")
    out.fixed(1, "inheritance")
    out.varint("first frame")
    count = out.varint("frames")
    out.varint("first pts", signed=True)
    if count > 1:
        out.bytes(count - 1, "changes of the pts step, svarints")
    out.bytes(8, "pixel hash")
    for plane in range(planes):
        out.fixed(2, f"mean of plane {plane}, in sixteenths")
    _sections(out, latents)


def _sections(out: Listing, latents: int) -> None:
    """The rest of a group's or a window's payload."""
    for _ in range(out.varint("sections")):
        kind = out.data[out.at]
        out.bytes(1, f"section {SECTIONS[kind]}")
        length = out.varint("length")
        if kind == 1:
            out.bytes(length, f"changes of {latents} step indices, svarints")
        elif kind == 2:
            out.bytes(length, "K code, escape order, a coding for each tensor")
        elif kind == 3:
            _symbols(out, out.at + length)
        elif kind == 5:
            end = out.at + length
            out.bytes(out.varint("length of the header"), "a mask coding for each tensor")
            _symbols(out, end)
        else:
            out.bytes(1, "blob coding")
            out.bytes(length - 1, "compressed float differences")


def _symbols(out: Listing, end: int) -> None:
    """One block at most, then escapes."""
    if out.at < end:
        out.bytes(out.varint("length of the block"), "arithmetic coded symbols")
    if out.at < end:
        out.bytes(end - out.at, "escapes")


def collect(listing: str) -> bytes:
    """The bytes of a listing."""
    rows = [line for line in listing.splitlines() if not line.startswith(";")]
    return b"".join(bytes.fromhex(line[6:53]) for line in rows)


def explain(data: bytes) -> str:
    """What the windows and groups of a small file decode to, as text."""
    lines: list[str] = []

    def numbers(title: str, values: NDArray[Any]) -> None:
        text = " ".join(map(str, values.reshape(-1).tolist()))
        lines.extend(wrap(f"{title}: {text}", 116, initial_indent="    ", subsequent_indent="        "))

    def coded(title: str, tables: bytes, state: State) -> None:
        names = " ".join("-" if coding is None else CODINGS[coding] for coding in state.codings)
        lines.append(f"{title}: K = {K_OF_CODE[tables[0] >> 5]}, escape order {tables[0] & 31}, codings {names}")
        numbers("step indices", np.array(state.steps))

    def initial(model: Model) -> list[NDArray[np.int32]]:
        return initial_state(network(model, video).tensors(video), model).integers

    def residuals(before: list[NDArray[np.int32]], after: list[NDArray[np.int32]], random: bool) -> None:
        for i, (old, new) in enumerate(zip(before, after, strict=True)):
            if random:
                numbers(f"tensor {i}, initial", old)
            if (new != old).any():
                numbers(f"tensor {i}, residual", new - old)

    def window(opened: OpenWindow) -> None:
        record = opened.record
        coded(f"window of groups {record.first_group} .. {record.end - 1}", record.sections[2], opened.state)
        lines.append(f"    mask codings {' '.join(MASK_CODINGS[coding] for coding in opened.codings)}")
        for i, mask in enumerate(opened.shared):
            if mask.any():
                numbers(f"tensor {i}, shared", mask.astype(int))
        residuals(initial(record.model), opened.state.integers, record.model.origin == 0)

    before: list[NDArray[np.int32]] = []
    for item in reference_decode(data):
        if isinstance(item, Video):
            video = item
            continue
        record, state, opened = item.record, item.state, item.window
        if opened is not None and record.number == opened.record.first_group:
            window(opened)
        coded(f"group {record.number}", record.sections[2], state)
        if record.inheritance == NONE:
            before = initial(record.model)
        elif record.inheritance == WINDOW and opened is not None:
            before = opened.state.integers
        residuals(before, state.integers, record.inheritance == NONE and record.model.origin == 0)
        for t, planes in enumerate(item.frames):
            for name, plane in zip(("Y", "Cb", "Cr"), planes, strict=True):
                numbers(f"pts {record.pts[t]}, {name}", plane)
        before = state.integers
    return "\n".join(lines) + "\n"
