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
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

import nvcodec
from nvcodec.bitstream.records import ModelRecord
from nvcodec.bitstream.registry import Inheritance
from nvcodec.decode.device import choose_device
from nvcodec.encode import jobs
from nvcodec.encode.chain import ChainEncoder, beginning
from nvcodec.encode.checking import Place
from nvcodec.encode.engine import Engine
from nvcodec.encode.frame_chain import FrameChainEncoder
from nvcodec.encode.group import GroupEncoder
from nvcodec.encode.layout import Division, Layout, by_layout, find_layout
from nvcodec.encode.output import Output
from nvcodec.encode.plan import Decision, build_frame_model, build_model, decide, divide, video_record
from nvcodec.encode.report import EncodeReport, GroupReport, Observer, Plan, Scan, silent
from nvcodec.encode.settings import EncodeSettings
from nvcodec.errors import DeviceError, SourceError, UsageError
from nvcodec.media.base import Source
from nvcodec.media.source import open_source
from nvcodec.metrics import bpp, mean
from nvcodec.training.search import TYPICAL_COST
from nvcodec.video import Frame, VideoInfo

PROBE_BPP = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # what networks are sized for when a PSNR is asked for
PROBE_PART = 3  # a probe has this part of the first group's iterations
PROBE_HEADROOM = 1.0  # dB that the rest of the iterations are trusted to bring

_Unit = list[Sequence[Frame]]  # frames by group


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
    with it to the same file as if nothing had happened. The observer is told how far the Scan for scene changes is,
    where there is one, the Plan, Progress while a group is
    trained, a GroupReport for each group and the EncodeReport, which is returned too.

    Raises SourceError, TargetError, UsageError, DeviceError and SelfCheckError of nvcodec.errors.
    """
    return encode_part(
        source,
        target,
        settings or EncodeSettings(),
        None,
        force=force,
        resume=resume,
        in_place=in_place,
        observer=observer,
    )


def encode_part(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    settings: EncodeSettings,
    divided: tuple[Division, Layout | None] | None,
    *,
    force: bool = False,
    resume: bool = False,
    in_place: bool = False,
    observer: Observer = silent,
) -> EncodeReport:
    """As `encode`, for a part of a video whose division is known already."""
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    with open_source(source) as video:
        run = _Run(video, str(source), Path(target), settings, divided, observer)
        try:
            return run.encode(force=force, resume=resume, in_place=in_place)
        except torch.cuda.OutOfMemoryError as error:
            raise DeviceError("the GPU ran out of memory; use a smaller --group or --device cpu") from error


class _Run:
    """One encode."""

    def __init__(
        self,
        source: Source,
        source_name: str,
        target: Path,
        settings: EncodeSettings,
        divided: tuple[Division, Layout | None] | None,
        observer: Observer,
    ) -> None:
        self.source, self.source_name, self.target = source, source_name, target
        self.settings, self.observer = settings, observer
        self.info: VideoInfo = source.info
        self.pixels = self.info.width * self.info.height
        self.device = choose_device(settings.device)
        self.digest = source.digest()
        self.frames: int | None = None  # what the source says, where the layout is still to be found
        self.layout: Layout | None = None
        if divided is None:
            self.division, self.frames = divide(settings, source.info, source.frame_count)
        else:
            self.division, self.layout = divided

    def encode(self, *, force: bool, resume: bool, in_place: bool) -> EncodeReport:
        began = time.perf_counter()
        output = Output.open(self.target, self._fingerprint(), force=force, resume=resume, in_place=in_place)
        frames_before = output.writer.frames
        try:
            self._look()
            units = self._units()
            ahead = list(itertools.islice(units, 1))
            if not ahead:
                raise SourceError(f"{self.source_name} has no frames from {self.settings.start} on")
            decision = self._decide(ahead[0][0], output)
            engine = self._engine(decision)
            plan = self._plan(decision, engine, ahead[0][0])
            self.observer(plan)
            if not output.writer.bytes_written:
                self._start_file(output, engine.record)
            if self.settings.chains > 1:
                ahead.clear()
                jobs.encode_chains(self.source_name, self.settings, decision, output, self.observer)
            else:
                engine.encode(_given(ahead, units), output, self.observer)
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

    def _look(self) -> None:
        """Find the layout, where that is possible before the work starts."""
        if self.layout is None and self.frames is not None:
            self.layout = find_layout(
                self.source_name,
                self.settings,
                self.info,
                self.division,
                self.frames,
                lambda done: self.observer(Scan(done, self.frames)),
            )
        if self.settings.chains > 1 and self.layout is None:
            raise UsageError("--chains needs a source that can be read more than once")

    def _units(self) -> Iterator[list[Sequence[Frame]]]:
        """The frames that were asked for, by unit and group, from the first one."""
        frames = itertools.islice(iter(self.source), self.settings.start, self.settings.stop)
        if self.division.rule is None or self.layout is None:
            return self.division.units(frames, self.info)
        return by_layout(frames, self.layout)

    def _decision(self, sizing_bpp: float | None = None) -> Decision:
        return decide(self.settings, self.info, self.division, self.layout, sizing_bpp)

    def _decide(self, first: Sequence[Frame], output: Output) -> Decision:
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

    def _probe(self, decision: Decision, frames: Sequence[Frame]) -> GroupReport:
        """The first group under a network, in the iterations that `decision` gives it; nothing is written."""
        model, record = build_model(self.settings, decision, self.info)
        encoder = GroupEncoder(model, self.info, video_record(self.info), self.device, None)
        base, start = beginning(model, record)
        how = decision.fit_settings(True, decision.training.lam, None, self.settings.seed)
        place = Place(0, 0, 0, 0, Inheritance.NONE)
        return encoder.encode(frames, place, base, start, how, lambda *_: None).report

    def _engine(self, decision: Decision) -> Engine:
        """What makes the groups of the network that was decided on."""
        if decision.network.frames:
            frame_model, record = build_frame_model(self.settings, decision, self.info)
            return FrameChainEncoder(frame_model, record, self.info, self.device, self.settings, decision)
        model, record = build_model(self.settings, decision, self.info)
        return ChainEncoder(model, record, self.info, self.device, self.settings, decision)

    def _plan(self, decision: Decision, engine: Engine, first: Sequence[Frame]) -> Plan:
        """What it will cost; the time from a few steps on the first group."""
        per_step, per_group = engine.pace(first)
        asked_rate = self.settings.lam is None and self.settings.psnr is None
        steps = engine.steps
        if steps is not None and self.settings.psnr is not None:
            steps = round(steps * TYPICAL_COST)
        jobs_used = max(1, min(self.settings.jobs, self.settings.chains))
        return Plan(
            width=self.info.width,
            height=self.info.height,
            frames=decision.frames,
            groups=decision.groups,
            windows=decision.census.windows if decision.layout else None,
            model=decision.network.name,
            config=decision.config,
            parameters=decision.size.total,
            steps_first=decision.steps_first,
            steps_next=decision.steps_next,
            steps_network=decision.steps_network,
            steps=steps,
            bpp=engine.expected_bpp if asked_rate else None,
            seconds=None if steps is None else (steps * per_step + (decision.groups or 0) * per_group) / jobs_used,
            device=str(self.device),
            notes=self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        notes = ["audio is not coded"] if self.source.has_audio else []
        if self.settings.share and self.layout and all(len(unit) == 1 for unit in self.layout.units):
            notes.append("no window has two groups, so nothing is shared; --chunk or --group make shorter ones")
        return (*self.source.notes, *notes)

    def _start_file(self, output: Output, record: ModelRecord) -> None:
        output.writer.write_video(video_record(self.info))
        output.writer.write_meta({"encoder": f"nvcodec {nvcodec.__version__}"})
        output.writer.write_model(record)

    def _report(self, output: Output, plan: Plan, seconds: float, frames_before: int) -> EncodeReport:
        rows = tuple(output.reports)
        size = output.writer.bytes_written
        frames = output.writer.frames
        kinds: dict[str, int] = {}
        for row in rows:
            found = dict(row.bytes_by_kind)
            if row.window:
                found |= {"shared": row.window.bytes - row.window.mask_bytes, "mask": row.window.mask_bytes}
            for kind, count in found.items():
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


def _given(ahead: list[_Unit], rest: Iterator[_Unit]) -> Iterator[_Unit]:
    """All of `ahead`, then the rest; nothing stays in memory that was given."""
    while ahead:
        yield ahead.pop(0)
    yield from rest


def _weighted(rows: tuple[GroupReport, ...], plane: int) -> float:
    """A plane's PSNR, mean over all frames, from the groups' means."""
    return sum(row.psnr_planes[plane] * row.frames for row in rows) / sum(row.frames for row in rows)
