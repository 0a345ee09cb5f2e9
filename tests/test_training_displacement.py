"""Searching for displacements: known motions of a real excerpt, and noise in which there is nothing to find."""

from itertools import islice

import numpy as np
import pytest
import torch
from clip_samples import BUNNY
from torch.nn.functional import pixel_shuffle

from nvcodec.decode.pictures import to_picture
from nvcodec.media.source import open_source
from nvcodec.models.mc import FLOW_BOUND
from nvcodec.models.motion import CELL, Reference, moved, predict
from nvcodec.training import displacement, overlap
from nvcodec.training.displacement import Flows, flow, search
from nvcodec.training.frames import lambda_of
from nvcodec.video import VideoInfo

CPU = torch.device("cpu")
LAM = lambda_of(40)
ROWS, COLUMNS = 5, 6  # of cells
SHIFTS = [(0, 0), (4, -6), (-2, 8), (10, 10)]


@pytest.fixture(scope="module")
def shot():
    with open_source(BUNNY) as source:
        return next(islice(source, 1)).planes


def cropped(planes, row, column, rows=ROWS, columns=COLUMNS):
    """A picture of that many cells from (row, column) on, both even."""
    info = VideoInfo(columns * CELL, rows * CELL)
    parts = [
        np.ascontiguousarray(p[row >> s :, column >> s :][:h, :w])
        for s, p, (h, w) in zip((0, 1, 1), planes, info.plane_shapes, strict=True)
    ]
    return to_picture(tuple(parts), info, CPU)


def noise(seed, rows=ROWS, columns=COLUMNS, most=400):
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(1, 6, rows * CELL // 2, columns * CELL // 2, generator=generator)
    return (most * (2 * unit - 1)).round()


def roughness(field):
    """What neighbours cost beside each other, as the search counts it."""
    return float(sum(torch.log2(1 + field.diff(dim=d).abs()).sum() for d in (2, 3)))


def error(target, references, fields):
    """Of luma, away from the edges."""
    off = predict(references, fields)[:, :4] - target[:, :4]
    return float(off[..., CELL:-CELL, CELL:-CELL].square().mean())


def inner(field):
    """Displacements (x, y) of the cells that are not at the edges."""
    return field[0, :, 1:-1, 1:-1].flatten(1).T.tolist()


@pytest.mark.parametrize(("down", "right"), SHIFTS)
@pytest.mark.parametrize("quality", [0, 40, 80])
def test_a_global_shift_is_found(shot, down, right, quality):
    target, reference = cropped(shot, 60 + down, 120 + right), Reference(cropped(shot, 60, 120))
    (field,) = search(target, [reference], lambda_of(quality))
    assert field.shape == (1, 2, ROWS, COLUMNS)
    assert inner(field) == [[4 * right, 4 * down]] * len(inner(field))
    assert error(target, [reference], [field]) == 0


def test_a_shift_by_parts_of_a_sample_is_found(shot):
    reference = Reference(cropped(shot, 60, 120))
    truth = torch.tensor([7.0, -5.0]).view(1, 2, 1, 1).expand(1, 2, ROWS, COLUMNS)
    (field,) = search(moved([reference], [truth])[0], [reference], LAM)
    assert inner(field) == [[7, -5]] * len(inner(field))


def test_two_parts_that_move_apart(shot):
    left, right = (cropped(shot, row, column) for row, column in ((64, 116), (56, 126)))
    target = left.clone()
    half = COLUMNS * CELL // 4
    target[..., half:] = right[..., half:]
    reference = Reference(cropped(shot, 60, 120))
    (field,) = search(target, [reference], LAM)
    found = field[0, :, 1:-1]
    assert (found[:, :, 1:2].flatten(1).T == torch.tensor([-16, 16])).all()
    assert (found[:, :, 4:5].flatten(1).T == torch.tensor([24, -16])).all()
    still = torch.zeros_like(field)
    assert error(target, [reference], [field]) < 0.2 * error(target, [reference], [still])


def test_two_references(shot):
    """A view that moves on evenly: one field is the other one's mirror, and both together are better than each."""
    generator = torch.Generator().manual_seed(0)
    references = []
    for row, column in ((62, 112), (58, 128)):
        picture = cropped(shot, row, column)
        grain = 40 * torch.randn(picture.shape, generator=generator)
        references.append(Reference((picture + grain).round().clamp(-512, 511)))
    target = cropped(shot, 60, 120)
    fields = search(target, references, LAM)
    for field, truth in zip(fields, ((32, -8), (-32, 8)), strict=True):
        off = (torch.tensor(inner(field)) - torch.tensor(truth)).abs()
        assert float(off.mean()) <= 1.5 and float(off.max()) <= 5
    together = error(target, references, fields)
    for reference, field in zip(references, fields, strict=True):
        assert together < 0.7 * error(target, [reference], [field])


def test_of_two_references_what_both_predict_counts(shot):
    """One of them is of something else: what the other one predicts is made up for as well as it can be."""
    target = cropped(shot, 60, 120)
    references = [Reference(cropped(shot, 62, 112)), Reference(noise(1))]
    fields = search(target, references, LAM)
    alone = [search(target, [reference], LAM)[0] for reference in references]
    assert error(target, references, fields) <= 1.02 * error(target, references, alone)


@pytest.mark.parametrize("references", [1, 2])
@pytest.mark.parametrize("guessed", [False, True])
def test_what_is_found_is_whole_and_in_bounds(references, guessed):
    guess = torch.full((1, 2, ROWS, COLUMNS), 8.0 * FLOW_BOUND + 8000) if guessed else None
    found = search(noise(0), [Reference(noise(n + 1)) for n in range(references)], LAM, guess)
    assert len(found) == references
    for field in found:
        assert field.shape == (1, 2, ROWS, COLUMNS) and field.dtype == torch.float32
        assert torch.equal(field, field.round()) and float(field.abs().max()) <= FLOW_BOUND


def test_in_noise_what_is_smoother_is_preferred():
    """Optical flow follows every grain; what it finds is not worth its bits, the less so the larger lambda is."""
    bits = []
    for seed in range(0, 8, 2):
        target, picture = noise(seed, most=24), noise(seed + 1, most=24)
        start = flow(target, picture)
        found = [search(target, [Reference(picture)], lam)[0] for lam in (1e-9, lambda_of(60))]
        bits.append([roughness(field) for field in (start[None], *found)])
    first, fine, coarse = np.mean(bits, axis=0)
    assert coarse < 0.7 * first and coarse < 0.9 * fine


def test_a_guess_is_a_candidate():
    """Of a motion in noise, which nothing else could find: three cells to the right."""
    target = noise(0)
    reference = Reference(torch.roll(target, 3 * CELL // 2, 3))
    truth = 4.0 * 3 * CELL
    guess = torch.full((1, 2, ROWS, COLUMNS), 8 * truth)
    guess[:, 1] = 0
    found = [search(target, [reference], LAM, g)[0][0, 0, :, : COLUMNS - 3] for g in (None, guess)]
    assert float((found[0] == truth).float().mean()) < 0.5 and bool((found[1] == truth).all())


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 32)])
def test_any_size(size):
    target = noise(0, *size)
    fields = search(target, [Reference(target.roll(1, 3)), Reference(target)], LAM)
    assert [tuple(field.shape) for field in fields] == [(1, 2, *size)] * 2


def test_flow_of_a_still_picture():
    still = noise(0)
    found = flow(still, still)
    assert found.shape == (2, *(n // 8 for n in still.shape[2:])) and not found.any()


def test_flow_over_many_frames(shot):
    """Six samples a frame, seven frames: more than flow finds at once. One of them is looked at twice."""
    asked = []

    def picture(frame):
        asked.append(frame)
        return cropped(shot, 20, 60 + 6 * frame)

    flows = Flows(picture)
    there, back = flows.between(0, 7), flows.between(7, 0)
    for found, direction in ((there, -1), (back, 1)):
        inner = found[:, 1:-1, 1:-1]
        assert torch.equal(inner, inner.round())
        assert (inner[0] - direction * 168).abs().median() <= 8 and inner[1].abs().median() <= 4
    assert sorted(set(asked)) == list(range(8)) and len(asked) == 28
    assert torch.equal(flows.between(0, 7), there) and len(asked) == 28


# Overlapped windows ---------------------------------------------------------------------------------------------------


def searched(target, references, lam, guess):
    """A search, and fields to begin from."""
    at = displacement._Search(target, references, lam)
    fields = [at.improve(number, flow(target, r.picture).round(), guess) for number, r in enumerate(references)]
    return at, fields if len(fields) == 1 else at.improve_both(fields, guess)


def whole_cost(at, target, references, fields, lam, guess):
    """What refining minimises, nearly: errors are not saturated, and those of predictions as they are decoded."""
    off = pixel_shuffle(predict(references, [f[None] for f in fields])[:, :4] - target[:, :4], 2)
    cost = float(off.square().sum()) * displacement.LUMA**2 / lam
    less = [[] if guess is None else [fields[0] - guess] * 2, [sum(fields)] * 2]
    for field, surprises in zip(fields, less, strict=False):
        cost += float(at._price(field[None], field, *([s[None] for s in surprises[:1]] + surprises[1:])).sum())
    return cost


@pytest.mark.parametrize("number, guessed", [(1, False), (1, True), (2, False), (2, True)])
def test_refined_fields_cost_less(shot, number, guessed, monkeypatch):
    monkeypatch.setattr(displacement, "SATURATION", 1e9)
    target = cropped(shot, 40, 100)
    references = [Reference((cropped(shot, 40 + 2 * n, 100 + 4 * n) + noise(n, most=40)).round()) for n in (1, 2)][
        :number
    ]
    guess = torch.full((2, ROWS, COLUMNS), 5.0) if guessed else None
    at, fields = searched(target, references, LAM, guess)
    costs = [whole_cost(at, target, references, fields, LAM, guess)]
    for _ in range(2):
        fields = at.refine(fields, guess)
        assert all(torch.equal(f, f.round()) for f in fields)
        costs.append(whole_cost(at, target, references, fields, LAM, guess))
    assert costs[1] < 0.995 * costs[0] and costs[2] < 1.002 * costs[1]


@pytest.mark.parametrize("number", [1, 2])
def test_windows_are_those_of_the_prediction(shot, number):
    """What a field with one cell changed is said to err is what it errs when decoded, but for roundings."""
    target = cropped(shot, 40, 100)
    references = [Reference(cropped(shot, 40 + 2 * n, 100 + 4 * n)) for n in (1, 2)][:number]
    rng = np.random.default_rng(0)
    fields = rng.integers(-60, 61, (number, 2, ROWS, COLUMNS))
    changed = fields.copy()
    changed[..., 2, 3] = rng.integers(-400, 401, (number, 2))
    side = (32 - np.abs(2 * np.arange(32) - 31)).astype(np.float32)
    luma = pixel_shuffle(target[:, :4], 2)[0, 0].numpy()
    phases = [r.luma.phases[0, :, 0].numpy() for r in references]
    margin, unit = references[0].luma.margin, np.float32(1 / (1024 * number))
    total = np.zeros(luma.shape, np.float32)
    for plane, field in zip(phases, fields, strict=True):
        for r in range(-1, ROWS + 1):
            for c in range(-1, COLUMNS + 1):
                x, y = field[:, min(max(r, 0), ROWS - 1), min(max(c, 0), COLUMNS - 1)]
                if (r, c) != (2, 3):
                    overlap._add(total, plane, margin, r, c, CELL, y, x, side, 1.0)
    base = (total * unit - luma)[24:56, 40:72].copy()
    both = np.concatenate((changed[..., 2, 3], changed[..., 2, 3]))[:2]
    found = overlap._error(
        base, phases[0], phases[-1], margin, 24, 40, 0, 32, 0, 32, both, number, side, unit, *luma.shape
    )
    moved_by = [torch.from_numpy(f[None]).float() for f in changed]
    off = pixel_shuffle(predict(references, moved_by)[:, :4] - target[:, :4], 2)
    assert found == pytest.approx(float(off[0, 0, 24:56, 40:72].square().sum()), rel=0.01)


@pytest.mark.parametrize("guessed", [False, True])
def test_prices_are_those_of_the_search(shot, guessed):
    at = displacement._Search(cropped(shot, 0, 0), [], LAM)
    rng = np.random.default_rng(0)
    fields = rng.integers(-9, 10, (2, 2, ROWS, COLUMNS))
    guess = rng.integers(-9, 10, (2, ROWS, COLUMNS)).astype(np.float32)
    one, two, near = (torch.from_numpy(f).float() for f in (*fields, guess))
    wanted = [at._price(one[None], one, *([one[None] - near, one - near] if guessed else []))]
    wanted.append(at._price(two[None], two, one[None] + two, one + two))
    prices = np.array((displacement.PAIR, displacement.MEAN, displacement.GUESS), np.float32)
    for n in (0, 1):
        for r in range(ROWS):
            for c in range(COLUMNS):
                own = fields[..., r, c].copy()
                found = overlap._price(fields, n, own, r, c, guess, guessed or n == 1, prices, overlap.LOGS)
                assert found == pytest.approx(float(wanted[n][0, r, c]), rel=1e-5)


def test_blocks_on_the_cpu_are_the_same_blocks(shot):
    target = cropped(shot, 40, 100)
    at = displacement._Search(target, [Reference(cropped(shot, 40, 104)), Reference(cropped(shot, 44, 100))], LAM)
    fields = [torch.randint(-500, 500, (7, 2, ROWS, COLUMNS)).float() for _ in range(2)]
    for some, numbers in ((fields, [0, 1]), (fields[:1], [1])):
        torch.testing.assert_close(at._squares_on_cpu(some, numbers), at._squares(some, numbers))
