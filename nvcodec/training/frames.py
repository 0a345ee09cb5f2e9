"""The latents and displacements of frames of the model `mc`, by gradients through its network, which stays as it is.

    minimise  D / lambda + R        D: mean squared error of RGB in [0, 1], R: bits per pixel

over real values v. What the network sees and what is rated is the same, s(s(v) + u): s rounds softly, u is uniform
noise; over the steps s becomes a hard rounding and u vanishes, so that what is fitted becomes what is coded (Ladune et
al. 2023, COOL-CHIC; Agustsson and Theis 2020). Values rounded with straight-through gradients for D, and with noise for
R, settle at the edges between integers, the more so the longer they are fitted (docs/experiments.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nvcodec.models.base import Weights
from nvcodec.models.integer import EXACT, SMOOTH, UNIT
from nvcodec.models.mc import FLOW_BOUND, FLOW_UNIT, LATENT_BOUND, LEVELS, Mc
from nvcodec.models.motion import Reference, predict
from nvcodec.training.analysis import Analyses
from nvcodec.training.displacement import search
from nvcodec.training.laplace import bits

QUALITIES_PER_OCTAVE = 16  # indices that double all steps
FINEST_LAMBDA = 1 / 2048  # of quality 0: what the prior was trained for
DEFAULT_LAMBDA = 1 / 256
WARM = 5  # steps until the learning rates are whole
LEAST_RATE = 0.05  # of a learning rate, at the end
SHARPNESS = (2.0, 10.0)  # of soft rounding, at the start and at the end


def lambda_of(quality: float) -> float:
    """lambda of a quality index: it grows with the square of the steps, as in the training of the prior."""
    return FINEST_LAMBDA * 4 ** (quality / QUALITIES_PER_OCTAVE)


def quality_of(lam: float | None) -> float:
    """The quality index of lambda, not rounded, in any range; of DEFAULT_LAMBDA for None."""
    lam = DEFAULT_LAMBDA if lam is None else max(lam, 1e-12)
    return QUALITIES_PER_OCTAVE * math.log2(lam / FINEST_LAMBDA) / 2


@dataclass(frozen=True)
class FrameSettings:
    """steps: of gradients, 0 to take what analysis and search say. lam: lambda. rate: learning rate of latents, in
    their steps; flow_rate: of displacements, in quarter samples. seed: of the noise."""

    steps: int
    lam: float
    rate: float = 0.1
    flow_rate: float = 0.4
    seed: int = 0


@dataclass(frozen=True, eq=False)
class FrameLatents:
    """What is coded of one frame, integers as float32: latents of each level (1, C, h, w), and displacements to each
    reference (1, 2, rows, columns)."""

    latents: dict[int, Tensor]
    fields: tuple[Tensor, ...]

    def by_name(self) -> dict[str, Tensor]:
        """By the names under which the model codes them."""
        return _by_name(self.latents, self.fields)


Watch = Callable[[int, float], None]
"""watch(steps done, mean squared error): called after each step."""

Distortion = Callable[[Tensor, Tensor], Tensor]
"""distortion(pictures, targets) -> (N,), both (N, 6, h, w) in quarters of a code value."""


class FrameTrainer:
    """Fits frames of one size under one network. Frames that do not refer to each other are fitted together."""

    def __init__(self, model: Mc, weights: Weights, analysis: Analyses, distortion: Distortion, pixels: int) -> None:
        """pixels: luma samples of a frame, without padding."""
        self.model, self.weights, self.analysis = model, weights, analysis
        self.distortion, self.pixels = distortion, pixels
        self.mse = 1.0  # of the last step

    def fit(
        self,
        targets: Sequence[Tensor],
        references: Sequence[Sequence[Reference]],
        quality: int,
        settings: FrameSettings,
        watch: Watch,
    ) -> list[FrameLatents]:
        """targets: pictures (1, 6, h, w); references: of each frame, the same number of all, 0 to 2.

        A frame that fitting did not improve stays as analysis and search had it.
        """
        work = self._start(targets, references, quality)
        if settings.steps:
            before = _copied(work)
            self._descend(work, settings, watch)
            worse = self._costs(work, settings.lam) > self._costs(before, settings.lam)
            for ours, theirs in zip(work.leaves, before.leaves, strict=True):
                ours[worse] = theirs[worse]
        latents = [
            {level: _whole(v[n : n + 1], LATENT_BOUND) for level, v in work.values.items()} for n in range(len(targets))
        ]
        moved = [tuple(_whole(field[n : n + 1], FLOW_BOUND) for field in work.fields) for n in range(len(targets))]
        return [FrameLatents(y, f) for y, f in zip(latents, moved, strict=True)]

    def outlook(self, target: Tensor, references: Sequence[Reference], quality: int, lam: float) -> float:
        """D / lambda + R of one frame before it is fitted."""
        return float(self._costs(self._start([target], [references], quality), lam))

    def _start(self, targets: Sequence[Tensor], references: Sequence[Sequence[Reference]], quality: int) -> _Work:
        """What analysis and search say."""
        target = torch.cat(list(targets))
        refs = [_stack(column) for column in zip(*references, strict=True)]
        steps = self.model.steps(self.weights, not refs, quality)
        fields = self._search(targets, references)
        with torch.no_grad():
            found = self.analysis(target, predict(refs, fields, EXACT) if refs else None)
        values = {level: found[level] / step for level, step in zip(LEVELS, steps, strict=True)}
        return _Work(target, refs, steps, values, fields)

    def _coded(self, work: _Work, softness: Softness | None) -> tuple[Tensor, Tensor]:
        """(distortions, bits) of each frame, (N,), of values rounded softly, or, for None, to integers."""
        meter = RateMeter(work.by_name(), softness)
        prediction = None
        if work.fields:
            names = [f"flow{number}" for number in range(len(work.fields))]
            moved = self.model.displacements(self.weights, names, meter.code, SMOOTH, len(work.target))
            prediction = predict(work.references, moved, SMOOTH)
        picture = self.model.picture(self.weights, work.steps, prediction, meter.code, SMOOTH)
        return self.distortion(picture, work.target), meter.total

    @torch.no_grad()
    def _costs(self, work: _Work, lam: float) -> Tensor:
        """D / lambda + R of each frame, (N,), of the rounded values."""
        distortion, rate = self._coded(work, None)
        return distortion / lam + rate / self.pixels

    def _search(self, targets: Sequence[Tensor], references: Sequence[Sequence[Reference]]) -> list[Tensor]:
        """Displacements to each reference, (N, 2, rows, columns), whole quarter samples."""
        columns = list(zip(*references, strict=True))
        return [
            torch.cat([search(target, reference.picture) for target, reference in zip(targets, column, strict=True)])
            for column in columns
        ]

    def _descend(self, work: _Work, settings: FrameSettings, watch: Watch) -> None:
        """Improve values and fields in place."""
        for leaf in work.leaves:
            leaf.requires_grad_()
        groups = [{"params": list(work.values.values()), "lr": 0.0, "whole": settings.rate}]
        if work.fields:
            groups.append({"params": work.fields, "lr": 0.0, "whole": settings.flow_rate})
        optimizer = torch.optim.Adam(groups, betas=(0.9, 0.95))
        generator = torch.Generator(work.target.device).manual_seed(settings.seed)
        for step in range(settings.steps):
            decay = 0.5 * (1 + math.cos(math.pi * step / settings.steps)) * (1 - LEAST_RATE) + LEAST_RATE
            for group in optimizer.param_groups:
                group["lr"] = group["whole"] * decay * min(1.0, (step + 1) / WARM)
            distortion, rate = self._coded(work, Softness(step / settings.steps, generator))
            optimizer.zero_grad()
            (distortion.sum() / settings.lam + rate.sum() / self.pixels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            self.mse = float(distortion.detach().mean())
            watch(step + 1, self.mse)
        for leaf in work.leaves:
            leaf.requires_grad_(False)


@dataclass(frozen=True, eq=False)
class _Work:
    """Frames that are being fitted: targets (N, 6, h, w), latents in steps of each level, displacements."""

    target: Tensor
    references: list[Reference]
    steps: list[Tensor]
    values: dict[int, Tensor]
    fields: list[Tensor]

    @property
    def leaves(self) -> list[Tensor]:
        """What is fitted."""
        return [*self.values.values(), *self.fields]

    def by_name(self) -> dict[str, Tensor]:
        """By the names under which the model codes them."""
        return _by_name(self.values, self.fields)


def _copied(work: _Work) -> _Work:
    values = {level: v.clone() for level, v in work.values.items()}
    return replace(work, values=values, fields=[field.clone() for field in work.fields])


def _by_name(latents: Mapping[int, Tensor], fields: Sequence[Tensor]) -> dict[str, Tensor]:
    named = {f"latent{level}": values for level, values in latents.items()}
    return named | {f"flow{number}": field for number, field in enumerate(fields)}


@dataclass(frozen=True, eq=False)
class Softness:
    """How values are rounded on the way to integers. progress: of the fit, 0 to 1."""

    progress: float
    generator: torch.Generator

    def __call__(self, values: Tensor) -> Tensor:
        """Softly rounded, with what is left of the noise."""
        sharpness = SHARPNESS[0] + (SHARPNESS[1] - SHARPNESS[0]) * self.progress
        noise = torch.rand(values.shape, generator=self.generator, device=values.device) - 0.5
        return _soft_round(_soft_round(values, sharpness) + (1 - self.progress) * noise, sharpness)


def _soft_round(x: Tensor, sharpness: float) -> Tensor:
    middle = torch.floor(x).detach() + 0.5
    return middle + torch.tanh(sharpness * (x - middle)) / (2 * math.tanh(sharpness / 2))


class RateMeter:
    """A coder (models.base.Coder) that codes nothing: gives values softly rounded, and adds up the bits of each frame.

    softness: None to round them to integers. total: (N,).
    """

    def __init__(self, values: dict[str, Tensor], softness: Softness | None) -> None:
        self.total: Tensor = torch.zeros(())
        self._values = {name: torch.round(v) if softness is None else softness(v) for name, v in values.items()}

    def code(
        self, name: str, stride: int, cells: Tensor, location: Tensor, scale: Tensor, step: Tensor | None
    ) -> Tensor:
        """As models.base.Coder."""
        values = self._values[name][:, :, ::stride, ::stride]
        mask = cells.to(location.dtype)
        if step is None:
            found = bits(values, location / FLOW_UNIT, scale * (2 / UNIT))
        else:
            found = bits(values, location / step, scale * (2 / UNIT) - torch.log2(step / UNIT))
        self.total = self.total + (found * mask).sum((1, 2, 3))
        return values * mask


def _stack(references: Sequence[Reference]) -> Reference:
    if len(references) == 1:
        return references[0]
    return Reference(*(torch.cat([getattr(r, name) for r in references]) for name in ("picture", "luma", "chroma")))


def _whole(values: Tensor, bound: int) -> Tensor:
    return torch.round(values.detach()).clamp(-bound, bound)
