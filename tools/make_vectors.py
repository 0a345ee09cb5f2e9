"""Regenerate the conformance vectors: tests/vectors/*.nvc, digests.json, and the worked example of the specification.

    python tools/make_vectors.py            write them
    python tools/make_vectors.py --check    only say which would change

The files are made of pseudo-random integers, no training, so that they are a few KB and need no video. Between them
they use every id of the format. Hashes and means of pixels come from `tools.refdec`, which computes in float64.
A change of bytes here is a change of the format: it needs a new version number, not a new digest.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nvcodec.bitstream.container import Writer  # noqa: E402
from nvcodec.bitstream.records import GroupRecord, ModelRecord, TensorSpec, VideoRecord, WindowRecord  # noqa: E402
from nvcodec.bitstream.registry import Inheritance, Origin, TensorKind, model_entry  # noqa: E402
from nvcodec.decode.state import (  # noqa: E402
    State,
    Window,
    apply,
    apply_window,
    encode_residuals,
    encode_window,
    initial_state,
)
from nvcodec.models.base import LATENT, Backbone, create  # noqa: E402
from nvcodec.models.enerv import EnervConfig  # noqa: E402
from nvcodec.models.hnerv import HnervConfig  # noqa: E402
from nvcodec.models.nerv import NervConfig  # noqa: E402
from nvcodec.models.nirvana import NirvanaConfig  # noqa: E402
from nvcodec.models.weights import step_index  # noqa: E402
from tools.annotate import annotate, explain  # noqa: E402
from tools.refdec import decode as reference_decode  # noqa: E402
from tools.refdec.container import Video  # noqa: E402
from tools.refdec.network import pixel_hash, plane_means  # noqa: E402

VECTORS = ROOT / "tests" / "vectors"
SPECIFICATION = ROOT / "bitstream_spec.md"
MARKS = ("worked", "<!-- worked example: begin -->\n", "<!-- worked example: end -->\n")
WINDOW_MARKS = ("worked_window", "<!-- worked window: begin -->\n", "<!-- worked window: end -->\n")

Integers = NDArray[np.int32]
Mask = NDArray[np.bool_]
Config = NirvanaConfig | NervConfig | HnervConfig | EnervConfig
MODEL_IDS: dict[type[Config], int] = {NirvanaConfig: 1, NervConfig: 2, HnervConfig: 3, EnervConfig: 4}

INHERITANCE = {  # (in a window, fresh)
    (False, True): Inheritance.NONE,
    (False, False): Inheritance.PREVIOUS,
    (True, True): Inheritance.WINDOW,
    (True, False): Inheritance.WINDOW_PREVIOUS,
}

Change = Callable[[int, tuple[int, ...]], Integers]  # (tensor number, shape) -> residuals
Sharing = Callable[[int, tuple[int, ...]], Mask]  # (tensor number, shape) -> which elements are shared


def noise(label: str, shape: tuple[int, ...], radius: int) -> Integers:
    """Uniform integers in [-radius, radius], the same on every machine for ever: SHAKE-128 of the label."""
    count = int(np.prod(shape))
    words = np.frombuffer(hashlib.shake_128(label.encode()).digest(8 * count), "<u8")
    return ((words % np.uint64(2 * radius + 1)).astype(np.int64) - radius).astype(np.int32).reshape(shape)


def sparse(label: str, shape: tuple[int, ...], radius: int, one_in: int) -> Integers:
    """`noise` where one value in `one_in` is not forced to zero."""
    chosen = noise(label + "?", shape, 10**6) % one_in == 0
    return np.where(chosen, noise(label, shape, radius), 0).astype(np.int32)


def everywhere(label: str, radius: int = 3) -> Change:
    """Small changes of all tensors."""
    return lambda number, shape: noise(f"{label}/{number}", shape, radius)


def here_and_there(label: str, radius: int = 4, one_in: int = 6) -> Change:
    """Changes of few values."""
    return lambda number, shape: sparse(f"{label}/{number}", shape, radius, one_in)


def again(mask: str, label: str, radius: int) -> Change:
    """Changes of the same few values each time: what contexts are good for."""

    def change(number: int, shape: tuple[int, ...]) -> Integers:
        chosen = noise(f"{mask}/{number}", shape, 10**6) % 6 == 0
        return np.where(chosen, noise(f"{label}/{number}", shape, radius), 0).astype(np.int32)

    return change


def nothing(_: int, shape: tuple[int, ...]) -> Integers:
    """No change at all."""
    return np.zeros(shape, np.int32)


@dataclass(frozen=True)
class WindowPlan:
    """A window from a group on: how many groups share it, which elements, and their changes."""

    groups: int
    shared: Sharing
    change: Change


@dataclass(frozen=True)
class Plan:
    """One group of a vector: frames' pts, integers' changes, floats' values (None: those before), steps' moves.

    window: what starts before it. Groups of a window do not change what is shared; the first of them is fresh.
    """

    pts: tuple[int, ...]
    change: Change
    fresh: bool = False
    new_chain: bool = False
    model: int = 0
    floats: Callable[[State, int, tuple[int, ...]], NDArray[np.float32]] | None = None
    steps: int = 0
    window: WindowPlan | None = None


@dataclass(frozen=True)
class Vector:
    """A file to be: its video, its networks by index, its groups; `extra` goes between models and groups."""

    video: VideoRecord
    models: tuple[tuple[Config, int], ...]
    groups: tuple[Plan, ...]
    meta: dict[str, Any] | None = None
    late_models: bool = False  # models after the first stand right before their first group
    origin: Origin = Origin.RANDOM


def build(vector: Vector) -> bytes:
    """The file. Pixel hashes and means are zeros first, then those that the independent decoder finds."""
    empty = [(bytes(8), (0,) * vector.video.planes)] * len(vector.groups)
    decoded = [item for item in reference_decode(write(vector, empty)) if not isinstance(item, Video)]
    return write(vector, [(pixel_hash(item.frames), tuple(plane_means(item.frames))) for item in decoded])


def nominal_steps(network: Backbone) -> tuple[int, ...]:
    """Step indices that make the initial integers what the network's weights start from."""
    latents = [t for t in network.tensors if t.kind == LATENT]
    return tuple(step_index(t.bound / t.radius) if t.radius else -128 for t in latents)


def window_record(plan: WindowPlan, number: int, model: int, initial: State, steps: tuple[int, ...]) -> WindowRecord:
    """The window that starts at group `number`."""
    shared = [plan.shared(i, q.shape) for i, q in enumerate(initial.latents)]
    latents = [q + plan.change(i, q.shape) for i, q in enumerate(initial.latents)]
    coded = encode_window(initial, latents, steps, shared)
    return WindowRecord(number, plan.groups, model, sum(int(mask.sum()) for mask in shared), coded.sections)


def write(vector: Vector, pixels: Sequence[tuple[bytes, tuple[int, ...]]]) -> bytes:
    """The file with given (hash, means) of each group."""
    file = io.BytesIO()
    writer = Writer(file)
    writer.write_video(vector.video)
    if vector.meta is not None:
        writer.write_meta(vector.meta)
    ids = [MODEL_IDS[type(config)] for config, _ in vector.models]
    networks = [
        create(model_entry(id_).name, config.values, vector.video.height, vector.video.width)
        for id_, (config, _) in zip(ids, vector.models, strict=True)
    ]
    written: set[int] = set()

    def write_model(index: int) -> None:
        config, seed = vector.models[index]
        specs = tuple(TensorSpec(TensorKind(t.kind), t.shape) for t in networks[index].tensors)
        writer.write_model(ModelRecord(index, ids[index], seed, config.values, specs, origin=vector.origin))
        written.add(index)

    for index in range(1 if vector.late_models else len(networks)):
        write_model(index)
    state: State | None = None
    window: Window | None = None
    chain = window_end = 0
    for number, (plan, (digest, means)) in enumerate(zip(vector.groups, pixels, strict=True)):
        if plan.model not in written:
            write_model(plan.model)
        network = networks[plan.model]
        fresh = plan.fresh or plan.new_chain or number == 0 or plan.window is not None
        chain += plan.new_chain
        initial = initial_state(network.tensors, vector.models[plan.model][1], vector.origin)
        if plan.window is not None:
            opened = window_record(plan.window, number, plan.model, initial, nominal_steps(network))
            writer.write_window(opened)
            window, window_end = apply_window(initial, opened), opened.end
        elif number == window_end:
            window = None
        base = state
        if fresh:
            base = window.state if window else initial
        assert base is not None
        changes = [plan.change(i, q.shape) for i, q in enumerate(base.latents)]
        if window:
            changes = [np.where(mask, 0, change) for change, mask in zip(changes, window.shared, strict=True)]
        latents = [q + change for q, change in zip(base.latents, changes, strict=True)]
        steps = nominal_steps(network) if fresh and not window else tuple(s + plan.steps for s in base.steps)
        floats = base.floats
        if plan.floats is not None:
            floats = [plan.floats(base, i, f.shape) for i, f in enumerate(base.floats)]
        shared = window.shared if window else None
        coded = encode_residuals(base, latents, steps, floats, fresh, shared)
        record = GroupRecord(
            number, chain, plan.model, INHERITANCE[window is not None, fresh], writer.frames, plan.pts, digest, means,
            coded.sections,
        )  # fmt: skip
        writer.write_group(record)
        state = apply(base, record, shared)
    writer.finish()
    return file.getvalue()


# The vectors ----------------------------------------------------------------------------------------------------------

TINY = NirvanaConfig(patch=2, group=2, width=1, depth=1, channels=2, block_channels=1, omega=30, conv_float=0)
SMALL = NirvanaConfig(patch=4, group=3, width=6, depth=2, channels=2, block_channels=2, omega=30, conv_float=0)


def ticks(start: int, count: int, step: int = 1) -> tuple[int, ...]:
    """Timestamps of a constant rate."""
    return tuple(range(start, start + count * step, step))


def plain_floats(label: str) -> Callable[[State, int, tuple[int, ...]], NDArray[np.float32]]:
    """Multiples of 2**-21 in [-1/2, 1/2]."""
    return lambda _, i, shape: (noise(f"{label}/{i}", shape, 2**20) / np.float32(2**21)).astype(np.float32)


def random_floats(label: str) -> Callable[[State, int, tuple[int, ...]], NDArray[np.float32]]:
    """Magnitudes from 2**-126 to 1: bit patterns that no compressor can shrink."""

    def draw(_: State, i: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        word = noise(f"{label}/{i}", shape, 2**31 - 1).view(np.uint32)
        drawn: NDArray[np.float32] = (word & 0x807FFFFF | (word % 126 + 1) << 23).astype(np.uint32).view(np.float32)
        return drawn

    return draw


def float_moves(label: str, radius: int, one_in: int) -> Callable[[State, int, tuple[int, ...]], NDArray[np.float32]]:
    """Bit patterns that differ from those before in the low bits, of few values."""

    def move(base: State, i: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        patterns = base.floats[i].view(np.int32) + sparse(f"{label}/{i}", shape, radius, one_in)
        moved: NDArray[np.float32] = patterns.astype(np.int32).view(np.float32)
        return moved

    return move


def by_rows(number: int, shape: tuple[int, ...]) -> Integers:
    """Each row of a matrix on a scale of its own."""
    radii = [0, 40, 0, 2, 300, 0, 15, 1]
    rows = [noise(f"rows/{number}/{i}", shape[1:], radii[i % 8]) for i in range(shape[0])]
    return np.stack(rows).astype(np.int32)


def by_columns(number: int, shape: tuple[int, ...]) -> Integers:
    """Each column on a scale of its own."""
    turned = by_rows(number, (int(np.prod(shape[1:])), shape[0]))
    return np.ascontiguousarray(turned.T).reshape(shape)


def codings(number: int, shape: tuple[int, ...]) -> Integers:
    """Residuals for which the encoder should choose each of the codings that a fresh group can have."""
    if shape == (16, 12):
        return by_rows(number, shape)
    if shape == (12, 12):
        return by_columns(number, shape)
    return noise(f"codings/{number}", shape, 2) if len(shape) == 4 else nothing(number, shape)


def far(number: int, shape: tuple[int, ...]) -> Integers:
    """Small values, and a bias near the greatest magnitude that the format has, which saturates the picture."""
    values = noise(f"far/{number}", shape, 2)
    return values + (2**24 - 1000) * np.array([1, -1, 1], np.int32) if shape == (3,) else values


def one_value(place: int) -> Change:
    """A single change in the largest tensor: nearly a hundred thousand symbols in a few bytes."""

    def change(_: int, shape: tuple[int, ...]) -> Integers:
        values = np.zeros(int(np.prod(shape)), np.int32)
        if values.size > 60000:
            values[place] = 1
        return values.reshape(shape)

    return change


def some(label: str, one_in: int = 2, tensors: Sequence[int] | None = None) -> Sharing:
    """One element in `one_in` is shared, of all tensors or of some."""

    def shared(number: int, shape: tuple[int, ...]) -> Mask:
        if tensors is not None and number not in tensors:
            return np.zeros(shape, np.bool_)
        chosen: Mask = noise(f"{label}/{number}", shape, 10**6) % one_in == 0
        return chosen

    return shared


MASKS: dict[tuple[int, ...], list[list[int]]] = {  # by shape: 0 nothing, 1 every other element, 2 all; enlarged
    (12,): [[2]],
    (12, 12): [[0, 2]],
    (16, 12): [[0], [2]],
    (16,): [[1]],
    (12, 4, 3, 3): [[0, 1], [1, 2]],
}


def every_mask(_: int, shape: tuple[int, ...]) -> Mask:
    """Masks for which the encoder should choose each of the codings."""
    level = np.array(MASKS.get(shape, [[0]]))
    row, column = np.indices((shape[0], int(np.prod(shape[1:]))))
    level = level[row * level.shape[0] // shape[0], column * level.shape[1] // column.shape[1]]
    shared: Mask = level > (row + column) % 2
    return shared.reshape(shape)


VIDEO = VideoRecord(4, 2, 8, 1, (1, 25), rate=(25, 1))

VECTORS_BY_NAME: dict[str, Vector] = {
    "worked": Vector(
        VIDEO, ((TINY, 7),),
        (Plan(ticks(0, 2), here_and_there("worked/0", 40, 3)), Plan(ticks(2, 1), here_and_there("worked/1", 2, 9))),
    ),
    "gray8_chain": Vector(
        dataclasses.replace(VIDEO, width=7, height=5, chroma=0),
        ((SMALL, 1),),
        (
            Plan(ticks(0, 3), everywhere("gray/0", 9)),
            Plan(ticks(3, 3), here_and_there("gray/1")),
            Plan(ticks(6, 3), here_and_there("gray/2"), steps=-1),
            Plan(ticks(9, 1), nothing),
        ),
    ),
    "yuv422p10_two_chains": Vector(
        dataclasses.replace(
            VIDEO, width=9, height=7, bit_depth=10, chroma=2, matrix=1, primaries=1, transfer=1, range=1,
            chroma_location=1, time_base=(1, 90000), rate=(30000, 1001), rotation=90, sample_aspect=(4, 3),
        ),
        ((SMALL, 2**32 - 1),),
        (
            Plan((-6000, -2997, 4), everywhere("422/0", 20)),
            Plan((3007, 7000, 9000), here_and_there("422/1"), steps=3),
            Plan((9001, 12004), everywhere("422/2", 20), new_chain=True),
            Plan((15007, 18010, 90000), here_and_there("422/3")),
            Plan((90001,), everywhere("422/4"), fresh=True),
        ),
    ),
    "yuv444p8_floats": Vector(
        dataclasses.replace(VIDEO, width=8, height=8, chroma=3, matrix=9, range=2),
        ((dataclasses.replace(SMALL, conv_float=1), 3),),
        (
            Plan(ticks(0, 2), here_and_there("444/0", 9), floats=plain_floats("444/0")),
            Plan(ticks(2, 2), here_and_there("444/1"), floats=float_moves("444/1", 1, 1)),
            Plan(ticks(4, 2), here_and_there("444/2"), floats=float_moves("444/2", 3, 20)),
            Plan(ticks(6, 2), here_and_there("444/3"), floats=random_floats("444/3")),
        ),
    ),
    "rgb8": Vector(
        dataclasses.replace(VIDEO, width=5, height=6, chroma=3, matrix=0),
        ((SMALL, 4),),
        (Plan(ticks(0, 3), everywhere("rgb/0", 12)), Plan(ticks(3, 2), here_and_there("rgb/1"))),
    ),
    "yuv420p10_models": Vector(
        dataclasses.replace(VIDEO, width=5, height=3, bit_depth=10, rate=(0, 0), matrix=8),
        ((SMALL, 5), (dataclasses.replace(TINY, patch=6, group=1), 6)),
        (
            Plan((0, 1, 2), everywhere("models/0")),
            Plan((10,), everywhere("models/1"), model=1, fresh=True),
            Plan((11,), here_and_there("models/2"), model=1),
            Plan((12, 20), everywhere("models/3"), fresh=True),
        ),
        meta={"title": "two networks", "vector": True},
        late_models=True,
    ),
    "codings": Vector(
        dataclasses.replace(VIDEO, chroma=0),
        ((NirvanaConfig(4, 1, 12, 2, 4, 3, 30, 0), 8),),
        (Plan((0,), codings), Plan((1,), again("mask", "codings/1", 30)), Plan((2,), again("mask", "codings/2", 30))),
    ),
    "escapes": Vector(
        dataclasses.replace(VIDEO, chroma=0, range=2), ((TINY, 9),),
        (Plan((0,), far), Plan((1,), everywhere("far/1", 900))),
    ),
    "blocks": Vector(
        dataclasses.replace(VIDEO, chroma=0), ((dataclasses.replace(TINY, width=260, depth=2), 10),),
        (Plan((0, 1), one_value(-5)),),
    ),
    "nerv": Vector(
        dataclasses.replace(VIDEO, width=13, height=7), ((NervConfig(3, 3, 4, 5, 125, 2, 20, 3, 2, 0, 0, 0, 0), 11),),
        (
            Plan(ticks(0, 3), everywhere("nerv/0", 20)),
            Plan(ticks(3, 3), here_and_there("nerv/1"), steps=1),
            Plan(ticks(6, 2), here_and_there("nerv/2", 9, 20)),
        ),
    ),
    "hnerv": Vector(
        dataclasses.replace(VIDEO, width=11, height=9, chroma=3),
        ((HnervConfig(4, 4, 2, 3, 12, 2, 2, 1, 0, 0, 0), 12),),
        (
            Plan(ticks(0, 4), everywhere("hnerv/0", 90)),
            Plan(ticks(4, 3), here_and_there("hnerv/1")),
            Plan(ticks(7, 1), everywhere("hnerv/2", 90), fresh=True),
        ),
    ),
    "enerv": Vector(
        dataclasses.replace(VIDEO, width=12, height=5, bit_depth=10, matrix=1),
        ((EnervConfig(2, 4, 3, 4, 150, 2, 2, 20, 3, 1, 0, 0, 0, 0), 13),),
        (Plan(ticks(0, 2), everywhere("enerv/0", 20)), Plan(ticks(2, 2), here_and_there("enerv/1"))),
    ),
    "worked_window": Vector(
        VIDEO, ((dataclasses.replace(TINY, group=1), 0),),
        (
            Plan(ticks(0, 1), here_and_there("shared/1", 200, 2),
                 window=WindowPlan(2, some("shared", 2, (0, 3, 4, 5, 6)), here_and_there("shared/0", 250, 2))),
            Plan(ticks(1, 1), here_and_there("shared/2", 3, 9)),
        ),
        origin=Origin.ZERO,
    ),
    "window_masks": Vector(
        dataclasses.replace(VIDEO, chroma=0),
        ((NirvanaConfig(4, 3, 12, 2, 4, 3, 30, 0), 14),),
        (
            Plan(ticks(0, 2), codings, window=WindowPlan(3, every_mask, codings)),
            Plan(ticks(2, 1), again("mask", "masks/1", 30)),
            Plan(ticks(3, 3), again("mask", "masks/2", 30), steps=1),
        ),
    ),
    "window_hnerv": Vector(
        dataclasses.replace(VIDEO, width=11, height=9, chroma=3),
        ((HnervConfig(3, 4, 2, 3, 12, 2, 2, 1, 0, 0, 0), 15),),
        (
            Plan(ticks(0, 3), here_and_there("shared/hnerv/1", 60),
                 window=WindowPlan(3, some("shared/hnerv", 3, range(1, 9)), everywhere("shared/hnerv/0", 20))),
            Plan(ticks(3, 3), here_and_there("shared/hnerv/2", 60), fresh=True, steps=-1),
            Plan(ticks(6, 2), here_and_there("shared/hnerv/3", 9, 20)),
            Plan(ticks(8, 1), here_and_there("shared/hnerv/4", 60), fresh=True),
        ),
        origin=Origin.ZERO,
    ),
    "window_floats": Vector(
        dataclasses.replace(VIDEO, width=8, height=8, chroma=3, matrix=9, range=2),
        ((dataclasses.replace(SMALL, conv_float=1), 16),),
        (
            Plan(ticks(0, 2), here_and_there("shared/f/1", 9), floats=plain_floats("shared/f/1"),
                 window=WindowPlan(2, some("shared/f", 3), here_and_there("shared/f/0", 9))),
            Plan(ticks(2, 2), here_and_there("shared/f/2"), floats=float_moves("shared/f/2", 3, 20)),
        ),
    ),
    "window_blocks": Vector(
        dataclasses.replace(VIDEO, chroma=0), ((dataclasses.replace(TINY, width=260, depth=2), 10),),
        (
            Plan((0,), one_value(7),
                 window=WindowPlan(1, lambda number, shape: one_value(-5)(number, shape) == 1, one_value(-5))),
        ),
    ),
    "windows": Vector(
        dataclasses.replace(VIDEO, width=7, height=5, chroma=0),
        ((SMALL, 17), (dataclasses.replace(TINY, patch=6, group=1), 18)),
        (
            Plan(ticks(0, 1), everywhere("windows/0", 9)),
            Plan(ticks(1, 2), here_and_there("windows/1"),
                 window=WindowPlan(2, some("windows"), everywhere("windows/shared", 9))),
            Plan(ticks(3, 2), here_and_there("windows/2")),
            Plan(ticks(5, 2), here_and_there("windows/3")),
            Plan(ticks(7, 1), everywhere("windows/4", 9), fresh=True),
            Plan(ticks(8, 1), here_and_there("windows/5"), model=1, new_chain=True,
                 window=WindowPlan(1, lambda _, shape: np.ones(shape, np.bool_), everywhere("windows/all", 9))),
            Plan(ticks(9, 1), here_and_there("windows/6"), model=1,
                 window=WindowPlan(2, some("windows/last"), everywhere("windows/more", 9))),
            Plan(ticks(10, 3), here_and_there("windows/7"), model=1, fresh=True),
        ),
        late_models=True,
    ),
}  # fmt: skip


def vectors() -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of every vector."""
    for name, vector in VECTORS_BY_NAME.items():
        yield name, build(vector)


def blake(data: bytes) -> str:
    """BLAKE2b of 8 bytes, in hexadecimal."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def digests(data: bytes) -> dict[str, Any]:
    """What a decoder has to find in a file."""
    groups = [item for item in reference_decode(data) if not isinstance(item, Video)]
    windows = [g.window for g in groups if g.window and g.window.record.first_group == g.record.number]
    return {
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "groups": [
            {
                "frames": [g.record.first_frame, len(g.record.pts)],
                "pts": g.record.pts,
                "inheritance": g.record.inheritance,
                "codings": g.state.codings,
                "blob_coding": g.state.blob_coding,
                "integers": g.state.digest(),
                "pixels": g.record.pixel_hash.hex(),
            }
            for g in groups
        ],
        "windows": [
            {
                "groups": [w.record.first_group, w.record.groups],
                "shared": w.record.shared,
                "mask_codings": w.codings,
                "codings": w.state.codings,
                "mask": blake(b"".join(mask.tobytes() for mask in w.shared)),
                "integers": w.state.digest(),
            }
            for w in windows
        ],
    }


def worked_example(data: bytes) -> str:
    """The part of the specification that shows every byte of a file, and what they decode to."""
    return f"```text\n{annotate(data)}```\n\nIt decodes to\n\n```text\n{explain(data)}```\n"


def worked_window(data: bytes) -> str:
    """The same of a file with a window, without the records before it and the end record."""
    listing = annotate(data)
    part = listing[listing.index("; chunk WNDW") : listing.index("; chunk FEND")]
    return f"```text\n{part}```\n\nIt decodes to\n\n```text\n{explain(data)}```\n"


def main() -> int:
    """1 with --check where something would change."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a file would change")
    check = parser.parse_args().check
    wanted: dict[Path, bytes] = {}
    expected = {}
    for name, data in vectors():
        wanted[VECTORS / f"{name}.nvc"] = data
        expected[name] = digests(data)
    wanted[VECTORS / "digests.json"] = (json.dumps(expected, indent=1, sort_keys=True) + "\n").encode()
    if SPECIFICATION.exists():
        text = SPECIFICATION.read_text(encoding="utf-8")
        for (name, begin, end), show in ((MARKS, worked_example), (WINDOW_MARKS, worked_window)):
            before, rest = text.split(begin)
            after = rest.split(end)[1]
            text = before + begin + show(wanted[VECTORS / f"{name}.nvc"]) + end + after
        wanted[SPECIFICATION] = text.encode()
    changed = [path for path, data in wanted.items() if not path.exists() or path.read_bytes() != data]
    for path in changed:
        print(f"{'would change' if check else 'writing'} {path.relative_to(ROOT)}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wanted[path])
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
