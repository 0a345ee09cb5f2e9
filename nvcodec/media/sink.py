"""Open an output for decoded frames; its kind follows from its name."""

from __future__ import annotations

import os
from pathlib import Path

from nvcodec.errors import TargetError
from nvcodec.media.base import Sink
from nvcodec.media.digest import Md5Sink
from nvcodec.media.libav_sink import LibavSink
from nvcodec.media.png import PngSink
from nvcodec.media.y4m import Y4mSink
from nvcodec.video import VideoInfo

__all__ = ["Sink", "open_sink"]

MD5_STDOUT = "md5:-"
_KINDS = "'-', .y4m, .mkv, .mp4, .md5 or a folder"


def open_sink(path: str | os.PathLike[str], info: VideoInfo, *, force: bool = False) -> Sink:
    """Open an output.

    '-'              y4m on standard output
    NAME.y4m         raw video
    NAME.mkv         FFV1, lossless
    NAME.mp4         H.264, lossless
    NAME or NAME/    a folder of PNG pictures
    NAME.md5, md5:-  checksums of the frames, to a file or standard output

    A file or folder appears under its name only when the sink is closed without an error. TargetError where it exists
    already (unless `force`), cannot be written, or cannot hold such a video.
    """
    name = os.fspath(path)
    if name == "-":
        return Y4mSink(name, info)
    if name == MD5_STDOUT:
        return Md5Sink("-", info)
    target = Path(name)
    suffix = target.suffix.lower()
    if name.endswith(("/", os.sep)) or suffix == "":
        return _open_folder(target, info, force)
    if suffix not in (".y4m", ".mkv", ".mp4", ".md5"):
        raise TargetError(f"{name}: unknown kind of output; use {_KINDS}")
    if target.is_dir():
        raise TargetError(f"{name}: is a folder")
    if target.exists() and not force:
        raise TargetError(f"{name}: exists already; --force replaces it")
    if suffix == ".y4m":
        return Y4mSink(name, info)
    if suffix == ".md5":
        return Md5Sink(name, info)
    return LibavSink(target, info)


def _open_folder(target: Path, info: VideoInfo, force: bool) -> Sink:
    if target.exists() and not target.is_dir():
        raise TargetError(f"{target}: exists already and is not a folder")
    if target.is_dir() and any(target.iterdir()) and not force:
        raise TargetError(f"{target}: exists already and is not empty; --force replaces the frames in it")
    return PngSink(target, info)
