"""What a conformance vector is: a plan of video, networks, windows and groups; and how a file is built from it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvcodec.bitstream.container import Writer
from nvcodec.bitstream.group_records import GroupRecord, WindowRecord
from nvcodec.bitstream.records import ModelRecord, TensorSpec, VideoRecord
from nvcodec.bitstream.registry import Inheritance, Origin, TensorKind, model_entry
from nvcodec.decode.state import (
    State,
    Window,
    apply,
    apply_window,
    encode_residuals,
    encode_window,
    initial_state,
)
from nvcodec.models.base import LATENT, Backbone, create
from nvcodec.models.enerv import EnervConfig
from nvcodec.models.hnerv import HnervConfig
from nvcodec.models.nerv import NervConfig
from nvcodec.models.nirvana import NirvanaConfig
from nvcodec.models.weights import step_index
from tools.refdec import decode as reference_decode
from tools.refdec.container import Video
from tools.refdec.network import pixel_hash, plane_means

Config = NirvanaConfig | NervConfig | HnervConfig | EnervConfig
MODEL_IDS: dict[type[Config], int] = {NirvanaConfig: 1, NervConfig: 2, HnervConfig: 3, EnervConfig: 4}

INHERITANCE = {  # (in a window, fresh)
    (False, True): Inheritance.NONE,
    (False, False): Inheritance.PREVIOUS,
    (True, True): Inheritance.WINDOW,
    (True, False): Inheritance.WINDOW_PREVIOUS,
}

Integers = NDArray[np.int32]
Mask = NDArray[np.bool_]
Change = Callable[[int, tuple[int, ...]], Integers]  # (tensor number, shape) -> residuals
Sharing = Callable[[int, tuple[int, ...]], Mask]  # (tensor number, shape) -> which elements are shared
Floats = Callable[[State, int, tuple[int, ...]], NDArray[np.float32]]  # (state before, number, shape) -> values


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
    floats: Floats | None = None
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
