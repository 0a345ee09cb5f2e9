"""Two videos frame by frame, whatever each is stored as: .nvc files through our decoder, all else through media.source.

Nothing is scaled, rotated or shifted silently: sizes have to agree, lengths too unless a shorter one is allowed, and
the offset between the two is given, or found by the time stamps of an .nvc file, and reported.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from nvcodec import api
from nvcodec.bitstream.container import Reader
from nvcodec.errors import FormatError, SourceError, UsageError
from nvcodec.media.libav_source import LibavSource
from nvcodec.media.source import Source, open_source
from nvcodec.media.y4m import file_digest
from nvcodec.video import Frame, VideoInfo

Pair = tuple[Frame, Frame]


class NvcSource(Source):
    """An .nvc file as a Source. It can be read from any frame; each iteration decodes it again."""

    def __init__(self, path: str, device: str = "auto") -> None:
        super().__init__()
        self._path, self._device = path, device
        with _named(path), api.Video(path, device=device) as video:
            self.info = video.info
            self.frame_count = video.frame_count if video.complete else None

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames start .. stop - 1, from the nearest random-access group."""
        with _named(self._path), api.Video(self._path, device=self._device) as video:
            yield from video.frames(start, stop)

    def digest(self) -> str | None:
        return file_digest(self._path)


@contextmanager
def _named(path: str) -> Iterator[None]:
    """An error in a file says in which: there are two."""
    try:
        yield
    except FormatError as error:
        raise type(error)(f"{path}: {error}") from error


def open_video(path: str, device: str = "auto") -> Source:
    """Any video. device: where an .nvc file is rendered. Raises SourceError, FormatError or DeviceError."""
    if path != "-" and os.path.isfile(path):
        try:
            with open(path, "rb") as file:
                start = file.read(4)
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror}") from error
        if start == b"\x9dNVC":
            return NvcSource(path, device)
    return open_source(path)


def size_of(path: str) -> int | None:
    """Bytes of a file, or of all pictures of a folder; None for a pipe."""
    if path == "-":
        return None
    if os.path.isdir(path):
        return sum(item.stat().st_size for item in Path(path).iterdir() if item.suffix.lower() == ".png")
    return os.path.getsize(path)


def frames_of(source: Source, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
    """Frames start .. stop - 1 of a source, sought where it can be."""
    if isinstance(source, NvcSource):
        return source.frames(start, stop)
    return itertools.islice(iter(source), start, stop)


def first_time(path: str, info: VideoInfo) -> tuple[int, Fraction]:
    """(number, time in seconds) of the first frame of an .nvc file that can be read."""
    with open(path, "rb") as file:
        record = next(Reader(file, recover=True).groups(), None)
    if record is None:
        raise SourceError(f"{path}: not one group can be read")
    return record.first_frame, record.pts[0] * info.time_base


def frame_at_time(source: Source, time: Fraction) -> int | None:
    """The number of the frame that is shown exactly at `time` seconds, None where there is none."""
    for number, frame in enumerate(source):
        if frame.pts * source.info.time_base >= time:
            return number if frame.pts * source.info.time_base == time else None
    return None


@dataclass(frozen=True)
class Alignment:
    """Which frames belong together: frame n of the test and frame n + offset of the reference.

    start, stop: the test's frames that are compared (stop None for the end). by_time: the offset was found by the time
    stamps. shortest: the end of either video is the end of both.
    """

    offset: int = 0
    start: int = 0
    stop: int | None = None
    by_time: bool = False
    shortest: bool = False


class Couple:
    """A reference and a test of the same size, open for comparing.

    reference, test: paths, or '-' for one of them. offset: reference frames to pass over; None finds it by time for a
    test that is an .nvc file made of a later part of the reference, and is else 0. frames: (start, stop) of the test.
    Raises SourceError where sizes differ or either cannot be read. Use it as a context manager.
    """

    def __init__(
        self,
        reference: str,
        test: str,
        *,
        offset: int | None = None,
        frames: tuple[int, int | None] = (0, None),
        shortest: bool = False,
        device: str = "auto",
    ) -> None:
        if reference == test == "-":
            raise UsageError("only one of the two videos can come from standard input")
        self.names = (reference, test)
        self.reference = open_video(reference, device)
        try:
            self.test = open_video(test, device)
        except BaseException:
            self.reference.close()
            raise
        try:
            self._check_sizes()
            found = self._offset_by_time() if offset is None else offset
            self.alignment = Alignment(found, *frames, offset is None and found > 0, shortest)
            self._check_lengths()
        except BaseException:
            self.close()
            raise

    def pairs(self) -> Iterator[Pair]:
        """(reference, test), frame by frame. SourceError where one ends before the other."""
        how = self.alignment
        begin = how.start + how.offset
        left = frames_of(self.reference, begin, None if how.stop is None else how.stop + how.offset)
        right = frames_of(self.test, how.start, how.stop)
        count = 0
        for reference, test in itertools.zip_longest(left, right):
            if reference is None or test is None:
                if count == 0:
                    name, first = (self.names[0], begin) if reference is None else (self.names[1], how.start)
                    raise UsageError(f"{name} ends before frame {first}")
                if not how.shortest:
                    raise self._lengths_differ(count, reference is None)
                return
            yield reference, test
            count += 1
        if count == 0:
            raise UsageError(f"both videos end before frame {how.start} of {self.names[1]}")

    def pair(self, number: int) -> Pair:
        """(reference, test) at frame `number` of the test; a second pass over what cannot be sought."""
        wanted = (number + self.alignment.offset, number)
        found = []
        for source, at, name in zip((self.reference, self.test), wanted, self.names, strict=True):
            frame = next(frames_of(source, at, at + 1), None)
            if frame is None:
                raise UsageError(f"{name} ends before frame {at}")
            found.append(frame)
        return found[0], found[1]

    def close(self) -> None:
        """Close both."""
        self.reference.close()
        self.test.close()

    def __enter__(self) -> Couple:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_sizes(self) -> None:
        sizes = [f"{source.info.width}x{source.info.height}" for source in (self.reference, self.test)]
        if sizes[0] != sizes[1]:
            raise SourceError(
                f"{self.names[0]} is {sizes[0]}, {self.names[1]} is {sizes[1]}: scale one to the size of the other "
                "first; nothing is scaled here"
            )

    def _offset_by_time(self) -> int:
        if not isinstance(self.test, NvcSource) or self.names[0] == "-":
            return 0
        number, time = first_time(self.names[1], self.test.info)
        found = frame_at_time(self.reference, time)
        return 0 if found is None else max(found - number, 0)

    def _check_lengths(self) -> None:
        """Before any work, where both say how long they are. A container may be wrong: what it says is looked up."""
        how = self.alignment
        counts = [source.frame_count for source in (self.reference, self.test) if source.frame_count is not None]
        if how.shortest or len(counts) < 2:
            return
        begins = (how.start + how.offset, how.start)
        lengths = [max(count - begin, 0) for count, begin in zip(counts, begins, strict=True)]
        if how.stop is not None:
            lengths = [min(length, how.stop - how.start) for length in lengths]
        guessed = [isinstance(source, LibavSource) for source in (self.reference, self.test)]
        if lengths[0] == lengths[1] or all(guessed) or not all(lengths):
            return
        if any(guessed):
            unsure, sure = guessed.index(True), lengths[guessed.index(False)]
            source, begin = (self.reference, self.test)[unsure], begins[unsure]
            lengths[unsure] = sum(1 for _ in frames_of(source, begin, begin + sure + (how.stop is None)))
        if lengths[0] != lengths[1]:
            raise self._lengths_differ(min(lengths), lengths[0] < lengths[1])

    def _lengths_differ(self, shared: int, reference_ended: bool) -> SourceError:
        how = self.alignment
        short, long = self.names if reference_ended else self.names[::-1]
        skipped = f" from its frame {how.start + how.offset} on" if how.start + how.offset else ""
        by_time = " (found by time; --offset sets another)" if how.by_time else ""
        where = skipped + by_time
        ends = f"{short}{where if reference_ended else ''} has {shared} frame{'s' * (shared != 1)}"
        return SourceError(
            f"{ends} to compare, {long}{'' if reference_ended else where} has more: --shortest compares the first "
            f"{shared}"
        )
