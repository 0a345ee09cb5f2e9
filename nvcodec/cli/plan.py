"""`nvc plan`."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import click

from nvcodec import limits
from nvcodec.cli.console import Console, count, print_json
from nvcodec.cli.parse import WHOLE, FrameRange
from nvcodec.errors import UsageError
from nvcodec.media.source import Source, open_source
from nvcodec.planning.scenes import THRESHOLD, PairScore, scene_scores
from nvcodec.planning.windows import (
    CHUNK_SECONDS,
    MAX_CHUNKS,
    MIN_SECONDS,
    Window,
    WindowPlanner,
    WindowRule,
    change,
    frames_in,
    rule_for,
)
from nvcodec.video import Frame

HOUR = 3600


class Real(click.FloatRange):
    """A range of numbers, in which NaN is not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


@click.command("plan")
@click.argument("source")
@click.option(
    "--chunk", type=Real(0, HOUR, min_open=True), metavar="SECONDS",
    help=f"The longest chunk.  [default: {CHUNK_SECONDS:g}]",
)  # fmt: skip
@click.option(
    "--group", type=click.IntRange(1, limits.MAX_GROUP_FRAMES), metavar="FRAMES", help="The longest chunk, in frames."
)
@click.option(
    "--scene-threshold", "threshold", type=Real(0, 1, min_open=True), default=THRESHOLD, metavar="X",
    show_default=True, help="The least score of a scene change; 1 is for unrelated pictures.",
)  # fmt: skip
@click.option(
    "--min-window", type=Real(0, HOUR), metavar="SECONDS",
    help=f"The shortest window.  [default: {MIN_SECONDS:g}, at most half of the longest]",
)  # fmt: skip
@click.option(
    "--max-window", type=click.IntRange(0, limits.MAX_GROUPS), default=MAX_CHUNKS, metavar="CHUNKS", show_default=True,
    help="The longest window; 0 for no limit.",
)  # fmt: skip
@click.option("--frames", type=FrameRange(), default=WHOLE, help="Frames A .. B-1 only, counted from 0.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
@click.option("--quiet", "-q", is_flag=True, help="No progress and no notes.")
def command(
    source: str,
    chunk: float | None,
    group: int | None,
    threshold: float,
    min_window: float | None,
    max_window: int,
    frames: tuple[int, int | None],
    as_json: bool,
    quiet: bool,
) -> None:
    """Show how SOURCE divides into windows between scene changes, and those into chunks, without encoding it.

    SOURCE is any video file, a folder of PNG pictures, a .y4m file, a raw .yuv file, or - for y4m on standard input.
    The networks of a window's chunks share parameters. Frames are counted from 0 in SOURCE.
    """
    if chunk is not None and group is not None:
        raise UsageError("--chunk and --group both say how long a chunk is; give one of them")
    console = Console(quiet)
    with open_source(source) as video:
        rule = rule_for(
            video.info,
            seconds=CHUNK_SECONDS if chunk is None else chunk,
            frames=group,
            min_seconds=min_window,
            max_chunks=max_window,
        )
        if group is None and rule.chunk < frames_in(CHUNK_SECONDS if chunk is None else chunk, video.info):
            console.note(f"a chunk has at most {count(rule.chunk, 'frame')} of this size")
        found = _Found(video, source, rule, threshold, frames)
        try:
            for window in found.windows(console):
                if not as_json:
                    console.clear()
                    print("\n".join(([] if found.closed else _head(found)) + _rows(window, found)), flush=True)
                found.add(window)
        finally:
            console.clear()
        for note in video.notes:
            console.note(note)
        if frames[1] is not None and found.stop < frames[1]:
            console.note(f"the video has {count(found.stop, 'frame')}, fewer than were asked for")
    if as_json:
        print_json(_as_dict(found), indent=1)
    else:
        print("\n".join(_tail(found)), flush=True)


@dataclass
class _Found:
    """One pass over a video. Numbers of frames are those of the source, also in `changes` and `next_best`."""

    video: Source
    name: str
    rule: WindowRule
    threshold: float
    asked: tuple[int, int | None]
    frames: int = 0
    closed: list[Window] = field(default_factory=list)
    changes: list[PairScore] = field(default_factory=list)
    next_best: PairScore | None = None  # the highest score below the threshold
    chunks: int = 0

    @property
    def stop(self) -> int:
        """The number of the frame after the last one."""
        return self.asked[0] + self.frames

    def windows(self, console: Console) -> Iterator[Window]:
        """Look at every frame. UsageError where there is none."""
        planner = WindowPlanner(self.rule, self.asked[0])
        for pair in scene_scores(self._counted(console), self.video.info):
            yield from planner.push(self._judge(pair))
        if not self.frames:
            raise UsageError(f"the video has no frames from {self.asked[0]} on")
        yield from planner.finish()

    def add(self, window: Window) -> None:
        """Remember a window."""
        self.closed.append(window)
        self.chunks += len(window.chunks)

    def passed_over(self) -> list[PairScore]:
        """Changes that no window begins with."""
        used = {window.first_frame for window in self.closed}
        return [pair for pair in self.changes if pair.frame not in used]

    def _counted(self, console: Console) -> Iterator[Frame]:
        began = shown = time.monotonic()
        total = self.video.frame_count
        if self.asked[1] is not None:
            total = self.asked[1] if total is None else min(total, self.asked[1])
        of = "" if total is None else f"/{max(total - self.asked[0], 0):,}"
        for frame in itertools.islice(iter(self.video), *self.asked):
            self.frames += 1
            yield frame
            if console.live and (now := time.monotonic()) - shown >= 0.1:
                console.status(f"frame {self.frames:,}{of}  {self.frames / (now - began):.0f} frames/s")
                shown = now

    def _judge(self, pair: PairScore) -> float | None:
        score = change(pair, self.threshold)
        pair = PairScore(pair.frame + self.asked[0], pair.difference, pair.score)
        if score is not None:
            self.changes.append(pair)
        elif pair.frame > self.asked[0] and (self.next_best is None or pair.score > self.next_best.score):
            self.next_best = pair
        return score


def _head(found: _Found) -> list[str]:
    info, rule = found.video.info, found.rule
    rate = "" if info.rate is None else f" at {float(info.rate):.6g} fps"
    longest = "" if rule.longest is None else f" and at most {count(rule.max_chunks, 'chunk')}"
    return [
        f"{found.name}: {info.width}x{info.height}{rate}",
        f"chunks of at most {count(rule.chunk, 'frame')}; windows of at least {count(rule.minimum, 'frame')}{longest}; "
        f"scene changes from a score of {found.threshold:g} on",
        f"{'window':>6}{'chunk':>8}{'frames':>19}{'length':>8}  begins with",
    ]


def _rows(window: Window, found: _Found) -> list[str]:
    """A line for each chunk. Chunks are numbered through the video."""
    begins = "a scene change" if window.score is not None else "the first frame" if not found.closed else "a division"
    if window.score is not None:
        begins += f", score {window.score:.3f}"
    lines = []
    for place, chunk in enumerate(window.chunks):
        span = f"{chunk.first_frame}..{chunk.first_frame + chunk.frames - 1}"
        number = "" if place else str(len(found.closed))
        line = f"{number:>6}{found.chunks + place:>8}{span:>19}{chunk.frames:>8}"
        lines.append(line if place else f"{line}  {begins}")
    return lines


def _tail(found: _Found) -> list[str]:
    parts = (count(found.frames, "frame"), count(len(found.closed), "window"), count(found.chunks, "chunk"))
    lines = [", ".join(parts)]
    line = count(len(found.changes), "scene change")
    if found.next_best is not None:
        line += f"; the highest other score is {found.next_best.score:.3f}, at frame {found.next_best.frame}"
    lines.append(line)
    near = [f"{pair.frame} ({pair.score:.3f})" for pair in found.passed_over()]
    return lines + ([f"too near to others or to an end: {', '.join(near)}"] if near else [])


def _as_dict(found: _Found) -> dict[str, Any]:
    """Everything, by name."""
    info = found.video.info
    passed_over = {pair.frame for pair in found.passed_over()}
    return {
        "source": found.name,
        "width": info.width,
        "height": info.height,
        "rate": None if info.rate is None else list(info.rate.as_integer_ratio()),
        "first_frame": found.asked[0],
        "frames": found.frames,
        "chunk_frames": found.rule.chunk,
        "min_window_frames": found.rule.minimum,
        "max_window_chunks": found.rule.max_chunks,
        "scene_threshold": found.threshold,
        "windows": [asdict(window) for window in found.closed],
        "scene_changes": [{**asdict(pair), "passed_over": pair.frame in passed_over} for pair in found.changes],
        "next_best": None if found.next_best is None else asdict(found.next_best),
        "notes": found.video.notes,
    }
