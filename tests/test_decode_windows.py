"""Whole files with windows through the decoder: all of it, random access, recovery."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from bitstream_samples import Pipe, spans
from window_samples import (
    ACCESS,
    FLOATS,
    FRAMES,
    LENGTHS,
    NERV,
    NIRVANA,
    PREVIOUS,
    STARTS,
    WINDOW,
    WINDOW_OF,
    WINDOW_PREVIOUS,
    Grp,
    Win,
    build,
)

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nvcodec.bitstream.group_records import Section  # noqa: E402
from nvcodec.bitstream.registry import Origin, SectionKind  # noqa: E402
from nvcodec.decode import decoder as decoding  # noqa: E402
from nvcodec.decode.decoder import Check, Decoder  # noqa: E402
from nvcodec.errors import FeatureError, FormatError, MalformedError, TruncatedError  # noqa: E402
from tools.refdec import decode as reference_decode  # noqa: E402

STEPS, TABLES, SYMBOLS, BLOBS, MASK, _ = SectionKind


@pytest.fixture(autouse=True)
def builtin_coder(monkeypatch):
    monkeypatch.setenv("NVCODEC_CODER", "builtin")


@pytest.fixture(scope="module")
def whole():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NVCODEC_CODER", "builtin")
        return build()


def decoded(data, *range_, pipe=False, recover=False):
    """(decoder, groups)"""
    video = Decoder(Pipe(data) if pipe else io.BytesIO(data), device="cpu", recover=recover)
    return video, list(video.groups(*range_))


def damaged(data, at):
    """One bit wrong in the payload of the chunk at `at`."""
    out = bytearray(data)
    out[at + 16] ^= 1
    return bytes(out)


@pytest.mark.parametrize("pipe", [False, True])
def test_a_whole_file(whole, pipe, monkeypatch):
    calls = count_windows(monkeypatch)
    _, groups = decoded(whole.data, pipe=pipe)
    assert [len(g.frames) for g in groups] == LENGTHS
    assert all(g.check == Check.EXACT for g in groups)
    assert calls == [2, 5, 8]  # once for all groups of a window


def count_windows(monkeypatch):
    """First groups of the windows that are decoded from now on."""
    calls = []
    real = decoding.apply_window
    monkeypatch.setattr(
        decoding, "apply_window", lambda base, record: calls.append(record.first_group) or real(base, record)
    )
    return calls


@pytest.mark.parametrize("models", [(NIRVANA,), (FLOATS,), (NERV,)], ids=["nirvana", "floats", "nerv"])
@pytest.mark.parametrize("origin", [Origin.RANDOM, Origin.ZERO])
def test_models_and_origins(models, origin):
    """The two decoders of this repository have the same integers, floats and, within rounding, pictures."""
    file = build(models=models, origin=origin)
    _, groups = decoded(file.data)
    assert all(g.check == Check.EXACT for g in groups)
    _, *references = reference_decode(file.data)
    assert len(references) == len(groups) == len(file.states)
    for group, reference, state in zip(groups, references, file.states, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(reference.state.integers, state.latents, strict=True))
        bits = [f.view(np.uint32) for f in state.floats]
        assert all(np.array_equal(a, b) for a, b in zip(reference.state.floats, bits, strict=True))
        assert reference.state.steps == list(state.steps)
        for frame, other in zip(group.frames, reference.frames, strict=True):
            assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(frame.planes, other, strict=True))


def test_models_may_change_from_window_to_window():
    layout = (Win(2), Grp(WINDOW), Grp(WINDOW_PREVIOUS), Win(1, 1), Grp(WINDOW, 2, 1, 1), Grp(PREVIOUS, 2, 1, 1))
    _, groups = decoded(build(layout, (NIRVANA, NERV)).data)
    assert [g.check for g in groups] == [Check.EXACT] * 4


@pytest.mark.parametrize("start", range(FRAMES))
def test_random_access(whole, start, monkeypatch):
    calls = count_windows(monkeypatch)
    video, groups = decoded(whole.data, start, start + 2)
    assert all(g.check == Check.EXACT for g in groups)
    assert [f.pts for g in groups for f in g.frames] == list(range(start, min(start + 2, FRAMES)))
    held = max(i for i in range(len(STARTS)) if STARTS[i] <= start)
    access = max(number for number in ACCESS if number <= held)
    assert video.reader.access_point(start) == access
    needed = {WINDOW_OF[n] for n in range(access, groups[-1].record.number + 1) if n in WINDOW_OF}
    assert calls == [(2, 5, 8)[n] for n in sorted(needed)]


def test_random_access_reads_nothing_before_the_window(whole):
    """Neither damage of the first groups nor of windows that end before is met."""
    data = damaged(damaged(whole.data, whole.groups[1]), whole.windows[0])
    _, groups = decoded(data, STARTS[6])
    assert [g.record.number for g in groups] == [6, 7, 8, 9] and all(g.check == Check.EXACT for g in groups)
    with pytest.raises(FormatError, match="WNDW"):
        decoded(damaged(whole.data, whole.windows[0]), STARTS[3])


def test_without_an_index():
    file = build(finish=False)
    with pytest.raises(TruncatedError):
        decoded(file.data, STARTS[5])
    video = Decoder(io.BytesIO(file.data), device="cpu")
    given = []
    with pytest.raises(TruncatedError):
        for group in video.groups(STARTS[6]):
            given.append(group.record.number)
            assert group.check == Check.EXACT
    assert given == [6, 7, 8, 9]


@pytest.mark.parametrize("pipe", [False, True])
def test_groups_before_a_damaged_window_are_given(whole, pipe):
    data = damaged(whole.data, whole.windows[1])
    given = []
    with pytest.raises(FormatError, match="WNDW"):
        for group in Decoder(Pipe(data) if pipe else io.BytesIO(data), device="cpu").groups():
            given.append(group.record.number)
    assert given == [0, 1, 2, 3, 4]


# Recovery -------------------------------------------------------------------------------------------------------------


def left_out(video):
    return [(d.group, str(d).split(": ", 1)[1]) for d in video.damage if d.kind.value == "left out"]


LOST, INHERITS = "the window that it shares is lost", "the group that it inherits from is lost"


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize(
    ("window", "given", "out"),
    [
        (0, [0, 1, 5, 6, 7, 8, 9], [(2, LOST), (3, INHERITS), (4, LOST)]),
        (1, [0, 1, 2, 3, 4, 8, 9], [(5, LOST), (6, INHERITS), (7, INHERITS)]),
        (2, [0, 1, 2, 3, 4, 5, 6, 7, 9], [(8, LOST)]),
    ],
)
def test_the_groups_of_a_lost_window_are_left_out(whole, pipe, window, given, out):
    video, groups = decoded(damaged(whole.data, whole.windows[window]), pipe=pipe, recover=True)
    assert [g.record.number for g in groups] == given and all(g.check == Check.EXACT for g in groups)
    assert left_out(video) == out


def test_a_window_whose_chunk_is_gone(whole):
    (start, end) = next((start, end) for kind, start, end in spans(whole.data) if kind == b"WNDW")
    data = whole.data[:start] + whole.data[end:]
    with pytest.raises(MalformedError):
        decoded(data)
    video, groups = decoded(data, recover=True)
    assert [g.record.number for g in groups] == [0, 1, 5, 6, 7, 8, 9] and left_out(video)[0] == (2, LOST)


def test_a_refused_window(monkeypatch):
    """Whole, but not what the format says: refused once, whichever groups share it."""

    def spoil(number, sections):
        return [s if s.kind != STEPS or number else Section(STEPS, b"") for s in sections]

    file = build(spoil=spoil)
    calls = count_windows(monkeypatch)
    video, groups = decoded(file.data, recover=True)
    assert [g.record.number for g in groups] == [0, 1, 5, 6, 7, 8, 9] and calls == [2, 5, 8]
    (first, why), *others = left_out(video)
    assert first == 2 and why.startswith("window of group 2: ") and others == [(3, INHERITS), (4, LOST)]
    video = Decoder(io.BytesIO(file.data), device="cpu")
    for _ in range(2):  # a second time, with the same words
        with pytest.raises(MalformedError, match="window of group 2"):
            list(video.groups())


def test_a_window_that_needs_what_is_not_known():
    def spoil(number, sections):
        mask = bytes([1, 0b11000000]) if number == 1 else sections[-1].data
        return [*sections[:-1], Section(MASK, mask)]

    file = build(spoil=spoil)
    with pytest.raises(FeatureError, match="mask coding 6"):
        decoded(file.data)
    _, groups = decoded(file.data, recover=True)
    assert [g.record.number for g in groups] == [0, 1, 2, 3, 4, 8, 9]


def test_a_group_that_starts_afresh_from_its_window_needs_no_group_before_it(whole):
    for lost, out in ((2, [(3, INHERITS)]), (3, []), (5, [(6, INHERITS), (7, INHERITS)])):
        video, groups = decoded(damaged(whole.data, whole.groups[lost]), recover=True)
        missing = {lost, *(number for number, _ in out)}
        assert [g.record.number for g in groups] == [n for n in range(len(LENGTHS)) if n not in missing]
        assert left_out(video) == out and all(g.check == Check.EXACT for g in groups)


def test_noise_in_windows_never_does_worse_than_a_format_error():
    """Any section of a window with any bit wrong, checksums right: refused, or decoded to something."""

    def spoiler(kind, bit):
        def spoil(number, sections):
            changed = []
            for s in sections:
                data = bytearray(s.data)
                if s.kind == kind:
                    data[bit // 8 % len(data)] ^= 128 >> bit % 8
                changed.append(Section(s.kind, bytes(data)))
            return changed

        return spoil

    layout = (Win(1), Grp(WINDOW, 1))
    for kind in (STEPS, TABLES, SYMBOLS, MASK):
        for bit in range(0, 400, 37):
            data = build(layout, spoil=spoiler(kind, bit)).data
            try:
                _, (group,) = decoded(data)
                assert len(group.frames) == 1
            except FormatError:
                continue
