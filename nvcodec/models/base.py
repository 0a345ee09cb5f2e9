"""What every backbone provides, and how one is found by name.

A backbone turns the weights of one group into the pictures of that group. It works on *cells*, parts of the picture
that do not depend on each other (NIRVANA's patches; a frame-wise network has one cell), so that training and decoding
can take as many at a time as memory and caches like:

    tensors                          what is coded, in wire order
    cells                            how many there are
    activations                      values of the largest layer, of one cell and frame
    longest                          the most frames that a group can have
    predict(weights, frames, cells)  -> (cells, T, 3, h, w)     RGB, about [0, 1], of any frames, in any order
    assemble(prediction)             -> (T, 3, H, W)            all cells of some frames
    arrange(frames)                  -> (cells, T, 3, h, w)     the inverse: training targets
    mask()                           -> (cells, 1, 1, h, w)     1 where a cell's sample lies in the picture, else 0

A frame model has frames of their own in the file beside the network of a group: latents, from which the network, with
frames that were decoded before, makes a picture. It never sees a symbol; it asks a `Coder` for values and tells it what
it expects of them, so that encoder and decoder go through it in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from nvcodec.errors import FeatureError, MalformedError

if TYPE_CHECKING:
    from nvcodec.models.motion import Reference

LATENT = 0  # integers; weight = integer x step (TensorKind.LATENT of the format)
FLOAT32 = 1  # not quantised (TensorKind.FLOAT32)


@dataclass(frozen=True)
class TensorSpec:
    """One coded tensor.

    name: for people. kind: LATENT or FLOAT32. shape: as in the format. radius: initial integers are uniform in
    [-radius, radius] (normative; 0 for all zero). bound: the magnitude of the initial weights, hence the encoder's
    first step is bound / radius (the encoder's choice).
    """

    name: str
    kind: int
    shape: tuple[int, ...]
    radius: int
    bound: float

    @property
    def size(self) -> int:
        """Number of values."""
        size = 1
        for n in self.shape:
            size *= n
        return size


class Backbone(Protocol):
    """A network for groups of frames of one size. Stateless: weights come as arguments."""

    tensors: tuple[TensorSpec, ...]
    cells: int
    activations: int  # values of the largest layer, of one cell and frame: what memory is planned with
    longest: int  # frames of a group, at most

    def predict(self, weights: Sequence[Tensor], frames: Sequence[int], cells: range) -> Tensor:
        """Pictures of `cells` at places `frames` in the group: (len(cells), len(frames), 3, h, w) float32."""

    def assemble(self, prediction: Tensor) -> Tensor:
        """All cells (cells, T, 3, h, w) to frames (T, 3, H, W)."""

    def arrange(self, frames: Tensor) -> Tensor:
        """Frames (T, 3, H, W) to cells (cells, T, 3, h, w); samples outside of the picture repeat its edge."""

    def mask(self) -> Tensor:
        """(cells, 1, 1, h, w) float32: 1 inside of the picture, 0 outside."""


Weights = Mapping[str, Tensor]
"""Of a frame model: float32 tensors by the names in its `tensors`."""

FIELDS = ("flow0", "flow1")
"""What displacements to the first and to the second reference are called."""

Coder = Callable[[str, int, Tensor, Tensor, Tensor, "Tensor | None"], Tensor]
"""code(name, stride, cells, location, scale, step) -> values

Codes, or decodes, one pass: the values of `cells`, (h, w) bool, of what is called `name`, of every stride-th row and
column of it. Gives those values, as float32, and 0 elsewhere, (N, C, h, w) as location and scale are. location: in
activation units (`integer.UNIT`) of the value times its step, or, without a step, in 1 / 64 of the value. scale: half
the log2 of the Laplace scale of the same in activation units.
"""


class FrameModel(Protocol):
    """A network for frames that are coded one by one, of one size, exact on every device. Stateless; can be pickled.

    A picture is (1, 6, h, w) at half size and a prediction (1, 12, h, w), as in `models.motion` and `models.mc`.
    """

    tensors: tuple[TensorSpec, ...]
    longest: int  # frames of a group, at most

    def levels(self, intra: bool) -> tuple[int, ...]:
        """Those of the latents of a frame: log2 of their cell in luma samples, coarsest first."""

    def check(self, weights: Weights) -> None:
        """MalformedError where what `picture` and `displacements` compute with these weights would not be exact."""

    def tuning(self, weights: Weights, intra: bool, quality: int) -> Any:
        """What the model wants to know of a quality index, 0..95, the finest first; for `picture` alone."""

    def picture(
        self, weights: Weights, tuning: Any, prediction: Tensor | None, code: Coder, *, levels: Collection[int]
    ) -> Tensor:
        """A picture, not clamped, from its prediction, None for none. levels: those whose latents are coded."""

    def displacements(
        self,
        weights: Weights,
        references: Sequence[Reference],
        depth: int,
        quality: int,
        code: Coder,
        *,
        guess: Tensor | None = None,
    ) -> list[Tensor]:
        """A field of displacements to each of one or two references, (1, 2, rows, columns), x and y in quarter samples.
        depth, quality: of the frame. guess: of the first, in eighths of a quarter sample."""


Factory = Callable[[tuple[int, ...], int, int], Backbone]
FrameFactory = Callable[[tuple[int, ...], int, int], FrameModel]

_FACTORIES: dict[str, Factory] = {}
_FRAME_FACTORIES: dict[str, FrameFactory] = {}


def register(name: str) -> Callable[[Factory], Factory]:
    """Decorator: make a backbone known under the name that the format's registry gives it."""

    def add(factory: Factory) -> Factory:
        assert name not in _FACTORIES
        _FACTORIES[name] = factory
        return factory

    return add


def register_frames(name: str) -> Callable[[FrameFactory], FrameFactory]:
    """Decorator: the same for a frame model."""

    def add(factory: FrameFactory) -> FrameFactory:
        assert name not in _FRAME_FACTORIES
        _FRAME_FACTORIES[name] = factory
        return factory

    return add


def create(name: str, values: Sequence[int], height: int, width: int) -> Backbone:
    """The backbone `name` with its configuration values in wire order, for frames of height x width luma samples.

    Raises FeatureError for an unknown name, MalformedError for values that describe no network.
    """
    from nvcodec.models import enerv, hnerv, nerv, nirvana  # noqa: F401  (register themselves)

    if name not in _FACTORIES:
        raise FeatureError(f"this release has no model '{name}'")
    return _FACTORIES[name](tuple(values), height, width)


def create_frame_model(name: str, values: Sequence[int], height: int, width: int) -> FrameModel:
    """As `create`, for a frame model; LimitError for one whose layers are too large."""
    from nvcodec.models import mc  # noqa: F401  (registers itself)

    if name not in _FRAME_FACTORIES:
        raise FeatureError(f"this release has no model '{name}' of coded frames")
    return _FRAME_FACTORIES[name](tuple(values), height, width)


def require(condition: bool, message: str) -> None:
    """MalformedError(message) unless `condition`."""
    if not condition:
        raise MalformedError(message)
