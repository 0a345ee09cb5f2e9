"""What every source and every sink is, and how an output file comes into being: whole, or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

from nvcodec import limits
from nvcodec.errors import LimitError, TargetError
from nvcodec.video import Frame, VideoInfo


class Source(ABC):
    """An open video. Iterate it for its Frames, lazily and in constant memory; use it as a context manager.

    A file may be iterated more than once; a pipe only once. `notes` has a line for whatever is not carried over as it
    is; iteration may add to it.
    """

    info: VideoInfo
    frame_count: int | None = None  # what the container says: exact for y4m, PNG and most mp4 files, None where unknown
    has_audio: bool = False

    def __init__(self) -> None:
        self.notes: list[str] = []

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Frames with strictly increasing pts. SourceError where the input is damaged."""

    def digest(self) -> str | None:
        """Hexadecimal SHA-256 of the file; None for a pipe."""
        return None

    def close(self) -> None:  # noqa: B027 (nothing to release is the usual case)
        """Release what is open."""

    def note(self, line: str) -> None:
        """Remember a line, once."""
        if line not in self.notes:
            self.notes.append(line)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class Sink(ABC):
    """An open output. As a context manager it closes on success and aborts when an exception passes.

    `notes` has a line for whatever the output cannot hold.
    """

    def __init__(self, info: VideoInfo) -> None:
        self.info = info
        self.notes: list[str] = []

    @abstractmethod
    def write(self, frame: Frame) -> None:
        """Append one frame. TargetError where it cannot be written or represented."""

    @abstractmethod
    def close(self) -> None:
        """Finish the output and give it its name. Nothing happens a second time."""

    @abstractmethod
    def abort(self) -> None:
        """Drop what was written; no output appears."""

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self.abort()  # does nothing once closed


def usual_mode(mode: int) -> int:
    """The permissions that a new file or folder gets. Temporary ones start private; an output should not stay so."""
    mask = os.umask(0)
    os.umask(mask)
    return mode & ~mask


class PendingFile:
    """A temporary file beside the target that takes its name when it is whole."""

    def __init__(self, target: Path) -> None:
        self.target = target
        try:
            handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
            os.close(handle)
            os.chmod(name, usual_mode(0o666))
        except OSError as exc:
            raise TargetError(f"{target}: cannot write there: {exc.strerror}") from exc
        self.path = Path(name)

    def commit(self) -> None:
        """Rename to the target."""
        try:
            os.replace(self.path, self.target)
        except OSError as exc:
            self.discard()
            raise TargetError(f"{self.target}: {exc.strerror}") from exc

    def discard(self) -> None:
        """Remove the temporary file."""
        self.path.unlink(missing_ok=True)


class ByteTarget:
    """Bytes to a file that appears at close, or to standard output."""

    def __init__(self, path: str) -> None:
        self._pending: PendingFile | None = None
        self._file: BinaryIO
        if path == "-":
            self._file = sys.stdout.buffer
        else:
            self._pending = PendingFile(Path(path))
            self._file = cast(BinaryIO, open(self._pending.path, "wb"))
        self._name = "standard output" if path == "-" else path
        self._open = True

    def write(self, *parts: bytes | memoryview) -> None:
        """Append bytes; TargetError when the disk is full or the reader has gone."""
        try:
            for part in parts:
                self._file.write(part)
        except OSError as exc:
            raise TargetError(f"{self._name}: {exc.strerror}") from exc

    def close(self) -> None:
        """Flush, and give a file its name."""
        if not self._open:
            return
        self._open = False
        try:
            self._file.flush()
            if self._pending is not None:
                self._file.close()
        except OSError as exc:
            if self._pending is not None:
                self._pending.discard()
            raise TargetError(f"{self._name}: {exc.strerror}") from exc
        if self._pending is not None:
            self._pending.commit()

    def abort(self) -> None:
        """Leave no file."""
        if self._open and self._pending is not None:
            try:
                self._file.close()
            except OSError:
                pass  # it is being thrown away
            self._pending.discard()
        self._open = False


def check_size(width: int, height: int, name: str) -> None:
    """LimitError unless a picture of this size is within the caps."""
    if not (0 < width <= limits.MAX_DIMENSION and 0 < height <= limits.MAX_DIMENSION):
        raise LimitError(f"{name}: {width}x{height} is outside 1..{limits.MAX_DIMENSION} a side")
    if width * height > limits.MAX_PIXELS:
        raise LimitError(f"{name}: {width}x{height} has more than {limits.MAX_PIXELS} pixels")


def check_frame(frame: Frame, info: VideoInfo) -> None:
    """The caller's promise to a sink: planes are as the info says."""
    assert tuple(p.shape for p in frame.planes) == info.plane_shapes, "planes have the shapes of the info"
    assert all(p.dtype == info.dtype for p in frame.planes), "planes have the type of the info"
