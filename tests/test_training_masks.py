"""What groups of a window share is chosen as it should be."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fit_samples import Pictures, moving_picture, quiet, same, window

from nvcodec.models import weights
from nvcodec.models.base import LATENT
from nvcodec.models.hnerv import Hnerv, HnervConfig
from nvcodec.training import sharing
from nvcodec.training.fit import Member, fit
from nvcodec.training.settings import FitSettings
from nvcodec.training.sharing import choose, lowest
from nvcodec.training.trainee import initial_parameters

KINDS = ("fisher", "layers", "variance", "difference", "random")
ADAM = FitSettings(12, muon=False, rate=0.01, lam=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_masks_have_the_size_that_is_asked_for(kind):
    """Kappa of the eligible elements, one at least; the same for the same seed."""
    model, base, members, mask = window(conv_float=1)
    eligible = [n % 3 != 1 for n in range(len(base))]
    total = sum(q.size for q, may in zip(base, eligible, strict=True) if may)
    for part, count in ((0.3, round(0.3 * total)), (1e-9, 1), (1.0, total)):
        found = choose(kind, part, eligible, model, members, mask, ADAM)
        assert [m.shape for m in found] == [q.shape for q in base] and {m.dtype.name for m in found} == {"bool"}
        assert sum(int(m.sum()) for m in found) == count
        assert not any(m.any() for m, may in zip(found, eligible, strict=True) if not may)
        assert same(found, choose(kind, part, eligible, model, members, mask, ADAM))
    other = choose(kind, 0.3, eligible, model, members, mask, replace(ADAM, seed=1))
    assert kind != "random" or not same(choose(kind, 0.3, eligible, model, members, mask, ADAM), other)


def test_masks_differ_by_kind():
    model, base, members, mask = window()
    found = [choose(kind, 0.4, [True] * len(base), model, members, mask, ADAM) for kind in KINDS]
    assert not any(same(a, b) for n, a in enumerate(found) for b in found[:n])


def test_the_lowest_scores():
    values = [np.array([[3.0, 1.0], [2.0, 5.0]]), np.array([0.0, 0.0, 0.0]), np.array([2.0, 9.0])]
    found = lowest(values, 0.5, [True, False, True])
    assert [m.tolist() for m in found] == [[[False, True], [True, False]], [False] * 3, [True, False]]
    ties = lowest([np.zeros(3), np.zeros(3)], 0.6, [True, True])
    assert [m.tolist() for m in ties] == [[True] * 3, [True, False, False]], "of equal ones the first"
    assert [m.tolist() for m in lowest(values, 1e-9, [False, True, False])] == [
        [[False] * 2] * 2, [True, False, False], [False] * 2,
    ]  # fmt: skip


def squared_gradients(model, parameters, targets, places, mask):
    """Mean over frames of the squares of d MSE / d latent, by autograd alone."""
    totals = [np.zeros(q.shape) for q in parameters[0].latents]
    for p, target in zip(parameters, targets, strict=True):
        for place in places:
            latents = [torch.tensor(q, dtype=torch.float64, requires_grad=True) for q in p.latents]
            values, steps, floats = iter(latents), iter(p.steps), iter(p.floats)
            leaves = [
                (next(values) * weights.step_size(next(steps))).float()
                if t.kind == LATENT
                else torch.from_numpy(next(floats))
                for t in model.tensors
            ]
            error = (model.predict(leaves, [place], range(model.cells)) - target.cells[:, [place]]) * mask
            (error.square().sum() / (3 * mask.sum())).backward()
            for total, latent in zip(totals, latents, strict=True):
                total += latent.grad.numpy() ** 2 / (len(places) * len(targets))
    return totals


@pytest.mark.parametrize("network", ["nirvana", "floats", "hnerv"])
@pytest.mark.parametrize("iterations, places", [(400, [0, 1, 2, 3, 4]), (100, [0, 1, 3])])
def test_fisher_is_the_mean_of_squared_gradients(monkeypatch, network, iterations, places):
    """Of one network for all groups, after an epoch, or a part of the training if that is shorter."""
    if network == "hnerv":
        pictures = moving_picture(frames=5)
        model = Hnerv(HnervConfig(5, 6, 2, 4, 20, 2, 2, 2, 0, 0, 0), *pictures.shape[2:])
        base = weights.initial_latents(model.tensors, 0)
        cells = model.arrange(pictures).contiguous()
        start = initial_parameters(model.tensors, base, 0)
        members, mask = [Member(start, base, Pictures(c)) for c in (cells, 1 - cells)], model.mask()
    else:
        model, base, members, mask = window(frames=5, conv_float=int(network == "floats"))
    asked = []

    def spy(*arguments):
        asked.append((arguments, fit(*arguments)))
        return asked[-1][1]

    monkeypatch.setattr(sharing, "fit", spy)
    eligible = [t.name != "embedding" for t in model.tensors if t.kind == LATENT]
    how = replace(ADAM, iterations=iterations, frames_per_step=1, prune=0.5, target_bits=1.0)
    found = choose("fisher", 0.37, eligible, model, members, mask, how)
    for member in members:
        assert sorted(place for (place,) in member.target.asked[-len(places) :]) == places
    (((_, trained, _, epoch, _, common), result),) = asked
    assert trained == members and epoch == replace(how, iterations=len(places), prune=0.0, target_bits=None)
    assert same(common.shared, [np.full(q.shape, may) for q, may in zip(base, eligible, strict=True)])
    scores = squared_gradients(model, result.parameters, [m.target for m in members], places, mask)
    chosen = [(s, m) for s, m, may in zip(scores, found, eligible, strict=True) if may]
    most = max(s[m].max() for s, m in chosen if m.any())
    least = min(s[~m].min() for s, m in chosen if not m.all())
    assert 0 < most <= least * 1.001

    layers = choose("layers", 0.37, eligible, model, members, mask, how)
    parted = [m for m, may in zip(layers, eligible, strict=True) if may and 0 < m.sum() < m.size]
    assert len(parted) <= 1
    means = [(s.mean(), m.any()) for s, m, may in zip(scores, layers, eligible, strict=True) if may]
    assert max(mean for mean, some in means if some) <= min(mean for mean, some in means if not some)


@pytest.mark.parametrize("kind", ["variance", "difference"])
def test_scores_of_groups_that_were_trained_alone(kind):
    model, base, members, mask = window(3, frames=4)
    how = replace(ADAM, iterations=70, frames_per_step=1, rate=0.03)
    epoch = replace(how, iterations=2)
    after = [fit(model, [member], mask, epoch, quiet).parameters[0].latents for member in members]
    score = {
        "variance": lambda values, _: np.var(values, axis=0),
        "difference": lambda values, q: np.mean([abs(v - q) for v in values], axis=0),
    }[kind]
    scores = [score(np.stack(v).astype(float), q) for v, q in zip(zip(*after, strict=True), base, strict=True)]
    eligible = [True] * len(base)
    assert same(choose(kind, 0.6, eligible, model, members, mask, how), lowest(scores, 0.6, eligible))
