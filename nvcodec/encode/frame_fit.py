"""The frames of a group under one network: fitted, coded, and what a decoder will make of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nvcodec.bitstream.frames import CodedFrame, FramesSection, quality_of_depth
from nvcodec.decode.parts import Motions, References, code_prediction
from nvcodec.decode.pictures import Planes, to_picture, to_planes
from nvcodec.encode.qualities import indices_of
from nvcodec.encode.symbols import Writer, stream
from nvcodec.models.base import Weights
from nvcodec.models.hierarchy import CARRIED, Place, coding_order, parts
from nvcodec.models.mc import Mc
from nvcodec.models.motion import Reference
from nvcodec.training.analysis import Analyses
from nvcodec.training.displacement import Flows
from nvcodec.training.distortion import distortion, distortion_rows
from nvcodec.training.frames import Distortion, FrameLatents, FrameSettings, FrameTrainer, Task, Watch, lambda_of
from nvcodec.video import Frame, VideoInfo

FEWER = 0.75  # steps of a frame between two others, over those of the depth before
SPLITS = ((2, 32, 8192), (1, 8, 1536))  # split, from so many frames on, and bytes: each part takes some 8 more
TOGETHER = 1 << 20  # luma samples that are fitted at a time
LEAST_HALVED = 8  # frames from one end of a group to the other, for two halves to be thought of
HALVED_BELOW = 0.98  # what two halves may cost, over what the group does


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
        """Of a group, at most: one of two halves has more."""
        kinds = (False, True) if frames - fresh >= LEAST_HALVED else (False,)
        orders = [coding_order(frames, not fresh, halves) for halves in kinds]
        latents = max(sum(self.steps(place.depth) for place in order) for order in orders)
        return self.network_steps(frames, fresh) + latents


@dataclass(frozen=True, eq=False)
class CodedFrames:
    """The frames of a group as they are coded. planes: what they decode to, in the order of display. bits: by name of
    what is coded. steps: of all frames. mse: of the last ones, in the mean. latents: of each frame."""

    section: FramesSection
    planes: list[Planes]
    bits: dict[str, float]
    steps: int
    mse: float
    latents: dict[int, FrameLatents]


@dataclass(frozen=True, eq=False)
class _CodedFrame:
    """One frame: how it is coded, its symbols, what they say, and what a decoder makes of it."""

    header: CodedFrame
    symbols: Writer
    latents: FrameLatents
    planes: Planes


@dataclass(frozen=True, eq=False)
class _Look:
    """A frame before it is fitted. cost: D / lambda + R."""

    place: Place
    task: Task
    latents: FrameLatents
    cost: float


class FrameCoder:
    """Fits and codes groups of frames of one video under one network."""

    def __init__(self, model: Mc, weights: Weights, analysis: Analyses, info: VideoInfo, device: torch.device) -> None:
        """weights: of networks that `model.check` has passed, by name, on the device. analysis: there, too."""
        self.model, self.weights, self.info, self.device = model, weights, info, device
        self.trainer = FrameTrainer(model, weights, analysis, distortion_of(info, device), info.width * info.height)

    @property
    def seconds_of_steps(self) -> float:
        """That gradients have taken so far."""
        return self.trainer.seconds

    def fit(
        self, frames: Sequence[Frame], carried: Planes | None, quality: int, effort: Effort, watch: Watch
    ) -> CodedFrames:
        """Fit and code a group. carried: the last frame of the group before, None for a random-access group.

        quality: as in encode.qualities. watch: called with the steps done, of all frames.
        """
        group = _Group(self, frames, carried, effort, watch)
        if carried is None:
            group.code(coding_order(1, False), quality_of_depth(*indices_of(quality), 0))
        halves = group.in_halves(quality_of_depth(*indices_of(quality), 1))
        order, (index, offsets) = coding_order(len(frames), carried is not None, halves), indices_of(quality, halves)
        for together in self._batches([p for p in order if p.references]):
            group.code(together, quality_of_depth(index, offsets, together[0].depth))
        in_order = [group.coded[p.frame] for p in order]
        headers = tuple(one.header for one in in_order)
        streams = streams_of([one.symbols for one in in_order], order)
        bits: dict[str, float] = {}
        for one in in_order:
            for name, cost in one.symbols.bits.items():
                bits[name] = bits.get(name, 0.0) + cost
        return CodedFrames(
            FramesSection(index, offsets, headers, streams, halves),
            [group.coded[n].planes for n in range(len(frames))],
            bits,
            group.steps,
            group.errors / len(frames),
            {n: one.latents for n, one in group.coded.items()},
        )

    def _batches(self, order: Sequence[Place]) -> Iterator[Sequence[Place]]:
        """Frames that do not refer to each other, at most TOGETHER samples at a time, by depth; those of depth 1 one
        after the other."""
        most = max(1, TOGETHER // (self.info.width * self.info.height))
        for depth, level in itertools.groupby(sorted(order, key=lambda p: p.depth), key=lambda p: p.depth):
            places = list(level)
            size = 1 if depth == 1 else most
            for start in range(0, len(places), size):
                yield places[start : start + size]

    @torch.no_grad()
    def code(self, latents: FrameLatents, place: Place, task: Task, motions: Motions, quality: int) -> _CodedFrame:
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


class _Group:
    """A group that is being coded. coded: its frames that are, by number. steps: that these took. errors: of their last
    ones, summed."""

    def __init__(
        self, coder: FrameCoder, frames: Sequence[Frame], carried: Planes | None, effort: Effort, watch: Watch
    ) -> None:
        self._coder, self._effort, self._watch = coder, effort, watch
        self._first, self._last = (0 if carried is None else CARRIED), len(frames) - 1
        self.coded: dict[int, _CodedFrame] = {}
        self.errors = 0.0
        self.steps = 0
        self._shown: dict[int, Planes] = {} if carried is None else {CARRIED: carried}
        self._originals = self._shown | {number: frame.planes for number, frame in enumerate(frames)}
        self._references = References(lambda frame: self._picture(self._shown[frame]), coder.info)
        self._looks: dict[Place, _Look] = {}
        self._motions = Motions()
        self._flows = Flows(lambda frame: self._picture(self._originals[frame]))

    def code(self, together: Sequence[Place], quality: int) -> None:
        """Fit and code frames of one depth that do not refer to each other. quality: index."""
        depth, before = together[0].depth, self.steps
        tasks = [self._task(p, [self._references[r] for r in p.references], self._motions) for p in together]
        if depth == 1:
            pairs = zip(together, tasks, strict=True)
            looks = [self._looks.get(p) or self._cheapest(p, task, quality) for p, task in pairs]
            tasks = [replace(look.task, fields=look.latents.fields) for look in looks]
        settings = FrameSettings(self._effort.steps(depth), lambda_of(quality))

        def watched(step: int, mse: float) -> None:
            self._watch(before + step * len(together), mse)

        trainer = self._coder.trainer
        found = trainer.fit(tasks, quality, settings, watched)
        self.steps += settings.steps * len(together)
        self.errors += trainer.mse * len(together)
        for p, latents, task in zip(together, found, tasks, strict=True):
            self.coded[p.frame] = self._coder.code(latents, p, task, self._motions, quality)
            self._shown[p.frame] = self.coded[p.frame].planes

    def in_halves(self, quality: int) -> bool:
        """Whether the group is better off as two halves, by what its last frame and the one in the middle cost before
        they are fitted. quality: index of both. Looks at what is predicted from the first frame are kept for `code`."""
        if self._last - self._first < LEAST_HALVED:
            return False
        middle = (self._first + self._last) // 2
        first = self._references[self._first]
        motions = Motions()
        far = self._look(Place(self._last, (self._first,), 1), [first], quality, motions)
        both = [first, self._shows(far, quality, motions)]
        between = self._look(Place(middle, (self._first, self._last), 2), both, quality, motions)
        near = self._look(Place(middle, (self._first,), 1), [first], quality, motions)
        self._looks = {look.place: look for look in (far, near)}
        onwards = self._look(Place(self._last, (middle,), 1), [self._shows(near, quality, motions)], quality, motions)
        return near.cost + onwards.cost < HALVED_BELOW * (far.cost + between.cost)

    def _look(self, place: Place, references: Sequence[Reference], quality: int, motions: Motions) -> _Look:
        return self._cheapest(place, self._task(place, references, motions), quality)

    def _cheapest(self, place: Place, task: Task, quality: int) -> _Look:
        """A frame as the task says, or, at the end of a group, without what lies before it: there may be a cut
        between."""
        tasks = [task, Task(task.target)] if place.depth == 1 else [task]
        looks = []
        for one in tasks:
            ((latents, cost),) = self._coder.trainer.look([one], quality, lambda_of(quality))
            looks.append(_Look(place, one, latents, cost))
        return min(looks, key=lambda look: look.cost)

    def _shows(self, look: _Look, quality: int, motions: Motions) -> Reference:
        """What others can refer to."""
        return Reference(self._picture(self._coder.code(look.latents, look.place, look.task, motions, quality).planes))

    def _task(self, place: Place, references: Sequence[Reference], motions: Motions) -> Task:
        return Task(
            self._picture(self._originals[place.frame]),
            references,
            motions.guess(place),
            [self._flows.between(place.frame, r) for r in place.references],
            place.depth,
        )

    def _picture(self, planes: Planes) -> Tensor:
        return to_picture(planes, self._coder.info, self._coder.device)


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
