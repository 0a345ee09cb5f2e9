"""Plots of results files of `nvc bench`: python tools/plots.py RESULTS.json [...] [--out docs/plots]

Writes NAME.png, NAME_dark.png and NAME.svg for each plot of `nvcodec.bench.gallery`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click

from nvcodec.bench.figures import METRICS
from nvcodec.bench.gallery import METRICS as USUAL
from nvcodec.bench.gallery import plots_of
from nvcodec.bench.results import load
from nvcodec.bench.series import check, number
from nvcodec.bench.style import save
from nvcodec.errors import NvcodecError, SourceError, UsageError

PLOTS = Path(__file__).resolve().parents[1] / "docs/plots"
FORMATS = ("png", "svg")


class Formats(click.ParamType):  # type: ignore[type-arg]
    """png, svg or both."""

    name = "png,svg"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        chosen = tuple(value.split(",")) if isinstance(value, str) else tuple(value)
        if set(chosen) - set(FORMATS):
            self.fail(f"'{value}' is not png, svg or png,svg", param, ctx)
        return chosen


@click.command("plots", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.argument("files", metavar="RESULTS.json...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), default=PLOTS, help="Folder to write to.  [default: docs/plots]"
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    type=click.Choice(tuple(METRICS)),
    help=f"Of R-D curves; may be given several times. Other plots show the first.  [default: {', '.join(USUAL)}]",
)
@click.option("--bpp", type=click.FloatRange(0, min_open=True), help="Where plots at one rate look.  [default: median]")
@click.option("--only", multiple=True, metavar="PATTERN", help="Only plots of such names, as rd_*; several add up.")
@click.option("--prefix", default="", help="What the names of files begin with.")
@click.option("--format", "formats", type=Formats(), default=FORMATS, help="What to write.  [default: png,svg]")
def command(
    files: tuple[Path, ...],
    out: Path,
    metrics: tuple[str, ...],
    bpp: float | None,
    only: tuple[str, ...],
    prefix: str,
    formats: tuple[str, ...],
) -> None:
    """Draw everything that RESULTS.json has the numbers for.

    Several files are drawn together; of rows with one key the last counts. Plots that are there are replaced.
    """
    rows = _rows(files)
    for metric in metrics:
        if all(number(row.get(metric)) is None for row in rows):
            raise UsageError(f"nothing to plot: no row has a number for {metric}")
    plots = plots_of({"rows": rows}, metrics or USUAL, bpp)
    if not plots:
        raise UsageError("nothing to plot: " + ("no row has a number to draw" if rows else "there are no rows"))
    chosen = {name: build for name, build in plots.items() if not only or any(fnmatch(name, part) for part in only)}
    if not chosen:
        raise UsageError(f"no plot is named {' or '.join(only)}; there are {', '.join(plots)}")
    for name, build in chosen.items():
        for file in save(build, out, prefix + name, formats):
            click.echo(str(out / file))


def _rows(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Of all files, by key."""
    rows: dict[Any, dict[str, Any]] = {}
    for path in files:
        found = load(path)["rows"]
        try:
            check(found)
        except SourceError as error:
            raise SourceError(f"{path}: {error}") from error
        rows.update({row.get("key", (path, place)): row for place, row in enumerate(found)})
    return list(rows.values())


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code of `nvcodec.errors`."""
    try:
        code = command.main(args=args, prog_name="plots", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", 130)
    except NvcodecError as error:
        return _fail(str(error), error.exit_code)


def _fail(message: str, code: int) -> int:
    print(f"plots: error: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
