"""A file to groups of frames: sections 7, 11, 12 and 18 of the specification."""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from . import network, zstd
from .container import MC, NONE, PREVIOUS, WINDOW, Cursor, Group, Model, Refused, Video, Window, need, read
from .entropy import Mask, context_classes, decode_integers, update_activity
from .frames import decode_frames
from .layers import Picture, Tensors
from .masks import decode_masks
from .mc import Mc
from .network import Network

STEPS, TABLES, SYMBOLS, BLOBS, MASK, FRAMES = range(1, 7)
STORED, ZSTD, LZMA = 0, 1, 2
LZMA_FILTER = {"id": lzma.FILTER_LZMA1, "dict_size": 1 << 20, "lc": 3, "lp": 0, "pb": 0}


@dataclass
class State:
    """What a group can inherit (section 12)."""

    integers: list[NDArray[np.int32]]
    steps: list[int]
    activity: list[NDArray[np.int64]]
    floats: list[NDArray[np.uint32]]  # bit patterns
    codings: list[int | None] = field(default_factory=list)  # of the last group, for coverage reports
    blob_coding: int | None = None

    def digest(self) -> str:
        """Of all integers, little-endian int32 in order, then of all float bit patterns."""
        parts = [q.astype("<i4").tobytes() for q in self.integers] + [f.astype("<u4").tobytes() for f in self.floats]
        return hashlib.blake2b(b"".join(parts), digest_size=8).hexdigest()


@dataclass
class OpenWindow:
    """A window, the state that its groups start from, which elements they share, and the mask coding ids."""

    record: Window
    state: State
    shared: list[Mask]
    codings: list[int]


@dataclass
class Decoded:
    """A group, its window, what it decodes to, and whether the stored hash and means agree."""

    record: Group
    window: OpenWindow | None
    state: State
    frames: list[Picture]
    hash_matches: bool
    means_match: bool


def initial_state(tensors: Tensors, model: Model) -> State:
    """Section 12.1."""
    integers = network.initial_integers(tensors, model)
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


def new_steps(base: State, data: bytes) -> list[int]:
    """Step indices after a section STEPS (section 7.4)."""
    cursor = Cursor(data)
    steps = [old + cursor.svarint() for old in base.steps]
    cursor.done()
    need(all(-1024 <= step <= 256 for step in steps), "a step index")
    return steps


def add(integers: list[NDArray[np.int32]], residuals: list[NDArray[np.int32]]) -> list[NDArray[np.int32]]:
    """Sums, within their bound."""
    sums = [q + r for q, r in zip(integers, residuals, strict=True)]
    need(all(int(np.abs(q).max()) < 2**24 for q in sums), "a sum of residuals is over 2^24 - 1")
    return sums


def apply_window(initial: State, record: Window) -> OpenWindow:
    """The state that the groups of a window start from (section 12.4)."""
    sections = record.sections
    need(set(sections) == {STEPS, TABLES, SYMBOLS, MASK}, "a window has other sections than its four")
    shared, mask_codings = decode_masks([tuple(q.shape) for q in initial.integers], sections[MASK])
    need(sum(int(mask.sum()) for mask in shared) == record.shared, "the mask shares another number of elements")
    steps = new_steps(initial, sections[STEPS])
    residuals, codings = decode_integers(shared, [None] * len(shared), sections[TABLES], sections[SYMBOLS])
    state = State(add(initial.integers, residuals), steps, initial.activity, initial.floats, codings)
    return OpenWindow(record, state, shared, mask_codings)


def check_sections(group: Group) -> None:
    """Section 7.4, but for BLOBS."""
    frames, sections = group.model.id == MC, group.sections
    need((TABLES in sections) == (SYMBOLS in sections), "a section is missing")
    need(frames or TABLES in sections, "a section is missing")
    need(MASK not in sections, "the section MASK has no tensor to fill")
    need((FRAMES in sections) == frames, "the section FRAMES is missing, or not of this model")
    need(not frames or STEPS not in sections, "the section STEPS with a model that has none")
    need(frames or STEPS in sections or group.inheritance != NONE, "the section STEPS is missing")


def apply(base: State, group: Group, shared: list[Mask] | None) -> State:
    """The state after a group (section 12.2); shared: the masks of its window."""
    fresh = group.inheritance in (NONE, WINDOW)
    sections = group.sections
    check_sections(group)
    steps = new_steps(base, sections[STEPS]) if STEPS in sections else base.steps
    coded = [~mask for mask in shared] if shared is not None else [np.ones(q.shape, np.bool_) for q in base.integers]
    classes = [None if fresh else context_classes(a) for a in base.activity]
    residuals = [np.zeros(q.shape, np.int32) for q in base.integers]
    codings: list[int | None] = [None] * len(residuals)
    if TABLES in sections:
        residuals, codings = decode_integers(coded, classes, sections[TABLES], sections[SYMBOLS])
    integers = add(base.integers, residuals)
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
    window: OpenWindow | None = None
    carried: Picture | None = None  # the last frame of a group of model 5
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
        if group.window is None:
            window = None
        elif window is None or window.record is not group.window:
            window = apply_window(initial_state(tensors, model), group.window)
        base = state
        if group.inheritance == NONE:
            base = initial_state(tensors, model)
        elif group.inheritance == WINDOW and window is not None:
            base = window.state
        assert base is not None
        state = apply(base, group, window.shared if window else None)
        shown = group.first_frame + len(group.pts) > start
        if isinstance(n, Mc):
            carried = carried if group.inheritance == PREVIOUS else None
            values = n.weights(state.integers)
            frames = decode_frames(n, values, group.sections[FRAMES], len(group.pts), carried, video)
            carried = frames[-1]
        elif shown:
            real = weights(tensors, state)
            frames = [network.to_planes(n.rgb(video, real, t), video) for t in range(len(group.pts))]
        if shown:
            same = network.pixel_hash(frames) == group.pixel_hash
            near = all(abs(a - b) <= 8 for a, b in zip(network.plane_means(frames), group.means, strict=True))
            yield Decoded(group, window, state, frames, same, near)


def access_point(data: bytes, frame: int) -> int:
    """The number of the last group with inheritance NONE or WINDOW that starts at or before `frame`."""
    best = 0
    try:
        for group in read(data):
            if isinstance(group, Group) and group.inheritance in (NONE, WINDOW) and group.first_frame <= frame:
                best = group.number
    except Refused:
        pass  # `decode` meets it again
    return best
