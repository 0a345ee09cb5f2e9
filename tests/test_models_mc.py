"""The model mc: its sums are exact, its passes cover everything, its tensors are what they should be."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mc_samples import CONFIG, integers, known, model_of, planes_at_random, weights_of

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nvcodec.errors import FeatureError, LimitError, MalformedError  # noqa: E402
from nvcodec.models.base import LATENT, create, create_frame_model  # noqa: E402
from nvcodec.models.integer import EXACT, SMOOTH  # noqa: E402
from nvcodec.models.mc import LEVELS, QUALITIES, Mc, McConfig, Tuning, latent_passes, lattice_passes  # noqa: E402
from tools.refdec.mc import field_law, layer_of  # noqa: E402

MODEL = model_of(37, 50)
WEIGHTS = weights_of(MODEL, integers(MODEL.tensors))


def coder(values):
    """Gives what is known of each cell, and notes the passes."""
    asked = []

    def code(name, stride, cells, location, scale, step):
        asked.append((name, stride, int(cells.sum()), location * cells, scale * cells))
        return torch.where(cells, values[name][..., ::stride, ::stride].to(location.dtype), 0)

    return code, asked


@pytest.mark.parametrize("inter", [False, True])
@pytest.mark.parametrize("quality", [0, 30, 95])
def test_a_picture_in_double_precision_is_the_same(inter, quality):
    """Every sum is exact: more digits change nothing."""
    values = known(MODEL, np.random.default_rng(1), 9)
    prediction = torch.from_numpy(planes_at_random(12, 8 * MODEL.rows, 8 * MODEL.columns)).float() if inter else None
    found, laws = [], []
    for dtype in (torch.float32, torch.float64):
        weights = {name: w.to(dtype) for name, w in WEIGHTS.items()}
        code, asked = coder(values)
        tuning = MODEL.tuning(weights, not inter, quality)
        picture = MODEL.picture(weights, tuning, prediction if prediction is None else prediction.to(dtype), code)
        found.append(picture.double())
        laws.append([law.double() for *_, location, scale in asked for law in (location, scale)])
    assert torch.equal(*found) and all(torch.equal(a, b) for a, b in zip(*laws, strict=True))
    assert torch.equal(found[0], found[0].round()) and found[0].std() > 1


def test_without_rounding_it_is_nearly_the_same():
    """The smooth arithmetic that training uses."""
    values = known(MODEL, np.random.default_rng(1), 2)
    tuning = MODEL.tuning(WEIGHTS, True, 10)
    exact, smooth = (MODEL.picture(WEIGHTS, tuning, None, coder(values)[0], a) for a in (EXACT, SMOOTH))
    assert 0 < (exact - smooth).abs().max() < 40 and (exact - smooth).abs().mean() < 4


@pytest.mark.parametrize("intra", [True, False])
@pytest.mark.parametrize("quality", [0, 41, QUALITIES - 1])
def test_tuning_is_a_column_of_steps_and_a_row_of_starts(intra, quality):
    network = "intra" if intra else "inter"
    tuning = MODEL.tuning(WEIGHTS, intra, quality)
    assert [float(s) for s in tuning.steps] == WEIGHTS[f"{network}.steps"][:, quality].tolist()
    assert tuning.start.shape == (1, CONFIG.width, 1, 1)
    assert tuning.start.flatten().tolist() == WEIGHTS[f"{network}.start"][quality].tolist()


@pytest.mark.parametrize("inter", [False, True])
def test_a_picture_depends_on_where_its_trunk_starts(inter):
    values = known(MODEL, np.random.default_rng(1))
    prediction = torch.from_numpy(planes_at_random(12, 8 * MODEL.rows, 8 * MODEL.columns)).float() if inter else None
    tuning = MODEL.tuning(WEIGHTS, not inter, 30)
    other = Tuning(tuning.steps, tuning.start + 300)
    pictures = [MODEL.picture(WEIGHTS, t, prediction, coder(values)[0]) for t in (tuning, other)]
    assert float((pictures[0] - pictures[1]).abs().amax(1).gt(0).float().mean()) > 0.1


@pytest.mark.parametrize("inter", [False, True])
@pytest.mark.parametrize("coded", [True, False])
def test_the_finest_latents_have_a_linear_way_to_the_picture(inter, coded):
    """Whatever it adds; where they are not coded, its bias."""
    values = known(MODEL, np.random.default_rng(1))
    prediction = torch.from_numpy(planes_at_random(12, 8 * MODEL.rows, 8 * MODEL.columns)).float() if inter else None
    network = "inter" if inter else "intra"
    without = {name: torch.zeros_like(w) if ".direct." in name else w for name, w in WEIGHTS.items()}
    tuning, levels = MODEL.tuning(WEIGHTS, not inter, 30), LEVELS if coded else LEVELS[:-1]
    pictures = [MODEL.picture(w, tuning, prediction, coder(values)[0], levels=levels) for w in (WEIGHTS, without)]
    y = (values["latent2"] * tuning.steps[-1]).clamp(-4095, 4095) * coded
    y[..., 10:, :], y[..., 13:] = 0, 0  # beyond 37 x 50 samples
    weight, bias = (WEIGHTS[f"{network}.direct.{part}"].double() for part in ("weight", "bias"))
    sums = torch.nn.functional.conv2d(y.double(), weight, 256 * bias, padding=1)
    wanted = torch.nn.functional.pixel_shuffle(torch.floor((sums + 128) / 256), 2)
    assert torch.equal((pictures[0] - pictures[1]).double(), wanted)


def test_levels_that_are_not_coded_are_levels_of_zeros():
    values = known(MODEL, np.random.default_rng(1))
    tuning = MODEL.tuning(WEIGHTS, True, 3)
    for levels in ((), (4,), (3, 2), (2,)):
        code, asked = coder(values)
        picture = MODEL.picture(WEIGHTS, tuning, None, code, levels=levels)
        assert [name for name, *_ in asked] == [f"latent{level}" for level in LEVELS if level in levels for _ in "ab"]
        zero = {name: v * (int(name[-1]) in levels) for name, v in values.items()}
        assert torch.equal(picture, MODEL.picture(WEIGHTS, tuning, None, coder(zero)[0]))


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
    MODEL.picture(WEIGHTS, MODEL.tuning(WEIGHTS, True, 0), None, code)
    cells = [n for name, _, n, *_ in asked]
    assert cells == [6, 6, 18, 17, 65, 65]  # of 37 x 50 samples


def laws(asked):
    """(location, scale) of each pass, of its whole lattice, 0 where it has no cells."""
    return [(location, scale) for *_, location, scale in asked]


@pytest.mark.parametrize("second", [False, True])
def test_a_guess_is_where_the_first_cells_are_expected(second):
    """The law of what has no known neighbours lies around it, up to what the network adds."""
    still = {name: w.clone() for name, w in WEIGHTS.items()}
    still["flow.out.weight"].zero_()
    still["flow.out.bias"].zero_()
    values = known(MODEL, np.random.default_rng(1), 20)
    guess = torch.from_numpy(np.random.default_rng(2).integers(-900, 901, values["flow0"].shape)).float()
    code, asked = coder(values)
    MODEL.displacements(still, ["flow0", "flow1"], code, guess=None if second else guess)
    wanted = -8 * values["flow0"] if second else guess
    location, _ = laws(asked)[len(asked) // 2 if second else 0]
    assert torch.equal(location, 8 * wanted[..., ::4, ::4])
    without, asked = coder(values)
    MODEL.displacements(still, ["flow0"], without)
    assert not laws(asked)[0][0].any()


def test_a_guess_changes_every_pass_and_what_follows_knows_it():
    values = known(MODEL, np.random.default_rng(1), 20)
    found = []
    for guess in (None, torch.full_like(values["flow0"], 100.0), torch.full_like(values["flow0"], -300.0)):
        code, asked = coder(values)
        fields = MODEL.displacements(WEIGHTS, ["flow0", "flow1"], code, guess=guess)
        assert all(torch.equal(f, values[n]) for f, n in zip(fields, ("flow0", "flow1"), strict=True))
        found.append(laws(asked))
    half = len(found[0]) // 2
    for n in range(half):
        assert not torch.equal(found[0][n][0], found[1][n][0]) and not torch.equal(found[1][n][0], found[2][n][0])
    for n in range(half, 2 * half):  # the second field has a guess of its own
        assert all(torch.equal(a, b) for a, b in zip(found[0][n], found[2][n], strict=True))


def by_layers(model, layers, part, known, cells, guess, stride):
    """What `Mc._law_of_cells` gives, as it is off the CPU."""
    return model._field_law(WEIGHTS, part, known, guess, stride, EXACT)


@pytest.mark.parametrize("way", [Mc._law_of_cells, by_layers])
def test_the_greatest_guesses_are_exact(way, monkeypatch):
    """Laws of all passes against integers of 64 bits."""
    monkeypatch.setattr(Mc, "_law_of_cells", way)
    values = {name: v.clamp(-4095, 4095) for name, v in known(MODEL, np.random.default_rng(1), 2000).items()}
    guess = np.random.default_rng(2).choice([-32760, -32753, 7, 32760], values["flow0"].shape)
    code, asked = coder(values)
    MODEL.displacements(WEIGHTS, ["flow0", "flow1"], code, guess=torch.from_numpy(guess).float())
    layer = layer_of({name: w.numpy().astype(np.int64) for name, w in WEIGHTS.items()}, "flow")
    passes = iter(laws(asked))
    for name, expected in (("flow0", guess[0]), ("flow1", -8 * values["flow0"][0].numpy().astype(np.int64))):
        for stride in (4, 2, 1):
            d = values[name][0, :, ::stride, ::stride].numpy().astype(np.int64)
            for have, cells in lattice_passes(*d.shape[1:], stride == 4, torch.device("cpu")):
                seen = d * have.numpy()
                wanted = field_law(layer, seen, have.numpy(), expected[:, ::stride, ::stride], stride)
                assert all(np.array_equal(a[0], b * cells.numpy()) for a, b in zip(next(passes), wanted, strict=True))
    assert next(passes, None) is None


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


def test_latent_passes():
    first, second = latent_passes((4, 6), (3, 5), torch.device("cpu"))
    assert first[0, 0] and not (first & second).any()
    both = first | second
    assert both[:3, :5].all() and both.sum() == 15
    y, x = first.nonzero().T
    assert ((y + x) % 2 == 0).all()


def test_displacements_and_latents_are_bounded():
    code, _ = coder(
        {name: torch.full_like(v, 2.0**24 - 1) for name, v in known(MODEL, np.random.default_rng(1)).items()}
    )
    assert all(field.min() == field.max() == 4095 for field in MODEL.displacements(WEIGHTS, ["flow0", "flow1"], code))
    double = {name: w.double() for name, w in WEIGHTS.items()}
    picture = MODEL.picture(WEIGHTS, MODEL.tuning(WEIGHTS, True, 95), None, code)
    assert torch.equal(picture.double(), MODEL.picture(double, MODEL.tuning(double, True, 95), None, code))


# What describes no network --------------------------------------------------------------------------------------------


def test_tensors_of_the_default_configuration():
    tensors = create_frame_model("mc", McConfig().values, 180, 320).tensors
    assert McConfig().values == (16, 32, 24, 24, 16, 12, 24)
    names = [t.name for t in tensors]
    assert len(names) == len(set(names)) and all((t.kind, t.radius) == (LATENT, 0) for t in tensors)
    assert names[:4] == ["intra.steps", "intra.start", "inter.steps", "inter.start"]
    assert names[4:6] == ["intra.base4.weight", "intra.base4.bias"]
    assert [t.shape for t in tensors[:6]] == [(3, 96), (96, 32), (3, 96), (96, 32), (32, 32, 1, 1), (32,)]
    layers = [n.removesuffix(".weight") for n in names if n.endswith(".weight")]
    level = ["base{}", "near{}", "mid{}", "first{}", "second{}", "latent{}"]
    trunk = [*level, "up{}"]
    finer = [*level, "mix{}", "up{}"]
    order = [name.format(n) for n, part in ((4, trunk), (3, finer), (2, finer)) for name in part]
    assert layers == [
        *(f"intra.{name}" for name in [*order, "last", "picture", "direct"]),
        *(f"inter.{name}" for name in ["sense2", "sense3", "sense4", *order, "sense1", "last", "picture", "direct"]),
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
    weights[name][2, 95] = value
    if fine:
        MODEL.check(weights)
    else:
        with pytest.raises(MalformedError, match=f"{name}: a step is out of 1..4095"):
            MODEL.check(weights)
