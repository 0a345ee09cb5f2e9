"""One chain: its units one after the other, each from what the one before left, or from scratch."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from nvcodec.bitstream.records import ModelRecord
from nvcodec.bitstream.registry import Inheritance
from nvcodec.decode.state import State, apply, initial_state
from nvcodec.encode.checking import Place
from nvcodec.encode.group import Encoded, GroupEncoder
from nvcodec.encode.layout import kinds
from nvcodec.encode.output import Output
from nvcodec.encode.plan import Decision, video_record
from nvcodec.encode.rate_control import RateControl
from nvcodec.encode.report import GroupReport, Observer, Progress
from nvcodec.encode.settings import EncodeSettings
from nvcodec.encode.window import WindowEncoder
from nvcodec.metrics import bpp, psnr_from_mse
from nvcodec.models.base import Backbone
from nvcodec.training.fit import Watch
from nvcodec.training.trainee import Parameters, initial_parameters
from nvcodec.video import Frame, VideoInfo

TIMED_FRAMES, TIMED_STEPS = 8, 3


def beginning(model: Backbone, record: ModelRecord) -> tuple[State, Parameters]:
    """What random-access groups are added to, and where their training starts."""
    random = initial_state(model.tensors, record.seed)
    start = initial_parameters(model.tensors, random.latents, record.seed)
    return initial_state(model.tensors, record.seed, record.origin), start


class ChainEncoder:
    """Encodes the units of one chain."""

    def __init__(
        self,
        model: Backbone,
        record: ModelRecord,
        info: VideoInfo,
        device: torch.device,
        settings: EncodeSettings,
        decision: Decision,
    ) -> None:
        self.record = record
        self._settings, self._decision, self._info = settings, decision, info
        self._groups = GroupEncoder(model, info, video_record(info), device, settings.psnr)
        self._windows = WindowEncoder(self._groups, decision.network, settings)
        self._control = RateControl(decision, info.width * info.height, settings.lam)
        self._initial, self._scratch = beginning(model, record)

    @property
    def steps(self) -> int | None:
        """As Engine."""
        return self._decision.steps

    @property
    def expected_bpp(self) -> float | None:
        """As Engine."""
        return self._decision.expected_bpp(self._info.width * self._info.height)

    def pace(self, first: Sequence[Frame]) -> tuple[float, float]:
        """As Engine."""
        few = first[:TIMED_FRAMES]
        self._trial(few, 1)  # the first step of a process takes longer than others
        timed = self._trial(few, TIMED_STEPS)
        longer = len(first) / len(few)
        whole = self._decision.training.frames_per_step == 0  # a step sees all frames of a group
        per_step = timed.seconds_training / TIMED_STEPS * (longer if whole else 1)
        return per_step, (timed.seconds_coding + timed.seconds_checking) * longer

    def _trial(self, frames: Sequence[Frame], steps: int) -> GroupReport:
        """A group in a few steps; nothing is written."""
        decision = replace(self._decision, steps_first=steps)
        how = decision.fit_settings(True, decision.training.lam, None, self._settings.seed)
        place = Place(0, 0, 0, 0, Inheritance.NONE)
        trial = GroupEncoder(self._groups.model, self._info, self._groups.video, self._groups.device, None)
        return trial.encode(frames, place, self._initial, self._scratch, how, lambda *_: None).report

    def encode(self, units: Iterator[list[Sequence[Frame]]], output: Output, observer: Observer) -> None:
        """Encode to `output`, from where it stands. units: the frames of each, by group, from the first one on."""
        state = self._resumed_state(output)
        pace = Pace(self._info, self._decision, output.writer.frames, observer)
        number, done = 0, output.writer.groups
        for unit in units:
            number += len(unit)
            if number <= done:
                continue
            places = self._places(unit, number - len(unit), output.writer.frames)
            encoded = self._unit(unit, places, state, pace, output)
            state = encoded[-1].state
            frames, fresh = sum(map(len, unit)), places[0].random_access
            del unit  # before the next one is read
            self._control.account(frames, fresh, sum(e.report.size for e in encoded), encoded[-1].lam)
            for e in encoded:
                observer(e.report)

    def _places(self, unit: list[Sequence[Frame]], number: int, first_frame: int) -> list[Place]:
        places: list[Place] = []
        for inheritance, frames in zip(kinds(self._settings, len(unit), number), unit, strict=True):
            places.append(Place(number + len(places), 0, 0, first_frame, inheritance))
            first_frame += len(frames)
        return places

    def _unit(
        self, unit: list[Sequence[Frame]], places: list[Place], state: State, pace: Pace, output: Output
    ) -> list[Encoded]:
        """Train and write one unit. state: after the group before it."""
        first, frames = places[0], sum(map(len, unit))
        fresh = first.random_access
        seed = self._settings.seed * 1_000_003 + first.number
        bits = self._control.budget(frames, len(unit), fresh)
        how = self._decision.fit_settings(fresh, self._control.lam(fresh), bits, seed)
        watch = pace.watch(first.number, frames, how.iterations, output)
        base = self._initial if fresh else state
        start = self._scratch if fresh else Parameters(state.latents, state.steps, state.floats)
        if len(unit) > 1:
            window = self._windows.encode(unit, places, base, start, how, watch)
            output.write_window(window.record)
            encoded = window.groups
        else:
            encoded = [self._groups.encode(unit[0], first, base, start, how, watch)]
        for e in encoded:
            output.write(e.record, e.report)
        return encoded

    def _resumed_state(self, output: Output) -> State:
        """What a decoder has after the groups that are already there, as far as the next ones can need it."""
        state = self._initial
        if output.reports and self._settings.share is None:
            for record in output.records():
                state = apply(self._initial if record.random_access else state, record)
        rows = iter(output.reports)
        for first in rows:
            members = first.window.groups if first.window else 1
            unit = [first, *itertools.islice(rows, members - 1)]
            size = sum(row.size for row in unit)
            self._control.account(sum(row.frames for row in unit), first.random_access, size, unit[-1].lam)
        return state


class Pace:
    """Tells the observer how far an encode is."""

    def __init__(self, info: VideoInfo, decision: Decision, frames_before: int, observer: Observer) -> None:
        self._info, self._decision, self._observer = info, decision, observer
        self._before = frames_before
        self._began = time.perf_counter()

    def watch(self, number: int, frames: int, steps: int, output: Output) -> Watch:
        """What the training of the unit that begins with group `number`, of `frames` frames, calls after each step."""

        def report(step: int, mse: float, _: float) -> None:
            spent = max(time.perf_counter() - self._began, 1e-9)
            written = output.writer.frames
            done = written - self._before + min((step + 1) / steps, 1.0) * frames
            total = self._decision.frames
            size = (self._info.width, self._info.height)
            self._observer(
                Progress(
                    group=number,
                    groups=self._decision.groups,
                    step=step + 1,
                    steps=steps,
                    loss_psnr=psnr_from_mse(mse),
                    bpp=bpp(output.writer.bytes_written, written, *size) if written else None,
                    pixels_per_second=done * size[0] * size[1] / spent,
                    seconds_left=None if total is None else (total - self._before - done) * spent / done,
                )
            )

        return report
