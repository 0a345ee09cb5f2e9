"""What the groups decoded so far add up to: integers, steps and unquantised tensors, and a group's payload <-> those.

Residuals are summed as integers and dequantised once, so a thousand groups later the weights are still those that the
encoder trained. The same functions serve the encoder, which writes with `encode_residuals` and `encode_window` and
reads its own bytes back with `apply` and `apply_window`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.bitstream.fields import Cursor, svarint
from nvcodec.bitstream.group_records import GroupRecord, Section, WindowRecord
from nvcodec.bitstream.records import ModelRecord
from nvcodec.bitstream.registry import Inheritance, Origin, SectionKind
from nvcodec.entropy import blobs, context
from nvcodec.entropy.elements import Classes, Mask
from nvcodec.entropy.masks import decode_masks, encode_masks
from nvcodec.entropy.tensors import EncodedTensors, IntegerTensor, decode_tensors, encode_tensors
from nvcodec.errors import MalformedError
from nvcodec.limits import MAX_MAGNITUDE
from nvcodec.models import priors, weights
from nvcodec.models.base import LATENT, TensorSpec

Integers = list[NDArray[np.int32]]
Floats = list[NDArray[np.float32]]
Masks = list[Mask]


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


@dataclass(frozen=True, eq=False)
class Window:
    """What the groups of a window have in common.

    state: that a group with inheritance WINDOW is added to: the shared integers, initial integers elsewhere. shared:
    True where an element of a LATENT tensor is shared, in wire order; FLOAT32 tensors never are.
    """

    state: State
    shared: Masks


def initial_state(
    tensors: Sequence[TensorSpec], seed: int, origin: Origin = Origin.RANDOM, prior: bytes = b""
) -> State:
    """What a group with inheritance NONE starts from: initial integers, step indices 0, zero floats.

    The integers are pseudo-random with the origin RANDOM, all 0 with ZERO, and those of the prior of that name with
    PRIOR: FeatureError where there is none, MalformedError where it is not one of these tensors.
    """
    if origin == Origin.RANDOM:
        latents = weights.initial_latents(tensors, seed)
    elif origin == Origin.PRIOR:
        latents = priors.load(prior, tensors)
    else:
        latents = [np.zeros(t.shape, np.int32) for t in tensors if t.kind == LATENT]
    floats = [np.zeros(t.shape, np.float32) for t in tensors if t.kind != LATENT]
    return State(latents, (0,) * len(latents), [np.zeros(q.shape, np.uint8) for q in latents], floats)


def check_model(record: ModelRecord, tensors: Sequence[TensorSpec]) -> None:
    """MalformedError unless the tensors that a model record declares are those of its network."""
    declared = [(int(t.kind), tuple(t.shape)) for t in record.tensors]
    if declared != [(t.kind, t.shape) for t in tensors]:
        raise MalformedError(f"model {record.index}: the tensors declared are not those of its configuration")


@dataclass(frozen=True)
class EncodedGroup:
    """The sections of a group or a window and what they cost: entropy-coding details of each LATENT tensor, in wire
    order; of a window without its mask, of a group without its coded frames."""

    sections: tuple[Section, ...]
    tensors: EncodedTensors


def encode_residuals(
    base: State,
    latents: Integers,
    steps: Sequence[int],
    floats: Floats,
    fresh: bool,
    shared: Sequence[Mask] | None = None,
) -> EncodedGroup:
    """The sections that turn `base` into the given values.

    base, shared: as for `apply`; shared elements have to be those of `base`. fresh: inheritance is NONE or WINDOW.
    """
    residuals = [q - p for q, p in zip(latents, base.latents, strict=True)]
    assert not any(r[m].any() for r, m in zip(residuals, shared or (), strict=shared is not None))
    coded = encode_tensors(_tensors(residuals, _contexts(base, fresh), _others(shared, len(residuals))))
    sections = []
    if tuple(steps) != base.steps or (fresh and shared is None):
        sections.append(Section(SectionKind.STEPS, _write_steps(steps, base.steps)))
    sections += _residual_sections(coded)
    if floats:
        sections.append(Section(SectionKind.BLOBS, blobs.pack_floats(floats, None if fresh else base.floats)))
    return EncodedGroup(tuple(sections), coded)


def encode_network(base: State, latents: Integers, fresh: bool) -> EncodedGroup | None:
    """As `encode_residuals`, for a model of coded frames: without steps. None where nothing changes."""
    if all(np.array_equal(q, p) for q, p in zip(latents, base.latents, strict=True)):
        return None
    residuals = [q - p for q, p in zip(latents, base.latents, strict=True)]
    coded = encode_tensors(_tensors(residuals, _contexts(base, fresh), [None] * len(residuals)))
    return EncodedGroup(_residual_sections(coded), coded)


def encode_window(initial: State, latents: Integers, steps: Sequence[int], shared: Sequence[Mask]) -> EncodedGroup:
    """The sections of a window record: the values of `latents` where `shared` is True, which is somewhere."""
    residuals = [np.where(m, q - p, 0) for q, p, m in zip(latents, initial.latents, shared, strict=True)]
    coded = encode_tensors(_tensors(residuals, [None] * len(residuals), shared))
    sections = (
        Section(SectionKind.STEPS, _write_steps(steps, initial.steps)),
        *_residual_sections(coded),
        Section(SectionKind.MASK, encode_masks(shared)),
    )
    return EncodedGroup(sections, coded)


def apply(base: State, group: GroupRecord, shared: Sequence[Mask] | None = None) -> State:
    """The state after `group`, whose residuals are added to `base`.

    base: the initial state with inheritance NONE, the state of the group's window with WINDOW, the state after the
    group before with PREVIOUS and WINDOW_PREVIOUS. shared: the masks of the group's window, given exactly where it is
    in one; shared elements stay as they are. Raises MalformedError where the payload is not what the format says.
    """
    assert group.in_window == (shared is not None)
    fresh = group.random_access
    sections = {section.kind: section.data for section in group.sections}
    name = f"group {group.number}"
    steps = _read_steps(sections, base.steps, group.inheritance == Inheritance.NONE, name)
    residuals = _read_residuals(sections, base, _contexts(base, fresh), _others(shared, len(base.latents)), name)
    latents = _add(base.latents, residuals, name)
    activity = [context.update(a, r) for a, r in zip(base.activity, residuals, strict=True)]
    floats = base.floats
    if floats:
        blob = _take(sections, SectionKind.BLOBS, name)
        floats = blobs.unpack_floats(blob, [f.shape for f in floats], None if fresh else floats)
    _refuse_rest(sections, name)
    return State(latents, steps, activity, floats)


def apply_network(base: State, group: GroupRecord) -> State:
    """`apply` for a model of coded frames: no steps, no floats, and no residuals where nothing changes.

    The latents are then those of `base` itself, the same list. What the section FRAMES holds is not looked at.
    """
    fresh = group.random_access
    sections = {section.kind: section.data for section in group.sections}
    name = f"group {group.number}"
    _take(sections, SectionKind.FRAMES, name)
    latents, residuals = base.latents, [np.zeros_like(q) for q in base.latents]
    if sections:
        residuals = _read_residuals(sections, base, _contexts(base, fresh), [None] * len(residuals), name)
        latents = _add(latents, residuals, name)
    _refuse_rest(sections, name)
    activity = [context.update(a, r) for a, r in zip(base.activity, residuals, strict=True)]
    return State(latents, base.steps, activity, base.floats)


def apply_window(initial: State, record: WindowRecord) -> Window:
    """What the groups of a window start from; `initial` is the initial state of its model.

    Raises MalformedError where the payload is not what the format says.
    """
    sections = {section.kind: section.data for section in record.sections}
    name = f"window of group {record.first_group}"
    shared = decode_masks([q.shape for q in initial.latents], _take(sections, SectionKind.MASK, name))
    count = sum(int(np.count_nonzero(mask)) for mask in shared)
    if count != record.shared:
        raise MalformedError(f"{name}: {count} elements are shared where {record.shared} are due")
    steps = _read_steps(sections, initial.steps, True, name)
    residuals = _read_residuals(sections, initial, [None] * len(shared), shared, name)
    _refuse_rest(sections, name)
    return Window(State(_add(initial.latents, residuals, name), steps, initial.activity, initial.floats), shared)


def _residual_sections(coded: EncodedTensors) -> tuple[Section, ...]:
    return Section(SectionKind.TABLES, coded.tables), Section(SectionKind.SYMBOLS, coded.symbols)


def _tensors(
    residuals: Integers, contexts: Sequence[Classes | None], coded: Sequence[Mask | None]
) -> list[IntegerTensor]:
    return [IntegerTensor(r, c, m) for r, c, m in zip(residuals, contexts, coded, strict=True)]


def _contexts(base: State, fresh: bool) -> list[Classes | None]:
    return [None if fresh else context.classify(a) for a in base.activity]


def _others(shared: Sequence[Mask] | None, count: int) -> list[Mask | None]:
    """Which elements of `count` tensors a group codes: those that are not shared; None for all."""
    return [None] * count if shared is None else [~mask for mask in shared]


def _add(base: Integers, residuals: Integers, name: str) -> Integers:
    latents = [q + r for q, r in zip(base, residuals, strict=True)]
    if any(q.size and max(int(q.max()), -int(q.min())) > MAX_MAGNITUDE for q in latents):
        raise MalformedError(f"{name}: a sum of residuals is over 2^24 - 1 in magnitude")
    return latents


def _take(sections: dict[SectionKind, bytes], kind: SectionKind, name: str) -> bytes:
    if kind not in sections:
        raise MalformedError(f"{name}: the section {kind.name} is missing")
    return sections.pop(kind)


def _refuse_rest(sections: dict[SectionKind, bytes], name: str) -> None:
    if sections:
        raise MalformedError(f"{name}: section {next(iter(sections)).name} has no tensor to fill")


def _read_residuals(
    sections: dict[SectionKind, bytes],
    base: State,
    contexts: Sequence[Classes | None],
    coded: Sequence[Mask | None],
    name: str,
) -> Integers:
    tables, symbols = (_take(sections, kind, name) for kind in (SectionKind.TABLES, SectionKind.SYMBOLS))
    return decode_tensors([q.shape for q in base.latents], contexts, tables, symbols, coded)


def _write_steps(steps: Sequence[int], base: tuple[int, ...]) -> bytes:
    return b"".join(svarint(new - old) for new, old in zip(steps, base, strict=True))


def _read_steps(
    sections: dict[SectionKind, bytes], base: tuple[int, ...], required: bool, name: str
) -> tuple[int, ...]:
    """Step indices: differences to the base's; absent where nothing changes, unless they are required."""
    if SectionKind.STEPS not in sections and not (required and base):
        return base
    cursor = Cursor(_take(sections, SectionKind.STEPS, name), f"{name}: steps")
    steps = tuple(old + cursor.svarint("step index") for old in base)
    cursor.done()
    if not all(weights.MIN_STEP_INDEX <= step <= weights.MAX_STEP_INDEX for step in steps):
        raise MalformedError(f"{name}: a step index is out of {weights.MIN_STEP_INDEX}..{weights.MAX_STEP_INDEX}")
    return steps
