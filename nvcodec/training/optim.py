"""Updates of latents: Muon for matrices and Adam for the rest, or Adam for all.

Muon replaces the momentum of a matrix by the nearest matrix with orthonormal rows or columns, so that all directions
move alike: a SIREN's badly conditioned layers reach in a hundred steps what Adam takes thousands for
(docs/experiments.md). Jordan et al. 2024, with their quintic Newton-Schulz iteration. An update has root mean square 1
before the learning rate, like Adam's, so that both share their learning rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_EPSILON = 1e-20
_GAIN_FLOOR = 1e-3  # of the mean root of squared gradients: where there is no gradient, a gain is not infinite


def orthogonalise(matrix: Tensor) -> Tensor:
    """(m, n) to about U V^T of its singular value decomposition: singular values within 0.7 and 1.2."""
    a, b, c = _QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.T if tall else matrix
    x = x.div(x.norm() + _EPSILON)
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


class Optimizer:
    """Updates `parameters` in place from their gradients.

    rates: the learning rate of each, in its own units a step. muon: whether to orthogonalise the updates, of each; only
    matrices are, convolutions as (out, rest). own: of each the elements that move, 1 or 0, None for all. State is kept
    for one fit only: every group starts afresh, so a resumed encode goes on with the same bits.
    `gains`, after a step: how many units of update one unit of gradient became, before the learning rate; what a
    proximal step has to be multiplied with. One number for a matrix of Muon's, a value per element for Adam. All
    stay on the parameters' device, so that a step waits for nothing.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        rates: Sequence[float],
        muon: Sequence[bool],
        own: Sequence[Tensor | None] | None = None,
        betas: tuple[float, float] = (0.9, 0.99),
    ) -> None:
        self.parameters = list(parameters)
        self.rates = list(rates)
        self.own = list(own) if own is not None else [None] * len(self.parameters)
        self._moves = [o is None or bool(o.any()) for o in self.own]
        self.betas = betas
        self.momentum = 0.95
        self.matrix = [m and p.dim() > 1 for p, m in zip(self.parameters, muon, strict=True)]
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros(0) if m else torch.zeros_like(p) for p, m in zip(parameters, self.matrix)]  # noqa: B905
        self.gains: list[Tensor | float] = [0.0] * len(self.parameters)
        self.steps = 0

    def gains_of_latents(self, chosen: Sequence[bool]) -> list[Tensor | float]:
        """The gains of the parameters that are chosen."""
        return [gain for gain, keep in zip(self.gains, chosen, strict=True) if keep]

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """One update with all learning rates times `scale`."""
        self.steps += 1
        for i, (p, rate) in enumerate(zip(self.parameters, self.rates, strict=True)):
            if not self._moves[i]:
                continue
            assert p.grad is not None
            update = self._muon(i, p.grad) if self.matrix[i] else self._adam(i, p.grad)
            own = self.own[i]
            if own is not None:
                update = update * own
            p.data.add_(update, alpha=-rate * scale)

    def _muon(self, i: int, grad: Tensor) -> Tensor:
        first = self.first[i].mul_(self.momentum).add_(grad)
        nesterov = grad.add(first, alpha=self.momentum).flatten(1)
        norm = nesterov.norm().double()
        update = orthogonalise(nesterov) * math.sqrt(max(nesterov.shape))
        gain = update.norm().double() / (norm * (1 - self.momentum))
        self.gains[i] = torch.where(norm > 0, gain, 0.0)
        return update.view_as(grad)

    def _adam(self, i: int, grad: Tensor) -> Tensor:
        b1, b2 = self.betas
        first = self.first[i].lerp_(grad, 1 - b1)
        second = self.second[i].mul_(b2).addcmul_(grad, grad, value=1 - b2)
        root = (second / (1 - b2**self.steps)).sqrt_()
        update = first.div(1 - b1**self.steps).div_(root + _EPSILON)
        self.gains[i] = root.add_(_GAIN_FLOOR * root.mean() + _EPSILON).reciprocal_()
        return update
