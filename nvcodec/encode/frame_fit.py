"""The frames of a group under one network: fitted, coded, and what a decoder will make of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nvcodec.bitstream.frames import CodedFrame, FramesSection, quality_of_depth
from nvcodec.decode.frames import Motions, References, code_prediction
from nvcodec.decode.pictures import Planes, to_picture, to_planes
from nvcodec.encode.qualities import indices_of
from nvcodec.encode.symbols import Writer, stream
from nvcodec.models.base import Weights
from nvcodec.models.hierarchy import CARRIED, Place, coding_order, parts
from nvcodec.models.mc import Mc
from nvcodec.training.analysis import Analyses
from nvcodec.training.displacement import Flows
from nvcodec.training.distortion import distortion, distortion_rows
from nvcodec.training.frames import Distortion, FrameLatents, FrameSettings, FrameTrainer, Task, Watch, lambda_of
from nvcodec.video import Frame, VideoInfo

FEWER = 0.75  # steps of a frame between two others, over those of the depth before
SPLITS = ((2, 32, 8192), (1, 8, 1536))  # split, from so many frames on, and bytes: each part takes some 8 more
TOGETHER = 1 << 20  # luma samples that are fitted at a time


@dataclass(frozen=True)
class Effort:
    """Steps of an intra frame, of one that is predicted from one other, and of the network, for a group."""

    first: int
    next: int
    network: int = 0

    def steps(self, depth: int) -> int:
        """Of a frame at a depth of the hierarchy."""
        return self.first if depth == 0 else max(min(self.next, 1), round(self.next * FEWER ** (depth - 1)))

    def network_steps(self, frames: int, fresh: bool) -> int:
        """Of the network for a group: none where all frames are intra."""
        return self.network if frames > fresh else 0

    def total(self, frames: int, fresh: bool) -> int:
        """Of a group."""
        latents = sum(self.steps(place.depth) for place in coding_order(frames, not fresh))
        return self.network_steps(frames, fresh) + latents


@dataclass(frozen=True, eq=False)
class CodedFrames:
    """The frames of a group as they are coded. planes: what they decode to, in the order of display. bits: by name of
    what is coded. mse: of the last steps, in the mean. latents: of each frame."""

    section: FramesSection
    planes: list[Planes]
    bits: dict[str, float]
    mse: float
    latents: dict[int, FrameLatents]


@dataclass(frozen=True, eq=False)
class _CodedFrame:
    """One frame: how it is coded, its symbols, what they say, and what a decoder makes of it."""

    header: CodedFrame
    symbols: Writer
    latents: FrameLatents
    planes: Planes


class FrameCoder:
    """Fits and codes groups of frames of one video under one network."""

    def __init__(self, model: Mc, weights: Weights, analysis: Analyses, info: VideoInfo, device: torch.device) -> None:
        """weights: of networks that `model.check` has passed, by name, on the device. analysis: there, too."""
        self.model, self.weights, self.info, self.device = model, weights, info, device
        self._trainer = FrameTrainer(model, weights, analysis, distortion_of(info, device), info.width * info.height)

    @property
    def seconds_of_steps(self) -> float:
        """That gradients have taken so far."""
        return self._trainer.seconds

    def fit(
        self, frames: Sequence[Frame], carried: Planes | None, quality: int, effort: Effort, watch: Watch
    ) -> CodedFrames:
        """Fit and code a group. carried: the last frame of the group before, None for a random-access group.

        quality: as in encode.qualities. watch: called with the steps done, of all frames.
        """
        order, (index, offsets) = coding_order(len(frames), carried is not None), indices_of(quality)
        coded: dict[int, _CodedFrame] = {}
        shown: dict[int, Planes] = {} if carried is None else {CARRIED: carried}
        references = References(lambda frame: to_picture(shown[frame], self.info, self.device), self.info)
        motions = Motions()
        originals = {CARRIED: carried} if carried is not None else {}
        originals |= {number: frame.planes for number, frame in enumerate(frames)}
        flows = Flows(lambda frame: to_picture(originals[frame], self.info, self.device))
        done, errors = 0, 0.0
        for together in self._batches(order):
            depth = together[0].depth
            own = quality_of_depth(index, offsets, depth)
            settings = FrameSettings(effort.steps(depth), lambda_of(own))
            tasks = [
                Task(
                    to_picture(frames[p.frame].planes, self.info, self.device),
                    [references[r] for r in p.references],
                    motions.guess(p),
                    [flows.between(p.frame, r) for r in p.references],
                    p.depth,
                )
                for p in together
            ]
            if depth == 1 and self._begins_anew(tasks[0], own):
                tasks = [Task(tasks[0].target)]
            before = done

            def watched(step: int, mse: float, before: int = before, count: int = len(together)) -> None:
                watch(before + step * count, mse)

            found = self._trainer.fit(tasks, own, settings, watched)
            done += settings.steps * len(together)
            errors += self._trainer.mse * len(together)
            for p, latents, task in zip(together, found, tasks, strict=True):
                coded[p.frame] = self._code(latents, p, task, motions, own)
                shown[p.frame] = coded[p.frame].planes
        in_order = [coded[p.frame] for p in order]
        headers = tuple(one.header for one in in_order)
        section = FramesSection(index, offsets, headers, streams_of([one.symbols for one in in_order], order))
        bits: dict[str, float] = {}
        for one in in_order:
            for name, cost in one.symbols.bits.items():
                bits[name] = bits.get(name, 0.0) + cost
        planes = [coded[n].planes for n in range(len(frames))]
        kept = {n: one.latents for n, one in coded.items()}
        return CodedFrames(section, planes, bits, errors / len(frames), kept)

    def _batches(self, order: Sequence[Place]) -> Iterator[Sequence[Place]]:
        """Frames that do not refer to each other, at most TOGETHER samples at a time, by depth."""
        most = max(1, TOGETHER // (self.info.width * self.info.height))
        for _, level in itertools.groupby(sorted(order, key=lambda p: p.depth), key=lambda p: p.depth):
            places = list(level)
            for start in range(0, len(places), most):
                yield places[start : start + most]

    def _begins_anew(self, task: Task, quality: int) -> bool:
        """Whether a frame is better off without what lies before it: there is a cut between."""
        lam = lambda_of(quality)
        alone, predicted = (self._trainer.outlook(t, quality, lam) for t in (Task(task.target), task))
        return alone < predicted

    @torch.no_grad()
    def _code(self, latents: FrameLatents, place: Place, task: Task, motions: Motions, quality: int) -> _CodedFrame:
        """What a decoder makes of a frame's latents."""
        intra = not task.references
        network = self.model.network(intra)
        symbols = Writer(latents.by_name(network))
        levels = [level for level in network.levels if bool(latents.latents[level].any())]
        tuning = self.model.tuning(self.weights, intra, quality)
        prediction = None
        if not intra:
            prediction = code_prediction(self.model, self.weights, place, task.references, quality, motions, symbols)
        picture = self.model.picture(self.weights, tuning, prediction, symbols, levels=levels)
        header = CodedFrame(intra, tuple(level in levels for level in network.levels))
        return _CodedFrame(header, symbols, latents, to_planes(picture, self.info))


def streams_of(frames: Sequence[Writer], order: Sequence[Place]) -> tuple[bytes, ...]:
    """The streams of a group, of more than one part where that does not cost much.

    frames: in coding order.
    """
    whole = stream(frames)
    for split, least, size in SPLITS:
        if len(frames) >= least and len(whole) >= size:
            held = parts(order, split)
            return tuple(stream([frames[number] for number in numbers]) for numbers in held)
    return (whole,)


def distortion_of(info: VideoInfo, device: torch.device) -> Distortion:
    """training.distortion of each of N pictures (N, 6, h, w)."""
    rows = torch.tensor([distortion_rows(info)], dtype=torch.float32, device=device)  # (1, 4, 3)
    unit = 4 if info.bit_depth == 8 else 1  # in which pictures are
    height, width = -(-info.height // 2), -(-info.width // 2)

    def of(pictures: Tensor, targets: Tensor) -> Tensor:
        return distortion((pictures - targets)[:, :, :height, :width] / unit, rows)

    return of
