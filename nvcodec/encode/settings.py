"""What a user can ask of the encoder. Names are those of the command line."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from nvcodec.errors import UsageError
from nvcodec.limits import MAX_GROUP_FRAMES, MAX_GROUPS
from nvcodec.planning.scenes import THRESHOLD
from nvcodec.planning.windows import MAX_CHUNKS


@dataclass(frozen=True)
class EncodeSettings:
    """One encode. None means: what the preset or the sizing says.

    Rate, at most one of the three (none of them: bpp = 0.3):
        bpp: bits per pixel that the whole file shall have. psnr: RGB PSNR in dB that every group shall reach.
        lam: lambda of the paper's Eq. 2, mean squared error (of RGB in [0, 1]) per mean bit per coded integer; of
            mc, per bit per pixel.
    Speed: preset, one of training.presets.PRESETS.
    Network: model, None for mc where the video is 4:2:0 or gray and nirvana where it is not; group, frames of a group,
        or chunk, their seconds, for models whose groups are chunks; of all but mc width, or parameters, how many the
        network may have; and of some models patch, depth, channels, block_channels and conv, 'quantised' or 'float'.
    Training: steps_first, steps_next, iterations of a random-access group and of the others;
        steps_network, of mc, those that fit the network to each group; prune, part of the weights
        that training makes zero, of all but mc.
    Sharing (NerVast), of all but mc: share, the part kappa of the parameters that groups of a window have in common, 0
        for windows whose groups have nothing in common; mask, the score by which it is chosen (training.sharing);
        share_training, 'turns', shared parameters move with each group, 'joint', once for all (Algorithm 1), or
        'sequential', where the first group of a window is trained and what it shares then stays; monolithic, one group
        for the whole video. Of all models, inherit: what the rest of a group is coded against, 'previous' or 'none'.
    Windows: scene_threshold, the least score of a scene change; min_window, seconds, and max_window, groups, of a
        window (0: no limit).
    Structure: keyint, groups from one random-access group to the next (0: only each chain's first); chains, disjoint
        parts of the video that start from scratch; jobs, processes that work on chains at the same time; engine, where
        they run: 'local', or 'ray' for a Ray cluster whose machines see source and target under the same names.
    start, stop: frames start .. stop - 1 of the source (stop None: to its end).
    seed: of every random choice. device: auto, cpu or cuda. threads: of each process, None for all cores.
    """

    preset: str = "medium"
    bpp: float | None = None
    psnr: float | None = None
    lam: float | None = None
    model: str | None = None
    patch: int | None = None
    group: int | None = None
    chunk: float | None = None
    width: int | None = None
    parameters: int | None = None
    depth: int | None = None
    channels: int | None = None
    block_channels: int | None = None
    conv: str | None = None
    steps_first: int | None = None
    steps_next: int | None = None
    steps_network: int | None = None
    prune: float = 0.0
    share: float | None = None
    mask: str = "layers"
    share_training: str = "turns"
    inherit: str | None = None
    monolithic: bool = False
    scene_threshold: float = THRESHOLD
    min_window: float | None = None
    max_window: int = MAX_CHUNKS
    keyint: int = 0
    chains: int = 1
    jobs: int = 1
    engine: str = "local"
    start: int = 0
    stop: int | None = None
    seed: int = 0
    device: str = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        asked = [name for name in ("bpp", "psnr", "lam") if getattr(self, name) is not None]
        if len(asked) > 1:
            raise UsageError("ask for a rate by one of --bpp, --psnr and --lambda, not by several")
        for pair in (("group", "chunk"), ("width", "parameters")):
            if None not in (getattr(self, name) for name in pair):
                raise UsageError(f"--{pair[0]} and --{pair[1]} say the same thing; give one of them")
        for name, low, high in BOUNDS:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise UsageError(f"{flag(name)} {value} is not in {low}..{high}")
        for name, words in CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in words:
                raise UsageError(f"{flag(name)} {value} is none of: {', '.join(words)}")
        if self.monolithic:
            self._check_monolithic()
        if self.share == 0 and self.inherit == "previous":
            raise UsageError("--share 0 is for groups that have nothing in common; leave it out for --inherit previous")
        if self.stop is not None and self.stop <= self.start:
            raise UsageError(f"there are no frames {self.start}:{self.stop}")

    def _check_monolithic(self) -> None:
        for name in ("group", "chunk", "share"):
            if getattr(self, name) is not None:
                raise UsageError(f"--monolithic makes one group of the whole video; it does not go with {flag(name)}")
        if self.chains > 1:
            raise UsageError("--monolithic makes one group of the whole video; it does not go with --chains")

    def chosen(self) -> dict[str, object]:
        """The settings that differ from the defaults, for records of what was done."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}


def flag(field: str) -> str:
    """The option of the command line that sets a field of EncodeSettings."""
    return "--lambda" if field == "lam" else f"--{field.replace('_', '-')}"


CHOICES = {
    "conv": ("quantised", "float"),
    "mask": ("fisher", "layers", "random", "variance", "difference"),
    "share_training": ("turns", "joint", "sequential"),
    "inherit": ("none", "previous"),
    "engine": ("local", "ray"),
}
"""Settings that are one of a few words."""

NETWORK_OPTIONS = ("patch", "chunk", "depth", "channels", "block_channels", "conv", "steps_network")
"""Settings that only some models have."""

BOUNDS = (
    ("bpp", 1e-4, 64),
    ("psnr", 5, 80),
    ("lam", 0, 1),
    ("patch", 2, 256),
    ("group", 1, MAX_GROUP_FRAMES),
    ("chunk", 0.01, 3600),
    ("width", 1, 8192),
    ("parameters", 1, 2**26),
    ("depth", 1, 64),
    ("channels", 2, 256),
    ("block_channels", 1, 256),
    ("steps_first", 1, 10**7),
    ("steps_next", 1, 10**7),
    ("steps_network", 0, 10**7),
    ("prune", 0, 0.99),
    ("share", 0, 1),
    ("scene_threshold", 1e-6, 1),
    ("min_window", 0, 3600),
    ("max_window", 0, MAX_GROUPS),
    ("keyint", 0, 10**6),
    ("chains", 1, 10**4),
    ("jobs", 1, 1024),
    ("start", 0, 2**32),
    ("seed", 0, 2**32 - 1),
    ("threads", 1, 1024),
)
