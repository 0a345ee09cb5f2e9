"""One group of coded frames: frames to a record, checked by decoding its own bytes.

Where an effort says so, the network is fitted to the group first: the frames are coded once without steps of gradients
under the network of the group before, the network is fitted to what came of it (training.adaptation), and the frames
are coded again, under the new one if it saves more bits than what changes costs.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from nvcodec.bitstream.group_records import GroupRecord, Section
from nvcodec.bitstream.records import VideoRecord
from nvcodec.bitstream.registry import SectionKind
from nvcodec.decode.frames import decode_frames, named_weights
from nvcodec.decode.pictures import Planes
from nvcodec.decode.state import EncodedGroup, State, apply_network, encode_network
from nvcodec.encode.checking import Costs, Place, checked, new_record, size_of
from nvcodec.encode.frame_fit import Effort, FrameCoder, distortion_of
from nvcodec.encode.frame_replay import Replay
from nvcodec.encode.report import GroupReport
from nvcodec.errors import SelfCheckError
from nvcodec.models.mc import Mc
from nvcodec.training.adaptation import Adapter
from nvcodec.training.analysis import Analyses
from nvcodec.training.frames import Watch, lambda_of
from nvcodec.video import Frame, VideoInfo

FIRST_LOOK = Effort(0, 0)
REPLAYED = 4  # steps of the network between replays of the group


@dataclass(frozen=True, eq=False)
class After:
    """What a group leaves to the next one: the state of its network, and its last frame as a decoder has it."""

    state: State
    last: Planes


@dataclass(frozen=True, eq=False)
class EncodedFrames:
    """A group that is ready to be written."""

    record: GroupRecord
    after: After
    report: GroupReport


class FrameGroupEncoder:
    """Encodes groups of one video. initial: the state that random-access groups start from."""

    def __init__(
        self,
        model: Mc,
        initial: State,
        analysis: Analyses,
        info: VideoInfo,
        video: VideoRecord,
        device: torch.device,
        seed: int = 0,
    ) -> None:
        self.model, self.info, self.video, self.device = model, info, video, device
        self.seconds_of_steps = self.seconds_of_network = 0.0  # that gradients have taken so far
        self._initial, self._analysis, self._seed = initial, analysis.to(device), seed
        self._distortion = distortion_of(info, device)
        model.check(named_weights(model, initial, torch.device("cpu")))

    def encode(
        self,
        frames: Sequence[Frame],
        place: Place,
        before: After | None,
        quality: int,
        effort: Effort,
        watch: Watch,
        price: float = 1.0,
    ) -> EncodedFrames:
        """Fit, code, decode and compare. before: of the group before, None for a random-access group.

        quality: as in encode.qualities. watch: called with the steps done of `effort.total`. price: of a bit of what
        changes in the network, in bits of these frames: less than 1 where the groups after it will have it, too.
        """
        began = time.perf_counter()
        base, carried = (before.state, before.last) if before else (self._initial, None)
        state, network = base, None
        first = effort.network_steps(len(frames), before is None)
        if first:
            state, network = self._adapted(frames, place, base, carried, quality, first, price, watch)
        coder = self._coder(state)
        coded = coder.fit(frames, carried, quality, effort, lambda done, mse: watch(first + done, mse))
        self.seconds_of_steps += coder.seconds_of_steps
        fitting, began = time.perf_counter() - began, time.perf_counter()
        sections = (*(network.sections if network else ()), Section(SectionKind.FRAMES, coded.section.pack()))
        record = new_record(place, frames, sections)
        costs = Costs(
            psnr_training=None,
            mse=coded.mse,
            bits_per_tensor=coded.bits | self._bits_per_tensor(network),
            lam=lambda_of(quality),
            steps=first + coded.steps,
            seconds_training=fitting,
            seconds_coding=time.perf_counter() - began,
        )
        began = time.perf_counter()
        state, planes = self._decoded(record, base, carried, coded.planes)
        record, report = checked(record, planes, frames, self.video, self.info, self.device, costs, began)
        return EncodedFrames(record, After(state, planes[-1]), report)

    def size(self, frames: Sequence[Frame], place: Place, quality: int) -> int:
        """Bytes of a random-access group whose latents are as analysis and search have them; it is not decoded."""
        coded = self._coder(self._initial).fit(frames, None, quality, FIRST_LOOK, lambda *_: None)
        return size_of(new_record(place, frames, (Section(SectionKind.FRAMES, coded.section.pack()),)), self.video)

    def _coder(self, state: State) -> FrameCoder:
        """That codes under the network of a state."""
        weights = named_weights(self.model, state, self.device)
        return FrameCoder(self.model, weights, self._analysis, self.info, self.device)

    def _adapted(
        self,
        frames: Sequence[Frame],
        place: Place,
        base: State,
        carried: Planes | None,
        quality: int,
        steps: int,
        price: float,
        watch: Watch,
    ) -> tuple[State, EncodedGroup | None]:
        """A network for these frames: a state with its integers, and what it costs; `base` and None where none pays."""
        chance = random.Random(f"{self._seed} {place.number}")
        look = self._coder(base).fit(frames, carried, quality, FIRST_LOOK, lambda *_: None)
        replay = Replay(self.model, frames, carried, look, self._distortion, self.info, self.device, chance)
        began = time.perf_counter()
        adapter = Adapter(self.model, base.latents, self._distortion, self.device, steps, price, chance)
        before, examples = replay.play(adapter.weights())
        if not examples:
            return base, None
        for step in range(steps):
            if step and step % REPLAYED == 0:
                _, examples = replay.play(adapter.weights())
            adapter.step(examples)
            watch(step + 1, look.mse)
        after, _ = replay.play(adapter.weights())
        self.seconds_of_network += time.perf_counter() - began
        state = replace(base, latents=adapter.integers())
        network = encode_network(base, state.latents, carried is None)
        if network is None or before - after < price * 8 * sum(len(section.data) for section in network.sections):
            return base, None
        self.model.check(named_weights(self.model, state, torch.device("cpu")))
        return state, network

    def _bits_per_tensor(self, network: EncodedGroup | None) -> dict[str, float]:
        """Of the tensors that change."""
        if network is None:
            return {}
        pairs = zip(self.model.tensors, network.tensors.bits, strict=True)
        return {t.name: bits for t, bits in pairs if bits}

    def _decoded(
        self, record: GroupRecord, base: State, carried: Planes | None, expected: list[Planes]
    ) -> tuple[State, list[Planes]]:
        """The state after a group, and its frames, from the record's bytes. SelfCheckError where they are not what was
        coded."""
        again = GroupRecord.unpack(record.pack(self.video), self.video)
        state = apply_network(base, again)
        weights = named_weights(self.model, state, self.device)
        payload = again.section(SectionKind.FRAMES)
        planes = decode_frames(self.model, weights, payload, len(expected), carried, self.info)
        pairs = zip(itertools.chain(*planes), itertools.chain(*expected), strict=True)
        if not all(np.array_equal(a, b) for a, b in pairs):
            raise SelfCheckError(f"group {record.number}: the bytes decode to other frames than were encoded")
        return state, planes
