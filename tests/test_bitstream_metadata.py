"""Metadata: round trips, golden bytes, hostile JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.bitstream.metadata import pack_meta, unpack_meta
from nvcodec.errors import (
    LimitError,
    MalformedError,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), JSON, max_size=4))
def test_meta_round_trip(meta):
    data = pack_meta(meta)
    assert unpack_meta(data) == meta and pack_meta(unpack_meta(data)) == data


def test_meta_golden():
    assert pack_meta({"b": [1, 2.5, None], "a": "ü"}) == '{"a":"ü","b":[1,2.5,null]}'.encode()


@pytest.mark.parametrize(
    "data, error",
    [
        (b"", MalformedError),
        (b"[]", MalformedError),
        (b'"x"', MalformedError),
        (b"{", MalformedError),
        (b'{"a":1}x', MalformedError),
        (b'{"a":NaN}', MalformedError),
        (b'{"a":-Infinity}', MalformedError),
        (b'{"a":1e999}', MalformedError),
        (b'{"a":1,"a":2}', MalformedError),
        (b'{"a":"\\ud800"}', MalformedError),
        (b'{"a":18446744073709551616}', MalformedError),
        (b'{"a":' + b"1" * 60000 + b"}", MalformedError),
        (b'{"a":"\xff"}', MalformedError),
        (b"\xef\xbb\xbf{}", MalformedError),
        ('{"a":1}'.encode("utf-16"), MalformedError),
        (b'{"a":' + b"[" * 16 + b"]" * 16 + b"}", LimitError),
        (b"[" * 65536, LimitError),
        (b'{"a":"' + b"x" * 65536 + b'"}', LimitError),
        (b'"' + b'\\"' * 32000, MalformedError),
    ],
)
def test_meta_refused(data, error):
    with pytest.raises(error, match="^metadata: "):
        unpack_meta(data)


def test_meta_depth_counts_brackets_outside_strings_only():
    assert unpack_meta(b'{"a":' + b"[" * 15 + b"]" * 15 + b"}")
    assert unpack_meta(b'{"a":"' + b"[" * 100 + b'\\"' + b"{" * 100 + b'"}')
