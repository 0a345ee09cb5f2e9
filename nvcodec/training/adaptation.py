"""Fitting the network of predicted frames to a video: instance-adaptive coding (van Rozendaal et al. 2021), by group.

    minimise  sum over frames of (pixels D / lambda + R)  +  price * bits of what changes

over the integer weights of the inter network, all symbols and predictions staying as they were coded. Weights are
rounded with gradients that pass straight through, and are drawn back to what they were by proximal steps
(training.rate): most of them stay. Frames that are larger than EXCERPT are represented by excerpts, so that a group
takes as long whatever its size.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.models.base import Weights
from nvcodec.models.integer import EXACT_SUMS, SMOOTH, Arithmetic, greatest_sums
from nvcodec.models.mc import INTER, Mc
from nvcodec.models.motion import CELL
from nvcodec.training.frames import Distortion, RateMeter, lambda_of
from nvcodec.training.optim import Optimizer
from nvcodec.training.rate import ResidualRate

EXCERPT = 1 << 16  # luma samples, about
EXCERPTS = 4  # of a frame, at most
BATCH = 2  # excerpts of a step
RATE = 0.3  # learning rate, in integers a step
WARM = 5  # steps until it is whole
LEAST_RATE = 0.05  # of it, at the end
TABLES_EVERY = 8  # steps between fits of the tables that residuals are rated with
TABLES = (".steps", ".start")  # tensors that stay: those by quality

Integers = list[NDArray[np.int32]]


@dataclass(frozen=True, eq=False)
class Example:
    """A predicted frame as it was coded, or an excerpt of it.

    target: (1, 6, h, w); prediction: (1, 12, h, w). latents: (1, C, h', w') of each level; levels: those that are
    coded. size: rows and columns of luma samples within the picture. quality: index. pixels: luma samples of the video
    that it stands for.
    """

    target: Tensor
    prediction: Tensor
    latents: dict[int, Tensor]
    levels: tuple[int, ...]
    size: tuple[int, int]
    quality: int
    pixels: float

    def coded(
        self, model: Mc, weights: Weights, distortion: Distortion, arithmetic: Arithmetic
    ) -> tuple[Tensor, Tensor]:
        """What comes of it under a network, (1, 6, h, w), not clamped, and its cost, pixels D / lambda + R in bits."""
        network = model.network(False)
        meter = RateMeter(network.grids(self.latents))
        tuning = model.tuning(weights, False, self.quality)
        picture = network.picture(weights, tuning, self.prediction, meter.code, arithmetic, self.levels, self.size)
        height, width = (-(-n // 2) for n in self.size)
        error = distortion(picture[:, :, :height, :width], self.target[:, :, :height, :width])
        rate = meter.total / (self.size[0] * self.size[1])
        return picture, ((error / lambda_of(self.quality) + rate) * self.pixels).sum()


class Adapter:
    """Fits the inter network of a model to the frames of a group, from `latents`, the integers of the model, on.

    steps: in all. price: of a bit of what changes, in bits of these frames. chance: which excerpts a step sees.
    """

    def __init__(
        self,
        model: Mc,
        latents: Integers,
        distortion: Distortion,
        device: torch.device,
        steps: int,
        price: float,
        chance: random.Random,
    ) -> None:
        self._model, self._distortion = model, distortion
        self._steps, self._price, self._chance = steps, price, chance
        self._names = [t.name for t in model.tensors]
        tensors = [torch.from_numpy(q.astype(np.float32)).to(device) for q in latents]
        self._fixed = dict(zip(self._names, tensors, strict=True))
        self._moving = {
            name: value.clone().requires_grad_()
            for name, value in self._fixed.items()
            if name.startswith(f"{INTER}.") and not name.endswith(TABLES)
        }
        self._parameters = list(self._moving.values())
        self._rate = ResidualRate([self._fixed[name] for name in self._moving])
        self._optimizer = Optimizer(self._parameters, [RATE] * len(self._parameters), [False] * len(self._parameters))
        self.done = 0  # steps

    def step(self, excerpts: Sequence[Example]) -> None:
        """One update. excerpts: all there are to choose from."""
        parameters = self._parameters
        chosen = self._chance.sample(excerpts, min(BATCH, len(excerpts)))
        for p in parameters:
            p.grad = torch.zeros_like(p)
        for excerpt in chosen:
            straight = {name: p + (torch.round(p) - p).detach() for name, p in self._moving.items()}
            _, cost = excerpt.coded(self._model, self._fixed | straight, self._distortion, SMOOTH)
            (cost * (len(excerpts) / len(chosen))).backward()  # type: ignore[no-untyped-call]
        if self.done % TABLES_EVERY == 0:
            self._rate.refresh(parameters)
        decay = 0.5 * (1 + math.cos(math.pi * self.done / self._steps)) * (1 - LEAST_RATE) + LEAST_RATE
        scale = decay * min(1.0, (self.done + 1) / WARM)
        self._optimizer.step(scale)
        gains = self._optimizer.gains_of_latents([True] * len(parameters))
        self._rate.shrink(parameters, [gain * (RATE * scale * self._price) for gain in gains])
        self.done += 1

    def weights(self) -> dict[str, Tensor]:
        """Of the model by name, as they are now, integers; outputs of layers whose sums might not be exact stay as they
        were."""
        found = self._fixed | {name: torch.round(p.detach()) for name, p in self._moving.items()}
        for layer, known in self._model.layers.items():
            weight, bias = f"{layer}.weight", f"{layer}.bias"
            if weight in self._moving:
                over = greatest_sums(found[weight], found[bias], known.reach, known.precise) >= EXACT_SUMS
                for name in (weight, bias):
                    found[name][over] = self._fixed[name][over]
        return found

    def integers(self) -> Integers:
        """The same in wire order."""
        now = self.weights()
        return [now[name].cpu().numpy().astype(np.int32) for name in self._names]


def excerpts_of(frame: Example, chance: random.Random) -> list[Example]:
    """The frame, or where it is larger than EXCERPT up to EXCERPTS parts of it, at random, on the grid of cells."""
    tall, wide = (2 * n for n in frame.target.shape[2:])
    rows = min(tall, math.isqrt(EXCERPT))
    columns = min(wide, EXCERPT // rows // CELL * CELL)
    if (rows, columns) == (tall, wide):
        return [frame]
    count = min(EXCERPTS, -(-tall * wide // EXCERPT))
    found = []
    for _ in range(count):
        top, left = (CELL * chance.randint(0, (a - b) // CELL) for a, b in ((tall, rows), (wide, columns)))

        def cut(x: Tensor, level: int, top: int = top, left: int = left) -> Tensor:
            return x[:, :, top >> level : (top + rows) >> level, left >> level : (left + columns) >> level].clone()

        found.append(
            replace(
                frame,
                target=cut(frame.target, 1),
                prediction=cut(frame.prediction, 1),
                latents={level: cut(values, level) for level, values in frame.latents.items()},
                size=(min(rows, frame.size[0] - top), min(columns, frame.size[1] - left)),
                pixels=frame.pixels / count,
            )
        )
    return found
