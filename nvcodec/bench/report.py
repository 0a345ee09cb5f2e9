"""What a report on an .nvc file is about: one survey of its bytes, and one pass over its frames.

    collect(path, source) -> Report        everything that `bench.page` shows

Memory does not grow with the number of frames, except for a few numbers each; a few frames are kept as samples.
Damage is passed over and told.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nvcodec import api
from nvcodec.bench import ffmpeg
from nvcodec.bench.compare import Copies
from nvcodec.bench.quality import Quality, measure
from nvcodec.bench.video import Pair, first_time, frame_at_time, open_video, size_of
from nvcodec.bitstream.damage import Damage
from nvcodec.bitstream.survey import GroupSize, Survey
from nvcodec.errors import SourceError, UsageError
from nvcodec.media.base import Source
from nvcodec.media.color import stack_planes, to_rgb
from nvcodec.media.y4m import file_digest
from nvcodec.metrics import mean, psnr
from nvcodec.video import Frame, VideoInfo

KEPT = 9  # frames, evenly spaced, of which one near the median PSNR is taken
SAMPLES = 4


@dataclass(frozen=True)
class Reference:
    """The source: what it is, and which of its frames is frame 0 of the file."""

    path: str
    info: VideoInfo
    bytes: int | None
    digest: str | None
    offset: int
    by_time: bool


@dataclass(frozen=True)
class GroupRow:
    """One group. check: exact, close or wrong, None where it was not decoded. psnr: RGB, mean over its frames."""

    size: GroupSize
    bpp: float
    check: str | None
    psnr: float | None


@dataclass(frozen=True, eq=False)
class Sample:
    """A frame to show. why: what it was chosen for. time: seconds. psnr: RGB, of this frame."""

    why: tuple[str, ...]
    number: int
    time: float
    psnr: float | None
    decoded: Frame
    source: Frame | None


@dataclass(frozen=True, eq=False)
class Report:
    """All that is known of the file. numbers: the frames that were measured, in order, as counted in the file."""

    name: str
    digest: str
    survey: Survey
    info: VideoInfo
    damage: tuple[Damage, ...]
    groups: tuple[GroupRow, ...]
    seconds: float | None
    reference: Reference | None
    quality: Quality | None
    numbers: tuple[int, ...]
    samples: tuple[Sample, ...]
    notes: tuple[str, ...]

    @property
    def wrong(self) -> int:
        """Groups that decoded to other pixels than the encoder saw."""
        return sum(row.check == "wrong" for row in self.groups)


def collect(
    path: str,
    source: str | None = None,
    *,
    offset: int | None = None,
    ms_ssim: bool = True,
    vmaf: bool = False,
    threads: int = 1,
    device: str = "auto",
    observer: Callable[[int], None] | None = None,
) -> Report:
    """Look at an .nvc file, and with a source also at what it lost.

    source: any video of the same size; frame n of the file is its frame n + offset (None: found by the time stamps,
    else 0). observer: called with the number of frames done. Raises what `api.info` raises where not even the head of
    the file can be read, SourceError where the source is no match, DeviceError.
    """
    if path == "-" or source == "-":
        raise UsageError("a report reads its files more than once; save standard input to a file")
    if vmaf:
        ffmpeg.find()
    survey = api.info(path)
    with api.Video(path, device=device, recover=True) as video:
        if source is None:
            run = _Run(video, survey, None, 0, observer)
            for _ in run.pairs():
                raise AssertionError("no source, no pairs")
            return run.report(path, None, None, ())
        with open_video(source, device) as opened:
            _check_size(source, opened.info, path, video.info)
            found, by_time = (offset, False) if offset is not None else _offset(path, video.info, opened, survey)
            run = _Run(video, survey, opened, found, observer)
            quality = _measure(run, (opened.info, video.info), ms_ssim, vmaf, threads)
            reference = Reference(source, opened.info, size_of(source), opened.digest(), found, by_time)
            return run.report(path, reference, quality, tuple(opened.notes))


def _check_size(source: str, info: VideoInfo, path: str, own: VideoInfo) -> None:
    if (info.width, info.height) != (own.width, own.height):
        raise SourceError(
            f"{source} is {info.width}x{info.height}, {path} is {own.width}x{own.height}: this cannot be its source"
        )


def _offset(path: str, info: VideoInfo, source: Source, survey: Survey) -> tuple[int, bool]:
    """Which frame of the source has the time of the file's first, and whether time told."""
    if not survey.groups:
        return 0, False
    number, time = first_time(path, info)
    found = frame_at_time(source, time)
    offset = 0 if found is None else max(found - number, 0)
    return offset, offset > 0


def _measure(run: _Run, infos: tuple[VideoInfo, VideoInfo], ms_ssim: bool, vmaf: bool, threads: int) -> Quality | None:
    """All metrics, in the pass that decodes; None where no frame could be compared."""
    with tempfile.TemporaryDirectory(prefix="nvc-report-") as folder:
        copies = Copies(Path(folder), infos) if vmaf else None
        pairs = run.pairs() if copies is None else copies.write(run.pairs())
        first = next(pairs, None)
        if first is None:
            return None
        left, right = itertools.tee(itertools.chain([first], pairs))  # read in step: holds one pair
        quality = measure((a for a, _ in left), (b for _, b in right), *infos, ms_ssim=ms_ssim)
        if copies is None:
            return quality.without("vmaf", "not asked for: --vmaf measures it")
        return copies.measure(quality, threads)


class _Run:
    """The one pass: decodes all groups, remembers what came out, and keeps the frames that may be shown."""

    def __init__(
        self,
        video: api.Video,
        survey: Survey,
        source: Source | None,
        offset: int,
        observer: Callable[[int], None] | None,
    ) -> None:
        self._video, self._survey, self._source, self._offset = video, survey, source, offset
        self._observer = observer
        self._checks: dict[int, str] = {}
        self._span: tuple[int, int] | None = None  # first and last pts
        self._kept: dict[int, Sample] = {}
        self._worst: Sample | None = None
        self._numbers: list[int] = []
        self._psnr: list[float] = []
        self._source_ended = False
        frames = [n for g in survey.groups for n in range(g.first_frame, g.first_frame + g.frame_count)]
        count = KEPT if source else SAMPLES
        self._wanted = {frames[(len(frames) - 1) * k // (count - 1)] for k in range(count)} if frames else set()

    def pairs(self) -> Iterator[Pair]:
        """(source, decoded) of every frame that is in both; decodes to the end in any case."""
        others = iter(()) if self._source is None else iter(self._source)
        place = -1  # of `other` in the source
        other: Frame | None = None
        done = 0
        for group in self._video.groups():
            self._checks[group.record.number] = group.check.value
            for number, frame in enumerate(group.frames, group.record.first_frame):
                self._span = (frame.pts if self._span is None else self._span[0], frame.pts)
                while self._source is not None and place < number + self._offset and not self._source_ended:
                    other = next(others, None)
                    place += 1
                    self._source_ended = other is None
                self._keep(number, frame, other)
                if other is not None:
                    yield other, frame
                done += 1
                if self._observer is not None:
                    self._observer(done)

    def _keep(self, number: int, frame: Frame, other: Frame | None) -> None:
        """Remember the frame's PSNR, and the frame itself where it may be shown."""
        value = None
        if other is not None and self._source is not None:
            a, b = to_rgb(stack_planes([other]), self._source.info), to_rgb(stack_planes([frame]), self._video.info)
            value = psnr(a.numpy(), b.numpy())
            self._numbers.append(number)
            self._psnr.append(value)
        least = self._worst.psnr if self._worst is not None else None
        worst = value is not None and (least is None or value < least)
        if number in self._wanted or worst:
            time = float(frame.pts * self._video.info.time_base)
            sample = Sample((), number, time, value, _copy(frame), None if other is None else _copy(other))
            if number in self._wanted:
                self._kept[number] = sample
            if worst:
                self._worst = sample

    def report(self, path: str, reference: Reference | None, quality: Quality | None, notes: Iterable[str]) -> Report:
        """After the pass."""
        survey, info = self._survey, self._video.info
        told = list(notes)
        if self._source_ended:
            told.append(f"the source ends before the file does: {len(self._numbers)} frames could be compared")
        by_number = dict(zip(self._numbers, self._psnr, strict=True))
        pixels = info.width * info.height
        rows = []
        for group in survey.groups:
            span = range(group.first_frame, group.first_frame + group.frame_count)
            values = [by_number[n] for n in span if n in by_number]
            check = self._checks.get(group.number)
            rows.append(
                GroupRow(group, 8 * group.size / (group.frame_count * pixels), check, mean(values) if values else None)
            )
        return Report(
            name=path,
            digest=file_digest(path),
            survey=survey,
            info=info,
            damage=tuple(dict.fromkeys([*survey.findings, *self._video.findings])),
            groups=tuple(rows),
            seconds=self._seconds(),
            reference=reference,
            quality=quality,
            numbers=tuple(self._numbers),
            samples=self._samples(),
            notes=tuple(told),
        )

    def _seconds(self) -> float | None:
        """How long the frames that were decoded last: by the nominal rate, else by the time stamps."""
        info, frames = self._video.info, self._survey.frames
        if not frames or self._span is None:
            return None
        if info.rate:
            return float(frames / info.rate)
        if frames == 1 or self._span[0] == self._span[1]:
            return None
        return float((self._span[1] - self._span[0]) * info.time_base * frames / (frames - 1))

    def _samples(self) -> tuple[Sample, ...]:
        """First, worst, one near the median, last; or evenly spaced."""
        if not self._kept:
            return ()
        whys: dict[int, list[str]] = {}
        have = {**self._kept}
        if self._worst is None or self._worst.psnr is None:
            whys = {number: [] for number in have}
        else:
            have[self._worst.number] = self._worst
            median = statistics.median(self._psnr)
            known = [sample for sample in have.values() if sample.psnr is not None]
            nearest = min(known, key=lambda s: (abs((s.psnr or 0.0) - median) if s.psnr != median else 0.0, s.number))
            whys.setdefault(self._worst.number, []).append("lowest PSNR")
            whys.setdefault(nearest.number, []).append("near the median PSNR")
        for number, why in ((min(have), "first"), (max(have), "last")):
            whys.setdefault(number, []).append(why)
        return tuple(replace(have[number], why=tuple(whys[number])) for number in sorted(whys))


def _copy(frame: Frame) -> Frame:
    """Samples of its own: a decoded plane is a view into its whole group."""
    return Frame(tuple(plane.copy() for plane in frame.planes), frame.pts)
