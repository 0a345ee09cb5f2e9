"""Train the network of predicted frames of the package's prior on chains of frames, as files have them.

    python tools/train_chains.py CLIPS ... --minutes 25
    torchrun --nproc-per-node 2 tools/train_chains.py CLIPS ... --minutes 25     two processes, each with some clips

Groups of the clips are coded with the prior of the package, at qualities at random. Then the network learns: a group is
played again under the network as it is, each frame predicted from what that made of others, with the symbols that it
has, and excerpts of what comes of it say how to change. `train_prior.py` trains frames that are predicted from one or
two others; here they are the last of up to five in a row, which is where errors that repeat add up. The prior becomes
that of the package. Interrupted (Ctrl-C, or SIGTERM) it changes nothing. docs/priors.md has more.
"""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import cv2
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nvcodec.bitstream.registry import Origin  # noqa: E402
from nvcodec.decode.frames import named_weights  # noqa: E402
from nvcodec.decode.state import initial_state  # noqa: E402
from nvcodec.encode.frame_fit import Effort, FrameCoder, distortion_of  # noqa: E402
from nvcodec.encode.frame_replay import Replay  # noqa: E402
from nvcodec.encode.networks import mc as network  # noqa: E402
from nvcodec.errors import NvcodecError, UsageError  # noqa: E402
from nvcodec.models.integer import FINE, SMOOTH, UNIT  # noqa: E402
from nvcodec.models.mc import INTER, Mc, McConfig  # noqa: E402
from nvcodec.training.analysis import load_analyses  # noqa: E402
from nvcodec.training.excerpts import Clip  # noqa: E402
from nvcodec.training.optim import Optimizer  # noqa: E402
from nvcodec.training.prior import TABLES, Prior, restore  # noqa: E402
from nvcodec.training.together import STOPPED, begin, end, furthest, mean, processes, rank, share  # noqa: E402
from tools.prior_runs import CACHE, Interrupt, groups_of, load_clips, release  # noqa: E402

GROUPS = 2  # in a row: the second one is carried on from the first
QUALITIES = (0, 52)
HELD_BACK = 10  # every tenth group is not learned from
EXCERPTS = 8  # of a step
WARM = 30  # steps until the learning rate is whole
LEAST_RATE = 0.03  # of it, at the end
PROJECT_EVERY = 10  # steps
MEMORY = 100  # steps that the mean of weights goes back
BETAS = (0.9, 0.98)
CPU = torch.device("cpu")


def chains(clip: Clip, place: random.Random) -> Iterator[Replay]:
    """Of groups of a clip, from a place in it and at a quality that are chosen at random."""
    info, units = groups_of(clip, GROUPS, McConfig().group, place)
    model = Mc(McConfig(), info.height, info.width)
    state = initial_state(model.tensors, 0, Origin.PRIOR, network.PRIOR)
    coder = FrameCoder(model, named_weights(model, state, CPU), load_analyses(network.PRIOR, McConfig()), info, CPU)
    quality, carried = place.randint(*QUALITIES), None
    for frames in units:
        coded = coder.fit(frames, carried, quality, Effort(0, 0), lambda *_: None)
        found = Replay(model, frames, carried, coded, distortion_of(info, CPU), info, CPU, place)
        carried = coded.planes[-1]
        if found.predicted:
            yield found


def gather(clips: Sequence[Clip], rounds: int, seed: int, stop: Interrupt) -> tuple[list[Replay], list[Replay]]:
    """The chains to learn from, and those to judge by. Of several processes each has some of the clips."""
    place = random.Random(f"{seed} {rank()}")
    kept: tuple[list[Replay], list[Replay]] = ([], [])
    number = 0
    for n in range(rounds):
        for clip in clips[rank() :: processes()]:
            if stop.set:
                return kept
            for chain in chains(clip, place):
                kept[number % HELD_BACK == HELD_BACK - 1].append(chain)
                number += 1
            click.echo(f"round {n + 1} of {rounds}: {clip.name}, {sum(map(len, kept))} groups")
    return kept


class ChainTrainer:
    """Moves the layers of the inter network of a prior, in place. rate: learning rate of Adam, in integers a step.

    A group counts by what it is better off, in parts of what it costs.
    """

    def __init__(self, prior: Prior, groups: Sequence[Replay], rate: float = 0.2, seed: int = 0) -> None:
        self.prior, self.done = prior, 0
        self._groups, self._left, self._chance = groups, list[Replay](), random.Random(seed)
        names = [t.name for t in prior.model.tensors]
        chosen = [name for name in names if name.startswith(f"{INTER}.") and not name.endswith(TABLES)]
        prior.requires_grad_(False)
        self._parameters = [prior.values[name.replace(".", "_")].requires_grad_() for name in chosen]
        self._mean = [p.detach().clone() for p in self._parameters]
        rates = [rate / (UNIT if name.endswith(".bias") else FINE) for name in chosen]
        self._optimizer = Optimizer(self._parameters, rates, [False] * len(chosen), betas=BETAS)
        state = initial_state(prior.model.tensors, 0, Origin.PRIOR, network.PRIOR)
        self._tables = {n: w for n, w in named_weights(prior.model, state, CPU).items() if n.endswith(TABLES)}

    def cost(self, group: Replay) -> float:
        """Of the predicted frames of a group, bits."""
        with torch.no_grad():
            return group.play(self._tables | self.prior.weights(INTER))[0]

    def settle(self) -> None:
        """At last: the mean of the weights of the last MEMORY steps or so."""
        with torch.no_grad():
            for p, average in zip(self._parameters, self._mean, strict=True):
                p.copy_(average)
        self.prior.project()

    def step(self, progress: float) -> float:
        """One update; what its group costs. progress: of the whole training, 0 to 1."""
        if not self._left:
            self._left = self._chance.sample(self._groups, len(self._groups))
        group = self._left.pop()
        with torch.no_grad():
            cost, examples = group.play(self._tables | self.prior.weights(INTER))
        for p in self._parameters:
            p.grad = torch.zeros_like(p)
        chosen = self._chance.sample(examples, min(EXCERPTS, len(examples)))
        for excerpt in chosen:
            weights = self._tables | self.prior.weights(INTER)
            _, part = excerpt.coded(group.model, weights, group.distortion, SMOOTH)
            (part * (len(examples) / len(chosen) / cost)).backward()  # type: ignore[no-untyped-call]
        share([p.grad for p in self._parameters if p.grad is not None])
        decay = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))) * (1 - LEAST_RATE) + LEAST_RATE
        self._optimizer.step(decay * min(1.0, (self.done + 1) / WARM))
        for average, p in zip(self._mean, self._parameters, strict=True):
            average.lerp_(p.detach(), 1 / min(self.done + 1, MEMORY))
        self.done += 1
        if self.done % PROJECT_EVERY == 0:
            self.prior.project()
        return cost


def train(trainer: ChainTrainer, judged: Sequence[Replay], seconds: float, every: int, stop: Interrupt) -> bool:
    """For so long; False if it was stopped. A line every so many steps: by how much what is judged costs less, in the
    mean of logarithms."""
    before = [trainer.cost(group) for group in judged]
    began = time.perf_counter()
    while (progress := furthest(STOPPED if stop.set else (time.perf_counter() - began) / seconds)) < 1:
        trainer.step(progress)
        if trainer.done % every == 0:
            tell(f"{100 * progress:5.1f}%  step {trainer.done}  {change(trainer, judged, before):+.4f}")
    trainer.settle()
    tell(f"groups that were held back: {change(trainer, judged, before):+.4f}")
    return progress != STOPPED


def change(trainer: ChainTrainer, judged: Sequence[Replay], before: Sequence[float]) -> float:
    """Mean of the logarithms of costs over those before; 0 of none."""
    return mean([math.log(trainer.cost(group) / cost) for group, cost in zip(judged, before, strict=True)])


def tell(line: str) -> None:
    """Of several processes the first one speaks."""
    if rank() == 0:
        click.echo(line)


@click.command(help=__doc__, context_settings={"max_content_width": 120})
@click.argument("clips", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--minutes", required=True, type=click.FloatRange(0, min_open=True), help="Of training, after coding.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Through all clips.")
@click.option("--threads", type=click.IntRange(1), help="Of the CPU.  [default: all]")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31 - 1))
@click.option("--rate", default=0.2, show_default=True, help="Learning rate, in integers a step.")
@click.option("--every", default=100, show_default=True, type=click.IntRange(1), help="Steps between lines.")
@click.option("--longest", default=640, show_default=True, help="Larger clips are scaled down to this side.")
@click.option("--frames", default=240, show_default=True, type=click.IntRange(1), help="Of a clip, the first ones.")
@click.option("--cache", default=CACHE, show_default=True, type=click.Path(path_type=Path), help="For decoded clips.")
def main(
    clips: tuple[Path, ...], minutes: float, rounds: int, threads: int | None, seed: int, rate: float, every: int,
    longest: int, frames: int, cache: Path,
) -> None:  # fmt: skip
    try:
        if threads:
            torch.set_num_threads(threads)
        begin()
        cv2.setNumThreads(1)
        stop = Interrupt()
        moving = [clip for clip in load_clips(clips, cache, longest, frames) if len(clip.frames) > 1]
        learned, judged = gather(moving, rounds, seed, stop)
        if not learned:
            raise UsageError("no clip has two frames or more, or fewer have than there are processes")
        trainer = ChainTrainer(restore(network.PRIOR, McConfig()), learned, rate, seed)
        if not train(trainer, judged, 60 * minutes, every, stop):
            sys.exit(130)
        if rank() == 0:
            release(trainer.prior, network.PRIOR, INTER)
    except NvcodecError as error:
        raise click.ClickException(str(error)) from None
    finally:
        end()


if __name__ == "__main__":
    main()
