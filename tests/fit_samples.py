"""Small pictures, and small networks to fit to them."""

from dataclasses import replace

import numpy as np
import torch

from nvcodec.models import weights
from nvcodec.models.base import LATENT
from nvcodec.models.nirvana import Nirvana, NirvanaConfig
from nvcodec.training.fit import Member, fit
from nvcodec.training.trainee import initial_parameters

CONFIG = NirvanaConfig(patch=8, group=2, width=12, depth=2, channels=4, block_channels=4)
SIZE = (24, 32)  # height, width


def moving_picture(height=SIZE[0], width=SIZE[1], frames=2):
    """Smooth colours with an edge that moves: (T, 3, H, W) in [0, 1]."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    out = []
    for t in range(frames):
        edge = (x > 0.4 + 0.05 * t).float()
        out.append(torch.stack((0.2 + 0.5 * x, 0.5 * y + 0.3 * edge, 0.5 + 0.4 * torch.sin(6 * x + 4 * y))))
    return torch.stack(out)


class Pictures:
    """The target of a fit: cells (cells, T, 3, h, w), and which places were asked for."""

    def __init__(self, cells):
        self.cells, self.count = cells, cells.shape[1]
        self.asked = []

    def __call__(self, frames):
        self.asked.append(list(frames))
        return self.cells[:, list(frames)]


def setting(seed=0, frames=2):
    """(network, initial integers, where training starts, target, mask)"""
    video = moving_picture(frames=frames)
    model = Nirvana(replace(CONFIG, group=frames), *SIZE)
    base = weights.initial_latents(model.tensors, seed)
    target = Pictures(model.arrange(video).contiguous())
    return model, base, initial_parameters(model.tensors, base, seed), target, model.mask()


def alone(model, start, base, target, mask, how, watch=lambda *_: None):
    """What training finds of a group by itself."""
    return fit(model, [Member(start, base, target)], mask, how, watch).members[0]


def quiet(*_):
    """A watch that looks away."""


def window(count=2, frames=2, conv_float=0, seed=0):
    """(network, initial integers, members with pictures of their own, mask)"""
    model, base, _, target, mask = setting(seed, frames)
    model = Nirvana(replace(model.config, conv_float=conv_float), model.height, model.width)
    base = base[: len([t for t in model.tensors if t.kind == LATENT])]
    start = initial_parameters(model.tensors, base, seed)
    looks = (target.cells, 1 - target.cells, target.cells.flip(0), target.cells.flip(4))
    return model, base, [Member(start, base, Pictures(cells)) for cells in looks[:count]], mask


def at_random(base, part=0.5, seed=0):
    """Masks."""
    generator = np.random.default_rng(seed)
    return [generator.random(q.shape) < part for q in base]


def same(first, second):
    """Whether two lists of arrays are equal."""
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def within(latents, masks):
    """The elements where masks are True, of all arrays."""
    return np.concatenate([q[m] for q, m in zip(latents, masks, strict=True)])
