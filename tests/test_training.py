"""The loss that is trained is the one that is written, and the training loop does what it says."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from fit_samples import Pictures, alone, setting
from hypothesis import given, settings
from hypothesis import strategies as st

from nvcodec.entropy import tables
from nvcodec.entropy.tensors import IntegerTensor, code_length
from nvcodec.errors import UsageError
from nvcodec.models import weights
from nvcodec.training.fit import FitResult, Member, fit, pictures, schedule
from nvcodec.training.optim import Optimizer, orthogonalise
from nvcodec.training.presets import PRESETS, check_preset
from nvcodec.training.rate import K_MAX, ResidualRate
from nvcodec.training.search import fit_to_psnr
from nvcodec.training.settings import FitSettings


def run(how, start=None, watch=lambda *_: None):
    model, base, scratch, target, mask = setting()
    return alone(model, start or scratch, base, target, mask, how, watch)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 100))
def test_orthogonalised_updates(rows, columns, seed):
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    values = torch.linalg.svdvals(orthogonalise(matrix))
    condition = torch.linalg.svdvals(matrix)
    kept = values[condition > 0.05 * condition.max()]  # tiny directions are still on their way up
    assert kept.max() < 1.3 and kept.min() > 0.3


def test_updates_have_the_learning_rates_size():
    for muon, shape in ((True, (20, 30)), (True, (8, 4, 3, 3)), (False, (20, 30)), (True, (50,))):
        p = torch.zeros(shape)
        optimizer = Optimizer([p], [0.1], [muon])
        p.grad = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 1e-6
        optimizer.step(0.5)
        assert p.square().mean().sqrt().item() == pytest.approx(0.05, rel=0.3)


def test_zero_gradients_move_nothing():
    for muon in (True, False):
        p = torch.ones(4, 4)
        optimizer = Optimizer([p], [0.1], [muon])
        p.grad = torch.zeros(4, 4)
        optimizer.step(1.0)
        assert torch.equal(p, torch.ones(4, 4)) and bool(torch.as_tensor(optimizer.gains[0]).isfinite().all())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 30))
def test_rate_is_the_coders(seed, scale):
    """The estimate that training uses is at least what the coder needs, and not far above."""
    residual = np.random.default_rng(seed).laplace(0, scale, (60, 50)).round().astype(np.int32)
    base = np.random.default_rng(seed + 1).integers(-50, 50, (60, 50)).astype(np.int32)
    rate = ResidualRate([torch.from_numpy(base.astype(np.float32))])
    rate.refresh([torch.from_numpy((base + residual).astype(np.float32))])
    real = code_length([IntegerTensor(residual)])
    assert real * 0.97 - 50 < rate.bits < real * 1.03 + 50


def test_slopes_are_those_of_the_table():
    residual = np.random.default_rng(0).geometric(0.4, 5000).astype(np.int32) - 1
    rate = ResidualRate([torch.zeros(5000)])
    rate.refresh([torch.from_numpy(residual.astype(np.float32))])
    z, d = tables.fit(tables.histogram(residual, K_MAX))
    bits = tables.bits(z, d, K_MAX)
    assert rate.slopes == [(bits[1] - bits[0], bits[2] - bits[1])]


def test_shrinking_stops_at_the_base():
    base = torch.tensor([3.0, -2.0, 0.0, 10.0])
    latent = torch.tensor([3.4, -2.2, 0.0, 14.0])
    rate = ResidualRate([base])
    rate.slopes = [(4.0, 1.0)]
    rate.shrink([latent], [0.1])
    assert torch.allclose(latent, torch.tensor([3.0, -2.0, 0.0, 13.9]))


def test_bits_never_drive_residuals_apart():
    """Where zeros are rarer than ones, a zero is the dearer symbol; moving away from it would never end."""
    latent = torch.where(torch.arange(400) % 2 == 0, 1.0, -1.0)
    rate = ResidualRate([torch.zeros(400)])
    rate.refresh([latent])
    z, d = tables.fit(tables.histogram(latent.numpy().astype(np.int32), K_MAX))
    assert tables.bits(z, d, K_MAX)[1] < tables.bits(z, d, K_MAX)[0]
    rate.shrink([latent], [1e6])
    assert latent.abs().max() <= 1


@pytest.mark.parametrize("rate", [30.0, math.nan])
def test_training_that_makes_it_worse_is_undone(rate):
    """A group that inherits then costs next to nothing, and is no worse than the one before."""
    model, _, _, target, mask = setting()
    before = run(FitSettings(60, lam=1e-5)).parameters
    seen = []
    how = FitSettings(20, muon=False, rate=rate, lam=1e-5)
    result = alone(model, before, before.latents, target, mask, how, lambda *event: seen.append(event))
    assert len(seen) < 20 or seen[-1][1] > seen[0][1], "the example is one that diverges"
    assert result.mse == pytest.approx(seen[0][1], rel=1e-4)
    for found, start in zip(result.parameters.latents, before.latents, strict=True):
        assert np.array_equal(found, start)
    assert result.bits < 20 * len(before.latents)


def test_minibatches_that_make_it_worse_are_undone():
    model, _, _, target, mask = setting()
    before = run(FitSettings(60, lam=1e-5)).parameters
    how = FitSettings(20, muon=False, rate=30.0, lam=1e-5, frames_per_step=1)
    result = alone(model, before, before.latents, target, mask, how, lambda *_: None)
    assert all(np.array_equal(a, b) for a, b in zip(result.parameters.latents, before.latents, strict=True))


def test_noisy_gradient_pulls_towards_the_base():
    base = torch.zeros(2000)
    latent = torch.cat((torch.full((1000,), 5.0), torch.full((1000,), -0.9)))
    latent.grad = torch.zeros(2000)
    rate = ResidualRate([base])
    rate.slopes = [(4.0, 1.0)]
    rate.add_gradient([latent], 0.5, torch.Generator().manual_seed(0))
    assert torch.allclose(latent.grad[:1000], torch.tensor(0.5))
    # U(-1/2, 1/2) leaves -0.9 beyond -1 four times in ten
    assert latent.grad[1000:].mean().item() == pytest.approx(-0.5 * (0.6 * 4 + 0.4 * 1), abs=0.1)


def test_training_output_is_that_of_the_integers():
    result = run(FitSettings(40, lam=1e-5, learn_steps=True))
    model, _, _, target, mask = setting()
    stored = [
        weights.dequantise(q, step) for q, step in zip(result.parameters.latents, result.parameters.steps, strict=True)
    ]
    again = model.predict(stored, range(2), range(model.cells))
    assert torch.equal(again, pictures(model, result.weights, range(2), mask))
    error = ((again - target.cells).square() * mask).sum() / (mask.sum() * 6)
    assert result.mse == pytest.approx(error.item(), rel=1e-4)


@pytest.mark.parametrize("muon", [True, False])
def test_training_learns_and_is_deterministic(muon):
    rate = 0.03 if muon else 2e-3
    seen = []
    one = run(
        FitSettings(120, muon=muon, proximal=muon, relative=muon, rate=rate, lam=1e-5), watch=lambda *e: seen.append(e)
    )
    two = run(FitSettings(120, muon=muon, proximal=muon, relative=muon, rate=rate, lam=1e-5))
    assert [e[0] for e in seen] == list(range(120))
    assert one.mse < 0.3 * seen[0][1]
    for a, b in zip(one.parameters.latents, two.parameters.latents, strict=True):
        assert np.array_equal(a, b)


def test_a_larger_lambda_costs_fewer_bits():
    bits = [run(FitSettings(100, lam=lam)).bits for lam in (0.0, 1e-3, 3e-2)]
    assert bits[0] > bits[1] > bits[2]


def test_lambda_is_steered_to_a_budget():
    """A group that inherits, and whose picture has changed, under a budget that it would not keep by itself."""
    model, _, _, target, mask = setting()
    before = run(FitSettings(160, lam=1e-5)).parameters
    changed = Pictures(target.cells.flip(0))

    def following(budget):
        how = FitSettings(160, muon=False, rate=0.04, lam=1e-5, target_bits=budget)
        return fit(model, [Member(before, before.latents, changed)], mask, how, lambda *_: None)

    free = following(None).bits
    held = following(0.6 * free)
    assert 0.4 * free < held.bits <= 0.6 * free * 1.05 and held.lam > 1e-5
    residuals = [q - p for q, p in zip(held.parameters[0].latents, before.latents, strict=True)]
    assert held.bits == pytest.approx(code_length([IntegerTensor(r) for r in residuals]), rel=0.1)


def test_bites_change_nothing_but_rounding(monkeypatch):
    whole = run(FitSettings(1))
    monkeypatch.setattr("nvcodec.training.fit.BITE_SAMPLES", 300)
    assert run(FitSettings(1)).mse == pytest.approx(whole.mse, rel=1e-3)


def test_frames_are_taken_in_epochs():
    """Each epoch has all frames once, in an order that the seed decides."""
    orders = []
    for seed in (0, 0, 1):
        model, base, scratch, target, mask = setting(frames=5)
        alone(model, scratch, base, target, mask, FitSettings(7, frames_per_step=2, seed=seed), lambda *_: None)
        steps, last = target.asked[:7], target.asked[7:10]
        assert last == [[0, 1], [2, 3], [4]], "the error in the end is of all frames"
        assert [len(places) for places in steps] == [2, 2, 1, 2, 2, 1, 2]
        epochs = [sum(steps[i : i + 3], []) for i in (0, 3)]
        assert all(sorted(epoch) == list(range(5)) for epoch in epochs) and epochs[0] != epochs[1]
        orders.append(steps)
    assert orders[0] == orders[1] != orders[2]


def test_few_frames_at_a_time_learn_the_group():
    model, base, scratch, target, mask = setting(frames=4)
    how = FitSettings(160, frames_per_step=1, muon=False, rate=0.02, lam=1e-6)
    result = alone(model, scratch, base, target, mask, how, lambda *_: None)
    untrained = alone(model, scratch, base, target, mask, replace(how, iterations=1), lambda *_: None)
    assert result.mse < 0.3 * untrained.mse


def test_schedule_warms_up_and_comes_down():
    how = FitSettings(100)
    values = [schedule(step, how) for step in range(100)]
    assert values[0] == pytest.approx(0.1, rel=0.01) and max(values) > 0.95 and 0.019 < values[-1] < 0.03


def test_presets_have_names():
    assert list(PRESETS) == ["ultrafast", "fast", "medium", "slow", "paper"]
    with pytest.raises(UsageError, match="ultrafast"):
        check_preset("quick")


class TestSearch:
    """The search against a law that it does not know: PSNR falls and bits fall with lambda."""

    def result(self, lam, iterations):
        return FitResult((), 1000 / (1 + lam * 1e4), 0.0, lam, iterations, 1.0)

    def search(self, target, law):
        tried = []

        def attempt(start, how):
            tried.append(how)
            return self.result(how.lam, how.iterations)

        def measure(result: FitResult) -> float:
            return law(result.lam, len(tried))

        return fit_to_psnr(attempt, measure, None, FitSettings(100, lam=1e-4), target), tried

    def test_finds_the_largest_lambda_that_holds(self):
        def law(lam, _):
            return 30 - 3 * math.log2(max(lam, 1e-9) / 1e-4)

        found, tried = self.search(25.0, law)
        assert law(found.lam, 0) >= 25.0
        assert law(found.lam * 1.45, 0) < 25.0
        assert found.iterations == sum(how.iterations for how in tried) and found.seconds == len(tried)

    def test_goes_on_until_it_is_reached(self):
        found, tried = self.search(30.0, lambda lam, rounds: 26.0 + 2 * min(rounds, 3))
        assert len(tried) >= 3 and found.iterations == sum(how.iterations for how in tried)

    def test_gives_the_best_where_it_cannot_be_reached(self):
        found, tried = self.search(60.0, lambda lam, rounds: 20.0 + rounds)
        assert len(tried) == 5 and found.lam == tried[-1].lam


def test_trimming_never_pushes_residuals_away():
    """A tensor without zeros has a table where a zero costs more than a one; others have to give way instead."""
    noise = np.random.default_rng(3)
    wide = torch.from_numpy(noise.choice([-2.0, -1.0, 1.0, 2.0], 400).astype(np.float32))
    narrow = torch.from_numpy(noise.choice([0.0, 0.0, 0.0, 1.0, -1.0, 5.0], 4000).astype(np.float32))
    rate = ResidualRate([torch.zeros(400), torch.zeros(4000)])
    latents = [wide.clone(), narrow.clone()]
    rate.refresh(latents)
    assert rate.slopes[0][0] == 0 < rate.slopes[1][0]
    target = 0.3 * rate.bits
    rate.trim(latents, [torch.full((400,), 1e15), torch.ones(4000)], target)
    assert all(bool((new.abs() <= old.abs()).all()) for new, old in zip(latents, (wide, narrow), strict=True))
    assert rate.bits <= target
