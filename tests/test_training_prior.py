"""Priors are trained: excerpts are what they say, networks learn, stay exact, and end up as what encoders use."""

import dataclasses
import itertools
import math
import re
import signal

import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing
from click.testing import CliRunner
from clip_samples import BUNNY, CITY, write_clip
from mc_samples import own_package
from torch import distributed
from torch.utils._python_dispatch import TorchDispatchMode

import nvcodec
from nvcodec.decode.pictures import to_picture
from nvcodec.encode import plan
from nvcodec.encode.networks import mc as network
from nvcodec.errors import MalformedError, SourceError, UsageError
from nvcodec.media.sink import open_sink
from nvcodec.media.source import open_source
from nvcodec.models import priors
from nvcodec.models.integer import EXACT_SUMS
from nvcodec.models.mc import Mc, McConfig
from nvcodec.models.motion import Reference, followed, midway
from nvcodec.training import analysis
from nvcodec.training.displacement import search
from nvcodec.training.distortion import distortion, distortion_rows
from nvcodec.training.excerpts import BETWEEN, MOVING_SIDES, SIDES, Batch, Clip, Excerpts, batches, load_clip
from nvcodec.training.frames import lambda_of
from nvcodec.training.knots import KNOTS, between
from nvcodec.training.prior import Prior, export, restore, widened
from nvcodec.training.prior_fit import (
    KINDS,
    LAWS,
    LEAST_RATE,
    MOST_OCTAVES,
    OCTAVES,
    PROJECT_EVERY,
    SLOWER,
    PriorTrainer,
    decay,
    load_prior,
)
from nvcodec.video import Chroma, ColorInfo, Frame, Range, VideoInfo
from tools import train_prior

CPU = torch.device("cpu")
SMALL = McConfig(
    flow=4, width=8, half=8, coarse=4, middle=3, fine=2,
    intra_width=9, intra_half=7, intra_coarse=4, intra_middle=13, intra_low=5, intra_medium=6, intra_high=7,
)  # fmt: skip


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return [load_clip(path, cache, 960, 9) for path in (BUNNY, CITY)]


@pytest.fixture(scope="module")
def excerpts(clips):
    return Excerpts(clips, 32, 2, 5)


@pytest.fixture(scope="module")
def some(excerpts):
    """The first batches."""
    return [excerpts.batch(number) for number in range(6)]


def weights_of(prior):
    names = [t.name for t in prior.model.tensors]
    return {n: torch.from_numpy(q.astype(np.float32)) for n, q in zip(names, prior.integers(), strict=True)}


def checkered(height, width):
    """A clip of four frames, whose luma is as fine as can be."""
    layout = [("y", np.uint8, (height, width)), ("u", np.uint8, (height // 2, width // 2))]
    frames = np.full(4, 128, np.dtype([*layout, ("v", *layout[1][1:])]))
    frames["y"] = np.where(np.indices((height, width)).sum(0) % 2, 200, 100)
    return Clip("checkered", frames, np.zeros((4, 3), np.float32))


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


# Excerpts -------------------------------------------------------------------------------------------------------------


def test_stills_are_the_single_frames_of_a_batch(excerpts, some):
    found = excerpts.stills(3)
    assert torch.equal(found.single, some[3].single) and torch.equal(found.single_rows, some[3].single_rows)


def sloping(height, width):
    """A clip whose luma grows by 1 with every fourth column, with chroma that is not gray."""
    layout = [("y", np.uint8, (height, width)), ("u", np.uint8, (height // 2, width // 2))]
    frames = np.zeros(4, np.dtype([*layout, ("v", *layout[1][1:])]))
    frames["y"], frames["u"], frames["v"] = np.arange(width) // 4, 158, 88
    return Clip("sloping", frames, np.zeros((4, 3), np.float32))


def slopes(stills):
    """Columns of the clip under one of a still, of each."""
    luma = torch.nn.functional.pixel_shuffle(stills[:, :4], 2)[:, 0] / 4
    across = (luma[:, :, -1] - luma[:, :, 0]).mean(1).abs()
    down = (luma[:, -1] - luma[:, 0]).mean(1).abs()
    return 4 * torch.maximum(across, down) / (luma.shape[-1] - 1)


def test_large_single_frames_are_scaled_down_to_sizes_at_random(monkeypatch):
    monkeypatch.setattr("nvcodec.training.excerpts.TONED", 0.0)
    found = slopes(Excerpts([sloping(480, 640)], 64, 200, 0).stills(0).single)
    smallest, largest = SIDES
    assert 0.8 < float(found.min()) and float(found.max()) < 1.1 * 640 / smallest
    as_it_is = math.log(1.1 * largest / 640) / math.log(largest / smallest)
    assert abs(float((found < 1.1).float().mean()) - as_it_is) < 0.1
    middle = math.log(640 / math.sqrt(640 * smallest)) / math.log(largest / smallest)  # of the others, half
    assert abs(float((found > math.sqrt(640 / smallest)).float().mean()) - middle) < 0.1
    small = slopes(Excerpts([sloping(64, 640)], 64, 16, 0).stills(0).single)
    assert bool((small - 1).abs().max() < 0.15), "there is nothing more to cut excerpts from"


def test_what_is_scaled_down_keeps_more_or_less_detail(monkeypatch):
    monkeypatch.setattr("nvcodec.training.excerpts.TONED", 0.0)
    monkeypatch.setattr("nvcodec.training.excerpts.SIDES", (240.0, 240.0))
    detail = {}
    for sharp in (0.0, 1.0):
        monkeypatch.setattr("nvcodec.training.excerpts.SHARP", sharp)
        noise = sloping(480, 480)
        noise.frames["y"] = np.random.default_rng(1).integers(60, 180, noise.frames["y"].shape)
        detail[sharp] = float(Excerpts([noise], 64, 16, 0).stills(0).single[:, :4].std())
    assert 1.05 * detail[0.0] < detail[1.0] < 2 * detail[0.0]


def test_tones_of_single_frames_change(monkeypatch):
    clip = checkered(64, 64)
    clip.frames["u"], clip.frames["v"] = 158, 88
    found = {}
    for share in (0.0, 1.0):
        monkeypatch.setattr("nvcodec.training.excerpts.TONED", share)
        found[share] = Excerpts([clip], 64, 100, 0).stills(0).single / 4 + 128
    plain, toned = found[0.0], found[1.0]
    assert bool((plain[:, 4] == 158).all()) and bool((plain[:, 5] == 88).all())
    assert bool((toned[:, :4].mean((1, 2, 3)) - 150).abs().max() < 1), "not brighter, not darker"
    contrast = toned[:, :4].std((1, 2, 3)) / plain[:, :4].std((1, 2, 3))
    assert 0.15 < float(contrast.log().std()) < 0.25
    turned = torch.atan2(toned[:, 5] - 128, toned[:, 4] - 128)[:, 0, 0] - math.atan2(-40, 30)
    assert 0.2 < float(turned.std()) < 0.4
    batch = Excerpts([clip], 64, 4, 0).batch(0)
    assert len(batch.before.unique()) > 4
    assert torch.equal(batch.before, batch.between) and torch.equal(batch.between, batch.after), "three frames alike"


def test_three_frames_are_scaled_down_alike(monkeypatch):
    monkeypatch.setattr("nvcodec.training.excerpts.TONED", 0.0)
    clip = sloping(480, 960)
    batches = [Excerpts([clip], 64, 1, 0).batch(number) for number in range(40)]
    found = torch.cat([slopes(batch.before) for batch in batches])
    assert 0.8 < float(found.min()) < 1.1 and 2.5 < float(found.max()) < 1.1 * 960 / MOVING_SIDES[0]
    assert all(torch.equal(batch.before, batch.after) for batch in batches)


def test_a_clip_is_its_frames(clips):
    with open_source(BUNNY) as source:
        frames = list(itertools.islice(source, 9))
        assert len(clips[0].frames) == 9 and clips[0].size == (180, 320)
        for found, frame in zip(clips[0].frames, frames, strict=True):
            assert all(np.array_equal(found[name], plane) for name, plane in zip("yuv", frame.planes, strict=True))
    assert clips[1].size == (88, 158), "an odd row and column are cut off"


def test_clips_are_decoded_once(tmp_path, monkeypatch):
    first = load_clip(CITY, tmp_path, 960, 3)
    monkeypatch.setattr("nvcodec.training.excerpts.open_source", None)
    again = load_clip(CITY, tmp_path, 960, 3)
    assert np.array_equal(first.frames["y"], again.frames["y"]) and np.array_equal(first.rows, again.rows)
    with pytest.raises(TypeError):
        load_clip(CITY, tmp_path, 960, 4)


def test_a_clip_that_cannot_be_read_leaves_nothing(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("no video")
    with pytest.raises(SourceError):
        load_clip(path, tmp_path / "cache", 960, 3)
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(
    "info",
    [
        VideoInfo(40, 24, 10),
        VideoInfo(40, 24, 8, Chroma.GRAY),
        VideoInfo(40, 24, 8, Chroma.C422),
        VideoInfo(40, 24, 8, Chroma.C444, ColorInfo(matrix=0, range=Range.FULL)),
        VideoInfo(80, 48, 8),
    ],
)
def test_everything_becomes_8_bit_420(tmp_path, info):
    """A plain colour stays what it is."""
    peak = info.peak
    planes = [np.full(shape, value, info.dtype) for shape, value in zip(info.plane_shapes, (peak // 2,) * 3)]  # noqa: B905
    with open_sink(tmp_path / ("png" if info.is_rgb else "a.y4m"), info) as sink:
        sink.write(Frame(tuple(planes), 0))
    clip = load_clip(next(p for p in tmp_path.rglob("*") if p.is_file()), tmp_path / "cache", 40, 3)
    assert len(clip.frames) == 1 and clip.size == (24, 40)
    expected = 16 + 219 * 127 / 255 if info.is_rgb else 127.5
    assert clip.frames["y"][0] == pytest.approx(expected, abs=1)
    assert clip.frames["u"][0] == pytest.approx(128, abs=1) and clip.frames["v"].shape == (1, 12, 20)


def test_a_batch_is_of_the_clips(excerpts, some):
    batch, again = some[3], excerpts.batch(3)
    shapes = {f.name: tuple(getattr(batch, f.name).shape) for f in dataclasses.fields(Batch)}
    pictures = dict.fromkeys(("single", "before", "between", "after"), (2, 6, 16, 16))
    fields = dict.fromkeys(("between_before", "between_after", "after_before"), (2, 2, 2, 2))
    assert shapes == {**pictures, "single_rows": (2, 4, 3), "rows": (2, 4, 3), "octaves": (2,), **fields}
    assert float(batch.before.min()) >= -512 and float(batch.before.max()) <= 508
    assert all(torch.equal(getattr(again, name), getattr(batch, name)) for name in shapes)
    assert not torch.equal(some[4].before, batch.before)


def test_displacements_are_those_of_an_encoder(some):
    """Searched for the lambda of each excerpt."""
    octaves = torch.cat([batch.octaves for batch in some])
    assert float(octaves.min()) >= BETWEEN[0] and float(octaves.max()) <= BETWEEN[1] and len(octaves.unique()) == 12
    for batch in some[:3]:
        for n in range(2):
            one = {f.name: getattr(batch, f.name)[n : n + 1] for f in dataclasses.fields(Batch)}
            before, after = Reference(one["before"]), Reference(one["after"])
            lam = lambda_of(16 * float(one["octaves"]))
            assert torch.equal(search(one["after"], [before], lam)[0], one["after_before"])
            between = search(one["between"], [before, after], lam, midway(followed(one["after_before"], 1, 2), 1, 2))
            assert torch.equal(between[0], one["between_before"]) and torch.equal(between[1], one["between_after"])
    assert any(bool(batch.after_before.any()) for batch in some)


def test_excerpts_are_pictures_as_coded(clips):
    """The same planes through what decoders use."""
    one = Excerpts(clips[:1], 176, 1, 0)
    info = VideoInfo(176, 176)
    found = one.batch(0).single
    wanted = []
    for frame in clips[0].frames:
        for row, column in itertools.product((0, 2, 4), range(0, 146, 2)):
            cut = frame["y"][row : row + 176, column : column + 176]
            for plane in (cut, cut[:, ::-1], cut[::-1], cut[::-1, ::-1]):
                wanted += [plane, plane.T]
    luma = torch.nn.functional.pixel_shuffle(found[:, :4], 2)[0, 0]
    planes = (luma / 4 + 128).numpy().astype(np.uint8)
    assert any(np.array_equal(planes, plane) for plane in wanted)
    chroma = [(part / 4 + 128).numpy().astype(np.uint8) for part in (found[0, 4], found[0, 5])]
    assert torch.equal(found, to_picture((planes, *chroma), info, CPU))


def test_batches_come_in_order(excerpts, some):
    """The same ones, in threads that leave the number of those of a program as it is."""
    threads = torch.get_num_threads()
    made = batches(excerpts.batch, 1, CPU, 2)
    for expected, batch in zip(some[1:], made, strict=False):
        assert torch.equal(batch.after, expected.after) and torch.equal(batch.between_after, expected.between_after)
    made.close()
    assert torch.get_num_threads() == threads


def test_excerpts_that_there_are_not(clips):
    with pytest.raises(UsageError, match="multiple of 16"):
        Excerpts(clips, 40, 1, 0)
    with pytest.raises(UsageError, match="no clip has three frames of at least 192"):
        Excerpts(clips, 192, 1, 0)
    still = dataclasses.replace(clips[0], frames=clips[0].frames[:2])
    with pytest.raises(UsageError, match="no clip"):
        Excerpts([still], 32, 1, 0)
    assert Excerpts([still, clips[1]], 32, 1, 0).batch(0)


# Networks -------------------------------------------------------------------------------------------------------------


def test_integers_are_a_network():
    prior = Prior(SMALL)
    found = prior.integers()
    assert [q.shape for q in found] == [t.shape for t in prior.model.tensors]
    prior.model.check(weights_of(prior))
    assert same(prior, Prior(SMALL)) and not same(prior, Prior(SMALL, 1))


@pytest.mark.parametrize("size", [3.0, 1e3])
def test_projection_keeps_sums_exact(size):
    """Whatever training did, and hardly more than that."""
    prior = Prior(SMALL)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in prior.values.values():
            value.copy_(torch.randn(value.shape, generator=generator) * size)
    with pytest.raises(MalformedError, match="not exact"):
        prior.model.check(weights_of(prior))
    prior.project()
    prior.model.check(weights_of(prior))
    priors.pack(prior.integers())
    weights = weights_of(prior)
    name, layer = "intra.mix2", prior.model.layers["intra.mix2"]
    rows = weights[f"{name}.weight"].abs().flatten(1).sum(1) * layer.reach + 256 * weights[f"{name}.bias"].abs()
    assert float(rows.max()) > 0.9 * EXACT_SUMS
    before = prior.integers()
    prior.project()
    assert all(np.abs(a - b).max() <= 1 for a, b in zip(before, prior.integers(), strict=True))


def test_a_quality_is_tuned_as_in_the_tables():
    prior = Prior(SMALL)
    with torch.no_grad():
        prior.values["inter_steps"].copy_(torch.tensor([[1.0, 0.2], [3.5, -0.3], [9.0, 0.0]]))
        prior.values["inter_start"].copy_(torch.randn(KNOTS, 8, generator=torch.Generator().manual_seed(2)))
    assert prior.values["intra_start"].shape == (KNOTS, 9) and prior.values["intra_steps"].shape == (3, 2)
    weights = weights_of(prior)
    for quality in (0, 16, 63, 95):
        with torch.no_grad():
            learned = prior.tuning(False, torch.tensor([quality / 16, 0.0]))
        tabled = prior.model.tuning(weights, False, quality)
        for step, expected in zip(learned.steps, tabled.steps, strict=True):
            assert step.shape == (2, 1, 1, 1) and float(step[0].round()) == expected
        assert torch.equal(learned.start[:1].round(), tabled.start)
    steps, starts, knots = weights["inter.steps"], weights["inter.start"], prior.values["inter_start"].detach()
    assert float(steps[1, 16] / steps[1, 0]) == pytest.approx(2**0.7, rel=0.01) and float(steps.max()) == 1500
    assert torch.allclose(starts[::16], 512 * knots[:-1], atol=0.5)
    assert torch.allclose(starts[40], 256 * (knots[2] + knots[3]), atol=0.5)


def test_distortion_is_that_of_rgb_and_of_luma():
    """Of a change of one sample, by hand: BT.709, limited range."""
    a, b = torch.zeros(2, 6, 8, 8), torch.zeros(2, 6, 8, 8)
    b[0, 0, 0, 0] = 4.0  # one code value of luma
    b[1, 5, 3, 3] = 4.0  # of Cr
    rows = torch.tensor(distortion_rows(VideoInfo(1280, 720))).expand(2, 4, 3)
    found = distortion((a - b) / 4, rows)
    assert float(found[0]) == pytest.approx((0.35 / 219**2 + 0.65 / 255**2) / 256, rel=1e-4)
    red, green = 2 * (1 - 0.2126) / 224, 2 * (1 - 0.2126) * 0.2126 / 0.7152 / 224
    assert float(found[1]) == pytest.approx(0.35 * 4 * (red**2 + green**2) / (3 * 256), rel=1e-4)


# Training -------------------------------------------------------------------------------------------------------------


def costs(prior, batch):
    """Mean logarithms of what is minimised, by the number of references; at the same qualities whenever asked."""
    trainer = PriorTrainer(prior, CPU)
    trainer._generator.manual_seed(9)
    with torch.no_grad():
        for _ in range(2):  # frames between others are a step late
            trainer.meter.take()
            trainer.loss(batch)
    seen = trainer.meter.take()
    return np.array([seen[f"{kind} cost"] for kind in KINDS])


def test_weights_are_integers_with_gradients():
    """Those of a file, through which gradients pass as if nothing were rounded."""
    prior = Prior(McConfig(), 2)
    weights = prior.weights()
    for t, q in zip(prior.model.tensors, prior.integers(), strict=True):
        if not t.name.endswith((".steps", ".start")):
            assert np.array_equal(weights[t.name].detach().numpy(), q), t.name
    weights["intra.direct3.weight"].sum().backward()
    gradient = prior.values["intra_direct3_weight"].grad
    assert torch.equal(gradient, torch.full_like(gradient, 2048.0)), "what a precise layer has as 1"
    assert prior.one("intra.direct3.bias") == 512 and prior.one("inter.direct2.weight") == 256


@pytest.mark.parametrize("octaves", [0.0, 0.25, 1.0, 4.5, 6.0, -1.0, 9.0])
def test_lines_between_knots(octaves):
    knots = torch.randn(KNOTS, 3, generator=torch.Generator().manual_seed(1))
    expected = [np.interp(octaves, np.arange(KNOTS), knots[:, c].numpy()) for c in range(3)]
    found = between(knots, torch.tensor([octaves, 2.0]))
    assert found.shape == (2, 3) and torch.equal(found[1], knots[2])
    assert np.allclose(found[0].numpy(), expected, atol=1e-6)


def test_what_the_analysis_learns_of_a_quality():
    """Gains and tones, which are those of the knots around it."""
    networks = Prior(McConfig(), 6).analyses
    target = torch.randn(2, 6, 16, 16, generator=torch.Generator().manual_seed(3)) * 300
    octaves = torch.tensor([0.5, 4.0])
    with torch.no_grad():
        before = networks(target, None, octaves)
        networks.intra.gains["3"][4] = 2.0
        after = networks(target, None, octaves)
        assert torch.equal(before[3][0], after[3][0]) and torch.allclose(2 * before[3][1], after[3][1], rtol=1e-5)
        assert all(torch.equal(before[level], after[level]) for level in (5, 4))
        networks.intra.leave["5"].weight.normal_()
        networks.intra.tones[1] = 3.0
        first = networks(target, None, octaves)
        networks.intra.tones[1] = 0.0
        second = networks(target, None, octaves)
    assert not torch.allclose(first[5][0], second[5][0]) and torch.equal(first[5][1], second[5][1])


def test_training_lowers_the_cost(some):
    """Of a batch that is not trained on, where the transforms that it begins with are spoiled."""
    prior = Prior(SMALL)
    with torch.no_grad():
        for name, value in prior.named_parameters():
            if "intra_direct" in name or "wards" in name:
                value.mul_(0.2)
    before = costs(prior, some[5])
    trainer = PriorTrainer(prior, CPU, 2e-2, 2e-2)
    for number in range(40):
        trainer.step(some[number % 5], number / 40)
    assert np.all(costs(prior, some[5]) < before - (0.1, 0.2, 0.2))
    seen = trainer.meter.take()
    assert {"intra mse", "one bpp", "two cost"} <= seen.keys() and not trainer.meter.take()
    prior.project()
    prior.model.check(weights_of(prior))


def test_references_are_mostly_finer(some):
    trainer = PriorTrainer(Prior(SMALL), CPU)
    seen = []
    trainer.prior.tuning = lambda intra, octaves: seen.append(octaves) or Prior.tuning(trainer.prior, intra, octaves)
    for batch in some[:2]:
        trainer.loss(batch)
    (first, after), (_, later) = seen[:2], seen[2:]
    single, before, between = first[:2], first[2:], some[0].octaves
    assert 0 <= float(single.min()) and float(single.max()) <= OCTAVES
    assert torch.equal(later[2:], between), "coded a step later than its references"
    for finer, coarser, low, high in ((after, between, -1.2, 0.0), (before, after, -1.6, 0.2)):
        assert bool((finer >= (coarser + low).clamp(0, MOST_OCTAVES)).all())
        assert bool((finer <= (coarser + high).clamp(0, MOST_OCTAVES)).all())


def trained(trainer):
    """The names of all parameters but those of the flow network."""
    return [name for name, _ in trainer.prior.named_parameters() if not name.startswith("values.flow_")]


def test_what_muon_takes():
    """All weights, those of transforms among them, and no tables."""
    trainer = PriorTrainer(Prior(SMALL), CPU)
    names = trained(trainer)
    taken = {name for name, matrix in zip(names, trainer._optimizer.matrix, strict=True) if matrix}
    transforms = {f"analyses.intra.{way}" for way in "forwards.5 forwards.4 forwards.3 backwards.5 backwards.4".split()}
    assert transforms <= set(names) and taken == {name for name in names if name.endswith("weight")} | transforms


def test_linear_ways_learn_slowly():
    trainer = PriorTrainer(Prior(SMALL), CPU, 0.5, 0.25)
    names = trained(trainer)
    rates = dict(zip(names, trainer._optimizer.rates, strict=True))
    assert rates["analyses.intra.forwards.4"] == rates["values.inter_direct2_weight"] == 0.25 * SLOWER
    assert rates["values.intra_latent4_weight"] == 0.25
    assert rates["values.intra_direct3_bias"] == rates["analyses.intra.gains.3"] == 0.5


def test_everything_is_trained(clips):
    """On excerpts with more than one of the largest cells."""
    prior, excerpts = Prior(SMALL), Excerpts(clips, 64, 2, 5)
    with torch.no_grad():
        for name, value in prior.analyses.named_parameters():
            if "leave" in name:  # so that no latents are all 0
                value.mul_(20)
    trainer = PriorTrainer(prior, CPU)
    before = {name: value.detach().clone() for name, value in prior.named_parameters()}
    for number in range(5):
        trainer.step(excerpts.batch(number), 0.0)
    moved = [name for name, value in prior.named_parameters() if not torch.equal(value, before[name])]
    assert moved == trained(trainer)


def test_laws_alone_change_no_picture(some, tmp_path):
    prior = Prior(SMALL)
    trainer = PriorTrainer(prior, CPU, 1e-2, 1e-2)
    for batch in some[:5]:
        trainer.step(batch, 0.0)
    trainer.save(tmp_path / "all.npz")
    prior.project()
    before = {name: value.detach().clone() for name, value in prior.named_parameters()}
    laws = PriorTrainer(prior, CPU, 1e-2, 1e-2, laws=True)

    def seen():
        laws._between, laws.done = None, 0
        laws.meter.take()
        laws._generator.manual_seed(1)
        with torch.no_grad():
            for _ in range(2):
                laws.loss(some[5])
        return laws.meter.take()

    first = seen()
    for number in range(20):
        laws.step(some[number % 5], number / 20)
    last = seen()
    for kind in KINDS:
        assert last[f"{kind} mse"] == first[f"{kind} mse"]
        assert last[f"{kind} bpp"] < first[f"{kind} bpp"]
    moved = {name for name, value in prior.named_parameters() if not torch.equal(value, before[name])}
    assert moved and all(LAWS.match(name) for name in moved)
    assert {f"values.intra_{name}_weight" for name in ("first5", "near4", "mid3", "first3b", "second3c")} <= moved
    with pytest.raises(SourceError, match="as an origin"):
        laws.resume(tmp_path / "all.npz")


class Waits(TorchDispatchMode):
    """Counts what would make a program wait for its GPU: values that are read, and sizes that depend on them."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        if any(word in name for word in ("_local_scalar_dense", "nonzero", "masked_select", "unique", "item")):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def test_a_step_waits_for_no_device(some):
    trainer = PriorTrainer(Prior(SMALL), CPU)
    with Waits() as waits:
        float(torch.ones(1).sum())
    assert waits.found
    trainer.step(some[0], 0.0)  # what is kept for next time is made
    trainer.done = PROJECT_EVERY - 1
    with Waits() as waits:
        for batch in some[1:3]:  # projection, then displacements
            trainer.step(batch, 0.5)
    assert not waits.found


def test_a_checkpoint_goes_on_as_if_nothing_had_happened(some, tmp_path):
    """But for the frames between others, which wait for a step and are not kept."""
    trainer = PriorTrainer(Prior(SMALL), CPU, seed=3)
    for batch in some[:3]:
        trainer.step(batch, 0.1)
    trainer.seconds = 12.5
    trainer.save(tmp_path / "a.npz")
    again = PriorTrainer(load_prior(tmp_path / "a.npz"), CPU, seed=3)
    again.resume(tmp_path / "a.npz")
    assert same(trainer.prior, again.prior) and again.prior.config == SMALL
    assert (again.done, again.seconds) == (3, 12.5)
    trainer._between = None
    for batch in some[3:5]:
        trainer.step(batch, 0.2)
        again.step(batch, 0.2)
    assert same(trainer.prior, again.prior)


def test_what_is_no_checkpoint(tmp_path):
    (tmp_path / "text").write_text("x")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.savez(tmp_path / "half.npz", config=np.array(SMALL.values))
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("nowhere", "text", "other.npz", "half.npz", "array.npy"):
        with pytest.raises(SourceError, match="not a checkpoint"):
            load_prior(tmp_path / name)


# What becomes of it ---------------------------------------------------------------------------------------------------


def sized(**widths):
    return dataclasses.replace(SMALL, **widths)


def test_wider_networks_begin_as_what_they_were(some):
    prior = Prior(SMALL, 4)
    with torch.no_grad():
        for name, value in prior.named_parameters():
            if "leave" in name:  # so that no latents are all 0
                value.mul_(20)
    wider = widened(prior, sized(width=11, half=9, intra_width=14, intra_half=8), 1)
    assert np.allclose(costs(wider, some[0]), costs(prior, some[0]), atol=1e-4)
    trainer = PriorTrainer(wider, CPU, 1e-2, 1e-2)
    for number in range(4):
        trainer.step(some[number], 0.0)
    for name in ("intra_mix3", "intra_first3", "inter_mix2", "inter_last"):
        unheard = wider.values[f"{name}_weight"].detach()[: 2 if "first" in name else 7, -1]
        assert bool(unheard.any()), "new channels come to be heard"


def test_a_wider_network_is_released_beside_the_others(package):
    """These are, to the integer, what a release with narrower ones has."""
    narrow, wide = Prior(sized(intra_width=8), 1), Prior(SMALL, 2)
    names = [t.name for t in narrow.model.tensors]
    origin = export(narrow, priors.PATHS[0], analysis.FOLDER)
    found = export(wide, priors.PATHS[0], analysis.FOLDER, origin, "intra", True, narrow.config)
    before, after, own = (
        dict(zip(names, latents, strict=True))
        for latents in (
            priors.load(origin, narrow.model.tensors), priors.load(found, wide.model.tensors), wide.integers()
        )
    )  # fmt: skip
    assert all(np.array_equal(after[n], (own if n.startswith("intra.") else before)[n]) for n in names)


@pytest.mark.parametrize("config", [sized(intra_width=8), sized(intra_high=8), sized(flow=5), sized(group=8)])
def test_what_is_not_wider(config):
    with pytest.raises(ValueError):
        widened(Prior(SMALL), config)


def test_training_in_bfloat16_learns_the_same(excerpts):
    """To within what its roundings are: costs of a step, and the directions that parameters move in."""
    stills, found = [excerpts.stills(number) for number in range(3)], []
    for brief in (False, True):
        prior = Prior(SMALL, 2)
        trainer = PriorTrainer(prior, CPU, 1e-3, 1e-3, only="intra", brief=brief)
        for batch in stills:
            trainer.step(batch, 0.0)
        moved = [prior.state_dict()[n] - value for n, value in Prior(SMALL, 2).state_dict().items()]
        found.append((trainer.meter.take()["intra cost"], torch.cat([m.flatten() for m in moved])))
    assert found[0][0] != found[1][0] and found[0][0] == pytest.approx(found[1][0], abs=0.02)
    assert float(torch.cosine_similarity(found[0][1], found[1][1], dim=0)) > 0.9


def test_analyses_in_bfloat16_end_in_float32():
    """What becomes latents has all of its bits, of both kinds of frames."""
    networks = Prior(SMALL, 3).analyses
    target, prediction = torch.randn(2, 6, 32, 32) * 300, torch.randn(2, 12, 32, 32) * 300
    octaves = torch.tensor([0.5, 3.0])
    for predicted in (None, prediction):
        with torch.no_grad():
            exact = networks(target, predicted, octaves)
            with torch.autocast("cpu", torch.bfloat16):
                brief = networks(target, predicted, octaves)
        for level, latents in exact.items():
            assert brief[level].dtype == torch.float32
            assert not bool((brief[level] == brief[level].bfloat16()).all())
            assert float((brief[level] - latents).abs().max()) < 0.03 * float(latents.abs().max())


def one_of_two(number, folder):
    """A process that trains with another, on excerpts of its own."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=number, world_size=2)
    trainer = PriorTrainer(Prior(SMALL, 2), CPU, 1e-3, 1e-3, only="intra")
    excerpts = Excerpts([load_clip(BUNNY, folder, 960, 3)], 32, 2, number)
    for step in range(2):
        trainer.step(excerpts.stills(step), 0.0)
        np.savez(folder / f"{number}.{step}.npz", cost=trainer.meter.take()["intra cost"], **trainer.prior.state_dict())
    distributed.destroy_process_group()


def test_processes_train_one_prior(tmp_path):
    load_clip(BUNNY, tmp_path, 960, 3)
    multiprocessing.spawn(one_of_two, (tmp_path,), 2)
    for step in range(2):
        first, second = (dict(np.load(tmp_path / f"{number}.{step}.npz")) for number in range(2))
        assert first.pop("cost") != second.pop("cost"), "on other excerpts"
        assert all(np.array_equal(first[name], second[name]) for name in first)
    began = Prior(SMALL, 2).state_dict()
    assert any(not np.array_equal(first[name], value.numpy()) for name, value in began.items())


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Folders in place of those of the package, and a module that names the prior."""
    own_package(tmp_path, monkeypatch)
    return tmp_path


def test_an_exported_prior_encodes(package, tmp_path, monkeypatch):
    prior = Prior(McConfig(), 4)
    name = export(prior, priors.PATHS[0], analysis.FOLDER)
    loaded = priors.load(name, prior.model.tensors)
    assert all(np.array_equal(a, b) for a, b in zip(loaded, prior.integers(), strict=True))
    found, target = analysis.load_analyses(name, prior.config), torch.full((1, 6, 16, 16), 300.0)
    octaves = torch.tensor([1.3])
    with torch.no_grad():
        known = prior.analyses(target, None, octaves)
        for value in prior.analyses.parameters():
            value.copy_(value.half().float())
        for prediction in (None, torch.full((1, 12, 16, 16), -200.0)):
            wanted, given = (networks(target, prediction, octaves) for networks in (prior.analyses, found))
            assert wanted.keys() == given.keys() and all(torch.equal(wanted[level], v) for level, v in given.items())
        wanted = found(target, None, octaves)
        assert all(torch.allclose(wanted[level], value, rtol=0.01, atol=1.0) for level, value in known.items())
    monkeypatch.setattr(plan, "PRIOR", name)
    clip = write_clip(tmp_path / "a.y4m", 64, 48)
    settings = nvcodec.EncodeSettings(
        model="mc", preset="ultrafast", psnr=20.0, stop=3, steps_first=1, steps_next=1, threads=1
    )
    report = nvcodec.encode(clip, tmp_path / "a.nvc", settings)
    with nvcodec.open(tmp_path / "a.nvc") as video:
        assert len(list(video.frames())) == 3
    assert nvcodec.info(tmp_path / "a.nvc").models[0].prior == name and report is not None


def test_the_prior_of_the_package_can_be_trained_on():
    """It becomes real numbers, and those the same integers but for its tables, which hardly differ; and sums that are
    nearly too large become smaller by as little."""
    prior = restore(network.PRIOR, McConfig())
    released, found = priors.load(network.PRIOR, prior.model.tensors), analysis.load_analyses(network.PRIOR, McConfig())
    assert same(prior.analyses, found) and all(p.requires_grad for p in prior.parameters())
    for most in (0, 1):
        for t, q, expected in zip(prior.model.tensors, prior.integers(), released, strict=True):
            if t.name.endswith(".steps"):
                assert np.all(np.abs(q - expected) <= np.maximum(1, 0.01 * expected)), t.name
            else:
                most_off = max(most, t.name.endswith(".start"), 0.01 * most * np.abs(expected).max())
                assert np.abs(q - expected).max() <= most_off, t.name
        prior.project()


def test_steps_that_were_clamped_are_restored(package):
    prior = Prior(SMALL, 7)
    with torch.no_grad():
        prior.values["intra_steps"].copy_(torch.tensor([[4.0, 0.1], [-9.0, 0.3], [9.0, 0.0]]))
    again = restore(export(prior, priors.PATHS[0], analysis.FOLDER), SMALL)
    before, after = weights_of(prior)["intra.steps"], weights_of(again)["intra.steps"]
    assert float((before - after).abs().max()) <= 1 and float(before.min()) == 1 and float(before.max()) == 1500
    assert torch.allclose(again.values["intra_steps"][0], prior.values["intra_steps"][0], atol=0.01)


def run(*words):
    return CliRunner().invoke(train_prior.main, [str(word) for word in words])


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Arguments of a short run, of a small network, which leaves signals as they are."""
    monkeypatch.setattr(train_prior, "McConfig", lambda: SMALL)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    threads = torch.get_num_threads()
    yield (
        BUNNY.parent, "--checkpoint", tmp_path / "a.npz", "--cache", tmp_path / "cache", "--crop", 32, "--batch", 1,
        "--device", "cpu", "--frames", 5, "--threads", 1, "--every", 2,
    )  # fmt: skip
    torch.set_num_threads(threads)


def test_the_tool_trains_and_goes_on(quick, package, tmp_path, monkeypatch):
    done = run(*quick, "--steps", 4)
    assert done.exit_code == 0, done.output
    assert "left out: " in done.output and "ATTRIBUTION.md" in done.output
    assert "50.0%" not in done.output and "step 4" in done.output and "a.npz: 4 steps in" in done.output
    again = run(*quick, "--steps", 6, "--export")
    assert again.exit_code == 0, again.output
    assert "step 6" in again.output and "step 2" not in again.output
    (path,) = priors.PATHS[0].iterdir()
    assert f'PRIOR = bytes.fromhex("{path.stem}")' in (package / "mc.py").read_text()
    assert f"| `{path.stem}` | mc | 16 4 8 8 4 3 2 9 7 4 13 5 6 7 | {path.stat().st_size} |" in again.output
    other = run(*(tmp_path / "b.npz" if word == tmp_path / "a.npz" else word for word in quick),
                "--steps", 1, "--from", tmp_path / "a.npz")  # fmt: skip
    assert other.exit_code == 0 and "b.npz: 1 steps in" in other.output
    monkeypatch.setattr(network, "PRIOR", bytes.fromhex(path.stem))
    third = run(*(tmp_path / "c.npz" if word == tmp_path / "a.npz" else word for word in quick),
                "--steps", 1, "--from-package", "--rate", 1e-9, "--muon-rate", 1e-9)  # fmt: skip
    assert third.exit_code == 0, third.output
    before, after = (weights_of(load_prior(tmp_path / name)) for name in ("a.npz", "c.npz"))
    assert all(float((before[name] - after[name]).abs().max()) <= 1 for name in before)


def test_the_tool_trains_intra_frames_alone(quick, tmp_path):
    done = run(*quick, "--steps", 2, "--only", "intra")
    assert done.exit_code == 0 and "  intra " in done.output and "  one " not in done.output, done.output
    began, found = Prior(SMALL, 0), load_prior(tmp_path / "a.npz")
    for (name, before), after in zip(began.named_parameters(), found.parameters(), strict=True):
        trained = name.startswith(("values.intra_", "analyses.intra."))
        assert trained or torch.equal(before, after), name
    assert not torch.equal(began.values["intra_direct3_weight"], found.values["intra_direct3_weight"])
    again = run(*quick, "--steps", 3)
    assert again.exit_code == 1 and "other --laws or --only" in again.output


def test_the_tool_uses_batches_again(quick, monkeypatch):
    made = []
    stills = Excerpts.stills
    monkeypatch.setattr(Excerpts, "stills", lambda self, number: made.append(number) or stills(self, number))
    done = run(*quick, "--steps", 5, "--only", "intra", "--pool", 2)
    assert done.exit_code == 0, done.output
    assert sorted(made) == [0, 1]


@pytest.mark.parametrize(
    "falling, rates",
    [(1.0, [1.0, 0.85, 0.5, 0.15, 0.0]), (0.5, [1.0, 1.0, 1.0, 0.5, 0.0]), (0.0, [1.0] * 5)],
)
def test_rates_fall_in_the_last_part(falling, rates):
    assert [decay(part / 4, falling) for part in range(5)] == pytest.approx(rates, abs=LEAST_RATE + 0.005)
    assert decay(1.5, falling) == decay(1.0, falling)


def test_the_tool_keeps_rates(quick, tmp_path):
    """A run of which all is a fall moves weights less than one that keeps its rates."""
    moved = {}
    for falling in (0, 1):
        path = tmp_path / f"{falling}.npz"
        done = run(*quick[:2], path, *quick[3:], "--steps", 12, "--only", "intra", "--falling", falling)
        assert done.exit_code == 0, done.output
        began, found = Prior(SMALL, 0).parameters(), load_prior(path).parameters()
        moved[falling] = sum(float((p - q).detach().square().sum()) for p, q in zip(began, found, strict=True))
    assert moved[1] < 0.8 * moved[0]


def test_the_tool_goes_on_from_narrower_networks(quick, tmp_path):
    paths = [tmp_path / "narrow.npz", tmp_path / "wide.npz"]
    for path, width in zip(paths, (8, 10), strict=True):
        PriorTrainer(Prior(sized(intra_width=width)), CPU).save(path)
    done = run(*quick, "--steps", 1, "--only", "intra", "--bfloat16", "--from", paths[0])
    assert done.exit_code == 0, done.output
    assert load_prior(tmp_path / "a.npz").config == SMALL
    done = run(*quick[:2], tmp_path / "b.npz", *quick[3:], "--steps", 1, "--from", paths[1])
    assert done.exit_code == 1 and "or are wider" in done.output


def test_single_frames_end_anywhere_in_a_cell(excerpts, monkeypatch):
    """Sizes differ from step to step, by less than a cell of the coarsest latents; what is beyond is not rated."""
    seen = []

    class Sized(Mc):
        def __init__(self, config, height, width):
            super().__init__(config, height, width)
            seen.append((height, width))

    monkeypatch.setattr("nvcodec.training.prior_fit.Mc", Sized)
    trainer = PriorTrainer(Prior(SMALL), CPU, 1e-3, 1e-3, only="intra")
    for number in range(12):
        trainer.step(excerpts.stills(number), 0.0)
    size = 2 * excerpts.stills(0).single.shape[-1]
    assert all(size - 32 < side <= size and side % 2 == 0 for sides in seen for side in sides)
    assert len(set(seen)) > 5 and any((size - side) % 32 >= 16 for sides in seen for side in sides)
    monkeypatch.setattr("nvcodec.training.prior_fit.CUT", 0.0)
    seen.clear()
    trainer.step(excerpts.stills(0), 0.0)
    assert seen == [(size, size)]


def test_the_mean_of_two_runs_is_released(quick, package, tmp_path, monkeypatch):
    """The networks of intra frames, with their tables; all else stays as the package has it, to the integer."""
    monkeypatch.setattr(network, "PRIOR", export(Prior(SMALL, 5), priors.PATHS[0], analysis.FOLDER))
    released = priors.load(network.PRIOR, Prior(SMALL).model.tensors)
    paths = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for number, path in enumerate(paths):
        done = run(*(path if word == paths[0] else word for word in quick), "--steps", 2, "--only", "intra",
                   "--from-package", "--seed", number, "--rate", 1e-2)  # fmt: skip
        assert done.exit_code == 0, done.output
    done = run(*(tmp_path / "c.npz" if word == paths[0] else word for word in quick), "--steps", 1, "--only", "intra",
               "--from", paths[0], "--from", paths[1], "--rate", 1e-9, "--muon-rate", 1e-9, "--export")  # fmt: skip
    assert done.exit_code == 0, done.output
    a, b, c = (load_prior(path).state_dict() for path in (*paths, tmp_path / "c.npz"))
    for name in c:
        assert torch.allclose(c[name], (a[name] + b[name]) / 2, atol=1e-5), name
    assert not torch.allclose(a["values.intra_direct3_weight"], b["values.intra_direct3_weight"])
    name = bytes.fromhex(re.search('PRIOR = bytes.fromhex\\("(\\w+)"', (package / "mc.py").read_text())[1])
    prior = load_prior(tmp_path / "c.npz")
    for t, old, new, own in zip(
        prior.model.tensors, released, priors.load(name, prior.model.tensors), prior.integers(), strict=True
    ):
        assert np.array_equal(new, own if t.name.startswith("intra.") else old), t.name


def test_networks_of_predicted_frames_alone(some):
    """All of them, and no others; frames are coded as they are without it."""
    prior = Prior(SMALL)
    before = {name: value.detach().clone() for name, value in prior.named_parameters()}
    trainer = PriorTrainer(prior, CPU, 1e-2, 1e-2, only="inter")
    for batch in some[:4]:
        trainer.step(batch, 0.0)
    moved = {name for name, value in prior.named_parameters() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith(("values.inter_", "analyses.inter.")) for name in moved)
    assert {"values.inter_direct2_weight", "analyses.inter.enter.weight"} <= moved
    assert {"intra cost", "one cost", "two cost"} <= trainer.meter.take().keys()


def test_the_tool_stops_at_a_signal(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda number, catch: catch(number, None))
    done = run(*quick, "--minutes", 10)
    assert done.exit_code == 130 and "0 steps" in done.output and (tmp_path / "a.npz").is_file()


def test_what_the_tool_refuses(quick, tmp_path):
    for words, why in (
        (quick, "say how long"),
        (quick[1:3], "no clips to train on"),
        ((*quick[1:3], "--export"), "not a checkpoint"),
        ((*quick, "--steps", 1, "--crop", 33), "multiple of 16"),
        ((*quick, "--steps", 1, "--from", tmp_path, "--from-package"), "give one"),
    ):
        done = run(*words)
        assert done.exit_code == 1 and why in done.output, done.output


def test_progress_is_told(some):
    trainer = PriorTrainer(Prior(SMALL), CPU)
    trainer.step(some[0], 0.0)
    told = train_prior.line(trainer, 0.25)
    assert (
        told.startswith(" 25.0%  step 1") and "intra" in told and "two" not in told and math.isfinite(trainer.seconds)
    )
