"""Which clips there are to measure: files, and folders of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from nvcodec.errors import SourceError
from nvcodec.media.png import natural_key

SUFFIXES = (
    ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .m2v .mts .m2ts .flv .wmv .ogv .y4m .yuv .nut .ivf .obu"
    " .h264 .264 .h265 .265 .hevc"
).split()
"""What a folder is searched for; a file that is named itself may have any suffix."""


def find_clips(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The clips at `paths`, in their order, each once.

    A file is a clip. A folder gives its videos and those of its sub-folders (one level), in natural order of their
    names; a folder or sub-folder that has PNG pictures and no video of its own is one clip. What is hidden is passed
    over. SourceError for a path that is not there, for a folder without clips, and where no path is given.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        for clip in _at(path):
            found.setdefault(clip.resolve(), clip)
    if not found:
        raise SourceError("no clips to measure; name video files, or folders of them")
    return list(found.values())


def _at(path: Path) -> list[Path]:
    if path.is_dir():
        clips = _in(path, deeper=True)
        if not clips:
            raise SourceError(f"{path}: no clips in it or one level below ({' '.join(SUFFIXES)}, or folders of .png)")
        return clips
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder")
    return [path]


def _in(folder: Path, deeper: bool) -> list[Path]:
    """The clips of a folder, and of its sub-folders where it goes `deeper`."""
    try:
        names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise SourceError(f"{folder}: {error.strerror}") from error
    entries = [folder / name for name in sorted(names, key=lambda name: natural_key(name.lower()))]
    videos = [entry for entry in entries if entry.suffix.lower() in SUFFIXES and entry.is_file()]
    if not videos and any(entry.suffix.lower() == ".png" and entry.is_file() for entry in entries):
        return [folder]
    clips: list[Path] = []
    for entry in entries:
        if entry in videos:
            clips.append(entry)
        elif deeper and entry.is_dir():
            clips += _in(entry, deeper=False)
    return clips
