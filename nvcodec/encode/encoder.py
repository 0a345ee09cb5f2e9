"""Source to file: plan, train, code, write, check; group by group, in memory for one group.

source -> groups of frames -> training.fit -> integers -> sections -> container
                                                             |
                                   decode.state, decode.render: the same bytes, decoded and compared
"""

from __future__ import annotations

import itertools
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

import nvcodec
from nvcodec.bitstream.records import ModelRecord
from nvcodec.decode.device import choose_device
from nvcodec.decode.state import State, apply, initial_state
from nvcodec.encode import jobs
from nvcodec.encode.group import GroupEncoder, Place
from nvcodec.encode.output import Output
from nvcodec.encode.plan import Decision, build_model, decide, video_record
from nvcodec.encode.rate_control import RateControl
from nvcodec.encode.report import EncodeReport, GroupReport, Observer, Plan, Progress, silent
from nvcodec.encode.settings import EncodeSettings
from nvcodec.errors import DeviceError, SourceError
from nvcodec.media.base import Source
from nvcodec.media.source import open_source
from nvcodec.metrics import bpp, mean, psnr_from_mse
from nvcodec.models.base import Backbone
from nvcodec.planning.groups import grouped, is_random_access
from nvcodec.training.fit import Parameters, Watch, initial_parameters
from nvcodec.training.search import TYPICAL_COST
from nvcodec.video import Frame, VideoInfo

PROBE_BPP = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # what networks are sized for when a PSNR is asked for
PROBE_PART = 3  # a probe has this part of the first group's iterations
PROBE_HEADROOM = 1.0  # dB that the rest of the iterations are trusted to bring
TIMED_STEPS = 3


def encode(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    settings: EncodeSettings | None = None,
    *,
    force: bool = False,
    resume: bool = False,
    in_place: bool = False,
    observer: Observer = silent,
) -> EncodeReport:
    """Encode `source` (whatever media.open_source opens) to the .nvc file `target`.

    Every group is decoded from its bytes before it counts; the report's numbers are those of the file. An interrupted
    encode leaves what is finished in `target`.part (in `target` itself when in_place), decodable, and `resume` goes on
    with it to the same file as if nothing had happened. The observer is told the Plan, Progress while a group is
    trained, a GroupReport for each group and the EncodeReport, which is returned too.

    Raises SourceError, TargetError, UsageError, DeviceError and SelfCheckError of nvcodec.errors.
    """
    settings = settings or EncodeSettings()
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    with open_source(source) as video:
        run = _Run(video, str(source), Path(target), settings, observer)
        try:
            return run.encode(force=force, resume=resume, in_place=in_place)
        except torch.cuda.OutOfMemoryError as error:
            raise DeviceError("the GPU ran out of memory; use a smaller --group or --device cpu") from error


class _Run:
    """One encode."""

    def __init__(
        self, source: Source, source_name: str, target: Path, settings: EncodeSettings, observer: Observer
    ) -> None:
        self.source, self.source_name, self.target = source, source_name, target
        self.settings, self.observer = settings, observer
        self.info: VideoInfo = source.info
        self.pixels = self.info.width * self.info.height
        self.device = choose_device(settings.device)
        self.digest = source.digest()

    def encode(self, *, force: bool, resume: bool, in_place: bool) -> EncodeReport:
        began = time.perf_counter()
        batches = self._groups()
        first = next(batches, None)
        if first is None:
            raise SourceError(f"{self.source_name} has no frames from {self.settings.start} on")
        output = Output.open(self.target, self._fingerprint(), force=force, resume=resume, in_place=in_place)
        frames_before = output.writer.frames
        try:
            decision = self._decide(first, output)
            model, record = build_model(self.settings, decision, self.info)
            plan = self._plan(decision, model, first)
            self.observer(plan)
            if not output.writer.bytes_written:
                self._start_file(output, record)
            if self.settings.chains > 1 and decision.stop is not None:
                jobs.encode_chains(self.source_name, self.settings, decision, output, self.observer)
            else:
                self._encode_groups(itertools.chain([first], batches), decision, model, output)
            output.finish()
        except BaseException:
            output.leave()
            raise
        report = self._report(output, plan, time.perf_counter() - began, frames_before)
        self.observer(report)
        return report

    def _fingerprint(self) -> dict[str, Any]:
        """What has to be the same for an encode to go on."""
        ignored = {"jobs", "threads", "engine"}
        settings = {k: v for k, v in asdict(self.settings).items() if k not in ignored}
        return {"version": nvcodec.__version__, "source": self.digest, **settings}

    def _groups(self) -> Iterator[list[Frame]]:
        """Groups of the frames that were asked for, from the first one."""
        frames = itertools.islice(iter(self.source), self.settings.start, self.settings.stop)
        return grouped(frames, self._decision().group)

    def _decision(self, sizing_bpp: float | None = None) -> Decision:
        return decide(self.settings, self.info, self.source.frame_count, sizing_bpp)

    def _decide(self, first: list[Frame], output: Output) -> Decision:
        """The network; where a PSNR is asked for, the smallest that comes near it on the first group."""
        decision = self._decision()
        if self.settings.psnr is None or not decision.sized:
            return decision
        config = output.model_config()
        if config:  # an encode that goes on has its network in the file
            return decision.with_values(config, self.info)
        for candidate in PROBE_BPP:
            decision = self._decision(candidate)
            steps = max(1, decision.steps_first // PROBE_PART)
            probe = replace(decision, steps_first=steps)
            if self._probe(probe, first).psnr + PROBE_HEADROOM >= self.settings.psnr:
                break
        return decision

    def _probe(self, decision: Decision, frames: list[Frame]) -> GroupReport:
        """The first group under a network, in the iterations that `decision` gives it; nothing is written."""
        model, record = build_model(self.settings, decision, self.info)
        encoder = GroupEncoder(model, self.info, video_record(self.info), self.device, None)
        base = initial_state(model.tensors, record.seed)
        start = initial_parameters(model.tensors, base.latents, self.settings.seed)
        how = decision.fit_settings(True, decision.training.lam, None, self.settings.seed)
        place = Place(0, 0, 0, 0, True)
        return encoder.encode(frames, place, base, start, how, lambda *_: None).report

    def _plan(self, decision: Decision, model: Backbone, first: list[Frame]) -> Plan:
        """What it will cost; the time from a few steps on the first group."""
        self._probe(replace(decision, steps_first=1), first)  # the first step of a process takes longer than others
        timed = self._probe(replace(decision, steps_first=TIMED_STEPS), first)
        per_step = timed.seconds_training / TIMED_STEPS
        per_group = timed.seconds_coding + timed.seconds_checking
        asked_rate = self.settings.lam is None and self.settings.psnr is None
        steps = decision.steps
        if steps is not None and self.settings.psnr is not None:
            steps = round(steps * TYPICAL_COST)
        jobs_used = max(1, min(self.settings.jobs, self.settings.chains))
        return Plan(
            width=self.info.width,
            height=self.info.height,
            frames=decision.frames,
            groups=decision.groups,
            model=self.settings.model,
            config=decision.config,
            parameters=decision.size.total,
            steps_first=decision.steps_first,
            steps_next=decision.steps_next,
            steps=steps,
            bpp=decision.expected_bpp(self.pixels) if asked_rate else None,
            seconds=None if steps is None else (steps * per_step + (decision.groups or 0) * per_group) / jobs_used,
            device=str(self.device),
            notes=self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        audio = ("audio is not coded",) if self.source.has_audio else ()
        return (*self.source.notes, *audio)

    def _start_file(self, output: Output, record: ModelRecord) -> None:
        output.writer.write_video(video_record(self.info))
        output.writer.write_meta({"encoder": f"nvcodec {nvcodec.__version__}"})
        output.writer.write_model(record)

    def _encode_groups(
        self, batches: Iterator[list[Frame]], decision: Decision, model: Backbone, output: Output
    ) -> None:
        """All groups of one chain, from where the output stands."""
        encoder = GroupEncoder(model, self.info, video_record(self.info), self.device, self.settings.psnr)
        control = RateControl(decision, self.pixels, self.settings.lam)
        initial = initial_state(model.tensors, self.settings.seed)
        scratch = initial_parameters(model.tensors, initial.latents, self.settings.seed)
        state = self._resumed_state(output, initial, control)
        pace = _Pace(self.info, decision, output.writer.frames, self.observer)
        done = len(output.reports)
        for number, frames in enumerate(batches):
            if number < done:
                continue
            fresh = is_random_access(number, self.settings.keyint)
            base = initial if fresh else state
            start = scratch if fresh else Parameters(state.latents, state.steps, state.floats)
            how = decision.fit_settings(
                fresh, control.lam(fresh), control.budget(len(frames), fresh), self.settings.seed * 1_000_003 + number
            )

            watch = pace.watch(number, len(frames), how.iterations, output)
            encoded = encoder.encode(frames, Place(number, 0, 0, output.writer.frames, fresh), base, start, how, watch)
            output.write(encoded.record, encoded.report)
            control.account(len(frames), fresh, encoded.report.bytes, encoded.lam)
            state = encoded.state
            self.observer(encoded.report)

    def _resumed_state(self, output: Output, initial: State, control: RateControl) -> State:
        """What a decoder has after the groups that are already there."""
        state = initial
        if output.reports:
            for record in output.records():
                state = apply(initial if record.random_access else state, record)
            for row in output.reports:
                control.account(row.frames, row.random_access, row.bytes, row.lam)
        return state

    def _report(self, output: Output, plan: Plan, seconds: float, frames_before: int) -> EncodeReport:
        rows = tuple(output.reports)
        size = output.writer.bytes_written
        frames = output.writer.frames
        kinds: dict[str, int] = {}
        for row in rows:
            for kind, count in row.bytes_by_kind.items():
                kinds[kind] = kinds.get(kind, 0) + count
        kinds["file"] = size - sum(kinds.values())
        planes = [_weighted(rows, n) for n in range(len(rows[0].psnr_planes))]
        return EncodeReport(
            source=self.source_name,
            source_digest=self.digest,
            target=str(self.target),
            settings=self.settings.chosen(),
            plan=plan,
            frames=frames,
            bytes=size,
            bytes_by_kind=kinds,
            bpp=bpp(size, frames, self.info.width, self.info.height),
            psnr=mean(p for row in rows for p in row.psnr_frames),
            psnr_planes=tuple(planes),
            seconds=seconds,
            pixels_per_second=(frames - frames_before) * self.pixels / seconds,
            versions={
                "nvcodec": nvcodec.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
                "threads": str(torch.get_num_threads()),
                "machine": platform.machine(),
            },
            notes=self._notes(),
            groups=rows,
        )


class _Pace:
    """Tells the observer how far an encode is."""

    def __init__(self, info: VideoInfo, decision: Decision, frames_before: int, observer: Observer) -> None:
        self._info, self._decision, self._observer = info, decision, observer
        self._before = frames_before
        self._began = time.perf_counter()

    def watch(self, number: int, frames: int, steps: int, output: Output) -> Watch:
        """What the training of group `number`, of `frames` frames, calls after each step."""

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


def _weighted(rows: tuple[GroupReport, ...], plane: int) -> float:
    """A plane's PSNR, mean over all frames, from the groups' means."""
    return sum(row.psnr_planes[plane] * row.frames for row in rows) / sum(row.frames for row in rows)
