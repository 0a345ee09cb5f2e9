"""The search for a rate."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.bench.codecs.base import Scale
from nvcodec.bench.search import TOLERANCE, TRIES, find_quality

CRF = Scale("crf", 0, 51, 0.1)
QP = Scale("qp", 0, 63, 1)


@given(
    st.sampled_from([CRF, QP]),
    st.floats(0.01, 3.0),
    st.floats(0.5, 40.0),
    st.floats(3.0, 12.0),
    st.floats(-0.02, 0.02),
)
def test_the_nearest_quality_is_found(scale, target, most, halving, bend):
    """On curves like those of real encoders, within the tolerance or one step of the scale."""
    tried = []

    def measure(quality):
        assert scale.low <= quality <= scale.high and quality not in tried, "on the scale, and never twice"
        tried.append(quality)
        return most * 2 ** (-quality / halving - bend * quality)

    found = find_quality(scale, target, measure)
    assert len(tried) <= TRIES and found in tried
    fall = 1 / halving + bend
    best = min(max(math.log2(most / target) / fall, scale.low), scale.high)
    reached = most * 2 ** (-found * fall)
    assert abs(found - best) <= scale.step or abs(reached / target - 1) <= TOLERANCE + 1e-9


def test_out_of_reach_gives_the_end_of_the_scale():
    assert find_quality(QP, 1e-9, lambda q: 1.0 + (63 - q)) == 63
    assert find_quality(QP, 1e9, lambda q: 1.0 + (63 - q)) == 0


@pytest.mark.parametrize("target", [0.05, 0.3, 1.1])
def test_plateaus_and_bumps_end(target):
    """Encoders are not monotone: the search ends all the same, with the best that it saw."""
    seen = {}

    def measure(quality):
        seen[quality] = 2 ** (-(quality // 4) / 1.5) * (1.1 if quality % 3 else 0.95)
        return seen[quality]

    found = find_quality(QP, target, measure)
    assert abs(math.log(seen[found] / target)) == min(abs(math.log(v / target)) for v in seen.values())
