"""Some elements of a network's parameters, and all that moves them: optimizer, rate, pruning."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.models.base import LATENT, TensorSpec
from nvcodec.training.optim import Optimizer
from nvcodec.training.pruning import Pruner
from nvcodec.training.rate import ResidualRate
from nvcodec.training.settings import FitSettings
from nvcodec.training.trainee import Trainee

TRIM_FROM = 0.8  # part of the iterations after which a group that is over its budget is cut down to it
TOLERATED = 1.05  # of the budget, at the end: a last cut would cost quality that no training repairs


class Learner:
    """Moves the elements `own` of the trainee's parameters by the gradients that these hold.

    base: of the LATENT tensors, the integers that residuals are counted against. own: of these tensors, 1 where an
    element moves and is coded, else 0; None for all elements, of the unquantised tensors too, which are left alone
    where `floats` is false.
    """

    def __init__(
        self,
        trainee: Trainee,
        base: Sequence[NDArray[np.int32]],
        settings: FitSettings,
        own: Sequence[Tensor] | None = None,
        floats: bool = True,
    ) -> None:
        self.trainee, self.settings = trainee, settings
        device = trainee.values[0].device
        self.rate = ResidualRate([torch.from_numpy(b.astype(np.float32)).to(device) for b in base], own)
        self.rates = learning_rates(trainee, settings)
        masks: list[Tensor | None] = []
        latent_masks = iter(own or ())
        for value, latent in zip(trainee.values, trainee.is_latent, strict=True):
            if latent:
                masks.append(next(latent_masks) if own is not None else None)
            else:
                masks.append(None if floats else torch.zeros_like(value))
        # What starts at zero, such as embeddings, is no matrix between two layers.
        muon = [settings.muon and t.radius > 0 for t in trainee.tensors]
        self._optimizer = Optimizer(trainee.values, self.rates, muon, masks)
        self._pruner = None
        if settings.prune:
            units = [_unit(t, step) for t, step in zip(trainee.tensors, trainee.steps, strict=True) if t.kind == LATENT]
            self._pruner = Pruner(trainee.latents, units, self.rate.own, settings.prune)
        self._trim_at = math.inf
        if settings.proximal and not settings.muon:
            self._trim_at = settings.iterations * TRIM_FROM

    @property
    def bits(self) -> float:
        """Of the residuals, when the rate was last refreshed."""
        return self.rate.bits

    def refresh(self) -> None:
        """Fit the rate's tables to the residuals."""
        self.rate.refresh(self.trainee.latents)

    def trim(self, step: int, target_bits: float) -> None:
        """Cut down to the budget, once it is time for that. Learners that Muon moves are steered by lambda alone."""
        tolerated = target_bits * (TOLERATED if step >= self.settings.iterations else 1)
        if step >= self._trim_at and self.bits > tolerated:
            self.rate.trim(self.trainee.latents, self._gains(), target_bits)

    def update(self, step: int, scale: float, weight: float, noise: torch.Generator) -> None:
        """One step. scale: of the learning rates; weight: of a bit, in units of the loss."""
        if not self.settings.proximal:
            self.rate.add_gradient(self.trainee.latents, weight, noise)
        self._optimizer.step(scale)
        if self.settings.proximal:
            rates = [lr for lr, latent in zip(self.rates, self.trainee.is_latent, strict=True) if latent]
            strengths = [gain * (weight * lr * scale) for gain, lr in zip(self._gains(), rates, strict=True)]
            self.rate.shrink(self.trainee.latents, strengths)
        if self._pruner is not None:
            self._pruner.after_step(step, self.settings.iterations)

    def _gains(self) -> list[Tensor | float]:
        return self._optimizer.gains_of_latents(self.trainee.is_latent)


def learning_rates(trainee: Trainee, settings: FitSettings) -> list[float]:
    """Of each tensor, in its own units. Latents live on a scale of 1 / step, so their rates do too."""
    out = []
    for t, step in zip(trainee.tensors, trainee.steps, strict=True):
        bound = t.bound if settings.relative else 1.0
        out.append(settings.rate * bound / step)
    return out


def _unit(tensor: TensorSpec, step: float) -> float | None:
    """What pruning measures latents of a tensor in; None for one that it leaves alone."""
    return tensor.bound / step if tensor.radius > 0 and len(tensor.shape) > 1 else None
