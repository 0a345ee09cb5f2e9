"""Coded frames of the vectors: pseudo-random networks, latents and displacements, and the section of a group."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import compress

import numpy as np
import torch
from torch import Tensor

from nvcodec.bitstream.frames import CodedFrame, FramesSection
from nvcodec.decode.parts import Motions, code_prediction
from nvcodec.decode.pictures import Planes, to_picture, to_planes
from nvcodec.encode.symbols import Writer, stream
from nvcodec.models.base import FIELDS, FrameModel, Weights
from nvcodec.models.hierarchy import CARRIED, coding_order, parts
from nvcodec.models.mc import Mc, McConfig
from nvcodec.models.motion import Reference
from nvcodec.video import VideoInfo
from tools.vector_changes import noise, sparse
from tools.vector_plans import Change, Coding, Integers

NAMES = [tensor.name for tensor in Mc(McConfig(), 16, 16).tensors]
BIAS = 60  # greatest magnitude of most biases
LATENT_SCALE, FLOW_SCALE = -750, -800  # added to biases of scales, so that some laws are narrow and some not coded


def random_network(label: str) -> Change:
    """Integers from origin ZERO: gains of about 1, so that pictures neither vanish nor saturate, and all is exact."""

    def change(number: int, shape: tuple[int, ...]) -> Integers:
        name, place = NAMES[number], f"{label}/{number}"
        if name.endswith("steps"):
            return np.abs(noise(place, shape, 90)) + 1
        if name.endswith("start"):
            return sparse(place, shape, 5 * BIAS if name.startswith("intra") else BIAS, 6)
        if len(shape) == 4:
            fan = shape[1] * shape[2] * shape[3]
            if name.endswith("picture.weight"):
                return sparse(place, shape, 90, 2)
            if ".direct" in name:
                return sparse(place, shape, 90, 20)
            return sparse(place, shape, round(800 / fan**0.5), 2 if fan < 10 else 5)
        out = noise(place, shape, BIAS)
        if name == "intra.picture.bias":
            return 5 * out
        half = shape[0] // 2
        if "first" in name or "second" in name or name == "flow.out.bias":
            out[half:] += FLOW_SCALE if name == "flow.out.bias" else LATENT_SCALE
        return out

    return change


def some_changes(label: str, one_in: int = 40) -> Change:
    """Small changes of few weights, none of steps."""

    def change(number: int, shape: tuple[int, ...]) -> Integers:
        if NAMES[number].endswith("steps"):
            return np.zeros(shape, np.int32)
        return sparse(f"{label}/{number}", shape, 9, one_in)

    return change


def changes_again(label: str, network: str) -> Change:
    """Changes of the weights that a random network does not leave at 0: what contexts are good for."""
    changed, first = some_changes(label, 2), random_network(network)
    return lambda number, shape: np.where(first(number, shape) != 0, changed(number, shape), 0).astype(np.int32)


def coded(
    label: str,
    quality: int = 20,
    offsets: tuple[int, ...] = (),
    headers: Mapping[int, CodedFrame] | None = None,
    lanes: int = 1,
    split: int = 0,
    halves: bool = False,
) -> Coding:
    """The frames of one group, in 2 ** split parts, of two halves or not. headers: of the frames, by number, that are
    not plain; lanes: of each stream."""

    def code(
        model: FrameModel, weights: Weights, count: int, carried: Planes | None, info: VideoInfo
    ) -> tuple[bytes, Planes]:
        assert isinstance(model, Mc)
        shown: dict[int, Planes] = {} if carried is None else {CARRIED: carried}
        motions = Motions()
        made: list[CodedFrame] = []
        writers: list[Writer] = []
        device = torch.device("cpu")
        order = coding_order(count, carried is not None, halves)
        for place in order:
            header = (headers or {}).get(place.frame, CodedFrame(not place.references))
            made.append(header)
            index = FramesSection(quality, offsets, tuple(made), (b"",)).quality_of(len(made) - 1, place.depth)
            tuning = model.tuning(weights, header.intra, index)
            levels = tuple(compress(model.levels(header.intra), header.levels))
            writers.append(Writer(symbols(f"{label}/{place.frame}", model, header.intra)))
            prediction = None
            if not header.intra:
                used = [Reference(to_picture(shown[r], info, device)) for r in place.references]
                prediction = code_prediction(model, weights, place, used, index, motions, writers[-1])
            picture = model.picture(weights, tuning, prediction, writers[-1], levels=levels)
            shown[place.frame] = to_planes(picture, info)
        held = [[writers[number] for number in numbers] for numbers in parts(order, split)]
        streams = tuple(stream(some, lanes) if some else b"" for some in held)
        section = FramesSection(quality, offsets, tuple(made), streams, halves)
        return section.pack(), shown[count - 1]

    return code


def symbols(label: str, model: Mc, intra: bool) -> dict[str, Tensor]:
    """Small latents, some of them large, and displacements of a few samples, some of them beyond all bounds."""
    rows, columns = model.rows, model.columns
    network = model.network(intra)
    latents = {}
    for level, channels in network.latents.items():
        shape = (1, channels, *(-(-(16 * n) // 2**level) for n in (rows, columns)))
        values = sparse(f"{label}/{level}", shape, 4, 6) + sparse(f"{label}/{level}/far", shape, 3000, 131)
        latents[level] = torch.from_numpy(values.astype(np.float32))
    out = network.grids(latents)
    for name in FIELDS:
        shape = (1, 2, rows, columns)
        values = noise(f"{label}/{name}", shape, 20) + sparse(f"{label}/{name}/far", shape, 9000, 13)
        out[name] = torch.from_numpy(values.astype(np.float32))
    return out
