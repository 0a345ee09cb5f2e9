"""One group: frames to a record, checked by decoding its own bytes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nvcodec.bitstream import chunks
from nvcodec.bitstream.records import GroupRecord, VideoRecord
from nvcodec.bitstream.registry import Inheritance
from nvcodec.decode import render
from nvcodec.decode.state import State, apply, encode_residuals
from nvcodec.encode.report import GroupReport
from nvcodec.errors import SelfCheckError
from nvcodec.media.color import from_rgb, split_planes, stack_planes, to_rgb
from nvcodec.metrics import PsnrMeter, bpp, psnr_from_mse
from nvcodec.models.base import LATENT, Backbone
from nvcodec.training.fit import FitResult, FitSettings, Parameters, Watch, fit
from nvcodec.training.search import fit_to_psnr
from nvcodec.video import Frame, Plane, VideoInfo


@dataclass(frozen=True)
class Place:
    """Where a group stands."""

    number: int
    chain: int
    model: int
    first_frame: int
    random_access: bool


@dataclass(frozen=True, eq=False)
class Encoded:
    """A group that is ready to be written, what a decoder holds after it, and where training would go on."""

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
        source = to_rgb(stack_planes(frames, self.device), self.info)  # (T, 3, H, W)
        target = self.model.arrange(source).contiguous()

        def run(origin: Parameters, how: FitSettings) -> FitResult:
            return fit(self.model, origin, base.latents, target, self.mask, how, watch)

        def measure(trained: FitResult) -> float:
            return self._training_psnr(trained, source, frames)

        if self.psnr is None:
            result = run(start, settings)
        else:
            result = fit_to_psnr(run, measure, start, settings, self.psnr)

        began = time.perf_counter()
        parameters = result.parameters
        coded = encode_residuals(
            base, parameters.latents, parameters.steps, parameters.floats, fresh=place.random_access
        )
        record = GroupRecord(
            number=place.number,
            chain=place.chain,
            model=place.model,
            inheritance=Inheritance.NONE if place.random_access else Inheritance.PREVIOUS,
            first_frame=place.first_frame,
            pts=tuple(frame.pts for frame in frames),
            pixel_hash=bytes(8),
            means=(0,) * len(frames[0].planes),
            sections=coded.sections,
        )
        coding, began = time.perf_counter() - began, time.perf_counter()

        decoded = GroupRecord.unpack(record.pack(self.video), self.video)
        state = apply(base, decoded)
        planes = render.render_group(self.model, state.weights(self.model.tensors, self.device), len(frames), self.info)
        _check_integers(state, parameters, place.number)
        record = replace(record, pixel_hash=render.pixel_hash(planes), means=render.plane_means(planes))
        meter = PsnrMeter(self.info.peak)
        rows = [self._compare(meter, source[t], frames[t], planes[t]) for t in range(len(frames))]
        checking = time.perf_counter() - began

        sizes = {section.kind.name.lower(): len(section.data) for section in record.sections}
        size = len(record.pack(self.video)) + chunks.OVERHEAD
        names = [t.name for t in self.model.tensors if t.kind == LATENT]
        report = GroupReport(
            number=place.number,
            chain=place.chain,
            random_access=place.random_access,
            first_frame=place.first_frame,
            frames=len(frames),
            psnr=meter.rgb_mean_over_frames(),
            psnr_frames=tuple(rows),
            psnr_planes=meter.planes_mean_over_frames(),
            psnr_training=measure(result),
            psnr_loss=psnr_from_mse(result.mse),
            bytes=size,
            bytes_by_kind={**sizes, "headers": size - sum(sizes.values())},
            bits_per_tensor=dict(zip(names, coded.tensors.bits, strict=True)),
            bpp=bpp(size, len(frames), self.info.width, self.info.height),
            lam=result.lam,
            steps=result.iterations,
            seconds_training=result.seconds,
            seconds_coding=coding,
            seconds_checking=checking,
        )
        return Encoded(record, state, result.lam, report)

    def _training_psnr(self, trained: FitResult, source: Tensor, frames: Sequence[Frame]) -> float:
        """RGB PSNR, mean over frames, of the training network's own output, brought to the video's pixel format."""
        planes = split_planes(from_rgb(self.model.assemble(trained.output), self.info), self.info)
        meter = PsnrMeter(self.info.peak)
        for t, frame in enumerate(frames):
            self._compare(meter, source[t], frame, planes[t])
        return meter.rgb_mean_over_frames()

    def _compare(self, meter: PsnrMeter, source: Tensor, frame: Frame, planes: tuple[Plane, ...]) -> float:
        """RGB PSNR of one frame, which is added to the meter."""
        decoded = to_rgb(stack_planes([Frame(planes, 0)], self.device), self.info)[0]
        pair = (source.cpu().numpy(), decoded.cpu().numpy())
        return meter.add(pair, (frame.planes, planes)).rgb


def _check_integers(state: State, parameters: Parameters, number: int) -> None:
    """SelfCheckError unless the bytes gave back exactly what was trained."""
    same = state.steps == parameters.steps and all(
        (a == b).all()
        for a, b in zip(state.latents + state.floats, parameters.latents + parameters.floats, strict=True)  # type: ignore[operator]
    )
    if not same:
        raise SelfCheckError(f"group {number}: the bytes decode to other parameters than were encoded")
