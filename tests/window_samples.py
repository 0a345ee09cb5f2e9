"""Small .nvc files with windows, built without training."""

import io
from dataclasses import dataclass, replace

import numpy as np
import torch

from nvcodec.bitstream.container import Writer
from nvcodec.bitstream.group_records import GroupRecord, WindowRecord
from nvcodec.bitstream.records import ModelRecord, TensorSpec, VideoRecord
from nvcodec.bitstream.registry import Inheritance, Origin, TensorKind, model_entry
from nvcodec.decode.decoder import video_info
from nvcodec.decode.render import pixel_hash, plane_means, render_group
from nvcodec.decode.state import apply, apply_window, encode_residuals, encode_window, initial_state
from nvcodec.models.base import create
from nvcodec.models.nerv import NervConfig
from nvcodec.models.nirvana import NirvanaConfig

NONE, PREVIOUS, WINDOW, WINDOW_PREVIOUS = Inheritance


def moved(latents, seed, where=None, most=3):
    """int32 arrays that differ at random by up to `most`, only where `where` is True."""
    rng = np.random.default_rng(seed)
    out = [q + rng.integers(-most, most + 1, q.shape).astype(np.int32) for q in latents]
    return out if where is None else [np.where(m, new, q) for m, new, q in zip(where, out, latents, strict=True)]


def window_record(sections, shared, first_group=0, groups=3, model=0):
    """The record of a window with these masks."""
    return WindowRecord(first_group, groups, model, sum(int(m.sum()) for m in shared), tuple(sections))


VIDEO = VideoRecord(23, 18, 8, 1, (1, 25), rate=(25, 1))
NIRVANA = (1, NirvanaConfig(patch=8, group=2, width=6, depth=1, channels=2, block_channels=2).values)
FLOATS = (1, NirvanaConfig(patch=8, group=2, width=6, depth=1, channels=2, block_channels=2, conv_float=1).values)
NERV = (2, NervConfig(group=4, width=4, stem=6, levels=3, lower=2, s1=2, s2=3, s3=0, s4=0, s5=0).values)


@dataclass(frozen=True)
class Win:
    """A window of `groups` groups."""

    groups: int
    model: int = 0


@dataclass(frozen=True)
class Grp:
    """A group of `frames` frames."""

    inheritance: Inheritance
    frames: int = 2
    chain: int = 0
    model: int = 0


LAYOUT = (
    Grp(NONE),
    Grp(PREVIOUS, 1),
    Win(3),
    Grp(WINDOW),  # 2
    Grp(WINDOW_PREVIOUS, 3),
    Grp(WINDOW, 1),
    Win(2),
    Grp(WINDOW, 2, 1),  # 5
    Grp(WINDOW_PREVIOUS, 2, 1),
    Grp(PREVIOUS, 1, 1),
    Win(1),
    Grp(WINDOW, 2, 2),  # 8
    Grp(NONE, 1, 3),
)
WINDOW_OF = {2: 0, 3: 0, 4: 0, 5: 1, 6: 1, 8: 2}  # which window each group shares
ACCESS = (0, 2, 4, 5, 8, 9)  # groups of random access
LENGTHS = [part.frames for part in LAYOUT if isinstance(part, Grp)]
STARTS = [sum(LENGTHS[:i]) for i in range(len(LENGTHS))]
FRAMES = sum(LENGTHS)


@dataclass
class File:
    """A file, the offsets of its windows and groups, and the state after each group."""

    data: bytes
    windows: list[int]
    groups: list[int]
    states: list


def build(layout=LAYOUT, models=(NIRVANA,), origin=Origin.RANDOM, spoil=None, finish=True):
    """A file of that layout with integers at random. spoil: changes the sections of windows, given their number."""
    file, out = io.BytesIO(), File(b"", [], [], [])
    writer = Writer(file)
    writer.write_video(VIDEO)
    networks, records = [], []
    for index, (model_id, values) in enumerate(models):
        network = create(model_entry(model_id).name, values, VIDEO.height, VIDEO.width)
        declared = tuple(TensorSpec(TensorKind(t.kind), t.shape) for t in network.tensors)
        records.append(ModelRecord(index, model_id, 5 + index, values, declared, origin=origin))
        writer.write_model(records[-1])
        networks.append(network)
    number = first = 0
    window = state = None
    for seed, part in enumerate(layout):
        network, model = networks[part.model], records[part.model]
        initial = initial_state(network.tensors, model.seed, model.origin)
        rng = np.random.default_rng(seed)
        if isinstance(part, Win):
            shared = [rng.random(q.shape) < 0.7 for q in initial.latents]
            encoded = encode_window(initial, moved(initial.latents, seed), (-90,) * len(shared), shared)
            record = window_record(encoded.sections, shared, number, part.groups, part.model)
            window = apply_window(initial, record)
            if spoil:
                record = replace(record, sections=tuple(spoil(len(out.windows), record.sections)))
            out.windows.append(writer.write_window(record))
            continue
        base = {NONE: initial, WINDOW: window and window.state}.get(part.inheritance, state)
        fresh = part.inheritance in (NONE, WINDOW)
        shared = window.shared if part.inheritance in (WINDOW, WINDOW_PREVIOUS) else None
        latents = moved(base.latents, seed, None if shared is None else [~m for m in shared], 2)
        steps = tuple(-90 + int(x) for x in rng.integers(-1, 2, len(latents)))
        floats = [(f + rng.normal(0, 0.01, f.shape)).astype(np.float32) for f in base.floats]
        sections = encode_residuals(base, latents, steps, floats, fresh, shared).sections
        pts = tuple(range(first, first + part.frames))
        record = GroupRecord(
            number, part.chain, part.model, part.inheritance, first, pts, bytes(8), (0, 0, 0), sections
        )
        state = apply(base, record, shared)
        weights = state.weights(network.tensors, torch.device("cpu"))
        planes = render_group(network, weights, part.frames, video_info(VIDEO))
        out.groups.append(writer.write_group(replace(record, pixel_hash=pixel_hash(planes), means=plane_means(planes))))
        out.states.append(state)
        number, first = number + 1, first + part.frames
    if finish:
        writer.finish()
    out.data = file.getvalue()
    return out
