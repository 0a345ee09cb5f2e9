"""Varints and exact reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.bitstream.fields import Cursor, svarint, uvarint
from nvcodec.errors import LimitError, MalformedError

U64 = st.integers(0, 2**64 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    "value, data",
    [
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (300, "ac02"),
        (2**63, "80808080808080808001"),
        (2**64 - 1, "ffffffffffffffffff01"),
    ],
)
def test_uvarint_golden(value, data):
    assert uvarint(value).hex() == data
    assert Cursor(bytes.fromhex(data), "x").uvarint("v") == value


@pytest.mark.parametrize("value, data", [(0, "00"), (-1, "01"), (1, "02"), (-64, "7f"), (64, "8001")])
def test_svarint_golden(value, data):
    assert svarint(value).hex() == data
    assert Cursor(bytes.fromhex(data), "x").svarint("v") == value


@given(st.lists(U64), st.lists(I64))
def test_varints_round_trip(unsigned, signed):
    cursor = Cursor(b"".join([*map(uvarint, unsigned), *map(svarint, signed)]), "x")
    assert [cursor.uvarint("v") for _ in unsigned] == unsigned
    assert [cursor.svarint("v") for _ in signed] == signed
    cursor.done()


@given(st.binary(max_size=12))
def test_every_accepted_varint_is_the_one_we_write(data):
    cursor = Cursor(data, "x")
    try:
        value = cursor.uvarint("v")
    except MalformedError:
        return
    assert uvarint(value) == data[: cursor.position]


@pytest.mark.parametrize(
    "data, why",
    [
        ("8000", "longer than it need be"),
        ("ff00", "longer than it need be"),
        ("80808080808080808000", "longer than it need be"),
        ("ffffffffffffffffff02", "64 bits"),
        ("ffffffffffffffffff7f", "64 bits"),
        ("ffffffffffffffffffff01", "10 bytes"),
        ("80" * 100, "10 bytes"),
        ("", "0 are left"),
        ("80", "0 are left"),
    ],
)
def test_bad_varints(data, why):
    for method in ("uvarint", "svarint"):
        with pytest.raises(MalformedError, match=why):
            getattr(Cursor(bytes.fromhex(data), "x"), method)("v")


def test_cap():
    assert Cursor(b"\x05", "x").uvarint("v", 5) == 5
    with pytest.raises(LimitError, match="x: v is 6, over the cap of 5"):
        Cursor(b"\x06", "x").uvarint("v", 5)


def test_fixed_fields_are_little_endian():
    cursor = Cursor(bytes(range(1, 16)), "x")
    assert [cursor.u8("a"), cursor.u16("b"), cursor.u32("c"), cursor.u64("d")] == [
        0x01,
        0x0302,
        0x07060504,
        0x0F0E0D0C0B0A0908,
    ]
    assert cursor.remaining == 0
    cursor.done()


@pytest.mark.parametrize("method, size", [("u8", 1), ("u16", 2), ("u32", 4), ("u64", 8)])
def test_a_field_that_does_not_fit(method, size):
    with pytest.raises(MalformedError, match=f"needs {size} bytes where {size - 1} are left"):
        getattr(Cursor(bytes(size - 1), "x"), method)("v")


def test_take_past_the_end_does_not_move():
    cursor = Cursor(b"abc", "x")
    with pytest.raises(MalformedError):
        cursor.take(2**62, "v")
    assert cursor.take(3, "v") == b"abc"


def test_left_over_bytes():
    with pytest.raises(MalformedError, match="x: 3 bytes are left over"):
        Cursor(b"abc", "x").done()
