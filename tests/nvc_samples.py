"""A tiny .nvc file that decodes, built without training: for tests of decoding and of the command line."""

import io

import numpy as np
import torch

from nvcodec.bitstream.container import Writer
from nvcodec.bitstream.group_records import GroupRecord
from nvcodec.bitstream.records import ModelRecord, TensorSpec, VideoRecord
from nvcodec.bitstream.registry import Inheritance, TensorKind
from nvcodec.decode.decoder import video_info
from nvcodec.decode.render import pixel_hash, plane_means, render_group
from nvcodec.decode.state import apply, encode_residuals, initial_state
from nvcodec.models.nirvana import NirvanaConfig, create

SIZE = (23, 18)  # width, height
GROUP_FRAMES = (2, 2, 2, 1)
FRESH = (0, 2)  # groups of random access
FRAMES = sum(GROUP_FRAMES)
CONFIG = NirvanaConfig(patch=8, group=2, width=6, depth=1, channels=2, block_channels=2)
VIDEO = VideoRecord(*SIZE, 8, 1, (1, 25), rate=(25, 1))


def tiny_nvc(meta=None, wrong=(), off=()):
    """(bytes of the file, offset of each group). The groups of `wrong` say that they look quite different; those of
    `off` have a hash that does not match, as pixels that differ by a rounding would."""
    network = create(CONFIG.values, VIDEO.height, VIDEO.width)
    model = ModelRecord(0, 1, 5, CONFIG.values, tuple(TensorSpec(TensorKind(t.kind), t.shape) for t in network.tensors))
    file = io.BytesIO()
    writer = Writer(file)
    writer.write_video(VIDEO)
    if meta:
        writer.write_meta(meta)
    writer.write_model(model)
    state, first, offsets = None, 0, []
    for number, frames in enumerate(GROUP_FRAMES):
        fresh = number in FRESH
        base = initial_state(network.tensors, model.seed) if fresh else state
        rng = np.random.default_rng(number)
        latents = [q + rng.integers(-2, 3, q.shape).astype(np.int32) for q in base.latents]
        steps = (-90,) * len(latents)
        sections = encode_residuals(base, latents, steps, base.floats, fresh).sections
        inheritance = Inheritance.NONE if fresh else Inheritance.PREVIOUS
        pts = tuple(range(first, first + frames))

        def record(digest, means, sections=sections, number=number, inheritance=inheritance, first=first, pts=pts):
            return GroupRecord(number, number // 2, 0, inheritance, first, pts, digest, means, tuple(sections))

        state = apply(base, record(bytes(8), (0, 0, 0)))
        planes = render_group(network, state.weights(network.tensors, torch.device("cpu")), frames, video_info(VIDEO))
        digest, means = pixel_hash(planes), plane_means(planes)
        if number in wrong or number in off:
            digest = bytes(8)
        if number in wrong:
            means = tuple(mean + 64 for mean in means)
        offsets.append(writer.write_group(record(digest, means)))
        first += frames
    writer.finish()
    return file.getvalue(), offsets
