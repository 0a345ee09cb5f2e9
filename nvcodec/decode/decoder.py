"""A file to frames: whole or a range, checked against the hashes in it, and as far as it is whole.

The next group is read and the integers of its network are decoded in one worker thread while this one is rendered; of
coded frames more than one group is in work.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import BinaryIO

import torch

from nvcodec.bitstream.container import Reader
from nvcodec.bitstream.damage import Damage, Kind
from nvcodec.bitstream.group_records import GroupRecord, WindowRecord
from nvcodec.bitstream.records import UNKNOWN, VideoRecord
from nvcodec.bitstream.registry import Exactness
from nvcodec.decode import render
from nvcodec.decode.ahead import Ahead
from nvcodec.decode.device import choose_device
from nvcodec.decode.frame_renderer import FrameRenderer
from nvcodec.decode.frames import named_weights
from nvcodec.decode.pictures import Planes, check_format
from nvcodec.decode.state import (
    Integers,
    State,
    Window,
    apply,
    apply_network,
    apply_window,
    check_model,
    initial_state,
)
from nvcodec.errors import FormatError, LimitError, MalformedError, TruncatedError, UsageError
from nvcodec.limits import MAX_GROUP_PIXELS
from nvcodec.models.base import Backbone, FrameModel, create, create_frame_model
from nvcodec.video import Chroma, ColorInfo, Frame, Range, VideoInfo


class Check(enum.Enum):
    """How decoded pixels compare with what the encoder saw."""

    EXACT = "exact"  # the hash matches
    CLOSE = "close"  # class F: not to the bit, but every plane's mean is within half a code value
    WRONG = "wrong"  # neither: something is broken


@dataclass(frozen=True, eq=False)
class DecodedGroup:
    """A group's record, and its frames; those outside of the range that was asked for are left out."""

    record: GroupRecord
    frames: list[Frame]
    check: Check


def video_info(record: VideoRecord) -> VideoInfo:
    """The record in the terms of the rest of the package."""

    def ratio(pair: tuple[int, int]) -> Fraction | None:
        return None if pair == UNKNOWN else Fraction(*pair)

    return VideoInfo(
        width=record.width,
        height=record.height,
        bit_depth=record.bit_depth,
        chroma=Chroma(record.chroma),
        color=ColorInfo(record.primaries, record.transfer, record.matrix, Range(record.range), record.chroma_location),
        time_base=Fraction(*record.time_base),
        rate=ratio(record.rate),
        sample_aspect=ratio(record.sample_aspect),
        rotation=record.rotation,
    )


@dataclass(frozen=True, eq=False)
class _Ready:
    """A group whose integers are known."""

    record: GroupRecord
    state: State


_Rendered = Callable[[], list[Planes]]
"""Gives the frames of a group; FormatError where they are coded frames and not what the format says."""


class Decoder:
    """Decodes `file`, a binary file object at the start of an .nvc file; pipes can be read from front to end.

    device: auto, cpu or cuda. recover: leave out what is damaged instead of raising; `damage` then tells what was lost.
    processes: decode coded frames in forked processes where that is faster (`decode.children`). Errors are those of
    `nvcodec.errors`: a FormatError for bytes that break the specification, after all whole groups before the fault were
    given.
    """

    def __init__(self, file: BinaryIO, *, device: str = "auto", recover: bool = False, processes: bool = False) -> None:
        self.reader = Reader(file, recover=recover)
        self.info = video_info(self.reader.video)
        self.device = choose_device(device)
        self._recover, self._processes = recover, processes
        self._seekable = file.seekable()
        self._backbones: dict[int, Backbone] = {}
        self._frame_models: dict[int, FrameModel] = {}
        self._checked: Integers | None = None  # the last integers of a frame model that were found to be exact
        self._initial: dict[int, State] = {}
        self._window: tuple[WindowRecord, Window | None] | None = None  # the last one; None in it where it was refused

    @property
    def damage(self) -> list[Damage]:
        """What was found damaged."""
        return self.reader.damage

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames start .. stop - 1 of the video (to the end for None), in order."""
        for group in self.groups(start, stop):
            yield from group.frames

    def groups(self, start: int = 0, stop: int | None = None) -> Iterator[DecodedGroup]:
        """The groups that hold frames start .. stop - 1. UsageError where the video ends before `start`."""
        if start < 0 or (stop is not None and stop <= start):
            raise UsageError(f"there are no frames {start}:{'' if stop is None else stop}")
        some = False
        for record, rendered in self._begun(start, stop):
            first, end = record.first_frame, record.first_frame + record.frame_count
            try:
                planes = rendered()
            except FormatError as error:
                if not self._recover:
                    raise
                self._leave_out(record, str(error))
                continue
            if end <= start:
                continue
            some = True
            keep = range(max(start - first, 0), record.frame_count if stop is None else min(stop, end) - first)
            frames = [Frame(planes[t], record.pts[t]) for t in keep]
            yield DecodedGroup(record, frames, self._check(record, planes))
        if not some and start:
            raise UsageError(f"the video ends before frame {start}")

    def _begun(self, start: int, stop: int | None) -> Iterator[tuple[GroupRecord, _Rendered]]:
        """Groups that hold frames start .. stop - 1, and those of coded frames that these may be predicted from, each
        with what gives its planes. Where more are at hand, coded frames begin before they are asked for.
        """
        begun: deque[tuple[GroupRecord, _Rendered]] = deque()
        end: Exception | None = None  # of the file, or what is wrong there
        with (
            FrameRenderer(self.info, self.device, self._processes) as renderer,
            Ahead(self._integers(start, stop), "entropy decoding") as source,
        ):
            while begun or end is None:
                while end is None and (not begun or (len(begun) <= renderer.ahead and source.at_hand)):
                    try:
                        ready = next(source)
                    except Exception as error:
                        end = error
                        break
                    record = ready.record
                    if self.reader.models[record.model].has_frames:
                        rendered = renderer.begin(self._frame_model(record.model), ready.state, record).planes
                        begun.append((record, rendered))
                    elif record.first_frame + record.frame_count > start:
                        begun.append((record, partial(self._render, ready)))
                if begun:
                    yield begun.popleft()
        if not isinstance(end, StopIteration):
            assert end is not None
            raise end

    def _render(self, ready: _Ready) -> list[Planes]:
        """All frames of a group whose network makes them."""
        model = self._backbone(ready.record.model)
        weights = ready.state.weights(model.tensors, self.device)
        return render.render_group(model, weights, ready.record.frame_count, self.info)

    def _check(self, record: GroupRecord, planes: list[Planes]) -> Check:
        if render.pixel_hash(planes) == record.pixel_hash:
            return Check.EXACT
        if self.reader.models[record.model].exactness == Exactness.EXACT:
            return Check.WRONG
        means = zip(render.plane_means(planes), record.means, strict=True)
        return Check.CLOSE if all(abs(a - b) <= render.MEAN_TOLERANCE for a, b in means) else Check.WRONG

    def _records(self, start: int) -> Iterator[GroupRecord]:
        """Records from the last random-access point at or before `start`."""
        if start == 0 or not self._seekable or self._recover:
            yield from self.reader.groups()
            return
        try:
            number = self.reader.access_point(start)
        except FormatError:  # neither an index nor a file that can be read through: give what there is before the fault
            yield from self.reader.groups()
            return
        for entry in self.reader.index[number:]:
            yield self.reader.read_group(entry.number)
        if not self.reader.complete:
            raise TruncatedError("the file is cut; all whole groups before the cut were decoded")

    def _integers(self, start: int, stop: int | None) -> Iterator[_Ready]:
        """Groups with their integers summed up, up to the one that holds frame stop - 1."""
        state: State | None = None
        expected, model_index = 0, -1
        for record in self._records(start):
            whole = record.random_access or (
                state is not None and record.number == expected and record.model == model_index
            )
            if not whole:
                if not self._recover:
                    raise FormatError(f"group {record.number} inherits from a group that is not there")
                self._leave_out(record, "the group that it inherits from is lost")
                state = None
                continue
            try:
                model = self._model(record.model)
                if record.frame_count * self.info.width * self.info.height > MAX_GROUP_PIXELS:
                    raise LimitError(f"group {record.number} has more than {MAX_GROUP_PIXELS} pixels")
                if record.frame_count > model.longest:
                    raise MalformedError(f"group {record.number} has more than the {model.longest} frames of its model")
                state = self._add(state, record)
            except FormatError as error:
                if not self._recover:
                    raise
                self._leave_out(record, str(error))
                state = None
                continue
            expected, model_index = record.number + 1, record.model
            yield _Ready(record, state)
            if stop is not None and record.first_frame + record.frame_count >= stop:
                return

    def _add(self, before: State | None, record: GroupRecord) -> State:
        """The state after a group; `before` is that of the group before, where it inherits from it."""
        window = self._shared(record) if record.in_window else None
        base = before
        if record.random_access:
            base = window.state if window else self._initial_state(record.model)
        assert base is not None
        if self.reader.models[record.model].has_frames:
            return self._checked_network(self._frame_model(record.model), apply_network(base, record))
        return apply(base, record, window.shared if window else None)

    def _checked_network(self, model: FrameModel, state: State) -> State:
        """The same state; MalformedError where what its integers compute would not be exact."""
        if state.latents is not self._checked:
            model.check(named_weights(model, state, torch.device("cpu")))
            self._checked = state.latents
        return state

    def _shared(self, record: GroupRecord) -> Window:
        """The window that a group shares; it is decoded once for all groups that do."""
        found = self.reader.window_of(record)
        if found and (self._window is None or self._window[0] != found):
            try:
                self._window = found, apply_window(self._initial_state(found.model), found)
            except FormatError:
                self._window = (found, None) if self._recover else None  # not to be tried again for each group
                raise
        window = self._window[1] if found and self._window else None
        if window is None:
            raise MalformedError("the window that it shares is lost")
        return window

    def _leave_out(self, record: GroupRecord, why: str) -> None:
        self.damage.append(Damage(Kind.LEFT_OUT, f"group {record.number} is left out: {why}", record.number))

    def _model(self, index: int) -> Backbone | FrameModel:
        return self._frame_model(index) if self.reader.models[index].has_frames else self._backbone(index)

    def _backbone(self, index: int) -> Backbone:
        if index not in self._backbones:
            record = self.reader.models[index]
            model = create(record.name, record.config, self.info.height, self.info.width)
            check_model(record, model.tensors)
            self._backbones[index] = model
        return self._backbones[index]

    def _frame_model(self, index: int) -> FrameModel:
        if index not in self._frame_models:
            record = self.reader.models[index]
            check_format(record.name, self.info)
            self._frame_models[index] = create_frame_model(
                record.name, record.config, self.info.height, self.info.width
            )
        return self._frame_models[index]

    def _initial_state(self, index: int) -> State:
        if index not in self._initial:
            record = self.reader.models[index]
            tensors = self._model(index).tensors
            self._initial[index] = initial_state(tensors, record.seed, record.origin, record.prior)
        return self._initial[index]
