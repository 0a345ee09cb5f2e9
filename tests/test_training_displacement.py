"""Searching for displacements: known motions of a real excerpt, and noise in which there is nothing to find."""

from itertools import islice

import cv2
import numpy as np
import pytest
import torch
from clip_samples import BUNNY
from torch.nn.functional import pixel_shuffle

from nvcodec.bitstream.registry import Origin
from nvcodec.decode.frames import named_weights
from nvcodec.decode.pictures import to_picture
from nvcodec.decode.state import initial_state
from nvcodec.encode.networks.mc import PRIOR
from nvcodec.encode.symbols import Writer
from nvcodec.media.source import open_source
from nvcodec.models.base import FIELDS
from nvcodec.models.integer import BOUND
from nvcodec.models.mc import FLOW_BOUND, Mc, McConfig
from nvcodec.models.motion import CELL, Reference, midway, moved, predict
from nvcodec.training import displacement, windows
from nvcodec.training.displacement import Flows, flow, search
from nvcodec.training.frames import lambda_of
from nvcodec.training.settling import LOGS, Coding, Prices, price
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


# Settling -----------------------------------------------------------------------------------------------------------


def network_of(rows, columns, quality):
    """The prior's, for pictures of so many cells, of frames in the middle of a group."""
    model = Mc(McConfig(), rows * CELL, columns * CELL)
    state = initial_state(model.tensors, 0, Origin.PRIOR, PRIOR)
    return Coding(model, named_weights(model, state, CPU), 2, quality)


def coded(coding, references, fields, guess):
    """What displacements (1, 2, rows, columns) become where the network leaves no choice, and the bits they take."""
    writer = Writer(dict(zip(FIELDS, fields, strict=False)))
    found = coding.model.displacements(coding.weights, references, coding.depth, coding.quality, writer, guess=guess)
    return found, sum(writer.bits.values())


def zoomed(planes, scale, seed):
    """A frame seen from nearer, with grain of its own."""
    rng = np.random.default_rng(seed)
    parts = []
    for plane in planes:
        middle = np.array(plane.shape[::-1]) / 2
        matrix = np.column_stack((scale * np.eye(2), (1 - scale) * middle))
        part = cv2.warpAffine(plane.astype(np.float32), matrix, plane.shape[::-1], flags=cv2.INTER_CUBIC)
        parts.append((part + rng.normal(0, 2, part.shape)).round().clip(0, 255).astype(np.uint8))
    return parts


@pytest.mark.parametrize("kind", ["as it is", "zoomed"])
@pytest.mark.parametrize("quality", [40, 60])
def test_settled_fields_cost_less(kind, quality):
    """Errors and real bits together, of real motion, and of a zoom, where neighbours all move differently."""
    size = 9, 14
    network = network_of(*size, quality)
    with open_source(BUNNY) as source:
        shots = [frame.planes for frame in islice(source, 9)][::4]
    if kind == "zoomed":
        shots = [zoomed(shots[0], 1 + 0.04 * n, n) for n in range(3)]
    first, target, last = (cropped(planes, 10, 30, *size) for planes in shots)
    references, lam, costs = [Reference(first), Reference(last)], lambda_of(quality), []
    guess = midway(search(last, references[:1], lam, coding=network._replace(depth=1))[0], 1, 2)
    for laws in (None, network):
        fields = search(target, references, lam, guess, coding=laws)
        seen, bits = coded(network, references, fields, guess)
        assert laws is None or all(torch.equal(a, b) for a, b in zip(seen, fields, strict=True))
        off = pixel_shuffle(predict(references, seen)[:, :4] - target[:, :4], 2)
        costs.append(bits + float(off.square().sum()) * displacement.LUMA**2 / lam)
    assert costs[1] < 0.985 * costs[0]


def test_what_the_network_is_sure_of_is_taken(shot):
    """A law without a row leaves no choice: what is settled is what will be decoded."""
    coding = network_of(ROWS, COLUMNS, 0)
    sure = dict(coding.weights)
    sure["flow.out.bias"] = coding.weights["flow.out.bias"].clone()
    sure["flow.out.bias"][2:] = -BOUND
    sure["flow.out.weight"] = torch.zeros_like(coding.weights["flow.out.weight"])
    sure["flow.out.bias"][:2] = 64.0 * 3
    references = [Reference(cropped(shot, 42, 104))]
    (field,) = search(cropped(shot, 40, 100), references, 1e-9, coding=coding._replace(weights=sure))
    (seen,), bits = coded(coding._replace(weights=sure), references, [field], None)
    assert torch.equal(seen, field) and bits == 0 and bool((field >= 3).all())


@pytest.mark.parametrize("number", [1, 2])
def test_windows_are_those_of_the_prediction(shot, number):
    """What a field with one cell changed is said to err is what it errs when decoded, but for roundings."""
    target = cropped(shot, 40, 100)
    references = [Reference(cropped(shot, 40 + 2 * n, 100 + 4 * n)) for n in (1, 2)][:number]
    rng = np.random.default_rng(0)
    fields = rng.integers(-60, 61, (number, 2, ROWS, COLUMNS))
    changed = fields.copy()
    changed[..., 2, 3] = rng.integers(-400, 401, (number, 2))
    luma = pixel_shuffle(target[:, :4], 2)[0, 0].numpy()
    phases = [r.luma.phases[0, :, 0].numpy() for r in references]
    w = windows.windows(luma, phases[0], phases[-1], references[0].luma.margin, fields)
    windows.take_out(w, 2, 3)
    both = np.concatenate((changed[..., 2, 3], changed[..., 2, 3]))[:2]
    found = windows.error(w, 2, 3, both)
    moved_by = [torch.from_numpy(f[None]).float() for f in changed]
    off = pixel_shuffle(predict(references, moved_by)[:, :4] - target[:, :4], 2)
    assert found == pytest.approx(float(off[0, 0, 24:56, 40:72].square().sum()), rel=0.01)
    windows.put_in(w, 2, 3, both)
    np.testing.assert_array_equal(w.fields, changed)


@pytest.mark.parametrize("number", [1, 2])
def test_windows_add_up_to_the_prediction(shot, number):
    """Whichever cells were changed one after the other, those at the edges with what lies beyond."""
    target = cropped(shot, 40, 100)
    references = [Reference(cropped(shot, 40 + 2 * n, 100 + 4 * n)) for n in (1, 2)][:number]
    rng = np.random.default_rng(0)
    luma = pixel_shuffle(target[:, :4], 2)[0, 0].numpy()
    phases = [r.luma.phases[0, :, 0].numpy() for r in references]
    fields = rng.integers(-60, 61, (number, 2, ROWS, COLUMNS))
    w = windows.windows(luma, phases[0], phases[-1], references[0].luma.margin, fields)
    for r, c in ((0, 0), (2, 3), (ROWS - 1, COLUMNS - 1), (0, 3), (2, 3)):
        windows.take_out(w, r, c)
        windows.put_in(w, r, c, rng.integers(-400, 401, (2, 2)))
    wanted = predict(references, [torch.from_numpy(f[None]).float() for f in fields])[:, :4]
    found = torch.from_numpy(w.total[:number].sum(0) / (1024 * number))
    torch.testing.assert_close(found, pixel_shuffle(wanted, 2)[0, 0], atol=1.01, rtol=0)


@pytest.mark.parametrize("guessed", [False, True])
def test_prices_are_those_of_the_search(shot, guessed):
    at = displacement._Search(cropped(shot, 0, 0), [], LAM)
    rng = np.random.default_rng(0)
    fields = rng.integers(-9, 10, (2, 2, ROWS, COLUMNS))
    guess = rng.integers(-9, 10, (2, ROWS, COLUMNS)).astype(np.float32)
    one, two, near = (torch.from_numpy(f).float() for f in (*fields, guess))
    wanted = [at._price(one[None], one, *([one[None] - near, one - near] if guessed else []))]
    wanted.append(at._price(two[None], two, one[None] + two, one + two))
    rates = displacement.PAIR, displacement.MEAN, displacement.GUESS
    prices = Prices(*rates, guess, guessed, LOGS)
    for n in (0, 1):
        for r in range(ROWS):
            for c in range(COLUMNS):
                own = fields[..., r, c].copy()
                found = price(fields, n, own, r, c, prices)
                assert found == pytest.approx(float(wanted[n][0, r, c]), rel=1e-5)


def test_blocks_on_the_cpu_are_the_same_blocks(shot):
    target = cropped(shot, 40, 100)
    at = displacement._Search(target, [Reference(cropped(shot, 40, 104)), Reference(cropped(shot, 44, 100))], LAM)
    fields = [torch.randint(-500, 500, (7, 2, ROWS, COLUMNS)).float() for _ in range(2)]
    for some, numbers in ((fields, [0, 1]), (fields[:1], [1])):
        torch.testing.assert_close(at._squares_on_cpu(some, numbers), at._squares(some, numbers))
