"""What a video is here: planes of integers, a time stamp per frame, and a description of how to show them.

Nothing is baked in: rotation, sample aspect ratio, colour and timing are carried from the source to the file and from
the file to the output as they are. RGB video is 4:4:4 with matrix 0 (identity) and its planes in the order G, B, R, as
H.273 and FFmpeg's `gbrp` have it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]  # (h, w), uint8 for 8 bit video and uint16 for 10 bit

MATRIX_IDENTITY = 0  # H.273 MatrixCoefficients: the planes are G, B, R
UNSPECIFIED = 2  # H.273: "unspecified" for primaries, transfer and matrix


class Range(enum.IntEnum):
    """Which code values black and white have. UNSPECIFIED means limited for YUV and gray, full for RGB."""

    UNSPECIFIED = 0
    LIMITED = 1
    FULL = 2


class Chroma(enum.IntEnum):
    """How often colour is sampled. The numbers are those of the file format."""

    GRAY = 0
    C420 = 1
    C422 = 2
    C444 = 3

    @property
    def subsampling(self) -> tuple[int, int]:
        """(log2 of the horizontal step, log2 of the vertical step) between chroma samples; (0, 0) for gray."""
        return _SUBSAMPLING[self]


_SUBSAMPLING = {Chroma.GRAY: (0, 0), Chroma.C420: (1, 1), Chroma.C422: (1, 0), Chroma.C444: (0, 0)}
_NAMES = {Chroma.GRAY: "gray", Chroma.C420: "yuv420p", Chroma.C422: "yuv422p", Chroma.C444: "yuv444p"}


@dataclass(frozen=True)
class ColorInfo:
    """How code values become light: ITU-T H.273 code points, 2 = unspecified, kept even where they are unspecified.

    chroma_location is numbered as libavutil's AVChromaLocation: 0 unspecified, 1 left, 2 center, 3 top left, 4 top,
    5 bottom left, 6 bottom.
    """

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    range: Range = Range.UNSPECIFIED
    chroma_location: int = 0


@dataclass(frozen=True)
class VideoInfo:
    """All that is true of every frame of a video.

    width, height: luma samples. bit_depth: 8 or 10. time_base: seconds per unit of a pts. rate: nominal frames per
    second, None where there is none. sample_aspect: width of a sample over its height, None where unknown. rotation:
    degrees counter-clockwise, 0..359, that a player has to turn the picture by (the sign that PyAV uses).
    """

    width: int
    height: int
    bit_depth: int = 8
    chroma: Chroma = Chroma.C420
    color: ColorInfo = field(default_factory=ColorInfo)
    time_base: Fraction = Fraction(1, 25)
    rate: Fraction | None = None
    sample_aspect: Fraction | None = None
    rotation: int = 0

    def __post_init__(self) -> None:
        assert self.width > 0 and self.height > 0, "a video has pixels"
        assert self.bit_depth in (8, 10), "8 or 10 bit"
        assert self.time_base > 0 and 0 <= self.rotation < 360
        assert not self.is_rgb or self.chroma is Chroma.C444, "RGB is 4:4:4"

    @property
    def is_rgb(self) -> bool:
        """True when the planes are G, B, R."""
        return self.color.matrix == MATRIX_IDENTITY

    @property
    def peak(self) -> int:
        """The greatest code value: 255 or 1023."""
        return (1 << self.bit_depth) - 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a plane's samples: uint8 or uint16."""
        return np.dtype(np.uint8 if self.bit_depth == 8 else np.uint16)

    @property
    def plane_shapes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of each plane; chroma of odd sizes rounds up."""
        luma = (self.height, self.width)
        if self.chroma is Chroma.GRAY:
            return (luma,)
        x, y = self.chroma.subsampling
        other = (-(-self.height >> y), -(-self.width >> x))
        return (luma, other, other)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame, as y4m stores it."""
        return sum(h * w for h, w in self.plane_shapes) * self.dtype.itemsize

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name of this layout, such as yuv420p, gray10le or gbrp."""
        name = "gbrp" if self.is_rgb else _NAMES[self.chroma]
        return name if self.bit_depth == 8 else f"{name}10le"


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture: planes shaped and typed as VideoInfo says, and when it is shown, in units of the time base."""

    planes: tuple[Plane, ...]
    pts: int

    def same_pixels(self, other: Frame) -> bool:
        """True when every sample of every plane is equal."""
        return len(self.planes) == len(other.planes) and all(
            np.array_equal(a, b) for a, b in zip(self.planes, other.planes, strict=True)
        )
