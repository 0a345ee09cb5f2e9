"""The model `mc`: motion-compensated prediction and latent grids, exact on every device (class X).

A frame is predicted from none, one or two frames that were decoded before, moved by coarse fields of displacement. What
the prediction lacks comes from three grids of integer latents, at 1/16, 1/8 and 1/4 of the size, that a small network
turns into a residual. The same trunk gives the location and the scale of the Laplace law of every latent, from what was
decoded before it: the prediction, coarser grids, and for the second half of a grid's cells (a checkerboard) the first.

Networks are shared by all frames: `intra` without references, `inter` with one or two, `flow` for displacements. All
arithmetic is that of `models.integer`. Pictures are (1, 6, h, w) at half size, h and w multiples of 8: the four luma
samples of a 2 x 2 cell in raster order, then Cb and Cr; in quarters of an 8 bit code value, less its middle, -512..511.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nvcodec import limits
from nvcodec.errors import LimitError
from nvcodec.models.base import LATENT, Coder, TensorSpec, Weights, register_frames, require
from nvcodec.models.fields import field_law
from nvcodec.models.integer import BOUND, EXACT, UNIT, Arithmetic, check_sums, sums
from nvcodec.models.motion import CELL, PICTURE

LEVELS = (4, 3, 2)  # of latents, log2 of their cell in luma samples, coarsest first
QUALITIES = 96  # indices
LATENT_BOUND = 4095  # of a latent times its step
FLOW_BOUND = 4095  # of a displacement in quarter samples
FLOW_UNIT = 64  # activation units a quarter sample, in what the flow network sees
LATTICE = (4, 2, 1)  # strides in which a field is coded
INTRA, INTER, FLOW = "intra", "inter", "flow"


@dataclass(frozen=True)
class McConfig:
    """Configuration values in wire order.

    group: the most frames in a group. width: channels of the trunk at 1/16, 1/8 and 1/4 of the size; half: at 1/2;
    flow: of the flow network; coarse, middle, fine: latents of a cell at 1/16, 1/8 and 1/4.
    """

    group: int = 16
    width: int = 32
    half: int = 24
    flow: int = 24
    coarse: int = 16
    middle: int = 12
    fine: int = 24

    def __post_init__(self) -> None:
        require(1 <= self.group <= limits.MAX_GROUP_FRAMES, f"mc: group {self.group} is not in 1..4096")
        for name in ("width", "half", "flow", "coarse", "middle", "fine"):
            require(1 <= getattr(self, name) <= 256, f"mc: {name} {getattr(self, name)} is not in 1..256")

    @property
    def values(self) -> tuple[int, ...]:
        """In wire order."""
        return (self.group, self.width, self.half, self.flow, self.coarse, self.middle, self.fine)

    @property
    def latents(self) -> dict[int, int]:
        """Channels of a level."""
        return dict(zip(LEVELS, (self.coarse, self.middle, self.fine), strict=True))


@dataclass(frozen=True, eq=False)
class Tuning:
    """Of a quality: the step of the latents of each level, scalars, and where the trunk starts, (1, width, 1, 1). For N
    frames at once, in training, steps are (N, 1, 1, 1) and the start is (N, width, 1, 1)."""

    steps: tuple[Tensor, ...]
    start: Tensor


@dataclass(frozen=True)
class Layer:
    """One convolution: outputs, inputs, kernel, and the magnitude of what comes in."""

    outputs: int
    inputs: int
    kernel: int
    reach: int = BOUND


def _network(inter: bool, c: McConfig) -> dict[str, Layer]:
    """The layers of the intra or the inter network by name, in wire order."""
    n, half = c.width, c.half
    out: dict[str, Layer] = {}
    if inter:
        out["sense2"] = Layer(n, 2 * PICTURE, 2)
        out["sense3"] = Layer(n, n, 2)
        out["sense4"] = Layer(n, n, 2)
    for level, channels in c.latents.items():
        out[f"base{level}"] = Layer(n, n, 1)
        out[f"near{level}"] = Layer(n, channels, 3, LATENT_BOUND)
        out[f"mid{level}"] = Layer(n, n, 1)
        out[f"first{level}"] = Layer(2 * channels, n, 1)
        out[f"second{level}"] = Layer(2 * channels, n, 1)
        out[f"latent{level}"] = Layer(n, channels, 3, LATENT_BOUND)
        if level < LEVELS[0]:
            out[f"mix{level}"] = Layer(n, n, 3)
        out[f"up{level}"] = Layer(4 * (half if level == LEVELS[-1] else n), n, 1)
    if inter:
        out["sense1"] = Layer(half, 2 * PICTURE, 3)
    out["last"] = Layer(half, half, 1)
    out["picture"] = Layer(PICTURE, half, 3)
    out["direct"] = Layer(4 * PICTURE, c.fine, 3, LATENT_BOUND)
    return out


def _flow_network(c: McConfig) -> dict[str, Layer]:
    return {"near": Layer(c.flow, 9, 5), "mid": Layer(c.flow, c.flow, 1), "out": Layer(4, c.flow, 1)}


class Mc:
    """The networks of one configuration, for frames of height x width luma samples. Stateless.

    tensors: in wire order. layers: what is known of the convolutions, by the part of their tensors' names before the
    last dot.
    """

    levels: tuple[int, ...] = LEVELS

    def __init__(self, config: McConfig, height: int, width: int) -> None:
        self.config = config
        self.longest = config.group
        self.rows, self.columns = -(-height // CELL), -(-width // CELL)  # of displacements
        self._inside = {level: (-(-height >> level), -(-width >> level)) for level in LEVELS}
        c = config
        self.activations = self.rows * self.columns * max(64 * max(c.half, PICTURE), 16 * c.width, 32 * c.fine)
        if self.activations > limits.MAX_ACTIVATIONS:
            raise LimitError(f"mc: a layer of {self.activations} values, over {limits.MAX_ACTIVATIONS}")
        self.layers = {
            f"{network}.{name}": layer
            for network, layers in (
                (INTRA, _network(False, config)),
                (INTER, _network(True, config)),
                (FLOW, _flow_network(config)),
            )
            for name, layer in layers.items()
        }
        shapes: list[tuple[str, tuple[int, ...]]] = []
        for network in (INTRA, INTER):
            shapes += [(f"{network}.steps", (len(LEVELS), QUALITIES)), (f"{network}.start", (QUALITIES, config.width))]
        for name, layer in self.layers.items():
            shapes.append((f"{name}.weight", (layer.outputs, layer.inputs, layer.kernel, layer.kernel)))
            shapes.append((f"{name}.bias", (layer.outputs,)))
        self.tensors = tuple(TensorSpec(name, LATENT, shape, 0, 1.0) for name, shape in shapes)

    def check(self, weights: Weights) -> None:
        """MalformedError unless every sum of every layer is exact, and every step is in 1..LATENT_BOUND."""
        for name, layer in self.layers.items():
            check_sums(name, weights[f"{name}.weight"], weights[f"{name}.bias"], layer.reach)
        for network in (INTRA, INTER):
            steps = weights[f"{network}.steps"]
            require(bool(((steps >= 1) & (steps <= LATENT_BOUND)).all()), f"{network}.steps: a step is out of 1..4095")

    def tuning(self, weights: Weights, intra: bool, quality: int) -> Tuning:
        """What the networks know of a quality. quality: its index, 0 the finest."""
        network = INTRA if intra else INTER
        start = weights[f"{network}.start"][quality].view(1, -1, 1, 1)
        return Tuning(tuple(weights[f"{network}.steps"][:, quality]), start)

    def picture(
        self,
        weights: Weights,
        tuning: Tuning,
        prediction: Tensor | None,
        code: Coder,
        arithmetic: Arithmetic = EXACT,
        levels: Collection[int] = LEVELS,
    ) -> Tensor:
        """A frame (N, 6, h, w), not clamped, from its prediction (N, 12, h, w) (see `motion.predict`), None for none.

        tuning: of the network and the quality of the frame. levels: those whose latents are coded; all latents of
        another are 0.
        """
        a, network = arithmetic, INTRA if prediction is None else INTER

        def layer(name: str, x: Tensor, stride: int = 1, **then: Any) -> Tensor:
            key = f"{network}.{name}"
            return a.convolve(x, weights[f"{key}.weight"], weights[f"{key}.bias"], stride, **then)

        senses: dict[int, Tensor] = {}
        if prediction is None:
            trunk = a.bound(tuning.start.expand(-1, -1, self.rows, self.columns))
        else:
            senses[1] = layer("sense1", prediction)
            senses[2] = layer("sense2", prediction, 2, leak=True)
            senses[3] = layer("sense3", senses[2], 2, leak=True)
            trunk = layer("sense4", senses[3], 2, plus=tuning.start, leak=True)
        for place, level in enumerate(LEVELS):
            if level in levels:
                y = self._latents(layer, a, level, trunk, tuning.steps[place], code)
                trunk = layer(f"latent{level}", y, plus=trunk, leak=True)
            else:  # what the layer makes of zeros
                trunk = a.leak(trunk + weights[f"{network}.latent{level}.bias"].view(1, -1, 1, 1))
            if level != LEVELS[0]:
                trunk = a.bound(trunk + layer(f"mix{level}", trunk, leak=True))
            trunk = layer(f"up{level}", trunk, shuffle=True, plus=senses.get(level - 1), leak=True)
        # A linear way for what is fine: through activations alone, many bits buy little.
        straight = None if prediction is None else prediction[:, :PICTURE]
        if LEVELS[-1] in levels:
            straight = layer("direct", y, shuffle=True, plus=straight)
        else:
            bias = weights[f"{network}.direct.bias"].view(1, -1, 1, 1)
            bias = functional.pixel_shuffle(bias.expand(-1, -1, *[n // 2 for n in trunk.shape[2:]]), 2)
            straight = bias if straight is None else straight + bias
        return layer("picture", layer("last", trunk, leak=True), plus=straight)

    def _latents(
        self, layer: Callable[..., Tensor], a: Arithmetic, level: int, trunk: Tensor, step: Tensor, code: Coder
    ) -> Tensor:
        """The latents of a level times their step, (N, C, h, w)."""
        base = layer(f"base{level}", trunk)
        passes = latent_passes(trunk.shape[2:], self._inside[level], trunk.device)
        y = torch.zeros(trunk.shape[0], self.config.latents[level], *trunk.shape[2:], device=trunk.device)
        for head, cells in zip(("first", "second"), passes, strict=True):
            near = a.leak(base) if head == "first" else layer(f"near{level}", y, plus=base, leak=True)
            law = layer(f"{head}{level}", layer(f"mid{level}", near, leak=True))
            location, scale = law.chunk(2, 1)
            values = code(f"latent{level}", 1, cells, location, scale, step)
            y = y + (values * step).clamp(-LATENT_BOUND, LATENT_BOUND)
        return y

    def displacements(
        self,
        weights: Weights,
        names: Sequence[str],
        code: Coder,
        arithmetic: Arithmetic = EXACT,
        count: int = 1,
        guess: Tensor | None = None,
    ) -> list[Tensor]:
        """A field of displacements for each name, (N, 2, rows, columns), x and y in quarter samples, |d| <= FLOW_BOUND.

        guess: of the first, in eighths of a quarter sample (see `motion.midway`). The second one is coded knowing the
        first: what moved here from there moves on to the other side.
        """
        fields: list[Tensor] = []
        for name in names:
            guess = -8 * fields[0] if fields else guess
            fields.append(self._field(weights, name, guess, code, arithmetic, count))
        return fields

    def _field(
        self, weights: Weights, name: str, guess: Tensor | None, code: Coder, a: Arithmetic, count: int
    ) -> Tensor:
        device = weights[f"{FLOW}.near.weight"].device
        field = torch.zeros(count, 2, self.rows, self.columns, device=device)
        by_cells = a.exact and count == 1 and device.type == "cpu"
        layers = _arrays_of_flow(weights) if by_cells else []
        for stride in LATTICE:
            part = field[:, :, ::stride, ::stride]
            guessed = None if guess is None else guess[:, :, ::stride, ::stride]
            for known, cells in lattice_passes(part.shape[2], part.shape[3], stride == LATTICE[0], device):
                if by_cells:
                    location, scale = self._law_of_cells(layers, part, known, cells, guessed, stride)
                else:
                    location, scale = self._field_law(weights, part, known, guessed, stride, a)
                values = code(name, stride, cells, location, scale, None).clamp(-FLOW_BOUND, FLOW_BOUND)
                part = torch.where(cells, values, part)
            whole = torch.zeros_like(field)
            whole[:, :, ::stride, ::stride] = part
            field = whole
        return field

    def _law_of_cells(
        self,
        layers: Sequence[NDArray[np.float32]],
        part: Tensor,
        known: Tensor,
        cells: Tensor,
        guess: Tensor | None,
        stride: int,
    ) -> tuple[Tensor, Tensor]:
        """`_field_law` at `cells`, exact, on the CPU. layers: `_arrays_of_flow`."""
        field = part[0].contiguous().numpy()
        other = field if guess is None else guess[0].contiguous().numpy()
        law = field_law(field, known.numpy(), cells.numpy(), other, guess is not None, stride, FLOW_UNIT, *layers)
        return torch.from_numpy(law[0])[None], torch.from_numpy(law[1])[None]

    def _field_law(
        self, weights: Weights, part: Tensor, known: Tensor, guess: Tensor | None, stride: int, a: Arithmetic
    ) -> tuple[Tensor, Tensor]:
        """Location, in 1 / FLOW_UNIT quarter samples, and scale of every cell of a lattice, from the known ones."""
        mask = known.to(part.dtype).view(1, 1, *known.shape)
        around = _around(part.device)
        count = sums(mask, around, padding=1)
        known_sum = (part * mask).flatten(0, 1).unsqueeze(1)
        total = sums(known_sum, around, padding=1).view_as(part)
        # Eighths of a quarter sample, rounded half up; a product of 12 by 4095 by 16 is exact.
        mean = (16 * total + count) / (2 * count).clamp(min=1)
        mean = torch.floor(mean) if a.exact else 8 * total / count.clamp(min=1)
        other = torch.zeros_like(part) if guess is None else guess
        base = torch.where(count > 0, mean, other)
        flag = torch.ones(part.shape[0], 1, *known.shape, device=part.device)
        has = flag * float(guess is not None) * UNIT
        seen = [
            (8 * part - base) * mask * (FLOW_UNIT // 8),
            flag * mask * UNIT,
            (other - base) * float(guess is not None) * (FLOW_UNIT // 8),
            has,
            flag * float(stride == 1) * UNIT,
            flag * float(stride == 2) * UNIT,
            flag * count * (UNIT // 8),
        ]
        x = a.bound(torch.cat(seen, 1))

        def layer(name: str, x: Tensor, leak: bool = True) -> Tensor:
            return a.convolve(x, weights[f"{FLOW}.{name}.weight"], weights[f"{FLOW}.{name}.bias"], leak=leak)

        offset, scale = layer("out", layer("mid", layer("near", x)), leak=False).chunk(2, 1)
        return base * (FLOW_UNIT // 8) + offset, scale


def _arrays_of_flow(weights: Weights) -> list[NDArray[np.float32]]:
    """The layers of the flow network as `fields.field_law` takes them."""
    out: list[NDArray[np.float32]] = []
    for name in ("near", "mid", "out"):
        out.append(weights[f"{FLOW}.{name}.weight"].flatten(1).T.contiguous().numpy())
        out.append(weights[f"{FLOW}.{name}.bias"].numpy())
    return out


@lru_cache(maxsize=8)
def _around(device: torch.device) -> Tensor:
    """Weights of a cell's neighbours, (1, 1, 3, 3)."""
    return torch.tensor([[[[1.0, 2.0, 1.0], [2.0, 0.0, 2.0], [1.0, 2.0, 1.0]]]], device=device)


@lru_cache(maxsize=64)
def latent_passes(shape: tuple[int, int], inside: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """The cells of the two passes of a grid of that shape, (rows, columns) bool: those whose row + column is even, and
    the others. Only the first rows and columns, `inside`, are coded: the picture is as large."""
    y, x = torch.arange(shape[0])[:, None], torch.arange(shape[1])
    even, within = (y + x) % 2 == 0, (y < inside[0]) & (x < inside[1])
    return (within & even).to(device), (within & ~even).to(device)


@lru_cache(maxsize=64)
def lattice_passes(rows: int, columns: int, first: bool, device: torch.device) -> tuple[tuple[Tensor, Tensor], ...]:
    """The two passes of a lattice, (known cells, cells to code), each (rows, columns) bool; without those empty.

    first: nothing is known, and a checkerboard is coded. Else cells of even row and even column are; those of odd row
    and odd column come first.
    """
    y, x = torch.arange(rows)[:, None] % 2, torch.arange(columns) % 2
    known = torch.zeros(rows, columns, dtype=torch.bool) if first else (y == 0) & (x == 0)
    middle = (y == x) if first else (y == 1) & (x == 1)
    passes = ((known, middle), (known | middle, ~(known | middle)))
    return tuple((k.to(device), c.to(device)) for k, c in passes if bool(c.any()))


@register_frames("mc")
def create(values: tuple[int, ...], height: int, width: int) -> Mc:
    """From configuration values in wire order; MalformedError where they describe no network."""
    require(len(values) == len(McConfig().values), f"mc: {len(values)} configuration values")
    return Mc(McConfig(*values), height, width)
