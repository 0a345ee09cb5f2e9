"""Which parameters the networks of a window share (NerVast, section 3.1): a score of each, and the lowest are shared.

    fisher        mean over frames of the window of the squared gradient of the error (Eq. 2, as they compute it)
    layers        the mean of that over each tensor, so that tensors are shared as a whole and masks cost nothing
    variance      variance over the groups after an epoch of training of each alone
    difference    mean over the groups of how far such an epoch moves it
    random        a pseudo-random number

The last three are those that the paper compares with in its Table 4; the second one is ours. Gradients are those of one
network for all groups after an epoch: before, a network that starts with embeddings of zero has none but those of
biases. Scores are of latents, so that each tensor is measured in steps of its own quantiser. An epoch is no more than a
part of the iterations of the training that follows, and no more frames are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.models.base import Backbone
from nvcodec.training.fit import Masks, Member, Sharing, backward, fit, parts
from nvcodec.training.settings import FitSettings
from nvcodec.training.trainee import Trainee

EPOCH_PART = 0.03  # of the iterations, at most

Scores = list[NDArray[np.float64]]


def choose(
    kind: str,
    fraction: float,
    eligible: Sequence[bool],
    model: Backbone,
    members: Sequence[Member],
    mask: Tensor,
    settings: FitSettings,
) -> list[NDArray[np.bool_]]:
    """True for the elements of the LATENT tensors, in wire order, that the members shall share.

    kind: one of the five above. fraction: of the elements of eligible tensors, > 0. members: they start from the same
    parameters. mask: as for training.fit. Deterministic for given inputs and seed.
    """
    if kind in ("fisher", "layers"):
        found = _fisher(eligible, model, members, mask, settings)
        if kind == "layers":
            found = [np.full(values.shape, values.mean()) for values in found]
    elif kind == "random":
        generator = np.random.default_rng(settings.seed)
        found = [generator.random(latent.shape) for latent in members[0].start.latents]
    else:
        after = [np.stack(values) for values in zip(*_after_an_epoch(model, members, mask, settings), strict=True)]
        if kind == "variance":
            found = [values.var(axis=0) for values in after]
        else:
            assert kind == "difference"
            before = members[0].start.latents
            found = [np.abs(values - q).mean(axis=0) for values, q in zip(after, before, strict=True)]
    return lowest(found, fraction, eligible)


def lowest(values: Scores, fraction: float, eligible: Sequence[bool]) -> list[NDArray[np.bool_]]:
    """True for the `fraction` > 0 of all elements of eligible tensors with the lowest scores; of equal ones the first.

    At least one is chosen.
    """
    chosen = [v.reshape(-1) for v, may in zip(values, eligible, strict=True) if may]
    every = np.concatenate(chosen or [np.zeros(0)])
    flags = np.zeros(len(every), np.bool_)
    flags[np.argsort(every, kind="stable")[: max(1, round(fraction * len(every)))]] = True
    out, at = [], 0
    for value, may in zip(values, eligible, strict=True):
        size = value.size if may else 0
        out.append(flags[at : at + size].reshape(value.shape) if may else np.zeros(value.shape, np.bool_))
        at += size
    return out


def _fisher(
    eligible: Sequence[bool], model: Backbone, members: Sequence[Member], mask: Tensor, settings: FitSettings
) -> Scores:
    base = members[0].base
    everything: Masks = [np.full(q.shape, may) for q, may in zip(base, eligible, strict=True)]
    longest = max(len(parts(member.target.count, settings)) for member in members)
    how = _epoch(settings, longest)
    first = fit(model, members, mask, how, lambda *_: None, Sharing(everything, base))
    inside = float(mask.sum())
    totals: list[Tensor] = []
    seen = 0
    for member, start in zip(members, first.parameters, strict=True):
        trainee = Trainee(model.tensors, start, mask.device)
        totals = totals or [torch.zeros_like(latent, dtype=torch.float64) for latent in trainee.latents]
        count = member.target.count
        looks = min(count, _epoch(settings, count).iterations)
        for place in sorted({count * n // looks for n in range(looks)}):
            leaves = trainee.weights()
            backward(model, leaves, [place], member.target([place]), mask, inside)
            trainee.take_gradients(leaves)
            for total, latent in zip(totals, trainee.latents, strict=True):
                assert latent.grad is not None
                total.add_(latent.grad.double().square())
            seen += 1
    return [(total / seen).cpu().numpy() for total in totals]


def _after_an_epoch(
    model: Backbone, members: Sequence[Member], mask: Tensor, settings: FitSettings
) -> list[list[NDArray[np.float64]]]:
    """Of each member, its latents after an epoch of training alone."""
    out = []
    for member in members:
        how = _epoch(settings, len(parts(member.target.count, settings)))
        (trained,) = fit(model, [member], mask, how, lambda *_: None).members
        out.append([q.astype(np.float64) for q in trained.parameters.latents])
    return out


def _epoch(settings: FitSettings, steps: int) -> FitSettings:
    """An epoch of `steps` iterations, or fewer."""
    most = max(1, round(EPOCH_PART * settings.iterations))
    return replace(settings, iterations=min(steps, most), target_bits=None, prune=0.0, learn_steps=False)
