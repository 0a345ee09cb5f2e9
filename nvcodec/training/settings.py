"""How groups are trained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FitSettings:
    """How one group, or the groups of a window, are trained.

    iterations, or steps; frames_per_step: frames that a step sees, 0 for all; muon: Muon, else Adam; proximal: how the
    rate enters (training.rate), else as a gradient; rate: learning rate, in units of a tensor's initial bound where
    `relative`, else of weights, as the paper's 5e-4; lam: lambda of Eq. 2 at the start; target_bits: adapt lambda so
    that the residuals take that many, None keeps it; rate_every: steps between two evaluations of the code lengths;
    learn_steps: step indices are trained too, in the first half; warmup: steps; prune: part of the weights that become
    zero (training.pruning); seed: of the noise and of the order of frames.
    """

    iterations: int
    frames_per_step: int = 0
    muon: bool = True
    proximal: bool = True
    relative: bool = True
    rate: float = 0.03
    lam: float = 1e-4
    target_bits: float | None = None
    rate_every: int = 8
    learn_steps: bool = False
    warmup: int = 10
    prune: float = 0.0
    seed: int = 0
