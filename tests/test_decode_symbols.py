"""From locations and scales to rows, and passes through a stream."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.decode.symbols import Reader, chosen, placed
from nvcodec.encode.symbols import Writer, stream
from nvcodec.entropy import laplace, rans
from nvcodec.entropy.laplace import HEAVY
from nvcodec.entropy.laws import SKIPPED, pass_laws
from nvcodec.errors import FormatError, MalformedError
from nvcodec.limits import MAX_MAGNITUDE
from nvcodec.models.integer import log2_fixed

STEP = st.integers(1, 4095)


def law(location, scale, step):
    fields = (torch.full((1, 1, 1, 1), float(value)) for value in (location, scale))
    floors, rows = pass_laws(torch.ones(1, 1, dtype=torch.bool), *fields, None if step is None else torch.tensor(step))
    return int(floors[0]), int(rows[0])


def test_log2_of_every_step_is_rounded_down():
    for value in range(1, 4096):
        assert 2 ** log2_fixed(value) <= value**256 < 2 ** (log2_fixed(value) + 1)


def test_by_hand():
    assert law(0, 0, None) == (0, HEAVY + 18 * 8)  # b = 1 symbol
    assert law(0, 0, 512) == (0, 18 * 8)
    assert law(0, 0, 1024) == (0, 14 * 8)  # half a symbol
    assert law(0, 256, 512) == (0, 22 * 8)  # twice
    assert law(100, 0, None) == (1, HEAVY + 18 * 8 + 5)  # 1.5625 in 1/64, 12.5 eighths, up to 13
    assert law(-1, 0, None) == (0, HEAVY + 18 * 8)
    assert law(-5, 0, None) == (-1, HEAVY + 18 * 8 + 7)
    assert law(-512, 0, 512) == (-1, 18 * 8)
    assert law(700, 0, 512) == (1, 18 * 8 + 3)  # 1.367, 10.9 eighths
    assert law(0, 1887, None) == (0, HEAVY + 47 * 8) == law(0, 10**5, None)
    assert law(0, -1184, None) == (0, HEAVY) and law(0, -1185, None) == (0, SKIPPED)
    assert law(91, -9999, None) == (1, SKIPPED) and law(92, -9999, None) == (2, SKIPPED)
    assert law(-101, -9999, None) == (-2, SKIPPED) and law(-700, -9999, 512) == (-1, SKIPPED)


@given(st.integers(-(2**17), 2**17), st.integers(-(2**16), 2**16), STEP)
def test_with_a_step(location, scale, step):
    floor, row = law(location, scale, step)
    eighths = math.floor((16 * location + step) / (2 * step))
    exact = 4 * (2 * scale / 512 - math.log2(step / 512)) + 18
    if row == SKIPPED:
        assert floor == math.floor((eighths + 4) / 8) and exact < -0.5 + 1 / 64
        return
    assert 8 * floor + row % 8 == eighths
    assert abs(row // 8 - min(exact, 47)) <= 0.5 + 1 / 64


@given(st.integers(-(2**19), 2**19), st.integers(-(2**16), 2**16))
def test_without_a_step(location, scale):
    floor, row = law(location, scale, None)
    eighths = math.floor(location / 8 + 0.5)
    index = math.floor(scale / 64 + 18.5)
    if index < 0:
        assert (floor, row) == (math.floor(eighths / 8 + 0.5), SKIPPED)
    else:
        assert (floor, row) == (eighths // 8, HEAVY + 8 * min(index, 47) + eighths % 8)


def test_the_order_is_channels_then_rows_then_columns():
    field = torch.arange(24.0).view(1, 2, 3, 4)
    cells = torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]], dtype=torch.bool)
    values = chosen(field, cells)
    assert values.tolist() == [0, 3, 9, 12, 15, 21]
    rows = np.array([5, SKIPPED, 0, 9, SKIPPED, 1])
    back, greatest = placed(values - [1, 0, 7, 2, 0, -30], rows, np.array([1, 7, 2, -30]), cells, field)
    assert torch.equal(back, field * cells) and back.dtype == torch.float32 and greatest == 21
    assert placed(-values, rows, np.zeros(4, np.int64), cells, field)[1] == 21


def passes(rng, count, small):
    """Passes of random shapes, strides, cells, locations and scales, and the fields they are of."""
    known, out = {}, []
    for number in range(count):
        stride, (c, h, w) = int(rng.choice([1, 2, 4])), rng.integers(1, 6, 3)
        step = None if number % 2 else torch.tensor(float(rng.integers(1, 4096)))
        known[f"f{number}"] = torch.from_numpy(rng.laplace(0, 5, (1, c, h, w)).round()).float()
        shape = known[f"f{number}"][..., ::stride, ::stride].shape
        cells = torch.from_numpy(rng.random(shape[2:]) < 0.6)
        location = torch.from_numpy(rng.integers(-4000, 4001, shape)).float()
        scale = torch.from_numpy(rng.integers(-3000 if small else -1000, 1500, shape)).float()
        out.append((f"f{number}", stride, cells, location, scale, step))
    return known, out


@given(st.integers(0, 2**32), st.integers(0, 8), st.booleans(), st.sampled_from([1, 33]))
def test_round_trip(seed, count, small, lanes):
    known, asked = passes(np.random.default_rng(seed), count, small)
    one, two = Writer(known), Writer(known)
    written = [(one if number < count // 2 else two)(*what) for number, what in enumerate(asked)]
    reader = Reader(stream([one, two], lanes), "frames")
    for what, values in zip(asked, written, strict=True):
        assert torch.equal(reader(*what), values)
        name, stride, cells, location, scale, step = what
        assert not values[0, :, ~cells].any() and values.shape == location.shape
        rows = pass_laws(cells, location, scale, step)[1]
        true = chosen(known[name][..., ::stride, ::stride], cells)
        assert (chosen(values, cells) == true)[rows != SKIPPED].all()
    reader.finish()


def test_bits_are_told_by_name():
    known, asked = passes(np.random.default_rng(4), 6, False)
    writer = Writer(known)
    for what in asked:
        writer(*what)
    assert set(writer.bits) == set(known)
    assert sum(writer.bits.values()) == pytest.approx(sum(laplace.bits(*part).sum() for part in writer.passes))


def test_nothing_may_be_left_or_missing():
    known, asked = passes(np.random.default_rng(1), 4, False)
    writer = Writer(known)
    for what in asked:
        writer(*what)
    data = stream([writer])
    reader = Reader(data, "group 1: frames")
    for what in asked[:-1]:
        reader(*what)
    with pytest.raises(MalformedError, match="^group 1: frames: "):
        reader.finish()
    with pytest.raises(MalformedError, match="^group 1: frames: "):
        reader = Reader(data, "group 1: frames")
        for what in asked * 9:
            reader(*what)
        reader.finish()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_value_is_bounded(sign):
    one = torch.ones(1, 1, dtype=torch.bool)
    encoder = rans.Encoder()
    encoder.put(np.array([HEAVY + 18 * 8]), np.array([sign * MAX_MAGNITUDE]))
    data = encoder.finish()
    zero = torch.zeros(1, 1, 1, 1)
    assert int(Reader(data, "frames")("y", 1, one, zero, zero, None)) == sign * MAX_MAGNITUDE
    with pytest.raises(MalformedError, match="a value of y is over"):
        Reader(data, "frames")("y", 1, one, zero + 64 * sign, zero, None)


@given(st.binary(max_size=60), st.integers(0, 1000))
def test_any_bytes(data, seed):
    _, asked = passes(np.random.default_rng(seed), 5, True)
    try:
        reader = Reader(data, "frames")
        for what in asked:
            reader(*what)
        reader.finish()
    except FormatError:
        pass
