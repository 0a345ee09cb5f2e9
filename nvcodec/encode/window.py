"""One window: the frames of its groups to a window record and the groups' records, checked by decoding their bytes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nvcodec.bitstream import chunks
from nvcodec.bitstream.group_records import WindowRecord
from nvcodec.bitstream.registry import Inheritance, SectionKind
from nvcodec.decode.state import Masks, State, Window, apply_window, encode_window
from nvcodec.encode.checking import Place
from nvcodec.encode.group import Effort, Encoded, GroupEncoder
from nvcodec.encode.networks.base import Network
from nvcodec.encode.report import WindowReport
from nvcodec.encode.settings import EncodeSettings
from nvcodec.errors import SelfCheckError
from nvcodec.models.base import LATENT
from nvcodec.training.fit import FitResult, Member, Sharing, Target, Trained, Watch, fit
from nvcodec.training.settings import FitSettings
from nvcodec.training.sharing import choose
from nvcodec.training.trainee import Parameters
from nvcodec.video import Frame


@dataclass(frozen=True, eq=False)
class EncodedWindow:
    """A window that is ready to be written. What it costs is in the report of its first group."""

    record: WindowRecord
    groups: list[Encoded]


class WindowEncoder:
    """Encodes the windows of one video: what their groups share is chosen, trained with all of them, and coded once."""

    def __init__(self, groups: GroupEncoder, network: Network, settings: EncodeSettings) -> None:
        self.groups, self.network, self.settings = groups, network, settings

    def encode(
        self,
        frames: Sequence[Sequence[Frame]],
        places: Sequence[Place],
        initial: State,
        start: Parameters,
        settings: FitSettings,
        watch: Watch,
    ) -> EncodedWindow:
        """frames, places: of each group. initial: the initial state of the model; start: where training begins."""
        targets = [self.groups.target(part) for part in frames]
        began = time.perf_counter()
        shared = self._choose(targets, initial, start, settings)
        choosing = time.perf_counter() - began
        follows = [place.inheritance == Inheritance.WINDOW_PREVIOUS for place in places]

        def run(origins: Sequence[Parameters], how: FitSettings) -> FitResult:
            members = [
                Member(origin, initial.latents, target, follow)
                for origin, target, follow in zip(origins, targets, follows, strict=True)
            ]
            sharing = Sharing(shared, initial.latents, in_turn=self.settings.share_training == "turns")
            if self.settings.share_training == "sequential":
                return self._sequential(members, sharing, how, watch)
            return fit(self.groups.model, members, self.groups.mask, how, watch, sharing)

        def measures(result: FitResult) -> list[float]:
            pairs = zip(result.members, frames, strict=True)
            return [self.groups.training_psnr(trained, part, settings) for trained, part in pairs]

        result = self.groups.train(run, lambda result: min(measures(result)), [start] * len(frames), settings)
        record, window, report = self._code(places[0], len(frames), initial, result.members[0], shared, choosing)
        effort = Effort(result.lam, result.iterations, result.seconds / len(frames))
        out: list[Encoded] = []
        for part, place, trained, psnr in zip(frames, places, result.members, measures(result), strict=True):
            base = window.state if place.random_access else out[-1].state
            out.append(self.groups.code(part, place, base, trained, psnr, effort, window.shared))
        out[0] = replace(out[0], report=replace(out[0].report, window=report))
        return EncodedWindow(record, out)

    def _choose(self, targets: Sequence[Target], initial: State, start: Parameters, settings: FitSettings) -> Masks:
        """Which elements are shared."""
        model, mask = self.groups.model, self.groups.mask
        assert self.settings.share is not None
        members = [Member(start, initial.latents, target) for target in targets]
        eligible = [self.network.shares(t) for t in model.tensors if t.kind == LATENT]
        return choose(self.settings.mask, self.settings.share, eligible, model, members, mask, settings)

    def _sequential(self, members: list[Member], sharing: Sharing, settings: FitSettings, watch: Watch) -> FitResult:
        """The first group with all its parameters; then each other one, from there, with what it does not share.

        The way of SRVC, which the paper compares its own with. A group that was trained before goes on from what it
        has.
        """
        model, mask = self.groups.model, self.groups.mask
        parts = [1.0, *[1 - self._shared_part(sharing)] * (len(members) - 1)]

        def train(number: int, start: Parameters, frozen: bool) -> FitResult:
            budget = settings.target_bits
            how = replace(
                settings,
                target_bits=None if budget is None else budget * parts[number] / sum(parts),
                learn_steps=settings.learn_steps and not frozen,
            )
            base = done[-1].members[0].parameters.latents if members[number].follows else members[number].base
            return fit(
                model,
                [replace(members[number], start=start, base=base, follows=False)],
                mask,
                how,
                lambda step, mse, bits: watch((number * settings.iterations + step) // len(members), mse, bits),
                replace(sharing, frozen=True) if frozen else None,
            )

        done: list[FitResult] = []
        done.append(train(0, members[0].start, False))
        first = done[0].members[0].parameters
        for number, member in enumerate(members[1:], 1):
            begun = member.start is not members[0].start
            done.append(train(number, _onward(first, member.start, sharing) if begun else first, True))
        return FitResult(
            members=tuple(result.members[0] for result in done),
            bits=sum(result.bits for result in done),
            shared_bits=0.0,
            lam=done[-1].lam,
            iterations=settings.iterations,
            seconds=sum(result.seconds for result in done),
        )

    def _shared_part(self, sharing: Sharing) -> float:
        total = sum(mask.size for mask in sharing.shared)
        return sum(int(np.count_nonzero(mask)) for mask in sharing.shared) / total

    def _code(
        self, first: Place, groups: int, initial: State, trained: Trained, shared: Masks, choosing: float
    ) -> tuple[WindowRecord, Window, WindowReport]:
        """The window record of what a group of it has of the shared elements, what it decodes to, and its costs."""
        parameters = trained.parameters
        coded = encode_window(initial, parameters.latents, parameters.steps, shared)
        count = sum(int(np.count_nonzero(mask)) for mask in shared)
        record = WindowRecord(first.number, groups, first.model, count, coded.sections)
        window = apply_window(initial, WindowRecord.unpack(record.pack()))
        pairs = zip(window.state.latents, parameters.latents, window.shared, shared, strict=True)
        if any((a != b).any() or (p[b] != q[b]).any() for p, q, a, b in pairs):
            raise SelfCheckError(
                f"window of group {first.number}: the bytes decode to other parameters than were encoded"
            )
        size, mask_bytes = len(record.pack()) + chunks.OVERHEAD, len(record.section(SectionKind.MASK))
        names = self.groups.latent_names()
        report = WindowReport(
            groups=groups,
            shared=count,
            shared_of=sum(t.size for t in self.groups.model.tensors if self.network.shares(t)),
            bytes=size,
            mask_bytes=mask_bytes,
            shared_by_tensor={name: int(np.count_nonzero(mask)) for name, mask in zip(names, shared, strict=True)},
            seconds_choosing=choosing,
        )
        return record, window, report


def _onward(first: Parameters, own: Parameters, sharing: Sharing) -> Parameters:
    """What a group has of its own, and what the first group of its window has of what they share."""
    pairs = zip(sharing.shared, first.latents, own.latents, strict=True)
    latents = [np.where(mask, p, q) for mask, p, q in pairs]
    return Parameters(latents, first.steps, own.floats)
