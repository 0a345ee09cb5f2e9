"""Prediction by moved references, against its definition written out in plain integers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mc_samples import come_through, planes_at_random

from nvcodec.models import motion
from nvcodec.models.motion import CELL, HIGH, LOW, TAPS, Quarters, Reference, followed, midway, moved, predict


def sample(plane, y, x):
    """A sample of a plane with edges repeated without end."""
    return int(plane[min(max(y, 0), plane.shape[0] - 1), min(max(x, 0), plane.shape[1] - 1)])


def quarter(plane, y, x):
    """Q of a plane at any place, in quarters."""
    (a, m), (b, n) = divmod(int(y), 4), divmod(int(x), 4)
    total = sum(TAPS[m][i] * TAPS[n][j] * sample(plane, a + i - 3, b + j - 3) for i in range(8) for j in range(8))
    return min(max((total + 2048) // 4096, LOW), HIGH)


def by_the_book(plane, e, k, i, j):
    """One sample of a plane of cells of k x k samples, displaced by e (2, R, C)."""
    _, rows, columns = e.shape
    (a, u), (b, v) = divmod(2 * i - k + 1, 2 * k), divmod(2 * j - k + 1, 2 * k)
    total = 2 * k * k
    for r, down in ((a, 2 * k - u), (a + 1, u)):
        for s, right in ((b, 2 * k - v), (b + 1, v)):
            x, y = e[:, min(max(r, 0), rows - 1), min(max(s, 0), columns - 1)]
            total += down * right * quarter(plane, 4 * i + y, 4 * j + x)
    return total // (4 * k * k)


def tensor(values):
    return torch.from_numpy(np.ascontiguousarray(values)).float()


def luma_of(picture):
    """(h, w) of a picture (6, h / 2, w / 2)."""
    out = np.zeros((2 * picture.shape[1], 2 * picture.shape[2]), np.int64)
    for channel in range(4):
        out[channel // 2 :: 2, channel % 2 :: 2] = picture[channel]
    return out


def some_places(height, width, count, seed):
    """Corners, what is around the middle of edges and cells, and others at random."""
    rng = np.random.default_rng(seed)
    rows, columns = (sorted({i % n for i in (0, 1, 7, 8, -1, -8, -9)}) for n in (height, width))
    return [(i, j) for i in rows for j in columns] + [
        (int(rng.integers(height)), int(rng.integers(width))) for _ in range(count)
    ]


# Quarter samples ------------------------------------------------------------------------------------------------------


def test_every_set_of_taps_keeps_the_mean():
    assert all(sum(taps) == 64 for taps in TAPS) and max(sum(map(abs, taps)) for taps in TAPS) == 112


@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (2, 12)])
@pytest.mark.parametrize("size", [1, 3])
def test_windows_are_interpolated_samples_wherever_they_are(shape, size):
    """From within, over the edges, to so far off that everything is repeated."""
    height, width = shape
    planes = planes_at_random(2, height, width)
    quarters = Quarters.of(tensor(planes), size)
    near = [np.arange(-4 * (size + 6), 4 * (n + 8)) for n in shape]
    far = np.array([-(2**20), -5001, -4095, 4095, 5002, 2**20])
    rows, columns = (np.concatenate([part, far]) for part in near)
    some = np.random.default_rng(1).permutation(len(rows) * len(columns))[:600]
    y, x = rows[some // len(columns)], columns[some % len(columns)]
    found = quarters.windows(torch.from_numpy(y).view(1, -1, 1), torch.from_numpy(x).view(1, -1, 1), size)
    assert found.shape == (1, 600, 1, 2, size, size)
    for n in range(600):
        i, j = n % size, n // 7 % size
        for channel in range(2):
            assert found[0, n, 0, channel, i, j] == quarter(planes[0, channel], y[n] + 4 * i, x[n] + 4 * j)


def test_windows_of_whole_samples_are_the_plane():
    planes = planes_at_random(3, 9, 6)
    for size in (1, 4):
        at = [4 * torch.arange(n - size + 1) for n in (9, 6)]
        rows, columns = torch.meshgrid(*at, indexing="ij")
        found = Quarters.of(tensor(planes), 4).windows(rows[None], columns[None], size).numpy()[0]
        for (i, j), window in ((place, found[place]) for place in np.ndindex(found.shape[:2])):
            assert np.array_equal(window, planes[0, :, i : i + size, j : j + size])


def test_windows_of_several_planes():
    """Of each its own."""
    planes = planes_at_random(4, 8, 8).reshape(2, 2, 8, 8)
    rng = np.random.default_rng(5)
    rows, columns = (torch.from_numpy(rng.integers(-60, 80, (2, 3, 2))) for _ in "yx")
    both = Quarters.of(tensor(planes), 5).windows(rows, columns, 5)
    for n in range(2):
        one = Quarters.of(tensor(planes[n : n + 1]), 5).windows(rows[n : n + 1], columns[n : n + 1], 5)
        assert torch.equal(both[n : n + 1], one)


# Moved references -----------------------------------------------------------------------------------------------------

FIELDS = {
    "small": lambda rng, shape: rng.integers(-30, 31, shape),
    "far": lambda rng, shape: rng.integers(-500, 501, shape),
    "alike": lambda rng, shape: np.where(rng.random(shape) < 0.2, rng.integers(-9, 10, shape), 5),
    "beyond": lambda rng, shape: rng.choice([-4095, -4094, -777, 0, 3, 1001, 4093, 4095], shape),
}


@pytest.fixture(params=["by_blocks", "by_phases"])
def way(request, monkeypatch):
    """Both ways to move a reference, that of the CPU and that of other devices."""
    monkeypatch.setattr(motion, "by_blocks", getattr(motion, request.param))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", FIELDS)
@pytest.mark.parametrize("cells", [(3, 4), (1, 1), (1, 3), (2, 7)])
def test_overlapped_blocks(kind, cells):
    height, width = CELL * cells[0], CELL * cells[1]
    picture = planes_at_random(6, height // 2, width // 2, 1)
    field = FIELDS[kind](np.random.default_rng(2), (1, 2, *cells))
    found = moved([Reference(tensor(picture))], [tensor(field)])[0].numpy()[0]
    luma = luma_of(found)
    for i, j in some_places(height, width, 60, 3):
        assert luma[i, j] == by_the_book(luma_of(picture[0]), field[0], CELL, i, j)
    for i, j in some_places(height // 2, width // 2, 30, 4):
        for channel in (4, 5):
            half = (field[0] + 1) // 2
            assert found[channel, i, j] == by_the_book(picture[0, channel], half, CELL // 2, i, j)


@pytest.mark.usefixtures("way")
def test_extreme_samples_are_exact():
    """The greatest sums: samples at the ends of the range, in the pattern that the filters have."""
    rng = np.random.default_rng(0)
    picture = np.where(rng.random((1, 6, 16, 16)) < 0.5, LOW, HIGH)
    field = rng.integers(-40, 41, (1, 2, 2, 2))
    found = moved([Reference(tensor(picture))], [tensor(field)])[0].numpy()[0]
    luma = luma_of(found)
    plane = luma_of(picture[0])
    assert all(luma[i, j] == by_the_book(plane, field[0], CELL, i, j) for i, j in some_places(32, 32, 50, 1))
    flat = np.full((1, 6, 16, 16), HIGH)
    for value in (LOW, HIGH):
        flat[:] = value
        assert bool((moved([Reference(tensor(flat))], [tensor(field)])[0] == value).all())


def test_a_field_of_whole_samples_shifts():
    picture = planes_at_random(6, 16, 24, 1)
    field = np.broadcast_to(np.array([-16, 24]).reshape(1, 2, 1, 1), (1, 2, 2, 3))  # 4 to the left, 6 down
    found = moved([Reference(tensor(picture))], [tensor(field)])[0].numpy()[0]
    assert np.array_equal(luma_of(found)[:-6, 4:], luma_of(picture[0])[6:, :-4])
    assert np.array_equal(found[4:, :-3, 2:], picture[0, 4:, 3:, :-2])
    still = moved([Reference(tensor(picture))], [torch.zeros(1, 2, 2, 3)])[0]
    assert torch.equal(still, tensor(picture))


@pytest.mark.parametrize("cell", [CELL, CELL // 2])
def test_motion_in_double_precision_is_the_same(cell):
    picture, field = planes_at_random(6, 24, 16), np.random.default_rng(0).integers(-4095, 4096, (1, 2, 3, 2))
    single, double = (Reference(tensor(picture).to(kind)) for kind in (torch.float32, torch.float64))
    wanted = motion.by_phases(double, torch.from_numpy(field), cell)
    for way in (motion.by_blocks, motion.by_phases):
        assert torch.equal(way(single, torch.from_numpy(field), cell).to(wanted.dtype), wanted)


@given(
    st.integers(1, 4), st.integers(1, 7), st.sampled_from([[0], [0, 1], [-7, 4, 4, 4], [-300, -4, 0, 2, 4095]]),
    st.integers(0, 2**32 - 1), st.sampled_from([CELL, CELL // 2]),
)  # fmt: skip
def test_both_ways_agree(rows, columns, values, seed, cell):
    """Where neighbours are displaced alike too, which one of them makes use of."""
    rng = np.random.default_rng(seed)
    reference = Reference(tensor(rng.integers(LOW, HIGH + 1, (1, 6, 8 * rows, 8 * columns))))
    field = torch.from_numpy(rng.choice(values, (1, 2, rows, columns)))
    assert torch.equal(*(way(reference, field, cell) for way in (motion.by_blocks, motion.by_phases)))


@pytest.mark.usefixtures("way")
def test_references_together_are_as_each_alone():
    pictures = [tensor(planes_at_random(6, 16, 24, seed)) for seed in range(3)]
    fields = [tensor(np.random.default_rng(seed).integers(-90, 91, (1, 2, 2, 3))) for seed in range(3)]
    references = [Reference(picture) for picture in pictures]
    wanted = torch.cat([moved([r], [f])[0] for r, f in zip(references, fields, strict=True)])
    assert torch.equal(moved([Reference(torch.cat(pictures))], [torch.cat(fields)])[0], wanted)


def test_predictions():
    pictures = [planes_at_random(6, 16, 16, seed) for seed in (1, 2)]
    fields = [tensor(np.random.default_rng(seed).integers(-90, 91, (1, 2, 2, 2))) for seed in (3, 4)]
    references = [Reference(tensor(p)) for p in pictures]
    a, b = (moved([r], [f])[0].numpy()[0].astype(int) for r, f in zip(references, fields, strict=True))
    one = predict(references[:1], fields[:1]).numpy()[0]
    assert one.shape == (12, 16, 16) and np.array_equal(one[:6], a) and not one[6:].any()
    two = predict(references, fields).numpy()[0]
    assert np.array_equal(two[:6], (a + b + 1) // 2) and np.array_equal(two[6:], (a - b + 1) // 2)
    batch = [Reference(torch.cat([r.picture, r.picture.flip(3)])) for r in references]
    both = predict(batch, [torch.cat([f, -f]) for f in fields])
    assert np.array_equal(both[0].numpy(), two) and both.shape == (2, 12, 16, 16)


# Guesses --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part, whole", [(1, 2), (1, 3), (2, 3), (3, 4), (7, 15), (2047, 4096), (4095, 4096)])
def test_midway(part, whole):
    values = np.concatenate([np.arange(-40, 41), [-4095, -4094, 4093, 4095]])
    found = midway(tensor(values.reshape(1, 1, 5, 17)), part, whole)
    assert found.dtype == torch.float32 and found.shape == (1, 1, 5, 17)
    wanted = [(16 * part * int(v) + whole) // (2 * whole) for v in values]
    assert found.flatten().tolist() == wanted
    assert max(abs(w / 8 - v * part / whole) for w, v in zip(wanted, values, strict=True)) <= 1 / 16


@pytest.mark.parametrize("rows, columns", [(1, 1), (1, 5), (4, 1), (3, 4), (7, 6)])
@pytest.mark.parametrize("part, whole", [(0, 3), (1, 2), (2, 3), (7, 15), (4095, 4096)])
@pytest.mark.parametrize("most", [20, 300, 4095])
@pytest.mark.parametrize("by", ["followed_by_cells", "followed_at_once"])
def test_a_field_is_followed_to_where_it_leads(rows, columns, part, whole, most, by, monkeypatch):
    """Cell by cell, of each of several at once; as on the CPU and as on other devices."""
    monkeypatch.setattr(motion, "followed_by_cells", getattr(motion, by))
    fields = [tensor(np.random.default_rng(n).integers(-most, most + 1, (1, 2, rows, columns))) for n in (0, 1)]
    fields[1][..., 0, 0] = most
    found = followed(torch.cat(fields), part, whole)
    assert found.dtype == torch.float32 and torch.equal(
        found, torch.cat([come_through(f, part, whole) for f in fields])
    )
    assert float(found.max()) <= most and float(found.min()) >= -most
    if part == 0:
        assert torch.equal(found, torch.cat(fields))


def test_what_moves_takes_its_field_with_it():
    """Two cells to the right and one down over the whole way."""
    field = torch.zeros(1, 2, 5, 7)
    field[0, 0], field[0, 1] = 128, 64
    assert torch.equal(followed(field, 1, 2), field)
    field[0, 0, 1, 2] += 1024  # a cell that is none of its own neighbours' way
    found = followed(field, 1, 1)
    assert found[0, 0, 2, 4] == 1152 and int((found[0, 0] != 128).sum()) == 1
