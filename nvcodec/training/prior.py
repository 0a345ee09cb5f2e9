"""A prior of the model `mc` while it is trained: its networks and their analysis networks, as real numbers.

Parameters are in units of 1, where the model has integers: an activation of 1 is UNIT of them, a weight of 1 is FINE or
PRECISE. Steps are exponential in the quality, two parameters a level, and what the trunk starts from is linear between
KNOTS qualities: the model has both as tables. Octaves count from quality 0: a quality index is QUALITIES_PER_OCTAVE of
them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nvcodec.models import priors
from nvcodec.models.base import Weights
from nvcodec.models.integer import BOUND, EXACT_SUMS, FINE, PRECISE, UNIT
from nvcodec.models.latents import SAMPLES, Tuning
from nvcodec.models.mc import INTER, INTRA, QUALITIES, Mc, McConfig
from nvcodec.models.motion import CELL
from nvcodec.training import transforms
from nvcodec.training.analysis import Analyses, load_analyses, save_analyses
from nvcodec.training.frames import QUALITIES_PER_OCTAVE
from nvcodec.training.knots import KNOTS, between

FIRST_STEP = 0.05 * UNIT  # of quality 0 where nothing was learned
STEPS = (1.0, 1500.0)  # the least and the greatest
MOST_BIAS = 8192  # in the model's integers: a quarter of what a prior can hold
FIRST_START = {INTRA: 0.5, INTER: 0.02}  # how far from 0 trunks start
TABLES = (".steps", ".start")  # tensors with a row or a column for each quality
WIDTHS = ("width", "half", "intra_width", "intra_half")  # of trunks
TABLE = re.compile(r".*(_steps|_start|\.tones|\.gains\.\d)")  # parameters that depend on the quality
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

    def weights(self, network: str = "") -> Weights:
        """What the model takes of a network, or of all, without tables: integers, through which gradients pass as if
        they were not rounded.

        A prior that was trained otherwise loses up to a few decibels once it is rounded (docs/experiments.md).
        """
        out = {}
        for t in self.model.tensors:
            if t.name.startswith(network) and not t.name.endswith(TABLES):
                value = self.values[_key(t.name)] * self.one(t.name)
                out[t.name] = value + (torch.round(value) - value).detach()
        return out

    def one(self, name: str) -> int:
        """What the model has as 1 in a tensor of a layer."""
        if name.endswith(".bias"):
            return UNIT
        return PRECISE if self.model.layers[name.removesuffix(".weight")].precise else FINE

    def tuning(self, intra: bool, octaves: Tensor) -> Tuning:
        """Of N frames. octaves: (N,)."""
        network = INTRA if intra else INTER
        learned = self.values[_key(f"{network}.steps")]
        exponents = octaves[:, None] * (1 + learned[:, 1]) + learned[:, 0]  # (N, levels)
        steps = (FIRST_STEP * torch.exp2(exponents)).clamp(*STEPS)
        knots = self.values[_key(f"{network}.start")]
        start = UNIT * between(knots, octaves)
        return Tuning(tuple(step.view(-1, 1, 1, 1) for step in steps.unbind(1)), start[:, :, None, None])

    @torch.no_grad()
    def project(self) -> None:
        """Shrink the rows of weights with which a sum, once all is rounded, might not be exact, and bound biases."""
        for network in (INTRA, INTER):
            self.values[_key(f"{network}.start")].clamp_(-BOUND / UNIT, BOUND / UNIT)
        for name, layer in self.model.layers.items():
            bias, weight = self.values[_key(f"{name}.bias")], self.values[_key(f"{name}.weight")]
            bias.clamp_(-MOST_BIAS / UNIT, MOST_BIAS / UNIT)
            room = (
                EXACT_SUMS - FINE - FINE * (bias.abs() * UNIT + 1)
            ) / layer.reach  # of a row, in integers of 1 / FINE
            # Each may be half an integer larger once it is rounded, and in two parts another half.
            room = (room - weight[0].numel() * (1 if layer.precise else 0.5)) / FINE
            row = weight.abs().flatten(1).sum(1).clamp(min=1e-9)
            weight.mul_((room / row).clamp(max=1).view(-1, 1, 1, 1))

    @torch.no_grad()
    def integers(self) -> list[NDArray[np.int32]]:
        """The values of the model's tensors, in wire order; those of a projected prior pass Mc.check."""
        octaves = torch.arange(QUALITIES, device=next(self.parameters()).device) / QUALITIES_PER_OCTAVE
        found = dict(self.weights())
        for intra in (True, False):
            tuning, network = self.tuning(intra, octaves), INTRA if intra else INTER
            found[f"{network}.steps"] = torch.stack([step.flatten() for step in tuning.steps])
            found[f"{network}.start"] = tuning.start.flatten(1)
        return [found[t.name].round().cpu().numpy().astype(np.int32) for t in self.model.tensors]


def _key(name: str) -> str:
    """The name of a tensor as that of a parameter, which has no dots."""
    return name.replace(".", "_")


def _initial(name: str, shape: tuple[int, ...]) -> nn.Parameter:
    if name.endswith(".steps"):
        return nn.Parameter(torch.zeros(shape[0], 2))
    if name.endswith(".start"):
        return nn.Parameter(torch.randn(KNOTS, shape[1]) * FIRST_START[name.split(".")[0]])
    if name.endswith(".bias"):
        value = torch.zeros(shape)
        if name == "flow.out.bias":
            value[2:] = FIRST_SCALE
        return nn.Parameter(value)
    straight = re.fullmatch(rf"{INTRA}\.direct(\d)\.weight", name)
    if straight:
        below = 4 * SAMPLES == shape[0]
        return nn.Parameter(transforms.direct(int(straight[1]), shape[1], shape[0], below))
    value = (2 * torch.rand(shape) - 1) / math.sqrt(math.prod(shape[1:]))
    if "first" in name or "second" in name or name == "flow.out.weight":
        value *= SMALLER
    elif name.endswith(".picture.weight") or ".direct" in name:
        value *= SMALLEST
    return nn.Parameter(value)


def export(
    prior: Prior,
    folder: Path,
    analyses: Path,
    origin: bytes | None = None,
    own: str = "",
    tables: bool = False,
    config: McConfig | None = None,
) -> bytes:
    """Write the prior and its analysis networks as a release has them, each into its folder; the prior's name.

    origin: a release that has all tensors but those of the layers of the network `own`, exactly, as `restore` has not.
    tables: those of `own` by quality are the prior's, too. config: of the origin, None where it is the prior's: that of
    `own` may be another.
    """
    prior.project()
    latents = prior.integers()
    names = [t.name for t in prior.model.tensors]
    if origin is not None:
        tensors = Mc(config or prior.config, CELL, CELL).tensors
        known = dict(zip((t.name for t in tensors), priors.load(origin, tensors), strict=True))
        new = [name.startswith(f"{own}.") and (tables or not name.endswith(TABLES)) for name in names]
        latents = [q if chosen else known[name] for chosen, name, q in zip(new, names, latents, strict=True)]
    weights = {name: torch.from_numpy(q.astype(np.float32)) for name, q in zip(names, latents, strict=True)}
    prior.model.check(weights)
    data = priors.pack(latents)
    name = priors.digest(data)
    for place in (folder, analyses):
        place.mkdir(parents=True, exist_ok=True)
    (folder / f"{name.hex()}.bin").write_bytes(data)
    save_analyses(prior.analyses, analyses / f"{name.hex()}.npz")
    return name


@torch.no_grad()
def mean(several: Sequence[Prior]) -> Prior:
    """The mean of the parameters of priors of one configuration that were trained from the same one on; ValueError
    where they have several."""
    (config,) = {prior.config for prior in several}
    found = Prior(config)
    states = [prior.state_dict() for prior in several]
    found.load_state_dict({name: torch.stack([s[name] for s in states]).mean(0) for name in states[0]})
    return found


@torch.no_grad()
def widened(prior: Prior, config: McConfig, seed: int = 0) -> Prior:
    """The same networks with more channels, which have no say at first: pictures and laws are the same.

    seed: of the weights that new channels are made with. ValueError unless the configurations differ in WIDTHS alone,
    and none is less than it was.
    """
    old = prior.config
    if replace(config, **{name: getattr(old, name) for name in WIDTHS}) != old:
        raise ValueError("they differ in more than the widths of their trunks")
    if any(getattr(config, name) < getattr(old, name) for name in WIDTHS):
        raise ValueError("a trunk is narrower than it was")
    found, known = Prior(config, seed), prior.state_dict()
    for name, value in found.state_dict().items():
        narrow = known[name]
        if value.dim() > 1 and not TABLE.match(name):
            value[: len(narrow), narrow.shape[1] :] = 0.0
        value[tuple(slice(size) for size in narrow.shape)] = narrow
    return found


@torch.no_grad()
def restore(name: bytes, config: McConfig) -> Prior:
    """A prior of a release as it was before it was exported, but for what rounding took; to train it on.

    Steps that are among STEPS are fitted by least squares; those at its ends were clamped. The table of starts ends
    before the last knot, which follows from a straight line.
    """
    prior = Prior(config)
    for t, values in zip(prior.model.tensors, priors.load(name, prior.model.tensors), strict=True):
        if t.name.endswith(".steps"):
            found = torch.tensor([_exponential(steps) for steps in values])
        elif t.name.endswith(".start"):
            found = torch.from_numpy(_knots(values) / UNIT)
        else:
            found = torch.from_numpy(values / prior.one(t.name))
        prior.values[_key(t.name)].copy_(found)
    prior.analyses.load_state_dict(load_analyses(name, config).state_dict())
    return prior


def _exponential(steps: NDArray[np.int32]) -> tuple[float, float]:
    """The two parameters of a level, of its row of the table. Large steps, which rounding changed less, weigh more."""
    octaves = np.arange(QUALITIES) / QUALITIES_PER_OCTAVE
    free = (steps > STEPS[0]) & (steps < STEPS[1])
    if free.sum() < 2:
        free[:] = True
    slope, level = np.polyfit(octaves[free], np.log2(steps[free] / FIRST_STEP), 1, w=steps[free])
    return float(level), float(slope) - 1


def _knots(starts: NDArray[np.int32]) -> NDArray[np.float64]:
    """(KNOTS, width) of the table (QUALITIES, width)."""
    known = starts[::QUALITIES_PER_OCTAVE]  # (KNOTS - 1, width)
    last = known[-1] + (starts[-1] - known[-1]) * (QUALITIES_PER_OCTAVE / (QUALITIES_PER_OCTAVE - 1))
    return np.concatenate((known, last[None]))
