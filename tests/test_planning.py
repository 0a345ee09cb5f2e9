"""Which frames are encoded together, and how large the network is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.errors import UsageError
from nvcodec.planning.groups import chain_ranges, grouped, is_random_access
from nvcodec.planning.sizing import MAX_WIDTH, MIN_WIDTH, BitCosts, Size, expected_bits, solve_width


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
    return Size(100 * width + width * width, width * width)


@given(st.floats(1e3, 1e8), st.integers(1, 60))
def test_width_is_the_largest_that_fits(bits, groups):
    costs = BitCosts()
    width = solve_width(network, bits, groups, 1, costs)
    assert MIN_WIDTH <= width <= MAX_WIDTH
    if width > MIN_WIDTH:
        assert expected_bits(network(width), groups, 1, costs) <= bits
    if width < MAX_WIDTH:
        assert expected_bits(network(width + 1), groups, 1, costs) > bits
