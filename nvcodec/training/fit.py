"""The one training loop: the integers of groups that trade their error for their bits (NIRVANA, Eq. 2).

The loss is MSE(RGB) + lambda x mean bits per latent. Latents are real while they are trained and rounded in every
forward pass, with a straight-through gradient, so the network that is trained is the one that is decoded. Gradients are
taken with respect to the weights W = round(x) step and passed on: dL/dx = step dL/dW; the index i of a step
2 ** (i / 16) gets dL/di = ln 2 / 16 x sum(W dL/dW), where steps are learned.

A step sees all frames of the group, or a few of them: then each epoch takes all frames once, in a new order.

Groups that share parameters are trained together, partially jointly (NerVast, Algorithm 1): a step takes each group in
turn, moves what is its own and adds its gradient of what is shared to that of the others; then the shared elements move
once, by the sum. Or they move in each group's turn, by its gradient alone: that many more moves are worth more than
their noise costs (docs/experiments.md). Their bits count once. A group alone is the same with nothing shared.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.models.base import Backbone
from nvcodec.training.learner import Learner
from nvcodec.training.optim import Optimizer
from nvcodec.training.settings import FitSettings
from nvcodec.training.trainee import Parameters, Trainee

BITE_SAMPLES = 1 << 20  # samples of a forward pass; larger groups accumulate gradients over several
STEP_INDEX_RATE = 0.16  # learning rate of step indices: one hundredth of an octave a step
LAMBDA_FLOOR = 1e-7
LAMBDA_CEILING = 1.0
GROUP_SEEDS = 7919  # between the seeds of the orders of frames of groups that are trained together

Watch = Callable[[int, float, float], None]
Masks = Sequence[NDArray[np.bool_]]


class Target(Protocol):
    """What a group shall look like. count: its frames."""

    count: int

    def __call__(self, frames: Sequence[int]) -> Tensor:
        """(cells, len(frames), 3, h, w) float32 of these places in the group, on the device to train on."""


@dataclass(frozen=True, eq=False)
class Member:
    """A group to train. start: where training begins; base: the integers that its residuals are counted against.

    follows: these are, instead, the integers of the member before it, as they are while both are trained.
    """

    start: Parameters
    base: Sequence[NDArray[np.int32]]
    target: Target
    follows: bool = False


@dataclass(frozen=True, eq=False)
class Sharing:
    """Which elements of the LATENT tensors all members have in common, and what their residuals are counted against.

    in_turn: they move in each member's turn, not once a step. frozen: they stay as they are, which has to be the same
    for all members; nothing is coded for them.
    """

    shared: Masks
    base: Sequence[NDArray[np.int32]]
    in_turn: bool = False
    frozen: bool = False


@dataclass(frozen=True, eq=False)
class Trained:
    """One group, trained.

    parameters: rounded, as they are coded. weights: of the training network at the end, from which `pictures` makes
    what it shows; mse: its error over samples inside of the picture, not clamped. bits: of its own residuals.
    """

    parameters: Parameters
    weights: list[Tensor]
    mse: float
    bits: float


@dataclass(frozen=True, eq=False)
class FitResult:
    """What training found. bits: of all residuals, estimated; shared_bits: of those that are shared, which are among
    them; lam: at the end. seconds: of all together."""

    members: tuple[Trained, ...]
    bits: float
    shared_bits: float
    lam: float
    iterations: int
    seconds: float

    @property
    def parameters(self) -> list[Parameters]:
        """Of each member."""
        return [member.parameters for member in self.members]


def schedule(step: int, settings: FitSettings) -> float:
    """Learning rate factor of a step: linear warm-up, then half a cosine down to 2%."""
    warm = min(1.0, (step + 1) / max(1, min(settings.warmup, settings.iterations // 4)))
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / settings.iterations)))


class _Group:
    """One group in training: its network, what moves its own elements, and the frames that steps see."""

    def __init__(
        self,
        model: Backbone,
        member: Member,
        mask: Tensor,
        settings: FitSettings,
        shared: list[Tensor] | None,
        number: int,
        before: _Group | None,
    ) -> None:
        self.model, self.member, self.mask, self.settings = model, member, mask, settings
        self.trainee = Trainee(model.tensors, member.start, mask.device)
        own = None if shared is None else [1 - s for s in shared]
        self.learner = Learner(self.trainee, member.base, settings, own)
        self.batches = _batches(member.target, settings, settings.seed + number * GROUP_SEEDS)
        self.mse = math.nan
        self._before = before if member.follows else None
        self._inside = float(mask.sum())  # samples of a frame inside of the picture
        self._opening: list[float] = []  # errors of the first epoch's steps
        self._epoch = len(parts(member.target.count, settings))

    def refresh(self) -> None:
        """Fit the rate's tables to the residuals as they are."""
        if self._before is not None:
            self.learner.rate.base = [torch.round(latent) for latent in self._before.trainee.latents]
        self.learner.refresh()

    def backward(self) -> None:
        """Gradients of the next frames' error."""
        leaves = self.trainee.weights()
        self.mse = backward(self.model, leaves, *next(self.batches), self.mask, self._inside)
        if len(self._opening) < self._epoch:
            self._opening.append(self.mse)
        if math.isfinite(self.mse):
            self.trainee.take_gradients(leaves)

    def opening_error(self) -> float:
        """The least of the first epoch, in which training may already have made it worse; inf where there was none."""
        return min(self._opening, default=math.inf)

    def error(self, trainee: Trainee | None = None) -> float:
        """Of all frames, under the weights of `trainee`, by default the group's."""
        weights = (trainee or self.trainee).detached()
        return _error(self.model, weights, self.member.target, self.mask, self.settings)


class _Common:
    """The shared elements of groups in training: a network of their own, of which the others have copies."""

    def __init__(self, groups: list[_Group], sharing: Sharing, shared: list[Tensor], settings: FitSettings) -> None:
        first = groups[0]
        self._groups = groups
        self.trainee = Trainee(first.model.tensors, first.member.start, first.mask.device)
        self.learner = Learner(self.trainee, sharing.base, settings, shared, floats=False)
        self._shared = [s > 0 for s in shared]
        for value in (*self.trainee.values, self.trainee.indices):
            value.grad = torch.zeros_like(value)

    def collect(self, group: _Group) -> None:
        """Add a group's gradients."""
        for mine, theirs in self._pairs(group):
            assert mine.grad is not None and theirs.grad is not None
            mine.grad.add_(theirs.grad)

    def update(self, step: int, scale: float, weight: float, noise: torch.Generator) -> None:
        """Move by the gradients collected since the last time."""
        self.learner.update(step, scale, weight, noise)
        for value in self.trainee.values:
            assert value.grad is not None
            value.grad.zero_()

    def mirror_steps(self) -> None:
        """The steps of a window are those of all its groups. Their gradients, collected in all turns, start again."""
        for group in self._groups:
            group.trainee.indices.copy_(self.trainee.indices)
            group.trainee.set_steps()
        assert self.trainee.indices.grad is not None
        self.trainee.indices.grad.zero_()

    @torch.no_grad()
    def mirror(self, group: _Group) -> None:
        """Copy the shared elements to a group."""
        for mine, theirs, shared in zip(self.trainee.latents, group.trainee.latents, self._shared, strict=True):
            torch.where(shared, mine, theirs, out=theirs)

    def _pairs(self, group: _Group) -> list[tuple[Tensor, Tensor]]:
        mine, theirs = self.trainee, group.trainee
        return list(zip((*mine.values, mine.indices), (*theirs.values, theirs.indices), strict=True))


def fit(
    model: Backbone,
    members: Sequence[Member],
    mask: Tensor,
    settings: FitSettings,
    watch: Watch,
    sharing: Sharing | None = None,
) -> FitResult:
    """Train one group, or several that share parameters.

    mask: (cells, 1, 1, h, w), on the device to train on. watch(step, mean squared error of the step's frames, bits) is
    called after each step and may raise to stop. What training makes worse is left as it was; with several groups, all
    of them. Deterministic for given inputs, device and thread count. Memory: a step's frames, what the targets hold,
    and of each member six copies of its parameters.
    """
    began = time.perf_counter()
    shared = None if sharing is None else [torch.from_numpy(s).to(mask.device).float() for s in sharing.shared]
    groups: list[_Group] = []
    for number, member in enumerate(members):
        groups.append(_Group(model, member, mask, settings, shared, number, groups[-1] if groups else None))
    common, in_turn = None, False
    if sharing is not None and shared is not None and not sharing.frozen:
        common, in_turn = _Common(groups, sharing, shared, settings), sharing.in_turn
    learners = [group.learner for group in groups] + ([common.learner] if common else [])
    leader = common.trainee if common else groups[0].trainee  # whose steps are learned
    assert common or len(groups) == 1 or not settings.learn_steps, "there is one leader"
    step_optimizer = Optimizer([leader.indices], [STEP_INDEX_RATE], [False])
    noise = torch.Generator(device=mask.device).manual_seed(settings.seed)
    count = sum(v.numel() for v in leader.latents)
    lam = settings.lam
    rate_every = max(1, min(settings.rate_every, settings.iterations // 10))
    mse = math.nan
    for step in range(settings.iterations):
        scale = schedule(step, settings)
        for group in groups:
            if common:
                common.mirror(group)
            group.backward()
            if not math.isfinite(group.mse):
                break
            if group is groups[0] and step % rate_every == 0:
                _refresh(groups, common)
                if settings.target_bits is not None:
                    if step > settings.iterations // 4:
                        lam = _steer(lam, sum(learner.bits for learner in learners), settings.target_bits)
                    _trim(learners, step, settings.target_bits)
            weight = lam / count if count else 0.0
            if common:
                common.collect(group)
            group.learner.update(step, scale, weight, noise)
            if common and in_turn:
                common.update(step, scale, weight / len(groups), noise)
        mse = sum(group.mse for group in groups) / len(groups)
        if not math.isfinite(mse):
            break
        if common and not in_turn:
            common.update(step, scale, weight, noise)
        if settings.learn_steps and step < settings.iterations // 2:
            step_optimizer.step(scale)
            leader.set_steps()
            if common:
                common.mirror_steps()
        watch(step, mse, sum(learner.bits for learner in learners))
    for group in groups:
        group.batches.close()  # and the pictures that it holds
    if math.isfinite(mse):
        _refresh(groups, common)
        if settings.target_bits is not None:
            _trim(learners, settings.iterations, settings.target_bits)
            _refresh(groups, common)
    errors = [group.error() if math.isfinite(mse) else math.inf for group in groups]
    if not sum(errors) < sum(group.opening_error() for group in groups):
        errors = _undo_if_worse(groups, common, errors)  # in doubt: what training began with costs less
        _refresh(groups, common)
    trained = tuple(
        Trained(group.trainee.result(), group.trainee.detached(), error, group.learner.bits)
        for group, error in zip(groups, errors, strict=True)
    )
    return FitResult(
        members=trained,
        bits=sum(learner.bits for learner in learners),
        shared_bits=common.learner.bits if common else 0.0,
        lam=lam,
        iterations=settings.iterations,
        seconds=time.perf_counter() - began,
    )


def _refresh(groups: Sequence[_Group], common: _Common | None) -> None:
    if common:
        for group in groups:
            common.mirror(group)
        common.learner.refresh()
    for group in groups:
        group.refresh()


def _steer(lam: float, bits: float, target_bits: float) -> float:
    """Lambda, moved towards the one that makes the residuals take `target_bits`."""
    ratio = max(bits, 1.0) / target_bits
    return min(max(lam * float(min(max(ratio, 0.5), 2.0) ** 0.7), LAMBDA_FLOOR), LAMBDA_CEILING)


def _trim(learners: Sequence[Learner], step: int, target_bits: float) -> None:
    """Cut all down to the budget by the same factor, once it is time for that."""
    bits = sum(learner.bits for learner in learners)
    for learner in learners:
        learner.trim(step, target_bits * learner.bits / max(bits, 1.0))


def _undo_if_worse(groups: list[_Group], common: _Common | None, errors: list[float]) -> list[float]:
    """Back to the start unless the groups' errors, inf where training diverged, are less than at the start."""
    before = [group.error(Trainee(group.model.tensors, group.member.start, group.mask.device)) for group in groups]
    if sum(errors) < sum(before):
        return errors
    for group in groups:
        group.trainee.restore(group.member.start)
    if common:
        common.trainee.restore(groups[0].member.start)
    return before


def parts(count: int, settings: FitSettings) -> list[range]:
    """All places of a group of `count` frames in order, as many at a time as a step sees."""
    size = settings.frames_per_step or count
    return [range(first, min(first + size, count)) for first in range(0, count, size)]


def _batches(target: Target, settings: FitSettings, seed: int) -> Generator[tuple[Sequence[int], Tensor]]:
    """For ever: the places that the next step sees, and their pictures (cells, T, 3, h, w)."""
    size = settings.frames_per_step or target.count
    if size >= target.count:
        whole = target(range(target.count))
        while True:
            yield range(target.count), whole
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(target.count, generator=generator).tolist()
        for first in range(0, target.count, size):
            places = order[first : first + size]
            yield places, target(places)


def _bites(model: Backbone, frames: Sequence[int], mask: Tensor) -> list[range]:
    """Cells that go through the network together."""
    size = max(1, BITE_SAMPLES // (len(frames) * mask.shape[-2] * mask.shape[-1]))
    return [range(first, min(first + size, model.cells)) for first in range(0, model.cells, size)]


def backward(
    model: Backbone, leaves: list[Tensor], frames: Sequence[int], target: Tensor, mask: Tensor, inside: float
) -> float:
    """Forward and backward over all cells, in bites; the mean squared error over the `inside` samples of each frame
    that the mask keeps. The leaves' gradients are added to."""
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
