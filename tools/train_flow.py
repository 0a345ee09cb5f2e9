"""Train the network of displacements of the package's prior on what an encoder chooses with it.

    python tools/train_flow.py CLIPS ... --minutes 15

Groups of the clips are encoded with the prior of the package, at qualities at random; the flow network learns from
their displacements, and the prior with it becomes that of the package. As other laws lead an encoder to other
displacements, a second run gains again. Interrupted (Ctrl-C, or SIGTERM) it changes nothing. docs/priors.md has more.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import cv2
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nvcodec.bitstream.registry import Inheritance, Origin  # noqa: E402
from nvcodec.decode.state import initial_state  # noqa: E402
from nvcodec.decode.symbols import Reader  # noqa: E402
from nvcodec.encode.checking import Place  # noqa: E402
from nvcodec.encode.frame_fit import Effort  # noqa: E402
from nvcodec.encode.frame_group import FrameGroupEncoder  # noqa: E402
from nvcodec.encode.networks import mc as network  # noqa: E402
from nvcodec.encode.plan import video_record  # noqa: E402
from nvcodec.errors import NvcodecError, UsageError  # noqa: E402
from nvcodec.models.base import Coder, Weights  # noqa: E402
from nvcodec.models.integer import EXACT, Arithmetic  # noqa: E402
from nvcodec.models.mc import FLOW, Mc, McConfig  # noqa: E402
from nvcodec.training.analysis import load_analyses  # noqa: E402
from nvcodec.training.excerpts import Clip  # noqa: E402
from nvcodec.training.flow_fit import CodedField, FlowTrainer  # noqa: E402
from nvcodec.training.prior import restore  # noqa: E402
from tools.prior_runs import CACHE, Interrupt, groups_of, load_clips, release  # noqa: E402

GROUPS = 2  # in a row: the second one is carried on from the first
STEPS = Effort(8, 0)
QUALITIES = (2, 66)
HELD_BACK = 10  # every tenth group is not learned from


class Recorder(Mc):
    """The model, which notes the displacements that a decoder reads."""

    def __init__(self, config: McConfig, height: int, width: int) -> None:
        super().__init__(config, height, width)
        self.fields: list[CodedField] = []

    def field(
        self, weights: Weights, name: str, guess: Tensor | None, told: Tensor, code: Coder, a: Arithmetic = EXACT
    ) -> Tensor:
        """As `Mc.field`."""
        found = super().field(weights, name, guess, told, code, a)
        if isinstance(code, Reader):
            self.fields.append(CodedField(found, guess, told))
        return found


def coded_fields(clip: Clip, place: random.Random) -> Iterator[list[CodedField]]:
    """Of GROUPS groups of a clip, from a place in it and at a quality that are chosen at random."""
    info, units = groups_of(clip, GROUPS, McConfig().group, place)
    model = Recorder(McConfig(), info.height, info.width)
    state = initial_state(model.tensors, 0, Origin.PRIOR, network.PRIOR)
    analysis = load_analyses(network.PRIOR, McConfig())
    groups = FrameGroupEncoder(model, state, analysis, info, video_record(info), torch.device("cpu"))
    quality, before = place.randint(*QUALITIES), None
    for number, frames in enumerate(units):
        at = Place(number, 0, 0, frames[0].pts, Inheritance.PREVIOUS if number else Inheritance.NONE)
        before = groups.encode(frames, at, before, quality, STEPS, lambda *_: None).after
        yield model.fields
        model.fields = []


def gather(clips: Sequence[Clip], rounds: int, seed: int, stop: Interrupt) -> tuple[list[CodedField], list[CodedField]]:
    """The fields to learn from, and those to judge by."""
    place = random.Random(seed)
    kept: tuple[list[CodedField], list[CodedField]] = ([], [])
    number = 0
    for n in range(rounds):
        for clip in clips:
            if stop.set:
                return kept
            for fields in coded_fields(clip, place):
                kept[number % HELD_BACK == HELD_BACK - 1].extend(fields)
                number += 1
            click.echo(f"round {n + 1} of {rounds}: {clip.name}, {sum(map(len, kept))} fields")
    return kept


def train(trainer: FlowTrainer, seconds: float, every: int, stop: Interrupt) -> None:
    """For so long. A line every so many steps."""
    began, loss = time.perf_counter(), 0.0
    while not stop.set and (progress := (time.perf_counter() - began) / seconds) < 1:
        loss += trainer.step(progress)
        if trainer.done % every == 0:
            click.echo(f"{100 * progress:5.1f}%  step {trainer.done}  {loss / every:.4f}")
            loss = 0.0


@torch.no_grad()
def bits(trainer: FlowTrainer, fields: Sequence[CodedField]) -> float:
    """Of a field, in the mean."""
    return sum(float(trainer.bits(field)) for field in fields) / max(1, len(fields))


@click.command(help=__doc__, context_settings={"max_content_width": 120})
@click.argument("clips", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--minutes", required=True, type=click.FloatRange(0, min_open=True), help="Of training, after encoding.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Through all clips.")
@click.option("--threads", type=click.IntRange(1), help="Of the CPU.  [default: all]")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31 - 1))
@click.option("--rate", default=4e-3, show_default=True, help="Learning rate.")
@click.option("--every", default=200, show_default=True, type=click.IntRange(1), help="Steps between lines.")
@click.option("--longest", default=960, show_default=True, help="Larger clips are scaled down to this side.")
@click.option("--frames", default=240, show_default=True, type=click.IntRange(1), help="Of a clip, the first ones.")
@click.option("--cache", default=CACHE, show_default=True, type=click.Path(path_type=Path), help="For decoded clips.")
def main(
    clips: tuple[Path, ...], minutes: float, rounds: int, threads: int | None, seed: int, rate: float, every: int,
    longest: int, frames: int, cache: Path,
) -> None:  # fmt: skip
    try:
        if threads:
            torch.set_num_threads(threads)
        cv2.setNumThreads(1)
        stop = Interrupt()
        moving = [clip for clip in load_clips(clips, cache, longest, frames) if len(clip.frames) > 1]
        learned, judged = gather(moving, rounds, seed, stop)
        if not learned:
            raise UsageError("no clip has two frames or more")
        trainer = FlowTrainer(restore(network.PRIOR, McConfig()), learned, rate, seed)
        before = bits(trainer, judged)
        train(trainer, 60 * minutes, every, stop)
        after = bits(trainer, judged)
        click.echo(f"{len(judged)} fields that were held back: {before:.1f} bits before, {after:.1f} now")
        if stop.set:
            sys.exit(130)
        release(trainer.prior, network.PRIOR, FLOW)
    except NvcodecError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
