"""Weights to planes of code values: cells and frames in bites that fit the caches, crop, colour, rounding.

Exactness class F: stock float32 kernels, so two devices may differ in the last bit of a float and hence, where a value
lies on a rounding edge, by one code value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from nvcodec.media.color import from_rgb, split_planes
from nvcodec.models.base import Backbone
from nvcodec.video import Plane, VideoInfo

CPU_ACTIVATIONS = 1 << 20  # values of the largest layer at a time: they stay in a core's cache
CUDA_ACTIVATIONS = 1 << 26
FRAMES_AT_A_TIME = 16  # times the above, of all cells of some frames
MEAN_UNIT = 16  # plane means are stored in 1 / 16 code values
MEAN_TOLERANCE = MEAN_UNIT // 2  # by how much class F may move the mean of a plane: half a code value


@torch.inference_mode()
def render_rgb(model: Backbone, weights: Sequence[Tensor], frames: range) -> Tensor:
    """RGB (T, 3, H, W) float32 of places `frames` of a group. Not clamped."""
    bite = max(1, min(model.cells, _budget(weights) // (model.activations * len(frames))))
    parts = [
        model.predict(weights, frames, range(start, min(start + bite, model.cells)))
        for start in range(0, model.cells, bite)
    ]
    return model.assemble(torch.cat(parts))


@torch.inference_mode()
def render_group(model: Backbone, weights: Sequence[Tensor], count: int, info: VideoInfo) -> list[tuple[Plane, ...]]:
    """The planes of the `count` frames of a group, each tuple shaped and typed as `info` says."""
    bite = max(1, min(count, FRAMES_AT_A_TIME * _budget(weights) // (model.activations * model.cells)))
    out: list[tuple[Plane, ...]] = []
    for start in range(0, count, bite):
        rgb = render_rgb(model, weights, range(start, min(start + bite, count)))
        out += split_planes(from_rgb(rgb, info), info)
    return out


def _budget(weights: Sequence[Tensor]) -> int:
    return CPU_ACTIVATIONS if weights[0].device.type == "cpu" else CUDA_ACTIVATIONS


def pixel_hash(frames: Sequence[tuple[Plane, ...]]) -> bytes:
    """8 bytes: BLAKE2b of all samples, frame by frame, plane by plane, row by row; 10 bit samples little-endian."""
    digest = hashlib.blake2b(digest_size=8)
    for planes in frames:
        for plane in planes:
            digest.update(plane.astype(plane.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.digest()


def plane_means(frames: Sequence[tuple[Plane, ...]]) -> tuple[int, ...]:
    """The mean of each plane over a group in 1/16 code values, rounded half up."""
    out = []
    for number in range(len(frames[0])):
        total = sum(int(planes[number].sum(dtype="int64")) for planes in frames)
        samples = sum(planes[number].size for planes in frames)
        out.append((2 * MEAN_UNIT * total + samples) // (2 * samples))
    return tuple(out)
