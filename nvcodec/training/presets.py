"""Named settings along one axis, speed against compression; quality is asked for separately.

Patch, group and channels are what a step costs; iterations are how many there are. The rates of the Muon presets were
found on short excerpts (docs/experiments.md); `paper` has the numbers of NIRVANA's section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from nvcodec.errors import UsageError


@dataclass(frozen=True)
class Preset:
    """One point on the axis.

    patch, group, depth, channels, block_channels, omega: of the network. width: None to size it by the target rate.
    steps_first, steps_next: iterations of a random-access group and of the others. published: train as the paper does,
    Adam on weights with the rate as a gradient; else Muon for random-access groups, which have everything to learn, and
    Adam with proximal steps for the others, which should change little. rate_first, rate_next: learning rates. lam,
    lam_next: lambda of Eq. 2 to start from where a rate or a PSNR is asked for. rate_every: steps between evaluations
    of the rate. conv_float: convolutions unquantised.
    """

    name: str
    summary: str
    patch: int
    group: int
    depth: int
    channels: int
    block_channels: int
    steps_first: int
    steps_next: int
    width: int | None = None
    omega: int = 30
    published: bool = False
    rate_first: float = 0.03
    rate_next: float = 0.04
    lam: float = 1e-4
    lam_next: float = 1e-3
    rate_every: int = 8
    conv_float: bool = False


PRESETS: dict[str, Preset] = {
    p.name: p
    for p in (
        Preset("ultrafast", "a first look", 16, 8, 3, 4, 4, 150, 30),
        Preset("fast", "quick and decent", 16, 8, 3, 4, 8, 200, 55),
        Preset("medium", "the default", 16, 8, 3, 4, 8, 600, 160),
        Preset("slow", "for archives", 16, 8, 4, 8, 16, 5000, 1100),
        Preset(
            "paper", "the published network and schedule", 32, 3, 5, 16, 16, 16000, 2000, width=512, published=True,
            rate_first=5e-4, rate_next=5e-4, lam_next=1e-4, conv_float=True,
        ),
    )
}  # fmt: skip


def preset_named(name: str) -> Preset:
    """The preset called `name`; UsageError where there is none."""
    if name not in PRESETS:
        raise UsageError(f"there is no preset '{name}'; there are: {', '.join(PRESETS)}")
    return PRESETS[name]
