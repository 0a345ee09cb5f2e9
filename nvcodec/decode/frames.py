"""Coded frames to planes: the section FRAMES of a group through a frame model, in the order of the hierarchy.

A frame is predicted from others as they are shown, rounded and cropped, so that a decoder can go on from pictures that
it has given away. On the CPU the parts of a group are decoded side by side, one thread each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import compress

import torch
from torch import Tensor

from nvcodec.bitstream.frames import FramesSection
from nvcodec.bitstream.group_records import GroupRecord
from nvcodec.bitstream.registry import SectionKind
from nvcodec.decode.pictures import Planes, to_picture, to_planes
from nvcodec.decode.state import State
from nvcodec.decode.symbols import Reader
from nvcodec.errors import MalformedError
from nvcodec.models.base import Coder, FrameModel, Weights
from nvcodec.models.hierarchy import CARRIED, Place, coding_order, parts
from nvcodec.models.motion import Reference, followed, midway, predict
from nvcodec.threads import threads_of_torch
from nvcodec.video import VideoInfo

SMALL = 1 << 17  # luma samples of a frame, below which one thread is as fast as more
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
    group = _Group(model, weights, FramesSection.unpack(payload, count, name), count, reference, info, name)
    return group.decode()


class _Group:
    """A group that is being decoded."""

    def __init__(
        self,
        model: FrameModel,
        weights: Weights,
        section: FramesSection,
        count: int,
        reference: Planes | None,
        info: VideoInfo,
        name: str,
    ) -> None:
        """As `decode_frames`."""
        self._model, self._weights, self._section, self._info, self._name = model, weights, section, info, name
        self._device = next(iter(weights.values())).device
        self._count = count
        self._order = coding_order(count, reference is not None)
        self._shown: dict[int, Planes] = {} if reference is None else {CARRIED: reference}
        self._motions = Motions()

    def decode(self) -> list[Planes]:
        """All frames, in the order of display."""
        split = self._section.split
        first, *others = parts(self._order, split)
        shared = [number for number in first if self._order[number].shared(split)]
        code = Reader(self._section.streams[0], self._name)
        small = self._info.width * self._info.height < SMALL
        with threads_of_torch(1 if small else torch.get_num_threads()):
            self._frames(shared, code)
        works = [(first[len(shared) :], code)]
        for numbers, stream in zip(others, self._section.streams[1:], strict=True):
            if numbers:
                works.append((numbers, Reader(stream, self._name)))
            elif stream:
                raise MalformedError(f"{self._name}: a part without frames has symbols")
        threads = torch.get_num_threads()
        if len(works) == 1 or threads == 1 or self._device.type != "cpu":
            for numbers, reader in works:
                self._part(numbers, reader)
        else:
            with threads_of_torch(max(1, threads // len(works))), ThreadPoolExecutor(threads) as pool:
                for done in [pool.submit(self._part, numbers, reader) for numbers, reader in works]:
                    done.result()
        return [self._shown[frame] for frame in range(self._count)]

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


class FrameRenderer:
    """Decodes groups of coded frames one after the other and carries the last frame of each to the next."""

    def __init__(self, info: VideoInfo, device: torch.device) -> None:
        self._info = info
        self._device = device
        self._carried: tuple[int, Planes] | None = None  # the number of the group that it ends, and the frame
        self._weights: tuple[State, dict[str, Tensor]] | None = None  # of the last group

    def group(self, model: FrameModel, state: State, record: GroupRecord) -> list[Planes]:
        """The planes of the frames of a group. state: after it; `model.check` has passed it.

        Raises MalformedError where the section FRAMES is not what the format says, or the group inherits from one that
        was not the last to be decoded here.
        """
        carried, self._carried = self._carried, None
        if not record.random_access and (carried is None or carried[0] != record.number - 1):
            raise MalformedError("the group that it inherits from is lost")
        reference = None if record.random_access or carried is None else carried[1]
        if self._weights is None or self._weights[0].latents is not state.latents:
            self._weights = state, named_weights(model, state, self._device)
        payload, name = record.section(SectionKind.FRAMES), f"group {record.number}: frames"
        planes = decode_frames(model, self._weights[1], payload, record.frame_count, reference, self._info, name)
        self._carried = record.number, planes[-1]
        return planes


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
