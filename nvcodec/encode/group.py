"""One group: frames to a record, checked by decoding its own bytes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nvcodec.bitstream.group_records import GroupRecord
from nvcodec.bitstream.records import VideoRecord
from nvcodec.decode import render
from nvcodec.decode.state import Masks, State, apply, encode_residuals
from nvcodec.encode.checking import Costs, Place, checked, compare, new_record
from nvcodec.encode.report import GroupReport
from nvcodec.errors import SelfCheckError
from nvcodec.media.color import from_rgb, split_planes, stack_planes, to_rgb
from nvcodec.metrics import PsnrMeter
from nvcodec.models.base import LATENT, Backbone
from nvcodec.training.fit import FitResult, Member, Trained, Watch, fit, parts, pictures
from nvcodec.training.search import Measure, Run, fit_to_psnr
from nvcodec.training.settings import FitSettings
from nvcodec.training.trainee import Parameters
from nvcodec.video import Frame, VideoInfo


@dataclass(frozen=True)
class Effort:
    """What training of a group was: lambda at the end, iterations, seconds."""

    lam: float
    iterations: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Encoded:
    """A group that is ready to be written, what a decoder holds after it, and the lambda at its end."""

    record: GroupRecord
    state: State
    lam: float
    report: GroupReport


class GroupEncoder:
    """Encodes groups of one video with one network.

    psnr: the RGB PSNR that each group shall reach, None to train by the rate alone.
    """

    def __init__(
        self, model: Backbone, info: VideoInfo, video: VideoRecord, device: torch.device, psnr: float | None
    ) -> None:
        self.model, self.info, self.video, self.device, self.psnr = model, info, video, device, psnr
        self.mask = model.mask().to(device)

    def encode(
        self, frames: Sequence[Frame], place: Place, base: State, start: Parameters, settings: FitSettings, watch: Watch
    ) -> Encoded:
        """Train, code, decode and compare. base: what the residuals are added to; start: where training begins."""
        target = self.target(frames)

        def run(origin: Sequence[Parameters], how: FitSettings) -> FitResult:
            return fit(self.model, [Member(origin[0], base.latents, target)], self.mask, how, watch)

        def measure(result: FitResult) -> float:
            return self.training_psnr(result.members[0], frames, settings)

        result = self.train(run, measure, [start], settings)
        effort = Effort(result.lam, result.iterations, result.seconds)
        return self.code(frames, place, base, result.members[0], measure(result), effort)

    def train(self, run: Run, measure: Measure, start: Sequence[Parameters], settings: FitSettings) -> FitResult:
        """By the rate, or until a PSNR is reached where one is asked for."""
        return run(start, settings) if self.psnr is None else fit_to_psnr(run, measure, start, settings, self.psnr)

    def target(self, frames: Sequence[Frame]) -> _Target:
        """What training has to reach."""
        return _Target(self.model, frames, self.info, self.device)

    def code(
        self,
        frames: Sequence[Frame],
        place: Place,
        base: State,
        trained: Trained,
        psnr_training: float,
        effort: Effort,
        shared: Masks | None = None,
    ) -> Encoded:
        """Code, decode and compare. shared: of the group's window, as for decode.state.apply."""
        began = time.perf_counter()
        parameters = trained.parameters
        coded = encode_residuals(
            base, parameters.latents, parameters.steps, parameters.floats, fresh=place.random_access, shared=shared
        )
        record = new_record(place, frames, coded.sections)
        coding, began = time.perf_counter() - began, time.perf_counter()

        state = apply(base, GroupRecord.unpack(record.pack(self.video), self.video), shared)
        planes = render.render_group(self.model, state.weights(self.model.tensors, self.device), len(frames), self.info)
        _check_integers(state, parameters, place.number)
        bits = dict(zip(self.latent_names(), coded.tensors.bits, strict=True))
        costs = Costs(psnr_training, trained.mse, bits, effort.lam, effort.iterations, effort.seconds, coding)
        record, report = checked(record, planes, frames, self.video, self.info, self.device, costs, began)
        return Encoded(record, state, effort.lam, report)

    def latent_names(self) -> list[str]:
        """Of the LATENT tensors, in wire order."""
        return [t.name for t in self.model.tensors if t.kind == LATENT]

    def training_psnr(self, trained: Trained, frames: Sequence[Frame], settings: FitSettings) -> float:
        """RGB PSNR, mean over frames, of the training network's own output, brought to the video's pixel format."""
        meter = PsnrMeter(self.info.peak)
        for places in parts(len(frames), settings):
            shown = self.model.assemble(pictures(self.model, trained.weights, places, self.mask))
            for t, planes in zip(places, split_planes(from_rgb(shown, self.info), self.info), strict=True):
                compare(meter, frames[t], planes, self.info, self.device)
        return meter.rgb_mean_over_frames()


class _Target:
    """Frames of a group as training wants them. Held as code values, which take an eighth of the memory of RGB."""

    def __init__(self, model: Backbone, frames: Sequence[Frame], info: VideoInfo, device: torch.device) -> None:
        self.count = len(frames)
        self._model, self._info = model, info
        self._planes = stack_planes(frames, device)

    def __call__(self, frames: Sequence[int]) -> Tensor:
        """(cells, len(frames), 3, h, w)."""
        rgb = to_rgb([plane[list(frames)] for plane in self._planes], self._info)
        return self._model.arrange(rgb).contiguous()


def _check_integers(state: State, parameters: Parameters, number: int) -> None:
    """SelfCheckError unless the bytes gave back exactly what was trained."""
    same = state.steps == parameters.steps and all(
        (a == b).all()
        for a, b in zip(state.latents + state.floats, parameters.latents + parameters.floats, strict=True)  # type: ignore[operator]
    )
    if not same:
        raise SelfCheckError(f"group {number}: the bytes decode to other parameters than were encoded")
