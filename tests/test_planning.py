"""Which frames are encoded together, and how large the network is."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.errors import UsageError
from nvcodec.limits import MAX_GROUP_FRAMES, MAX_GROUP_PIXELS
from nvcodec.planning.groups import chain_ranges, chunk_frames, grouped, is_random_access
from nvcodec.planning.sizing import MAX_WIDTH, BitCosts, Size, expected_bits, largest_width
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
    return Size(100 * width + width * width, width * width)


@given(st.floats(1e3, 1e8), st.integers(1, 60), st.integers(1, 4))
def test_width_is_the_largest_that_fits(bits, groups, least):
    costs = BitCosts()
    width = largest_width(lambda w: expected_bits(network(w), groups, 1, costs) <= bits, least)
    assert least <= width <= MAX_WIDTH
    if width > least:
        assert expected_bits(network(width), groups, 1, costs) <= bits
    if width < MAX_WIDTH:
        assert expected_bits(network(width + 1), groups, 1, costs) > bits


def test_chunks_have_the_seconds_that_are_asked_for():
    assert chunk_frames(5.0, Fraction(24), 320 * 180) == 120
    assert chunk_frames(5.0, Fraction(30000, 1001), 320 * 180) == 150
    assert chunk_frames(0.01, Fraction(24), 320 * 180) == 1
    assert chunk_frames(5.0, Fraction(120), 1920 * 1080) == MAX_GROUP_FRAMES
    assert chunk_frames(5.0, Fraction(60), 3840 * 2160) == MAX_GROUP_PIXELS // (3840 * 2160) == 64
    assert chunk_frames(2.0, None, 100) == 50


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
