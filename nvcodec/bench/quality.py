"""How close a decoded video is to its reference: every metric of `metrics.DEFINITIONS` that pixels give, in one pass.

Frames are taken one pair at a time, so memory does not grow with their number. VMAF comes from files, by
`bench.ffmpeg.vmaf`, and is added with `Quality.with_vmaf`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import torch
from torch import Tensor

from nvcodec.bench.extras import need
from nvcodec.errors import SourceError, UsageError
from nvcodec.media.color import stack_planes, to_rgb, working_matrix
from nvcodec.metrics import MS_SSIM_MIN_SIDE, PsnrMeter, mean
from nvcodec.threads import threads_of_torch
from nvcodec.video import Chroma, Frame, Range, VideoInfo

PLANES = ("psnr_y", "psnr_u", "psnr_v")
PSNR = ("psnr_rgb", *PLANES)
MS_SSIM = ("ms_ssim_rgb", "ms_ssim_y")
METRICS = (*PSNR, *(f"{name}_of_mean_error" for name in PSNR), *MS_SSIM, "vmaf")


@dataclass(frozen=True)
class Quality:
    """What was measured.

    values: every name of METRICS, None for what could not be measured. PSNR is infinite where nothing differs; its
    mean over frames already when one frame is perfect. per_frame: for each metric but the "_of_mean_error" ones, its
    value in every frame, in order of presentation. missing: for each None in `values`, why.
    """

    frames: int
    values: dict[str, float | None]
    per_frame: dict[str, tuple[float, ...]]
    missing: dict[str, str]

    def with_vmaf(self, scores: Sequence[float]) -> Quality:
        """A copy that has VMAF, from the score of each frame."""
        assert len(scores) == self.frames, "a score for each frame"
        return replace(
            self,
            values={**self.values, "vmaf": mean(scores)},
            per_frame={**self.per_frame, "vmaf": tuple(scores)},
            missing={name: reason for name, reason in self.missing.items() if name != "vmaf"},
        )

    def without(self, name: str, reason: str) -> Quality:
        """A copy that does not have a metric, and says why."""
        assert name in METRICS
        return replace(
            self,
            values={**self.values, name: None},
            per_frame={key: values for key, values in self.per_frame.items() if key != name},
            missing={**self.missing, name: reason},
        )


def measure(
    reference: Iterable[Frame],
    decoded: Iterable[Frame],
    info: VideoInfo,
    decoded_info: VideoInfo | None = None,
    *,
    ms_ssim: bool = True,
    threads: int = 1,
    observer: Callable[[int], None] | None = None,
) -> Quality:
    """Compare frame n with frame n, for all n; time stamps do not enter.

    info, decoded_info: of either video, the same where the second is left out. Each is turned to RGB by its own matrix
    and range. threads: more than one pays for large pictures on an idle machine, and waits for the others on a busy
    one. observer: called with the number of frames done, after each.

    Y, U and V are compared as code values, so they are missing where the two videos' code values do not mean the same
    (pixel format, range or matrix differ). Gray has Y only; RGB has none of them, as its planes are G, B and R.

    SourceError where sizes or numbers of frames differ, or there is no frame.
    """
    other = decoded_info or info
    if (info.width, info.height) != (other.width, other.height):
        raise SourceError(
            f"the reference is {info.width}x{info.height}, the decoded video {other.width}x{other.height}: "
            "scale one to the size of the other first"
        )
    missing = _missing(info, other)
    planes = sum(name not in missing for name in PLANES)
    similar = _similarity(info, ms_ssim, missing)
    meter = PsnrMeter(info.peak)
    per_frame: dict[str, list[float]] = {name: [] for name in MS_SSIM if name not in missing}
    left, right = iter(reference), iter(decoded)
    for a, b in zip_longest(left, right):
        if a is None or b is None:
            shorter, longer = meter.frames, meter.frames + 1 + sum(1 for _ in (right if a is None else left))
            counts = (shorter, longer) if a is None else (longer, shorter)
            raise SourceError("the reference has {} frames, the decoded video {}".format(*counts))
        with torch.inference_mode(), threads_of_torch(threads):
            x, y = to_rgb(stack_planes([a]), info), to_rgb(stack_planes([b]), other)
            meter.add((x.numpy(), y.numpy()), (a.planes[:planes], b.planes[:planes]))
            for name, values in per_frame.items():
                pair = (x, y) if name == "ms_ssim_rgb" else (_luma(a, info), _luma(b, info))
                values.append(similar(*pair))
        if observer is not None:
            observer(meter.frames)
    if not meter.frames:
        raise SourceError("there are no frames to compare")
    return _result(meter, per_frame, missing)


def _result(meter: PsnrMeter, similar: dict[str, list[float]], missing: dict[str, str]) -> Quality:
    """Means of what was collected."""
    per_frame = dict(zip(PSNR, (meter.rgb_by_frame(), *meter.planes_by_frame()), strict=False))
    per_frame |= {name: tuple(values) for name, values in similar.items()}
    values = {name: mean(numbers) for name, numbers in per_frame.items()}
    pooled = (meter.rgb_of_mean_error(), *meter.planes_of_mean_error())
    values |= {f"{name}_of_mean_error": value for name, value in zip(PSNR, pooled, strict=False)}
    return Quality(meter.frames, {name: values.get(name) for name in METRICS}, per_frame, missing)


def _missing(info: VideoInfo, other: VideoInfo) -> dict[str, str]:
    """Which metrics these two videos do not have, and why."""
    absent: dict[str, str] = {"vmaf": "not measured"}
    reason, names = "", tuple(PLANES)
    if info.pixel_format != other.pixel_format:
        reason = f"the pixel formats differ: {info.pixel_format} and {other.pixel_format}"
    elif info.is_rgb:
        reason = "RGB video has no Y, U and V"
    elif _full(info) != _full(other):
        reason = "the ranges differ: one is full, one limited"
    elif info.chroma is Chroma.GRAY:
        reason, names = "gray video has no U and V", PLANES[1:]
    elif working_matrix(info) != working_matrix(other):
        reason = f"the matrices differ: {working_matrix(info)} and {working_matrix(other)} of H.273"
    if reason:
        absent |= {kind: reason for name in names for kind in (name, f"{name}_of_mean_error")}
    return absent


def _full(info: VideoInfo) -> bool:
    """Whether luma has full range; unspecified is limited."""
    return info.color.range is Range.FULL


def _similarity(info: VideoInfo, wanted: bool, missing: dict[str, str]) -> Callable[[Tensor, Tensor], float]:
    """MS-SSIM of two (1, C, H, W) pictures in [0, 1]; what cannot be measured is added to `missing`."""
    if "psnr_y" in missing:
        missing["ms_ssim_y"] = missing["psnr_y"]
    reason, side = "", min(info.width, info.height)
    if not wanted:
        reason = "not asked for"
    elif side < MS_SSIM_MIN_SIDE:
        reason = f"a side of {side} is shorter than {MS_SSIM_MIN_SIDE} samples"
    else:
        try:
            library = need("pytorch_msssim")
            return lambda x, y: float(library.ms_ssim(_interleaved(x), _interleaved(y), data_range=1.0))
        except UsageError as error:
            reason = str(error)
    missing |= {name: reason for name in MS_SSIM}
    return lambda x, y: math.nan


def _luma(frame: Frame, info: VideoInfo) -> Tensor:
    """(1, 1, H, W) code values over their peak."""
    return torch.from_numpy(frame.planes[0].astype("float32"))[None, None] / info.peak


def _interleaved(picture: Tensor) -> Tensor:
    """The same (1, C, H, W) laid out as pixels in memory, which convolutions on a CPU are several times faster with."""
    return picture.contiguous(memory_format=torch.channels_last)
