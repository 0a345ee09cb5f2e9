"""Layers that the backbones share, as functions of their weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def siren(x: Tensor, weight: Tensor, bias: Tensor, omega: float) -> Tensor:
    """sin(omega (W x + b)): (N, in) -> (N, out). Sitzmann et al. 2020, section 3.2."""
    return torch.sin(omega * functional.linear(x, weight, bias))


def siren_bound(inputs: int, first: bool, omega: float) -> float:
    """Magnitude of a SIREN layer's initial weights: 1 / in for the first, sqrt(6 / in) / omega after (section 3.2)."""
    return 1.0 / inputs if first else math.sqrt(6.0 / inputs) / omega


def time_embedding(frames: Sequence[int], group: int, channels: int, amplitude: float, device: torch.device) -> Tensor:
    """NIRVANA's tau (Eq. 1) for places `frames` in a group of `group`: (T, channels), channels even.

    tau(t, 2i) = a sin((t + 1/2) w_i), tau(t, 2i + 1) = a cos((t + 1/2) w_i), with w_i = pi * group ** (-i / (I - 1)),
    i = 0 .. I - 1, I = channels / 2 (w_0 = pi for I = 1). The paper leaves the base of its frequencies open: these run
    from one half turn a frame to one half turn a group. Computed in float64, rounded to float32.
    """
    count = channels // 2
    i = torch.arange(count, dtype=torch.float64)
    omega = math.pi * float(group) ** (-i / max(count - 1, 1))
    t = torch.tensor(list(frames), dtype=torch.float64) + 0.5
    phase = t[:, None] * omega  # (T, I)
    tau = torch.stack((torch.sin(phase), torch.cos(phase)), 2).flatten(1)  # (T, channels)
    return (amplitude * tau).to(device=device, dtype=torch.float32)
