"""The model `mc`: motion-compensated prediction and latent grids, exact on every device (class X).

A frame is predicted from none, one or two frames that were decoded before, moved by coarse fields of displacement. What
the prediction lacks comes from three grids of integer latents that a small network turns into a residual
(`models.latents`): at 1/32, 1/16 and 1/8 of the size in an intra frame, at 1/16, 1/8 and 1/4 in others. The same
network gives the location and the scale of the Laplace law of every latent, from what was decoded before it: the
prediction, coarser grids, channels before it, and for the second half of a grid's cells (a checkerboard) the first.

Networks are shared by all frames: `intra` without references, `inter` with one or two, `flow` for displacements. All
arithmetic is that of `models.integer`. Pictures are (1, 6, h, w) at half size, h and w multiples of 8: the four luma
samples of a 2 x 2 cell in raster order, then Cb and Cr; in quarters of an 8 bit code value, less its middle, -512..511.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec import limits
from nvcodec.errors import LimitError
from nvcodec.models.base import FIELDS, LATENT, Coder, TensorSpec, Weights, register_frames, require
from nvcodec.models.fields import field_law
from nvcodec.models.hints import HINTS, hints
from nvcodec.models.integer import EXACT, UNIT, Arithmetic, check_sums, sums
from nvcodec.models.kept import Kept
from nvcodec.models.latents import LATENT_BOUND, LatentNetwork, Layer, Tuning
from nvcodec.models.motion import CELL, Reference

QUALITIES = 96  # indices
FLOW_BOUND = 4095  # of a displacement in quarter samples
FLOW_UNIT = 64  # activation units a quarter sample, in what the flow network sees
LATTICE = (4, 2, 1)  # strides in which a field is coded
INTRA, INTER, FLOW = "intra", "inter", "flow"


@dataclass(frozen=True)
class McConfig:
    """Configuration values in wire order.

    group: the most frames in a group. flow: channels of the flow network. Of the inter network: width, channels of the
    trunk; half, at 1/2 of the size; coarse, middle, fine: latents of a cell at 1/16, 1/8 and 1/4. Of the intra network:
    the same, at 1/32, 1/16 and 1/8, the last ones in three groups: low, medium and high.
    """

    group: int = 16
    flow: int = 24
    width: int = 32
    half: int = 24
    coarse: int = 16
    middle: int = 12
    fine: int = 24
    intra_width: int = 64
    intra_half: int = 32
    intra_coarse: int = 16
    intra_middle: int = 16
    intra_low: int = 9
    intra_medium: int = 21
    intra_high: int = 66

    def __post_init__(self) -> None:
        require(1 <= self.group <= limits.MAX_GROUP_FRAMES, f"mc: group {self.group} is not in 1..4096")
        for field in fields(self)[1:]:
            count = getattr(self, field.name)
            require(1 <= count <= 256, f"mc: {field.name} {count} is not in 1..256")

    @property
    def values(self) -> tuple[int, ...]:
        """In wire order."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def network(self, intra: bool) -> LatentNetwork:
        """That of intra frames, or of others."""
        if intra:
            finest = self.intra_low, self.intra_medium, self.intra_high
            groups = {5: (self.intra_coarse,), 4: (self.intra_middle,), 3: finest}
            return LatentNetwork(True, self.intra_width, self.intra_half, groups)
        return LatentNetwork(False, self.width, self.half, {4: (self.coarse,), 3: (self.middle,), 2: (self.fine,)})


def _flow_network(c: McConfig) -> dict[str, Layer]:
    return {"near": Layer(c.flow, 9, 5), "mid": Layer(c.flow, c.flow + HINTS, 1), "out": Layer(4, c.flow, 1)}


class Mc:
    """The networks of one configuration, for frames of height x width luma samples. Stateless.

    tensors: in wire order. layers: what is known of the convolutions, by the part of their tensors' names before the
    last dot.
    """

    def __init__(self, config: McConfig, height: int, width: int) -> None:
        self.config = config
        self.longest = config.group
        self.rows, self.columns = -(-height // CELL), -(-width // CELL)  # of displacements
        self._size = height, width
        self.networks = {network.name: network for network in (config.network(True), config.network(False))}
        values = max(network.values_of_cell() for network in self.networks.values())
        self.activations = self.rows * self.columns * values
        if self.activations > limits.MAX_ACTIVATIONS:
            raise LimitError(f"mc: a layer of {self.activations} values, over {limits.MAX_ACTIVATIONS}")
        layers = {name: network.layers for name, network in self.networks.items()} | {FLOW: _flow_network(config)}
        self.layers = {f"{network}.{name}": layer for network, own in layers.items() for name, layer in own.items()}
        shapes: list[tuple[str, tuple[int, ...]]] = []
        for name, network in self.networks.items():
            shapes += [
                (f"{name}.steps", (len(network.levels), QUALITIES)),
                (f"{name}.start", (QUALITIES, network.width)),
            ]
        for name, layer in self.layers.items():
            shapes.append((f"{name}.weight", (layer.outputs, layer.inputs, layer.kernel, layer.kernel)))
            shapes.append((f"{name}.bias", (layer.outputs,)))
        self.tensors = tuple(TensorSpec(name, LATENT, shape, 0, 1.0) for name, shape in shapes)

    def __reduce__(self) -> tuple[type[Mc], tuple[McConfig, int, int]]:
        """For pickles: it is made anew."""
        return Mc, (self.config, *self._size)

    def check(self, weights: Weights) -> None:
        """MalformedError unless every sum of every layer is exact, and every step is in 1..LATENT_BOUND."""
        for name, layer in self.layers.items():
            check_sums(name, weights[f"{name}.weight"], weights[f"{name}.bias"], layer.reach, layer.precise)
        for network in (INTRA, INTER):
            steps = weights[f"{network}.steps"]
            require(bool(((steps >= 1) & (steps <= LATENT_BOUND)).all()), f"{network}.steps: a step is out of 1..4095")

    def network(self, intra: bool) -> LatentNetwork:
        """That of intra frames, or of others."""
        return self.networks[INTRA if intra else INTER]

    def levels(self, intra: bool) -> tuple[int, ...]:
        """Those of the latents of a frame, coarsest first."""
        return self.network(intra).levels

    def tuning(self, weights: Weights, intra: bool, quality: int) -> Tuning:
        """What the networks know of a quality. quality: its index, 0 the finest."""
        name = self.network(intra).name
        start = weights[f"{name}.start"][quality].view(1, -1, 1, 1)
        return Tuning(tuple(weights[f"{name}.steps"][:, quality]), start)

    def picture(
        self,
        weights: Weights,
        tuning: Tuning,
        prediction: Tensor | None,
        code: Coder,
        arithmetic: Arithmetic = EXACT,
        levels: Collection[int] | None = None,
    ) -> Tensor:
        """A frame (N, 6, h, w), not clamped, from its prediction (N, 12, h, w) (see `motion.predict`), None for none.

        tuning: of the network and the quality of the frame. levels: those whose latents are coded, None for all; all
        latents of another are 0.
        """
        network = self.network(prediction is None)
        coded = network.levels if levels is None else levels
        return network.picture(weights, tuning, prediction, code, arithmetic, coded, self._size)

    def displacements(
        self,
        weights: Weights,
        references: Sequence[Reference],
        depth: int,
        quality: int,
        code: Coder,
        guess: Tensor | None = None,
    ) -> list[Tensor]:
        """A field of displacements to each of one or two references, (1, 2, rows, columns), x and y in quarter samples,
        |d| <= FLOW_BOUND.

        depth, quality: of the frame, as the laws know them. guess: of the first, in eighths of a quarter sample (see
        `motion.midway`). The second one is coded knowing the first: what moved here from there moves on to the other
        side.
        """
        found: list[Tensor] = []
        for number, name in enumerate(FIELDS[: len(references)]):
            guess = -8 * found[0] if found else guess
            if found:
                through = found[0]
            elif guess is None:
                through = references[0].picture.new_zeros(1, 2, self.rows, self.columns)
            else:
                through = torch.floor((guess + 4) * (1 / 8))  # whole quarter samples, rounded half up
            told = hints(references, through, depth, quality, number)
            found.append(self.field(weights, name, guess, told, code))
        return found

    def field(
        self, weights: Weights, name: str, guess: Tensor | None, told: Tensor, code: Coder, a: Arithmetic = EXACT
    ) -> Tensor:
        """One field (1, 2, rows, columns) of those of `displacements`, coded under `name`, from its guess and from what
        it is told: hints (1, HINTS, rows, columns). Its gradients are those of its laws, with the arithmetic SMOOTH."""
        by_cells = a.exact and told.device.type == "cpu"
        return (self._field_by_cells if by_cells else self._field_by_layers)(weights, name, guess, told, code, a)

    def _field_by_layers(
        self, weights: Weights, name: str, guess: Tensor | None, told: Tensor, code: Coder, a: Arithmetic
    ) -> Tensor:
        """`field`, with laws of all cells in every pass."""
        field = torch.zeros(1, 2, self.rows, self.columns, device=told.device)
        for stride in LATTICE:
            part = field[:, :, ::stride, ::stride]
            guessed = None if guess is None else guess[:, :, ::stride, ::stride]
            here = told[:, :, ::stride, ::stride]
            for known, cells in lattice_passes(part.shape[2], part.shape[3], stride == LATTICE[0], told.device):
                location, scale = self._field_law(weights, part, known, guessed, here, stride, a)
                values = code(name, stride, cells, location, scale, None).clamp(-FLOW_BOUND, FLOW_BOUND)
                part = torch.where(cells, values, part)
            whole = torch.zeros_like(field)
            whole[:, :, ::stride, ::stride] = part
            field = whole
        return field

    def _field_by_cells(
        self, weights: Weights, name: str, guess: Tensor | None, told: Tensor, code: Coder, _: Arithmetic
    ) -> Tensor:
        """`field`, exact, on the CPU: laws of the cells that are coded, and few calls a pass."""
        field = np.zeros((2, self.rows, self.columns), np.float32)
        layers = _arrays_of_flow(weights)
        guesses = field if guess is None else guess[0].numpy()
        hinted = told[0].numpy()
        for stride in LATTICE:
            part, guessed, here = (np.ascontiguousarray(x[:, ::stride, ::stride]) for x in (field, guesses, hinted))
            rows, columns = part.shape[1:]
            for known, cells in lattice_passes(rows, columns, stride == LATTICE[0], told.device):
                which = known.numpy(), cells.numpy()
                law = field_law(part, *which, guessed, guess is not None, here, stride, FLOW_UNIT, *layers)
                location, scale = (torch.from_numpy(found)[None] for found in law)
                values = code(name, stride, cells, location, scale, None)[0].numpy()
                np.copyto(part, values.clip(-FLOW_BOUND, FLOW_BOUND), where=which[1])
            field[:, ::stride, ::stride] = part
        return torch.from_numpy(field)[None]

    def _field_law(
        self,
        weights: Weights,
        part: Tensor,
        known: Tensor,
        guess: Tensor | None,
        told: Tensor,
        stride: int,
        a: Arithmetic,
    ) -> tuple[Tensor, Tensor]:
        """Location, in 1 / FLOW_UNIT quarter samples, and scale of every cell of a lattice, from the known ones and
        from what it is told."""
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

        x = torch.cat((layer("near", x), told), 1)
        offset, scale = layer("out", layer("mid", x), leak=False).chunk(2, 1)
        return base * (FLOW_UNIT // 8) + offset, scale


_flow_arrays: Kept[list[NDArray[np.float32]]] = Kept()


def _arrays_of_flow(weights: Weights) -> list[NDArray[np.float32]]:
    """The layers of the flow network as `fields.field_law` takes them."""
    tensors = [weights[f"{FLOW}.{name}.{part}"] for name in ("near", "mid", "out") for part in ("weight", "bias")]

    def make() -> list[NDArray[np.float32]]:
        return [(t.flatten(1).T if t.dim() > 1 else t).contiguous().numpy() for t in tensors]

    return _flow_arrays.of(tensors, None, make)


@lru_cache(maxsize=8)
def _around(device: torch.device) -> Tensor:
    """Weights of a cell's neighbours, (1, 1, 3, 3)."""
    return torch.tensor([[[[1.0, 2.0, 1.0], [2.0, 0.0, 2.0], [1.0, 2.0, 1.0]]]], device=device)


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
