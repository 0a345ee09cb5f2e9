"""What the groups decoded so far add up to: integers, steps and unquantised tensors, and a group's payload <-> those.

Residuals are summed as integers and dequantised once, so a thousand groups later the weights are still those that the
encoder trained. The same functions serve the encoder, which writes with `encode_residuals` and reads its own bytes back
with `apply`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.bitstream.fields import Cursor, svarint
from nvcodec.bitstream.records import GroupRecord, ModelRecord, Section
from nvcodec.bitstream.registry import Inheritance, SectionKind
from nvcodec.entropy import blobs, context
from nvcodec.entropy.tensors import EncodedTensors, IntegerTensor, decode_tensors, encode_tensors
from nvcodec.errors import MalformedError
from nvcodec.limits import MAX_MAGNITUDE
from nvcodec.models import weights
from nvcodec.models.base import LATENT, TensorSpec

Integers = list[NDArray[np.int32]]
Floats = list[NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class State:
    """Everything that a group can inherit. Arrays are never changed in place.

    latents, steps, activity: of the LATENT tensors in wire order: int32 values, step indices, uint8 history of changes.
    floats: of the FLOAT32 tensors in wire order, float32.
    """

    latents: Integers
    steps: tuple[int, ...]
    activity: list[NDArray[np.uint8]]
    floats: Floats

    def weights(self, tensors: Sequence[TensorSpec], device: torch.device) -> list[Tensor]:
        """float32 weights of all tensors, in wire order."""
        latents, floats = iter(zip(self.latents, self.steps, strict=True)), iter(self.floats)
        out = []
        for tensor in tensors:
            if tensor.kind == LATENT:
                out.append(weights.dequantise(*next(latents)).to(device))
            else:
                out.append(torch.from_numpy(next(floats).copy()).to(device))
        return out


def initial_state(tensors: Sequence[TensorSpec], seed: int) -> State:
    """What a group with inheritance NONE starts from: pseudo-random integers, step indices 0, zero floats."""
    latents = weights.initial_latents(tensors, seed)
    floats = [np.zeros(t.shape, np.float32) for t in tensors if t.kind != LATENT]
    return State(latents, (0,) * len(latents), [np.zeros(q.shape, np.uint8) for q in latents], floats)


def check_model(record: ModelRecord, tensors: Sequence[TensorSpec]) -> None:
    """MalformedError unless the tensors that a model record declares are those of its network."""
    declared = [(int(t.kind), tuple(t.shape)) for t in record.tensors]
    if declared != [(t.kind, t.shape) for t in tensors]:
        raise MalformedError(f"model {record.index}: the tensors declared are not those of its configuration")


@dataclass(frozen=True)
class EncodedGroup:
    """The sections of a group and what they cost: entropy-coding details of each LATENT tensor, in wire order."""

    sections: tuple[Section, ...]
    tensors: EncodedTensors


def encode_residuals(base: State, latents: Integers, steps: Sequence[int], floats: Floats, fresh: bool) -> EncodedGroup:
    """The sections that turn `base` into the given values; `fresh` where base is an initial state."""
    residuals = [
        IntegerTensor(q - p, None if fresh else context.classify(a))
        for q, p, a in zip(latents, base.latents, base.activity, strict=True)
    ]
    coded = encode_tensors(residuals)
    sections = []
    if tuple(steps) != base.steps or fresh:
        moves = b"".join(svarint(new - old) for new, old in zip(steps, base.steps, strict=True))
        sections.append(Section(SectionKind.STEPS, moves))
    sections.append(Section(SectionKind.TABLES, coded.tables))
    sections.append(Section(SectionKind.SYMBOLS, coded.symbols))
    if floats:
        sections.append(Section(SectionKind.BLOBS, blobs.pack_floats(floats, None if fresh else base.floats)))
    return EncodedGroup(tuple(sections), coded)


def apply(base: State, group: GroupRecord) -> State:
    """The state after `group`, whose residuals are added to `base`.

    `base` is an initial state where the group's inheritance is NONE. Raises MalformedError where the payload is not
    what the format says.
    """
    fresh = group.inheritance == Inheritance.NONE
    sections = {section.kind: section.data for section in group.sections}
    name = f"group {group.number}"
    steps = _read_steps(sections.pop(SectionKind.STEPS, None), base.steps, fresh, name)
    for kind in (SectionKind.TABLES, SectionKind.SYMBOLS):
        if kind not in sections:
            raise MalformedError(f"{name}: the section {kind.name} is missing")
    contexts = [None if fresh else context.classify(a) for a in base.activity]
    shapes = [q.shape for q in base.latents]
    residuals = decode_tensors(shapes, contexts, sections.pop(SectionKind.TABLES), sections.pop(SectionKind.SYMBOLS))
    latents = [q + r for q, r in zip(base.latents, residuals, strict=True)]
    if any(q.size and max(int(q.max()), -int(q.min())) > MAX_MAGNITUDE for q in latents):
        raise MalformedError(f"{name}: a sum of residuals is over 2^24 - 1 in magnitude")
    activity = [context.update(a, r) for a, r in zip(base.activity, residuals, strict=True)]
    floats = base.floats
    if floats:
        if SectionKind.BLOBS not in sections:
            raise MalformedError(f"{name}: the section BLOBS is missing")
        previous = None if fresh else floats
        floats = blobs.unpack_floats(sections.pop(SectionKind.BLOBS), [f.shape for f in floats], previous)
    if sections:
        raise MalformedError(f"{name}: section {next(iter(sections)).name} has no tensor to fill")
    return State(latents, steps, activity, floats)


def _read_steps(data: bytes | None, base: tuple[int, ...], fresh: bool, name: str) -> tuple[int, ...]:
    """Step indices: differences to the base's; absent where nothing changes, which a fresh start may not say."""
    if data is None:
        if fresh and base:
            raise MalformedError(f"{name}: the section STEPS is missing")
        return base
    cursor = Cursor(data, f"{name}: steps")
    steps = tuple(old + cursor.svarint("step index") for old in base)
    cursor.done()
    if not all(weights.MIN_STEP_INDEX <= step <= weights.MAX_STEP_INDEX for step in steps):
        raise MalformedError(f"{name}: a step index is out of {weights.MIN_STEP_INDEX}..{weights.MAX_STEP_INDEX}")
    return steps
