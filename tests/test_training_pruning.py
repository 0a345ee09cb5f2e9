"""Pruned weights are zero, as many as asked for, and stay so; what must not be pruned is left alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fit_samples import Pictures, alone, moving_picture, setting

from nvcodec.models import weights
from nvcodec.models.hnerv import Hnerv, HnervConfig
from nvcodec.training.fit import Member, Sharing, fit
from nvcodec.training.pruning import PRUNE_TO, Pruner
from nvcodec.training.settings import FitSettings
from nvcodec.training.trainee import initial_parameters

QUICK = FitSettings(40, lam=1e-5)


def zeros(latents, chosen=None):
    """Part of all elements that is zero, of those that are chosen."""
    chosen = [np.ones(q.shape, np.bool_) for q in latents] if chosen is None else chosen
    return sum(int((q[c] == 0).sum()) for q, c in zip(latents, chosen, strict=True)) / sum(int(c.sum()) for c in chosen)


def split(model, latents):
    """(matrices and kernels, all others), of the LATENT tensors."""
    pairs = list(zip([t for t in model.tensors if t.kind == 0], latents, strict=True))
    kinds = [t.radius > 0 and len(t.shape) > 1 for t, _ in pairs]
    return tuple([q for (_, q), k in zip(pairs, kinds, strict=True) if k == want] for want in (True, False))


@pytest.mark.parametrize("iterations", [3, 30, 40, 100])
@pytest.mark.parametrize("muon", [True, False])
def test_the_part_that_is_asked_for_is_zero(iterations, muon):
    model, base, scratch, target, mask = setting()
    origin = [np.zeros_like(q) for q in base]
    how = replace(QUICK, iterations=iterations, muon=muon, rate=0.01)
    plain, pruned = (alone(model, scratch, origin, target, mask, replace(how, prune=p)) for p in (0.0, 0.6))
    assert zeros(split(model, plain.parameters.latents)[0]) < 0.1
    assert zeros(split(model, pruned.parameters.latents)[0]) == pytest.approx(0.6, abs=0.05)
    assert zeros(split(model, pruned.parameters.latents)[0]) >= 0.599
    assert pruned.bits < 0.75 * plain.bits
    for latent, spec in zip(pruned.parameters.latents, model.tensors, strict=True):
        if latent.size > 200 and latent.ndim > 1:
            assert 0.45 < zeros([latent]) < 0.75, f"{spec.name}: of all tensors alike, whatever their scale"


def test_biases_and_embeddings_are_left_alone():
    video = moving_picture(frames=3)
    model = Hnerv(HnervConfig(3, 6, 2, 4, 20, 2, 2, 2, 0, 0, 0), *video.shape[2:])
    base = weights.initial_latents(model.tensors, 0)
    start = initial_parameters(model.tensors, base, 0)
    target = Pictures(model.arrange(video).contiguous())
    origin = [np.zeros_like(q) for q in base]
    how = replace(QUICK, prune=0.9, lam=0.0)
    pruned = alone(model, start, origin, target, model.mask(), how).parameters
    matrices, others = split(model, pruned.latents)
    assert 0.89 < zeros(matrices) < 0.95
    assert zeros(others) < 0.25 and zeros([pruned.latents[0]]) < 0.25, "biases and embeddings"


def test_the_smallest_go_first_and_stay():
    """Measured in units of each tensor, in more and more steps, whatever an optimizer does to them afterwards."""
    generator = torch.Generator().manual_seed(3)
    large, small, bias = (torch.randn(shape, generator=generator) for shape in ((40, 50), (30, 20), (400,)))
    large *= 100
    before = [large.clone(), small.clone(), bias.clone()]
    pruner = Pruner([large, small, bias], [100.0, 1.0, None], [None, None, None], 0.5)
    parts, gone = [], [torch.zeros_like(large) > 1, torch.zeros_like(small) > 1]
    for step in range(200):
        for latent, unit in ((large, 100.0), (small, 1.0)):
            latent += unit * 0.3 * torch.randn(latent.shape, generator=generator)
        pruner.after_step(step, 200)
        now = [large == 0, small == 0]
        assert all(bool((new | ~old).all()) for new, old in zip(now, gone, strict=True)), "zero once, zero for good"
        gone = now
        parts.append(sum(int(z.sum()) for z in now) / 2600)
        if step < 60:
            assert parts[-1] == 0
        if step == 80:
            assert all(0.05 < float(z.float().mean()) < parts[-1] + 0.05 for z in now), "of both alike"
    assert parts == sorted(parts) and len(set(parts)) > 4
    assert parts[round(200 * PRUNE_TO)] == parts[-1] == 0.5
    assert torch.equal(bias, before[2])


def test_the_smallest_are_chosen():
    latent = torch.arange(1.0, 101.0)[torch.randperm(100, generator=torch.Generator().manual_seed(0))].view(10, 10)
    before = latent.clone()
    pruner = Pruner([latent], [1.0], [None], 0.3)
    for step in range(100):
        pruner.after_step(step, 100)
    assert torch.equal(latent == 0, before <= 30) and torch.equal(latent[before > 30], before[before > 30])


def test_only_what_is_ones_own_is_pruned():
    model, base, scratch, target, mask = setting()
    generator = np.random.default_rng(1)
    shared = [generator.random(q.shape) < 0.5 for q in base]
    member = Member(scratch, [np.zeros_like(q) for q in base], target)
    how = replace(QUICK, prune=0.7, lam=0.0)
    frozen = fit(model, [member], mask, how, lambda *_: None, Sharing(shared, member.base, frozen=True)).members[0]
    for q, p, s in zip(frozen.parameters.latents, scratch.latents, shared, strict=True):
        assert np.array_equal(q[s], p[s])
    matrices, _ = split(model, frozen.parameters.latents)
    masks, _ = split(model, shared)
    assert zeros(matrices, [~m for m in masks]) == pytest.approx(0.7, abs=0.05)
    assert zeros(matrices, masks) < 0.05
    joint = fit(model, [member, member], mask, how, lambda *_: None, Sharing(shared, member.base))
    for trained in joint.members:
        matrices, _ = split(model, trained.parameters.latents)
        assert zeros(matrices, [~m for m in masks]) == pytest.approx(0.7, abs=0.05)
        assert zeros(matrices, masks) == pytest.approx(0.7, abs=0.05), "once for all of them"


def test_nothing_of_ones_own():
    """Groups that share everything: what they have in common is pruned, and nothing else is there."""
    model, base, scratch, target, mask = setting()
    everything = [np.ones(q.shape, np.bool_) for q in base]
    members = [Member(scratch, [np.zeros_like(q) for q in base], target)] * 2
    how = replace(QUICK, prune=0.5)
    found = fit(model, members, mask, how, lambda *_: None, Sharing(everything, members[0].base))
    assert zeros(split(model, found.parameters[0].latents)[0]) == pytest.approx(0.5, abs=0.05)
    assert found.shared_bits > 0.9 * found.bits
