"""NIRVANA's presets: patch, group and channels are what a step costs; iterations are how many there are.

The rates of the Muon presets were found on short excerpts (docs/experiments.md): random-access groups, which have
everything to learn, are trained with Muon, the others, which should change little, with Adam. `paper` has the numbers
of section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from nvcodec.encode.settings import EncodeSettings
from nvcodec.models.base import LATENT, TensorSpec
from nvcodec.models.nirvana import NirvanaConfig, largest_patch
from nvcodec.planning.sizing import BitCosts
from nvcodec.training.presets import Training
from nvcodec.video import VideoInfo


@dataclass(frozen=True)
class Shape:
    """Of the network. width: None to size it by the target rate. conv_float: convolutions unquantised."""

    patch: int
    group: int
    depth: int
    channels: int
    block_channels: int
    width: int | None = None
    omega: int = 30
    conv_float: bool = False


PRESETS: dict[str, tuple[Shape, Training]] = {
    "ultrafast": (Shape(16, 8, 3, 4, 4), Training(150, 30)),
    "fast": (Shape(16, 8, 3, 4, 8), Training(200, 55)),
    "medium": (Shape(16, 8, 3, 4, 8), Training(600, 160)),
    "slow": (Shape(16, 8, 4, 8, 16), Training(5000, 1100)),
    "paper": (
        Shape(32, 3, 5, 16, 16, width=512, conv_float=True),
        Training(16000, 2000, published=True, muon=False, rate_first=5e-4, rate_next=5e-4, lam_next=1e-4),
    ),
}


class NirvanaNetwork:
    """Patch volumes of a group; its last linear layer is the dictionary that groups share."""

    name = "nirvana"
    frames = False
    options = frozenset({"patch", "depth", "channels", "block_channels", "conv"})
    least_width = 4
    costs = BitCosts()

    def codes(self, info: VideoInfo) -> bool:
        """Every one."""
        return True

    def training(self, preset: str) -> Training:
        """How it is trained under a preset."""
        return PRESETS[preset][1]

    def group(self, preset: str) -> int | None:
        """Frames in a group under a preset."""
        return PRESETS[preset][0].group

    def width(self, preset: str) -> int | None:
        """The width of a preset; None where the rate decides."""
        return PRESETS[preset][0].width

    def values(self, settings: EncodeSettings, info: VideoInfo, group: int, width: int) -> tuple[int, ...]:
        """The configuration in wire order."""
        shape = PRESETS[settings.preset][0]
        return NirvanaConfig(
            patch=settings.patch or min(shape.patch, largest_patch(info.height, info.width)),
            group=group,
            width=width,
            depth=settings.depth or shape.depth,
            channels=settings.channels or shape.channels,
            block_channels=settings.block_channels or shape.block_channels,
            omega=shape.omega,
            conv_float=int(shape.conv_float if settings.conv is None else settings.conv == "float"),
        ).values

    def moves(self, tensor: TensorSpec) -> bool:
        """All but the dictionary."""
        return tensor.name != "volume.weight"

    def shares(self, tensor: TensorSpec) -> bool:
        """All that is quantised."""
        return tensor.kind == LATENT
