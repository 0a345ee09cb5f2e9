"""Open a video for reading, whatever it is stored as."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

from nvcodec.errors import SourceError
from nvcodec.media.base import Source
from nvcodec.media.libav_source import LibavSource
from nvcodec.media.png import PngSource
from nvcodec.media.raw import SUFFIX as RAW_SUFFIX
from nvcodec.media.raw import RawSource
from nvcodec.media.y4m import MAGIC, Y4mSource

__all__ = ["Source", "open_source"]

_NVC_MAGIC = b"\x9dNVC"


def open_source(path: str | os.PathLike[str], *, rate: Fraction | int | None = None) -> Source:
    """Open a video file, a folder of PNG pictures, a .y4m file, a .yuv file, or '-' for y4m on standard input.

    A .yuv file says in its name what it holds, see `nvcodec.media.raw`.

    rate: frames per second. A PNG folder has 25 unless it is given; for a file it replaces the time stamps by a
    constant rate. The result gives `.info`, `.frame_count`, `.has_audio`, `.notes`, `.digest()` and, iterated, Frames.

    Raises SourceError (or LimitError for a size over a cap) with one line that names the file.
    """
    name = os.fspath(path)
    if rate is not None:
        rate = Fraction(rate)
        if rate <= 0 or max(rate.numerator, rate.denominator) >= 2**32:
            raise SourceError(f"a frame rate of {rate} is not possible")
    if name == "-":
        return Y4mSource(name, rate)
    if not os.path.exists(name):
        raise SourceError(f"{name}: no such file or folder")
    if os.path.isdir(name):
        return PngSource(Path(name), rate)
    try:
        with open(name, "rb") as file:
            start = file.read(len(MAGIC))
    except OSError as exc:
        raise SourceError(f"{name}: {exc.strerror}") from exc
    if not start:
        raise SourceError(f"{name}: the file is empty")
    if start.startswith(_NVC_MAGIC):
        raise SourceError(f"{name}: this is an .nvc file already; decode it with `nvc decode`")
    if start == MAGIC or name.lower().endswith(".y4m"):
        return Y4mSource(name, rate)
    if name.lower().endswith(RAW_SUFFIX):
        return RawSource(name, rate)
    return LibavSource(name, rate)
