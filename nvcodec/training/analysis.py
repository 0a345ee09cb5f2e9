"""The analysis networks of the model `mc`: frames to first guesses of their latents. Never needed to decode.

Trained together with the prior (tools/train_prior.py), so that no optimisation at all is already a codec, and every
step of it buys bits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nvcodec.errors import FeatureError
from nvcodec.models.integer import UNIT
from nvcodec.models.latents import LatentNetwork
from nvcodec.models.mc import McConfig
from nvcodec.models.motion import PICTURE
from nvcodec.training import transforms
from nvcodec.training.knots import KNOTS, between

FOLDER = Path(__file__).parent / "analyses"
CHANNELS = 48
SLOPE = 0.25


class InterAnalysis(nn.Module):
    """Of frames that are predicted."""

    def __init__(self, network: LatentNetwork) -> None:
        super().__init__()
        n, seen = CHANNELS, 3 * PICTURE
        self.enter = nn.Conv2d(seen, n, 4, 2)
        self.tones = nn.Parameter(torch.zeros(KNOTS, n))
        self.straight = nn.Conv2d(seen, network.latents[2], 4, 2)  # as the model has a linear way for these
        nn.init.zeros_(self.straight.weight)
        self.mix = nn.Conv2d(n, n, 1)
        self.inner2, self.outer2 = (nn.Conv2d(n, n, 3, padding=1) for _ in range(2))
        self.down3, self.down4 = (nn.Conv2d(n, n, 2, 2) for _ in range(2))
        self.inner3, self.inner4 = (nn.Conv2d(n, n, 3, padding=1) for _ in range(2))
        self.leave = nn.ModuleDict(
            {str(level): nn.Conv2d(n, count, 3, padding=1) for level, count in network.latents.items()}
        )
        self.gains = _gains(network)

    def forward(self, target: Tensor, prediction: Tensor, octaves: Tensor) -> dict[int, Tensor]:
        """Latents times their steps in activation units, by level.

        From pictures (N, 6, h, w) and (N, 12, h, w), and their qualities in octaves, (N,).
        """
        x = torch.cat(((target - prediction[:, :PICTURE]) / UNIT, prediction / UNIT), 1)
        padded = x = functional.pad(x, (1, 1, 1, 1), mode="replicate")
        x = _leak(self.enter(x) + _of_quality(self.tones, octaves))
        x = _leak(self.mix(x))
        x = x + self.outer2(_leak(self.inner2(x)))
        seen = {2: x.float()}
        for level, down, inner in ((3, self.down3, self.inner3), (4, self.down4, self.inner4)):
            x = _leak(down(x))
            x = x + _leak(inner(x))
            seen[level] = x.float()
        with torch.autocast(target.device.type, enabled=False):
            out = {level: self.leave[str(level)](x) for level, x in seen.items()}
            out[2] = out[2] + self.straight(padded)
            return {level: UNIT * found * _of_quality(self.gains[str(level)], octaves) for level, found in out.items()}


class IntraAnalysis(nn.Module):
    """Of frames without references: transforms of blocks, each of what the coarser ones left, and beside them a network
    that corrects them. The transforms begin as those of training.transforms."""

    def __init__(self, network: LatentNetwork) -> None:
        super().__init__()
        n = CHANNELS
        self.levels = network.levels
        self.enter = nn.Conv2d(PICTURE, n, 4, 2)
        self.inner2, self.outer2 = (nn.Conv2d(n, n, 3, padding=1) for _ in range(2))
        self.tones = nn.Parameter(torch.zeros(KNOTS, n))
        self.gains = _gains(network)
        self.down = nn.ModuleDict({str(level): nn.Conv2d(n, n, 2, 2) for level in self.levels})
        self.inner = nn.ModuleDict({str(level): nn.Conv2d(n, n, 3, padding=1) for level in self.levels})
        self.leave = nn.ModuleDict()
        self.forwards, self.backwards = nn.ParameterDict(), nn.ParameterDict()
        for level, count in network.latents.items():
            leave = nn.Conv2d(n, count, 3, padding=1)
            nn.init.zeros_(leave.weight)
            nn.init.zeros_(leave.bias)  # type: ignore[arg-type]
            self.leave[str(level)] = leave
            there, back = transforms.of_level(level, count)
            self.forwards[str(level)] = nn.Parameter(there)
            if level > self.levels[-1]:
                self.backwards[str(level)] = nn.Parameter(back)

    def forward(self, target: Tensor, octaves: Tensor) -> dict[int, Tensor]:
        """As InterAnalysis."""
        height, width = target.shape[2:]
        cell = 1 << self.levels[0] - 1
        rest = functional.pad(target / UNIT, (0, -width % cell, 0, -height % cell), mode="replicate")
        x = self.enter(functional.pad(rest, (1, 1, 1, 1), mode="replicate"))
        x = _leak(x + _of_quality(self.tones, octaves))
        x = x + self.outer2(_leak(self.inner2(x)))
        seen = {}
        for level in reversed(self.levels):
            x = _leak(self.down[str(level)](x))
            x = x + _leak(self.inner[str(level)](x))
            seen[level] = x.float()
        with torch.autocast(target.device.type, enabled=False):
            return self._left(rest, seen, octaves, (height, width))

    def _left(self, rest: Tensor, seen: dict[int, Tensor], octaves: Tensor, size: tuple[int, int]) -> dict[int, Tensor]:
        """The latents, by what the transforms say of what coarser ones leave, and the network of what it has seen."""
        height, width = size
        out = {}
        for level in self.levels:
            cell = 1 << level - 1
            found = functional.conv2d(rest, self.forwards[str(level)], stride=cell)
            found = found * _of_quality(self.gains[str(level)], octaves)
            if level > self.levels[-1]:
                rest = rest - functional.conv_transpose2d(found, self.backwards[str(level)], stride=cell)
            found = (found + self.leave[str(level)](seen[level])) * UNIT
            out[level] = found[:, :, : -(-height // cell), : -(-width // cell)]
        return out


class Analyses(nn.Module):
    """Both networks behind one call."""

    def __init__(self, config: McConfig) -> None:
        super().__init__()
        self.intra, self.inter = IntraAnalysis(config.network(True)), InterAnalysis(config.network(False))

    def forward(self, target: Tensor, prediction: Tensor | None, octaves: Tensor) -> dict[int, Tensor]:
        """As InterAnalysis; without a prediction that of intra frames."""
        found: dict[int, Tensor] = (
            self.intra(target, octaves) if prediction is None else self.inter(target, prediction, octaves)
        )
        return found


def _gains(network: LatentNetwork) -> nn.ParameterDict:
    """Of the latents of each level, which depend on the quality."""
    return nn.ParameterDict(
        {str(level): nn.Parameter(torch.ones(KNOTS, count)) for level, count in network.latents.items()}
    )


def _of_quality(knots: Tensor, octaves: Tensor) -> Tensor:
    """(N, C, 1, 1) of a table (KNOTS, C)."""
    return between(knots, octaves)[:, :, None, None]


def _leak(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, SLOPE)


def load_analyses(prior: bytes, config: McConfig) -> Analyses:
    """The analysis networks that were trained with a prior, without gradients. FeatureError where they are not here."""
    path = FOLDER / f"{prior.hex()}.npz"
    if not path.is_file():
        raise FeatureError(f"this release has no analysis network for the prior {prior.hex()}")
    networks = Analyses(config)
    with np.load(path) as arrays:
        networks.load_state_dict({name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays})
    return networks.requires_grad_(False).eval()


def save_analyses(networks: Analyses, path: Path) -> None:
    """As half precision numbers by name."""
    arrays = {name: value.detach().cpu().numpy().astype(np.float16) for name, value in networks.state_dict().items()}
    np.savez_compressed(path, **arrays)
