"""One chain of groups of coded frames: each is predicted from the last frame of the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from nvcodec.bitstream.records import ModelRecord
from nvcodec.bitstream.registry import Inheritance
from nvcodec.decode.decoder import Check, Decoder
from nvcodec.decode.pictures import Planes
from nvcodec.decode.state import initial_state
from nvcodec.encode.chain import Pace
from nvcodec.encode.checking import Place
from nvcodec.encode.frame_group import Effort, EncodedFrames, FrameGroupEncoder
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

TIMED_FRAMES, TIMED_STEPS = 3, 2
TRIES = 6  # of a group to reach a PSNR
TRIALS = 3  # of the first group to come near a rate
MISS = 0.08  # of all bits that are left: what the first group may be off its share
GUESSES = 3  # encodes without fitting that tell the first quality
FITTED = 0.8  # of their bits that fitting leaves, about


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
        self._groups = FrameGroupEncoder(model, state, analysis, info, video_record(info), device)
        self._effort = Effort(decision.steps_first, decision.steps_next)
        self._device = device

    def encode(self, units: Iterator[list[Sequence[Frame]]], output: Output, observer: Observer) -> None:
        """Encode to `output`, from where it stands. units: the frames of each group, from the first one on."""
        control, carried = self._control(output), self._resumed(output)
        pace = Pace(self._info, self._decision, output.writer.frames, observer)
        done = output.writer.groups
        for number, (frames,) in enumerate(units):
            if number < done:
                continue
            (inheritance,) = kinds(self._settings, 1, number)
            place = Place(number, 0, 0, output.writer.frames, inheritance)
            encoded, quality = self._group(
                frames, place, None if place.random_access else carried, control, pace, output
            )
            output.write(encoded.record, encoded.report)
            control.account(encoded.report.size, len(frames), place.random_access, quality)
            carried = encoded.last
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
        few = first[:TIMED_FRAMES]
        place = Place(0, 0, 0, 0, Inheritance.NONE)
        for steps in (1, 0, TIMED_STEPS):  # the first step of a process takes longer than others
            report = self._groups.encode(
                few, place, None, round(quality_of(None)), Effort(steps, steps), 0, lambda *_: None
            ).report
            if steps == 0:
                rest = report.seconds_training + report.seconds_coding + report.seconds_checking
                start = report.seconds_training
        per_step = (report.seconds_training - start) / Effort(TIMED_STEPS, TIMED_STEPS).total(len(few), True)
        return max(per_step, 0.0), rest / len(few) * self._decision.group

    def _group(
        self,
        frames: Sequence[Frame],
        place: Place,
        carried: Planes | None,
        control: QualityControl,
        pace: Pace,
        output: Output,
    ) -> tuple[EncodedFrames, int]:
        """A group, at the quality that the rate allows or the PSNR asks for, and that quality."""

        def fitted(quality: int) -> EncodedFrames:
            return self._fitted(frames, place, carried, quality, pace, output)

        if self._settings.psnr is not None:
            return _to_psnr(fitted, control.quality(), self._settings.psnr)
        if not control.asks:
            quality = control.quality()
            return fitted(quality), quality
        self._guess(frames, place, carried, control)
        return self._to_share(fitted, frames, place.random_access, control)

    def _to_share(
        self, fitted: Fitted, frames: Sequence[Frame], fresh: bool, control: QualityControl
    ) -> tuple[EncodedFrames, int]:
        """The first group, near its share of the rate: in short files no other could make up for it."""
        quality = control.quality()
        tried: dict[int, tuple[float, EncodedFrames]] = {}
        while quality not in tried and len(tried) < TRIALS:
            encoded = fitted(quality)
            bits = 8.0 * encoded.report.size
            tried[quality] = control.missed(bits, len(frames), fresh), encoded
            if tried[quality][0] > MISS:
                control.learn(bits, len(frames), fresh, quality)
                quality = control.quality()
        best = min(tried, key=lambda q: tried[q][0])
        return tried[best][1], best

    def _fitted(
        self, frames: Sequence[Frame], place: Place, carried: Planes | None, quality: int, pace: Pace, output: Output
    ) -> EncodedFrames:
        total = self._effort.total(len(frames), place.random_access)
        watch = pace.watch(place.number, len(frames), total, output)
        seed = self._settings.seed * 1_000_003 + place.first_frame
        return self._groups.encode(
            frames, place, carried, quality, self._effort, seed, lambda done, mse: watch(done - 1, mse, 0.0)
        )

    def _guess(self, frames: Sequence[Frame], place: Place, carried: Planes | None, control: QualityControl) -> None:
        """What the first group costs, from its latents before they are fitted."""
        quality = round(quality_of(None))
        for _ in range(GUESSES):
            size = self._groups.size(frames, place, carried, quality)
            control.learn(8.0 * size * FITTED, len(frames), place.random_access, quality)
            quality = control.quality()

    def _control(self, output: Output) -> QualityControl:
        """As it was after the groups that are already there."""
        overhead = output.writer.bytes_written - sum(row.size for row in output.reports)
        control = QualityControl(self._decision, self._info.width * self._info.height, self._settings.lam, overhead)
        for row in output.reports:
            control.account(row.size, row.frames, row.random_access, round(quality_of(row.lam)))
        return control

    def _resumed(self, output: Output) -> Planes | None:
        """The last frame of the groups that are already there, decoded from the last random-access one on."""
        if not output.reports:
            return None
        last = output.writer.frames - 1
        with open(output.path, "rb") as file:
            (found,) = Decoder(file, device=str(self._device)).groups(last, last + 1)
        if found.check is not Check.EXACT:
            raise SelfCheckError(f"{output.path}: group {found.record.number} does not decode to what was encoded")
        return found.frames[-1].planes


def _to_psnr(fitted: Fitted, quality: int, psnr: float) -> tuple[EncodedFrames, int]:
    """A group at the coarsest quality with that PSNR, or the finest tried; `quality` is tried first."""
    tried: dict[int, EncodedFrames] = {}
    wanted: int | None = quality
    while wanted is not None and len(tried) < TRIES:
        tried[wanted] = fitted(wanted)
        wanted = next_quality({q: encoded.report.psnr for q, encoded in tried.items()}, psnr)
    reached = [q for q, encoded in tried.items() if encoded.report.psnr >= psnr]
    best = max(reached) if reached else min(tried)
    return tried[best], best
