"""How good and how large: each number with its formula, colour space and averaging.

    MSE  = mean of (a - b)^2
    PSNR = 10 log10(peak^2 / MSE) decibels, infinite for equal pictures
    bpp  = bytes of the whole file x 8 / (frames x width x height)

The same video measures 3 to 4 dB apart in RGB and in Y, and the mean of per-frame PSNR is not the PSNR of the mean
error; `PsnrMeter` gives all four and names them. `DEFINITIONS` says what every number of a results file is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MS_SSIM_MIN_SIDE = 161  # samples; a shorter side is under the 11 sample window at the fifth scale

_MSE_OF = {
    "rgb": "R, G and B together, in [0, 1] with chroma replicated to full size",
    "y": "the luma plane, in code values",
    "u": "the first chroma plane (Cb) at its own size, in code values",
    "v": "the second chroma plane (Cr) at its own size, in code values",
}
_MS_SSIM = (
    "multi-scale structural similarity (Wang, Simoncelli, Bovik 2003): the product over five scales, each the 2x2 mean"
    " of the one before, of the mean contrast-structure term, at the fifth of the mean of its product with the"
    " luminance term, to the powers 0.0448, 0.2856, 0.3001, 0.2363 and 0.1333, in an 11x11 Gaussian window of sigma"
    " 1.5 with K1 = 0.01 and K2 = 0.03, negative means as 0 (pytorch-msssim)"
)

# One sentence for each name in a results file. Names with a dot are fields of an object in a row or in "bd".
DEFINITIONS: dict[str, str] = {
    **{
        f"psnr_{part}": f"Mean over frames of a frame's PSNR in dB, 10 log10(peak^2 / MSE), the MSE taken over {what}."
        for part, what in _MSE_OF.items()
    },
    **{
        f"psnr_{part}_of_mean_error": f"PSNR in dB of the MSE over all frames, taken over {what}."
        for part, what in _MSE_OF.items()
    },
    "ms_ssim_rgb": f"Mean over frames and over R, G and B in [0, 1] of {_MS_SSIM}.",
    "ms_ssim_y": f"Mean over frames, on luma code values over their peak, of {_MS_SSIM}.",
    "vmaf": "Mean over frames of VMAF, 0 to 100, by libvmaf's model vmaf_v0.6.1 on luma code values as they are.",
    "bpp": "Bits per pixel: all bytes of the file x 8 / (frames x width x height).",
    "encode.px_per_s": "Frames x width x height over the median wall-clock seconds of encoding, from opening the input"
    " to closing the output (of a foreign program, of its whole process).",
    "decode.px_per_s": "Frames x width x height over the median wall-clock seconds of decoding, from opening the input"
    " to closing the output (of a foreign program, of its whole process).",
    "cpu_seconds": "Processor seconds, user and system, all threads, in that time; the median of runs.",
    "peak_MiB": "Greatest resident memory of a run's whole process in MiB (2^20 bytes), interpreter and libraries"
    " included; the median of runs.",
    "start_MiB": "How much of peak_MiB was there before the work began; absent of a foreign program.",
    "encode.input_seconds": "Seconds that it takes to read the source; part of encode.seconds.",
    "decode.output_seconds": "Seconds of writing the decoded y4m file; part of decode.seconds.",
    "bpp_inherited": "Bits per pixel of those of our groups that start from the group before them.",
    "psnr_training_gap": "The largest difference in dB, over groups, between the RGB PSNR of the trained network's own"
    " output in the video's pixel format and that of the decoded group.",
    "clip.reference.motion": "Mean over pairs of consecutive frames of the mean squared difference, RGB in [0, 1].",
    "bd.rate_percent": "Bjontegaard delta rate: the mean difference in bpp at equal quality, in percent of the anchor;"
    " log bpp over quality is interpolated by Akima's method on the range that both curves cover; less is better.",
    "bd.quality_delta": "Bjontegaard delta quality: the mean difference of the metric at equal bpp, in its unit (of"
    " MS-SSIM in dB, -10 log10(1 - x)); quality over log bpp is interpolated by Akima's method on the range that both"
    " curves cover; more is better.",
    "bd.overlap_share": "Length of the quality range that both curves cover over the length of the range that either"
    " covers, 0 to 1 (of MS-SSIM in dB, -10 log10(1 - x)).",
}


def mse(a: Array, b: Array) -> float:
    """Mean squared difference of two equally shaped arrays, summed in float64; integers do not wrap."""
    assert a.shape == b.shape, "arrays have one shape"
    difference: Array = np.subtract(a, b, dtype=np.float64)
    # Not a dot product: BLAS would start threads for it, which wait for each other on a busy machine.
    return float(np.square(difference, out=difference).mean())


def psnr_from_mse(error: float, peak: float = 1.0) -> float:
    """Decibels; infinity for no error."""
    return math.inf if error == 0 else 10.0 * math.log10(peak * peak / error)


def psnr(a: Array, b: Array, peak: float = 1.0) -> float:
    """PSNR of one array against another, in decibels."""
    return psnr_from_mse(mse(a, b), peak)


def bpp(size: int, frames: int, width: int, height: int) -> float:
    """Bits per pixel of a file of `size` bytes, everything in it counted."""
    return size * 8 / (frames * width * height)


def ms_ssim_db(value: float) -> float:
    """MS-SSIM in decibels, -10 log10(1 - x), where equal steps look more alike; infinite from 1 on."""
    return math.inf if value >= 1 else -10.0 * math.log10(1.0 - value)


def ms_ssim_from_db(decibels: float) -> float:
    """The inverse of `ms_ssim_db`."""
    return 1.0 - math.pow(10.0, -decibels / 10.0)


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

    def rgb_by_frame(self) -> tuple[float, ...]:
        """Each frame's RGB PSNR, in the order in which they were taken."""
        return tuple(psnr_from_mse(e) for e in self._rgb)

    def planes_by_frame(self) -> tuple[tuple[float, ...], ...]:
        """For each plane, every frame's PSNR."""
        return tuple(tuple(psnr_from_mse(e, self._peak) for e in plane) for plane in zip(*self._planes, strict=True))

    def rgb_mean_over_frames(self) -> float:
        """Mean of the frames' RGB PSNR: the number of the NeRV papers."""
        return mean(self.rgb_by_frame())

    def rgb_of_mean_error(self) -> float:
        """RGB PSNR of the mean squared error over all frames."""
        return psnr_from_mse(mean(self._rgb))

    def planes_mean_over_frames(self) -> tuple[float, ...]:
        """Mean of the frames' PSNR, plane by plane: the number of the video coding field."""
        return tuple(map(mean, self.planes_by_frame()))

    def planes_of_mean_error(self) -> tuple[float, ...]:
        """PSNR of the mean squared error over all frames, plane by plane."""
        return tuple(psnr_from_mse(mean(plane), self._peak) for plane in zip(*self._planes, strict=True))
