"""Float blobs: exact round trips, golden bytes, and the sizes that are refused."""

import lzma
import struct

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nvcodec.entropy import blobs
from nvcodec.errors import FeatureError, FormatError, MalformedError

FINITE = hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5), elements=st.floats(
    width=32, allow_nan=False, allow_infinity=False))  # fmt: skip
ZEROS = [np.zeros((10, 100), np.float32)]
SHAPES = [(10, 100)]


def zstd(data: bytes) -> bytes:
    return bytes([blobs.ZSTD]) + zstandard.ZstdCompressor().compress(data)


def lzma1(data: bytes) -> bytes:
    return bytes([blobs.LZMA]) + lzma.compress(data, format=lzma.FORMAT_RAW, filters=blobs._FILTERS)


@given(st.lists(FINITE, max_size=4), st.booleans(), st.randoms(use_true_random=False))
def test_round_trip_is_exact(current, inherit, random):
    previous = [np.full_like(t, random.uniform(-2, 2)) for t in current] if inherit else None
    data = blobs.pack_floats(current, previous)
    back = blobs.unpack_floats(data, [t.shape for t in current], previous)
    assert [t.shape for t in back] == [t.shape for t in current]
    assert all(a.tobytes() == b.tobytes() and b.dtype == np.float32 for a, b in zip(current, back, strict=True))


@pytest.mark.parametrize("coding", [blobs.STORED, blobs.ZSTD, blobs.LZMA])
def test_every_coding_is_chosen_where_it_is_smallest(coding):
    rng = np.random.default_rng(5)
    tensor = {
        blobs.STORED: rng.normal(size=3),
        blobs.ZSTD: np.zeros((1, 400)),
        blobs.LZMA: np.arange(3000) / 7,
    }[coding].astype(np.float32)
    data = blobs.pack_floats([tensor], None)
    assert data[0] == coding
    assert np.array_equal(blobs.unpack_floats(data, [tensor.shape], None)[0], tensor)


def test_golden():
    """Layout: difference of bit patterns, byte planes, coding id first."""
    current = [np.array([1.0, -0.0], np.float32), np.array([[0.5]], np.float32)]
    previous = [np.array([1.0, 0.0], np.float32), np.array([[2.0]], np.float32)]
    assert blobs.pack_floats(current, None).hex() == "00" + "000000" + "000000" + "800000" + "3f803f"
    assert blobs.pack_floats(current, previous).hex() == "00" + "000000" + "000000" + "000000" + "0080ff"
    ones = [np.ones(3, np.float32)]
    for data in ("0128b52ffd200c6100000000000000008080803f3f3f", "0200006a5187e764f61ae6dbfff5d68000"):
        assert np.array_equal(blobs.unpack_floats(bytes.fromhex(data), [(3,)], None)[0], ones[0])


def test_small_changes_cost_less_than_fresh_values():
    rng = np.random.default_rng(2)
    previous = [rng.normal(size=(64, 64)).astype(np.float32)]
    current = [previous[0] * np.float32(1 + 1e-5)]
    assert len(blobs.pack_floats(current, previous)) < 0.6 * len(blobs.pack_floats(current, None))


@pytest.mark.parametrize("make", [zstd, lzma1, lambda data: bytes([blobs.STORED]) + data])
@pytest.mark.parametrize("size", [0, 1, 3999, 4001, 8000, 10**6])
def test_any_other_size_is_refused(make, size):
    with pytest.raises(MalformedError):
        blobs.unpack_floats(make(bytes(size)), SHAPES, None)


@pytest.mark.parametrize("make", [zstd, lzma1])
def test_tensors_without_elements_take_no_bytes(make):
    assert blobs.unpack_floats(bytes([blobs.STORED]), [(0, 3)], None)[0].shape == (0, 3)
    with pytest.raises(MalformedError):
        blobs.unpack_floats(make(b"1234"), [(0, 3)], None)


@pytest.mark.parametrize("make", [zstd, lzma1])
def test_cut_and_appended_data_are_refused(make):
    data = make(bytes(4000))
    assert np.array_equal(blobs.unpack_floats(data, SHAPES, None)[0], ZEROS[0])
    for wrong in [data + b"\0", data + data[1:], *(data[:cut] for cut in range(len(data)))]:
        with pytest.raises(MalformedError):
            blobs.unpack_floats(wrong, SHAPES, None)


def test_a_frame_that_does_not_declare_its_size_is_refused():
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(4000))
    with pytest.raises(MalformedError, match="declares"):
        blobs.unpack_floats(bytes([blobs.ZSTD]) + frame, SHAPES, None)


def test_a_frame_that_declares_a_false_size_is_refused():
    frame = bytearray(zstandard.ZstdCompressor().compress(bytes(9000)))
    at = frame.index(struct.pack("<H", 9000 - 256))
    frame[at : at + 2] = struct.pack("<H", 4000 - 256)
    with pytest.raises(MalformedError):
        blobs.unpack_floats(bytes([blobs.ZSTD]) + bytes(frame), SHAPES, None)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value):
    with pytest.raises(MalformedError, match="finite"):
        blobs.unpack_floats(bytes([blobs.STORED]) + struct.pack("<f", value), [(1,)], None)


@pytest.mark.parametrize("coding", [3, 4, 255])
def test_an_unknown_coding_is_named(coding):
    with pytest.raises(FeatureError, match=str(coding)):
        blobs.unpack_floats(bytes([coding]) + bytes(4), [(1,)], None)


@given(st.binary(max_size=80), st.integers(0, 40))
def test_noise_never_does_worse_than_a_format_error(data, size):
    try:
        (tensor,) = blobs.unpack_floats(data, [(size,)], None)
    except FormatError:
        return
    assert tensor.shape == (size,) and np.isfinite(tensor).all()
