"""The model `mc`: one network for every video, in the prior; what a preset chooses is how long frames are fitted."""

from __future__ import annotations

from nvcodec.encode.settings import EncodeSettings
from nvcodec.errors import UsageError
from nvcodec.models.base import TensorSpec
from nvcodec.models.mc import McConfig
from nvcodec.planning.sizing import BitCosts
from nvcodec.training.presets import Training
from nvcodec.video import Chroma, VideoInfo

PRIOR = bytes.fromhex("f41523a0603ec2c9")
GROUP = 16
WIDTH = McConfig().width

PRESETS = {
    "ultrafast": Training(24, 8),
    "fast": Training(40, 24, 50),
    "medium": Training(200, 140, 200),
    "slow": Training(600, 400, 600),
    "paper": Training(3000, 2000, 2000),
}
"""Steps of an intra frame, and of a frame that is predicted from one other; those between two have fewer."""


class McNetwork:
    """Latent grids and displacements of frames."""

    name = "mc"
    frames = True
    options = frozenset({"steps_network"})
    least_width = WIDTH
    costs = BitCosts(fresh=0, moving=0, settled=0, mask=0)  # all weights are those of the prior

    def codes(self, info: VideoInfo) -> bool:
        """4:2:0 and gray."""
        return info.chroma in (Chroma.GRAY, Chroma.C420)

    def training(self, preset: str) -> Training:
        """How it is trained under a preset."""
        return PRESETS[preset]

    def group(self, preset: str) -> int | None:
        """Frames in a group under a preset."""
        return GROUP

    def width(self, preset: str) -> int | None:
        """That of the prior."""
        return WIDTH

    def values(self, settings: EncodeSettings, info: VideoInfo, group: int, width: int) -> tuple[int, ...]:
        """The configuration in wire order. UsageError for a pixel format that it does not have."""
        if not self.codes(info):
            raise UsageError(
                f"mc codes 4:2:0 and gray, not what this is ({info.chroma.name[1:]}); choose another --model"
            )
        return McConfig(group=group, width=width).values

    def moves(self, tensor: TensorSpec) -> bool:
        """None: the prior stays as it is."""
        return False

    def shares(self, tensor: TensorSpec) -> bool:
        """None: there are no windows."""
        return False
