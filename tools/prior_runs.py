"""What the tools have in common that train the networks of a prior."""

from __future__ import annotations

import math
import os
import random
import re
import signal
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

import click

from nvcodec.encode.networks import mc as network
from nvcodec.errors import SourceError, UsageError
from nvcodec.models import priors
from nvcodec.training import analysis
from nvcodec.training.excerpts import Clip, load_clip, shrunk
from nvcodec.training.prior import Prior, export
from nvcodec.video import ColorInfo, Frame, Range, VideoInfo

DISTANCES = (1, 1, 2)  # of the frames of a group
SIDES = (240, 640)  # of the longer side of what groups are cut from, scaled down; evenly by logarithm
MOST = 512  # samples of a side of what is encoded
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nvcodec" / "excerpts"


def sources(paths: Iterable[Path]) -> list[Path]:
    """The files given, and all files below the folders given."""
    out = []
    for path in paths:
        out += sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return out


def load_clips(paths: Iterable[Path], cache: Path, longest: int, most: int) -> list[Clip]:
    """All that can be read; a line for each that cannot."""
    out = []
    for path in sources(paths):
        try:
            out.append(load_clip(path, cache, longest, most))
        except SourceError as error:
            click.echo(f"left out: {error}")
    return out


def groups_of(clip: Clip, count: int, longest: int, place: random.Random) -> tuple[VideoInfo, list[list[Frame]]]:
    """Up to `count` groups in a row of up to `longest` frames, whose place in a clip, distance and size are random."""
    scale = min(1.0, math.exp(place.uniform(math.log(SIDES[0]), math.log(SIDES[1]))) / max(clip.size))
    whole = [int(scale * size) // 2 * 2 for size in clip.size]
    height, width = (min(size, MOST) for size in whole)
    top, left = ((size - kept) // 4 * 2 for size, kept in zip(whole, (height, width), strict=True))
    step = place.choice(DISTANCES)
    while step > 1 and count * longest * step > len(clip.frames):
        step -= 1
    first = place.randrange(max(1, len(clip.frames) - count * longest * step))
    frames = []
    for number, record in enumerate(clip.frames[first::step][: count * longest]):
        planes = [
            shrunk(record[name], whole[0] >> s, whole[1] >> s)[
                top >> s : (top + height) >> s, left >> s : (left + width) >> s
            ].copy()
            for name, s in (("y", 0), ("u", 1), ("v", 1))
        ]
        frames.append(Frame(tuple(planes), number))
    info = VideoInfo(width, height, color=ColorInfo(matrix=1, range=Range.LIMITED))
    return info, [frames[start : start + longest] for start in range(0, len(frames), longest)]


class Interrupt:
    """Set by the signals that end a program, so that a step is never cut in two."""

    def __init__(self) -> None:
        self.set = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._catch)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self.set = True


def release(prior: Prior, origin: bytes | None = None, own: str = "", tables: bool = False) -> None:
    """Write the prior into the package and make encoders take it. origin, own, tables: as `export` has them."""
    name = export(prior, priors.PATHS[0], analysis.FOLDER, origin, own, tables).hex()
    path = Path(network.__file__)
    text, found = re.subn(r'(?m)^(PRIOR = bytes\.fromhex\(")\w{16}("\))$', rf"\g<1>{name}\2", path.read_text("utf-8"))
    if found != 1:
        raise UsageError(f"{path} names no prior")
    path.write_text(text, "utf-8")
    values = " ".join(map(str, prior.config.values))
    size = (priors.PATHS[0] / f"{name}.bin").stat().st_size
    click.echo(f"section 12.5 of bitstream_spec.md needs this row:\n| `{name}` | mc | {values} | {size} |")
