"""Named settings along one axis, speed against compression; quality is asked for separately.

What a preset means for a network is told where the encoder knows that network (encode.networks).
"""

from __future__ import annotations

from dataclasses import dataclass

from nvcodec.errors import UsageError

PRESETS = {
    "ultrafast": "a first look",
    "fast": "quick and decent",
    "medium": "the default",
    "slow": "for archives",
    "paper": "published networks and schedules; of mc the longest",
}
"""Name to summary, fastest first."""


@dataclass(frozen=True)
class Training:
    """How the groups of a network are trained under a preset.

    steps_first, steps_next: iterations of a random-access group and of the others. steps_network: those
    that fit the network to a group of coded frames. frames_per_step: frames that an
    iteration sees, 0 for all of a group. published: train as the papers do, Adam on weights with the rate as a
    gradient; else Adam with proximal steps, and Muon for random-access groups where `muon`. rate_first, rate_next:
    learning rates. lam, lam_next: lambda of NIRVANA's Eq. 2 to start from where a rate or a PSNR is asked for.
    rate_every: steps between evaluations of the rate.
    """

    steps_first: int
    steps_next: int
    steps_network: int = 0
    frames_per_step: int = 0
    published: bool = False
    muon: bool = True
    rate_first: float = 0.03
    rate_next: float = 0.04
    lam: float = 1e-4
    lam_next: float = 1e-3
    rate_every: int = 8


def check_preset(name: str) -> None:
    """UsageError where there is no preset called `name`."""
    if name not in PRESETS:
        raise UsageError(f"there is no preset '{name}'; there are: {', '.join(PRESETS)}")
