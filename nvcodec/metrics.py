"""How good and how large: each number with its formula, colour space and averaging.

    MSE  = mean of (a - b)^2
    PSNR = 10 log10(peak^2 / MSE) decibels, infinite for equal pictures
    bpp  = bytes of the whole file x 8 / (frames x width x height)

The same video measures 3 to 4 dB apart in RGB and in Y, and the mean of per-frame PSNR is not the PSNR of the mean
error; `PsnrMeter` gives all four and names them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def mse(a: Array, b: Array) -> float:
    """Mean squared difference of two equally shaped arrays, summed in float64; integers do not wrap."""
    assert a.shape == b.shape, "arrays have one shape"
    difference = np.subtract(a, b, dtype=np.float64)
    return float(np.vdot(difference, difference)) / difference.size


def psnr_from_mse(error: float, peak: float = 1.0) -> float:
    """Decibels; infinity for no error."""
    return math.inf if error == 0 else 10.0 * math.log10(peak * peak / error)


def psnr(a: Array, b: Array, peak: float = 1.0) -> float:
    """PSNR of one array against another, in decibels."""
    return psnr_from_mse(mse(a, b), peak)


def bpp(size: int, frames: int, width: int, height: int) -> float:
    """Bits per pixel of a file of `size` bytes, everything in it counted."""
    return size * 8 / (frames * width * height)


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean; infinite when any value is, NaN of nothing."""
    items = list(values)
    return math.fsum(items) / len(items) if items else math.nan


@dataclass(frozen=True)
class FramePsnr:
    """One frame: RGB over the three channels together, and each plane (Y, U, V; Y alone for gray; G, B, R for RGB)."""

    rgb: float
    planes: tuple[float, ...]


class PsnrMeter:
    """Collects errors frame by frame, in memory for two numbers a plane and frame.

    peak: greatest code value of the planes. RGB is given in [0, 1] and has peak 1.
    """

    def __init__(self, peak: int) -> None:
        self._peak = float(peak)
        self._rgb: list[float] = []  # mean squared errors
        self._planes: list[tuple[float, ...]] = []

    def add(self, rgb: tuple[Array, Array], planes: tuple[Sequence[Array], Sequence[Array]]) -> FramePsnr:
        """Take one frame as (source, decoded) RGB, any shape, and (source, decoded) planes; returns its PSNR."""
        return self.add_errors(mse(*rgb), [mse(a, b) for a, b in zip(*planes, strict=True)])

    def add_errors(self, rgb: float, planes: Sequence[float]) -> FramePsnr:
        """Take one frame whose mean squared errors are known: RGB on [0, 1], planes in squared code values."""
        assert not self._planes or len(planes) == len(self._planes[0]), "every frame has the same planes"
        self._rgb.append(rgb)
        self._planes.append(tuple(planes))
        return FramePsnr(psnr_from_mse(rgb), tuple(psnr_from_mse(e, self._peak) for e in planes))

    @property
    def frames(self) -> int:
        """How many frames were taken."""
        return len(self._rgb)

    def rgb_mean_over_frames(self) -> float:
        """Mean of the frames' RGB PSNR: the number of the NeRV papers."""
        return mean(psnr_from_mse(e) for e in self._rgb)

    def rgb_of_mean_error(self) -> float:
        """RGB PSNR of the mean squared error over all frames."""
        return psnr_from_mse(mean(self._rgb))

    def planes_mean_over_frames(self) -> tuple[float, ...]:
        """Mean of the frames' PSNR, plane by plane: the number of the video coding field."""
        return tuple(mean(psnr_from_mse(e, self._peak) for e in plane) for plane in zip(*self._planes, strict=True))

    def planes_of_mean_error(self) -> tuple[float, ...]:
        """PSNR of the mean squared error over all frames, plane by plane."""
        return tuple(psnr_from_mse(mean(plane), self._peak) for plane in zip(*self._planes, strict=True))
