"""`nvc report`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvcodec.cli.compare import check_installed, check_target, write_bytes
from nvcodec.cli.console import Console, count
from nvcodec.cli.parse import loss, totals_disagree
from nvcodec.errors import UsageError

if TYPE_CHECKING:
    from nvcodec.bench.report import Report


@click.command("report")
@click.argument("file", metavar="FILE.nvc")
@click.option("--source", metavar="VIDEO", help="What it was encoded from: adds quality and error maps.")
@click.option("--output", "-o", metavar="OUT.html", help="The page.  [default: FILE.html]")
@click.option(
    "--offset", type=click.IntRange(0, 2**31), metavar="N",
    help="The source's frame that is frame 0 of the file.  [default: found by time]",
)  # fmt: skip
@click.option("--ms-ssim/--no-ms-ssim", default=True, show_default=True, help="Measure MS-SSIM.")
@click.option("--vmaf", is_flag=True, help="Measure VMAF, by way of uncompressed temporary files.")
@click.option("--device", default="auto", metavar="auto|cpu|cuda", show_default=True, help="Where to render.")
@click.option("--threads", type=click.IntRange(1, 1024), help="For VMAF.  [default: all cores]")
@click.option("--force", is_flag=True, help="Replace an existing page.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors and damage only.")
def command(
    file: str,
    source: str | None,
    output: str | None,
    offset: int | None,
    ms_ssim: bool,
    vmaf: bool,
    device: str,
    threads: int | None,
    force: bool,
    quiet: bool,
) -> None:
    """Describe FILE.nvc on one HTML page that needs nothing but itself.

    It has sizes, groups, the network and sample pictures; with --source also all metrics, PSNR frame by frame and where
    the error is. Of a cut or damaged file the page shows what can be read, before the command fails with exit code 7 or
    8.
    """
    if file == "-":
        raise UsageError("a report reads its files more than once; save standard input to a file")
    target = output or str(Path(file).with_suffix(".html"))
    check_target(target, ".html", force)
    if source is None and (vmaf or offset is not None):
        raise UsageError("--vmaf and --offset are for --source VIDEO")
    check_installed("PIL.Image", *(["matplotlib"] if source else []))
    from nvcodec.bench import page, report

    console = Console(quiet)
    try:
        found = report.collect(
            file,
            source,
            offset=offset,
            ms_ssim=ms_ssim,
            vmaf=vmaf,
            threads=threads or os.cpu_count() or 1,
            device=device,
            observer=console.frame_counter(),
        )
    finally:
        console.clear()
    content = page.html(found).encode("utf-8")
    write_bytes(target, content)
    for note in found.notes:
        console.note(note)
    for line in found.damage:
        console.warn(f"nvc: damage: {line}")
    if found.wrong:
        console.warn(f"nvc: warning: {count(found.wrong, 'group')} decoded to wrong pixels")
    if not quiet:
        print(f"{target}: {count(found.survey.frames, 'frame')}, {count(len(content), 'byte')}", flush=True)
    _raise_loss(found)


def _raise_loss(found: Report) -> None:
    """As `nvc info` does, and for groups that are whole but cannot be decoded."""
    survey = found.survey
    undecoded = any(row.check is None for row in found.groups)
    if survey.usage.get("damaged", 0) or totals_disagree(survey.findings) or not survey.complete or undecoded:
        raise loss(found.damage)
