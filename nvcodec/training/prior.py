"""A prior of the model `mc` while it is trained: its networks and their analysis networks, as real numbers.

Parameters are in units of 1, where the model has integers: an activation of 1 is UNIT of them, a weight of 1 is FINE.
Steps are exponential in the quality, two parameters a level: the model has them as a table.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nvcodec.models import priors
from nvcodec.models.base import Weights
from nvcodec.models.integer import BOUND, EXACT_SUMS, FINE, UNIT
from nvcodec.models.mc import INTER, INTRA, LEVELS, QUALITIES, Mc, McConfig
from nvcodec.models.motion import CELL
from nvcodec.training.analysis import Analyses, save_analyses
from nvcodec.training.frames import QUALITIES_PER_OCTAVE

FIRST_STEP = 0.2 * UNIT  # of quality 0 where nothing was learned
STEPS = (1.0, 1500.0)  # the least and the greatest
MOST_BIAS = 8192  # in the model's integers: a quarter of what a prior can hold
SMALLER = 0.3  # initial weights of what gives locations and scales, over the usual
SMALLEST = 0.1  # of what is added to a prediction
FIRST_SCALE = 0.5  # of displacements: half the log2 of b, in activations


class Prior(nn.Module):
    """The networks of one configuration. seed: of the initial weights."""

    def __init__(self, config: McConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.model = Mc(config, CELL, CELL)  # for its layers and names alone, which no size changes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.values = nn.ParameterDict({_key(t.name): _initial(t.name, t.shape) for t in self.model.tensors})
            self.analyses = Analyses(config)

    def weights(self) -> Weights:
        """What the model takes, not rounded and with gradients; without its tables of steps."""
        out = {}
        for t in self.model.tensors:
            if not t.name.endswith(".steps"):
                out[t.name] = self.values[_key(t.name)] * (FINE if t.name.endswith(".weight") else UNIT)
        return out

    def steps(self, intra: bool, octaves: Tensor) -> list[Tensor]:
        """The step of each level of N frames, (N, 1, 1, 1). octaves: (N,), quality / QUALITIES_PER_OCTAVE."""
        learned = self.values[_key(f"{INTRA if intra else INTER}.steps")]
        exponents = octaves[:, None] * (1 + learned[:, 1]) + learned[:, 0]  # (N, levels)
        return [step.view(-1, 1, 1, 1) for step in (FIRST_STEP * torch.exp2(exponents)).clamp(*STEPS).unbind(1)]

    @torch.no_grad()
    def project(self) -> None:
        """Shrink the rows of weights with which a sum, once all is rounded, might not be exact, and bound biases."""
        self.values[_key(f"{INTRA}.start")].clamp_(-BOUND / UNIT, BOUND / UNIT)
        for name, layer in self.model.layers.items():
            bias, weight = self.values[_key(f"{name}.bias")], self.values[_key(f"{name}.weight")]
            bias.clamp_(-MOST_BIAS / UNIT, MOST_BIAS / UNIT)
            room = (EXACT_SUMS - FINE - FINE * (bias.abs() * UNIT + 1)) / layer.reach  # of a row, in integers
            room = (room - weight[0].numel() / 2) / FINE  # each may be half an integer larger once it is rounded
            row = weight.abs().flatten(1).sum(1).clamp(min=1e-9)
            weight.mul_((room / row).clamp(max=1).view(-1, 1, 1, 1))

    @torch.no_grad()
    def integers(self) -> list[NDArray[np.int32]]:
        """The values of the model's tensors, in wire order; those of a projected prior pass Mc.check."""
        octaves = torch.arange(QUALITIES) / QUALITIES_PER_OCTAVE
        found = dict(self.weights())
        for intra in (True, False):
            steps = self.steps(intra, octaves.to(next(self.parameters()).device))
            found[f"{INTRA if intra else INTER}.steps"] = torch.stack([step.flatten() for step in steps])
        return [found[t.name].round().cpu().numpy().astype(np.int32) for t in self.model.tensors]


def _key(name: str) -> str:
    """The name of a tensor as that of a parameter, which has no dots."""
    return name.replace(".", "_")


def _initial(name: str, shape: tuple[int, ...]) -> nn.Parameter:
    if name.endswith(".steps"):
        return nn.Parameter(torch.zeros(len(LEVELS), 2))
    if name.endswith(".start"):
        return nn.Parameter(torch.randn(shape) / 2)
    if name.endswith(".bias"):
        value = torch.zeros(shape)
        if name == "flow.out.bias":
            value[2:] = FIRST_SCALE
        return nn.Parameter(value)
    value = (2 * torch.rand(shape) - 1) / math.sqrt(math.prod(shape[1:]))
    if "first" in name or "second" in name or name == "flow.out.weight":
        value *= SMALLER
    elif name == f"{INTER}.picture.weight":
        value *= SMALLEST
    return nn.Parameter(value)


def export(prior: Prior, folder: Path, analyses: Path) -> bytes:
    """Write the prior and its analysis networks as a release has them, each into its folder; the prior's name."""
    prior.project()
    latents = prior.integers()
    names = [t.name for t in prior.model.tensors]
    weights = {name: torch.from_numpy(q.astype(np.float32)) for name, q in zip(names, latents, strict=True)}
    prior.model.check(weights)
    data = priors.pack(latents)
    name = priors.digest(data)
    for place in (folder, analyses):
        place.mkdir(parents=True, exist_ok=True)
    (folder / f"{name.hex()}.bin").write_bytes(data)
    save_analyses(prior.analyses, analyses / f"{name.hex()}.npz")
    return name
