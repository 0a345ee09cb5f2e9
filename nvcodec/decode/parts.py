"""Frames of a group that are decoded one after the other, with all that it takes beside the network.

A frame is predicted from others as they are shown, rounded and cropped, so that a decoder can go on from pictures that
it has given away. A part goes to another thread, or as a pickle to another process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from itertools import compress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.decode.pictures import Planes, to_picture, to_planes
from nvcodec.decode.symbols import Reader
from nvcodec.errors import MalformedError
from nvcodec.models.base import Coder, FrameModel, Weights
from nvcodec.models.hierarchy import Place
from nvcodec.models.motion import Reference, followed, midway, predict
from nvcodec.video import VideoInfo

KEPT = 4  # interpolated references, of the few that the hierarchy goes back to
KEPT_VALUES = 1 << 28  # of all of them together, unless two take more


@dataclass(frozen=True)
class Due:
    """A frame to decode: its place, and what the file says of it. levels: of which latents are coded."""

    place: Place
    intra: bool
    quality: int
    levels: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class Part:
    """name: begins every error message. frames: in the order of coding. code: where their symbols are. shown: frames
    that they may refer to, to which theirs are added. whole: whether nothing follows their symbols.
    """

    name: str
    info: VideoInfo
    frames: Sequence[Due]
    code: Reader
    shown: dict[int, Planes]
    motions: Motions
    whole: bool

    # Not inference mode: models keep masks, and what is made in that mode cannot be trained with.
    @torch.no_grad()
    def decode(
        self, model: FrameModel, weights: Weights, stopped: Callable[[], bool] = lambda: False
    ) -> dict[int, Planes]:
        """Its frames by their number. MalformedError where the symbols are not what the format says; CancelledError
        where it is `stopped` before a frame."""
        device = next(iter(weights.values())).device
        references = References(lambda frame: to_picture(self.shown[frame], self.info, device), self.info)
        found: dict[int, Planes] = {}
        for due in self.frames:
            if stopped():
                raise CancelledError
            place = due.place
            if not place.references and not due.intra:
                raise MalformedError(f"{self.name}: a frame without references is not intra")
            tuning = model.tuning(weights, due.intra, due.quality)
            levels = tuple(compress(model.levels(due.intra), due.levels))
            prediction = None
            if not due.intra:
                used = [references[frame] for frame in place.references]
                prediction = code_prediction(model, weights, place, used, due.quality, self.motions, self.code)
            picture = model.picture(weights, tuning, prediction, self.code, levels=levels)
            self.shown[place.frame] = found[place.frame] = to_planes(picture, self.info)
        if self.whole:
            self.code.finish()
        return found


class Motions:
    """Fields of displacement of the frames of a group that others may be guessed from."""

    def __init__(self) -> None:
        self._fields: dict[tuple[int, int], Tensor] = {}  # of a frame to a reference

    def copy(self) -> Motions:
        """To which others can be added."""
        found = Motions()
        found._fields = dict(self._fields)
        return found

    def __getstate__(self) -> dict[tuple[int, int], NDArray[np.float32]]:
        """For pickles: those of torch take longer than a frame."""
        return {which: field.numpy() for which, field in self._fields.items()}

    def __setstate__(self, fields: dict[tuple[int, int], NDArray[np.float32]]) -> None:
        self._fields = {which: torch.from_numpy(field) for which, field in fields.items()}

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
