"""The public functions; `nvcodec` itself gives them, imported when they are first used.

Nothing heavy is imported before it is needed: `info` works without torch, numpy and PyAV, `decode` without the encoder.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from nvcodec.bitstream.survey import Survey, scan
from nvcodec.errors import SourceError

if TYPE_CHECKING:
    from nvcodec.bitstream.damage import Damage
    from nvcodec.decode.decoder import DecodedGroup
    from nvcodec.encode.report import EncodeReport, Observer
    from nvcodec.encode.settings import EncodeSettings
    from nvcodec.video import Frame, VideoInfo

Path: TypeAlias = "str | os.PathLike[str]"
File: TypeAlias = "Path | BinaryIO"


def encode(
    source: Path,
    target: Path,
    settings: EncodeSettings | None = None,
    *,
    force: bool = False,
    resume: bool = False,
    in_place: bool = False,
    observer: Observer | None = None,
) -> EncodeReport:
    """Encode a video to an .nvc file.

    source: any file that PyAV opens, a .y4m file, a folder of PNG pictures, or '-' for y4m on standard input.
    target: the .nvc file. force: replace an existing one. resume: go on with an encode that was interrupted. in_place:
    write to the target itself, which then can be read while it grows, instead of to a temporary file beside it.
    observer: called with the events of `nvcodec.encode.report`: a Plan, Progress and GroupReports, the EncodeReport.

    Returns the report: frames, bytes, bpp, PSNR, all of the finished file as a decoder reads it. Raises NvcodecError.
    """
    from nvcodec.encode import encoder
    from nvcodec.encode.report import silent
    from nvcodec.encode.settings import EncodeSettings

    return encoder.encode(
        source,
        target,
        EncodeSettings() if settings is None else settings,
        force=force,
        resume=resume,
        in_place=in_place,
        observer=silent if observer is None else observer,
    )


def decode(
    file: File,
    *,
    device: str = "auto",
    start: int = 0,
    stop: int | None = None,
    recover: bool = False,
    processes: bool = False,
) -> Iterator[Frame]:
    """Frames start .. stop - 1 of an .nvc file (to its end for None), in constant memory.

    file: a path, or a binary file object at the start of the file, which may be a pipe and is left open. What is wrong
    with the header is raised by the call, other errors by the iteration, after all whole groups before them. Use `open`
    where size, time base or colour are needed, or which damage `recover` passed over. processes: as `Video`.
    """
    video = Video(file, device=device, recover=recover, processes=processes)

    def frames() -> Iterator[Frame]:
        with video:
            yield from video.frames(start, stop)

    return frames()


def info(file: File) -> Survey:
    """What an .nvc file holds: header, video, models, groups, and its bytes by kind.

    Reads the file through and checks every checksum. A cut or damaged file is described as far as it can be read, see
    `complete` and `damage` of the result; FormatError where not even the video record can be.
    """
    if not isinstance(file, str | os.PathLike):
        return scan(file)
    with _open(file) as opened:
        return scan(opened)


class Video:
    """An .nvc file that is open for decoding; `nvcodec.open(file)` is this class.

    file: a path, or a binary file object at the start of the file. device: auto, cpu or cuda. recover: leave out what
    is damaged instead of raising; `damage` then tells what was lost. Use it as a context manager, or call `close`.

    processes: decode small frames on the CPU in processes forked from this one, as many as torch has threads, up to
    eight: threads wait for each other there. On Linux, for programs without threads of their own, as `nvc decode` is;
    elsewhere there are threads all the same.
    """

    def __init__(self, file: File, *, device: str = "auto", recover: bool = False, processes: bool = False) -> None:
        from nvcodec.decode.decoder import Decoder

        self._owned = _open(file) if isinstance(file, str | os.PathLike) else None
        opened = file if self._owned is None else self._owned
        assert not isinstance(opened, str | os.PathLike)
        try:
            self._decoder = Decoder(opened, device=device, recover=recover, processes=processes)
        except BaseException:
            self.close()
            raise

    @property
    def info(self) -> VideoInfo:
        """Size, depth, chroma, colour, time base, nominal rate, sample aspect, rotation."""
        return self._decoder.info

    @property
    def device(self) -> str:
        """Where frames are rendered: cpu or cuda."""
        return str(self._decoder.device)

    @property
    def damage(self) -> list[str]:
        """What was found damaged so far, a line each."""
        return [str(found) for found in self._decoder.damage]

    @property
    def findings(self) -> list[Damage]:
        """The same with what each means: `.kind`, `.text`, `.group`."""
        return self._decoder.damage

    @property
    def complete(self) -> bool:
        """Whether the file has its end; of a pipe, whether it was reached."""
        return self._decoder.reader.complete

    @property
    def frame_count(self) -> int:
        """Frames in the file; UsageError for a pipe, which does not know."""
        return sum(entry.frame_count for entry in self._decoder.reader.index)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames start .. stop - 1, decoded from the nearest random-access group."""
        return self._decoder.frames(start, stop)

    def groups(self, start: int = 0, stop: int | None = None) -> Iterator[DecodedGroup]:
        """The same, group by group: `.record` of the file, `.frames`, and `.check`, how they compare with the hash."""
        return self._decoder.groups(start, stop)

    def close(self) -> None:
        """Close the file if it was opened here."""
        if self._owned is not None:
            self._owned.close()

    def __enter__(self) -> Video:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _open(path: Path) -> BinaryIO:
    """A file for reading; SourceError where there is none."""
    try:
        return builtins.open(path, "rb")
    except OSError as error:
        raise SourceError(f"{os.fspath(path)}: {error.strerror or error}") from error
