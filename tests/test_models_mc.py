"""The model mc and its motion, against their definitions written out in plain integers."""

import math

import numpy as np
import pytest
import torch
from mc_samples import CONFIG, integers, known, model_of, weights_of

from nvcodec.errors import FeatureError, LimitError, MalformedError
from nvcodec.models.base import LATENT, create, create_frame_model
from nvcodec.models.integer import EXACT, SMOOTH
from nvcodec.models.mc import LEVELS, McConfig, checkerboard, lattice_passes
from nvcodec.models.motion import HIGH, LOW, TAPS, Reference, interpolate, predict

MODEL = model_of(37, 50)
WEIGHTS = weights_of(MODEL, integers(MODEL.tensors))


def at(plane, y, x):
    """A sample of a plane with edges repeated."""
    return int(plane[min(max(y, 0), plane.shape[0] - 1), min(max(x, 0), plane.shape[1] - 1)])


def planes_at_random(channels, height, width, seed=0):
    return np.random.default_rng(seed).integers(LOW, HIGH + 1, (1, channels, height, width))


def interpolated(plane):
    """Q of a plane, by loops."""
    out = np.zeros((4 * plane.shape[0], 4 * plane.shape[1]), np.int64)
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            rows, columns = TAPS[y % 4], TAPS[x % 4]
            total = sum(
                rows[i] * columns[j] * at(plane, y // 4 + i - 3, x // 4 + j - 3) for i in range(8) for j in range(8)
            )
            out[y, x] = min(max((total + 2048) // 4096, LOW), HIGH)
    return out


def test_interpolation():
    planes = planes_at_random(2, 5, 7)
    found = interpolate(torch.from_numpy(planes).float()).numpy()
    assert found.shape == (1, 2, 20, 28)
    for channel in range(2):
        assert np.array_equal(found[0, channel], interpolated(planes[0, channel]))
        assert np.array_equal(found[0, channel, ::4, ::4], planes[0, channel])


def test_every_set_of_taps_keeps_the_mean():
    assert all(sum(taps) == 64 for taps in TAPS) and max(sum(map(abs, taps)) for taps in TAPS) == 112


def moved(picture, field):
    """M of a picture (6, h, w) and a field (2, R, C), by loops."""
    _, half_height, half_width = picture.shape
    height, width, (_, rows, columns) = 2 * half_height, 2 * half_width, field.shape
    luma = np.zeros((height, width), np.int64)
    for channel in range(4):
        luma[channel // 2 :: 2, channel % 2 :: 2] = picture[channel]
    shift = np.zeros((2, height, width), np.int64)
    for i in range(height):
        for j in range(width):
            a, u = divmod(max(2 * i - 15, 0), 32)
            b, v = divmod(max(2 * j - 15, 0), 32)
            below, right = min(a + 1, rows - 1), min(b + 1, columns - 1)
            for c in range(2):
                d = field[c]
                upper = (32 - v) * d[a, b] + v * d[a, right]
                lower = (32 - v) * d[below, b] + v * d[below, right]
                shift[c, i, j] = ((32 - u) * upper + u * lower + 512) // 1024
    half = (shift[:, ::2, ::2] + shift[:, ::2, 1::2] + shift[:, 1::2, ::2] + shift[:, 1::2, 1::2] + 4) // 8

    def take(plane, displacement):
        fine = interpolated(plane)
        return np.array(
            [
                [at(fine, 4 * i + displacement[1, i, j], 4 * j + displacement[0, i, j]) for j in range(plane.shape[1])]
                for i in range(plane.shape[0])
            ]
        )

    shifted = take(luma, shift)
    parts = [shifted[channel // 2 :: 2, channel % 2 :: 2] for channel in range(4)]
    return np.stack([*parts, *(take(picture[c], half) for c in (4, 5))])


def test_a_moved_reference_and_predictions():
    pictures = [planes_at_random(6, 16, 16, seed) for seed in (1, 2)]
    fields = [np.random.default_rng(seed).integers(-90, 91, (1, 2, 2, 2)) for seed in (3, 4)]
    fields[1][0, 0, 0, 0] = 4095
    found = [
        Reference.of(torch.from_numpy(p).float()).moved(torch.from_numpy(f).float(), EXACT).numpy()[0]
        for p, f in zip(pictures, fields, strict=True)
    ]
    wanted = [moved(p[0], f[0]) for p, f in zip(pictures, fields, strict=True)]
    assert np.array_equal(found, wanted)
    references = [Reference.of(torch.from_numpy(p).float()) for p in pictures]
    both = [torch.from_numpy(f).float() for f in fields]
    one = predict(references[:1], both[:1], EXACT).numpy()[0]
    assert np.array_equal(one[:6], wanted[0]) and not one[6:].any()
    two = predict(references, both, EXACT).numpy()[0]
    assert np.array_equal(two[:6], (wanted[0] + wanted[1] + 1) // 2)
    assert np.array_equal(two[6:], (wanted[0] - wanted[1] + 1) // 2)


def test_motion_in_double_precision_is_the_same():
    picture, field = planes_at_random(6, 24, 16), np.random.default_rng(0).integers(-4095, 4096, (1, 2, 3, 2))
    single = Reference.of(torch.from_numpy(picture).float())
    double = Reference(*(part.double() for part in (single.picture, single.luma, single.chroma)))
    found = single.moved(torch.from_numpy(field).float(), EXACT)
    assert torch.equal(double.moved(torch.from_numpy(field).double(), EXACT), found.double())


def coder(values):
    """Gives what is known of each cell, and notes the passes."""
    asked = []

    def code(name, stride, cells, location, scale, step):
        asked.append((name, stride, int(cells.sum()), location, scale))
        return torch.where(cells, values[name][..., ::stride, ::stride].to(location.dtype), 0)

    return code, asked


@pytest.mark.parametrize("inter", [False, True])
@pytest.mark.parametrize("quality", [0, 30, 63])
def test_a_picture_in_double_precision_is_the_same(inter, quality):
    """Every sum is exact: more digits change nothing."""
    values = known(MODEL, np.random.default_rng(1), 9)
    prediction = torch.from_numpy(planes_at_random(12, 8 * MODEL.rows, 8 * MODEL.columns)).float() if inter else None
    found, laws = [], []
    for dtype in (torch.float32, torch.float64):
        weights = {name: w.to(dtype) for name, w in WEIGHTS.items()}
        code, asked = coder(values)
        steps = MODEL.steps(weights, not inter, quality)
        picture = MODEL.picture(weights, steps, prediction if prediction is None else prediction.to(dtype), code)
        found.append(picture.double())
        laws.append([law.double() for *_, location, scale in asked for law in (location, scale)])
    assert torch.equal(*found) and all(torch.equal(a, b) for a, b in zip(*laws, strict=True))
    assert torch.equal(found[0], found[0].round()) and found[0].std() > 1


def test_without_rounding_it_is_nearly_the_same():
    """The smooth arithmetic that training uses."""
    values = known(MODEL, np.random.default_rng(1), 2)
    steps = MODEL.steps(WEIGHTS, True, 10)
    exact, smooth = (MODEL.picture(WEIGHTS, steps, None, coder(values)[0], a) for a in (EXACT, SMOOTH))
    assert 0 < (exact - smooth).abs().max() < 40 and (exact - smooth).abs().mean() < 4


def test_levels_that_are_not_coded_are_levels_of_zeros():
    values = known(MODEL, np.random.default_rng(1))
    steps = MODEL.steps(WEIGHTS, True, 3)
    for levels in ((), (4,), (3, 2), (2,)):
        code, asked = coder(values)
        picture = MODEL.picture(WEIGHTS, steps, None, code, levels=levels)
        assert [name for name, *_ in asked] == [f"latent{level}" for level in LEVELS if level in levels for _ in "ab"]
        zero = {name: v * (int(name[-1]) in levels) for name, v in values.items()}
        assert torch.equal(picture, MODEL.picture(WEIGHTS, steps, None, coder(zero)[0]))


def test_passes_of_a_frame_cover_every_value_once():
    values = known(MODEL, np.random.default_rng(1))
    code, asked = coder(values)
    fields = MODEL.displacements(WEIGHTS, ["flow0", "flow1"], code)
    assert all(torch.equal(f, values[n]) for f, n in zip(fields, ("flow0", "flow1"), strict=True))
    strides = [(name, stride) for name, stride, *_ in asked]
    assert strides == [
        (name, stride)
        for name in ("flow0", "flow1")
        for stride, passes in ((4, 1), (2, 2), (1, 2))
        for _ in range(passes)
    ]  # 3 x 4 cells: one of the lattice of stride 4
    assert sum(n for name, _, n, *_ in asked if name == "flow0") == MODEL.rows * MODEL.columns
    code, asked = coder(values)
    MODEL.picture(WEIGHTS, MODEL.steps(WEIGHTS, True, 0), None, code)
    cells = [n for name, _, n, *_ in asked]
    assert cells == [6, 6, 24, 24, 96, 96]


@pytest.mark.parametrize("rows, columns", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 4), (5, 5)])
@pytest.mark.parametrize("first", [True, False])
def test_lattice_passes(rows, columns, first):
    seen = torch.zeros(rows, columns, dtype=torch.bool)
    if not first:
        seen[::2, ::2] = True
    for before, cells in lattice_passes(rows, columns, first, torch.device("cpu")):
        assert torch.equal(before, seen) and cells.any() and not (cells & seen).any()
        seen |= cells
    assert seen.all()
    assert checkerboard(rows, columns, torch.device("cpu"))[0, 0]


def test_displacements_and_latents_are_bounded():
    code, _ = coder(
        {name: torch.full_like(v, 2.0**24 - 1) for name, v in known(MODEL, np.random.default_rng(1)).items()}
    )
    assert all(field.min() == field.max() == 4095 for field in MODEL.displacements(WEIGHTS, ["flow0", "flow1"], code))
    double = {name: w.double() for name, w in WEIGHTS.items()}
    steps = MODEL.steps(WEIGHTS, True, 63)
    picture = MODEL.picture(WEIGHTS, steps, None, code)
    assert torch.equal(picture.double(), MODEL.picture(double, [s.double() for s in steps], None, code))


# What describes no network --------------------------------------------------------------------------------------------


def test_tensors_of_the_default_configuration():
    tensors = create_frame_model("mc", McConfig().values, 180, 320).tensors
    assert McConfig().values == (16, 32, 24, 24, 16, 12, 8)
    names = [t.name for t in tensors]
    assert len(names) == len(set(names)) and all((t.kind, t.radius) == (LATENT, 0) for t in tensors)
    assert names[:5] == ["intra.start", "intra.steps", "inter.steps", "intra.base4.weight", "intra.base4.bias"]
    assert [t.shape for t in tensors[:5]] == [(32,), (3, 64), (3, 64), (32, 32, 1, 1), (32,)]
    layers = [n.removesuffix(".weight") for n in names if n.endswith(".weight")]
    level = ["base{}", "near{}", "mid{}", "first{}", "second{}", "latent{}"]
    trunk = [*level, "up{}"]
    finer = [*level, "mix{}", "up{}"]
    order = [name.format(n) for n, part in ((4, trunk), (3, finer), (2, finer)) for name in part]
    assert layers == [
        *(f"intra.{name}" for name in [*order, "last", "picture"]),
        *(f"inter.{name}" for name in ["sense2", "sense3", "sense4", *order, "sense1", "last", "picture"]),
        *(f"flow.{name}" for name in ["near", "mid", "out"]),
    ]
    assert sum(math.prod(t.shape) for t in tensors) == sum(t.size for t in tensors)


@pytest.mark.parametrize("place", range(7))
def test_configurations_are_bounded(place):
    most = 4096 if place == 0 else 256
    for value, fine in ((0, False), (1, True), (most, True), (most + 1, False), (2**63, False)):
        values = list(CONFIG.values)
        values[place] = value
        if fine:
            create_frame_model("mc", values, 16, 16)
        else:
            with pytest.raises(MalformedError, match="mc: "):
                create_frame_model("mc", values, 16, 16)


def test_other_errors_of_making_one():
    with pytest.raises(MalformedError, match="configuration values"):
        create_frame_model("mc", CONFIG.values[:-1], 16, 16)
    with pytest.raises(FeatureError, match="no model 'nerv' of coded frames"):
        create_frame_model("nerv", CONFIG.values, 16, 16)
    with pytest.raises(FeatureError, match="no model 'mc'"):
        create("mc", CONFIG.values, 16, 16)
    with pytest.raises(LimitError, match="mc: a layer of"):
        create_frame_model("mc", (16, 4, 256, 4, 4, 4, 4), 2**13, 2**13)
    create_frame_model("mc", McConfig().values, 2**13, 2**13)


@pytest.mark.parametrize("name", [t.name for t in MODEL.tensors if t.name.endswith((".weight", ".bias"))])
def test_every_layer_is_checked(name):
    weights = {**WEIGHTS, name: WEIGHTS[name].clone()}
    weights[name].view(-1)[-1] = 2**24 - 1
    with pytest.raises(MalformedError, match=f"{name.rsplit('.', 1)[0]}: sums of up to"):
        MODEL.check(weights)


@pytest.mark.parametrize("value, fine", [(0, False), (-1, False), (1, True), (4095, True), (4096, False)])
@pytest.mark.parametrize("name", ["intra.steps", "inter.steps"])
def test_every_step_is_checked(name, value, fine):
    weights = {**WEIGHTS, name: WEIGHTS[name].clone()}
    weights[name][2, 63] = value
    if fine:
        MODEL.check(weights)
    else:
        with pytest.raises(MalformedError, match=f"{name}: a step is out of 1..4095"):
            MODEL.check(weights)
