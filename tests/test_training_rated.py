"""One pass of latents in training: the loop of the CPU and the operations of other devices are the same."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nvcodec.entropy.laws import SKIPPED, pass_laws
from nvcodec.models.integer import UNIT
from nvcodec.training import rated as module
from nvcodec.training.laplace import FINEST_LOG2, MOST_LOG2, bits
from nvcodec.training.rated import NEVER, rated

SURE = -4.625


def cells_of(rows, columns):
    return (torch.arange(rows)[:, None] + torch.arange(columns)) % 2 == 0


def material(seed, number=3, channels=4, rows=5, columns=6):
    """Values that the network sees, those that are rated, laws in one tensor, and steps."""
    generator = torch.Generator().manual_seed(seed)
    shape = number, channels, rows, columns
    seen = 3 * torch.randn(shape, generator=generator)
    values = seen + torch.rand(shape, generator=generator) - 0.5
    law = torch.randn(number, rows, columns, 2 * channels, generator=generator).movedim(-1, 1) * (1.5 * UNIT)
    step = UNIT * 2 ** (4 * torch.rand(number, 1, 1, 1, generator=generator) - 2)
    return [t.detach().requires_grad_() for t in (seen, values, law, step)]


def found(seed, least=FINEST_LOG2, sure=NEVER):
    """What `rated` says of the material, and all gradients of something that depends on all of it."""
    seen, values, law, step = material(seed)
    log2_step = torch.log2(step / UNIT)
    shown, total = rated(seen, values, law.chunk(2, 1), step, log2_step, cells_of(5, 6), least, sure)
    weights = torch.arange(1.0, 1 + shown.numel()).view_as(shown) / shown.numel()
    (0.3 * (total * torch.tensor([1.0, 2.0, 0.5])).sum() + (shown * weights).sum()).backward()
    return shown.detach(), total.detach(), *(t.grad for t in (seen, values, law, step))


class Elsewhere(torch.Tensor):
    """A tensor that is not on the CPU, as far as it says."""

    @property
    def device(self):
        return torch.device("cuda")


@pytest.fixture
def elsewhere(monkeypatch):
    """As on a device that is not the CPU."""

    def general(seen, *rest, **more):
        found = module.rated(seen.as_subclass(Elsewhere), *rest, **more)
        return [tensor.as_subclass(torch.Tensor) for tensor in found]

    return lambda: monkeypatch.setitem(globals(), "rated", general)


@pytest.mark.parametrize("sure", [NEVER, SURE])
@pytest.mark.parametrize("least", [FINEST_LOG2, -8.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_loop_gives_values_bits_and_gradients_of_the_operations(elsewhere, seed, least, sure):
    loop = found(seed, least, sure)
    elsewhere()
    operations = found(seed, least, sure)
    for one, other in zip(loop, operations, strict=True):
        assert bool(other.any())
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))


def one_value(value, location, log2_scale, **rest):
    """Of one latent whose step is 1: what is shown, bits, and their derivatives by value, location and scale."""
    tensors = [torch.full((1, 1, 1, 1), x, requires_grad=True) for x in (value, UNIT * location, UNIT / 2 * log2_scale)]
    step, cells = torch.full((1, 1, 1, 1), float(UNIT)), torch.ones(1, 1, dtype=torch.bool)
    shown, total = rated(tensors[0], tensors[0], (tensors[1], tensors[2]), step, torch.log2(step / UNIT), cells, **rest)
    total.sum().backward()
    return float(shown.detach()), float(total.detach()), *(float(t.grad) for t in tensors)


reals = st.floats(-20, 20, width=32)


@given(reals, reals, st.floats(FINEST_LOG2 + 0.125, MOST_LOG2 - 0.125, width=32))
@settings(max_examples=200, deadline=None)  # the loop is compiled first
def test_bits_and_slopes_are_those_of_the_law(value, location, log2_scale):
    _, cost, by_value, by_location, by_scale = one_value(value, location, log2_scale)
    expected = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (value, location, log2_scale)]
    law = bits(*expected)
    law.backward()
    assert math.isclose(cost, float(law), rel_tol=1e-4, abs_tol=1e-4)
    slopes = [float(x.grad) for x in expected]
    if abs(value - location) > 1e-3 and abs(abs(value - location) - 0.5) > 1e-3:  # where the law is smooth
        assert math.isclose(by_value, slopes[0], rel_tol=2e-3, abs_tol=2e-3)
        assert math.isclose(by_location, slopes[1] / UNIT, rel_tol=2e-3, abs_tol=2e-3)
        assert math.isclose(by_scale, slopes[2] * 2 / UNIT, rel_tol=2e-3, abs_tol=2e-3)


def test_below_the_least_scale_gradients_only_widen():
    assert one_value(3.0, 0.0, FINEST_LOG2 - 1)[4] < 0, "a surprise widens the law"
    assert one_value(0.0, 0.0, FINEST_LOG2 - 1)[4] == 0, "what was expected does not make it narrower"
    assert one_value(0.0, 0.0, MOST_LOG2 + 1)[4] == 0


def test_what_a_law_is_sure_of_costs_nothing_and_is_what_it_says():
    assert one_value(3.0, 1.43, SURE - 0.1, sure=SURE) == (1.0, 0.0, 0.0, 0.0, 0.0)
    assert one_value(3.0, 1.43, SURE + 0.1, sure=SURE)[:2] != (1.0, 0.0)
    assert one_value(0.0, 1.44, SURE - 0.1, sure=SURE)[0] == 2.0, "twelve eighths, a half, which is rounded up"


def test_what_a_law_is_sure_of_is_what_the_coder_says(elsewhere):
    """For all steps: also where eighths are halves of one, which a step's reciprocal would miss."""
    location = torch.arange(-3000.0, 3000.0).view(1, 1, 60, 100)
    cells, zeros = torch.ones(60, 100, dtype=torch.bool), torch.zeros(1, 1, 60, 100)
    scale = torch.full_like(location, -4000.0)
    steps = [torch.tensor(float(step)) for step in (1, 3, 7, 48, 49, 80, 336, 1232, 1500)]

    def shown(step):
        return rated(zeros, zeros, (location, scale), step, torch.log2(step / UNIT), cells, sure=SURE)[0]

    loop = [shown(step) for step in steps]
    elsewhere()
    for step, found in zip(steps, loop, strict=True):
        floors, rows = pass_laws(cells, location, scale, step)
        assert bool((rows == SKIPPED).all())
        assert np.array_equal(found.flatten().numpy(), floors)
        assert torch.equal(found, shown(step))


def test_other_cells_are_nothing():
    seen, values, law, step = material(0)
    cells = cells_of(5, 6)
    shown, total = rated(seen, values, law.chunk(2, 1), step, torch.log2(step / UNIT), cells)
    assert not bool(shown[:, :, ~cells].any()) and torch.equal(shown[:, :, cells], seen[:, :, cells])
    total.sum().backward()
    assert not bool(values.grad[:, :, ~cells].any()) and not bool(law.grad[:, :, ~cells].any())


def test_one_law_for_all_frames(elsewhere):
    def total_and_gradient():
        seen, values, law, step = material(2)
        one = law[:1].detach().requires_grad_()
        shown, total = rated(seen, values, one.chunk(2, 1), step, torch.log2(step / UNIT), cells_of(5, 6))
        (total.sum() + shown.sum()).backward()
        return shown.detach(), total.detach(), one.grad

    loop = total_and_gradient()
    elsewhere()
    for mine, theirs in zip(loop, total_and_gradient(), strict=True):
        assert mine.shape == theirs.shape and torch.allclose(mine, theirs, rtol=1e-3, atol=1e-4)


def test_without_gradients_the_same():
    seen, values, law, step = material(1)
    arguments = seen, values, law.chunk(2, 1), step, torch.log2(step / UNIT), cells_of(5, 6)
    with_them = rated(*arguments)
    with torch.no_grad():
        without = rated(*arguments)
    assert torch.equal(with_them[0], without[0]) and torch.equal(with_them[1], without[1])
    assert not without[1].requires_grad
