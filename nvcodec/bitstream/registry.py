"""Permanent wire ids. An id is never renumbered, reused or removed; new ones are appended.

An id that is not here, or is reserved, belongs to a later release: readers answer with `FeatureError` and name it.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from nvcodec.errors import FeatureError, UsageError


class Exactness(IntEnum):
    """What a decoder promises about pixels."""

    FLOAT = 0  # class F: within one code value of the reference on any device
    EXACT = 1  # class X: identical on every device


class Inheritance(IntEnum):
    """What a group's residuals are added to."""

    NONE = 0  # the initial integers: a random-access point
    PREVIOUS = 1  # the integers of the group before
    WINDOW = 2  # the integers of the group's window: a random-access point
    WINDOW_PREVIOUS = 3  # those of the group before; what the window shares stays as it is


class Origin(IntEnum):
    """What the initial integers of a model are."""

    RANDOM = 0  # pseudo-random, from the seed
    ZERO = 1  # all 0
    PRIOR = 2  # those of a prior, which decoders have and the record names


class TensorKind(IntEnum):
    """How the values of a tensor are represented."""

    LATENT = 0  # integers; weight = integer x step
    FLOAT32 = 1  # IEEE 754 single precision, not quantised


class SectionKind(IntEnum):
    """Parts of the payload of a group or a window, in this order."""

    STEPS = 1  # step indices
    TABLES = 2  # codings and their table parameters
    SYMBOLS = 3  # arithmetic coded integers and escapes
    BLOBS = 4  # residuals of unquantised tensors; of groups only
    MASK = 5  # which elements are shared; of windows only
    FRAMES = 6  # coded frames; of groups of models that have them, and of all of these


class TensorCoding(IntEnum):
    """How the integers of one tensor choose their probability tables."""

    ZERO = 0  # all zero, nothing stored
    SINGLE = 1  # one table
    ROWS = 2  # one table for each index of the first axis
    COLUMNS = 3  # one table for each index of the other axes
    CONTEXT = 4  # one table for each class of what was decoded before
    LIKE = 5  # the table of the last tensor before it that is SINGLE


class MaskCoding(IntEnum):
    """How the mask of one tensor, shared or not, chooses its probabilities."""

    NONE = 0  # no element is shared, nothing stored
    ALL = 1  # every element is shared, nothing stored
    SINGLE = 2  # one density
    ROWS = 3  # one density for each index of the first axis
    COLUMNS = 4  # one density for each index of the other axes
    PRODUCT = 5  # the densities of its row and its column together


class BlobCoding(IntEnum):
    """How the bytes of unquantised residuals are compressed."""

    STORED = 0
    ZSTD = 1
    LZMA = 2


@dataclass(frozen=True)
class ModelEntry:
    """A network architecture: its id, its name, and the names of its configuration values in wire order.

    frames: whether its groups hold coded frames. Such a model is of exactness class X, and all others of class F; it
    has no steps, no FLOAT32 tensors and no windows, and its record lists no tensors.
    """

    id: int
    name: str
    fields: tuple[str, ...]
    frames: bool = False


_STAGES = ("lower", "reduction", "s1", "s2", "s3", "s4", "s5", "s6")

_ENTRIES = (
    ModelEntry(
        1, "nirvana", ("patch", "group", "width", "depth", "channels", "block_channels", "omega", "conv_float")
    ),
    ModelEntry(2, "nerv", ("group", "width", "stem", "levels", "base", *_STAGES)),
    ModelEntry(3, "hnerv", ("group", "width", "embedding", *_STAGES)),
    ModelEntry(4, "enerv", ("group", "width", "stem", "levels", "base", "space", *_STAGES)),
    ModelEntry(
        5,
        "mc",
        (
            "group", "flow", "width", "half", "coarse", "middle", "fine", "intra_width", "intra_half", "intra_coarse",
            "intra_middle", "intra_low", "intra_medium", "intra_high",
        ),
        frames=True,
    ),
)  # fmt: skip

MODELS: dict[int, ModelEntry] = {entry.id: entry for entry in _ENTRIES}


def model_entry(model_id: int) -> ModelEntry:
    """The entry of `model_id`; `FeatureError` where there is none."""
    if model_id not in MODELS:
        raise FeatureError(f"the file needs model {model_id}, which this release does not have")
    return MODELS[model_id]


def model_named(name: str) -> ModelEntry:
    """The entry of the model called `name`; `UsageError` where there is none."""
    for entry in MODELS.values():
        if entry.name == name:
            return entry
    raise UsageError(f"there is no model '{name}'; there are: {', '.join(e.name for e in MODELS.values())}")


COLOUR_POINTS = {
    "primaries": {1: "BT.709", 2: "unspecified", 5: "BT.601-625", 6: "BT.601-525", 9: "BT.2020", 12: "P3"},
    "transfer": {1: "BT.709", 2: "unspecified", 6: "BT.601", 8: "linear", 13: "sRGB", 16: "PQ", 18: "HLG"},
    "matrix": {0: "RGB", 1: "BT.709", 2: "unspecified", 5: "BT.601", 6: "BT.601", 9: "BT.2020"},
}
"""Names of the usual code points of ITU-T H.273."""


def colour_point(kind: str, code: int) -> str:
    """A code point as people know it: BT.709 (1)."""
    return f"{COLOUR_POINTS[kind].get(code, 'H.273')} ({code})"


_Id = TypeVar("_Id", bound=IntEnum)


def known(kind: type[_Id], value: int, what: str) -> _Id:
    """`value` as a member of the registry `kind`; `FeatureError` where it is not one."""
    try:
        return kind(value)
    except ValueError:
        raise FeatureError(f"the file needs {what} {value}, which this release does not have") from None
