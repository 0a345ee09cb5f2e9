"""Magnitude pruning while a network is trained: NerVast with pruning (its Fig. 8), as NeRV has it.

The smallest weights of all matrices together, in units of each one's initial bound, become zero and stay so, while the
others make up for them. How many grows by the cubic law of Zhu and Gupta (2017) between two points of the training. A
zero costs next to nothing where residuals are to zeros (the origin of a model), as its symbol is the likeliest one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

PRUNE_FROM, PRUNE_TO = 0.3, 0.8  # parts of the iterations
PRUNE_EVERY = 16  # steps


class Pruner:
    """Prunes `latents` in place.

    units: what to divide the magnitude of each latent by, None for a latent that is left alone (biases, embeddings).
    own: of each latent the elements that may be pruned, 0 or 1, None for all. fraction: of them that are zero in the
    end.
    """

    def __init__(
        self, latents: Sequence[Tensor], units: Sequence[float | None], own: Sequence[Tensor | None], fraction: float
    ) -> None:
        chosen = [(p, u, o) for p, u, o in zip(latents, units, own, strict=True) if u is not None]
        self._latents = [p for p, _, _ in chosen]
        self._units = [u for _, u, _ in chosen]
        self._own = [torch.ones_like(p, dtype=torch.bool) if o is None else o > 0 for p, _, o in chosen]
        self._alive: list[Tensor] | None = None
        self._fraction = fraction
        self._part = 0.0  # of the fraction that is pruned already

    @torch.no_grad()
    def after_step(self, step: int, iterations: int) -> None:
        """To be called after each update: keeps what is pruned at zero, and now and then chooses more."""
        self._keep()
        progress = (step / iterations - PRUNE_FROM) / (PRUNE_TO - PRUNE_FROM)
        last = progress >= 1 or step + 1 == iterations
        if self._part < 1 and (last or (progress >= 0 and step % PRUNE_EVERY == 0)):
            self._part = 1.0 if last else 1 - (1 - progress) ** 3
            self._choose()
            self._keep()

    def _keep(self) -> None:
        if self._alive is not None:
            for latent, alive in zip(self._latents, self._alive, strict=True):
                latent.mul_(alive)

    def _choose(self) -> None:
        magnitudes = [latent.abs() / unit for latent, unit in zip(self._latents, self._units, strict=True)]
        every = torch.cat([m[own] for m, own in zip(magnitudes, self._own, strict=True)])
        count = round(self._fraction * self._part * every.numel())
        if count:
            limit = every.kthvalue(count).values
            self._alive = [((m > limit) | ~own).to(m.dtype) for m, own in zip(magnitudes, self._own, strict=True)]
