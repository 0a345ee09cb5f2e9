"""Groups that share parameters are trained for all of them, and what they share is counted once."""

import gc
import math
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from fit_samples import Pictures, alone, at_random, quiet, same, window, within

from nvcodec.entropy import tables
from nvcodec.entropy.tensors import IntegerTensor, code_length
from nvcodec.models import weights
from nvcodec.training.fit import Member, Sharing, fit, schedule
from nvcodec.training.rate import K_MAX
from nvcodec.training.settings import FitSettings
from nvcodec.training.trainee import Parameters

ADAM = FitSettings(12, muon=False, rate=0.01, lam=1e-5)
MUON = FitSettings(12, lam=1e-5, learn_steps=True, frames_per_step=1)
PUBLISHED = FitSettings(12, muon=False, proximal=False, relative=False, rate=5e-3, lam=1e-5, learn_steps=True)


@pytest.mark.parametrize("how", [ADAM, MUON, PUBLISHED], ids=["adam", "muon", "published"])
@pytest.mark.parametrize("conv_float, in_turn", [(0, False), (0, True), (1, False), (1, True)])
def test_shared_elements_are_the_same_in_all_groups(how, conv_float, in_turn):
    model, base, members, mask = window(3, conv_float=conv_float)
    shared, seen = at_random(base), []
    common = Sharing(shared, base, in_turn)
    result = fit(model, members, mask, how, lambda *event: seen.append(event), common)
    first, *others = result.parameters
    for other in others:
        assert np.array_equal(within(first.latents, shared), within(other.latents, shared))
        assert first.steps == other.steps
        assert (within(first.latents, [~m for m in shared]) != within(other.latents, [~m for m in shared])).mean() > 0.2
        assert not conv_float or not same(first.floats, other.floats)
    assert (within(first.latents, shared) != within(base, shared)).mean() > 0.2, "they have moved"
    assert (first.steps != members[0].start.steps) == how.learn_steps
    assert [step for step, _, _ in seen] == list(range(how.iterations))
    assert result.bits == pytest.approx(sum(m.bits for m in result.members) + result.shared_bits)
    again = fit(model, members, mask, how, quiet, common)
    assert all(same(a.latents, b.latents) for a, b in zip(result.parameters, again.parameters, strict=True))


@pytest.mark.parametrize("in_turn", [False, True])
def test_all_groups_are_learned(in_turn):
    model, base, members, mask = window(2)
    seen = []
    how = FitSettings(120, lam=1e-6)
    result = fit(model, members, mask, how, lambda *event: seen.append(event), Sharing(at_random(base), base, in_turn))
    assert all(trained.mse < 0.4 * seen[0][1] for trained in result.members)
    assert seen[-1][1] == pytest.approx(sum(trained.mse for trained in result.members) / 2, rel=0.1), "a mean"


def test_nothing_shared_is_training_alone():
    """Bit for bit, with and without a common part that is empty, by itself and beside others."""
    for how in (ADAM, MUON):
        model, base, members, mask = window(2, frames=3)
        nothing = [np.zeros(q.shape, np.bool_) for q in base]
        plain = alone(model, members[0].start, base, members[0].target, mask, how).parameters
        for in_turn, frozen in ((False, False), (True, False), (False, True)):
            found = fit(model, members[:1], mask, how, quiet, Sharing(nothing, base, in_turn, frozen)).parameters[0]
            assert same(found.latents, plain.latents) and found.steps == plain.steps
    beside = fit(model, members, mask, ADAM, quiet)
    for member, found in zip(members, beside.members, strict=True):
        single = alone(model, member.start, base, member.target, mask, ADAM)
        assert same(found.parameters.latents, single.parameters.latents)
        assert (found.mse, found.bits) == (single.mse, single.bits)


def ascend(model, targets, base, steps, shared, mask, how, reduce=sum, in_turn=False):
    """Algorithm 1 with Adam of PyTorch and no rate: the integers of each group. reduce: of the groups' gradients;
    in_turn: each group's gradient moves what is shared by itself."""
    chosen = [torch.from_numpy(m) for m in shared]
    scales = [weights.step_size(s) for s in steps]

    def optimizer(values):
        rates = [how.rate * t.bound / s for t, s in zip(model.tensors, scales, strict=True)]
        made = torch.optim.Adam(
            [{"params": [v], "lr": r} for v, r in zip(values, rates, strict=True)], betas=(0.9, 0.99), eps=1e-20
        )
        return made, torch.optim.lr_scheduler.LambdaLR(made, lambda step: schedule(step, how))

    def move(values, gradients, where, made):
        for v, gradient, c in zip(values, gradients, where, strict=True):
            v.grad = gradient * c
        made.step()

    common, *own = [[torch.tensor(q, dtype=torch.float32) for q in base] for _ in range(len(targets) + 1)]
    of_common, *of_own = [optimizer(values) for values in (common, *own)]
    for _ in range(how.iterations):
        found = []
        for values, target, (made, _) in zip(own, targets, of_own, strict=True):
            whole = [torch.where(c, s, v).requires_grad_() for c, s, v in zip(chosen, common, values, strict=True)]
            leaves = [(x + (x.round() - x).detach()) * s for x, s in zip(whole, scales, strict=True)]
            error = (model.predict(leaves, range(target.count), range(model.cells)) - target.cells) * mask
            (error.square().sum() / (3 * mask.sum() * target.count)).backward()
            found.append([x.grad for x in whole])
            move(values, found[-1], [~c for c in chosen], made)
            if in_turn:
                move(common, found[-1], chosen, of_common[0])
        if not in_turn:
            move(common, [reduce(gradients) for gradients in zip(*found, strict=True)], chosen, of_common[0])
        for _, rates in (of_common, *of_own):
            rates.step()
    return [
        [torch.where(c, s, v).round().int().numpy() for c, s, v in zip(chosen, common, values, strict=True)]
        for values in own
    ]


@pytest.mark.parametrize("iterations", [1, 5])
@pytest.mark.parametrize("in_turn", [False, True])
def test_shared_elements_follow_the_gradients_of_all_groups(iterations, in_turn):
    """Algorithm 1, computed independently: by all of them, not by the last one's or the first one's."""
    model, base, members, mask = window(3)
    shared = at_random(base)
    how = replace(ADAM, iterations=iterations, lam=0.0, rate=0.02)
    targets, steps = [m.target for m in members], members[0].start.steps
    found = fit(model, members, mask, how, quiet, Sharing(shared, base, in_turn)).parameters
    expected = ascend(model, targets, base, steps, shared, mask, how, in_turn=in_turn)
    for a, b in zip(found, expected, strict=True):
        assert np.mean(np.concatenate([(x == y).ravel() for x, y in zip(a.latents, b, strict=True)])) > 0.995
    for wrong in (lambda gradients: gradients[-1], lambda gradients: gradients[0], sum):
        if wrong is not sum or in_turn:
            other = ascend(model, targets, base, steps, shared, mask, how, wrong)
            assert np.mean(within(found[0].latents, shared) == within(other[0], shared)) < 0.95


def gradients(model, target, latents, steps, mask):
    """Of the error by the latents."""
    leaves = [(q.round() * weights.step_size(s)).requires_grad_() for q, s in zip(latents, steps, strict=True)]
    error = (model.predict(leaves, range(target.count), range(model.cells)) - target.cells) * mask
    (error.square().sum() / (3 * mask.sum() * target.count)).backward()
    return [leaf.grad * weights.step_size(s) for leaf, s in zip(leaves, steps, strict=True)]


@pytest.mark.parametrize("in_turn, wrong", [(False, 4.0), (True, 4.0)])
def test_the_rate_meets_the_gradients(in_turn, wrong):
    """One step's proximal moves, computed independently. They are measured in the size of a gradient: the sum of all,
    or a group's own and then a part of the bits. Any other weight would be noticed."""
    model, base, members, mask = window(4)
    shared = at_random(base, 0.7)
    noise = np.random.default_rng(5)
    origin = [q + noise.integers(-6, 7, q.shape).astype(np.int32) for q in base]
    how = replace(ADAM, iterations=1, lam=2e-3, rate=0.004)
    found = fit(model, members, mask, how, quiet, Sharing(shared, origin, in_turn)).parameters
    steps, chosen = members[0].start.steps, [torch.from_numpy(m) for m in shared]
    slopes = []
    for q, o, m in zip(base, origin, shared, strict=True):
        lengths = tables.bits(*tables.fit(tables.histogram((q - o)[m], K_MAX)), K_MAX)
        slopes.append((max(lengths[1] - lengths[0], 0), max(lengths[2] - lengths[1], 0)))

    def expected(times):
        common = [torch.tensor(q, dtype=torch.float32) for q in base]
        start = [q.clone() for q in common]
        first, second = ([torch.zeros_like(q) for q in common] for _ in range(2))
        turns = [[member] for member in members] if in_turn else [members]
        for number, turn in enumerate(turns, 1):
            whole = [torch.where(m, c, q) for m, c, q in zip(chosen, common, start, strict=True)]
            moves = zip(*(gradients(model, member.target, whole, steps, mask) for member in turn), strict=True)
            for i, (t, s, move) in enumerate(zip(model.tensors, steps, moves, strict=True)):
                first[i] = 0.9 * first[i] + 0.1 * sum(move)
                second[i] = 0.99 * second[i] + 0.01 * sum(move) ** 2
                root = (second[i] / (1 - 0.99**number)).sqrt()
                rate = how.rate * t.bound / weights.step_size(s)
                residual = common[i] - rate * first[i] / (1 - 0.9**number) / root - torch.from_numpy(origin[i])
                weight = times * how.lam / sum(q.size for q in base) / len(turns)
                slope = torch.where(residual.abs() < 1, *slopes[i])
                least = (residual.abs() - slope * rate * weight / (root + 1e-3 * root.mean())).clamp(min=0)
                common[i] = torch.from_numpy(origin[i]) + residual.sign() * least
        return within([c.round().numpy() for c in common], shared)

    result = within(found[0].latents, shared)
    assert np.mean(result == expected(1)) > 0.99
    assert np.mean(result == expected(wrong)) < 0.9


@pytest.mark.parametrize("how", [ADAM, MUON, PUBLISHED], ids=["adam", "muon", "published"])
def test_frozen_elements_stay(how):
    model, base, members, mask = window(1)
    shared = at_random(base)
    how = replace(how, learn_steps=False)
    result = fit(model, members, mask, how, quiet, Sharing(shared, base, frozen=True))
    (found,) = result.parameters
    assert np.array_equal(within(found.latents, shared), within(base, shared))
    rest = [~m for m in shared]
    assert (within(found.latents, rest) != within(base, rest)).mean() > 0.2
    assert result.shared_bits == 0 and result.bits == result.members[0].bits and found.steps == members[0].start.steps


def coded(latents, base, masks):
    return code_length([IntegerTensor(q - p, None, m) for q, p, m in zip(latents, base, masks, strict=True)])


@pytest.mark.parametrize("in_turn", [False, True])
def test_shared_bits_count_once(in_turn):
    """As the coder has them: of each group what is its own, and once what they share."""
    model, base, members, mask = window(3)
    shared = at_random(base, 0.6)
    result = fit(model, members, mask, FitSettings(60, lam=1e-6), quiet, Sharing(shared, base, in_turn))
    for trained in result.members:
        own = coded(trained.parameters.latents, base, [~m for m in shared])
        assert trained.bits == pytest.approx(own, rel=0.05)
    assert result.shared_bits == pytest.approx(coded(result.parameters[0].latents, base, shared), rel=0.05)


@pytest.mark.parametrize("common", [False, True])
def test_a_group_can_follow_the_one_before(common):
    """Its residuals are counted against the integers that the one before ends with."""
    model, base, (first, second, *_), mask = window(4)
    alike = Member(first.start, base, Pictures(first.target.cells * 0.98), follows=True)
    third = replace(second, follows=True)
    shared = at_random(base) if common else [np.zeros(q.shape, np.bool_) for q in base]
    how = FitSettings(60, lam=1e-3)
    result = fit(model, [first, alike, third], mask, how, quiet, Sharing(shared, base))
    before = base
    for trained in result.members:
        own = coded(trained.parameters.latents, before, [~m for m in shared])
        assert trained.bits == pytest.approx(own, rel=0.05)
        before = trained.parameters.latents
    free = fit(model, [first, replace(alike, follows=False), third], mask, how, quiet, Sharing(shared, base))
    assert result.members[1].bits < 0.8 * free.members[1].bits
    assert result.members[0].bits == pytest.approx(free.members[0].bits, rel=0.1)


def test_a_budget_is_that_of_all_together():
    model, base, members, mask = window(2)
    common = Sharing(at_random(base), base)
    free = fit(model, members, mask, FitSettings(80, lam=5e-3), quiet, common)
    held = fit(model, members, mask, FitSettings(80, lam=5e-3, target_bits=0.7 * free.bits), quiet, common)
    assert 0.7 * free.bits < held.bits < 0.96 * free.bits and held.lam > 1e-2
    trimmed = replace(ADAM, iterations=80, lam=1e-6, target_bits=0.4 * free.bits)
    cut = fit(model, members, mask, trimmed, quiet, common)
    assert cut.bits <= 0.4 * free.bits * 1.05
    assert np.array_equal(*(within(p.latents, common.shared) for p in cut.parameters)), "cut down for all"


@pytest.mark.parametrize("rate", [30.0, math.nan])
@pytest.mark.parametrize("in_turn, frozen", [(False, False), (True, False), (False, True)])
def test_training_that_makes_it_worse_is_undone_for_all(rate, in_turn, frozen):
    model, base, members, mask = window(2)
    shared = at_random(base)
    before = fit(model, members, mask, FitSettings(40, lam=1e-5), quiet, Sharing(shared, base))
    starts = [Parameters(p.latents, p.steps, p.floats) for p in before.parameters]
    again = [Member(start, start.latents, member.target) for start, member in zip(starts, members, strict=True)]
    how = FitSettings(10, muon=False, rate=rate, lam=1e-5)
    result = fit(model, again, mask, how, quiet, Sharing(shared, starts[0].latents, in_turn, frozen))
    for start, old, found in zip(starts, before.members, result.members, strict=True):
        assert same(start.latents, found.parameters.latents) and found.mse == pytest.approx(old.mse)
    assert result.bits < 30 * 3 * len(base)


def test_pictures_that_are_none():
    """A first step that is not finite, of the first group: all stay as they were."""
    model, base, members, mask = window(2)
    broken = Member(members[0].start, base, Pictures(members[0].target.cells * math.nan))
    result = fit(model, [broken, members[1]], mask, ADAM, quiet, Sharing(at_random(base), base))
    assert all(same(p.latents, base) for p in result.parameters)


def test_the_error_of_all_together_decides():
    """One group is worse off, the sum is better: it is not undone."""
    model, base, members, mask = window(2)
    shared = [np.ones(q.shape, np.bool_) for q in base]
    learned = fit(model, members[:1], mask, FitSettings(80, lam=0.0), quiet).parameters[0]
    both = [replace(member, start=learned) for member in members]
    result = fit(model, both, mask, FitSettings(80, lam=0.0), quiet, Sharing(shared, base))
    first = alone(model, learned, base, members[0].target, mask, replace(ADAM, rate=0.0, iterations=1)).mse
    assert result.members[0].mse > 2 * first and not same(result.parameters[0].latents, learned.latents)


@pytest.mark.parametrize("stop", [None, 3])
def test_training_lets_its_pictures_go(stop):
    """Those of the steps are given back before the errors in the end are taken, and by a training that is stopped."""

    held, before = [], []

    class Watched(Pictures):
        def __call__(self, frames):
            before.append(alive())
            made = super().__call__(frames).clone()
            held.append(weakref.ref(made))
            return made

    def alive():
        return sum(ref() is not None for ref in held)

    model, base, members, mask = window(2)
    members = [replace(m, target=Watched(m.target.cells)) for m in members]
    most = []

    def watch(step, *_):
        most.append(alive())
        if step == stop:
            raise InterruptedError

    def train():
        fit(model, members, mask, ADAM, watch, Sharing(at_random(base), base))

    if stop is None:
        train()
        assert len(before) >= 4 and before[2:] == [0] * len(before[2:])
    else:
        with pytest.raises(InterruptedError):
            train()
        gc.collect()
    assert max(most) == 2 and alive() == 0
