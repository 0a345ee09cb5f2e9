"""One chain of groups of coded frames: each is predicted from the last frame of the one before."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from nvcodec.bitstream.container import Reader
from nvcodec.bitstream.frames import FramesSection
from nvcodec.bitstream.group_records import GroupRecord
from nvcodec.bitstream.records import ModelRecord
from nvcodec.bitstream.registry import Inheritance, SectionKind
from nvcodec.decode.decoder import Check, Decoder
from nvcodec.decode.state import apply_network, initial_state
from nvcodec.encode.chain import Pace
from nvcodec.encode.checking import Place
from nvcodec.encode.frame_fit import Effort
from nvcodec.encode.frame_group import After, EncodedFrames, FrameGroupEncoder
from nvcodec.encode.layout import kinds
from nvcodec.encode.output import Output
from nvcodec.encode.plan import Decision, video_record
from nvcodec.encode.quality_control import QualityControl, next_quality
from nvcodec.encode.report import Observer
from nvcodec.encode.settings import EncodeSettings
from nvcodec.errors import SelfCheckError
from nvcodec.models.mc import Mc, McConfig
from nvcodec.training.analysis import load_analyses
from nvcodec.training.frames import quality_of
from nvcodec.video import Frame, VideoInfo

TIMED = ((2, 1), (3, 2))  # frames and steps; the first ones of a process take longer than others
TRIES = 6  # of a group to reach a PSNR
TRIALS = 3  # of a group to come near a rate
HEIRS = 4  # groups that share the price of a change in the network, at most
FITTED = 0.97  # of the bits of latents that fitting leaves, about


Fitted = Callable[[int], EncodedFrames]
"""A group, fitted at a quality."""


class FrameChainEncoder:
    """Encodes the groups of one chain."""

    def __init__(
        self,
        model: Mc,
        record: ModelRecord,
        info: VideoInfo,
        device: torch.device,
        settings: EncodeSettings,
        decision: Decision,
    ) -> None:
        self.record = record
        self._settings, self._decision, self._info = settings, decision, info
        state = initial_state(model.tensors, record.seed, record.origin, record.prior)
        analysis = load_analyses(record.prior, McConfig(*record.config))
        self._groups = FrameGroupEncoder(model, state, analysis, info, video_record(info), device, settings.seed)
        self._effort = Effort(decision.steps_first, decision.steps_next, decision.steps_network)
        self._initial = state
        self._device = device

    def encode(self, units: Iterator[list[Sequence[Frame]]], output: Output, observer: Observer) -> None:
        """Encode to `output`, from where it stands. units: the frames of each group, from the first one on."""
        overhead = output.writer.bytes_written - sum(row.size for row in output.reports)
        control = QualityControl(self._decision, self._info.width * self._info.height, self._settings.lam, overhead)
        before = self._resumed(output)
        pace = Pace(self._info, self._decision, output.writer.frames, observer)
        written = _intra_frames_written(output)
        for number, (frames,) in enumerate(units):
            if number == 0 and self._decision.bpp is not None:
                guess(self._size, frames, control)
            if number < len(written):
                control.account(output.reports[number], written[number])
                continue
            (inheritance,) = kinds(self._settings, 1, number)
            place = Place(number, 0, 0, output.writer.frames, inheritance)
            encoded = self._group(frames, place, None if place.random_access else before, control, pace, output)
            output.write(encoded.record, encoded.report)
            control.account(encoded.report, intra_frames(encoded.record))
            before = encoded.after
            observer(encoded.report)

    @property
    def steps(self) -> int | None:
        """As Engine: of all frames."""
        if self._decision.layout is None:
            return None
        chains = [[length for unit in chain for length in unit] for chain in self._decision.layout.chains]
        return sum(
            self._effort.total(length, kinds(self._settings, 1, number) == [Inheritance.NONE])
            for lengths in chains
            for number, length in enumerate(lengths)
        )

    @property
    def expected_bpp(self) -> float | None:
        """As Engine."""
        return self._decision.bpp

    def pace(self, first: Sequence[Frame]) -> tuple[float, float]:
        """As Engine."""
        place, quality = Place(0, 0, 0, 0, Inheritance.NONE), round(quality_of(None))
        for count, steps in TIMED:
            few = first[:count]
            timed = Effort(steps, steps, min(steps, self._effort.network))
            latents, network = self._groups.seconds_of_steps, self._groups.seconds_of_network
            report = self._groups.encode(few, place, None, quality, timed, lambda *_: None).report
            latents, network = self._groups.seconds_of_steps - latents, self._groups.seconds_of_network - network
        rest = report.seconds_training + report.seconds_coding + report.seconds_checking - latents - network
        # Of a group: what it takes on average, which is asked for in steps.
        of_network, of_latents = timed.network_steps(len(few), True), replace(timed, network=0).total(len(few), True)
        group = self._decision.group
        in_network = self._effort.network_steps(group, False)
        in_latents = self._effort.total(group, False) - in_network
        seconds = in_latents * latents / of_latents + in_network * network / max(of_network, 1)
        return seconds / (in_latents + in_network), rest / len(few) * group

    def _group(
        self,
        frames: Sequence[Frame],
        place: Place,
        before: After | None,
        control: QualityControl,
        pace: Pace,
        output: Output,
    ) -> EncodedFrames:
        """A group, at the quality that the rate allows or the PSNR asks for."""

        def fitted(quality: int) -> EncodedFrames:
            return self._fitted(frames, place, before, quality, pace, output)

        if self._settings.psnr is not None:
            return to_psnr(fitted, control.quality(), self._settings.psnr)
        if self._decision.bpp is not None:
            return to_rate(fitted, control)
        return fitted(control.quality())

    def _fitted(
        self, frames: Sequence[Frame], place: Place, before: After | None, quality: int, pace: Pace, output: Output
    ) -> EncodedFrames:
        total = self._effort.total(len(frames), place.random_access)
        price = 1 / self._heirs(place.number)
        watch = pace.watch(place.number, len(frames), total, output)
        return self._groups.encode(
            frames, place, before, quality, self._effort, lambda done, mse: watch(done - 1, mse, 0.0), price
        )

    def _heirs(self, number: int) -> int:
        """How many groups have what changes in the network with group `number`, itself included, up to HEIRS."""
        groups = self._decision.groups
        last = number + HEIRS if groups is None else min(number + HEIRS, groups)
        after = range(number + 1, last)
        inherits = (kinds(self._settings, 1, later) == [Inheritance.PREVIOUS] for later in after)
        return 1 + sum(1 for _ in itertools.takewhile(bool, inherits))

    def _size(self, frames: Sequence[Frame], quality: int) -> int:
        """Bytes of a random-access group that is not fitted."""
        return self._groups.size(frames, Place(0, 0, 0, 0, Inheritance.NONE), quality)

    def _resumed(self, output: Output) -> After | None:
        """What the groups that are already there leave, decoded from the last random-access one on."""
        if not output.reports:
            return None
        last = output.writer.frames - 1
        with open(output.path, "rb") as file:
            (found,) = Decoder(file, device=str(self._device)).groups(last, last + 1)
        if found.check is not Check.EXACT:
            raise SelfCheckError(f"{output.path}: group {found.record.number} does not decode to what was encoded")
        state = self._initial
        for record in output.records():
            state = apply_network(self._initial if record.random_access else state, record)
        return After(state, found.frames[-1].planes)


def guess(size: Callable[[Sequence[Frame], int], int], frames: Sequence[Frame], control: QualityControl) -> None:
    """Tell what the first group costs before it is fitted: once all of it, else its intra frame, which takes no time.

    size: bytes of a random-access group of some frames at a quality, not fitted.
    """
    quality = round(quality_of(None))
    for some in (frames[:1], frames[:1], frames, frames[:1]):
        intra, whole = (8.0 * FITTED * size(part, quality) for part in (frames[:1], some))
        control.guess(quality, intra, (whole - intra) / (len(some) - 1) if len(some) > 1 else None)
        quality = control.quality()


def to_rate(fitted: Fitted, control: QualityControl) -> EncodedFrames:
    """A group with which the file can come near its rate."""
    quality = control.quality()
    tried: dict[int, tuple[float, EncodedFrames]] = {}
    while quality not in tried and len(tried) < TRIALS:
        encoded = fitted(quality)
        off, better = control.better(encoded.report, intra_frames(encoded.record))
        tried[quality] = off, encoded
        quality = better
    return min(tried.values(), key=lambda one: one[0])[1]


def to_psnr(fitted: Fitted, quality: int, psnr: float) -> EncodedFrames:
    """A group at the coarsest quality with that PSNR, or the finest tried; `quality` is tried first."""
    tried: dict[int, EncodedFrames] = {}
    wanted: int | None = quality
    while wanted is not None and len(tried) < TRIES:
        tried[wanted] = fitted(wanted)
        wanted = next_quality({q: encoded.report.psnr for q, encoded in tried.items()}, psnr)
    reached = [q for q, encoded in tried.items() if encoded.report.psnr >= psnr]
    return tried[max(reached) if reached else min(tried)]


def intra_frames(record: GroupRecord) -> int:
    """How many of a group's frames are coded on their own."""
    section = FramesSection.unpack(record.section(SectionKind.FRAMES), record.frame_count)
    return sum(frame.intra for frame in section.frames)


def _intra_frames_written(output: Output) -> list[int]:
    """Those of each of the groups that are already there."""
    if not output.reports:
        return []
    with open(output.path, "rb") as file:
        return [intra_frames(record) for record in itertools.islice(Reader(file).groups(), len(output.reports))]
