"""A file to groups of frames: sections 7, 11, 12 and 17 of the specification."""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from . import network, zstd
from .container import Cursor, Group, Refused, Video, need, read
from .entropy import context_classes, decode_integers, update_activity
from .layers import Picture, Tensors
from .network import Network

STEPS, TABLES, SYMBOLS, BLOBS = 1, 2, 3, 4
STORED, ZSTD, LZMA = 0, 1, 2
LZMA_FILTER = {"id": lzma.FILTER_LZMA1, "dict_size": 1 << 20, "lc": 3, "lp": 0, "pb": 0}


@dataclass
class State:
    """What a group can inherit (section 12)."""

    integers: list[NDArray[np.int32]]
    steps: list[int]
    activity: list[NDArray[np.int64]]
    floats: list[NDArray[np.uint32]]  # bit patterns
    codings: list[int] = field(default_factory=list)  # of the last group, for coverage reports
    blob_coding: int | None = None

    def digest(self) -> str:
        """Of all integers, little-endian int32 in order, then of all float bit patterns."""
        parts = [q.astype("<i4").tobytes() for q in self.integers] + [f.astype("<u4").tobytes() for f in self.floats]
        return hashlib.blake2b(b"".join(parts), digest_size=8).hexdigest()


@dataclass
class Decoded:
    """A group, what it decodes to, and whether the stored hash and means agree."""

    record: Group
    state: State
    frames: list[Picture]
    hash_matches: bool
    means_match: bool


def initial_state(tensors: Tensors, seed: int) -> State:
    """Section 12.1."""
    integers = network.initial_integers(tensors, seed)
    floats = [np.zeros(shape, np.uint32) for kind, shape, _ in tensors if kind == 1]
    return State(integers, [0] * len(integers), [np.zeros(q.shape, np.int64) for q in integers], floats)


def unpack_blob(data: bytes, size: int) -> tuple[bytes, int]:
    """Exactly `size` bytes, and the coding id (section 11)."""
    need(len(data) > 0, "an empty blob")
    coding, payload = data[0], data[1:]
    need(coding <= LZMA, f"blob coding {coding}", "feature")
    try:
        if coding == ZSTD:
            payload = zstd.decompress(payload, size)
        elif coding == LZMA:
            decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[LZMA_FILTER])
            raw = payload
            payload = decoder.decompress(raw, size)
            if not decoder.eof:
                payload += decoder.decompress(b"", 1)  # the end mark, and no byte more
            need(decoder.eof and not decoder.unused_data, "an LZMA stream without its end mark at its end")
    except (ValueError, IndexError, EOFError, lzma.LZMAError) as error:
        raise Refused("malformed", f"blob: {error}") from None
    need(len(payload) == size, "a blob of another size than its tensors")
    return payload, coding


def apply(base: State, group: Group) -> State:
    """The state after a group (section 12.2)."""
    fresh = group.inheritance == 0
    sections = dict(group.sections)
    need(TABLES in sections and SYMBOLS in sections, "a section is missing")
    need(STEPS in sections or not fresh, "the section STEPS is missing")
    steps = list(base.steps)
    if STEPS in sections:
        cursor = Cursor(sections[STEPS])
        steps = [old + cursor.svarint() for old in steps]
        cursor.done()
        need(all(-1024 <= step <= 256 for step in steps), "a step index")
    shapes = [tuple(q.shape) for q in base.integers]
    classes = [None if fresh else context_classes(a) for a in base.activity]
    residuals, codings = decode_integers(shapes, classes, sections[TABLES], sections[SYMBOLS])
    integers = [q + r for q, r in zip(base.integers, residuals, strict=True)]
    need(all(int(np.abs(q).max()) < 2**24 for q in integers), "a sum of residuals is over 2^24 - 1")
    activity = [update_activity(a, r) for a, r in zip(base.activity, residuals, strict=True)]
    floats, coding = base.floats, None
    need((BLOBS in sections) == bool(floats), "the section BLOBS is missing, or has no tensor to fill")
    if floats:
        count = sum(f.size for f in floats)
        planes, coding = unpack_blob(sections[BLOBS], 4 * count)
        patterns = np.frombuffer(planes, np.uint8).reshape(4, count).T.copy().view("<u4").reshape(count)
        previous = np.concatenate([f.reshape(-1) for f in floats])  # zeros in a fresh state
        patterns = patterns + previous
        need(bool(np.isfinite(patterns.view(np.float32)).all()), "a float that is not finite")
        ends = np.cumsum([f.size for f in floats])
        parts = np.split(patterns, ends[:-1])
        floats = [part.reshape(f.shape) for part, f in zip(parts, floats, strict=True)]
    return State(integers, steps, activity, floats, codings, coding)


def weights(tensors: Tensors, state: State) -> list[NDArray[np.float64]]:
    """All tensors in wire order (section 12.3)."""
    integers, steps, floats = iter(state.integers), iter(state.steps), iter(state.floats)
    out: list[NDArray[np.float64]] = []
    for kind, _, _ in tensors:
        if kind == 0:
            product = next(integers).astype(np.float32) * np.float32(network.step_size(next(steps)))
            out.append(product.astype(np.float64))
        else:
            out.append(next(floats).view(np.float32).astype(np.float64))
    return out


def decode(data: bytes, start: int = 0, stop: int | None = None) -> Iterator[Video | Decoded]:
    """The video record, then the groups that hold frames start .. stop - 1.

    Groups before the last random access point that serves `start` are parsed, not decoded. Refused is raised where the
    file breaks a rule, after all whole groups before it.
    """
    records = read(data)
    video = next(records)
    assert isinstance(video, Video)
    yield video
    first = access_point(data, start) if start else 0
    networks: dict[int, Network] = {}
    state: State | None = None
    for group in records:
        assert isinstance(group, Group)
        if group.number < first:
            continue
        if stop is not None and group.first_frame >= stop:
            return
        model = group.model
        n = networks[model.index] = networks.get(model.index) or network.network(model, video)
        tensors = n.tensors(video)
        need(len(group.pts) <= n.longest, "more frames than the model has")
        base = initial_state(tensors, model.seed) if group.inheritance == 0 else state
        assert base is not None
        state = apply(base, group)
        if group.first_frame + len(group.pts) > start:
            values = weights(tensors, state)
            frames = [network.to_planes(n.rgb(video, values, t), video) for t in range(len(group.pts))]
            near = all(abs(a - b) <= 8 for a, b in zip(network.plane_means(frames), group.means, strict=True))
            yield Decoded(group, state, frames, network.pixel_hash(frames) == group.pixel_hash, near)


def access_point(data: bytes, frame: int) -> int:
    """The number of the last group with inheritance NONE that starts at or before `frame`."""
    best = 0
    try:
        for group in read(data):
            if isinstance(group, Group) and group.inheritance == 0 and group.first_frame <= frame:
                best = group.number
    except Refused:
        pass  # `decode` meets it again
    return best
