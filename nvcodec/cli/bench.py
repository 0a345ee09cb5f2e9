"""`nvc bench`, and `tools/rd_bench.py`, which is the same."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nvcodec.cli.console import Console, duration, print_json
from nvcodec.errors import TargetError, UsageError

if TYPE_CHECKING:
    from nvcodec.bench.results import Results

DEFAULT_CODECS = ("nvcodec:fast", "x264:medium", "x265:medium", "svtav1:6", "vp9:2")
DEFAULT_BPP = (0.05, 0.1, 0.2, 0.4)
DEFAULTS = ",".join(map(str, DEFAULT_BPP))
BD_NAMES = {"psnr_rgb": "RGB PSNR", "psnr_y": "Y PSNR", "ms_ssim_rgb": "MS-SSIM", "vmaf": "VMAF"}


class Size(click.ParamType):  # type: ignore[type-arg]
    """WxH, both even."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", value, re.ASCII)
        if not match:
            self.fail(f"'{value}' is not WxH, such as 640x360", param, ctx)
        width, height = int(match[1]), int(match[2])
        if width % 2 or height % 2 or not (width and height):
            self.fail(f"'{value}': width and height have to be even, as most codecs want them", param, ctx)
        return width, height


class Numbers(click.ParamType):  # type: ignore[type-arg]
    """A,B,C: numbers above zero; zero too where it is a quality."""

    name = "A,B,.."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"'{value}' is not a list of numbers, such as 0.1,0.2", param, ctx)
        if any(not 0 <= number < 1e6 for number in numbers) or len(set(numbers)) < len(numbers):
            self.fail(f"'{value}': numbers from 0 on, none of them twice", param, ctx)
        return numbers


@click.command("bench")
@click.argument("clips", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-c",
    "--codec",
    "codecs",
    multiple=True,
    metavar="NAME[:PRESET][,OPTION=VALUE..]",
    help="A codec to measure; may be given several times.  [default: " + " ".join(DEFAULT_CODECS) + "]",
)
@click.option("--bpp", type=Numbers(), help=f"Rates: bits per pixel of the whole file.  [default: {DEFAULTS}]")
@click.option("--psnr", type=Numbers(), help="Rates: RGB PSNR in dB to reach (nvcodec only).")
@click.option("--quality", type=Numbers(), help="Rates: the codec's own scale: crf, qp, lambda.")
@click.option("--size", type=Size(), help="Scale the clips to this size (area) before anything else.")
@click.option("--frames", type=click.IntRange(1), help="The first N frames only.")
@click.option("--start", type=click.IntRange(0), default=0, show_default=True, help="Leave out the first N frames.")
@click.option("--loop", is_flag=True, help="Repeat a clip that is shorter than --frames.")
@click.option(
    "--intra-period",
    type=click.IntRange(1),
    metavar="N",
    help="A random-access point every N frames, for all codecs.  [default: only where a codec wants one]",
)
@click.option("--threads", type=click.IntRange(1, 1024), help="Of every codec.  [default: all cores]")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of every random choice.")
@click.option(
    "--runs",
    type=click.IntRange(1, 99),
    default=3,
    show_default=True,
    help="Timed runs that medians are taken of; one where they would take over 2 minutes.",
)
@click.option("--vmaf/--no-vmaf", default=True, help="Measure VMAF where it can be had.  [default: yes]")
@click.option("--ms-ssim/--no-ms-ssim", default=True, help="Measure MS-SSIM where it can be had.  [default: yes]")
@click.option(
    "--anchor",
    metavar="LABEL",
    help="The codec that BD-rates are against.  [default: the first x264, else the first row]",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("results.json"),
    show_default=True,
    help="Rows that are there already are not measured again.",
)
@click.option("--plots", type=click.Path(path_type=Path), metavar="FOLDER", help="Draw all plots of the results.")
@click.option("--keep", type=click.Path(path_type=Path), metavar="FOLDER", help="Keep the coded streams.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Prepared clips.  [default: nvcodec/bench in the user's cache]",
)
@click.option("--list-codecs", is_flag=True, help="Say which codecs there are here, and which are missing, and end.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print every row as one line of JSON on standard output.")
def command(
    clips: tuple[Path, ...],
    codecs: tuple[str, ...],
    bpp: tuple[float, ...] | None,
    psnr: tuple[float, ...] | None,
    quality: tuple[float, ...] | None,
    size: tuple[int, int] | None,
    frames: int | None,
    start: int,
    loop: bool,
    threads: int | None,
    anchor: str | None,
    out: Path,
    plots: Path | None,
    cache: Path | None,
    list_codecs: bool,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure codecs on CLIPS: rate, quality and speed of real files, side by side.

    CLIPS are videos or folders of them. Every codec gets the same frames as 8 bit yuv420p; what it writes is decoded
    and verified before anything is timed, and the results get one row after the other, with BD-rates. Codecs: nvcodec
    (any preset, and every setting of `nvc encode` as an option, such as nvcodec:fast,group=8), x264, x265, svtav1,
    vp9, and, through the ffmpeg of imageio-ffmpeg, vvenc and aom; an option of these is one of their encoder's, such as
    x264:slow,tune=psnr.
    """
    if list_codecs:
        _list_codecs()
        return
    from nvcodec.bench.clips import find_clips
    from nvcodec.bench.codecs import parse
    from nvcodec.bench.codecs.base import Rate
    from nvcodec.bench.extras import need
    from nvcodec.bench.results import Results, machine
    from nvcodec.bench.runner import Options
    from nvcodec.bench.session import Preparation, check, measure

    if not clips:
        raise UsageError("no clip; name a video or a folder of videos")
    if plots is not None:
        need("matplotlib")
    if loop and frames is None:
        raise UsageError("--loop needs --frames")
    parsed = [parse(text) for text in codecs or DEFAULT_CODECS]
    asked = {"bpp": bpp, "psnr": psnr, "quality": quality}
    if not any(asked.values()):
        asked["bpp"] = DEFAULT_BPP
    rates = [Rate(kind, value) for kind, values in asked.items() for value in values or ()]
    check(parsed, rates)
    found = find_clips(clips)
    console = Console(quiet)
    preparation = Preparation(_folder(cache or _cache()), size, frames, start, loop)
    how = Options(threads=threads or os.cpu_count() or 1, **options)
    for folder in filter(None, (how.keep, plots)):
        _folder(folder)
    versions = {key: value for codec in parsed for key, value in codec.versions().items()}
    results = Results(out, {"command": _command_line(), "versions": versions, "machine": machine()}, anchor)
    try:
        measure(found, parsed, rates, preparation, how, results, _Shown(console, as_json))
    finally:
        console.clear()
        if not as_json and not quiet:
            for line in _bd_lines(results.bd):
                print(line)
    if plots is not None:
        _draw(results, plots, console)


class _Shown:
    """Tells a person, or a program, what happens."""

    def __init__(self, console: Console, as_json: bool) -> None:
        self._console, self._as_json = console, as_json
        self._began = time.monotonic()

    def stage(self, text: str) -> None:
        self._console.status(f"{text}  {duration(time.monotonic() - self._began)}")

    def row(self, row: dict[str, Any]) -> None:
        self._console.clear()
        if self._as_json:
            print_json(row)
        elif not self._console.quiet:
            print(_row_line(row), flush=True)

    def failed(self, what: str) -> None:
        self._console.warn(f"nvc: {what}")


def _command_line() -> str:
    """What the user typed, with file names in place of paths."""
    words = [Path(word).name if os.sep in word and not word.startswith("-") else word for word in sys.argv[1:]]
    return shlex.join(["nvc", *words] if words[:1] == ["bench"] else ["nvc", "bench", *words])


def _draw(results: Results, folder: Path, console: Console) -> None:
    from nvcodec.bench.gallery import plots_of
    from nvcodec.bench.style import save

    for name, build in plots_of({"rows": results.rows, "bd": results.bd}).items():
        for path in save(build, folder, name):
            console.line(str(folder / path))


def _row_line(row: dict[str, Any]) -> str:
    def number(value: float | None, form: str, unit: str) -> str:
        return "" if value is None else f"{value:{form}} {unit}"

    parts = [
        f"{row['clip']['name']:24.24} {row['codec']['label']:30}",
        f"{row['bpp']:8.4f} bpp",
        number(row.get("psnr_rgb"), "6.2f", "dB RGB"),
        number(row.get("psnr_y"), "6.2f", "dB Y"),
        number(row.get("vmaf"), "6.2f", "VMAF"),
        f"{row['encode']['px_per_s'] / 1e3:9.1f} kpx/s",
        f"{row['decode']['px_per_s'] / 1e6:7.2f} Mpx/s decoded",
    ]
    return "  ".join(filter(None, parts))


def _bd_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each codec and clip: BD-rates with the range and the share of both ranges that they are of."""
    pairs: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        pairs.setdefault((row["clip"], row["reference"], str(row["intra_period"]), row["test"]), []).append(row)
    for (clip, _, _, test), found in pairs.items():
        told = [_bd_words(row) for row in found if row["rate_percent"] is not None]
        words = ", ".join(told) or f"none: {found[0]['reason']}"
        yield f"{clip}: BD-rate of {test} against {found[0]['anchor']}: {words}"


def _bd_words(row: dict[str, Any]) -> str:
    low, high = (f"{end:.{4 if row['metric'].startswith('ms_ssim') else 2}f}" for end in row["overlap"])
    share = 100 * row["overlap_share"]
    return f"{BD_NAMES.get(row['metric'], row['metric'])} {row['rate_percent']:+.1f} % ({low}..{high}, {share:.0f} %)"


def _list_codecs() -> None:
    from nvcodec.bench.codecs import NAMES, parse

    for name, preset in NAMES.items():
        codec = parse(name)
        versions = ", ".join(f"{key} {value}" for key, value in codec.versions().items()) if not codec.missing() else ""
        scale = codec.scale
        told = f"presets: {preset} by default; {scale.name} {scale.low:g}..{scale.high:g}"
        print(f"{name:8} {codec.missing() or told + '; ' + versions}")


def _cache() -> Path:
    """Where prepared clips are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nvcodec" / "bench"


def _folder(path: Path) -> Path:
    """The folder, made where there is none."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TargetError(f"{path}: {error.strerror or error}") from error
    return path
