"""The network, its initial integers and steps, against their definitions written out plainly."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from nvcodec.errors import FeatureError, MalformedError
from nvcodec.models import weights
from nvcodec.models.base import FLOAT32, LATENT, TensorSpec, create
from nvcodec.models.layers import time_embedding
from nvcodec.models.nirvana import TIME_AMPLITUDE, Nirvana, NirvanaConfig, largest_patch, tensor_specs

SMALL = NirvanaConfig(patch=8, group=3, width=6, depth=2, channels=4, block_channels=5, omega=30)


def random_weights(config, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [(torch.rand(t.shape, generator=generator) - 0.5) * 2 * t.bound for t in tensor_specs(config)]


def test_steps_are_exact_powers():
    for index in range(-1024, 257):
        step = weights.step_size(index)
        assert step == float(np.float32(step))
        assert step == pytest.approx(2.0 ** (index / 16), rel=1e-7)
        assert weights.step_index(step) == index
    assert weights.step_size(0) == 1.0 and weights.step_size(-16) == 0.5


def test_initial_latents_follow_the_definition():
    tensors = [TensorSpec("a", LATENT, (3, 2), 64, 1.0), TensorSpec("b", FLOAT32, (4,), 9, 1.0),
               TensorSpec("c", LATENT, (5,), 0, 1.0), TensorSpec("d", LATENT, (2,), 256, 1.0)]  # fmt: skip
    seed, mask, i = 0xDEADBEEF, 2**64 - 1, 0
    expected = []
    for tensor in tensors:
        if tensor.kind == FLOAT32:
            continue
        values = []
        for _ in range(tensor.size):
            x = ((seed << 32) + i + 1) * 0x9E3779B97F4A7C15 & mask
            x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & mask
            x = (x ^ x >> 27) * 0x94D049BB133111EB & mask
            x ^= x >> 31
            values.append(((x >> 32) * (2 * tensor.radius + 1) >> 32) - tensor.radius)
            i += 1
        expected.append(values)
    found = weights.initial_latents(tensors, seed)
    assert [q.reshape(-1).tolist() for q in found] == expected
    assert [q.shape for q in found] == [(3, 2), (5,), (2,)]


def test_initial_latents_are_uniform():
    (q,) = weights.initial_latents([TensorSpec("w", LATENT, (200000,), 3, 1.0)], 1)
    counts = np.bincount(q + 3, minlength=7)
    assert len(counts) == 7 and abs(counts / 200000 - 1 / 7).max() < 0.005


def test_dequantised_weights_are_one_float32_product():
    q = np.array([-(2**24) + 1, -1, 0, 3, 2**24 - 1], np.int32)
    for index in (-200, -7, 5, 256):
        expected = q.astype(np.float32) * np.float32(weights.step_size(index))
        assert weights.dequantise(q, index).numpy().tobytes() == expected.tobytes()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 10), st.integers(1, 3))
def test_arrange_and_assemble_are_inverse(height, width, half, frames):
    half = min(half, largest_patch(height, width) // 2)
    model = Nirvana(NirvanaConfig(patch=2 * half, group=3, width=4), height, width)
    video = torch.rand(frames, 3, height, width)
    cells = model.arrange(video)
    assert cells.shape == (model.cells, frames, 3, 2 * half, 2 * half)
    assert torch.equal(model.assemble(cells), video)
    assert model.mask().sum() == height * width


def test_prediction_is_the_definition_written_out():
    """conv(f + tau) computed in two parts, patch by patch, against the paper's order of operations."""
    model = Nirvana(SMALL, 19, 30)
    w = random_weights(SMALL)
    found = model.predict(w, range(1, 3), range(model.cells))
    half = SMALL.patch // 2
    for cell in range(model.cells):
        row, column = divmod(cell, model.columns)
        x = 2 * (column + 0.5) * SMALL.patch / 30 - 1
        y = 2 * (row + 0.5) * SMALL.patch / 19 - 1
        s = torch.tensor([x, y])
        for layer in range(SMALL.depth):
            s = torch.sin(30 * (w[2 * layer] @ s + w[2 * layer + 1]))
        f = (w[4] @ s + w[5]).view(half, half, SMALL.channels).permute(2, 0, 1)
        for place, t in enumerate((1, 2)):
            tau = torch.zeros(SMALL.channels)
            for i in range(SMALL.channels // 2):
                omega = math.pi * SMALL.group ** (-i / (SMALL.channels // 2 - 1))
                tau[2 * i] = TIME_AMPLITUDE * math.sin((t + 0.5) * omega)
                tau[2 * i + 1] = TIME_AMPLITUDE * math.cos((t + 0.5) * omega)
            z = functional.conv2d((f + tau[:, None, None])[None], w[6], w[7], padding=1)
            z = functional.gelu(functional.pixel_shuffle(z, 2))
            p = functional.conv2d(z, w[8], w[9], padding=1)[0] + 0.5
            assert torch.allclose(found[cell, place], p, atol=1e-5)


def test_cells_and_frames_can_be_taken_in_bites():
    model = Nirvana(SMALL, 33, 41)
    w = random_weights(SMALL)
    whole = model.predict(w, range(3), range(model.cells))
    parts = torch.cat([model.predict(w, range(3), range(c, min(c + 4, model.cells))) for c in range(0, model.cells, 4)])
    assert torch.allclose(whole, parts, atol=1e-5)
    assert torch.allclose(whole[:, 2:3], model.predict(w, range(2, 3), range(model.cells)), atol=1e-5)


def test_time_embedding_tells_frames_apart():
    tau = time_embedding(range(16), 16, 8, 0.3, torch.device("cpu"))
    assert torch.pdist(tau).min() > 0.02 and tau.abs().max() <= 0.3


def test_tensor_list_has_the_papers_shapes():
    config = NirvanaConfig()  # width 512, depth 5, patch 32
    shapes = {t.name: t.shape for t in tensor_specs(config)}
    assert shapes["stem0.weight"] == (512, 2) and shapes["stem4.weight"] == (512, 512)
    assert shapes["volume.weight"] == (16 * 16 * 16, 512)
    assert shapes["block.weight"] == (64, 16, 3, 3) and shapes["head.weight"] == (3, 16, 3, 3)
    floats = {t.name for t in tensor_specs(NirvanaConfig(conv_float=1)) if t.kind == FLOAT32}
    assert floats == {"block.weight", "block.bias", "head.weight", "head.bias"}


@pytest.mark.parametrize(
    "values",
    [(), (16,) * 7, (15, 3, 8, 2, 8, 8, 30, 0), (16, 0, 8, 2, 8, 8, 30, 0), (16, 3, 0, 2, 8, 8, 30, 0),
     (16, 3, 8, 0, 8, 8, 30, 0), (16, 3, 8, 2, 7, 8, 30, 0), (16, 3, 8, 2, 8, 0, 30, 0), (16, 3, 8, 2, 8, 8, 0, 0),
     (16, 3, 8, 2, 8, 8, 30, 2), (16, 3, 2**60, 2, 8, 8, 30, 0)],
)  # fmt: skip
def test_configurations_that_are_no_network(values):
    with pytest.raises(MalformedError):
        create("nirvana", values, 32, 32)


def test_unknown_model():
    with pytest.raises(FeatureError, match="nosuch"):
        create("nosuch", (), 32, 32)
