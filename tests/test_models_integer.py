"""Integer layers: the same sums as in 64 bit integers, whatever the order and the instructions that make them."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.errors import MalformedError
from nvcodec.models.integer import (
    BOUND,
    BRIEF,
    EXACT,
    EXACT_SUMS,
    FEW,
    FINE,
    PARTS,
    PRECISE,
    SMOOTH,
    check_sums,
    split,
    sums,
)

ROOT = Path(__file__).resolve().parents[1]
LAYERS = [(1, 1, 40, 30), (3, 1, 12, 8), (3, 1, 24, 6), (5, 1, 9, 24), (2, 2, 12, 32), (2, 2, 32, 16)]
"""Kernel, stride, inputs, outputs."""


def layer(kernel, inputs, outputs, seed):
    """(x, weight, bias): numbers as large as a layer may have, int64."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-BOUND, BOUND + 1, (1, inputs, 14, 22))
    most = (EXACT_SUMS - 2000 * FINE - FINE) // (BOUND * inputs * kernel * kernel)
    return x, rng.integers(-most, most + 1, (outputs, inputs, kernel, kernel)), rng.integers(-2000, 2001, outputs)


def convolution(x, weight, bias, stride, one=FINE):
    """(sum + one * bias + one / 2) div one in 64 bit integers."""
    kernel = weight.shape[-1]
    if stride == 1:
        x = np.pad(x, ((0, 0), (0, 0), (kernel // 2,) * 2, (kernel // 2,) * 2))
    views = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (2, 3))[:, :, ::stride, ::stride]
    total = np.einsum("nihwkl,oikl->nohw", views, weight)
    return (total + (one * bias + one // 2)[:, None, None]) // one


def as_floats(*arrays):
    return [torch.from_numpy(a.astype(np.float32)) for a in arrays]


@pytest.mark.parametrize("kernel, stride, inputs, outputs", LAYERS)
def test_a_layer_is_exact(kernel, stride, inputs, outputs):
    for seed in range(3):
        x, weight, bias = layer(kernel, inputs, outputs, seed)
        check_sums("layer", *as_floats(weight, bias), BOUND)
        found = EXACT.convolve(*as_floats(x, weight, bias), stride)
        assert found.dtype == torch.float32
        assert np.array_equal(found.numpy().astype(np.int64), convolution(x, weight, bias, stride))
        double = [t.double() for t in as_floats(x, weight, bias)]
        assert torch.equal(EXACT.convolve(*double, stride), found.double())
        smooth = SMOOTH.convolve(*double, stride)
        assert (smooth - found).abs().max() <= 0.5


def test_brief_layers_are_of_bfloat16():
    x, weight, bias = as_floats(*layer(3, 24, 6, 0))
    smooth, brief = (a.convolve(x, weight, bias) for a in (SMOOTH, BRIEF))
    assert brief.dtype == torch.float32 and torch.equal(brief, brief.bfloat16().float())
    assert 0 < float((brief - smooth).abs().max()) < 0.02 * float(smooth.abs().max())
    precise = [a.convolve(x, weight, bias, precise=True) for a in (SMOOTH, BRIEF)]
    assert torch.equal(*precise), "those of transforms are not"


@pytest.mark.parametrize("kernel, stride, inputs, outputs", LAYERS)
def test_a_precise_layer_is_rounded_once(kernel, stride, inputs, outputs):
    """Its sums are made in two parts, and are those of whole weights, which single precision could not hold."""
    for seed in range(3):
        x, weight, bias = layer(kernel, inputs, outputs, seed)
        weight = 3 * weight + np.random.default_rng(seed).integers(-3, 4, weight.shape)
        check_sums("layer", *as_floats(weight, bias), BOUND, precise=True)
        found = EXACT.convolve(*as_floats(x, weight, bias), stride, precise=True)
        assert np.array_equal(found.numpy().astype(np.int64), convolution(x, weight, bias, stride, PRECISE))
        double = [t.double() for t in as_floats(x, weight, bias)]
        smooth = SMOOTH.convolve(*double, stride, precise=True)
        assert (smooth - found).abs().max() <= 0.5


def test_the_two_parts_of_precise_weights():
    weight = torch.arange(-40.0, 41.0)
    coarse, fine = split(weight)
    assert torch.equal(PARTS * coarse + fine, weight)
    assert float(fine.min()) == -PARTS // 2 and float(fine.max()) == PARTS // 2 - 1
    assert torch.equal(coarse, coarse.round())


def test_the_bounds_of_precise_sums():
    """Of both parts: coarse ones with the carry of the others, and the others."""
    reach, bias = 4095, torch.zeros(1)
    most = (EXACT_SUMS - FINE // 2 - 2) // reach
    check_sums("layer", torch.full((1, 1, 1, 1), 8.0 * most), bias, reach, precise=True)
    for weight in (torch.full((1, 1, 1, 1), 8.0 * most + 8), torch.full((1, 1100, 1, 1), -4.0)):
        with pytest.raises(MalformedError, match="have to stay under"):
            check_sums("layer", weight, bias, reach, precise=True)
    check_sums("layer", torch.full((1, 900, 1, 1), -4.0), bias, reach, precise=True)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("leaks", [False, True])
@pytest.mark.parametrize("joins", [False, True])
def test_what_follows_a_layer_is_done_in_the_same_pass(shuffle, adds, leaks, joins):
    x, weight, bias = layer(3, 5, 8, 1)
    found = convolution(x, weight, bias, 1)
    if shuffle:  # (N, 4 C, h, w) to (N, C, 2 h, 2 w)
        found = found.reshape(1, 2, 2, 2, 14, 22).transpose(0, 1, 4, 2, 5, 3).reshape(1, 2, 28, 44)
    plus = np.random.default_rng(2).integers(-BOUND, BOUND + 1, found.shape) if adds else 0
    found = found + plus
    if leaks:
        found = np.clip(np.maximum(found, (found + 2) // 4), -BOUND, BOUND)
    beside = np.random.default_rng(3).integers(-BOUND, BOUND + 1, found.shape) if joins else None
    if joins:
        found = np.clip(found + beside, -BOUND, BOUND)
    how = {"shuffle": shuffle, "leak": leaks}
    added = {name: as_floats(x)[0] for name, x, given in (("plus", plus, adds), ("beside", beside, joins)) if given}
    how |= added
    made = EXACT.convolve(*as_floats(x, weight, bias), **how)
    assert np.array_equal(made.numpy().astype(np.int64), found)
    double = how | {name: x.double() for name, x in added.items()}
    smooth = SMOOTH.convolve(*[t.double() for t in as_floats(x, weight, bias)], **double)
    assert smooth.shape == made.shape and (smooth - made).abs().max() <= 1.5


@pytest.mark.parametrize("precise", [False, True])
def test_weights_that_change_are_prepared_again(precise):
    """In place, or with another bias; and so for each use of them."""
    one = PRECISE if precise else FINE
    x, weight, bias = layer(3, 12, 8, 0)
    xs, kernel, constant = as_floats(x, weight, bias)

    def check(bias, constant):
        plain = EXACT.convolve(xs, kernel, constant, precise=precise)
        assert np.array_equal(plain.numpy(), convolution(x, weight, bias, 1, one))
        shuffled = EXACT.convolve(xs, kernel, constant, shuffle=True, precise=precise)
        assert torch.equal(shuffled, torch.nn.functional.pixel_shuffle(plain, 2))

    check(bias, constant)
    weight = weight // 2
    kernel.copy_(torch.from_numpy(weight))
    check(bias, constant)
    check(bias + 5, constant + 5)
    constant += 7
    check(bias + 7, constant)


@pytest.mark.parametrize("outputs", [1, FEW, FEW + 1])
@pytest.mark.parametrize("width", [1, 2, 5, 6])
def test_few_outputs(outputs, width):
    """Which are worked for two samples at a time where a row has an even number of them."""
    x, weight, bias = layer(3, 7, outputs, 4)
    x = x[..., :width]
    found = EXACT.convolve(*as_floats(x, weight, bias), leak=True)
    wanted = convolution(x, weight, bias, 1)
    assert np.array_equal(found.numpy(), np.clip(np.maximum(wanted, (wanted + 2) // 4), -BOUND, BOUND))


def test_what_is_added_is_repeated_over_the_picture():
    x, weight, bias = as_floats(*layer(1, 4, 6, 3))
    plus = torch.arange(6.0).view(1, 6, 1, 1)
    assert torch.equal(EXACT.convolve(x, weight, bias, plus=plus), EXACT.convolve(x, weight, bias) + plus)


def test_what_other_devices_do_is_the_same(monkeypatch):
    """A matrix product of unfolded pictures, of kernels of any shape."""
    shapes = [
        ((5, 3, 3, 3), 1, 1),
        ((5, 3, 2, 2), 2, 0),
        ((4, 3, 1, 8), 1, 0),
        ((4, 3, 8, 1), 1, 0),
        ((5, 3, 5, 5), 1, 2),
    ]
    for shape, stride, padding in shapes:
        x, weight = torch.randint(-99, 100, (2, 3, 10, 12)).float(), torch.randint(-99, 100, shape).float()
        for bias in (None, torch.arange(shape[0]).float()):
            wanted = sums(x, weight, bias, stride, padding)
            assert torch.equal(Elsewhere(x).run(weight, bias, stride, padding), wanted)


class Elsewhere:
    """Takes a picture for one on another device."""

    def __init__(self, x):
        self.x = x

    def run(self, weight, bias, stride, padding):
        class Foreign(torch.Tensor):
            device = torch.device("meta")

        return sums(self.x.as_subclass(Foreign), weight, bias, stride, padding).as_subclass(torch.Tensor)


@given(st.integers(-(2**23), 2**23), st.sampled_from([2, 4, 8, 256, 4096]))
def test_division_rounds_half_up(value, by):
    assert EXACT.divide(torch.tensor(float(value)), by).item() == (2 * value + by) // (2 * by)
    assert SMOOTH.divide(torch.tensor(float(value), dtype=torch.float64), by).item() == value / by


def test_the_activation_function():
    x = torch.tensor([-99999.0, -8189, -8188, -7, -6, -5, -3, -2, -1, 0, 1, 2046, 2047, 2048, 99999])
    assert EXACT.leak(x.view(1, 3, 5, 1)).flatten().tolist() == [
        -2047,
        -2047,
        -2047,
        -2,
        -1,
        -1,
        -1,
        0,
        0,
        0,
        1,
        2046,
        2047,
        2047,
        2047,
    ]


def test_the_bound_of_sums():
    """2^24 - 1 is let through, 2^24 is not; signs, inputs and places of the kernel are summed up."""
    weight = torch.zeros(2, 2, 2, 2)
    weight[1] = torch.tensor([[[1, -1], [1, -1]], [[-1, 1], [-1, 1]]])
    reach = 2047
    bias = torch.tensor([0, (EXACT_SUMS - FINE // 2 - 8 * reach) // FINE])
    assert 8 * reach + int(bias[1]) * FINE + FINE // 2 < EXACT_SUMS
    for sign in (1, -1):
        check_sums("layer", weight, sign * bias, reach)
        with pytest.raises(MalformedError, match="layer: sums of up to .* they have to stay under 2\\^24"):
            check_sums("layer", weight, sign * (bias + 1), reach)
    exact = torch.full((1, 1, 1, 1), float(EXACT_SUMS - FINE // 2 - 1))
    check_sums("layer", exact, torch.zeros(1), 1)
    with pytest.raises(MalformedError):
        check_sums("layer", exact + 1, torch.zeros(1), 1)
    with pytest.raises(MalformedError):
        check_sums("layer", torch.full((1, 1, 1, 1), float(2**24 - 1)), torch.zeros(1), 2**20)


def digest():
    """Of the outputs of all layers above, and of interpolation."""
    from nvcodec.models.motion import Quarters

    out = hashlib.sha256()
    for number, (kernel, stride, inputs, outputs) in enumerate(LAYERS):
        arrays = as_floats(*layer(kernel, inputs, outputs, number))
        out.update(EXACT.convolve(*arrays, stride).numpy().astype("<i4").tobytes())
    planes = torch.from_numpy(np.random.default_rng(0).integers(-512, 512, (1, 2, 23, 31)).astype(np.float32))
    out.update(Quarters.of(planes, 4).phases.numpy().astype("<i4").tobytes())
    return out.hexdigest()


@pytest.mark.parametrize(
    "setting",
    [
        {"ONEDNN_MAX_CPU_ISA": "SSE41", "THREADS": "2"},
        {"ONEDNN_MAX_CPU_ISA": "AVX2", "THREADS": "2"},
        {"ATEN_CPU_CAPABILITY": "default"},
        {"ATEN_CPU_CAPABILITY": "avx2", "THREADS": "2"},
        {"MKLDNN": "0"},
        {"MKL_CBWR": "COMPATIBLE", "MKLDNN": "0", "THREADS": "2"},
    ],
    ids=lambda setting: " ".join(f"{k}={v}" for k, v in setting.items()),
)
def test_instructions_and_libraries_do_not_matter(setting):
    code = (
        "import os, sys, torch; sys.path.insert(0, 'tests')\n"
        "torch.set_num_threads(int(os.environ.get('THREADS', 1)))\n"
        "torch.backends.mkldnn.enabled = os.environ.get('MKLDNN') != '0'\n"
        "from test_models_integer import digest\nprint(digest())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **setting}, capture_output=True, text=True, cwd=ROOT
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == digest()
