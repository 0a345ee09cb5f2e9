"""Fitting the network of predicted frames to a group of a real excerpt, and playing the group again under it."""

import math
import random
from itertools import islice

import numpy as np
import pytest
import torch
from clip_samples import CITY
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.bitstream.registry import Origin
from nvcodec.decode.frames import named_weights
from nvcodec.decode.pictures import to_picture, to_planes
from nvcodec.decode.state import initial_state
from nvcodec.encode.frame_fit import Effort, FrameCoder, distortion_of
from nvcodec.encode.frame_replay import Replay
from nvcodec.encode.networks.mc import PRIOR
from nvcodec.media.source import open_source
from nvcodec.models.hierarchy import coding_order
from nvcodec.models.integer import EXACT
from nvcodec.models.mc import INTER, Mc, McConfig
from nvcodec.training.adaptation import EXCERPT, EXCERPTS, Adapter, Example, excerpts_of
from nvcodec.training.analysis import load_analyses
from nvcodec.training.frames import lambda_of

CPU = torch.device("cpu")
QUALITY = 20


class Group:
    """Eight frames of an excerpt, coded once under the prior."""

    def __init__(self):
        with open_source(CITY) as source:
            self.info, self.frames = source.info, list(islice(source, 8))
        self.model = Mc(McConfig(), self.info.height, self.info.width)
        self.state = initial_state(self.model.tensors, 0, Origin.PRIOR, PRIOR)
        self.weights = named_weights(self.model, self.state, CPU)
        self.distortion = distortion_of(self.info, CPU)
        coder = FrameCoder(self.model, self.weights, load_analyses(PRIOR, McConfig()), self.info, CPU)
        self.coded = coder.fit(self.frames, None, QUALITY, Effort(4, 2), lambda *_: None)

    def replay(self):
        return Replay(self.model, self.frames, None, self.coded, self.distortion, self.info, CPU, random.Random(0))

    def adapter(self, steps, price=0.1, seed=0):
        return Adapter(self.model, self.state.latents, self.distortion, CPU, steps, price, random.Random(seed))

    def adapted(self, steps, price=0.1, seed=0):
        adapter, replay = self.adapter(steps, price, seed), self.replay()
        for _ in range(steps):
            adapter.step(replay.play(adapter.weights())[1])
        return adapter


@pytest.fixture(scope="module")
def group():
    return Group()


@pytest.fixture(scope="module")
def adapted(group):
    return group.adapted(16)


def test_a_replay_is_what_was_coded(group):
    """Under the same network frames are those of the file, and what they cost is what is told."""
    cost, examples = group.replay().play(group.weights)
    order = [p.frame for p in coding_order(len(group.frames), False) if group.coded.latents[p.frame].fields]
    assert len(examples) == len(order) == 7
    found = 0.0
    for frame, example in zip(order, examples, strict=True):
        picture, bits = example.coded(group.model, group.weights, group.distortion, EXACT)
        assert torch.equal(example.target, to_picture(group.frames[frame].planes, group.info, CPU))
        assert example.size == (group.info.height, group.info.width) and example.pixels == math.prod(example.size)
        planes = zip(to_planes(picture, group.info), group.coded.planes[frame], strict=True)
        assert all(np.array_equal(a, b) for a, b in planes)
        error = group.distortion(picture, example.target)
        assert float(bits) > 0.9999 * float(error) * example.pixels / lambda_of(example.quality)
        found += float(bits)
    assert found == pytest.approx(cost, rel=1e-6)


def test_a_network_that_is_fitted_makes_the_group_cheaper(group, adapted):
    """Predictions included: all frames are made again under it."""
    before, after = (group.replay().play(weights)[0] for weights in (group.weights, adapted.weights()))
    assert after < 0.995 * before


def test_only_layers_of_the_inter_network_change(group, adapted):
    changed = {
        t.name
        for t, a, b in zip(group.model.tensors, group.state.latents, adapted.integers(), strict=True)
        if not np.array_equal(a, b)
    }
    assert changed and all(name.startswith(f"{INTER}.") for name in changed)
    assert not any(name.endswith((".steps", ".start")) for name in changed)
    assert all(q.dtype == np.int32 for q in adapted.integers())


def test_what_changes_has_its_price(group):
    def changes(price):
        pairs = zip(group.state.latents, group.adapted(12, price).integers(), strict=True)
        return sum(int(np.count_nonzero(a - b)) for a, b in pairs)

    free, cheap, dear = (changes(price) for price in (0.0, 0.3, 1e6))
    assert free > cheap > dear == 0


def test_the_same_seed_the_same_network(group):
    first, again, other = (group.adapted(8, seed=seed).integers() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 99))
def test_excerpts_lie_in_their_frame(height, width, seed):
    rows, columns = (-(-n // 16) * 16 for n in (height, width))
    place = torch.arange(rows // 2 * columns // 2, dtype=torch.float32).view(1, 1, rows // 2, columns // 2)
    latents = {level: torch.zeros(1, 2, rows >> level, columns >> level) for level in (4, 3, 2)}
    frame = Example(place.expand(-1, 6, -1, -1), place.expand(-1, 12, -1, -1), latents, (4,), (height, width), 7, 1000)
    found = excerpts_of(frame, random.Random(seed))
    assert 1 <= len(found) <= EXCERPTS and sum(e.pixels for e in found) == pytest.approx(1000)
    for excerpt in found:
        tall, wide = excerpt.target.shape[2:]
        assert 4 * tall * wide <= EXCERPT and tall % 8 == wide % 8 == 0
        assert all(v.shape[2:] == (2 * tall >> level, 2 * wide >> level) for level, v in excerpt.latents.items())
        top, left = divmod(int(excerpt.target[0, 0, 0, 0]), columns // 2)
        inside = place[:, :, top : top + tall, left : left + wide]
        assert torch.equal(excerpt.target, inside.expand(-1, 6, -1, -1))
        assert torch.equal(excerpt.prediction, inside.expand(-1, 12, -1, -1))
        assert top % 8 == left % 8 == 0
        assert excerpt.size == (min(2 * tall, height - 2 * top), min(2 * wide, width - 2 * left))
        assert min(excerpt.size) >= 1 and (excerpt.quality, excerpt.levels) == (7, (4,))
