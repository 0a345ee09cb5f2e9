"""What residuals cost, under the very tables that code them, in a form that training can descend.

Each tensor is taken to be coded with one table (z, d), re-fitted to its rounded residuals every few steps: the coder
does at least as well. Between integers the code length is interpolated linearly,

    bits(r) = b0 + s0 |r|  for |r| <= 1,   b1 + s1 (|r| - 1)  beyond,    s0 = b1 - b0,  s1 = -log2 theta,

which is exactly the expected length when r is rounded up or down at random without bias. Its slope enters training in
one of two ways: as a gradient, evaluated at r + U(-1/2, 1/2) as NIRVANA does (section 3.2); or as a proximal step,
which moves each residual towards zero by its slope and stops there. The latter leaves residuals at exactly zero, and is
what Muon needs, whose normalised updates would turn a gradient of signs into noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nvcodec.entropy import tables

TRIM_BISECTIONS = 8
K_MAX = 63  # magnitudes with their own symbol; the histogram's last bin holds the rest


class ResidualRate:
    """Code lengths of `latents - base`, both of the LATENT tensors, base integer-valued float32.

    own: of each tensor the elements that are coded, 1 or 0 as float32; None for all. The others are left alone.
    """

    def __init__(self, base: Sequence[Tensor], own: Sequence[Tensor | None] | None = None) -> None:
        self.base = list(base)
        self.own = list(own) if own is not None else [None] * len(self.base)
        self._chosen = [None if o is None else o > 0 for o in self.own]
        self.slopes: list[tuple[float, float]] = [(0.0, 0.0)] * len(self.base)
        self.bits = 0.0

    def refresh(self, latents: Sequence[Tensor]) -> None:
        """Fit the tables to the rounded residuals; sets `slopes`, and `bits`, the length of all of them."""
        self.slopes, self.bits = [], 0.0
        for latent, base, chosen in zip(latents, self.base, self._chosen, strict=True):
            magnitude = (torch.round(latent.detach()) - base).abs_()
            if chosen is not None:
                magnitude = magnitude[chosen]
            counts = torch.bincount(magnitude.clamp(max=K_MAX + 1).flatten().to(torch.int64), minlength=K_MAX + 2)
            histogram = counts.cpu().numpy()
            z, d = tables.fit(histogram)
            lengths = tables.bits(z, d, K_MAX)
            self.bits += float(histogram @ lengths) + 18
            if histogram[-1]:  # escapes: Exp-Golomb of what is beyond K, about 2 log2 less the order that is chosen
                beyond = (magnitude[magnitude > K_MAX] - K_MAX).double().mean().item()
                self.bits += float(histogram[-1]) * float(np.log2(beyond) + 2.5)
            # Where zeros are rarer than ones the first is negative; followed, it would drive residuals apart.
            self.slopes.append((max(float(lengths[1] - lengths[0]), 0.0), max(float(lengths[2] - lengths[1]), 0.0)))

    def add_gradient(self, latents: Sequence[Tensor], weight: float, generator: torch.Generator) -> None:
        """Add weight x d bits / d latent, at r + U(-1/2, 1/2), to the latents' gradients."""
        for latent, base, own, (near, far) in zip(latents, self.base, self.own, self.slopes, strict=True):
            assert latent.grad is not None
            noise = torch.rand(latent.shape, generator=generator, device=latent.device) - 0.5
            r = latent.detach() - base + noise
            slope = torch.where(r.abs() < 1, near, far) * torch.sign(r)
            latent.grad += (slope if own is None else slope * own) * weight

    def shrink(self, latents: Sequence[Tensor], weights: Sequence[Tensor | float]) -> None:
        """The proximal step: move each residual towards 0 by weight x slope, and not past it.

        A weight is one number for a tensor, or has one value per element.
        """
        for latent, base, own, (near, far), weight in zip(
            latents, self.base, self.own, self.slopes, weights, strict=True
        ):
            r = latent.detach().sub(base)
            m = r.abs()
            move = torch.where(m < 1, near, far).mul_(weight)
            m.sub_(move if own is None else move.mul_(own)).clamp_(min=0)
            latent.data.copy_(torch.copysign(m, r).add_(base))

    def trim(self, latents: Sequence[Tensor], gains: Sequence[Tensor | float], target_bits: float) -> None:
        """One proximal step, just large enough that the residuals take `target_bits`: the least useful ones go first.

        Ends with `bits` at most the target, unless residuals that are all zero take more. Where a table has zeros
        rarer than ones, its first slope is none: the way to all zeros, which are cheap in the end, then has the other.
        """
        self.slopes = [(near if near > 0 else far, far) for near, far in self.slopes]
        before = [latent.detach().clone() for latent in latents]

        def bits_at(strength: float) -> float:
            for latent, value in zip(latents, before, strict=True):
                latent.data.copy_(value)
            self.shrink(latents, [gain * strength for gain in gains])
            kept = self.slopes
            self.refresh(latents)
            self.slopes, found = kept, self.bits
            return found

        low, high = 0.0, 1e-12
        while bits_at(high) > target_bits and high < 1e12:
            low, high = high, high * 8
        for _ in range(TRIM_BISECTIONS):
            middle = (low + high) / 2 if low == 0 else (low * high) ** 0.5
            low, high = (low, middle) if bits_at(middle) <= target_bits else (middle, high)
        bits_at(high)
        self.refresh(latents)
