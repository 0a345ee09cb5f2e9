"""`nvc decode`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO

import click

from nvcodec.api import Video
from nvcodec.cli.console import Console, count, duration
from nvcodec.cli.parse import WHOLE, FrameRange, last_left_out, loss, totals_disagree
from nvcodec.errors import ChecksumError, MalformedError, TruncatedError, UsageError, VerifyError

if TYPE_CHECKING:
    from nvcodec.decode.decoder import DecodedGroup
    from nvcodec.media.sink import Sink

STDOUT = ("-", "md5:-")


@click.command("decode")
@click.argument("file", metavar="FILE.nvc")
@click.argument("output", required=False)
@click.option("--frames", type=FrameRange(), default=WHOLE, help="Frames A .. B-1 only, counted from 0.")
@click.option("--device", default="auto", metavar="auto|cpu|cuda", show_default=True, help="Where to render.")
@click.option("--verify", is_flag=True, help="Compare with the hashes in the file; OUTPUT may be left out.")
@click.option("--recover", is_flag=True, help="Pass over what is damaged, write the rest, and list what is lost.")
@click.option("--force", is_flag=True, help="Replace an existing output.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors and damage only.")
def command(
    file: str,
    output: str | None,
    frames: tuple[int, int | None],
    device: str,
    verify: bool,
    recover: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Decode FILE.nvc, or - for standard input, to OUTPUT.

    \b
    NAME.y4m         raw video
    NAME.mkv         FFV1, lossless
    NAME.mp4         H.264, lossless
    NAME or NAME/    a folder of PNG pictures
    NAME.md5         a checksum for each frame
    -  md5:-         y4m, or checksums, on standard output

    Of a file that was cut, every whole group is written before the command fails with exit code 7.
    """
    if output is None and not verify:
        raise UsageError("where should the frames go? Name an output, or check the file only with --verify")
    console = Console(quiet)
    source: str | BinaryIO = sys.stdin.buffer if file == "-" else file
    with Video(source, device=device, recover=recover, processes=True) as video, ExitStack() as stack:
        sink = None if output is None else _open_sink(output, video, force)
        if sink is not None:
            stack.enter_context(sink)
        run = _Run(video, frames, console)
        cut = run.write_to(sink)
        if sink is not None:
            sink.close()
        run.report(verify, output, sink.notes if sink else [])
        if cut is not None:
            raise TruncatedError(f"{cut} ({count(run.frames, 'frame')} decoded)") from cut
        if recover:
            run.raise_loss()
        if verify and run.checks["wrong"]:
            raise VerifyError(f"{count(run.checks['wrong'], 'group')} of {run.groups} decoded to wrong pixels")


def _open_sink(output: str, video: Video, force: bool) -> Sink:
    from nvcodec.media.sink import open_sink

    return open_sink(output, video.info, force=force)


class _Run:
    """One pass over the groups that were asked for, and what was found on it."""

    def __init__(self, video: Video, asked: tuple[int, int | None], console: Console) -> None:
        self.frames = self.groups = 0
        self.checks = {"exact": 0, "close": 0, "wrong": 0}
        self._video = video
        self._start, self._stop = asked
        self._due = self._start  # the next frame
        self._gap = False
        self._last = -1  # the number of the last group that was decoded
        self._console = console
        self._damage_shown = 0
        self._began = time.perf_counter()

    def write_to(self, sink: Sink | None) -> TruncatedError | None:
        """Decode all; the error that a cut file ends with."""
        cut = None
        try:
            for group in self._groups():
                if sink is not None:
                    for frame in group.frames:
                        sink.write(frame)
                self._console.status(f"frame {self.frames:,}  {self._speed()}")
        except TruncatedError as error:
            cut = error
        except (ChecksumError, MalformedError) as error:
            raise type(error)(f"{error}; --recover writes what can still be decoded") from error
        finally:
            self._show_damage()
            self._console.clear()
        return cut

    def _groups(self) -> Iterator[DecodedGroup]:
        for group in self._video.groups(self._start, self._stop):
            first = max(group.record.first_frame, self._start)
            self._gap |= first != self._due
            self._due = first + len(group.frames)
            self._last = group.record.number
            self.frames += len(group.frames)
            self.groups += 1
            self.checks[group.check.value] += 1
            self._show_damage()
            yield group

    def raise_loss(self) -> None:
        """With --recover: nothing where every frame that was asked for is there."""
        damage = self._video.findings
        at_end = self._due != self._stop and (
            not self._video.complete or totals_disagree(damage) or last_left_out(damage) > self._last
        )
        if self._gap or at_end:
            raise loss(damage)

    def report(self, verify: bool, output: str | None, notes: list[str]) -> None:
        """The summary, on standard output unless frames went there."""
        if not verify and self.checks["wrong"]:
            self._console.warn(f"nvc: warning: {count(self.checks['wrong'], 'group')} decoded to wrong pixels")
        for note in notes:
            self._console.note(note)
        if self._stop is not None and self._due < self._stop and self._video.complete:
            self._console.note(f"the video has {count(self._due, 'frame')}, fewer than were asked for")
        if self._console.quiet:
            return
        lines = [
            f"{output or 'decoded'}: {count(self.frames, 'frame')}, "
            f"{duration(time.perf_counter() - self._began)}, {self._speed()}"
        ]
        if verify:
            lines.append(
                f"verified: {self.checks['exact']} of {count(self.groups, 'group')} bit-exact, "
                f"{self.checks['close']} close, {self.checks['wrong']} wrong"
            )
        print("\n".join(lines), file=sys.stderr if output in STDOUT else sys.stdout, flush=True)

    def _speed(self) -> str:
        pixels = self.frames * self._video.info.width * self._video.info.height
        return f"{pixels / 1e6 / max(time.perf_counter() - self._began, 1e-9):.2f} Mpx/s"

    def _show_damage(self) -> None:
        for line in self._video.damage[self._damage_shown :]:
            self._console.warn(f"nvc: damage: {line}")
        self._damage_shown = len(self._video.damage)
