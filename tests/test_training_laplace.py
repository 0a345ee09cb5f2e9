"""The rate that frames are fitted by, against the tables of the coder and against numbers of its own."""

import numpy as np
import pytest
import torch

from nvcodec.entropy import laplace
from nvcodec.training.laplace import FINEST_LOG2, MOST_LOG2, bits, heavy_bits


def table(row):
    """(values, code lengths) of the window of a row, less the escapes."""
    reach = int(laplace.reach(row))
    r = np.arange(-reach, reach + 2)
    return r, laplace.bits(row, r)


def computed(law, r, phase, log2_scale):
    values = torch.from_numpy(r.astype(np.float32))
    return law(values, torch.tensor(phase / laplace.PHASES), torch.tensor(log2_scale)).double().numpy()


@pytest.mark.parametrize("law, first", [(bits, 0), (heavy_bits, laplace.HEAVY)])
@pytest.mark.parametrize("scale", range(laplace.SCALES))
def test_bits_are_those_of_the_tables(scale, law, first):
    """At the points of the tables: each value, and the mean over what the law gives."""
    for phase in range(laplace.PHASES):
        r, coded = table(first + scale * laplace.PHASES + phase)
        found = computed(law, r, phase, (scale - 18) / 4)
        weight = 2.0**-coded
        assert abs((weight * (found - coded)).sum()) < 0.02 * (weight * coded).sum() + 0.002
        likely = coded < 8  # the nearest value of a wide row has what the others' roundings leave
        assert found[likely] == pytest.approx(coded[likely], rel=0.06, abs=0.02)


def test_scales_beyond_the_ends_count_as_those():
    assert (FINEST_LOG2, MOST_LOG2) == ((0 - 18) / 4, (laplace.SCALES - 1 - 18) / 4), "those of the tables"
    values = torch.tensor([0.0, 1.0, 40.0])
    for beyond, end, least in ((-9.0, FINEST_LOG2, FINEST_LOG2), (-9.0, -6.0, -6.0), (12.0, MOST_LOG2, FINEST_LOG2)):
        found = (bits(values, torch.tensor(0.3), torch.tensor(x), least) for x in (beyond, end))
        assert torch.equal(*found)
    assert (
        bits(values, torch.tensor(0.3), torch.tensor(-6.0))[1]
        < bits(values, torch.tensor(0.3), torch.tensor(-6.0), -8.0)[1]
    ), "by default the finest of the tables"


def test_gradients_are_differences():
    """Not at the kink, half a symbol from the location."""
    grid = torch.meshgrid(
        torch.tensor([-7.3, -0.2, 0.0, 0.1, 2.0, 3.9], dtype=torch.float64),
        torch.tensor([-0.25, 0.3], dtype=torch.float64),
        torch.tensor([-4.4, -1.0, 0.6, 7.0], dtype=torch.float64),
        indexing="ij",
    )
    leaves = [part.reshape(-1).requires_grad_() for part in grid]
    assert torch.autograd.gradcheck(bits, leaves)


def test_bits_are_continuous_where_the_formula_changes():
    near, far = (bits(torch.tensor(0.5 + d), torch.tensor(0.0), torch.tensor(-0.5)) for d in (-1e-4, 1e-4))
    assert float(far - near) == pytest.approx(0, abs=2e-3) and float(far) > float(near)


@pytest.mark.parametrize(("value", "moves"), [(3.0, True), (0.3, False)])
def test_a_scale_below_the_finest_can_only_grow(value, moves):
    """Bits fall where it grows, under a value that is far off; a value that it suits does not draw it further down."""
    gradients = []
    for log2_scale in (FINEST_LOG2 + 0.1, FINEST_LOG2 - 1):
        scale = torch.tensor(log2_scale, requires_grad=True)
        bits(torch.tensor(value), torch.tensor(0.0), scale).backward()
        gradients.append(float(scale.grad))
    assert gradients[0] != 0 and (gradients[1] < 0 if moves else gradients[0] > 0 == gradients[1])


def test_everything_is_finite():
    value = torch.tensor([0.0, 0.5, 1.0, 4095.0, -4095.0]).view(-1, 1).requires_grad_()
    scale = torch.tensor([-40.0, -4.5, 0.0, 7.25, 40.0]).requires_grad_()
    found = bits(value, torch.tensor(0.0), scale)
    found.sum().backward()
    assert bool((found >= 0).all())
    assert all(bool(torch.isfinite(x).all()) for x in (found, value.grad, scale.grad))
