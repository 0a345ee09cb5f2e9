"""Training the flow network: the laws of displacements, on fields that encoders have chosen.

    minimise  sum over fields of bits / (bits before + SMALL)

in the order in which a decoder reads them, so that each law knows what it will know there. What encoders choose depends
on the laws (training.settling): a network that was trained is worth another round on the fields that come of it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from nvcodec.models.base import Weights
from nvcodec.models.integer import SMOOTH, UNIT
from nvcodec.models.mc import FLOW, FLOW_UNIT, Mc, McConfig
from nvcodec.models.motion import CELL
from nvcodec.training.laplace import SUREST_LOG2, heavy_bits
from nvcodec.training.prior import Prior

SMALL = 30.0  # bits
FIELDS_OF_STEP = 8
WARM = 50  # steps until the learning rate is whole
LEAST_RATE = 0.02  # of the learning rate, at the end
BETAS = (0.9, 0.99)


@dataclass(frozen=True, eq=False)
class CodedField:
    """A field that was coded, (1, 2, rows, columns) in quarter samples, and what `Mc.field` had for it: the guess, if
    any, of that shape in eighths of them, and hints (1, HINTS, rows, columns)."""

    values: Tensor
    guess: Tensor | None
    told: Tensor


class FieldRate:
    """A coder (models.base.Coder) that codes nothing: gives known values, and adds up their bits."""

    def __init__(self, values: Tensor) -> None:
        """values: (1, 2, rows, columns)."""
        self.total = torch.zeros(())
        self._values = values

    def __call__(
        self, name: str, stride: int, cells: Tensor, location: Tensor, scale: Tensor, step: Tensor | None
    ) -> Tensor:
        """As models.base.Coder."""
        mask = cells.to(location.dtype)
        values = self._values[:, :, ::stride, ::stride]
        found = heavy_bits(values, location / FLOW_UNIT, scale * (2 / UNIT), SUREST_LOG2)
        self.total = self.total + (found * mask).sum()
        return values * mask


class FlowTrainer:
    """Moves the parameters of the flow network of a prior, in place. rate: learning rate of Adam."""

    def __init__(self, prior: Prior, fields: Sequence[CodedField], rate: float = 4e-3, seed: int = 0) -> None:
        """fields: one or more."""
        self.prior, self.done = prior, 0
        self._fields, self._rate = fields, rate
        prior.requires_grad_(False)
        self._parameters = [p for name, p in prior.values.items() if name.startswith(f"{FLOW}_")]
        for p in self._parameters:
            p.requires_grad_()
        self._optimizer = torch.optim.Adam(self._parameters, rate, BETAS)
        self._random = random.Random(seed)
        with torch.no_grad():
            self._worth = [1 / (float(self.bits(field)) + SMALL) for field in fields]

    def bits(self, field: CodedField) -> Tensor:
        """Of a field under the network as it is, ()."""
        return self._bits(field, self.prior.weights(FLOW))

    def _bits(self, field: CodedField, weights: Weights) -> Tensor:
        rate = FieldRate(field.values)
        model = _model(self.prior.config, *field.values.shape[2:])
        model.field(weights, "", field.guess, field.told, rate, SMOOTH)
        return rate.total

    def step(self, progress: float) -> float:
        """One update. progress: of the whole training, 0 to 1. Its loss, 1 where nothing was learned."""
        decay = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))) * (1 - LEAST_RATE) + LEAST_RATE
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate * decay * min(1.0, (self.done + 1) / WARM)
        chosen = [self._random.randrange(len(self._fields)) for _ in range(FIELDS_OF_STEP)]
        weights = self.prior.weights(FLOW)
        loss = torch.stack([self._worth[n] * self._bits(self._fields[n], weights) for n in chosen]).mean()
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self.done += 1
        if self.done % WARM == 0:
            self.prior.project()
        return float(loss.detach())


@lru_cache(maxsize=64)
def _model(config: McConfig, rows: int, columns: int) -> Mc:
    return Mc(config, rows * CELL, columns * CELL)
