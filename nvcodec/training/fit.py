"""The one training loop: the integers of a group that trade its error for its bits (NIRVANA, Eq. 2).

The loss is MSE(RGB) + lambda x mean bits per latent. Latents are real while they are trained and rounded in every
forward pass, with a straight-through gradient, so the network that is trained is the one that is decoded. Gradients are
taken with respect to the weights W = round(x) step and passed on: dL/dx = step dL/dW; the index i of a step
2 ** (i / 16) gets dL/di = ln 2 / 16 x sum(W dL/dW), where steps are learned.

A step sees all frames of the group, or a few of them: then each epoch takes all frames once, in a new order.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.models import weights as quantised
from nvcodec.models.base import LATENT, Backbone, TensorSpec
from nvcodec.training.optim import Optimizer
from nvcodec.training.rate import ResidualRate

BITE_SAMPLES = 1 << 20  # samples of a forward pass; larger groups accumulate gradients over several
STEP_INDEX_RATE = 0.16  # learning rate of step indices: one hundredth of an octave a step
LAMBDA_FLOOR = 1e-7
TRIM_FROM = 0.8  # part of the iterations after which a group that is over its budget is cut down to it
TOLERATED = 1.05  # of the budget, at the end: a last cut would cost quality that no training repairs
LAMBDA_CEILING = 1.0


@dataclass(frozen=True)
class FitSettings:
    """How one group is trained.

    iterations, or steps; frames_per_step: frames that a step sees, 0 for all; muon: Muon, else Adam; proximal: how the
    rate enters (training.rate), else as a gradient; rate: learning rate, in units of a tensor's initial bound where
    `relative`, else of weights, as the paper's 5e-4; lam: lambda of Eq. 2 at the start; target_bits: adapt lambda so
    that the residuals take that many, None keeps it; rate_every: steps between two evaluations of the code lengths;
    learn_steps: step indices are trained too, in the first half; warmup: steps; seed: of the noise and of the order of
    frames.
    """

    iterations: int
    frames_per_step: int = 0
    muon: bool = True
    proximal: bool = True
    relative: bool = True
    rate: float = 0.03
    lam: float = 1e-4
    target_bits: float | None = None
    rate_every: int = 8
    learn_steps: bool = False
    warmup: int = 10
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Parameters:
    """Where training starts and what it ends with. latents and floats in wire order, latents integer-valued."""

    latents: list[NDArray[np.int32]]
    steps: tuple[int, ...]
    floats: list[NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class FitResult:
    """What training found.

    parameters: rounded, as they are coded. weights: of the training network at the end, from which `pictures` makes
    what it shows; mse: its error over samples inside of the picture, not clamped. bits: of the residuals, estimated.
    lam: at the end.
    """

    parameters: Parameters
    weights: list[Tensor]
    mse: float
    bits: float
    lam: float
    iterations: int
    seconds: float


Watch = Callable[[int, float, float], None]


class Target(Protocol):
    """What a group shall look like. count: its frames."""

    count: int

    def __call__(self, frames: Sequence[int]) -> Tensor:
        """(cells, len(frames), 3, h, w) float32 of these places in the group, on the device to train on."""


def initial_parameters(tensors: Sequence[TensorSpec], latents: list[NDArray[np.int32]], seed: int) -> Parameters:
    """Before the first group: pseudo-random latents with the steps that make them the backbone's initial weights."""
    steps = tuple(quantised.step_index(t.bound / (t.radius or 256)) for t in tensors if t.kind == LATENT)
    generator = torch.Generator().manual_seed(seed)
    floats = []
    for t in tensors:
        if t.kind != LATENT:
            value = (torch.rand(t.shape, generator=generator) * 2 - 1) * (t.bound if t.radius else 0.0)
            floats.append(value.numpy())
    return Parameters(latents, steps, floats)


class _Trainee:
    """The real-valued parameters of a fit and the weights that they stand for."""

    def __init__(self, tensors: Sequence[TensorSpec], start: Parameters, device: torch.device) -> None:
        self.tensors = tensors
        latents, floats = iter(start.latents), iter(start.floats)
        self.values = [
            torch.from_numpy((next(latents) if t.kind == LATENT else next(floats)).astype(np.float32)).to(device)
            for t in tensors
        ]
        self.is_latent = [t.kind == LATENT for t in tensors]
        self.latents = [v for v, latent in zip(self.values, self.is_latent, strict=True) if latent]
        self.indices = torch.tensor(start.steps, dtype=torch.float32)
        self.steps = [1.0] * len(tensors)
        self.set_steps()

    def set_steps(self) -> None:
        """Steps of the rounded indices, clamped to the range that the format has."""
        self.indices.clamp_(quantised.MIN_STEP_INDEX, quantised.MAX_STEP_INDEX)
        rounded = iter(int(i) for i in torch.round(self.indices).tolist())
        self.steps = [quantised.step_size(next(rounded)) if latent else 1.0 for latent in self.is_latent]

    def weights(self) -> list[Tensor]:
        """Leaves that collect gradients: exactly the decoder's weights."""
        out = []
        for value, step, latent in zip(self.values, self.steps, self.is_latent, strict=True):
            w = torch.round(value) * step if latent else value.detach().clone()
            out.append(w.requires_grad_())
        return out

    def detached(self) -> list[Tensor]:
        """The same weights, to look at."""
        return [leaf.detach() for leaf in self.weights()]

    def take_gradients(self, leaves: Sequence[Tensor]) -> None:
        """From weights to latents and step indices."""
        index_grads = []
        for value, leaf, step, latent in zip(self.values, leaves, self.steps, self.is_latent, strict=True):
            assert leaf.grad is not None
            if latent:
                index_grads.append((leaf.grad * leaf.detach()).sum() * (math.log(2) / quantised.STEPS_PER_OCTAVE))
            value.grad = leaf.grad.mul_(step)
        self.indices.grad = torch.stack(index_grads).cpu() if index_grads else torch.zeros(0)

    def result(self) -> Parameters:
        """Rounded, as they are coded."""
        arrays = [v.detach().cpu() for v in self.values]
        pairs = list(zip(arrays, self.is_latent, strict=True))
        return Parameters(
            [torch.round(v).to(torch.int32).numpy() for v, latent in pairs if latent],
            tuple(int(i) for i in torch.round(self.indices).tolist()),
            [v.numpy().astype(np.float32) for v, latent in pairs if not latent],
        )


def schedule(step: int, settings: FitSettings) -> float:
    """Learning rate factor of a step: linear warm-up, then half a cosine down to 2%."""
    warm = min(1.0, (step + 1) / max(1, min(settings.warmup, settings.iterations // 4)))
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / settings.iterations)))


def fit(
    model: Backbone,
    start: Parameters,
    base: Sequence[NDArray[np.int32]],
    target: Target,
    mask: Tensor,
    settings: FitSettings,
    watch: Watch,
) -> FitResult:
    """Train one group from `start`; residuals are counted against `base`, the integers that the decoder has.

    mask: (cells, 1, 1, h, w), on the device to train on. watch(step, mse of the step's frames, bits) is called after
    each step and may raise to stop. What training makes worse is left as it was. Deterministic for given inputs, device
    and thread count. Memory: a step's frames, and what `target` holds.
    """
    began = time.perf_counter()
    device = mask.device
    trainee = _Trainee(model.tensors, start, device)
    rate = ResidualRate([torch.from_numpy(b.astype(np.float32)).to(device) for b in base])
    rates = _learning_rates(trainee, settings)
    # What starts at zero, such as embeddings, is no matrix between two layers.
    optimizer = Optimizer(trainee.values, rates, [settings.muon and t.radius > 0 for t in model.tensors])
    step_optimizer = Optimizer([trainee.indices], [STEP_INDEX_RATE], [False])
    noise = torch.Generator(device=device).manual_seed(settings.seed)
    count = sum(v.numel() for v in trainee.latents)
    lam = settings.lam
    batches = _batches(target, settings)
    rate_every = max(1, min(settings.rate_every, settings.iterations // 10))
    trim_at = settings.iterations * TRIM_FROM if settings.proximal and not settings.muon else math.inf
    inside = float(mask.sum())  # samples of a frame inside of the picture
    opening: list[float] = []  # errors of the first epoch's steps
    epoch = len(parts(target.count, settings))
    for step in range(settings.iterations):
        leaves = trainee.weights()
        mse = _accumulate(model, leaves, *next(batches), mask, inside)
        if step < epoch:
            opening.append(mse)
        if not math.isfinite(mse):
            break
        trainee.take_gradients(leaves)
        if step % rate_every == 0:
            rate.refresh(trainee.latents)
            if settings.target_bits is not None and step > settings.iterations // 4:
                ratio = max(rate.bits, 1.0) / settings.target_bits
                lam = min(max(lam * min(max(ratio, 0.5), 2.0) ** 0.7, LAMBDA_FLOOR), LAMBDA_CEILING)
            if step >= trim_at and settings.target_bits is not None and rate.bits > settings.target_bits:
                rate.trim(trainee.latents, optimizer.gains_of_latents(trainee.is_latent), settings.target_bits)
        scale = schedule(step, settings)
        weight = lam / count if count else 0.0
        if not settings.proximal:
            rate.add_gradient(trainee.latents, weight, noise)
        optimizer.step(scale)
        if settings.proximal:
            gains = optimizer.gains_of_latents(trainee.is_latent)
            latent_rates = [lr for lr, latent in zip(rates, trainee.is_latent, strict=True) if latent]
            strengths = [gain * (weight * lr * scale) for gain, lr in zip(gains, latent_rates, strict=True)]
            rate.shrink(trainee.latents, strengths)
        if settings.learn_steps and step < settings.iterations // 2:
            step_optimizer.step(scale)
            trainee.set_steps()
        watch(step, mse, rate.bits)
    del batches  # and the pictures that it holds
    if math.isfinite(mse):
        rate.refresh(trainee.latents)
        if trim_at < math.inf and settings.target_bits is not None and rate.bits > settings.target_bits * TOLERATED:
            rate.trim(trainee.latents, optimizer.gains_of_latents(trainee.is_latent), settings.target_bits)
        weights = trainee.detached()
        mse = _error(model, weights, target, mask, settings)
    if not mse < sum(opening) / len(opening):  # in doubt: is it better than what training began with, which costs less
        before = _Trainee(model.tensors, start, device)
        first = _error(model, before.detached(), target, mask, settings)
        if not mse < first:
            trainee, weights, mse = before, before.detached(), first
            rate.refresh(trainee.latents)
    seconds = time.perf_counter() - began
    return FitResult(trainee.result(), weights, mse, rate.bits, lam, settings.iterations, seconds)


def _learning_rates(trainee: _Trainee, settings: FitSettings) -> list[float]:
    """Of each tensor, in its own units. Latents live on a scale of 1 / step, so their rates do too."""
    out = []
    for t, step in zip(trainee.tensors, trainee.steps, strict=True):
        bound = t.bound if settings.relative else 1.0
        out.append(settings.rate * bound / step)
    return out


def parts(count: int, settings: FitSettings) -> list[range]:
    """All places of a group of `count` frames in order, as many at a time as a step sees."""
    size = settings.frames_per_step or count
    return [range(first, min(first + size, count)) for first in range(0, count, size)]


def _batches(target: Target, settings: FitSettings) -> Iterator[tuple[Sequence[int], Tensor]]:
    """For ever: the places that the next step sees, and their pictures (cells, T, 3, h, w)."""
    size = settings.frames_per_step or target.count
    if size >= target.count:
        whole = target(range(target.count))
        while True:
            yield range(target.count), whole
    generator = torch.Generator().manual_seed(settings.seed)
    while True:
        order = torch.randperm(target.count, generator=generator).tolist()
        for first in range(0, target.count, size):
            places = order[first : first + size]
            yield places, target(places)


def _bites(model: Backbone, frames: Sequence[int], mask: Tensor) -> list[range]:
    """Cells that go through the network together."""
    size = max(1, BITE_SAMPLES // (len(frames) * mask.shape[-2] * mask.shape[-1]))
    return [range(first, min(first + size, model.cells)) for first in range(0, model.cells, size)]


def _accumulate(
    model: Backbone, leaves: list[Tensor], frames: Sequence[int], target: Tensor, mask: Tensor, inside: float
) -> float:
    """Forward and backward over all cells, in bites; the mean squared error over the `inside` samples of each frame
    that the mask keeps."""
    normaliser = 1.0 / (3.0 * inside * len(frames))
    total = 0.0
    for cells in _bites(model, frames, mask):
        prediction = model.predict(leaves, frames, cells)
        error = prediction.detach() - target[cells.start : cells.stop]
        error.mul_(mask[cells.start : cells.stop])
        total += float(torch.linalg.vector_norm(error)) ** 2 * normaliser
        prediction.backward(error.mul_(2.0 * normaliser))  # type: ignore[no-untyped-call]
    return total


@torch.no_grad()
def pictures(model: Backbone, weights: Sequence[Tensor], frames: Sequence[int], mask: Tensor) -> Tensor:
    """(cells, T, 3, h, w) of places `frames`: the forward pass of training, all cells."""
    return torch.cat([model.predict(weights, frames, cells) for cells in _bites(model, frames, mask)])


def _error(model: Backbone, weights: Sequence[Tensor], target: Target, mask: Tensor, settings: FitSettings) -> float:
    """The mean squared error over samples inside of the picture, of all frames."""
    total = 0.0
    for frames in parts(target.count, settings):
        error = pictures(model, weights, frames, mask) - target(frames)
        total += float((error.square() * mask).sum(dtype=torch.float64))
    return total / (3.0 * float(mask.sum()) * target.count)
