"""Parameters while they are trained: real values behind the integers, and the weights that they stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.models import weights as quantised
from nvcodec.models.base import LATENT, TensorSpec


@dataclass(frozen=True, eq=False)
class Parameters:
    """Where training starts and what it ends with. latents and floats in wire order, latents integer-valued."""

    latents: list[NDArray[np.int32]]
    steps: tuple[int, ...]
    floats: list[NDArray[np.float32]]


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


class Trainee:
    """The real-valued parameters of a network and the weights that they stand for."""

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

    def restore(self, start: Parameters) -> None:
        """Go back to where training started."""
        for value, before in zip(self.values, Trainee(self.tensors, start, self.values[0].device).values, strict=True):
            value.data.copy_(before)
        self.indices = torch.tensor(start.steps, dtype=torch.float32)
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
