"""The networks of the model `mc` that make a frame of its latents: one for intra frames, one for predicted ones.

Latents lie on grids of three levels, coarsest first. Going down from the coarsest, a trunk takes in the latents of each
level and doubles its size; before it does, it gives the laws of that level's latents. Beside the trunk, which has
activation functions, there is a linear way from latents to samples, for what many bits are spent on. In the inter
network it begins at the finest level. In the intra network it begins at the coarsest, so that together its layers are
transforms of 32 x 32, 16 x 16 and 8 x 8 luma samples, where a level says what the ones above left.

The latents of a level are coded in groups of channels, and each group in two passes: the cells of a checkerboard, then
the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nvcodec.jit import compiled
from nvcodec.models.base import Coder, Weights
from nvcodec.models.integer import BOUND, Arithmetic
from nvcodec.models.motion import CELL, PICTURE

LATENT_BOUND = 4095  # of a latent times its step
SAMPLES = 4 * PICTURE  # of a cell of 4 x 4 luma samples
SUFFIXES = ("", "b", "c")  # of what belongs to the first, second, third group of a level
CELL_LEVEL = CELL.bit_length() - 1

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Tuning:
    """Of a quality: the step of the latents of each level, scalars, and where the trunk starts, (1, width, 1, 1). For N
    frames at once, in training, steps are (N, 1, 1, 1) and the start is (N, width, 1, 1)."""

    steps: tuple[Tensor, ...]
    start: Tensor


@dataclass(frozen=True)
class Layer:
    """One convolution: outputs, inputs, kernel, the magnitude of what comes in, and whether it is precise."""

    outputs: int
    inputs: int
    kernel: int
    reach: int = BOUND
    precise: bool = False


@dataclass(frozen=True)
class LatentNetwork:
    """intra: without a prediction. width: channels of the trunk; half: at half the size. groups: channels of the groups
    of each level, by its number, coarsest first: the log2 of its cell in luma samples."""

    intra: bool
    width: int
    half: int
    groups: Mapping[int, tuple[int, ...]]

    @property
    def name(self) -> str:
        """The first part of the names of its tensors."""
        return "intra" if self.intra else "inter"

    @property
    def levels(self) -> tuple[int, ...]:
        """Coarsest first."""
        return tuple(self.groups)

    @property
    def latents(self) -> dict[int, int]:
        """Channels of each level."""
        return {level: sum(channels) for level, channels in self.groups.items()}

    @property
    def layers(self) -> dict[str, Layer]:
        """By name, in wire order."""
        n, half, levels = self.width, self.half, self.levels
        out: dict[str, Layer] = {}
        if not self.intra:
            out["sense2"] = Layer(n, 2 * PICTURE, 2)
            out["sense3"] = Layer(n, n, 2)
            out["sense4"] = Layer(n, n, 2)
        for level in range(levels[0], 1, -1):
            channels = sum(self.groups.get(level, ()))
            if channels:
                out[f"base{level}"] = Layer(n, n, 1)
                for suffix, count in zip(SUFFIXES, self.groups[level], strict=False):
                    out[f"near{level}{suffix}"] = Layer(n, channels, 3, LATENT_BOUND)
                    out[f"mid{level}{suffix}"] = Layer(n, n, 1)
                    out[f"first{level}{suffix}"] = Layer(2 * count, n, 1)
                    out[f"second{level}{suffix}"] = Layer(2 * count, n, 1)
                out[f"latent{level}"] = Layer(n, channels, 3, LATENT_BOUND)
            if level < levels[0]:
                out[f"mix{level}"] = Layer(n, n, 3)
            out[f"up{level}"] = Layer(4 * (half if level == 2 else n), n, 1)
        if self.intra:
            out["mix1"] = Layer(half, half, 3)
        else:
            out["sense1"] = Layer(half, 2 * PICTURE, 3)
        out["last"] = Layer(half, half, 1)
        out["picture"] = Layer(PICTURE, half, 3)
        for level in range(self._straight_from, 1, -1):
            channels = self._straight(level)
            out[f"direct{level}"] = Layer(4 * self._straight(level - 1), channels, 3, LATENT_BOUND, precise=self.intra)
        return out

    @property
    def _straight_from(self) -> int:
        """The level at which the linear way begins."""
        return self.levels[0] if self.intra else self.levels[-1]

    def _straight(self, level: int) -> int:
        """Channels of the linear way at a level."""
        return self.latents.get(level, SAMPLES if level == 2 else PICTURE)

    def values_of_cell(self) -> int:
        """Values of its largest layer, of a cell of displacements: 16 x 16 luma samples."""
        laws = [2 * count << 2 * CELL_LEVEL >> 2 * level for level, count in self.latents.items()]
        return max(64 * max(self.half, PICTURE), 16 * self.width, *laws)

    def grids(self, values: Mapping[int, Tensor]) -> dict[str, Tensor]:
        """Values (N, C, h, w) of levels by the names under which their groups are coded."""
        out: dict[str, Tensor] = {}
        for level, found in values.items():
            parts = torch.split(found, list(self.groups[level]), 1)
            out |= {f"latent{level}{suffix}": part for suffix, part in zip(SUFFIXES, parts, strict=False)}
        return out

    def picture(
        self,
        weights: Weights,
        tuning: Tuning,
        prediction: Tensor | None,
        code: Coder,
        a: Arithmetic,
        levels: Collection[int],
        size: tuple[int, int],
    ) -> Tensor:
        """As `Mc.picture`. size: height and width of the frame in luma samples."""
        cells = [-(-n // CELL) for n in size]

        def layer(name: str, x: Tensor, stride: int = 1, **then: Any) -> Tensor:
            key = f"{self.name}.{name}"
            return a.convolve(x, weights[f"{key}.weight"], weights[f"{key}.bias"], stride, **then)

        def shape(level: int) -> tuple[int, int]:
            rows, columns = (-(-(n << CELL_LEVEL) >> level) for n in cells)
            return rows, columns

        senses: dict[int, Tensor] = {}
        top = self.levels[0]
        if prediction is None:
            trunk = a.bound(tuning.start.expand(-1, -1, *shape(top)))
        else:
            senses[1] = layer("sense1", prediction)
            senses[2] = layer("sense2", prediction, 2, leak=True)
            senses[3] = layer("sense3", senses[2], 2, leak=True)
            trunk = layer("sense4", senses[3], 2, plus=tuning.start, leak=True)
        straight: Tensor | None = None
        for level in range(top, 1, -1):
            total = straight
            if level in self.groups:
                if level in levels:
                    inside = -(-size[0] >> level), -(-size[1] >> level)
                    passes = latent_passes(trunk.shape[2:], inside, trunk.device)
                    step = tuning.steps[self.levels.index(level)]
                    total = self._latents(layer, a, level, trunk, straight, passes, step, code)
                trunk = self._taken_in(layer, a, weights, level, trunk, total)
            if level < top:
                trunk = layer(f"mix{level}", trunk, leak=True, beside=trunk)
            if level <= self._straight_from:
                plus = prediction[:, :PICTURE] if prediction is not None and level == 2 else None
                straight = self._onwards(layer, weights, level, total, trunk, plus)
            trunk = layer(f"up{level}", trunk, shuffle=True, plus=senses.get(level - 1), leak=True)
            if level > CELL_LEVEL:  # an odd last row or column is half beyond all that is worked on
                rows, columns = shape(level - 1)
                trunk = trunk[:, :, :rows, :columns]
                straight = None if straight is None else straight[:, :, :rows, :columns]
            if straight is not None and level > 2:
                straight = straight.clamp(-LATENT_BOUND, LATENT_BOUND)
        if self.intra:
            trunk = layer("mix1", trunk, leak=True, beside=trunk)
        return layer("picture", layer("last", trunk, leak=True), plus=straight)

    def _latents(
        self,
        layer: Callable[..., Tensor],
        a: Arithmetic,
        level: int,
        trunk: Tensor,
        straight: Tensor | None,
        passes: Sequence[Tensor],
        step: Tensor,
        code: Coder,
    ) -> Tensor:
        """The latents of a level times their step, and what comes down the linear way, (N, C, h, w)."""
        base = layer(f"base{level}", trunk)
        groups = self.groups[level]
        total = straight
        if total is None:
            total = trunk.new_zeros(trunk.shape[0], sum(groups), *trunk.shape[2:])
        nothing_known = straight is None
        in_place = a.exact and trunk.device.type == "cpu"
        for suffix, first, _ in zip(SUFFIXES, accumulate(groups, initial=0), groups, strict=False):
            for head, cells in zip(("first", "second"), passes, strict=True):
                near = a.leak(base) if nothing_known else layer(f"near{level}{suffix}", total, plus=base, leak=True)
                nothing_known = False
                law = layer(f"{head}{level}{suffix}", layer(f"mid{level}{suffix}", near, leak=True))
                location, scale = law.chunk(2, 1)
                values = code(f"latent{level}{suffix}", 1, cells, location, scale, step)
                if in_place:
                    total = _put(total, values, first, step)
                    continue
                total = total + _spread(values, first, step, sum(groups))
                if straight is not None:
                    total = total.clamp(-LATENT_BOUND, LATENT_BOUND)
        return total

    def _taken_in(
        self,
        layer: Callable[..., Tensor],
        a: Arithmetic,
        weights: Weights,
        level: int,
        trunk: Tensor,
        total: Tensor | None,
    ) -> Tensor:
        """The trunk, and what a level has; None for zeros."""
        if total is None:
            return a.leak(trunk + weights[f"{self.name}.latent{level}.bias"].view(1, -1, 1, 1))
        return layer(f"latent{level}", total, plus=trunk, leak=True)

    def _onwards(
        self,
        layer: Callable[..., Tensor],
        weights: Weights,
        level: int,
        total: Tensor | None,
        trunk: Tensor,
        plus: Tensor | None,
    ) -> Tensor:
        """The linear way at the next level, from what a level has; None for zeros. plus: what is added."""
        if total is not None:
            return layer(f"direct{level}", total, shuffle=True, plus=plus, precise=self.intra)
        bias = weights[f"{self.name}.direct{level}.bias"].view(1, -1, 1, 1)
        bias = functional.pixel_shuffle(bias.expand(-1, -1, *trunk.shape[2:]), 2)
        return bias if plus is None else plus + bias


def _spread(values: Tensor, first: int, step: Tensor, channels: int) -> Tensor:
    """Values (N, c, h, w) times their step, from channel `first` on of `channels`, the others 0."""
    found = (values * step).clamp(-LATENT_BOUND, LATENT_BOUND)
    after = channels - first - found.shape[1]
    return functional.pad(found, (0, 0, 0, 0, first, after)) if first or after else found


def _put(total: Tensor, values: Tensor, first: int, step: Tensor) -> Tensor:
    """What is known of a level, (N, C, h, w), and values (N, c, h, w) times their step, from channel `first` on; on the
    CPU, without gradients, into `total` where that lies in memory as convolutions like it."""
    known = total.contiguous(memory_format=torch.channels_last)
    for to, found in zip(known.permute(0, 2, 3, 1).numpy(), values.numpy(), strict=True):
        _put_cells(to, found, first, float(step))
    return known


@compiled
def _put_cells(to: Floats, values: Floats, first: int, step: float) -> None:
    """`_put` of one frame: (h, w, C) and (c, h, w)."""
    least, most, times = np.float32(-LATENT_BOUND), np.float32(LATENT_BOUND), np.float32(step)
    channels, rows, columns = values.shape
    for y in range(rows):
        for x in range(columns):
            row = to[y, x]
            for c in range(channels):
                found = min(max(values[c, y, x] * times, least), most)
                row[first + c] = min(max(row[first + c] + found, least), most)


@lru_cache(maxsize=64)
def latent_passes(shape: tuple[int, int], inside: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """The cells of the two passes of a grid of that shape, (rows, columns) bool: those whose row + column is even, and
    the others. Only the first rows and columns, `inside`, are coded: the picture is as large."""
    y, x = torch.arange(shape[0])[:, None], torch.arange(shape[1])
    even, within = (y + x) % 2 == 0, (y < inside[0]) & (x < inside[1])
    return (within & even).to(device), (within & ~even).to(device)
