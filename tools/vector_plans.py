"""What a conformance vector is: a plan of video, networks, windows and groups; and how a file is built from it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nvcodec.bitstream.container import Writer
from nvcodec.bitstream.group_records import GroupRecord, Section, WindowRecord
from nvcodec.bitstream.records import ModelRecord, TensorSpec, VideoRecord
from nvcodec.bitstream.registry import Exactness, Inheritance, Origin, SectionKind, TensorKind, model_entry
from nvcodec.decode.decoder import video_info
from nvcodec.decode.frames import named_weights
from nvcodec.decode.pictures import Planes
from nvcodec.decode.state import (
    State,
    Window,
    apply,
    apply_network,
    apply_window,
    encode_network,
    encode_residuals,
    encode_window,
    initial_state,
)
from nvcodec.models.base import LATENT, Backbone, FrameModel, Weights, create, create_frame_model
from nvcodec.models.enerv import EnervConfig
from nvcodec.models.hnerv import HnervConfig
from nvcodec.models.mc import McConfig
from nvcodec.models.nerv import NervConfig
from nvcodec.models.nirvana import NirvanaConfig
from nvcodec.models.weights import step_index
from nvcodec.video import VideoInfo
from tools.refdec import decode as reference_decode
from tools.refdec.container import Video
from tools.refdec.network import pixel_hash, plane_means

Config = NirvanaConfig | NervConfig | HnervConfig | EnervConfig | McConfig
MODEL_IDS: dict[type[Config], int] = {NirvanaConfig: 1, NervConfig: 2, HnervConfig: 3, EnervConfig: 4, McConfig: 5}

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
Coding = Callable[[FrameModel, Weights, int, Planes | None, VideoInfo], tuple[bytes, Planes]]
"""(model, weights, frames, last frame of the group before) -> section FRAMES, last frame"""


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
    frames: of a model of coded frames.
    """

    pts: tuple[int, ...]
    change: Change
    fresh: bool = False
    new_chain: bool = False
    model: int = 0
    floats: Floats | None = None
    steps: int = 0
    window: WindowPlan | None = None
    frames: Coding | None = None


@dataclass(frozen=True)
class Vector:
    """A file to be: its video, its networks by index, its groups; `extra` goes between models and groups."""

    video: VideoRecord
    models: tuple[tuple[Config, int], ...]
    groups: tuple[Plan, ...]
    meta: dict[str, Any] | None = None
    late_models: bool = False  # models after the first stand right before their first group
    origin: Origin = Origin.RANDOM
    prior: bytes = b""


def build(vector: Vector) -> bytes:
    """The file. Pixel hashes and means are zeros first, then those that the independent decoder finds."""
    empty = [(bytes(8), (0,) * vector.video.planes)] * len(vector.groups)
    decoded = [item for item in reference_decode(write(vector, empty)) if not isinstance(item, Video)]
    return write(vector, [(pixel_hash(item.frames), tuple(plane_means(item.frames))) for item in decoded])


def network_of(config: Config, video: VideoRecord) -> Backbone | FrameModel:
    """The network of a configuration."""
    entry = model_entry(MODEL_IDS[type(config)])
    make = create_frame_model if entry.frames else create
    return make(entry.name, config.values, video.height, video.width)


def nominal_steps(network: Backbone | FrameModel) -> tuple[int, ...]:
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
    networks = [network_of(config, vector.video) for config, _ in vector.models]
    written: set[int] = set()

    def write_model(index: int) -> None:
        config, seed = vector.models[index]
        frames = isinstance(config, McConfig)
        specs = () if frames else tuple(TensorSpec(TensorKind(t.kind), t.shape) for t in networks[index].tensors)
        exactness = Exactness.EXACT if frames else Exactness.FLOAT
        record = ModelRecord(index, ids[index], seed, config.values, specs, exactness, vector.origin, vector.prior)
        writer.write_model(record)
        written.add(index)

    for index in range(1 if vector.late_models else len(networks)):
        write_model(index)
    state: State | None = None
    window: Window | None = None
    carried: Planes | None = None
    chain = window_end = 0
    for number, (plan, (digest, means)) in enumerate(zip(vector.groups, pixels, strict=True)):
        if plan.model not in written:
            write_model(plan.model)
        network = networks[plan.model]
        fresh = plan.fresh or plan.new_chain or number == 0 or plan.window is not None
        chain += plan.new_chain
        initial = initial_state(network.tensors, vector.models[plan.model][1], vector.origin, vector.prior)
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
        shared = window.shared if window else None
        if plan.frames is not None:
            assert not hasattr(network, "cells")
            coded = encode_network(base, latents, fresh)
            after = State(latents, base.steps, base.activity, base.floats)
            values = named_weights(network, after, torch.device("cpu"))
            network.check(values)
            carried = None if fresh else carried
            payload, carried = plan.frames(network, values, len(plan.pts), carried, video_info(vector.video))
            sections = (*(coded.sections if coded else ()), Section(SectionKind.FRAMES, payload))
        else:
            steps = nominal_steps(network) if fresh and not window else tuple(s + plan.steps for s in base.steps)
            floats = base.floats
            if plan.floats is not None:
                floats = [plan.floats(base, i, f.shape) for i, f in enumerate(base.floats)]
            sections = encode_residuals(base, latents, steps, floats, fresh, shared).sections
        record = GroupRecord(
            number, chain, plan.model, INHERITANCE[window is not None, fresh], writer.frames, plan.pts, digest, means,
            sections,
        )  # fmt: skip
        writer.write_group(record)
        state = apply(base, record, shared) if plan.frames is None else apply_network(base, record)
    writer.finish()
    return file.getvalue()
