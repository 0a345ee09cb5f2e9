"""Training a prior: how well its networks code excerpts of video without any fitting of latents.

    minimise  log(D / lambda + R)        D: of RGB and luma (training.distortion), R: bits per luma sample

of frames without references, with one and with two, each at a quality at random with the lambda that belongs to it
(training.frames.lambda_of); a frame's references are mostly finer than it is. The logarithm weighs all qualities and
all contents alike. The network sees latents rounded with gradients that pass straight through; TrainingRate says what
is rated (after Balle et al. 2017).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nvcodec.errors import SourceError
from nvcodec.media.base import PendingFile
from nvcodec.models.base import Weights
from nvcodec.models.integer import BRIEF, SMOOTH, UNIT
from nvcodec.models.mc import Mc, McConfig
from nvcodec.models.motion import CELL, HIGH, LOW, Reference, predict
from nvcodec.training import together
from nvcodec.training.distortion import distortion
from nvcodec.training.excerpts import Batch, Stills
from nvcodec.training.frames import FINEST_LAMBDA
from nvcodec.training.laplace import SUREST_LOG2
from nvcodec.training.optim import Optimizer
from nvcodec.training.prior import TABLE, Prior
from nvcodec.training.rated import rated

OCTAVES = 5.5  # of qualities of single frames, from 0 on
AFTER = (-1.2, 0.0)  # the octaves of the frame after, over those of the one between
BEFORE = (-1.6, 0.2)  # those of the frame before, over those of the one after
CUT = 0.5  # how often a side of single frames is cut
HALF_CELL = CELL // 2  # of displacements: pictures, at half size, are whole numbers of them
MOST_OCTAVES = 5.9  # of frames that others refer to
WARM = 50  # steps until learning rates are whole
LEAST_RATE = 0.02  # of a learning rate, at the end
MOST_GRADIENT = 1.0  # norm of all gradients together
PROJECT_EVERY = 20  # steps
KINDS = ("intra", "one", "two")  # frames by the number of their references
BETAS = (0.9, 0.98)
STRAIGHT = re.compile(r".*(_direct\d_weight|\.(forwards|backwards)\.\d)")  # parameters of linear ways
SLOWER = 0.05  # of Muon's learning rate, for these: at all of it the transforms that they begin as are soon spoiled
NETWORKS = {  # the parameters that are trained, by what is said to be trained alone
    "intra": re.compile(r"values\.intra_|analyses\.intra\."),
    "inter": re.compile(r"values\.inter_|analyses\.inter\."),
}
FLOW = re.compile(r"values\.flow_")  # parameters of the flow network
LAWS = re.compile(r"values\.(intra|inter)_(base|near|mid|first|second)\d[bc]?_")  # parameters of laws alone


@dataclass
class Meter:
    """Means of what a trainer saw since they were last taken; they stay on its device until then."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: Tensor) -> None:
        """value: of any shape."""
        mean = value.detach().mean()
        self.sums[name] = self.sums[name] + mean if name in self.sums else mean
        self.counts[name] = self.counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """By name, and start anew."""
        found = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return found


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames to code. target: pictures (N, 6, h, w); prediction: (N, 12, h, w) or None; octaves: of quality, (N,);
    rows: of training.distortion, (N, 4, 3)."""

    target: Tensor
    prediction: Tensor | None
    octaves: Tensor
    rows: Tensor

    def joined(self, other: Frames) -> Frames:
        """Both, predicted alike."""
        assert self.prediction is not None and other.prediction is not None
        return Frames(
            torch.cat((self.target, other.target)),
            torch.cat((self.prediction, other.prediction)),
            torch.cat((self.octaves, other.octaves)),
            torch.cat((self.rows, other.rows)),
        )


@dataclass(frozen=True, eq=False)
class Coded:
    """pictures: (N, 6, h, w). distortion, rate and cost: (N,); cost is what is minimised, before its logarithm."""

    pictures: Tensor
    distortion: Tensor
    rate: Tensor
    cost: Tensor


class TrainingRate:
    """A coder (models.base.Coder) that codes nothing: gives rounded values, and adds up their bits.

    They are those of noisy values, which have gradients that rounding would hide, or, `exact`, of what a file has.
    """

    def __init__(self, values: dict[str, Tensor], generator: torch.Generator, exact: bool = False) -> None:
        self.total = torch.zeros(())  # (N,), once there is something
        self._rounded = {name: v + (torch.round(v) - v).detach() for name, v in values.items()}
        self._rated = self._rounded
        if not exact:
            self._rated = {
                name: v + torch.rand(v.shape, generator=generator, device=v.device) - 0.5 for name, v in values.items()
            }

    def code(
        self, name: str, stride: int, cells: Tensor, location: Tensor, scale: Tensor, step: Tensor | None
    ) -> Tensor:
        """As models.base.Coder."""
        assert step is not None, "of latents"
        seen, rates = self._rounded[name], self._rated[name]
        shown, bits = rated(seen, rates, (location, scale), step, torch.log2(step / UNIT), cells, SUREST_LOG2)
        self.total = self.total + bits
        return shown


class PriorTrainer:
    """Moves the parameters of a prior, in place, on a device. rate, muon_rate: learning rates, of Adam and of Muon.

    laws: only the layers that nothing but laws of latents comes from, on the symbols of a file: the last part of a
    training, after which frames are the same and cost less. only: "intra", the networks of intra frames, on Stills;
    "inter", those of others; None, both. Never the flow network, which training.flow_fit trains. brief: in bfloat16.
    falling: the last part of a training, in which rates fall; 0 for none.

    Where processes of torch.distributed train together, each has batches of its own, and all move by the mean of their
    gradients.
    """

    def __init__(
        self,
        prior: Prior,
        device: torch.device,
        rate: float = 1e-3,
        muon_rate: float = 6e-4,
        seed: int = 0,
        laws: bool = False,
        only: str | None = None,
        brief: bool = False,
        falling: float = 1.0,
    ) -> None:
        self.prior, self.device = prior.to(device), device
        self.meter = Meter()
        self.done, self.seconds = 0, 0.0  # steps, and what they took
        self._seed, self._generator = seed, torch.Generator(device)
        self._laws, self._only = laws, only
        self._brief, self._falling = brief, falling
        chosen = [LAWS] * laws + ([NETWORKS[only]] if only else [])
        named = [
            (name, p)
            for name, p in prior.named_parameters()
            if all(pattern.match(name) for pattern in chosen) and not FLOW.match(name)
        ]
        prior.requires_grad_(False)
        for _, p in named:
            p.requires_grad_()
        matrices = [p.dim() > 1 and not TABLE.match(name) for name, p in named]
        rates = [
            muon_rate * (SLOWER if STRAIGHT.match(name) else 1) if matrix else rate
            for (name, _), matrix in zip(named, matrices, strict=True)
        ]
        self._parameters = [p for _, p in named]
        self._optimizer = Optimizer(self._parameters, rates, matrices, betas=BETAS)
        self._between: Frames | None = None  # of the last batch, which can be coded now that their references are

    def step(self, batch: Batch | Stills, progress: float) -> None:
        """One update. batch: Stills where only intra frames are trained. progress: of the whole training, 0 to 1."""
        self._generator.manual_seed((self._seed << 32) + self.done * together.processes() + together.rank())
        for p in self._parameters:
            p.grad = torch.zeros_like(p)
        loss = self.loss(batch) if isinstance(batch, Batch) else self.loss_of_stills(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        together.share([p.grad for p in self._parameters if p.grad is not None])
        torch.nn.utils.clip_grad_norm_(self._parameters, MOST_GRADIENT)
        self._optimizer.step(decay(progress, self._falling) * min(1.0, (self.done + 1) / WARM))
        self.done += 1
        if self.done % PROJECT_EVERY == 0:
            self.prior.project()

    def loss_of_stills(self, batch: Stills) -> Tensor:
        """Of single frames alone, cut to any size: a picture may end anywhere in a cell of latents."""
        height, width = (size - self._cut() for size in batch.single.shape[2:])
        target = batch.single[:, :, :height, :width]
        model = Mc(self.prior.config, 2 * height, 2 * width)
        octaves = OCTAVES * self._random(len(target))
        found = self._coded(model, self.prior.weights(), Frames(target, None, octaves, batch.single_rows))
        self._note("intra", found, slice(None))
        return _relative(found)

    def loss(self, batch: Batch) -> Tensor:
        """Of single frames and first ones, of those after them, and of those between the frames of the batch before.

        The last two go through the network together; a frame's references are what the networks make of them now. Where
        the networks of intra frames are not trained, single frames are left out.
        """
        weights = self.prior.weights()
        number, size = len(batch.before), 2 * batch.before.shape[-1]
        model = Mc(self.prior.config, size, size)
        octaves_after = self._shifted(batch.octaves, AFTER)
        loss = torch.zeros((), device=self.device)
        if self._only == "inter":
            frames = Frames(batch.before, None, self._shifted(octaves_after, BEFORE), batch.rows)
            with torch.no_grad():
                first = self._coded(model, weights, frames)
        else:
            octaves = torch.cat((OCTAVES * self._random(number), self._shifted(octaves_after, BEFORE)))
            target = torch.cat((batch.single, batch.before))
            frames = Frames(target, None, octaves, torch.cat((batch.single_rows, batch.rows)))
            first = self._coded(model, weights, frames)
            loss = loss + 2 * _relative(first)
        self._note("intra", first, slice(None))
        before = Reference(_shown(first.pictures[-number:]))
        with torch.no_grad():
            prediction = predict([before], [batch.after_before])
        frames = Frames(batch.after, prediction, octaves_after, batch.rows)
        waiting = self._between
        coded = self._coded(model, weights, frames.joined(waiting) if waiting else frames)
        self._note("one", coded, slice(number))
        if waiting:
            self._note("two", coded, slice(number, None))
        loss = loss + (2 if waiting else 1) * _relative(coded)
        after = Reference(_shown(coded.pictures[:number]))
        with torch.no_grad():
            prediction = predict([before, after], [batch.between_before, batch.between_after])
        self._between = Frames(batch.between, prediction, batch.octaves, batch.rows)
        return loss

    def _random(self, number: int) -> Tensor:
        return torch.rand(number, generator=self._generator, device=self.device)

    def _cut(self) -> int:
        """Of a side of pictures, 0 or up to one sample less than a cell of the coarsest latents."""
        chance, part = self._random(2).tolist()
        largest = 1 << self.prior.config.network(True).levels[0] - 1
        return int(part * largest) if chance < CUT else 0

    def _shifted(self, octaves: Tensor, by: tuple[float, float]) -> Tensor:
        """Those of references, from those of the frames that refer to them."""
        return (octaves + by[0] + (by[1] - by[0]) * self._random(len(octaves))).clamp(0, MOST_OCTAVES)

    def _coded(self, model: Mc, weights: Weights, frames: Frames) -> Coded:
        """Coded as the analysis networks say."""
        intra = frames.prediction is None
        tuning = self.prior.tuning(intra, frames.octaves)
        height, width = frames.target.shape[2:]
        whole = functional.pad(frames.target, (0, -width % HALF_CELL, 0, -height % HALF_CELL), mode="replicate")
        with torch.autocast(whole.device.type, torch.bfloat16, enabled=self._brief):
            latents = self.prior.analyses(whole, frames.prediction, frames.octaves)
        network = model.network(intra)
        values = {level: latents[level] / step for level, step in zip(network.levels, tuning.steps, strict=True)}
        meter = TrainingRate(network.grids(values), self._generator, self._laws)
        pictures = model.picture(weights, tuning, frames.prediction, meter.code, BRIEF if self._brief else SMOOTH)
        pictures = pictures[:, :, :height, :width]
        found = distortion((pictures - frames.target) / 4, frames.rows)
        rate = meter.total / (4 * frames.target[0, 0].numel())
        return Coded(pictures, found, rate, found * torch.exp2(-2 * frames.octaves) / FINEST_LAMBDA + rate)

    def _note(self, kind: str, coded: Coded, which: slice) -> None:
        self.meter.add(f"{kind} mse", coded.distortion[which])
        self.meter.add(f"{kind} bpp", coded.rate[which])
        self.meter.add(f"{kind} cost", coded.cost[which].detach().log())

    def save(self, path: Path) -> None:
        """Write all that is needed to go on: a file of arrays that is whole or not there."""
        arrays = {f"prior.{name}": value for name, value in self.prior.state_dict().items()}
        arrays |= {f"first.{i}": value for i, value in enumerate(self._optimizer.first)}
        arrays |= {f"second.{i}": value for i, value in enumerate(self._optimizer.second)}
        plain = {name: value.detach().cpu().numpy() for name, value in arrays.items()}
        plain["config"] = np.array(self.prior.config.values)
        plain["progress"] = np.array([self.done, self.seconds])
        plain["laws"], plain["only"] = np.array(self._laws), np.array(self._only or "")
        pending = PendingFile(path)
        try:
            with open(pending.path, "wb") as file:
                np.savez(file, **plain)
            pending.commit()
        finally:
            pending.discard()

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of a prior of the same configuration, which `load_prior` has read."""
        with _opened(path) as arrays:
            begun = bool(arrays["laws"]), str(arrays["only"])
            if begun != (self._laws, self._only or ""):
                raise SourceError(f"{path}: begun with other --laws or --only; take it as an origin")
            for name, values in (("first", self._optimizer.first), ("second", self._optimizer.second)):
                for i, value in enumerate(values):
                    value.copy_(torch.from_numpy(arrays[f"{name}.{i}"]))
            self.done, self.seconds = int(arrays["progress"][0]), float(arrays["progress"][1])
        self._optimizer.steps = self.done


def decay(progress: float, falling: float) -> float:
    """Of learning rates: 1 until the last part of a training, `falling`, in which they fall to LEAST_RATE."""
    through = min(1.0, 1 - (1 - progress) / falling) if falling else 0.0
    return LEAST_RATE + (1 - LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * max(0.0, through)))


def load_prior(path: Path) -> Prior:
    """The prior of a checkpoint. SourceError where it is none."""
    with _opened(path) as arrays:
        try:
            prior = Prior(McConfig(*arrays["config"].tolist()))
            names = prior.state_dict().keys()
            prior.load_state_dict({name: torch.from_numpy(arrays[f"prior.{name}"]) for name in names})
        except (KeyError, TypeError, RuntimeError) as error:
            raise SourceError(f"{path}: not a checkpoint of a prior: {error}") from None
    return prior


def _opened(path: Path) -> np.lib.npyio.NpzFile:
    try:
        found = np.load(path)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: not a checkpoint of a prior: {error}") from None
    if not isinstance(found, np.lib.npyio.NpzFile):
        raise SourceError(f"{path}: not a checkpoint of a prior")
    return found


def _relative(coded: Coded) -> Tensor:
    """Its gradient is that of the mean logarithm of the costs."""
    return (coded.cost / coded.cost.detach()).mean()


def _shown(pictures: Tensor) -> Tensor:
    """What 8 bit frames of them are as references."""
    return ((pictures.detach().clamp(LOW, HIGH) / 4).round() * 4).clamp(LOW, HIGH - 3)
