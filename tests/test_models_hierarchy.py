"""The order in which frames are coded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.bitstream.frames import MAX_OFFSETS
from nvcodec.limits import MAX_GROUP_FRAMES
from nvcodec.models.hierarchy import CARRIED, coding_order, parts


@pytest.mark.parametrize(
    "frames, carried, wanted",
    [
        (1, False, [(0, (), 0)]),
        (2, False, [(0, (), 0), (1, (0,), 1)]),
        (5, False, [(0, (), 0), (4, (0,), 1), (2, (0, 4), 2), (1, (0, 2), 3), (3, (2, 4), 3)]),
        (1, True, [(0, (-1,), 1)]),
        (2, True, [(1, (-1,), 1), (0, (-1, 1), 2)]),
        (4, True, [(3, (-1,), 1), (1, (-1, 3), 2), (0, (-1, 1), 3), (2, (1, 3), 3)]),
    ],
)
def test_small_groups(frames, carried, wanted):
    assert [(p.frame, p.references, p.depth) for p in coding_order(frames, carried)] == wanted


@pytest.mark.parametrize(
    "frames, carried, wanted",
    [
        (5, False, [(0, (), 0), (2, (0,), 1), (4, (2,), 1), (1, (0, 2), 3), (3, (2, 4), 3)]),
        (3, False, [(0, (), 0), (1, (0,), 1), (2, (1,), 1)]),
        (2, True, [(0, (-1,), 1), (1, (0,), 1)]),
        (4, True, [(1, (-1,), 1), (3, (1,), 1), (0, (-1, 1), 3), (2, (1, 3), 3)]),
    ],
)
def test_small_groups_of_two_halves(frames, carried, wanted):
    assert [(p.frame, p.references, p.depth) for p in coding_order(frames, carried, True)] == wanted


@given(st.integers(1, 300), st.booleans())
def test_halves_are_groups(frames, carried):
    """Each as if the other were not there, but for the depth of what is between its ends; too short a group is one."""
    whole, order = coding_order(frames, carried), coding_order(frames, carried, True)
    first, last = CARRIED if carried else 0, frames - 1
    if last - first < 2:
        assert order == whole
        return
    middle = (first + last) // 2
    assert sorted(p.frame for p in order) == list(range(frames))
    assert [p for p in order if p.depth == 0] == [p for p in whole if p.depth == 0]
    assert [(p.frame, p.references) for p in order if p.depth == 1] == [(middle, (first,)), (last, (middle,))]
    assert [p for p in order if p.depth > 1] == [p for p in whole if p.depth > 2]


@given(st.integers(1, 300), st.booleans())
def test_every_frame_once_after_those_that_it_refers_to(frames, carried):
    known = {CARRIED: 0} if carried else {}
    for place in coding_order(frames, carried):
        assert place.frame not in known and 0 <= place.frame < frames
        assert len(place.references) == (0 if not known else 1 if len(known) == 1 else 2)
        assert place.depth == 1 + max((known[r] for r in place.references), default=-1)
        if len(place.references) == 2:
            before, after = place.references
            assert before < place.frame < after and -1 <= (after - place.frame) - (place.frame - before) <= 1
        known[place.frame] = place.depth
    assert set(known) == set(range(frames)) | ({CARRIED} if carried else set())


@given(st.integers(1, 300), st.booleans(), st.integers(0, 2), st.booleans())
def test_parts_are_coded_without_each_other(frames, carried, split, halves):
    """Every frame is in one part, after what it refers to, which is in the same part or shared."""
    order = coding_order(frames, carried, halves)
    held = parts(order, split)
    assert sorted(number for part in held for number in part) == list(range(frames)) and len(held) == 1 << split
    shared = {CARRIED, *(place.frame for place in order if place.shared(split))}
    for part in held:
        known = shared if part is not held[0] else {CARRIED} if carried else set()
        for number in part:
            assert set(order[number].references) <= known
            known = known | {order[number].frame}
    if not split:
        assert held == [list(range(frames))]


def test_parts_are_halves_and_quarters():
    order = coding_order(16, True)
    frames = [[[order[number].frame for number in part] for part in parts(order, split)] for split in (1, 2)]
    assert frames[0] == [[15, 7, 3, 1, 0, 2, 5, 4, 6], [11, 9, 8, 10, 13, 12, 14]]
    assert frames[1] == [[15, 7, 3, 11, 1, 0, 2], [5, 4, 6], [9, 8, 10], [13, 12, 14]]


@pytest.mark.parametrize("halves", [False, True])
@pytest.mark.parametrize("carried", [False, True])
def test_offsets_are_enough_for_the_longest_group(carried, halves):
    assert max(place.depth for place in coding_order(MAX_GROUP_FRAMES, carried, halves)) < MAX_OFFSETS
