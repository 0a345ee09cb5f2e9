"""The model mc: its sums are exact, its passes cover everything, its tensors are what they should be."""

import math
import sys
from dataclasses import fields, replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from mc_samples import CONFIG, grid_of, groups_of, integers, known, model_of, planes_at_random, weights_of
from torch.nn import functional

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nvcodec.errors import FeatureError, LimitError, MalformedError  # noqa: E402
from nvcodec.models.base import LATENT, create, create_frame_model  # noqa: E402
from nvcodec.models.integer import EXACT, SMOOTH  # noqa: E402
from nvcodec.models.latents import Tuning, latent_passes  # noqa: E402
from nvcodec.models.mc import QUALITIES, Mc, McConfig, lattice_passes  # noqa: E402
from nvcodec.models.motion import Reference  # noqa: E402
from tools.refdec.mc import field_law, layer_of  # noqa: E402
from tools.refdec.motion import hints_of  # noqa: E402

MODEL = model_of(37, 50)
WEIGHTS = weights_of(MODEL, integers(MODEL.tensors))
LEVELS = {True: (5, 4, 3), False: (4, 3, 2)}  # of latents, of intra frames and of others


REFERENCES = [
    Reference(torch.from_numpy(planes_at_random(6, 8 * MODEL.rows, 8 * MODEL.columns) // (1 + n)).float())
    for n in (0, 1)
]
DEPTH, QUALITY = 3, 20


def displaced(code, weights=WEIGHTS, number=2, guess=None):
    """Fields to that many references."""
    return MODEL.displacements(weights, REFERENCES[:number], DEPTH, QUALITY, code, guess=guess)


def prediction_for(model, inter):
    """At random, None for an intra frame."""
    return torch.from_numpy(planes_at_random(12, 8 * model.rows, 8 * model.columns)).float() if inter else None


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
    values, prediction = known(MODEL, np.random.default_rng(1), not inter, 9), prediction_for(MODEL, inter)
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


@pytest.mark.parametrize("inter", [False, True])
def test_without_rounding_it_is_nearly_the_same(inter):
    """The smooth arithmetic that training uses."""
    values, prediction = known(MODEL, np.random.default_rng(1), not inter, 2), prediction_for(MODEL, inter)
    tuning = MODEL.tuning(WEIGHTS, not inter, 10)
    exact, smooth = (MODEL.picture(WEIGHTS, tuning, prediction, coder(values)[0], a) for a in (EXACT, SMOOTH))
    assert 0 < (exact - smooth).abs().max() < 40 and (exact - smooth).abs().mean() < 4


@pytest.mark.parametrize("intra", [True, False])
@pytest.mark.parametrize("quality", [0, 41, QUALITIES - 1])
def test_tuning_is_a_column_of_steps_and_a_row_of_starts(intra, quality):
    network = "intra" if intra else "inter"
    tuning = MODEL.tuning(WEIGHTS, intra, quality)
    assert [float(s) for s in tuning.steps] == WEIGHTS[f"{network}.steps"][:, quality].tolist()
    assert tuning.start.shape == (1, CONFIG.intra_width if intra else CONFIG.width, 1, 1)
    assert tuning.start.flatten().tolist() == WEIGHTS[f"{network}.start"][quality].tolist()


@pytest.mark.parametrize("inter", [False, True])
def test_a_picture_depends_on_where_its_trunk_starts(inter):
    values, prediction = known(MODEL, np.random.default_rng(1), not inter), prediction_for(MODEL, inter)
    tuning = MODEL.tuning(WEIGHTS, not inter, 30)
    other = Tuning(tuning.steps, tuning.start + 300)
    pictures = [MODEL.picture(WEIGHTS, t, prediction, coder(values)[0]) for t in (tuning, other)]
    assert float((pictures[0] - pictures[1]).abs().amax(1).gt(0).float().mean()) > 0.1


def onwards(name, values):
    """A layer that doubles the size, in double precision: its sums, rounded half up."""
    weight, bias = (WEIGHTS[f"{name}.{part}"].double() for part in ("weight", "bias"))
    one = 2048 if name.startswith("intra") else 256
    sums = functional.conv2d(values.double(), weight, one * bias, padding=1)
    return functional.pixel_shuffle(torch.floor((sums + one / 2) / one), 2)


def latents_of(model, values, tuning, intra, coded, size):
    """Latents times their steps by level, 0 where they are not coded."""
    out = {}
    for level, step in zip(LEVELS[intra], tuning.steps, strict=True):
        parts = [values[name] for name, (own, _) in groups_of(model.config, intra).items() if own == level]
        y = (torch.cat(parts, 1) * step).clamp(-4095, 4095) * (level in coded)
        y[..., -(-size[0] // 2**level) :, :], y[..., -(-size[1] // 2**level) :] = 0, 0
        out[level] = y
    return out


def without(*parts):
    """The weights, and zeros for tensors whose names have one of these."""
    return {name: torch.zeros_like(w) if any(p in name for p in parts) else w for name, w in WEIGHTS.items()}


@pytest.mark.parametrize("coded", [(4, 3, 2), (4, 3), (2,), ()])
def test_the_finest_latents_of_inter_frames_have_a_linear_way_to_the_picture(coded):
    """Whatever it adds; where they are not coded, its bias."""
    values, prediction = known(MODEL, np.random.default_rng(1), False), prediction_for(MODEL, True)
    tuning = MODEL.tuning(WEIGHTS, False, 30)
    pictures = [
        MODEL.picture(w, tuning, prediction, coder(values)[0], levels=coded) for w in (WEIGHTS, without(".direct2."))
    ]
    y = latents_of(MODEL, values, tuning, False, coded, (37, 50))
    assert torch.equal((pictures[0] - pictures[1]).double(), onwards("inter.direct2", y[2]))


@pytest.mark.parametrize("size", [(37, 50), (50, 37), (16, 16), (33, 80)])
@pytest.mark.parametrize("coded", [(5, 4, 3), (5, 4), (5, 3), (4, 3), (5,), (4,), (3,), ()])
def test_all_latents_of_intra_frames_have_a_linear_way_to_the_picture(coded, size):
    """Each level adds to what the ones above say; where it is not coded, nothing. What lies beyond is cut off."""
    model = model_of(*size)
    values = known(model, np.random.default_rng(1), True)
    tuning = model.tuning(WEIGHTS, True, 30)
    pictures = [model.picture(w, tuning, None, coder(values)[0], levels=coded) for w in (WEIGHTS, without(".direct2."))]
    y = latents_of(model, values, tuning, True, coded, size)
    straight = y[5]
    for level in (5, 4, 3):
        rows, columns = grid_of(model, level - 1)
        straight = onwards(f"intra.direct{level}", straight)[..., :rows, :columns].clamp(-4095, 4095)
        straight = (straight + y.get(level - 1, 0)).clamp(-4095, 4095)
    assert straight.shape == (1, 24, 4 * model.rows, 4 * model.columns)
    assert torch.equal((pictures[0] - pictures[1]).double(), onwards("intra.direct2", straight))


def test_the_trunk_of_intra_frames_sees_the_linear_way():
    """Also where a level is not coded."""
    values, tuning = known(MODEL, np.random.default_rng(1), True), MODEL.tuning(WEIGHTS, True, 30)
    for level, coded in product((4, 3), ((5, 4, 3), (5,))):
        changed = dict(WEIGHTS)
        changed[f"intra.direct{level + 1}.weight"] = -WEIGHTS[f"intra.direct{level + 1}.weight"]
        pictures = []
        for weights in (WEIGHTS, changed):
            blind = weights | {"intra.direct2.weight": torch.zeros_like(weights["intra.direct2.weight"])}
            pictures.append(MODEL.picture(blind, tuning, None, coder(values)[0], levels=coded))
        assert not torch.equal(*pictures)


def test_the_last_mix_is_added_to_what_is_at_half_the_size():
    values, tuning = known(MODEL, np.random.default_rng(1), True), MODEL.tuning(WEIGHTS, True, 30)
    pictures = [MODEL.picture(w, tuning, None, coder(values)[0]) for w in (WEIGHTS, without("intra.mix1."))]
    assert float((pictures[0] - pictures[1]).abs().amax(1).gt(0).float().mean()) > 0.5


@pytest.mark.parametrize("intra", [True, False])
def test_levels_that_are_not_coded_are_levels_of_zeros(intra):
    values, prediction = known(MODEL, np.random.default_rng(1), intra), prediction_for(MODEL, not intra)
    tuning, groups = MODEL.tuning(WEIGHTS, intra, 3), groups_of(CONFIG, intra)
    first, second, third = LEVELS[intra]
    for levels in ((), (first,), (second,), (second, third), (third,), (first, third)):
        code, asked = coder(values)
        picture = MODEL.picture(WEIGHTS, tuning, prediction, code, levels=levels)
        wanted = [name for name, (level, _) in groups.items() if level in levels]
        assert [name for name, *_ in asked] == [name for name in wanted for _ in "ab"]
        zero = {name: v * (name in wanted) for name, v in values.items()}
        assert torch.equal(picture, MODEL.picture(WEIGHTS, tuning, prediction, coder(zero)[0]))


def test_passes_of_a_frame_cover_every_value_once():
    values = known(MODEL, np.random.default_rng(1), False)
    code, asked = coder(values)
    found = displaced(code)
    assert all(torch.equal(f, values[n]) for f, n in zip(found, ("flow0", "flow1"), strict=True))
    strides = [(name, stride) for name, stride, *_ in asked]
    assert strides == [
        (name, stride)
        for name in ("flow0", "flow1")
        for stride, passes in ((4, 1), (2, 2), (1, 2))
        for _ in range(passes)
    ]  # 3 x 4 cells: one of the lattice of stride 4
    assert sum(n for name, _, n, *_ in asked if name == "flow0") == MODEL.rows * MODEL.columns
    for intra, cells in ((True, [2, 2, 6, 6, *[18, 17] * 3]), (False, [6, 6, 18, 17, 65, 65])):
        code, asked = coder(known(MODEL, np.random.default_rng(1), intra))
        MODEL.picture(WEIGHTS, MODEL.tuning(WEIGHTS, intra, 0), prediction_for(MODEL, not intra), code)
        assert [n for name, _, n, *_ in asked] == cells  # of 37 x 50 samples
        assert {stride for _, stride, *_ in asked} == {1}


@pytest.mark.parametrize("intra", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 33), (50, 37), (80, 96)])
def test_grids_of_all_groups(intra, size):
    """In order; at 1/32 of the size with half a cell beyond an odd last row or column of 16 samples."""
    model = model_of(*size)
    code, asked = coder(known(model, np.random.default_rng(1), intra))
    picture = model.picture(WEIGHTS, model.tuning(WEIGHTS, intra, 0), prediction_for(model, not intra), code)
    assert picture.shape == (1, 6, 8 * model.rows, 8 * model.columns)
    groups = groups_of(CONFIG, intra)
    assert [name for name, *_ in asked] == [name for name in groups for _ in "ab"]
    for name, _, _, location, scale in asked:
        level, count = groups[name]
        assert location.shape == scale.shape == (1, count, *grid_of(model, level))


@pytest.mark.parametrize("intra", [True, False])
def test_laws_know_what_was_coded_before_them_alone(intra):
    """Coarser levels, groups before, and the first cells of a checkerboard."""
    values = known(MODEL, np.random.default_rng(1), intra)
    prediction = None if intra else torch.floor(prediction_for(MODEL, True) / 16)  # so that little is at its bounds
    tuning, names = MODEL.tuning(WEIGHTS, intra, 0), list(groups_of(CONFIG, intra))
    code, asked = coder(values)
    MODEL.picture(WEIGHTS, tuning, prediction, code)
    before = laws(asked)
    for place, name in enumerate(names):
        y, x = torch.arange(values[name].shape[2])[:, None], torch.arange(values[name].shape[3])
        for second in (0, 1):
            changed = values | {name: values[name] + 40 * ((y + x) % 2 == second)}
            code, asked = coder(changed)
            MODEL.picture(WEIGHTS, tuning, prediction, code)
            same = [all(map(torch.equal, a, b)) for a, b in zip(before, laws(asked), strict=True)]
            first = 2 * place + second + 1  # the pass after
            assert all(same[:first]) and not any(same[first:])


def laws(asked):
    """(location, scale) of each pass, of its whole lattice, 0 where it has no cells."""
    return [(location, scale) for *_, location, scale in asked]


@pytest.mark.parametrize("second", [False, True])
def test_a_guess_is_where_the_first_cells_are_expected(second):
    """The law of what has no known neighbours lies around it, up to what the network adds."""
    still = {name: w.clone() for name, w in WEIGHTS.items()}
    still["flow.out.weight"].zero_()
    still["flow.out.bias"].zero_()
    values = known(MODEL, np.random.default_rng(1), False, 20)
    guess = torch.from_numpy(np.random.default_rng(2).integers(-900, 901, values["flow0"].shape)).float()
    code, asked = coder(values)
    displaced(code, still, guess=None if second else guess)
    wanted = -8 * values["flow0"] if second else guess
    location, _ = laws(asked)[len(asked) // 2 if second else 0]
    assert torch.equal(location, 8 * wanted[..., ::4, ::4])
    without, asked = coder(values)
    displaced(without, still, 1)
    assert not laws(asked)[0][0].any()


def test_a_guess_changes_every_pass_and_what_follows_knows_it():
    values = known(MODEL, np.random.default_rng(1), False, 20)
    found = []
    for guess in (None, torch.full_like(values["flow0"], 100.0), torch.full_like(values["flow0"], -300.0)):
        code, asked = coder(values)
        fields = displaced(code, guess=guess)
        assert all(torch.equal(f, values[n]) for f, n in zip(fields, ("flow0", "flow1"), strict=True))
        found.append(laws(asked))
    half = len(found[0]) // 2
    for n in range(half):
        assert not torch.equal(found[0][n][0], found[1][n][0]) and not torch.equal(found[1][n][0], found[2][n][0])
    for n in range(half, 2 * half):  # the second field has a guess of its own
        assert all(torch.equal(a, b) for a, b in zip(found[0][n], found[2][n], strict=True))


@pytest.mark.parametrize("way", [Mc._field_by_cells, Mc._field_by_layers])
def test_the_greatest_guesses_are_exact(way, monkeypatch):
    """Laws of all passes against integers of 64 bits."""
    monkeypatch.setattr(Mc, "_field_by_cells", way)
    values = {name: v.clamp(-4095, 4095) for name, v in known(MODEL, np.random.default_rng(1), False, 2000).items()}
    guess = np.random.default_rng(2).choice([-32760, -32753, 7, 32760], values["flow0"].shape)
    code, asked = coder(values)
    displaced(code, guess=torch.from_numpy(guess).float())
    layer = layer_of({name: w.numpy().astype(np.int64) for name, w in WEIGHTS.items()}, "flow")
    passes, first = iter(laws(asked)), values["flow0"][0].numpy().astype(np.int64)
    pictures = [[reference.planes[0][0, 0].numpy().astype(np.int64)] for reference in REFERENCES]
    for number, (name, expected, through) in enumerate(
        (("flow0", guess[0], (guess[0] + 4) // 8), ("flow1", -8 * first, first))
    ):
        told = hints_of(pictures, through, DEPTH, QUALITY, number)
        for stride in (4, 2, 1):
            d = values[name][0, :, ::stride, ::stride].numpy().astype(np.int64)
            for have, cells in lattice_passes(*d.shape[1:], stride == 4, torch.device("cpu")):
                seen = d * have.numpy()
                near = expected[:, ::stride, ::stride], told[:, ::stride, ::stride]
                wanted = field_law(layer, seen, have.numpy(), *near, stride)
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


def test_displacements_are_bounded():
    values = known(MODEL, np.random.default_rng(1), False)
    code, _ = coder({name: torch.full_like(v, 2.0**24 - 1) for name, v in values.items()})
    assert all(field.min() == field.max() == 4095 for field in displaced(code))


@pytest.mark.parametrize("intra", [True, False])
def test_latents_are_bounded(intra):
    """So that sums of the greatest are exact."""
    rng, double = np.random.default_rng(1), {name: w.double() for name, w in WEIGHTS.items()}
    signs = {name: 1 - 2 * (v % 2) for name, v in known(MODEL, rng, intra).items()}
    prediction = prediction_for(MODEL, not intra)
    for values in ({name: torch.ones_like(v) for name, v in signs.items()}, signs):
        code, _ = coder({name: v * (2.0**24 - 1) for name, v in values.items()})
        picture = MODEL.picture(WEIGHTS, MODEL.tuning(WEIGHTS, intra, 95), prediction, code)
        wanted = None if prediction is None else prediction.double()
        assert torch.equal(picture.double(), MODEL.picture(double, MODEL.tuning(double, intra, 95), wanted, code))
        least, _ = coder({name: 4095 * v for name, v in values.items()})
        assert torch.equal(picture, MODEL.picture(WEIGHTS, MODEL.tuning(WEIGHTS, intra, 95), prediction, least))


# What describes no network --------------------------------------------------------------------------------------------


def test_tensors_of_the_default_configuration():
    tensors = create_frame_model("mc", McConfig().values, 180, 320).tensors
    assert McConfig().values == (16, 24, 32, 24, 16, 12, 24, 64, 32, 16, 16, 9, 21, 66)
    names = [t.name for t in tensors]
    assert len(names) == len(set(names)) and all((t.kind, t.radius) == (LATENT, 0) for t in tensors)
    assert names[:4] == ["intra.steps", "intra.start", "inter.steps", "inter.start"]
    assert names[4:6] == ["intra.base5.weight", "intra.base5.bias"]
    assert [t.shape for t in tensors[:6]] == [(3, 96), (96, 64), (3, 96), (96, 32), (64, 64, 1, 1), (64,)]
    layers = [n.removesuffix(".weight") for n in names if n.endswith(".weight")]
    group = ["near{}", "mid{}", "first{}", "second{}"]
    level = ["base{}", *group, "latent{}"]
    trunk, finer = [*level, "up{}"], [*level, "mix{}", "up{}"]
    order = [name.format(n) for n, part in ((4, trunk), (3, finer), (2, finer)) for name in part]
    intra = [name.format(n) for n, part in ((5, trunk), (4, finer)) for name in part]
    intra += ["base3", *(f"{name.format(3)}{suffix}" for suffix in ("", "b", "c") for name in group), "latent3"]
    intra += ["mix3", "up3", "mix2", "up2", "mix1", "last", "picture", *(f"direct{n}" for n in (5, 4, 3, 2))]
    assert layers == [
        *(f"intra.{name}" for name in intra),
        *(f"inter.{name}" for name in ["sense2", "sense3", "sense4", *order, "sense1", "last", "picture", "direct2"]),
        *(f"flow.{name}" for name in ["near", "mid", "out"]),
    ]
    shapes = {t.name.removesuffix(".weight"): t.shape for t in tensors}
    for name, shape in {
        "intra.near3": (64, 96, 3, 3), "intra.near3c": (64, 96, 3, 3), "intra.latent3": (64, 96, 3, 3),
        "intra.first3": (18, 64, 1, 1), "intra.second3b": (42, 64, 1, 1), "intra.first3c": (132, 64, 1, 1),
        "intra.up3": (256, 64, 1, 1), "intra.up2": (128, 64, 1, 1), "intra.mix1": (32, 32, 3, 3),
        "intra.direct5": (64, 16, 3, 3), "intra.direct4": (384, 16, 3, 3), "intra.direct3": (96, 96, 3, 3),
        "intra.direct2": (24, 24, 3, 3), "inter.direct2": (24, 24, 3, 3), "inter.up2": (96, 32, 1, 1),
    }.items():  # fmt: skip
        assert shapes[name] == shape, name
    assert sum(math.prod(t.shape) for t in tensors) == sum(t.size for t in tensors)


def test_what_comes_into_a_layer():
    """Latents, or activations."""
    wide = {name for name, layer in MODEL.layers.items() if layer.reach == 4095}
    assert {layer.reach for layer in MODEL.layers.values()} == {2047, 4095}
    assert wide == {
        *(f"intra.{name}" for name in ("near5", "latent5", "near4", "latent4", "near3", "near3b", "near3c", "latent3")),
        *(f"intra.direct{level}" for level in (5, 4, 3, 2)),
        *(f"inter.{name}{level}" for name in ("near", "latent") for level in (4, 3, 2)), "inter.direct2",
    }  # fmt: skip


@pytest.mark.parametrize("place", range(14))
def test_configurations_are_bounded(place):
    most = 4096 if place == 0 else 256
    for value, fine in ((0, False), (1, True), (most, True), (most + 1, False), (2**63, False)):
        values = list(CONFIG.values)
        values[place] = value
        if fine:
            assert create_frame_model("mc", values, 16, 16).config.values == tuple(values)
        else:
            with pytest.raises(MalformedError, match=f"mc: {fields(McConfig)[place].name} {value} is not in 1..{most}"):
                create_frame_model("mc", values, 16, 16)


@pytest.mark.parametrize(
    ("change", "values"),
    [
        ({}, 384), ({"half": 200}, 12800), ({"intra_half": 201}, 12864), ({"width": 250}, 4000),
        ({"intra_width": 251}, 4016), ({"coarse": 256}, 512), ({"middle": 200}, 1600), ({"fine": 200}, 6400),
        ({"intra_coarse": 256}, 384), ({"intra_middle": 256}, 512),
        ({"intra_low": 200, "intra_medium": 100, "intra_high": 50}, 2800),
    ],
)  # fmt: skip
def test_values_of_the_largest_layer(change, values):
    """3 x 4 cells of displacements."""
    assert model_of(37, 50, replace(CONFIG, **change)).activations == 12 * values


def test_other_errors_of_making_one():
    with pytest.raises(MalformedError, match="configuration values"):
        create_frame_model("mc", CONFIG.values[:-1], 16, 16)
    with pytest.raises(FeatureError, match="no model 'nerv' of coded frames"):
        create_frame_model("nerv", CONFIG.values, 16, 16)
    with pytest.raises(FeatureError, match="no model 'mc'"):
        create("mc", CONFIG.values, 16, 16)
    for name in ("half", "intra_half"):
        with pytest.raises(LimitError, match="mc: a layer of"):
            model_of(2**13, 2**13, replace(CONFIG, **{name: 256}))
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
