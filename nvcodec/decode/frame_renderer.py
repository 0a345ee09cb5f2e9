"""Groups of coded frames, one after the other: the next ones begin before one is done.

A group wants the last frame of the one before and nothing else of it, and that is among the first to be decoded.
"""

from __future__ import annotations

import torch

from nvcodec.bitstream.group_records import GroupRecord
from nvcodec.bitstream.registry import SectionKind
from nvcodec.decode.frames import GroupDecoder, named_weights
from nvcodec.decode.pictures import Planes
from nvcodec.decode.state import State
from nvcodec.decode.workers import Workers
from nvcodec.errors import MalformedError
from nvcodec.models.base import FrameModel, Weights
from nvcodec.video import VideoInfo

AHEAD = 2  # groups that may begin before one is done

LOST = "the group that it inherits from is lost"


class FrameRenderer:
    """Decodes groups and carries the last frame of each to the next. To be used as a context.

    ahead: how many groups may be begun before the planes of one are asked for.
    """

    def __init__(self, info: VideoInfo, device: torch.device, processes: bool = False) -> None:
        """processes: as `Workers`."""
        self._info, self._device = info, device
        self._workers = Workers(info, device, processes)
        self.ahead = AHEAD if self._workers.side_by_side else 0
        self._before: GroupInWork | None = None
        self._weights: tuple[State, dict[str, torch.Tensor]] | None = None  # of the last group

    def __enter__(self) -> FrameRenderer:
        return self

    def __exit__(self, *_: object) -> None:
        """Waits for what has begun, but not for more of it than a frame."""
        self._workers.__exit__()

    def begin(self, model: FrameModel, state: State, record: GroupRecord) -> GroupInWork:
        """Begin with the next group. state: after it; `model.check` has passed it. What is wrong with a group is told
        when its planes are asked for."""
        if self._weights is None or self._weights[0].latents is not state.latents:
            self._weights = state, named_weights(model, state, self._device)
        before = None if record.random_access else self._before
        self._before = GroupInWork(self._workers, model, self._weights[1], record, before, self._info)
        return self._before


class GroupInWork:
    """A group that has begun."""

    def __init__(
        self,
        workers: Workers,
        model: FrameModel,
        weights: Weights,
        record: GroupRecord,
        before: GroupInWork | None,
        info: VideoInfo,
    ) -> None:
        """before: the group that it follows, None for a random-access one."""
        self._number = record.number
        self._before = before
        self._decoder: GroupDecoder | None = None
        self._error: MalformedError | None = None
        if not record.random_access and (before is None or before._number != record.number - 1 or not before._decoder):
            self._error = MalformedError(LOST)
            return
        reference = before._decoder.last if before and before._decoder else None
        payload, name = record.section(SectionKind.FRAMES), f"group {record.number}: frames"
        try:
            self._decoder = GroupDecoder(workers, model, weights, payload, record.frame_count, reference, info, name)
        except MalformedError as error:
            self._error = error

    def planes(self) -> list[Planes]:
        """Those of the frames in the order of display, when they are there; of groups in the order in which they began.

        Raises MalformedError where the section FRAMES is not what the format says, or the group inherits from one that
        was refused, or was not the last to begin before it.
        """
        before, self._before = self._before, None
        if before is not None and before._error is not None:
            self._error = MalformedError(LOST)
        if self._error is not None:
            raise self._error
        assert self._decoder is not None
        try:
            return self._decoder.planes()
        except MalformedError as error:
            self._error = error
            raise
