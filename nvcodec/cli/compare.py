"""`nvc compare`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nvcodec.bitstream.registry import colour_point
from nvcodec.cli.console import Console, count, print_json
from nvcodec.cli.parse import WHOLE, FrameRange
from nvcodec.errors import TargetError, UsageError

if TYPE_CHECKING:
    from nvcodec.bench.compare import Comparison, Side

ROWS = {
    "psnr_rgb": "PSNR RGB, dB",
    "psnr_y": "PSNR Y, dB",
    "psnr_u": "PSNR U, dB",
    "psnr_v": "PSNR V, dB",
    "ms_ssim_rgb": "MS-SSIM RGB",
    "ms_ssim_y": "MS-SSIM Y",
    "vmaf": "VMAF",
}


class CropType(click.ParamType):  # type: ignore[type-arg]
    """X,Y,W,H in luma samples from the upper left. Gives a tuple."""

    name = "X,Y,W,H"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(r"\d{1,5},\d{1,5},\d{1,5},\d{1,5}", value, re.ASCII):
            self.fail(f"'{value}' is not X,Y,W,H, four numbers", param, ctx)
        return tuple(int(part) for part in value.split(","))


@click.command("compare")
@click.argument("reference")
@click.argument("test")
@click.option("--frames", type=FrameRange(), default=WHOLE, help="Frames A .. B-1 of TEST only, counted from 0.")
@click.option(
    "--offset", type=click.IntRange(0, 2**31), metavar="N",
    help="Frames of REFERENCE to pass over.  [default: found by time where TEST is an .nvc file, else 0]",
)  # fmt: skip
@click.option("--shortest", is_flag=True, help="Stop where the shorter video ends; otherwise that is an error.")
@click.option("--ms-ssim/--no-ms-ssim", default=True, show_default=True, help="Measure MS-SSIM.")
@click.option("--vmaf", is_flag=True, help="Measure VMAF, by way of uncompressed temporary files.")
@click.option(
    "--device", default="auto", metavar="auto|cpu|cuda", show_default=True, help="Where to render .nvc files."
)
@click.option("--threads", type=click.IntRange(1, 1024), help="For VMAF.  [default: all cores]")
@click.option("--picture", metavar="OUT.png", help="Write a picture of one frame: both, a crop of both, the error.")
@click.option("--frame", type=click.IntRange(0), help="The frame of TEST in the picture.  [default: of lowest PSNR]")
@click.option("--crop", type=CropType(), help="The crop in the picture.  [default: where the error is largest]")
@click.option("--force", is_flag=True, help="Replace an existing picture.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
@click.option("--quiet", "-q", is_flag=True, help="No progress and no notes.")
def command(
    reference: str,
    test: str,
    frames: tuple[int, int | None],
    offset: int | None,
    shortest: bool,
    ms_ssim: bool,
    vmaf: bool,
    device: str,
    threads: int | None,
    picture: str | None,
    frame: int | None,
    crop: tuple[int, int, int, int] | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure TEST against REFERENCE.

    Each is an .nvc file, any video file, a folder of PNG pictures, a .y4m file, or - for y4m on standard input. Both
    have to have one size; each is turned to RGB by its own matrix. Frames are compared in order, whatever their time
    stamps.
    """
    if picture is None and (frame is not None or crop is not None):
        raise UsageError("--frame and --crop are for --picture OUT.png")
    if picture is not None:
        check_target(picture, ".png", force)
        check_installed("PIL.Image", "matplotlib")
        if "-" in (reference, test):
            raise UsageError("a picture needs a second look, which standard input does not give; name a file")
    from nvcodec.bench import compare as bench
    from nvcodec.bench.picture import Crop, check_crop
    from nvcodec.bench.video import Couple

    console = Console(quiet)
    with Couple(reference, test, offset=offset, frames=frames, shortest=shortest, device=device) as couple:
        if crop is not None:
            check_crop(Crop(*crop), couple.reference.info)
        try:
            result = bench.compare(
                couple,
                ms_ssim=ms_ssim,
                vmaf=vmaf,
                threads=threads or os.cpu_count() or 1,
                observer=console.frame_counter(),
            )
        finally:
            console.clear()
        for source in (couple.reference, couple.test):
            for note in source.notes:
                console.note(note)
        if picture is not None:
            made = bench.picture(couple, result, frame, Crop(*crop) if crop else None)
            write_bytes(picture, made.png())
    if as_json:
        print_json(_as_dict(result), indent=1)
    else:
        print("\n".join(_lines(result)), flush=True)


def check_target(path: str, suffix: str, force: bool) -> None:
    """Before any work: can the output be written."""
    if not path.lower().endswith(suffix):
        raise UsageError(
            f"{path}: the output is a {suffix[1:].upper()} file; name it {Path(path).stem or 'out'}{suffix}"
        )
    if os.path.isdir(path) or not Path(path).absolute().parent.is_dir():
        raise TargetError(f"{path}: cannot be written")
    if os.path.exists(path) and not force:
        raise TargetError(f"{path}: exists already; --force replaces it")


def check_installed(*modules: str) -> None:
    """Before any work: UsageError where a package is not there that will be needed at its end."""
    from nvcodec.bench.extras import need

    for module in modules:
        need(module)


def write_bytes(path: str, data: bytes) -> None:
    """A whole file, or none."""
    from nvcodec.media.base import ByteTarget

    target = ByteTarget(path)
    try:
        target.write(data)
        target.close()
    finally:
        target.abort()


def _side_line(side: Side) -> str:
    info = side.info
    parts = [f"{info.width}x{info.height} {info.pixel_format}"]
    if side.frames is not None:
        parts.append(count(side.frames, "frame"))
    if side.bytes is not None:
        parts.append(count(side.bytes, "byte"))
    if side.bpp is not None:
        parts.append(f"{side.bpp:.4f} bpp")
    return f"{side.path}: {', '.join(parts)}"


def _lines(result: Comparison) -> list[str]:
    quality, how = result.quality, result.alignment
    first, last = how.start, how.start + quality.frames - 1
    lines = [f"reference  {_side_line(result.reference)}", f"test       {_side_line(result.test)}"]
    compared = f"compared   {count(quality.frames, 'frame')}, {first} to {last} of the test"
    if how.offset:
        by_time = " (found by time)" if how.by_time else ""
        compared += f" with {first + how.offset} to {last + how.offset} of the reference, offset {how.offset}{by_time}"
    if result.identical:
        which = "all" if result.identical == quality.frames else str(result.identical)
        compared += f"; {which} identical"
    lines += [compared, f"colour     {_matrices(result)}"]
    lines.append(f"{'':14}{'mean over frames':>18}{'of mean error':>16}{'worst frame':>14}")
    for name, label in ROWS.items():
        value = quality.values[name]
        if value is None:
            continue
        digits = 2 if name.startswith(("psnr", "vmaf")) else 4
        values = quality.per_frame[name]
        pooled = quality.values.get(f"{name}_of_mean_error")
        worst = min(values)
        at = "" if worst == max(values) else f"  (frame {first + values.index(worst)})"
        shown = "" if pooled is None else f"{pooled:.{digits}f}"
        lines.append(f"{label:14}{value:>18.{digits}f}{shown:>16}{worst:>14.{digits}f}{at}")
    reasons: dict[str, list[str]] = {}
    for name, label in ROWS.items():
        if name in quality.missing:
            reasons.setdefault(quality.missing[name], []).append(label.removesuffix(", dB"))
    return lines + [f"not measured: {', '.join(names)}: {reason}" for reason, names in reasons.items()]


def _matrices(result: Comparison) -> str:
    """How either became RGB."""
    words = []
    for side in (result.reference, result.test):
        declared = "" if side.matrix == side.info.color.matrix else ", not declared"
        words.append(colour_point("matrix", side.matrix) + declared)
    return f"RGB by matrix {words[0]}" + ("" if words[0] == words[1] else f" of the reference, {words[1]} of the test")


def _side_dict(side: Side) -> dict[str, Any]:
    info = side.info
    return {
        "file": side.path,
        "bytes": side.bytes,
        "width": info.width,
        "height": info.height,
        "pixel_format": info.pixel_format,
        "range": info.color.range.name.lower(),
        "matrix": side.matrix,
        "frames": side.frames,
        "bpp": side.bpp,
    }


def _as_dict(result: Comparison) -> dict[str, Any]:
    """Everything, by name. A metric that is null and not in "missing" is infinite: nothing differs."""
    from nvcodec.metrics import DEFINITIONS

    quality, how = result.quality, result.alignment
    named = (*quality.values, "bpp")
    return {
        "reference": _side_dict(result.reference),
        "test": _side_dict(result.test),
        "frames": quality.frames,
        "first_frame": how.start,
        "offset": how.offset,
        "offset_by_time": how.by_time,
        "identical_frames": result.identical,
        "bytes": result.test.bytes,
        "bpp": result.test.bpp,
        **quality.values,
        "missing": quality.missing,
        "worst_frame": result.worst,
        "per_frame": quality.per_frame,
        "definitions": {name: DEFINITIONS[name] for name in named},
    }
