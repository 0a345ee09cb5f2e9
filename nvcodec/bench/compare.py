"""Any two videos against each other: all metrics, the size of the test, and which frames were compared."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from nvcodec.bench import ffmpeg
from nvcodec.bench.picture import Crop, Picture, Shot, side_by_side
from nvcodec.bench.quality import Quality, measure
from nvcodec.bench.video import Alignment, Couple, Pair, size_of
from nvcodec.errors import NvcodecError, UsageError
from nvcodec.media.base import Sink
from nvcodec.media.color import working_matrix
from nvcodec.media.libav_source import LibavSource
from nvcodec.media.sink import open_sink
from nvcodec.metrics import bpp
from nvcodec.video import Frame, VideoInfo

RATE = 25  # of the temporary files, whose time stamps do not matter


@dataclass(frozen=True)
class Side:
    """One of the two videos. bytes: None for a pipe. frames: in the file as far as known. matrix: H.273, as used."""

    path: str
    info: VideoInfo
    bytes: int | None
    frames: int | None

    @property
    def matrix(self) -> int:
        """H.273 MatrixCoefficients that its RGB was computed with."""
        return working_matrix(self.info)

    @property
    def bpp(self) -> float | None:
        """All bytes over all frames of the file; None where either is not known."""
        if not self.bytes or not self.frames:
            return None
        return bpp(self.bytes, self.frames, self.info.width, self.info.height)


@dataclass(frozen=True)
class Comparison:
    """The result. identical: frames whose samples are all equal."""

    reference: Side
    test: Side
    alignment: Alignment
    quality: Quality
    identical: int

    @property
    def worst(self) -> int:
        """The number of the test's frame with the lowest RGB PSNR, the first of equals."""
        values = self.quality.per_frame["psnr_rgb"]
        return self.alignment.start + values.index(min(values))


def compare(
    couple: Couple,
    *,
    ms_ssim: bool = True,
    vmaf: bool = False,
    threads: int = 1,
    observer: Callable[[int], None] | None = None,
) -> Comparison:
    """Compare frame by frame in one pass and in memory for a few frames.

    vmaf: measure it too, from uncompressed copies of both in the folder for temporary files. observer: called with the
    number of frames done. Raises SourceError, UsageError and what decoding raises; a metric that these two videos do
    not have is in `quality.missing`.
    """
    if vmaf:
        ffmpeg.find()
    equal = _Equal()
    infos = (couple.reference.info, couple.test.info)
    with tempfile.TemporaryDirectory(prefix="nvc-compare-") as folder:
        copies = Copies(Path(folder), infos) if vmaf else None
        pairs = equal.watch(couple.pairs() if copies is None else copies.write(couple.pairs()))
        left, right = itertools.tee(pairs)  # read in step: holds one pair
        quality = measure((a for a, _ in left), (b for _, b in right), *infos, ms_ssim=ms_ssim, observer=observer)
        if copies is None:
            quality = quality.without("vmaf", "not asked for: --vmaf measures it")
        else:
            quality = copies.measure(quality, threads)
    how = couple.alignment
    whole = how.start == 0 and how.stop is None and not how.shortest
    sides = []
    for path, source in zip(couple.names, (couple.reference, couple.test), strict=True):
        guessed = source.frame_count is None or isinstance(source, LibavSource)
        skipped = how.offset if source is couple.reference else 0
        frames = quality.frames + skipped if guessed and whole else source.frame_count
        sides.append(Side(path, source.info, size_of(path), frames))
    return Comparison(sides[0], sides[1], how, quality, equal.count)


def picture(couple: Couple, result: Comparison, frame: int | None = None, crop: Crop | None = None) -> Picture:
    """A frame of both, by default the test's worst one. UsageError for a frame that was not compared."""
    number = result.worst if frame is None else frame
    first, values = result.alignment.start, result.quality.per_frame
    place = number - first
    if not 0 <= place < result.quality.frames:
        raise UsageError(f"frame {number} was not compared; frames {first} to {first + result.quality.frames - 1} were")
    about = [f"test, frame {number}", f"RGB PSNR {values['psnr_rgb'][place]:.2f} dB"]
    if "psnr_y" in values:
        about.append(f"Y {values['psnr_y'][place]:.2f} dB")
    if result.test.bpp is not None:
        about.append(f"{result.test.bpp:.3f} bpp")
    a, b = couple.pair(number)
    one, two = (Path(name).name or name for name in couple.names)
    return side_by_side(
        Shot(a, couple.reference.info, one, f"reference, frame {number + result.alignment.offset}"),
        Shot(b, couple.test.info, two, ", ".join(about)),
        crop,
    )


class _Equal:
    """Counts frames that are the same to the last sample."""

    def __init__(self) -> None:
        self.count = 0

    def watch(self, pairs: Iterator[Pair]) -> Iterator[Pair]:
        """The same pairs."""
        for a, b in pairs:
            self.count += a.same_pixels(b)
            yield a, b


class Copies:
    """Both videos as y4m files, for VMAF; `reason` says why there are none."""

    def __init__(self, folder: Path, infos: tuple[VideoInfo, VideoInfo]) -> None:
        self.paths = (folder / "reference.y4m", folder / "test.y4m")
        self.reason = ""
        if infos[0].pixel_format != infos[1].pixel_format:
            self.reason = f"the pixel formats differ: {infos[0].pixel_format} and {infos[1].pixel_format}"
        elif infos[0].is_rgb:
            self.reason = "RGB video has no luma code values"
        self._infos = [replace(info, time_base=Fraction(1, RATE), rate=Fraction(RATE)) for info in infos]

    def write(self, pairs: Iterator[Pair]) -> Iterator[Pair]:
        """The same pairs, each written before it is given."""
        if self.reason:
            yield from pairs
            return
        with self._sink(0) as left, self._sink(1) as right:
            for number, (a, b) in enumerate(pairs):
                left.write(Frame(a.planes, number))
                right.write(Frame(b.planes, number))
                yield a, b

    def _sink(self, side: int) -> Sink:
        return open_sink(self.paths[side], self._infos[side])

    def measure(self, quality: Quality, threads: int) -> Quality:
        """With VMAF, or with the reason why there is none."""
        if self.reason:
            return quality.without("vmaf", self.reason)
        try:
            return quality.with_vmaf(ffmpeg.vmaf(*self.paths, threads))
        except NvcodecError as error:
            return quality.without("vmaf", str(error))
