"""Fitting latents of frames, for displacements that were searched: on a real excerpt, under the prior's network."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from clip_samples import BUNNY

from nvcodec.bitstream.registry import Origin
from nvcodec.decode.frames import named_weights
from nvcodec.decode.pictures import to_picture
from nvcodec.decode.state import initial_state
from nvcodec.encode.frame_fit import distortion_of
from nvcodec.encode.networks.mc import PRIOR
from nvcodec.encode.symbols import Writer
from nvcodec.errors import FeatureError
from nvcodec.media.source import open_source
from nvcodec.models.integer import EXACT, SMOOTH
from nvcodec.models.mc import Mc, McConfig
from nvcodec.models.motion import Reference, predict
from nvcodec.training import frames as training
from nvcodec.training.analysis import load_analyses
from nvcodec.training.frames import FrameLatents, FrameSettings, FrameTrainer, RateMeter, Task, soft_round
from nvcodec.video import VideoInfo

CPU = torch.device("cpu")
INFO = VideoInfo(64, 48)
PIXELS = 64 * 48
QUALITY = 20
HOW = FrameSettings(steps=10, lam=training.lambda_of(QUALITY))
MODEL = Mc(McConfig(), INFO.height, INFO.width)


def cropped(frame, row, column):
    """A picture of INFO's size from (row, column) on, both even."""
    planes = [
        np.ascontiguousarray(p[row >> s : (row + 48) >> s, column >> s : (column + 64) >> s])
        for s, p in zip((0, 1, 1), frame.planes, strict=True)
    ]
    return to_picture(tuple(planes), INFO, CPU)


@pytest.fixture(scope="module")
def shots():
    with open_source(BUNNY) as source:
        return list(islice(source, 8))


@pytest.fixture(scope="module")
def pictures(shots):
    """A view that moves on by six samples a frame."""
    return [cropped(frame, 60, 100 + 6 * n) for n, frame in enumerate(shots)]


@pytest.fixture(scope="module")
def weights():
    state = initial_state(MODEL.tensors, 0, Origin.PRIOR, PRIOR)
    return named_weights(MODEL, state, CPU)


@pytest.fixture
def trainer(weights):
    return FrameTrainer(MODEL, weights, load_analyses(PRIOR, MODEL.config), distortion_of(INFO, CPU), PIXELS)


def nothing(*_):
    pass


def named(task, latents):
    """What is coded of a frame, by name."""
    return latents.by_name(MODEL.network(not task.references))


@torch.no_grad()
def coded(trainer, task, latents):
    """(mean squared error, bits per pixel) of a frame as it is coded."""
    writer = Writer(named(task, latents))
    picture = picture_of(trainer, task, writer)
    return float(trainer.distortion(picture, task.target)), sum(writer.bits.values()) / PIXELS


@torch.no_grad()
def picture_of(trainer, task, code, arithmetic=EXACT):
    """What a coder makes of a frame."""
    prediction = None
    if task.references:
        fields = MODEL.displacements(trainer.weights, task.references, task.depth, QUALITY, code, guess=task.guess)
        prediction = predict(task.references, fields)
    tuning = MODEL.tuning(trainer.weights, prediction is None, QUALITY)
    return MODEL.picture(trainer.weights, tuning, prediction, code, arithmetic)


@pytest.mark.parametrize("references", [(), (0,), (0, 4)])
def test_the_loss_falls_with_steps(trainer, pictures, references):
    """Of what is coded, not of what training sees."""
    task = Task(pictures[2], [Reference(pictures[n]) for n in references])
    losses = []
    for steps in (0, 10, 40):
        (latents,) = trainer.fit([task], QUALITY, replace(HOW, steps=steps), nothing)
        mse, bpp = coded(trainer, task, latents)
        losses.append(mse / HOW.lam + bpp)
        if steps == 40:
            assert mse < 3 * trainer.mse, "what is trained is not far from what is coded"
    assert losses[0] > 1.01 * losses[1] > 1.01 * losses[2]


def test_each_step_is_told(trainer, pictures):
    told = []
    trainer.fit([Task(pictures[2])], QUALITY, HOW, lambda *step: told.append(step))
    assert [done for done, _ in told] == list(range(1, 11)) and told[-1][1] == trainer.mse
    assert told[-1][1] < told[0][1]


def test_lambda_weighs_error_against_bits(trainer, pictures):
    found = []
    for lam in (1 / 2048, 1 / 32):
        how = replace(HOW, steps=30, lam=lam)
        (latents,) = trainer.fit([Task(pictures[2])], QUALITY, how, nothing)
        found.append(coded(trainer, Task(pictures[2]), latents))
    assert found[0][0] < found[1][0] and found[0][1] > found[1][1]


@pytest.mark.parametrize(
    ("references", "shapes"),
    [
        ((), {
            "latent5": (1, 16, 2, 2), "latent4": (1, 16, 3, 4), "latent3": (1, 9, 6, 8), "latent3b": (1, 21, 6, 8),
            "latent3c": (1, 66, 6, 8),
        }),
        ((0, 4), {
            "latent4": (1, 16, 3, 4), "latent3": (1, 12, 6, 8), "latent2": (1, 24, 12, 16), "flow0": (1, 2, 3, 4),
            "flow1": (1, 2, 3, 4),
        }),
    ],
)  # fmt: skip
def test_what_is_found_are_integers(trainer, pictures, references, shapes):
    task = Task(pictures[2], [Reference(pictures[n]) for n in references])
    (latents,) = trainer.fit([task], QUALITY, HOW, nothing)
    found = named(task, latents)
    assert [(name, tuple(v.shape)) for name, v in found.items()] == list(shapes.items())
    assert all(torch.equal(v, v.round()) and not v.requires_grad for v in found.values())


def test_groups_of_channels_have_names_of_their_own():
    """In the order of the channels of their level."""
    values = {level: torch.rand(1, count, 2, 3) for level, count in MODEL.network(True).latents.items()}
    found = FrameLatents(values, ()).by_name(MODEL.network(True))
    assert list(found) == ["latent5", "latent4", "latent3", "latent3b", "latent3c"]
    assert found["latent5"].equal(values[5]) and found["latent4"].equal(values[4])
    assert torch.cat([found[f"latent3{suffix}"] for suffix in ("", "b", "c")], 1).equal(values[3])
    assert [found[f"latent3{suffix}"].shape[1] for suffix in ("", "b", "c")] == [9, 21, 66]


@pytest.mark.parametrize("steps", [0, 5])
def test_levels_that_do_not_pay_are_left_out(trainer, pictures, steps):
    """Of each frame by itself; whatever is left out makes it cheaper."""
    how, quality = FrameSettings(steps=steps, lam=training.lambda_of(70)), 70
    near, far = (Task(pictures[3], [Reference(pictures[n])]) for n in (3, 0))
    still, moved = trainer.fit([near, far], quality, how, nothing)
    assert not any(bool(v.any()) for v in still.latents.values()), "it is its reference"
    fine = trainer.fit([near, far], 0, FrameSettings(steps=steps, lam=training.lambda_of(0)), nothing)[1]
    assert all(bool(v.any()) for v in fine.latents.values())
    check_levels(trainer, far, moved, quality, how, (4, 3, 2))


@pytest.mark.parametrize("steps", [0, 5])
def test_levels_of_intra_frames_that_do_not_pay_are_left_out(trainer, pictures, steps):
    how, quality = FrameSettings(steps=steps, lam=training.lambda_of(90)), 90
    gray, busy = Task(torch.zeros_like(pictures[3])), Task(pictures[3])
    plain, coarse = trainer.fit([gray, busy], quality, how, nothing)
    assert not plain.latents[3].any(), "there is nothing fine"
    check_levels(trainer, busy, coarse, quality, how, (5, 4, 3))
    (fine,) = trainer.fit([busy], 0, FrameSettings(steps=steps, lam=training.lambda_of(0)), nothing)
    assert bool(fine.latents[3].any())


def check_levels(trainer, task, latents, quality, how, levels):
    """What was left out makes it cheaper, what was not would make it dearer."""
    work = trainer._start([task], quality, how.lam)
    left = replace(work, values={level: v.clone() for level, v in latents.latents.items()})
    assert tuple(left.values) == levels
    cost = float(trainer._costs(left, how.lam, coded_levels(latents)))
    if not how.steps:
        assert cost <= float(trainer._costs(work, how.lam))
    for level in range(3):
        assert cost <= float(trainer._costs(left, how.lam, levels[:level]))


def coded_levels(latents):
    """The levels that have a value other than 0."""
    return [level for level, v in latents.latents.items() if bool(v.any())]


def test_same_task_same_result(trainer, pictures):
    def fitted():
        (latents,) = trainer.fit([Task(pictures[2])], QUALITY, HOW, nothing)
        return torch.cat([v.flatten() for v in latents.latents.values()])

    assert torch.equal(fitted(), fitted())


def test_a_dead_zone_is_taken_where_it_is_cheaper(trainer, pictures):
    """By each frame for itself, and not by intra frames."""
    tasks, cheaper = [Task(pictures[n], [Reference(pictures[0])]) for n in (1, 3, 5)], []
    for quality in (36, 48, 60):
        lam = training.lambda_of(quality)
        work = trainer._start(tasks, quality, lam)
        before = {level: v.clone() for level, v in work.values.items()}
        plain = trainer._costs(work, lam)
        costs = trainer._shrink(work, lam)
        assert (costs <= plain).all()
        cheaper += (costs < plain).tolist()
        assert torch.equal(costs, trainer._costs(work, lam))
        for level, values in work.values.items():
            less = before[level].abs() - values.abs()
            assert bool((less >= 0).all()) and float(less.max()) < max(training.ZONES) + 1e-5
            assert bool((values * before[level] >= 0).all())
    assert any(cheaper) and not all(cheaper)
    intra = trainer._start([Task(pictures[2])], QUALITY, HOW.lam)
    before = {level: v.clone() for level, v in intra.values.items()}
    trainer._shrink(intra, HOW.lam)
    assert all(torch.equal(v, before[level]) for level, v in intra.values.items())


def test_displacements_are_those_of_the_search(trainer, shots, monkeypatch):
    """With the references, the guess and the lambda of the frame; latents know what they predict."""
    refs = [Reference(cropped(shots[0], 60, 120))]
    target = cropped(shots[0], 60, 124)  # what lies 16 quarter samples to the right
    truth = torch.tensor([16.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 3, 4)
    guess, starts = 8 * truth, [truth[0]]
    asked = []

    def searched(field):
        monkeypatch.setattr(training, "search", lambda *how: asked.append(how) or [field])
        (latents,) = trainer.fit([Task(target, refs, guess, starts, 1)], QUALITY, HOW, nothing)
        assert torch.equal(latents.fields[0], field)
        return coded(trainer, Task(target, refs, guess, depth=1), latents)

    right, wrong = searched(truth), searched(-truth)
    assert asked[0][0] is target and asked[0][1] is refs and asked[0][2:5] == (HOW.lam, guess, starts)
    assert asked[0][5] == (trainer.model, trainer.weights, 1, QUALITY)
    assert sum(a / HOW.lam + b for a, b in [right]) < 0.9 * sum(a / HOW.lam + b for a, b in [wrong])


def test_a_guess_is_rated(trainer, pictures):
    """A good one makes displacements cheaper, a bad one dearer, and the outlook with them."""
    field = 60.0 * torch.ones(1, 2, 3, 4)
    reference = Reference(pictures[0])
    bits = [
        float(trainer._moving(Task(pictures[1], [reference], guess, depth=1), QUALITY, [field]))
        for guess in (8 * field, None, -16 * field)
    ]
    assert bits[0] < bits[1] < bits[2]


@pytest.mark.parametrize("references", [False, True])
def test_frames_together_are_as_each_alone(trainer, pictures, references):
    """Up to roundings."""
    tasks = [
        Task(pictures[t + 1], [Reference(pictures[n]) for n in (0, 4 + t)] if references else []) for t in range(3)
    ]
    together = trainer.fit(tasks, QUALITY, HOW, nothing)
    mse = trainer.mse
    alone, errors = [], []
    for task in tasks:
        alone += trainer.fit([task], QUALITY, HOW, nothing)
        errors.append(trainer.mse)
    assert mse == pytest.approx(sum(errors) / 3, rel=0.01)
    for task, a, b in zip(tasks, together, alone, strict=True):
        same = [(v == w).float() for v, w in zip(*(named(task, x).values() for x in (a, b)), strict=True)]
        assert all(float(s.mean()) > 0.97 for s in same)
    first = [torch.cat([v.flatten() for v in a.latents.values()]) for a in together]
    assert not torch.equal(first[0], first[1])


def test_what_was_searched_for_is_taken_as_it_was_found(trainer, pictures, monkeypatch):
    task = Task(pictures[2], [Reference(pictures[0])], depth=1)
    ((look, _),) = trainer.look([task], QUALITY, HOW.lam)
    (searched,) = trainer.fit([task], QUALITY, HOW, nothing)
    monkeypatch.setattr(training, "search", None)
    (given,) = trainer.fit([replace(task, fields=look.fields)], QUALITY, HOW, nothing)
    found, again = named(task, searched), named(task, given)
    assert all(torch.equal(found[name], again[name]) for name in found)
    with pytest.raises(TypeError):
        trainer.fit([task], QUALITY, HOW, nothing)


# rounding and rating --------------------------------------------------------------------------------------------------


def test_soft_rounding_is_nearly_rounding():
    values = torch.arange(-6, 7) / 2
    assert torch.allclose(soft_round(values), values, atol=1e-5), "integers and halves stay"
    between = 6 * torch.rand(4000, generator=torch.Generator().manual_seed(0)) - 3
    assert float((soft_round(between) - between.round()).abs().mean()) < 0.02
    assert bool((soft_round(between.sort().values).diff() >= 0).all())


def test_soft_rounding_has_gradients():
    values = torch.linspace(-0.9, 0.9, 19, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(soft_round, (values,))


@pytest.mark.parametrize("references", [(), (0, 4)])
def test_rated_is_what_is_coded(trainer, pictures, references):
    """Bits and picture of integers, in both arithmetics, against the coder's."""
    guess = torch.full((1, 2, 3, 4), 40.0)
    task = Task(pictures[2], [Reference(pictures[n]) for n in references], guess)
    (latents,) = trainer.fit([task], QUALITY, HOW, nothing)
    given = named(task, latents)
    writer = Writer(given)
    kept = {name: torch.zeros_like(v) for name, v in given.items() if name.startswith("latent")}

    def code(name, *how):
        """What the coder leaves of latents: those that are not coded are what the network expects."""
        values = writer(name, *how)
        if name in kept:
            kept[name] += values
        return values

    expected = picture_of(trainer, task, code)
    for arithmetic in (EXACT, SMOOTH):
        meter = RateMeter(given | kept)
        picture = picture_of(trainer, task, meter.code, arithmetic)
        # Far from a narrow law is an escape in a file, of at most 16 bits and some; a meter has all of the tail.
        assert float(meter.total) == pytest.approx(sum(writer.bits.values()), rel=0.08)
        assert float((picture - expected).abs().mean()) < 3, "quarters of a code value"


@pytest.mark.parametrize("step", [1, 100, 512, 683, 4095])
def test_what_a_network_is_sure_of_is_what_a_file_has(step):
    """Whole from eighths: what is 7/16 becomes 1. Scales from where nothing is coded to where all is."""
    generator = torch.Generator().manual_seed(step)
    location = torch.randint(-3 * step, 3 * step, (1, 2, 24, 24), generator=generator).float()
    scale = torch.randint(-4500, 1200, (1, 2, 24, 24), generator=generator).float()
    values = torch.randint(-3, 4, (1, 2, 24, 24), generator=generator).float()
    cells, one = torch.ones(24, 24, dtype=torch.bool), torch.tensor(float(step))
    meter, file = RateMeter({"latent2": values}), Writer({"latent2": values})
    found = (coder("latent2", 1, cells, location, scale, one) for coder in (meter.code, file))
    assert torch.equal(*found)
    assert 0 < len(file.passes[0][0]) < values.numel()


def test_a_meter_rates_the_cells_of_a_pass_only():
    values = {"latent2": torch.full((2, 3, 4, 4), 5.0)}
    law = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4), torch.tensor(512.0)
    cells = torch.zeros(4, 4, dtype=torch.bool)
    cells[1, 2] = True
    meter = RateMeter(values)
    found = meter.code("latent2", 1, cells, *law)
    assert found.sum() == 2 * 3 * 5 and bool((found[:, :, 1, 2] == 5).all())
    assert meter.total.shape == (2,)
    one = float(meter.total[1]) / 3
    meter.code("latent2", 1, ~cells, *law)
    assert float(meter.total.sum()) == pytest.approx(6 * 16 * one)


def test_a_prior_without_analysis():
    with pytest.raises(FeatureError, match="00ff00ff00ff00ff"):
        load_analyses(bytes.fromhex("00ff00ff00ff00ff"), McConfig())
