"""NeRV, HNeRV and E-NeRV: a group is a chunk of some seconds, a step sees few of its frames.

One table of presets serves them all; an iteration costs about the same. Rates and steps were found on a short excerpt
(docs/experiments.md, "Frame-wise networks"). `paper` is the papers' schedule, 300 epochs of a 132 frame clip, one frame
at a time with Adam at 5e-4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from nvcodec.encode.settings import EncodeSettings
from nvcodec.models.base import TensorSpec
from nvcodec.models.enerv import EnervConfig
from nvcodec.models.hnerv import HnervConfig
from nvcodec.models.nerv import NervConfig
from nvcodec.planning.sizing import BitCosts
from nvcodec.planning.strides import MAX_STRIDES, strides_for
from nvcodec.training.presets import Training
from nvcodec.video import VideoInfo

PRESETS = {
    "ultrafast": Training(400, 150, frames_per_step=1, rate_every=32),
    "fast": Training(1000, 400, frames_per_step=1, rate_every=32),
    "medium": Training(4000, 1500, frames_per_step=1, rate_every=32),
    "slow": Training(20000, 8000, frames_per_step=1, rate_every=32),
    "paper": Training(
        39600, 39600, frames_per_step=1, published=True, muon=False, rate_first=5e-4, rate_next=5e-4, lam_next=1e-4
    ),
}


@dataclass(frozen=True)
class FrameWiseNetwork:
    """One of the three. grid: samples that strides enlarge, about. rate: of Muon, except in `paper`.

    configure: (group, width, strides) to the configuration in wire order.
    """

    name: str
    grid: int
    rate: float
    costs: BitCosts
    configure: Callable[[int, int, tuple[int, ...]], tuple[int, ...]]
    options: frozenset[str] = frozenset({"chunk"})
    least_width: int = 1
    frames: bool = False

    def codes(self, info: VideoInfo) -> bool:
        """Every one."""
        return True

    def training(self, preset: str) -> Training:
        """How it is trained under a preset."""
        training = PRESETS[preset]
        return training if training.published else replace(training, rate_first=self.rate)

    def group(self, preset: str) -> int | None:
        """None: a group is a chunk."""
        return None

    def width(self, preset: str) -> int | None:
        """None: the rate decides."""
        return None

    def values(self, settings: EncodeSettings, info: VideoInfo, group: int, width: int) -> tuple[int, ...]:
        """The configuration in wire order."""
        strides = strides_for(info.height, info.width, self.grid)
        return self.configure(group, width, strides + (0,) * (MAX_STRIDES - len(strides)))

    def moves(self, tensor: TensorSpec) -> bool:
        """All of them."""
        return True

    def shares(self, tensor: TensorSpec) -> bool:
        """All but the embeddings, which are of frames."""
        return tensor.name != "embedding"


def _nerv(group: int, width: int, strides: tuple[int, ...]) -> tuple[int, ...]:
    return NervConfig(group, width, width, 40, 125, 12, 20, *strides).values


def _hnerv(group: int, width: int, strides: tuple[int, ...]) -> tuple[int, ...]:
    return HnervConfig(group, width, 4, 12, 12, *strides).values


def _enerv(group: int, width: int, strides: tuple[int, ...]) -> tuple[int, ...]:
    return EnervConfig(group, width, 2 * width, 40, 125, 6, 12, 20, *strides).values


FAMILY = (
    FrameWiseNetwork("nerv", 144, 0.01, BitCosts(fresh=7.2), _nerv),
    FrameWiseNetwork("hnerv", 12, 0.02, BitCosts(fresh=7.7), _hnerv),
    FrameWiseNetwork("enerv", 144, 0.01, BitCosts(fresh=7.3), _enerv),
)
