"""One group: frames to a record, checked by decoding its own bytes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nvcodec.bitstream import chunks
from nvcodec.bitstream.group_records import GroupRecord
from nvcodec.bitstream.records import VideoRecord
from nvcodec.bitstream.registry import Inheritance
from nvcodec.decode import render
from nvcodec.decode.state import Masks, State, apply, encode_residuals
from nvcodec.encode.report import GroupReport
from nvcodec.errors import SelfCheckError
from nvcodec.media.color import from_rgb, split_planes, stack_planes, to_rgb
from nvcodec.metrics import PsnrMeter, bpp, psnr_from_mse
from nvcodec.models.base import LATENT, Backbone
from nvcodec.training.fit import FitResult, Member, Trained, Watch, fit, parts, pictures
from nvcodec.training.search import Measure, Run, fit_to_psnr
from nvcodec.training.settings import FitSettings
from nvcodec.training.trainee import Parameters
from nvcodec.video import Frame, Plane, VideoInfo


@dataclass(frozen=True)
class Place:
    """Where a group stands."""

    number: int
    chain: int
    model: int
    first_frame: int
    inheritance: Inheritance

    @property
    def random_access(self) -> bool:
        """Whether it decodes without the groups before."""
        return self.inheritance in (Inheritance.NONE, Inheritance.WINDOW)


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
        record = GroupRecord(
            number=place.number,
            chain=place.chain,
            model=place.model,
            inheritance=place.inheritance,
            first_frame=place.first_frame,
            pts=tuple(frame.pts for frame in frames),
            pixel_hash=bytes(8),
            means=(0,) * len(frames[0].planes),
            sections=coded.sections,
        )
        coding, began = time.perf_counter() - began, time.perf_counter()

        decoded = GroupRecord.unpack(record.pack(self.video), self.video)
        state = apply(base, decoded, shared)
        planes = render.render_group(self.model, state.weights(self.model.tensors, self.device), len(frames), self.info)
        _check_integers(state, parameters, place.number)
        record = replace(record, pixel_hash=render.pixel_hash(planes), means=render.plane_means(planes))
        meter = PsnrMeter(self.info.peak)
        rows = [compare(meter, frames[t], planes[t], self.info, self.device) for t in range(len(frames))]
        checking = time.perf_counter() - began

        sizes = {section.kind.name.lower(): len(section.data) for section in record.sections}
        size = len(record.pack(self.video)) + chunks.OVERHEAD
        report = GroupReport(
            number=place.number,
            chain=place.chain,
            random_access=place.random_access,
            inheritance=place.inheritance.name.lower(),
            first_frame=place.first_frame,
            frames=len(frames),
            psnr=meter.rgb_mean_over_frames(),
            psnr_frames=tuple(rows),
            psnr_planes=meter.planes_mean_over_frames(),
            psnr_training=psnr_training,
            psnr_loss=psnr_from_mse(trained.mse),
            bytes=size,
            bytes_by_kind={**sizes, "headers": size - sum(sizes.values())},
            bits_per_tensor=dict(zip(self.latent_names(), coded.tensors.bits, strict=True)),
            bpp=bpp(size, len(frames), self.info.width, self.info.height),
            lam=effort.lam,
            steps=effort.iterations,
            seconds_training=effort.seconds,
            seconds_coding=coding,
            seconds_checking=checking,
        )
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


def compare(meter: PsnrMeter, frame: Frame, planes: tuple[Plane, ...], info: VideoInfo, device: torch.device) -> float:
    """RGB PSNR of `planes`, which were decoded, against one frame; both are added to the meter."""
    pair = [to_rgb(stack_planes([f], device), info)[0].cpu().numpy() for f in (frame, Frame(planes, 0))]
    return meter.add((pair[0], pair[1]), (frame.planes, planes)).rgb


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
