"""Train a prior of the model `mc` on clips and pictures, and make it that of the package.

    python tools/train_prior.py CLIPS ... --checkpoint prior.npz --minutes 600      again goes on where it was stopped
    python tools/train_prior.py CLIPS ... --checkpoint finer.npz --from prior.npz   a new run from what another learned
    python tools/train_prior.py CLIPS ... --checkpoint finer.npz --from-package     a new run from the package's prior
    python tools/train_prior.py CLIPS ... --checkpoint intra.npz --from-package --only intra   intra frames alone
    python tools/train_prior.py CLIPS ... --checkpoint last.npz --from finer.npz --laws   what symbols cost, at last
    python tools/train_prior.py CLIPS ... --checkpoint last.npz --from a.npz --from b.npz --laws   of their mean
    python tools/train_prior.py --checkpoint last.npz --export                      into the package
    torchrun --nproc-per-node 2 tools/train_prior.py CLIPS ...     two processes, each with --batch excerpts a step

The network of displacements is trained by tools/train_flow.py, after the others.

Interrupted (Ctrl-C, or SIGTERM) it writes a checkpoint and ends. docs/priors.md has more.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import cv2
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nvcodec.decode.device import DEVICES, choose_device  # noqa: E402
from nvcodec.encode.networks import mc as network  # noqa: E402
from nvcodec.errors import NvcodecError, UsageError  # noqa: E402
from nvcodec.models.mc import McConfig  # noqa: E402
from nvcodec.training.excerpts import Excerpts, batches  # noqa: E402
from nvcodec.training.prior import Prior, mean, restore, widened  # noqa: E402
from nvcodec.training.prior_fit import PriorTrainer, load_prior  # noqa: E402
from nvcodec.training.together import STOPPED, begin, end, furthest, processes, rank  # noqa: E402
from tools.prior_runs import CACHE, Interrupt, load_clips, release  # noqa: E402


def first_prior(checkpoints: Sequence[Path], from_package: bool, seed: int) -> Prior:
    """What to train on: the mean of checkpoints, if any, whose networks may be narrower; that of the package; or one
    that has learned nothing."""
    if checkpoints:
        try:
            return widened(mean([load_prior(path) for path in checkpoints]), McConfig(), seed)
        except ValueError:
            raise UsageError("the priors to start from differ in their configuration, or are wider") from None
    return restore(network.PRIOR, McConfig()) if from_package else Prior(McConfig(), seed)


def train(
    trainer: PriorTrainer, make: Callable[[int], Any], checkpoint: Path, total: tuple[int, float], every: int
) -> None:
    """Until `total`, (steps, seconds), whichever is first. A checkpoint and a line every so many steps.

    make: batches by number. Of several processes the first one writes.
    """
    stop, first = Interrupt(), rank() == 0
    workers = max(1, torch.get_num_threads())
    ready = batches(lambda number: make(number * processes() + rank()), trainer.done, trainer.device, workers)
    before, began = trainer.seconds, time.perf_counter()
    try:
        while True:
            trainer.seconds = before + time.perf_counter() - began
            progress = furthest(STOPPED if stop.set else max(trainer.done / total[0], trainer.seconds / total[1]))
            if progress >= 1:
                break
            trainer.step(next(ready), progress)
            if first and trainer.done % every == 0:
                trainer.save(checkpoint)
                click.echo(line(trainer, progress))
    finally:
        ready.close()
    if first:
        trainer.save(checkpoint)
        click.echo(f"{checkpoint}: {trainer.done} steps in {trainer.seconds:.0f} s")
    if progress == STOPPED:
        sys.exit(130)


def pooled(make: Callable[[int], Any], count: int) -> Callable[[int], Any]:
    """The same, of numbers modulo `count`; what was made is kept."""
    kept: dict[int, Any] = {}

    def found(number: int) -> Any:
        if number % count not in kept:
            kept[number % count] = make(number % count)
        return kept[number % count]

    return found


def line(trainer: PriorTrainer, progress: float) -> str:
    """What was seen since the last one: decibels and bits a pixel, by the number of references, and their cost."""
    seen = trainer.meter.take()
    parts = [f"{100 * progress:5.1f}%", f"step {trainer.done}", f"{trainer.seconds:.0f} s"]
    for kind in ("intra", "one", "two"):
        if f"{kind} mse" in seen:
            psnr = -10 * math.log10(max(seen[f"{kind} mse"], 1e-12))
            parts.append(f"{kind} {psnr:.2f} dB {seen[f'{kind} bpp']:.4f} bpp ({seen[f'{kind} cost']:.4f})")
    return "  ".join(parts)


@click.command(help=__doc__, context_settings={"max_content_width": 120})
@click.argument("clips", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--checkpoint", required=True, type=click.Path(path_type=Path), help="Written, and gone on from.")
@click.option(
    "--from",
    "origins",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="A checkpoint to start from; several for the mean of their weights.",
)
@click.option("--from-package", is_flag=True, help="Start from the prior of the package.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Of training, over all runs.")
@click.option("--steps", type=click.IntRange(1), help="Of training, over all runs.")
@click.option("--crop", default=128, show_default=True, help="Luma samples of a side of an excerpt.")
@click.option("--batch", default=4, show_default=True, type=click.IntRange(1), help="Excerpts of a step.")
@click.option("--device", default="auto", show_default=True, type=click.Choice(DEVICES))
@click.option(
    "--pool",
    type=click.IntRange(1),
    help="So many batches of each process are made, kept in memory, and used again in turn.  [default: new ones]",
)
@click.option("--threads", type=click.IntRange(1), help="Of the CPU.  [default: all]")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31 - 1))
@click.option("--rate", default=1e-3, show_default=True, help="Learning rate of Adam.")
@click.option("--muon-rate", default=6e-4, show_default=True, help="That of Muon.")
@click.option(
    "--falling",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="The last part of the training, in which rates fall; with 0 they stay, for a run to go on from.",
)
@click.option("--bfloat16", is_flag=True, help="Train in bfloat16, on processors that are faster with it.")
@click.option("--laws", is_flag=True, help="Only the layers of laws, on exact symbols: the last part of a training.")
@click.option(
    "--only",
    type=click.Choice(("intra", "inter")),
    help="Only the networks of intra frames, or of others; with --export all else stays as in the package.",
)
@click.option("--every", default=200, show_default=True, type=click.IntRange(1), help="Steps between checkpoints.")
@click.option("--longest", default=1280, show_default=True, help="Larger clips are scaled down to this side.")
@click.option("--frames", default=240, show_default=True, type=click.IntRange(1), help="Of a clip, the first ones.")
@click.option("--cache", default=CACHE, show_default=True, type=click.Path(path_type=Path), help="For decoded clips.")
@click.option("--export", "exported", is_flag=True, help="Write the result into the package.")
def main(
    clips: tuple[Path, ...], checkpoint: Path, origins: tuple[Path, ...], from_package: bool, minutes: float | None,
    steps: int | None, crop: int, batch: int, pool: int | None, device: str, threads: int | None, seed: int,
    rate: float, muon_rate: float, falling: float, bfloat16: bool, laws: bool, only: str | None, every: int,
    longest: int, frames: int, cache: Path, exported: bool,
) -> None:  # fmt: skip
    try:
        if clips:
            if minutes is None and steps is None:
                raise UsageError("say how long: --minutes or --steps")
            if origins and from_package:
                raise UsageError("--from and --from-package are two places to start from; give one")
            if threads:
                torch.set_num_threads(threads)
            begin()
            cv2.setNumThreads(1)  # excerpts have threads of their own
            excerpts = Excerpts(load_clips(clips, cache, longest, frames), crop, batch, seed)
            again = checkpoint.is_file()
            prior = first_prior([checkpoint] if again else origins, from_package, seed)
            trainer = PriorTrainer(prior, choose_device(device), rate, muon_rate, seed, laws, only, bfloat16, falling)
            if again:
                trainer.resume(checkpoint)
            make: Callable[[int], Any] = excerpts.stills if only == "intra" else excerpts.batch
            train(
                trainer,
                pooled(make, pool * processes()) if pool else make,
                checkpoint,
                (steps or 2**62, 60 * minutes if minutes else math.inf),
                every,
            )
        elif not exported:
            raise UsageError("no clips to train on, and nothing to --export")
        if exported and rank() == 0:
            release(load_prior(checkpoint), network.PRIOR if only else None, only or "", tables=True)
    except NvcodecError as error:
        raise click.ClickException(str(error)) from None
    finally:
        end()


if __name__ == "__main__":
    main()
