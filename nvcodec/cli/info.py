"""`nvc info`. Imports nothing but click and the bitstream layer, so that it answers at once."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from nvcodec.api import info
from nvcodec.bitstream.records import UNKNOWN, ModelRecord, Ratio, VideoRecord
from nvcodec.bitstream.registry import COLOUR_POINTS, Origin, colour_point
from nvcodec.bitstream.survey import GroupSize, Survey, WindowSize
from nvcodec.cli.console import count, print_json, to_json
from nvcodec.cli.parse import loss, totals_disagree

CHROMA = ("gray", "4:2:0", "4:2:2", "4:4:4")
RANGE = ("unspecified", "limited", "full")
LOCATION = ("unspecified", "left", "center", "top left", "top", "bottom left", "bottom")
STARTS = ("anew", "previous", "window", "window, previous")  # what a group follows from, by inheritance
SHOWN = 40  # groups or windows in the table, unless all are asked for


@click.command("info")
@click.argument("file", metavar="FILE.nvc")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
@click.option(
    "--all", "all_groups", is_flag=True, help=f"List all groups and windows, not the first and last {SHOWN // 2} only."
)
def command(file: str, as_json: bool, all_groups: bool) -> None:
    """Show what FILE.nvc, or - for standard input, holds and where its bytes went.

    Every checksum is checked in passing. Of a cut or damaged file all that can be read is shown before the command
    fails with exit code 7 or 8.
    """
    survey = info(sys.stdin.buffer if file == "-" else file)
    if as_json:
        print_json(_as_dict(survey), indent=1)
    else:
        lines = [f"{os.fspath(file)}: {count(survey.size, 'byte')}, format {_version(survey)}"]
        lines += _video_lines(survey) + _model_lines(survey) + _window_lines(survey, all_groups)
        lines += _group_lines(survey.groups, all_groups)
        lines += _usage_lines(survey) + [f"damage     {line}" for line in survey.damage]
        print("\n".join(lines), flush=True)
    damaged = survey.usage.get("damaged", 0) or totals_disagree(survey.findings)
    if damaged or not survey.complete:
        raise loss(survey.findings)


def _version(survey: Survey) -> str:
    return f"{survey.header.major}.{survey.header.minor}"


def _pixels(survey: Survey) -> int:
    return survey.frames * survey.video.width * survey.video.height


def _ratio(ratio: Ratio, sign: str = "/") -> str:
    return "unknown" if ratio == UNKNOWN else f"{ratio[0]}{sign}{ratio[1]}"


def _video_lines(survey: Survey) -> list[str]:
    video = survey.video
    first = [f"{video.width}x{video.height}", f"{video.bit_depth} bit {CHROMA[video.chroma]}"]
    first += [count(survey.frames, "frame"), f"{_ratio(video.rate)} fps", f"time base {_ratio(video.time_base)}"]
    if video.rate != UNKNOWN:
        first.append(f"{survey.frames * video.rate[1] / video.rate[0]:.2f} s")
    colour = [f"{kind} {colour_point(kind, getattr(video, kind))}" for kind in COLOUR_POINTS]
    colour += [f"range {RANGE[video.range]}", f"chroma at {LOCATION[video.chroma_location]}"]
    lines = [f"video      {', '.join(first)}", f"colour     {', '.join(colour)}"]
    if video.rotation or video.sample_aspect != UNKNOWN:
        lines.append(f"display    rotation {video.rotation}, sample aspect {_ratio(video.sample_aspect, ':')}")
    if survey.meta:
        lines.append(f"metadata   {to_json(survey.meta)}")
    return lines


def _model_lines(survey: Survey) -> list[str]:
    lines = []
    for index, model in sorted(survey.models.items()):
        what = f"{model.name}, class {_class(model)}, "
        if model.tensors:
            what += f"{count(model.parameters, 'parameter')} in {count(len(model.tensors), 'tensor')}, "
        lines.append(f"model {index:<4} {what}{_origin(model)}")
        lines.append("           " + ", ".join(f"{name} {value}" for name, value in model.settings.items()))
    return lines


def _origin(model: ModelRecord) -> str:
    if model.origin == Origin.PRIOR:
        return f"prior {model.prior.hex()}"
    return f"seed {model.seed}" if model.origin == Origin.RANDOM else "initial integers 0"


def _class(model: ModelRecord) -> str:
    return "FX"[model.exactness]


def _window_lines(survey: Survey, all_windows: bool) -> list[str]:
    windows = survey.windows
    if not windows:
        return []
    heads = ("groups", "model", "shared", "of model", "mask", "bytes")
    rows = [f"{heads[0]:>18}" + "".join(f"{head:>9}" for head in heads[1:])]
    for window in windows:
        span = f"{window.first_group}..{window.first_group + window.groups - 1}"
        share = f"{100 * _share(survey, window):.1f}%"
        rows.append(f"{span:>18}{window.model:>9}{window.shared:>9}{share:>9}{window.mask:>9}{window.size:>9}")
    return [f"windows    {len(windows)}", *_shortened(rows, all_windows)]


def _share(survey: Survey, window: WindowSize) -> float:
    """The part of the model's parameters that is shared."""
    return window.shared / survey.models[window.model].parameters


def _group_lines(groups: tuple[GroupSize, ...], all_groups: bool) -> list[str]:
    access = sum(group.random_access for group in groups)
    chains = len({group.chain for group in groups})
    lines = [f"groups     {len(groups)} in {count(chains, 'chain')}, {access} of random access"]
    if not groups:
        return lines
    kinds = sorted({kind for group in groups for kind in group.sections})
    heads = [kind.name.lower() for kind in kinds]
    wide = max(9, *(1 + len(STARTS[group.inheritance]) for group in groups))
    rows = ["".join(f"{head:>9}" for head in ("group", "chain")) + f"{'starts':>{wide}}{'frames':>17}"
            + "".join(f"{head:>9}" for head in (*heads, "other", "bytes"))]  # fmt: skip
    for group in groups:
        span = f"{group.first_frame}..{group.first_frame + group.frame_count - 1}"
        sizes = [group.sections.get(kind, 0) for kind in kinds] + [group.record + group.framing, group.size]
        starts = STARTS[group.inheritance]
        rows.append(f"{group.number:>9}{group.chain:>9}{starts:>{wide}}{span:>17}" + "".join(f"{n:>9}" for n in sizes))
    return lines + _shortened(rows, all_groups)


def _shortened(rows: list[str], all_rows: bool) -> list[str]:
    """A table of a head and rows, without those in the middle where they are many."""
    hidden = 0 if all_rows else max(0, len(rows) - 1 - SHOWN)
    if not hidden:
        return rows
    half = SHOWN // 2
    return [*rows[: 1 + half], f"      ... {hidden} more; --all lists them", *rows[-half:]]


def _usage_lines(survey: Survey) -> list[str]:
    total, pixels = survey.size, _pixels(survey)
    rows = [*sorted(survey.usage.items(), key=lambda item: -item[1]), ("total", total)]
    lines = [f"{'kind':>9}{'bytes':>13}{'share':>9}{'bpp':>9}"]
    for kind, size in rows:
        bpp = f"{8 * size / pixels:.4f}" if pixels else "-"
        lines.append(f"{kind:>9}{size:>13,}{100 * size / total:>8.1f}%{bpp:>9}")
    return lines


def _as_dict(survey: Survey) -> dict[str, Any]:
    """Everything, by name."""
    pixels = _pixels(survey)
    header = survey.header
    return {
        "version": _version(survey),
        "features": {
            "incompatible": header.incompatible, "compatible": header.compatible, "advisory": header.advisory,
        },
        "bytes": survey.size,
        "frames": survey.frames,
        "bpp": 8 * survey.size / pixels if pixels else None,
        "complete": survey.complete,
        "damage": survey.damage,
        "video": _video_dict(survey.video),
        "metadata": survey.meta,
        "models": [_model_dict(model) for _, model in sorted(survey.models.items())],
        "windows": [_window_dict(survey, window) for window in survey.windows],
        "groups": [_group_dict(group) for group in survey.groups],
        "bytes_by_kind": survey.usage,
    }  # fmt: skip


def _video_dict(video: VideoRecord) -> dict[str, Any]:
    ratios = ("time_base", "rate", "sample_aspect")
    plain = ("width", "height", "bit_depth", "primaries", "transfer", "matrix", "rotation")
    return {
        **{name: getattr(video, name) for name in plain},
        "chroma": CHROMA[video.chroma],
        "range": RANGE[video.range],
        "chroma_location": LOCATION[video.chroma_location],
        **{name: None if getattr(video, name) == UNKNOWN else _ratio(getattr(video, name)) for name in ratios},
    }


def _model_dict(model: ModelRecord) -> dict[str, Any]:
    return {
        "index": model.index,
        "name": model.name,
        "exactness": _class(model),
        "origin": model.origin.name.lower(),
        "seed": model.seed,
        "prior": model.prior.hex() or None,
        "settings": model.settings,
        "parameters": model.parameters if model.tensors else None,
        "tensors": [{"kind": tensor.kind.name.lower(), "shape": tensor.shape} for tensor in model.tensors],
    }


def _window_dict(survey: Survey, window: WindowSize) -> dict[str, Any]:
    return {
        "first_group": window.first_group,
        "groups": window.groups,
        "model": window.model,
        "shared": window.shared,
        "share_of_parameters": _share(survey, window),
        "bytes": window.size,
        "mask_bytes": window.mask,
    }


def _group_dict(group: GroupSize) -> dict[str, Any]:
    return {
        "number": group.number,
        "chain": group.chain,
        "model": group.model,
        "inheritance": group.inheritance.name.lower(),
        "random_access": group.random_access,
        "first_frame": group.first_frame,
        "frames": group.frame_count,
        "bytes": group.size,
        "bytes_by_kind": {kind.name.lower(): size for kind, size in group.sections.items()},
    }
