"""Which frames are encoded together, and how large the network is."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.errors import UsageError
from nvcodec.planning.groups import chain_ranges, grouped, is_random_access
from nvcodec.planning.sizing import MAX_WIDTH, BitCosts, Census, Size, expected_bits, largest_width
from nvcodec.planning.strides import strides_for


@given(st.integers(0, 50), st.integers(1, 500), st.integers(1, 20), st.integers(1, 17))
def test_chains_cover_the_frames(start, length, chains, group):
    ranges = chain_ranges(start, start + length, chains, group)
    assert [n for r in ranges for n in r] == list(range(start, start + length))
    assert all((r.start - start) % group == 0 and len(r) for r in ranges)
    groups = [-(-len(r) // group) for r in ranges]
    assert len(ranges) == min(chains, sum(groups)) and max(groups) - min(groups) <= 1


def test_no_frames_no_chains():
    with pytest.raises(UsageError):
        chain_ranges(5, 5, 2, 3)


@given(st.lists(st.integers()), st.integers(1, 9))
def test_grouped_keeps_every_frame(frames, size):
    groups = list(grouped(frames, size))
    assert [f for g in groups for f in g] == frames
    assert all(len(g) == size for g in groups[:-1]) and all(groups)


def test_random_access_points():
    assert [n for n in range(9) if is_random_access(n, 4)] == [0, 4, 8]
    assert [n for n in range(9) if is_random_access(n, 0)] == [0]


def network(width):
    return Size(100 * width + width * width, width * width, width * width // 2)


CENSUSES = st.builds(
    Census, st.integers(1, 9), st.integers(0, 60), st.integers(0, 9), st.integers(0, 9), st.integers(0, 3),
    st.floats(0, 1),
)  # fmt: skip


@given(st.floats(1e3, 1e8), CENSUSES, st.integers(1, 4))
def test_width_is_the_largest_that_fits(bits, census, least):
    costs = BitCosts()
    width = largest_width(lambda w: expected_bits(network(w), census, costs) <= bits, least)
    assert least <= width <= MAX_WIDTH
    if width > least:
        assert expected_bits(network(width), census, costs) <= bits
    if width < MAX_WIDTH:
        assert expected_bits(network(width + 1), census, costs) > bits


def test_what_groups_of_each_kind_cost():
    """Of 100 parameters 60 follow the content, and 80 may be shared."""
    size, costs = Size(100, 60, 80), BitCosts(fresh=8.0, moving=3.0, settled=0.5, mask=0.25)
    moving = 60 * 3 + 40 * 0.5
    assert expected_bits(size, Census(2, 3), costs) == 2 * 800 + 3 * moving
    # half of the shareable ones once for the window, with the mask; 60 parameters are left for each group, whatever it
    # is coded against: groups that are trained together are no more alike than others
    window = 40 * 8 + 80 * 0.25
    assert expected_bits(size, Census(0, leaders=3, windows=1, share=0.5), costs) == pytest.approx(3 * 60 * 8 + window)
    chained = expected_bits(size, Census(1, leaders=1, followers=2, windows=1, share=0.5), costs)
    assert chained == pytest.approx(800 + 3 * 60 * 8 + window)
    census = Census(1, 2, 3, 4, 5)
    assert (census.groups, census.random_access) == (10, 4)


@pytest.mark.parametrize(
    ("width", "height", "strides"),
    [(1280, 720, (5, 2, 2, 2, 2)), (1920, 1080, (5, 3, 2, 2, 2)), (3840, 2160, (5, 3, 2, 2, 2, 2)),
     (320, 180, (5, 2, 2)), (160, 90, (5, 2)), (159, 89, (5, 2)), (176, 144, (3, 2, 2)), (1, 1, (1,))],
)  # fmt: skip
def test_strides_follow_the_size(width, height, strides):
    assert strides_for(height, width, 144) == strides


@given(st.integers(1, 4096), st.integers(1, 4096))
def test_every_size_has_strides(width, height):
    strides = strides_for(height, width, 144)
    scale = math.prod(strides)
    assert 1 <= len(strides) <= 6 and scale <= max(width, height)
    assert -(-width // scale) * scale * (-(-height // scale)) * scale <= 2 * width * height
