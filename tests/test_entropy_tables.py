"""Probability tables: exact values, invariants, and the fit."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.entropy import tables

PAIRS = [(z, d) for z in range(tables.ZEROS) for d in range(tables.DECAYS)]


def by_the_book(z: int, d: int, k_max: int) -> list[int]:
    """The construction in the module's docstring, in Python integers: frequencies of 0..K and of an escape."""
    total, size, q = 65536, 2 * k_max + 3, (65536, 77936, 92682, 110218)
    w = q[abs(z - 24) % 4] * 2 ** (abs(z - 24) // 4)
    n = (total - size) * (total if z >= 24 else w) // (total + w)
    c = q[-d % 4] // 2 ** -(-d // 4)
    r = n // 2 * 65536
    f = []
    for _ in range(k_max):
        t = r * c // 65536
        f.append(1 + t // 65536)
        r -= t
    f.append(1 + r // 65536)
    return [total - 2 * sum(f), *f]


@pytest.mark.parametrize("k_max", tables.K_CHOICES)
def test_every_table_follows_the_recurrence(k_max):
    z, d = np.array(PAIRS).T
    expected = np.array([by_the_book(*pair, k_max) for pair in PAIRS])
    assert np.array_equal(tables.frequencies(z, d, k_max), expected)
    cdf = tables.cdf_rows(z, d, k_max)
    assert cdf.shape == (len(PAIRS), 2 * k_max + 4) and cdf.dtype == np.int32
    frequencies = np.diff(cdf, axis=1)
    assert (frequencies >= 1).all() and (cdf[:, 0] == 0).all() and (cdf[:, -1] == 65536).all()
    assert np.array_equal(frequencies, frequencies[:, ::-1])
    assert np.array_equal(frequencies[:, k_max + 1 :], expected)


def test_golden_tables():
    """Files that exist depend on these bytes."""
    assert tables.cdf_row(24, 4, 3).tolist() == [0, 2048, 4096, 8192, 16383, 49153, 57344, 61440, 63488, 65536]
    digest = hashlib.sha256()
    for k_max in tables.K_CHOICES:
        digest.update(tables.frequencies(*np.array(PAIRS).T, k_max).astype("<i4").tobytes())
    for tail in range(tables.TAILS):
        digest.update(np.stack(tables.scale_pair(np.arange(tables.SCALES), tail)).astype("<i4").tobytes())
    assert digest.hexdigest() == "adb4e7c408b8e5617a2856fbf769ba0db52e58f13e4eef69f392ce83de906b67"


def test_indices_mean_what_they_say():
    z, d = np.array([(z, d) for z, d in PAIRS if 4 <= z <= 52 and 1 <= d <= 24]).T
    f = tables.frequencies(z, d, 7).astype(float)
    odds = f[:, 0] / (65536 - f[:, 0])
    assert np.abs(np.log2(odds) - (z - 24) / 4).max() < 0.05
    big = f[:, 2] > 200
    assert np.abs(f[big, 2] / f[big, 1] - (1 - 2.0 ** (-d[big] / 4))).max() < 0.01


def test_scale_indices_walk_the_laplace_law():
    s = np.arange(8, 64)
    z, d = tables.scale_pair(s)
    odds = 2.0 ** ((z - 24) / 4)
    ideal = -4 * np.log2(1 - (1 + odds) ** -2.0)
    assert np.abs(d - ideal).max() <= 0.5
    assert np.array_equal(tables.scale_pair(s, 15)[1], np.clip(d + 11, 0, 47))
    assert np.array_equal(tables.scale_pair(s, 0)[1], np.clip(d - 4, 0, 47))


@given(st.lists(st.integers(0, 10**6), min_size=3, max_size=3), st.sampled_from([0, 0, 1, 50, 10**5]))
def test_fit_is_the_cheapest_pair(head, escapes):
    counts = np.array([*head, 0, escapes])  # K = 3
    costs = [float(tables.cost(counts, z, d)) for z, d in PAIRS]
    assert float(tables.cost(counts, *tables.fit(counts))) <= min(costs) * (1 + 1e-12)


def test_bits_are_the_cost_of_a_symbol():
    assert tables.bits(24, 4, 3)[1] == pytest.approx(16 - np.log2(8191))
    assert tables.bits(np.arange(5)[:, None], np.arange(3), 15).shape == (5, 3, 17)
    values = np.array([[0, -1, 1], [9, -2, 0]])
    counts = tables.histogram(values, 3)
    assert counts.tolist() == [2, 2, 1, 0, 1]
    cdf = np.diff(tables.cdf_row(30, 6, 3))
    symbols = np.clip(values, -4, 4) + 4
    assert float(tables.cost(counts, 30, 6)) == pytest.approx((16 - np.log2(cdf[symbols])).sum())


def test_a_fitted_table_is_near_the_entropy():
    values = np.round(np.random.default_rng(1).laplace(0, 1.5, 50000)).astype(int)
    counts = tables.histogram(values, 15)
    share = np.bincount(values - values.min()) / len(values)
    entropy = -(share[share > 0] * np.log2(share[share > 0])).sum()
    assert float(tables.cost(counts, *tables.fit(counts))) / len(values) < entropy * 1.005
