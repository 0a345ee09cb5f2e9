"""`nvc encode`."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from nvcodec import api
from nvcodec.bitstream.registry import MODELS
from nvcodec.cli.console import Console, count, decibels, duration, print_json, shares, to_json
from nvcodec.cli.parse import WHOLE, FrameRange
from nvcodec.encode.report import EncodeReport, Event, GroupReport, Plan, Progress, Scan, WindowReport
from nvcodec.encode.settings import BOUNDS, EncodeSettings, flag
from nvcodec.encode.settings import CHOICES as SETTINGS_CHOICES
from nvcodec.errors import NvcodecError, TargetError
from nvcodec.training.presets import PRESETS

HELP = {
    "preset": "Speed against compression, apart from quality; see below.",
    "bpp": "Rate: bits per pixel of the whole file.  [default: 0.3 when no rate is asked for]",
    "psnr": "Rate: the RGB PSNR in dB that every group shall reach, by the fewest bits.",
    "lam": "Rate: the paper's lambda, mean squared error per mean bit per coded integer; mc: per bit per pixel.",
    "model": "Network.  [default: mc for 4:2:0 and gray, nirvana for what mc does not have]",
    "patch": "nirvana: samples on a patch's side, even.",
    "group": "Frames in a group; at most so many where groups end at scene changes.",
    "chunk": "nerv, hnerv, enerv: seconds of a group, at most.  [default: 5]",
    "width": "nirvana: outputs of the stem; nerv, hnerv, enerv: channels of the first stage; "
    "by default solved from the rate.",
    "parameters": "All but mc: parameters that the network may have, instead of --width.",
    "depth": "nirvana: layers of the stem.",
    "channels": "nirvana: channels of the feature volume, even.",
    "block_channels": "nirvana: channels of the last block.",
    "conv": "nirvana: convolution parameters quantised, or float as in the paper.",
    "steps_first": "Iterations of a random-access group; mc: of a frame that starts anew.",
    "steps_next": "Iterations of the other groups; mc: of a frame that is predicted, those between two others fewer.",
    "steps_network": "mc: iterations that fit the network to a group of frames; 0 for the same network everywhere.",
    "prune": "All but mc: part of the weights that training makes zero.",
    "share": "All but mc: part of the parameters that the groups of a window have in common; "
    "0 for windows that share nothing.",
    "mask": "The score by which shared parameters are chosen.",
    "share_training": "How a window is trained: shared parameters move in each group's turn; "
    "once for all, as the paper has it; or groups come one after the other, and what they share stays.",
    "inherit": "What of a group is not shared is coded against the group before, or not.  "
    "[default: none with --share, else previous]",
    "monolithic": "All but mc: one group for the whole video.",
    "scene_threshold": "The least score of a scene change; windows and chunks end there.",
    "min_window": "Seconds of the shortest window.  [default: 2, at most half of the longest]",
    "max_window": "Groups of the longest window; 0 for no limit.",
    "keyint": "Groups from one random-access group to the next; 0: only the first of each chain.",
    "chains": "Disjoint parts of the video that start from scratch.",
    "jobs": "Processes that work on chains at the same time.",
    "engine": "Where they run: on this machine, or on a Ray cluster that shares the files.",
    "seed": "Of every random choice.",
    "device": "Where to train.",
    "threads": "Of each process.  [default: all cores]",
}
CHOICES = {
    "preset": tuple(PRESETS),
    "model": tuple(entry.name for entry in MODELS.values()),
    **SETTINGS_CHOICES,
    "device": ("auto", "cpu", "cuda"),
}
# None does not mean: what the preset says
OWN_DEFAULT = (
    "bpp", "psnr", "lam", "model", "chunk", "width", "parameters", "share", "inherit", "min_window", "threads",
)  # fmt: skip
EVENTS = {Scan: "scan", Plan: "plan", Progress: "progress", GroupReport: "group", EncodeReport: "report"}
SUMMARIES = "\n".join(f"  {name:10} {summary}" for name, summary in PRESETS.items())


def _kind(field: dataclasses.Field[Any]) -> click.ParamType[Any]:
    """Type and bounds of a setting, from its annotation and the one table of bounds."""
    if field.name in CHOICES:
        return click.Choice(CHOICES[field.name])
    if field.default is False:
        return click.BOOL
    low, high = next((low, high) for name, low, high in BOUNDS if name == field.name)
    if "float" in str(field.type):
        return click.FloatRange(low, high)
    return click.IntRange(int(low), int(high))


def _settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """An option for every field of EncodeSettings except start and stop, which are --frames."""
    for field in reversed(dataclasses.fields(EncodeSettings)):
        if field.name in ("start", "stop"):
            continue
        by_preset = field.default is None and field.name not in OWN_DEFAULT
        option = click.option(
            flag(field.name),
            field.name,
            type=_kind(field),
            default=field.default,
            is_flag=field.default is False,
            show_default="by preset" if by_preset else field.default not in (None, False),
            help=HELP[field.name],
        )
        command = option(command)
    return command


@click.command("encode", epilog=f"\b\nPresets:\n{SUMMARIES}")
@click.argument("source")
@click.argument("target", metavar="TARGET.nvc")
@_settings_options
@click.option("--frames", type=FrameRange(), default=WHOLE, help="Frames A .. B-1 only, counted from 0.")
@click.option("--force", is_flag=True, help="Replace an existing output.")
@click.option("--resume", is_flag=True, help="Go on with an encode that was interrupted.")
@click.option("--in-place", is_flag=True, help="Write to the target itself, not to a temporary file beside it.")
@click.option("--report", metavar="FILE.json", help="Write sizes, PSNR and times of every group.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print every event as one line of JSON on standard output.")
def command(
    source: str,
    target: str,
    frames: tuple[int, int | None],
    force: bool,
    resume: bool,
    in_place: bool,
    report: str | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Encode SOURCE to TARGET.nvc.

    SOURCE is any video file, a folder of PNG pictures, a .y4m file, a raw .yuv file with its size in its name (such as
    NAME_1920x1080_120fps.yuv), or - for y4m on standard input. Audio is not coded. Ask for a rate by one of --bpp,
    --psnr and --lambda. An encode that was interrupted leaves its finished groups on disk, where --resume finds them.
    """
    settings = EncodeSettings(start=frames[0], stop=frames[1], **options)
    if report is not None:
        _check_report(report, force or resume)
    console = Console(quiet)
    observer = _Lines(console)
    try:
        result = api.encode(
            source,
            target,
            settings,
            force=force,
            resume=resume,
            in_place=in_place,
            observer=_show_json if as_json else observer,
        )
    except KeyboardInterrupt:
        console.clear()
        console.warn(f"nvc: interrupted: {_what_is_left(target, in_place)}")
        sys.exit(130)
    finally:
        console.clear()
    shown = () if as_json else observer.notes
    for note in result.notes:
        if note not in shown:
            console.note(note)
    if report is not None:
        _write_report(report, result)
    if not quiet and not as_json:
        _print_summary(result)


class _Lines:
    """Shows events to a person: the progress line on a terminal, a line for each group elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = 0.0
        self.notes: tuple[str, ...] = ()  # those of the plan, which are shown before the work starts

    def __call__(self, event: Event) -> None:
        console = self._console
        if isinstance(event, Scan):
            if console.live:
                console.status(f"looking for scene changes: frame {event.frames}{_of(event.of)}")
        elif isinstance(event, Plan):
            for line in _plan_lines(event):
                console.line(line)
            for note in event.notes:
                console.note(note)
            self.notes = event.notes
        elif isinstance(event, Progress):
            if console.live and time.monotonic() - self._shown >= 0.1:
                console.status(_progress_line(event))
                self._shown = time.monotonic()
        elif isinstance(event, GroupReport):
            if not console.live:
                if event.window:
                    console.line(_window_line(event.number, event.window))
                console.line(_group_line(event))


def _show_json(event: Event) -> None:
    """Prints an event for a program."""
    body = dataclasses.asdict(event)
    if isinstance(event, EncodeReport):
        body.pop("groups")  # each had its own line
    print_json({"event": EVENTS[type(event)], **body})


def _of(total: int | None) -> str:
    return "" if total is None else f"/{total}"


def _plan_lines(plan: Plan) -> list[str]:
    config = ", ".join(f"{name} {value}" for name, value in plan.config.items())
    length = "length unknown"
    if plan.frames is not None and plan.groups is not None:
        length = f"{count(plan.frames, 'frame')} in {count(plan.groups, 'group')}"
        if plan.windows:
            length += f", {count(plan.windows, 'window')} with shared parameters"
    steps = f"{plan.steps_first} steps for a first group, {plan.steps_next} for others"
    if plan.steps_network:
        steps += f", {plan.steps_network} for the network"
    cost = [f"{plan.steps:,} steps ({steps})" if plan.steps is not None else steps, f"on {plan.device}"]
    if plan.seconds is not None:
        cost.append(f"about {duration(plan.seconds)}")
    if plan.bpp is not None:
        cost.append(f"{plan.bpp:.3f} bpp expected")
    return [
        f"video: {plan.width}x{plan.height}, {length}",
        f"network: {plan.model}, {count(plan.parameters, 'parameter')} a group ({config})",
        f"cost: {', '.join(cost)}",
    ]


def _progress_line(event: Progress) -> str:
    parts = [f"group {event.group + 1}{_of(event.groups)}", f"step {event.step}/{event.steps}"]
    parts.append(f"{decibels(event.loss_psnr)} dB")
    if event.bpp is not None:
        parts.append(f"{event.bpp:.3f} bpp")
    parts.append(f"{event.pixels_per_second / 1000:.1f} kpx/s")
    if event.seconds_left is not None:
        parts.append(f"{duration(event.seconds_left)} left")
    return "  ".join(parts)


def _group_line(group: GroupReport) -> str:
    seconds = group.seconds_training + group.seconds_coding + group.seconds_checking
    return (
        f"group {group.number}{' (random access)' if group.random_access else ''}: "
        f"frames {group.first_frame}..{group.first_frame + group.frames - 1}, {decibels(group.psnr)} dB, "
        f"{group.bytes:,} bytes, {group.bpp:.3f} bpp, {duration(seconds)}"
    )


def _window_line(number: int, window: WindowReport) -> str:
    groups = f"groups {number}..{number + window.groups - 1}"
    shared = f"{window.shared:,} of {window.shared_of:,} parameters"
    return f"window of {groups}: {shared} shared, {window.bytes:,} bytes, {window.mask_bytes:,} of them mask"


def _print_summary(report: EncodeReport) -> None:
    names = "GBR" if api.info(report.target).video.matrix == 0 else "YUV"
    planes = ", ".join(f"{name} {decibels(value)}" for name, value in zip(names, report.psnr_planes, strict=False))
    lines = (
        f"{report.target}: {report.plan.model}, {count(report.frames, 'frame')}, {count(report.bytes, 'byte')}, "
        f"{report.bpp:.4f} bpp",
        f"  PSNR   RGB {decibels(report.psnr)} dB; {planes} dB (means over frames)",
        f"  bytes  {shares(report.bytes_by_kind)}",
        f"  time   {duration(report.seconds)}, {report.pixels_per_second / 1000:.1f} kpx/s",
    )
    print("\n".join(lines), flush=True)


def _what_is_left(target: str, in_place: bool) -> str:
    """What an interrupted encode leaves behind."""
    path = target if in_place else f"{target}.part"
    try:
        left = api.info(path)
    except NvcodecError:
        return "nothing was written yet"
    found = f"{count(len(left.groups), 'group')} with {count(left.frames, 'frame')} in {path}"
    return f"{found}, which decodes as it is; the same command with --resume goes on"


def _check_report(path: str, force: bool) -> None:
    """Before hours of work: can the report be written at all."""
    folder = Path(path).parent
    if os.path.isdir(path) or not folder.is_dir():
        raise TargetError(f"{path}: cannot be written")
    if os.path.exists(path) and not force:
        raise TargetError(f"{path}: exists already; --force replaces it")


def _write_report(path: str, report: EncodeReport) -> None:
    """The whole report, or no file."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{Path(path).name}.", dir=Path(path).parent)
        try:
            with open(handle, "w", encoding="ascii") as file:
                file.write(to_json(dataclasses.asdict(report), indent=1) + "\n")
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise TargetError(f"{path}: {error.strerror or error}") from error
