"""Laplace tables: exact values, invariants, and nearness to the law."""

import hashlib
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.entropy import laplace

ROWS = np.arange(laplace.ROWS)


def by_the_book(scale: int, phase: int) -> list[int]:
    """The construction in the module's docstring, in Python integers: frequencies in the order of symbols."""
    e = light(scale % 48)
    if scale >= 48:
        e = [a - a // 256 + b // 256 for a, b in zip(e, light(min(scale - 48 + 17, 47)), strict=True)]
    k = next((k for k in range(1, 63) if e[8 * k + 4] + e[8 * k + 12] < 2**20), 63)
    edges = [0]
    for r in range(-(k + 1), k + 2):
        distance = 8 * r + 4 - phase
        edges.append(2**32 - e[distance] if distance >= 0 else e[-distance])
    edges.append(2**32)
    size = 2 * k + 4
    out = [1 + (b - a) * (65536 - size) // 2**32 for a, b in zip(edges, edges[1:], strict=False)]
    out[k + 1 if phase <= 4 else k + 2] += 65536 - sum(out)
    return out


def light(scale: int) -> list[int]:
    out = [2**31]
    for _ in range(8 * 63 + 12):
        out.append(out[-1] * laplace._DECAY[scale] // 2**32)
    return out


def law_below(edge: np.ndarray, b: float) -> np.ndarray:
    """Mass of the Laplace law of scale b about 0 below `edge`."""
    half = 0.5 * np.exp(-np.abs(edge) / b)
    return np.where(edge >= 0, 1 - half, half)


def test_decays_are_those_of_the_formula():
    with localcontext() as context:
        context.prec = 60
        for scale, q in enumerate(laplace._DECAY):
            b = Decimal(2) ** (Decimal(scale - 18) / 4)
            exact = 2**32 * (-1 / (8 * b)).exp()
            assert q == int(exact.to_integral_value(ROUND_HALF_EVEN))
    assert len(laplace._DECAY) == laplace.SCALES


def test_every_table_follows_the_construction():
    packed = laplace.packed()
    for row in ROWS.tolist():
        expected = by_the_book(*divmod(row, laplace.PHASES))
        cdf = laplace.cdf(row)
        assert cdf.dtype == np.int32 and np.diff(cdf).tolist() == expected
        assert cdf[0] == 0 and cdf[-1] == 65536 and min(expected) >= 1 and max(expected) <= 65531
        assert packed.frequencies[row].tolist() == expected + [0] * (laplace.WIDTH - len(expected))
        assert packed.starts[row, : len(expected)].tolist() == cdf[:-1].tolist()
        assert len(expected) == 2 * laplace.reach(row) + 4


def test_golden_tables():
    """Files that exist depend on these bytes."""
    assert laplace.cdf(0).tolist() == [0, 1, 2, 65533, 65534, 65535, 65536]
    assert laplace.cdf(8 * 8 + 3).tolist() == [0, 1, 233, 49379, 65478, 65535, 65536]
    narrow = [1] * 9 + [2, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 11, 14, 16, 19, 23, 28, 33, 39, 47, 55]
    heavy = [2, 2, 3, 4, 4, 5, 6, 7, 9, 11, 13, 15, 18, 22, 26, 31, 37, 44, 52, 62]
    assert laplace.reach(ROWS[::8]).tolist() == narrow + [63] * 18 + heavy + [63] * 28
    digest = hashlib.sha256()
    for row in ROWS.tolist():
        digest.update(laplace.cdf(row).astype("<i4").tobytes())
    assert digest.hexdigest() == "45e45d5ae4423ea6f5def7922ef7946139f139b99fdae289dce67481582ad728"


def test_reach_leaves_few_escapes():
    frequencies = laplace.packed().frequencies
    for row in ROWS.tolist():
        k = int(laplace.reach(row))
        escapes = int(frequencies[row, 0] + frequencies[row, 2 * k + 3]) - 2  # without what every symbol has
        assert 1 <= k <= 63 and (k == 63 or escapes <= 16)
    assert (np.diff(laplace.reach(ROWS.reshape(2, -1))) >= 0).all()


@pytest.mark.parametrize("scale", range(2 * laplace.SCALES))
def test_phases_mirror_each_other(scale):
    """About f = 0, r and -r are equal as far as both are in the window; the law at f / 8 mirrors that at 1 - f / 8."""
    rows = [np.diff(laplace.cdf(scale * 8 + phase)) for phase in range(8)]
    k = int(laplace.reach(scale * 8))
    assert np.array_equal(rows[0][1 : 2 * k + 2], rows[0][2 * k + 1 : 0 : -1])
    assert rows[0][0] + 1 >= rows[0][-2:].sum() - 1 >= rows[0][0] - 1
    for phase in (1, 2, 3):
        assert np.array_equal(rows[phase], rows[8 - phase][::-1])
    middle = rows[4].copy()
    middle[k + 1] = middle[k + 2]
    assert np.array_equal(middle, middle[::-1])


@pytest.mark.parametrize("scale", range(2 * laplace.SCALES))
def test_the_nearest_symbol_is_the_most_probable_and_the_rest_falls_off(scale):
    for phase in range(8):
        f = np.diff(laplace.cdf(scale * 8 + phase))[1:-1]
        top = int(laplace.reach(scale * 8)) + (phase > 4)
        assert f[top] == f.max()
        assert (np.diff(f[: top + 1]) >= 0).all() and (np.diff(f[top:]) <= 0).all()


def test_masses_are_those_of_the_law():
    for row in ROWS.tolist():
        scale, phase = divmod(row, 8)
        k = int(laplace.reach(row))
        at, index = np.arange(-k - 1, k + 2) + 0.5 - phase / 8, scale % 48
        edges = law_below(at, 2 ** ((index - 18) / 4))
        if scale >= 48:
            edges = (255 * edges + law_below(at, 2 ** ((min(index + 17, 47) - 18) / 4))) / 256
        mass = np.diff(np.concatenate([[0], edges, [1]]))
        size = 2 * k + 4
        error = np.abs(np.diff(laplace.cdf(row)) - (1 + mass * (65536 - size)))
        nearest = k + 1 + (phase > 4)  # takes what the floors leave
        assert error[nearest] <= size and np.delete(error, nearest).max() < 1.01


@given(st.integers(0, laplace.ROWS - 1), st.integers(-200, 200))
def test_bits_are_those_of_the_cumulative_table(row, r):
    k = int(laplace.reach(row))
    symbol = min(max(r, -(k + 1)), k + 2) + k + 1
    assert int(laplace.symbols(row, r)) == symbol
    cdf = laplace.cdf(row).tolist()
    assert float(laplace.bits(row, r)) == pytest.approx(16 - np.log2(cdf[symbol + 1] - cdf[symbol]))


def test_shapes_broadcast_and_tables_are_read_only():
    assert laplace.bits(ROWS[:, None], np.arange(-70, 70)).shape == (768, 140)
    assert laplace.bits(ROWS[:5].astype(np.uint16), np.arange(5, dtype=np.int32)).dtype == np.float64
    assert laplace.reach(ROWS.reshape(96, 8)).shape == (96, 8)
    for array in (laplace.cdf(3), laplace.packed().frequencies, laplace.packed().starts, laplace.packed().bits):
        with pytest.raises(ValueError):
            array[:] = 0
