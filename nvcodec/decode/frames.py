"""Coded frames to planes: the section FRAMES of a group through a frame model, in the order of the hierarchy.

A frame is predicted from others as they are shown, rounded and cropped, so that a decoder can go on from pictures that
it has given away. On the CPU the parts of a group are decoded side by side, one thread each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError
from functools import partial
from itertools import compress

import torch
from torch import Tensor

from nvcodec.bitstream.frames import FramesSection
from nvcodec.decode.pictures import Planes, to_picture, to_planes
from nvcodec.decode.state import State
from nvcodec.decode.symbols import Reader
from nvcodec.decode.workers import Workers
from nvcodec.errors import MalformedError
from nvcodec.models.base import Coder, FrameModel, Weights
from nvcodec.models.hierarchy import CARRIED, Place, coding_order, parts
from nvcodec.models.motion import Reference, followed, midway, predict
from nvcodec.video import VideoInfo

KEPT = 4  # interpolated references, of the few that the hierarchy goes back to
KEPT_VALUES = 1 << 28  # of all of them together, unless two take more


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
        self._workers, self._model, self._weights, self._info, self._name = workers, model, weights, info, name
        self._device = next(iter(weights.values())).device
        self._count = count
        self._shown: dict[int, Planes] = {} if reference is None else {CARRIED: reference}
        self._motions = Motions()
        self._section = FramesSection.unpack(payload, count, name)
        self._order = coding_order(count, reference is not None, self._section.halves)
        split = self._section.split
        first, *others = parts(self._order, split)
        shared = [number for number in first if self._order[number].shared(split)]
        code = Reader(self._section.streams[0], name)
        workers.here(partial(self._frames, shared, code))
        works = [(first[len(shared) :], code)]
        for numbers, stream in zip(others, self._section.streams[1:], strict=True):
            if numbers:
                works.append((numbers, Reader(stream, name)))
            elif stream:
                raise MalformedError(f"{name}: a part without frames has symbols")
        self._parts = [workers.submit(partial(self._part, numbers, reader)) for numbers, reader in works]

    @property
    def last(self) -> Planes:
        """The last frame, which others do not have to be waited for."""
        return self._shown[self._count - 1]

    def planes(self) -> list[Planes]:
        """All frames, in the order of display, when they are there; once. MalformedError as `decode_frames`."""
        for done in self._parts:
            done.result()
        found = [self._shown[frame] for frame in range(self._count)]
        self._shown = {self._count - 1: found[-1]}  # all that a group after it may still ask for
        return found

    def _part(self, numbers: Iterable[int], code: Reader) -> None:
        """The last frames of a stream."""
        self._frames(numbers, code)
        code.finish()

    # Not inference mode: models keep masks, and what is made in that mode cannot be trained with.
    @torch.no_grad()
    def _frames(self, numbers: Iterable[int], code: Reader) -> None:
        """The frames at these places of the coding order."""
        references = References(lambda frame: to_picture(self._shown[frame], self._info, self._device), self._info)
        for number in numbers:
            if self._workers.stopped:
                raise CancelledError
            place, coded = self._order[number], self._section.frames[number]
            if not place.references and not coded.intra:
                raise MalformedError(f"{self._name}: a frame without references is not intra")
            quality = self._section.quality_of(number, place.depth)
            tuning = self._model.tuning(self._weights, coded.intra, quality)
            levels = tuple(compress(self._model.levels(coded.intra), coded.levels))
            prediction = None
            if not coded.intra:
                used = [references[frame] for frame in place.references]
                prediction = code_prediction(self._model, self._weights, place, used, quality, self._motions, code)
            picture = self._model.picture(self._weights, tuning, prediction, code, levels=levels)
            self._shown[place.frame] = to_planes(picture, self._info)


class Motions:
    """Fields of displacement of the frames of a group that others may be guessed from."""

    def __init__(self) -> None:
        self._fields: dict[tuple[int, int], Tensor] = {}  # of a frame to a reference

    def add(self, place: Place, fields: Sequence[Tensor]) -> None:
        """What the frame at a place was predicted with."""
        self._fields |= {(place.frame, r): field for r, field in zip(place.references, fields, strict=True)}

    def guess(self, place: Place) -> Tensor | None:
        """Of the field to the first reference, in eighths of a quarter sample: part of the way between both, of what
        comes through each cell on it."""
        if len(place.references) < 2:
            return None
        first, second = place.references
        part, whole = place.frame - first, second - first
        if (second, first) in self._fields:
            return midway(followed(self._fields[second, first], whole - part, whole), part, whole)
        if (first, second) in self._fields:
            return midway(-followed(self._fields[first, second], part, whole), part, whole)
        return None


def code_prediction(
    model: FrameModel,
    weights: Weights,
    place: Place,
    references: Sequence[Reference],
    quality: int,
    motions: Motions,
    code: Coder,
) -> Tensor:
    """The prediction (1, 12, h, w) of a frame that has references: the passes of its displacements, and what they move.

    quality: of the frame. The encoder runs the same with its own coder.
    """
    fields = model.displacements(weights, references, place.depth, quality, code, guess=motions.guess(place))
    motions.add(place, fields)
    return predict(references, fields)


class References:
    """Interpolated references by their frame, made when they are asked for; two or more of those used last are kept."""

    def __init__(self, picture: Callable[[int], Tensor], info: VideoInfo) -> None:
        """picture: that of a frame, decoded before."""
        self._picture = picture
        self._most = max(2, min(KEPT, KEPT_VALUES // (24 * info.width * info.height)))
        self._kept: dict[int, Reference] = {}

    def __getitem__(self, frame: int) -> Reference:
        found = self._kept.pop(frame, None) or Reference(self._picture(frame))
        self._kept[frame] = found
        while len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]
        return found
