"""The order in which frames are coded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.bitstream.frames import MAX_OFFSETS
from nvcodec.limits import MAX_GROUP_FRAMES
from nvcodec.models.hierarchy import CARRIED, Place, coding_order


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
    assert coding_order(frames, carried) == [Place(*place) for place in wanted]


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


@pytest.mark.parametrize("carried", [False, True])
def test_offsets_are_enough_for_the_longest_group(carried):
    assert max(place.depth for place in coding_order(MAX_GROUP_FRAMES, carried)) < MAX_OFFSETS
