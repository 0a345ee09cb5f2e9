"""NeRV, HNeRV and E-NeRV: the canvas, minibatches of frames, and the pictures of an independent implementation."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nvcodec import limits  # noqa: E402
from nvcodec.bitstream.registry import model_named  # noqa: E402
from nvcodec.decode.render import render_rgb  # noqa: E402
from nvcodec.errors import LimitError, MalformedError  # noqa: E402
from nvcodec.models.base import LATENT, create  # noqa: E402
from nvcodec.models.enerv import EnervConfig  # noqa: E402
from nvcodec.models.framewise import MAX_FREQUENCY, Stages, encode_position  # noqa: E402
from nvcodec.models.hnerv import HnervConfig  # noqa: E402
from nvcodec.models.nerv import NervConfig  # noqa: E402
from tools.refdec.container import Model, Video  # noqa: E402
from tools.refdec.network import network  # noqa: E402

SMALL = {
    "nerv": NervConfig(6, 5, 7, 6, 125, 3, 20, 3, 2, 0, 0, 0, 0).values,
    "hnerv": HnervConfig(6, 5, 2, 3, 12, 2, 2, 2, 0, 0, 0).values,
    "enerv": EnervConfig(6, 6, 7, 6, 125, 3, 3, 15, 3, 2, 0, 0, 0, 0).values,
}
NAMES = sorted(SMALL)


def video(width, height):
    return Video(width, height, 8, 1, 0, 2, 0, (1, 25), (25, 1), (0, 0))


def random_weights(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [(torch.rand(t.shape, generator=generator) - 0.5) * 2 * t.bound for t in model.tensors]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("width", "height"), [(24, 18), (23, 13), (9, 31)])
def test_pictures_are_those_of_the_specification(name, width, height):
    """By the reference decoder's network, which is written from the specification, in float64."""
    model = create(name, SMALL[name], height, width)
    weights = random_weights(model)
    record = Model(0, model_named(name).id, 0, 0, 0, b"", list(SMALL[name]), [(t.kind, t.shape) for t in model.tensors])
    other = network(record, video(width, height))
    assert [radius for _, _, radius in other.tensors(video(width, height))] == [t.radius for t in model.tensors]
    shown = model.assemble(model.predict(weights, range(6), range(1)))
    exact = [w.double().numpy() for w in weights]
    for t in (0, 5):
        wanted = other.rgb(video(width, height), exact, t)
        assert wanted.shape == (3, height, width) and np.std(wanted) > 0.01
        assert np.abs(shown[t].numpy() - wanted).max() < 1e-4


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None)
@given(st.integers(8, 60), st.integers(1, 60), st.integers(1, 3))
def test_every_size_has_a_canvas(name, width, height, frames):
    model = create(name, SMALL[name], height, width)
    pictures = torch.rand(frames, 3, height, width)
    cells = model.arrange(pictures)
    assert cells.shape == (1, frames, 3, *model.canvas) and torch.equal(model.assemble(cells), pictures)
    assert model.mask().shape == (1, 1, 1, *model.canvas) and model.mask().sum() == height * width
    assert torch.equal(cells[..., height - 1 :, width - 1 :].amax((3, 4)), pictures[None, :, :, -1, -1])
    prediction = model.predict(random_weights(model), range(frames), range(1))
    assert prediction.shape == cells.shape and bool(prediction.isfinite().all())


@pytest.mark.parametrize("name", NAMES)
def test_any_frames_in_any_order_are_rows_of_all(name):
    model = create(name, SMALL[name], 18, 24)
    weights = random_weights(model)
    whole = model.predict(weights, range(6), range(1))
    some = [4, 0, 5]
    assert torch.allclose(model.predict(weights, some, range(1)), whole[:, some], atol=1e-5)
    assert torch.allclose(render_rgb(model, weights, range(2, 4)), model.assemble(whole)[2:4], atol=1e-5)
    assert min((whole[:, a] - whole[:, b]).abs().max() for a in range(6) for b in range(a)) > 1e-3, "frames differ"


@pytest.mark.parametrize("name", NAMES)
def test_initial_frames_are_grey_and_alive(name):
    """Before training: values about 1/2 that are neither flat nor far out, at every width."""
    for width in (8, 40):
        values = list(SMALL[name])
        values[1] = width
        model = create(name, values, 36, 48)
        weights = random_weights(model)
        shown = model.predict(weights, range(6), range(1))
        assert 0.02 < shown.std() < 1.0 and abs(shown.mean() - 0.5) < 1.0


@pytest.mark.parametrize("name", NAMES)
def test_tensors(name):
    model = create(name, SMALL[name], 18, 24)
    assert all(t.kind == LATENT and t.bound > 0 for t in model.tensors)
    assert [t.radius == 0 for t in model.tensors] == [
        t.name.endswith("bias") or t.name == "embedding" for t in model.tensors
    ]
    shapes = {t.name: t.shape for t in model.tensors}
    if name == "hnerv":
        assert shapes["embedding"] == (6, 2, 3, 3) and model.longest == 6
        assert [shapes[f"stage{i}.weight"][2:] for i in (1, 2, 3)] == [(1, 1), (3, 3), (5, 5)]
    else:
        assert shapes["stage2.weight"] == (4 * model.stages.channels[2], model.stages.channels[1], 3, 3)
        assert model.longest == limits.MAX_GROUP_FRAMES


def test_channels_go_down_to_the_lower_width():
    assert Stages("x", 96, 12, 12, (5, 2, 2, 2, 2, 0)).channels == (96, 80, 66, 55, 45, 37)
    assert Stages("x", 40, 12, 20, (5, 2, 2, 0, 0, 0)).channels == (40, 20, 12, 12)
    assert Stages("x", 8, 12, 20, (2, 2, 0, 0, 0, 0)).channels == (8, 8, 8)


def test_encoding_of_positions():
    found = encode_position(torch.tensor([0.25, 0.75], dtype=torch.float64), 1.25, 40)
    assert found.shape == (2, 80) and found.dtype == torch.float32
    for row, u in enumerate((0.25, 0.75)):
        for k in (0, 7, 39):
            assert found[row, 2 * k] == pytest.approx(math.sin(1.25**k * math.pi * u), abs=1e-6)
            assert found[row, 2 * k + 1] == pytest.approx(math.cos(1.25**k * math.pi * u), abs=1e-6)


def changed(name, **change):
    return tuple({**dict(zip(model_named(name).fields, SMALL[name], strict=True)), **change}.values())


@pytest.mark.parametrize("name", NAMES)
def test_configurations_that_are_no_network(name):
    for values in ((), SMALL[name][1:], (*SMALL[name], 0)):
        with pytest.raises(MalformedError, match="configuration values"):
            create(name, values, 18, 24)
    changes = [{"group": 0}, {"width": 0}, {"lower": 0}, {"reduction": 9}, {"s1": 0}, {"s1": 9}, {"s6": 1, "s5": 0}]
    changes += [{"s1": 8, "s2": 8}]  # longer than the picture
    changes += [{"embedding": 0}] if name == "hnerv" else [{"stem": 0}, {"levels": 0}, {"base": 100}]
    changes += [{"space": 17}] if name == "enerv" else []
    for change in changes:
        with pytest.raises(MalformedError, match=name):
            create(name, changed(name, **change), 18, 24)


def test_frequencies_stay_where_they_can_be_computed():
    assert 4.0**13 == MAX_FREQUENCY
    create("nerv", changed("nerv", base=400, levels=14), 18, 24)
    with pytest.raises(MalformedError, match="go too far"):
        create("nerv", changed("nerv", base=400, levels=15), 18, 24)
    create("nerv", changed("nerv", base=125, levels=80), 18, 24)  # the paper's larger one


@pytest.mark.parametrize("name", NAMES)
def test_layers_are_capped_before_anything_is_allocated(name):
    strides = dict(zip(("s1", "s2", "s3", "s4"), (8, 8, 8, 2), strict=True))
    values = changed(name, width=64, lower=64, **strides)
    assert create(name, values, 1080, 1920).activations == 64 * 2 * 1024 * 2 * 1024
    with pytest.raises(LimitError, match="over 2147483648"):
        create(name, values, 2**13, 2**13)
    if name == "enerv":
        with pytest.raises(MalformedError, match="tokens"):
            create(name, SMALL[name], 500, 500)
