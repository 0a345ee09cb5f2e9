"""States: what windows and groups that share them add up to, and the sections that say so."""

from dataclasses import replace

import numpy as np
import pytest
from window_samples import NONE, PREVIOUS, WINDOW, WINDOW_PREVIOUS, moved, window_record

from nvcodec.bitstream.fields import svarint
from nvcodec.bitstream.group_records import GroupRecord, Section
from nvcodec.bitstream.registry import Origin, SectionKind
from nvcodec.decode.state import apply, apply_window, encode_residuals, encode_window, initial_state
from nvcodec.entropy import codings
from nvcodec.entropy.masks import encode_masks
from nvcodec.errors import MalformedError
from nvcodec.limits import MAX_MAGNITUDE
from nvcodec.models.base import FLOAT32, LATENT, TensorSpec

STEPS, TABLES, SYMBOLS, BLOBS, MASK, _ = SectionKind


@pytest.fixture(autouse=True)
def builtin_coder(monkeypatch):
    monkeypatch.setenv("NVCODEC_CODER", "builtin")


TENSORS = (
    TensorSpec("weight", LATENT, (30, 20), 8, 1.0),
    TensorSpec("bias", LATENT, (30,), 0, 1.0),
    TensorSpec("float", FLOAT32, (4, 3), 0, 1.0),
)
INITIAL = initial_state(TENSORS, 3)
SHARED = [np.random.default_rng(0).random(q.shape) < 0.6 for q in INITIAL.latents]
SHARED[0][7], SHARED[0][:, 3], SHARED[0][9] = True, True, False


def group_record(sections, inheritance, number=0):
    return GroupRecord(number, 0, 0, inheritance, 0, (0,), bytes(8), (0, 0, 0), tuple(sections))


def window_of(seed=1, steps=(-40, -30)):
    latents = moved(INITIAL.latents, seed)
    return latents, encode_window(INITIAL, latents, steps, SHARED)


OTHERS = [~m for m in SHARED]


def test_a_window_holds_the_shared_integers_and_nothing_else():
    latents, encoded = window_of()
    assert [s.kind for s in encoded.sections] == [STEPS, TABLES, SYMBOLS, MASK]
    window = apply_window(INITIAL, window_record(encoded.sections, SHARED))
    assert all(np.array_equal(a, b) for a, b in zip(window.shared, SHARED, strict=True))
    for found, wanted, initial, mask in zip(window.state.latents, latents, INITIAL.latents, SHARED, strict=True):
        assert found.dtype == np.int32 and np.array_equal(found, np.where(mask, wanted, initial))
    assert window.state.steps == (-40, -30)
    assert not any(a.any() for a in window.state.activity) and not any(f.any() for f in window.state.floats)
    assert len(encoded.tensors.bits) == 2


def test_groups_of_a_window_code_the_other_elements():
    """WINDOW, then WINDOW_PREVIOUS twice, the last with classes from what the others changed."""
    window = apply_window(INITIAL, window_record(window_of()[1].sections, SHARED))
    base, inheritance, used = window.state, WINDOW, []
    for number in range(3):
        latents = moved(base.latents, 10 + number, [m & (np.arange(m.size).reshape(m.shape) % 3 == 0) for m in OTHERS])
        floats = [np.full((4, 3), number + 0.5, np.float32)]
        steps = window.state.steps if number < 2 else (-41, -30)
        encoded = encode_residuals(base, latents, steps, floats, inheritance == WINDOW, window.shared)
        kinds = [s.kind for s in encoded.sections]
        assert kinds == ([STEPS] if number == 2 else []) + [TABLES, SYMBOLS, BLOBS]
        state = apply(base, group_record(encoded.sections, inheritance), window.shared)
        assert all(np.array_equal(a, b) for a, b in zip(state.latents, latents, strict=True))
        assert state.steps == steps and np.array_equal(state.floats[0], floats[0])
        for activity, mask in zip(state.activity, SHARED, strict=True):
            assert not activity[mask].any() and activity[~mask].any()
        base, inheritance = state, WINDOW_PREVIOUS
        used += encoded.tensors.codings
    assert codings.CONTEXT in used
    # After the window all elements are coded again.
    latents = moved(base.latents, 20)
    encoded = encode_residuals(base, latents, base.steps, base.floats, False)
    state = apply(base, group_record(encoded.sections, PREVIOUS))
    assert all(np.array_equal(a, b) for a, b in zip(state.latents, latents, strict=True))


def test_a_group_of_a_window_is_smaller_by_what_is_shared():
    latents = moved(INITIAL.latents, 5, most=9)
    alone = encode_residuals(INITIAL, latents, (0, 0), INITIAL.floats, True)
    window = apply_window(INITIAL, window_record(encode_window(INITIAL, latents, (0, 0), SHARED).sections, SHARED))
    others = encode_residuals(window.state, latents, (0, 0), INITIAL.floats, True, SHARED)
    share = sum(int(m.sum()) for m in SHARED) / sum(m.size for m in SHARED)
    assert sum(others.tensors.bits) == pytest.approx((1 - share) * sum(alone.tensors.bits), rel=0.15)


def test_everything_shared_leaves_two_nearly_empty_sections():
    everything = [np.ones(q.shape, np.bool_) for q in INITIAL.latents]
    sections = encode_window(INITIAL, moved(INITIAL.latents, 2), (1, 2), everything).sections
    window = apply_window(INITIAL, window_record(sections, everything))
    encoded = encode_residuals(window.state, window.state.latents, (1, 2), INITIAL.floats, True, everything)
    assert [(s.kind, len(s.data)) for s in encoded.sections[:2]] == [(TABLES, 1), (SYMBOLS, 0)]
    state = apply(window.state, group_record(encoded.sections, WINDOW), everything)
    assert all(np.array_equal(a, b) for a, b in zip(state.latents, window.state.latents, strict=True))


def test_initial_integers_of_the_origin_zero():
    state = initial_state(TENSORS, 3, Origin.ZERO)
    assert [q.shape for q in state.latents] == [(30, 20), (30,)] and not any(q.any() for q in state.latents)
    assert all(q.dtype == np.int32 for q in state.latents) and state.steps == (0, 0)
    assert initial_state(TENSORS, 3, Origin.RANDOM).latents[0].any()


def without(sections, kind):
    return [s for s in sections if s.kind != kind]


@pytest.mark.parametrize("kind", [STEPS, TABLES, SYMBOLS, MASK])
def test_a_window_needs_all_of_its_sections(kind):
    sections = window_of()[1].sections
    with pytest.raises(MalformedError, match=f"window of group 0: the section {kind.name} is missing"):
        apply_window(INITIAL, window_record(without(sections, kind), SHARED))


def test_a_window_has_no_floats():
    sections = [*window_of()[1].sections]
    sections.insert(3, Section(BLOBS, b"\x00" + bytes(48)))
    with pytest.raises(MalformedError, match="window of group 0: section BLOBS has no tensor to fill"):
        apply_window(INITIAL, window_record(sections, SHARED))


@pytest.mark.parametrize("change", [-1, 1])
def test_the_number_of_shared_elements_is_checked(change):
    record = window_record(window_of()[1].sections, SHARED)
    with pytest.raises(MalformedError, match=f"{record.shared} elements are shared where {record.shared + change}"):
        apply_window(INITIAL, replace(record, shared=record.shared + change))


def test_integers_of_a_window_are_bounded():
    zero = initial_state(TENSORS, 3, Origin.ZERO)
    latents = [np.full(q.shape, MAX_MAGNITUDE, np.int32) for q in zero.latents]
    sections = encode_window(zero, latents, (0, 0), SHARED).sections
    assert apply_window(zero, window_record(sections, SHARED)).state.latents[0].max() == MAX_MAGNITUDE
    with pytest.raises(MalformedError, match="window of group 0: a sum of residuals"):
        apply_window(replace(zero, latents=[q + 1 for q in zero.latents]), window_record(sections, SHARED))


def test_steps_of_a_window_are_bounded():
    sections = without(window_of()[1].sections, STEPS)
    for steps, message in ((svarint(257) * 2, "out of"), (svarint(1), "step index"), (svarint(1) * 3, "left over")):
        with pytest.raises(MalformedError, match=message):
            apply_window(INITIAL, window_record([Section(STEPS, steps), *sections], SHARED))


def test_a_group_has_no_mask():
    window = apply_window(INITIAL, window_record(window_of()[1].sections, SHARED))
    mask = Section(MASK, encode_masks(SHARED))
    for base, inheritance, shared in ((window.state, WINDOW, SHARED), (INITIAL, NONE, None)):
        encoded = encode_residuals(base, base.latents, (1, 1), INITIAL.floats, True, shared)
        with pytest.raises(MalformedError, match="section MASK has no tensor to fill"):
            apply(base, group_record([*encoded.sections, mask], inheritance), shared)


def test_a_window_starts_without_contexts():
    """CONTEXT in the group of a window that starts afresh, and in a window itself."""
    tables = bytes([0b00000000, 0b10000000]) + bytes(8)  # K code 0, order 0; CONTEXT
    window = apply_window(INITIAL, window_record(window_of()[1].sections, SHARED))
    encoded = encode_residuals(window.state, window.state.latents, window.state.steps, INITIAL.floats, True, SHARED)
    sections = [Section(TABLES, tables), *encoded.sections[1:]]
    with pytest.raises(MalformedError, match="CONTEXT coding of a tensor that has no context"):
        apply(window.state, group_record(sections, WINDOW), SHARED)
    sections = [s if s.kind != TABLES else Section(TABLES, tables) for s in window_of()[1].sections]
    with pytest.raises(MalformedError, match="CONTEXT coding of a tensor that has no context"):
        apply_window(INITIAL, window_record(sections, SHARED))


def test_only_a_fresh_start_from_nothing_needs_steps():
    window = apply_window(INITIAL, window_record(window_of()[1].sections, SHARED))
    encoded = encode_residuals(window.state, window.state.latents, window.state.steps, INITIAL.floats, True, SHARED)
    assert STEPS not in [s.kind for s in encoded.sections]
    assert apply(window.state, group_record(encoded.sections, WINDOW), SHARED).steps == window.state.steps
    encoded = encode_residuals(INITIAL, INITIAL.latents, INITIAL.steps, INITIAL.floats, True)
    with pytest.raises(MalformedError, match="STEPS is missing"):
        apply(INITIAL, group_record(without(encoded.sections, STEPS), NONE))
