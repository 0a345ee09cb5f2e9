"""Coded frames to planes: the section FRAMES of a group through a frame model, in the order of the hierarchy.

On the CPU the parts of a group are decoded side by side, by a worker each.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nvcodec.bitstream.frames import FramesSection
from nvcodec.decode.parts import Due, Motions, Part
from nvcodec.decode.pictures import Planes
from nvcodec.decode.state import State
from nvcodec.decode.symbols import Reader
from nvcodec.decode.workers import Workers
from nvcodec.errors import MalformedError
from nvcodec.models.base import FrameModel, Weights
from nvcodec.models.hierarchy import CARRIED, Place, coding_order, parts
from nvcodec.video import VideoInfo


def named_weights(model: FrameModel, state: State, device: torch.device) -> dict[str, Tensor]:
    """The weights of a frame model by name; its integers are used as they are."""
    assert not any(state.steps), "step 2 ** 0"
    return {t.name: w for t, w in zip(model.tensors, state.weights(model.tensors, device), strict=True)}


def decode_frames(
    model: FrameModel,
    weights: Weights,
    payload: bytes,
    count: int,
    reference: Planes | None,
    info: VideoInfo,
    name: str = "frames",
) -> list[Planes]:
    """The planes of the `count` frames of a group in the order of display, from the bytes of its section FRAMES.

    weights: by name, on the device that works; `model.check` has passed them. reference: the last frame of the group
    before, where this one inherits from it. name: begins every error message. Raises MalformedError where the bytes are
    not what the format says.
    """
    with Workers(info, next(iter(weights.values())).device) as workers:
        return GroupDecoder(workers, model, weights, payload, count, reference, info, name).planes()


class GroupDecoder:
    """A group that is being decoded: when it is made, the frames that those of every part may refer to; the others by
    workers, from then on."""

    def __init__(
        self,
        workers: Workers,
        model: FrameModel,
        weights: Weights,
        payload: bytes,
        count: int,
        reference: Planes | None,
        info: VideoInfo,
        name: str,
    ) -> None:
        """As `decode_frames`."""
        self._count = count
        self._shown: dict[int, Planes] = {} if reference is None else {CARRIED: reference}
        section = FramesSection.unpack(payload, count, name)
        order, split, motions = coding_order(count, reference is not None, section.halves), section.split, Motions()

        def part(numbers: Sequence[int], code: Reader, shared: bool) -> Part:
            frames = [_due(section, number, order[number]) for number in numbers]
            if shared:
                return Part(name, info, frames, code, self._shown, motions, whole=False)
            return Part(name, info, frames, code, self._referred_to(frames), motions.copy(), whole=True)

        first, *others = parts(order, split)
        shared = [number for number in first if order[number].shared(split)]
        code = Reader(section.streams[0], name)
        workers.here(lambda: part(shared, code, shared=True).decode(model, weights))
        works = [part(first[len(shared) :], code, shared=False)]
        for numbers, stream in zip(others, section.streams[1:], strict=True):
            if numbers:
                works.append(part(numbers, Reader(stream, name), shared=False))
            elif stream:
                raise MalformedError(f"{name}: a part without frames has symbols")
        self._parts = [workers.submit(model, weights, work) for work in works]

    def _referred_to(self, frames: Sequence[Due]) -> dict[int, Planes]:
        """Those that some frames may be predicted from and that are there."""
        return {frame: self._shown[frame] for due in frames for frame in due.place.references if frame in self._shown}

    @property
    def last(self) -> Planes:
        """The last frame, which others do not have to be waited for."""
        return self._shown[self._count - 1]

    def planes(self) -> list[Planes]:
        """All frames, in the order of display, when they are there; once. MalformedError as `decode_frames`."""
        for done in self._parts:
            self._shown |= done.result()
        found = [self._shown[frame] for frame in range(self._count)]
        self._shown = {self._count - 1: found[-1]}  # all that a group after it may still ask for
        return found


def _due(section: FramesSection, number: int, place: Place) -> Due:
    coded = section.frames[number]
    return Due(place, coded.intra, section.quality_of(number, place.depth), coded.levels)
