"""The latents of frames of the model `mc`, by gradients through its network, which stays as it is.

    minimise  D / lambda + R        D: of RGB and luma (training.distortion), R: bits per pixel

over real values v of the latents, once displacements were searched for (training.displacement). They start as the
analysis network has them, and in frames that are predicted nearer to 0 by what makes them cheapest, a dead zone as
other codecs' quantisation has. What the network sees and what is rated is the same, s(s(v)), where s rounds softly, but
nearly as hard as what is coded (Agustsson and Theis 2020). Beginning softer, or with noise besides (Ladune et al. 2023,
COOL-CHIC), takes hundreds of steps to make up for what it spoils in values that are near their best
(docs/experiments.md).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nvcodec.models.base import FIELDS, Weights
from nvcodec.models.integer import SMOOTH, UNIT
from nvcodec.models.latents import LATENT_BOUND, LatentNetwork, Tuning
from nvcodec.models.mc import FLOW_UNIT, Mc
from nvcodec.models.motion import Reference, predict
from nvcodec.training.analysis import Analyses
from nvcodec.training.displacement import search
from nvcodec.training.laplace import heavy_bits
from nvcodec.training.rated import rated
from nvcodec.training.settling import Coding

QUALITIES_PER_OCTAVE = 16  # indices that double all steps
FINEST_LAMBDA = 2.0**-15  # of quality 0: what the prior was trained for
DEFAULT_LAMBDA = 2.0**-10
WARM = 5  # steps until the learning rates are whole
LEAST_RATE = 0.05  # of a learning rate, at the end
SURE_LOG2 = -4.625  # of a scale, below which there is no row for it (section 16.8 of the spec)
ZONES = (0.05, 0.1, 0.2)  # of steps
SHARPNESS = 10.0  # of soft rounding
SMALL_GRADIENT = 0.3  # bits per step of a latent: those that have less of a say move by less


def lambda_of(quality: float) -> float:
    """lambda of a quality index: it grows with the square of the steps, as in the training of the prior."""
    return FINEST_LAMBDA * 4 ** (quality / QUALITIES_PER_OCTAVE)


def quality_of(lam: float | None) -> float:
    """The quality index of lambda, not rounded, in any range; of DEFAULT_LAMBDA for None."""
    lam = DEFAULT_LAMBDA if lam is None else max(lam, 1e-12)
    return QUALITIES_PER_OCTAVE * math.log2(lam / FINEST_LAMBDA) / 2


@dataclass(frozen=True)
class FrameSettings:
    """steps: of gradients, 0 to take what the analysis network says. lam: lambda. rate: learning rate of latents, in
    their steps."""

    steps: int
    lam: float
    rate: float = 0.05


@dataclass(frozen=True, eq=False)
class Task:
    """A frame to fit. target: its picture (1, 6, h, w); references: none, one or two; guess: of its first field, in
    eighths of a quarter sample, as the model codes it; starts: fields (2, rows, columns) to begin the search from;
    depth: in the hierarchy; fields: (1, 2, rows, columns) each, where they were searched for before."""

    target: Tensor
    references: Sequence[Reference] = ()
    guess: Tensor | None = None
    starts: Sequence[Tensor] | None = None
    depth: int = 0
    fields: tuple[Tensor, ...] | None = None


@dataclass(frozen=True, eq=False)
class FrameLatents:
    """What is coded of one frame, integers as float32: latents of each level (1, C, h, w), and displacements to each
    reference (1, 2, rows, columns)."""

    latents: dict[int, Tensor]
    fields: tuple[Tensor, ...]

    def by_name(self, network: LatentNetwork) -> dict[str, Tensor]:
        """By the names under which the model codes them. network: that of the frame."""
        return network.grids(self.latents) | dict(zip(FIELDS, self.fields, strict=False))


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
        self.seconds = 0.0  # that all steps took

    def fit(self, tasks: Sequence[Task], quality: int, settings: FrameSettings, watch: Watch) -> list[FrameLatents]:
        """tasks: frames that all have the same number of references.

        A frame that fitting did not improve stays as the analysis network had it. Latents of the finest level, of the
        two finest, or of all, are 0 where the frame is better off without them.
        """
        work = self._start(tasks, quality, settings.lam)
        costs = self._shrink(work, settings.lam)
        if settings.steps:
            before = {level: v.clone() for level, v in work.values.items()}
            began = time.perf_counter()
            self._descend(work, settings, watch)
            self.seconds += time.perf_counter() - began
            fitted = self._costs(work, settings.lam)
            for level, values in work.values.items():
                values[fitted > costs] = before[level][fitted > costs]
            costs = torch.minimum(fitted, costs)
        self._leave_out(work, costs, settings.lam)
        return work.latents()

    @torch.no_grad()
    def look(self, tasks: Sequence[Task], quality: int, lam: float) -> list[tuple[FrameLatents, float]]:
        """Frames as `fit` has them without steps, and D / lambda + R of each."""
        work = self._start(tasks, quality, lam)
        costs = self._leave_out(work, self._shrink(work, lam), lam)
        return list(zip(work.latents(), costs.tolist(), strict=True))

    @torch.no_grad()
    def _start(self, tasks: Sequence[Task], quality: int, lam: float) -> _Work:
        """What search and the analysis network say."""
        target = torch.cat([task.target for task in tasks])
        fields = self._searched(tasks, quality, lam)
        prediction, moving = None, torch.zeros(len(tasks), device=target.device)
        if tasks[0].references:
            prediction = torch.cat([predict(t.references, f) for t, f in zip(tasks, fields, strict=True)])
            moving = torch.cat([self._moving(t, quality, f) for t, f in zip(tasks, fields, strict=True)])
        octaves = torch.full((len(tasks),), quality / QUALITIES_PER_OCTAVE, device=target.device)
        found = self.analysis(target, prediction, octaves)
        tuning = self.model.tuning(self.weights, prediction is None, quality)
        levels = self.model.levels(prediction is None)
        values = {level: found[level] / step for level, step in zip(levels, tuning.steps, strict=True)}
        return _Work(target, prediction, tuning, values, fields, moving)

    def _searched(self, tasks: Sequence[Task], quality: int, lam: float) -> list[tuple[Tensor, ...]]:
        """The displacements of each frame. On the CPU frames are searched for side by side."""

        def found(task: Task) -> tuple[Tensor, ...]:
            if not task.references:
                return ()
            if task.fields is not None:
                return task.fields
            coding = Coding(self.model, self.weights, task.depth, quality)
            return tuple(search(task.target, task.references, lam, task.guess, task.starts, coding))

        threads = min(torch.get_num_threads(), len(tasks))
        if threads == 1 or tasks[0].target.device.type != "cpu":
            return [found(task) for task in tasks]
        for reference in (reference for task in tasks for reference in task.references):
            _ = reference.luma  # made once, before all who need it
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(found, tasks))

    def _moving(self, task: Task, quality: int, fields: Sequence[Tensor]) -> Tensor:
        """Bits of the fields of a frame, (1,)."""
        meter = RateMeter(dict(zip(FIELDS, fields, strict=False)))
        self.model.displacements(self.weights, task.references, task.depth, quality, meter.code, guess=task.guess)
        return meter.total

    def _shrink(self, work: _Work, lam: float) -> Tensor:
        """Bring the values of each frame nearer to 0 by what makes it cheapest. What they cost then, (N,)."""
        costs = self._costs(work, lam)
        start = {level: v.clone() for level, v in work.values.items()}
        for zone in ZONES if work.prediction is not None else ():
            less = {level: v.sign() * (v.abs() - zone).clamp(min=0) for level, v in start.items()}
            found = self._costs(replace(work, values=less), lam)
            for level, values in work.values.items():
                values[found < costs] = less[level][found < costs]
            costs = torch.minimum(found, costs)
        return costs

    def _leave_out(self, work: _Work, costs: Tensor, lam: float) -> Tensor:
        """Make latents 0 where that is cheaper: a frame says of each level whether it is coded. What frames cost then,
        (N,). costs: as they are."""
        levels = tuple(work.values)
        for coded in range(len(levels) - 1, -1, -1):
            without = self._costs(work, lam, levels[:coded])
            cheaper = without < costs
            if not bool(cheaper.any()):
                break
            work.values[levels[coded]][cheaper] = 0.0
            costs = torch.minimum(without, costs)
        return costs

    def _coded(self, work: _Work, levels: Sequence[int] | None = None, softly: bool = False) -> tuple[Tensor, Tensor]:
        """(distortions, bits) of each frame, (N,), of rounded values. levels: those that are coded, None for all."""
        meter = RateMeter(self.model.network(work.prediction is None).grids(work.values), softly)
        picture = self.model.picture(self.weights, work.tuning, work.prediction, meter.code, SMOOTH, levels)
        return self.distortion(picture, work.target), meter.total + work.moving

    @torch.no_grad()
    def _costs(self, work: _Work, lam: float, levels: Sequence[int] | None = None) -> Tensor:
        """D / lambda + R of each frame, (N,), of the rounded values of the levels that are coded."""
        distortion, rate = self._coded(work, levels)
        return distortion / lam + rate / self.pixels

    def _descend(self, work: _Work, settings: FrameSettings, watch: Watch) -> None:
        """Improve values in place."""
        leaves = list(work.values.values())
        for leaf in leaves:
            leaf.requires_grad_()
        optimizer = torch.optim.Adam(leaves, betas=(0.9, 0.95), eps=SMALL_GRADIENT / self.pixels)
        for step in range(settings.steps):
            decay = 0.5 * (1 + math.cos(math.pi * step / settings.steps)) * (1 - LEAST_RATE) + LEAST_RATE
            for group in optimizer.param_groups:
                group["lr"] = settings.rate * decay * min(1.0, (step + 1) / WARM)
            distortion, rate = self._coded(work, softly=True)
            optimizer.zero_grad()
            (distortion.sum() / settings.lam + rate.sum() / self.pixels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            self.mse = float(distortion.detach().mean())
            watch(step + 1, self.mse)
        for leaf in leaves:
            leaf.requires_grad_(False)


@dataclass(frozen=True, eq=False)
class _Work:
    """Frames that are being fitted: targets (N, 6, h, w), their prediction (N, 12, h, w) or None, latents in steps of
    each level, the fields of each frame and what they cost, bits (N,)."""

    target: Tensor
    prediction: Tensor | None
    tuning: Tuning
    values: dict[int, Tensor]
    fields: list[tuple[Tensor, ...]]
    moving: Tensor

    def latents(self) -> list[FrameLatents]:
        """Of each frame, as they are coded."""
        return [
            FrameLatents({level: _whole(v[n : n + 1]) for level, v in self.values.items()}, fields)
            for n, fields in enumerate(self.fields)
        ]


def soft_round(values: Tensor) -> Tensor:
    """Rounded twice, softly: nearly integers, with gradients between them."""
    for _ in range(2):
        middle = torch.floor(values).detach() + 0.5
        values = middle + torch.tanh(SHARPNESS * (values - middle)) / (2 * math.tanh(SHARPNESS / 2))
    return values


class RateMeter:
    """A coder (models.base.Coder) that codes nothing: gives rounded values, and adds up the bits of each frame.

    As in a file, what the network is sure of is what it expects, in eighths and then whole, and costs nothing
    (`entropy.laws.pass_laws`).

    softly: whether they are rounded by `soft_round`. total: (N,).
    """

    def __init__(self, values: dict[str, Tensor], softly: bool = False) -> None:
        self.total: Tensor = torch.zeros(())
        self._values = {name: soft_round(v) if softly else torch.round(v) for name, v in values.items()}

    def code(
        self, name: str, stride: int, cells: Tensor, location: Tensor, scale: Tensor, step: Tensor | None
    ) -> Tensor:
        """As models.base.Coder."""
        values = self._values[name][:, :, ::stride, ::stride]
        if step is None:
            values, bits = self._moved(values, cells, location / FLOW_UNIT, scale * (2 / UNIT))
        else:
            log2_step = torch.floor(256 * torch.log2(step / UNIT)) / 256
            values, bits = rated(values, values, (location, scale), step, log2_step, cells, sure=SURE_LOG2)
        self.total = self.total + bits
        return values

    def _moved(self, values: Tensor, cells: Tensor, expected: Tensor, log2_scale: Tensor) -> tuple[Tensor, Tensor]:
        """`rated`, of displacements, whose laws have heavy tails."""
        sure = log2_scale.detach() < SURE_LOG2
        eighths = torch.floor(8 * expected.detach() + 0.5)
        values = torch.where(sure, torch.floor((eighths + 4) / 8), values)
        mask = cells.to(values.dtype)
        return values * mask, (heavy_bits(values, expected, log2_scale) * (mask * ~sure)).sum((1, 2, 3))


def _whole(values: Tensor) -> Tensor:
    return torch.round(values.detach()).clamp(-LATENT_BOUND, LATENT_BOUND)
