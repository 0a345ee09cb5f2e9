"""Random and mangled bytes into every parser of a record: one value has one form, or it is refused."""

import pytest
from bitstream_samples import GROUPS, MODEL, VIDEO, window
from hypothesis import given, settings
from hypothesis import strategies as st

from nvcodec.bitstream.group_records import GroupRecord, WindowRecord
from nvcodec.bitstream.header import FileHeader
from nvcodec.bitstream.index import unpack_index
from nvcodec.bitstream.metadata import unpack_meta
from nvcodec.bitstream.records import ModelRecord, VideoRecord
from nvcodec.errors import (
    FormatError,
)

VALID = {
    "video": VIDEO.pack(),
    "model": MODEL.pack(),
    "group": GROUPS[1].pack(VIDEO),
    "window": window().pack(),
    "header": FileHeader().pack(),
    "index": b"\x02\x32\x02\x01\x32\x03\x02\x20",
    "meta": b'{"a":[1,2.5,{"b":"c"}]}',
}
UNPACK = {
    "video": VideoRecord.unpack,
    "model": ModelRecord.unpack,
    "group": lambda data: GroupRecord.unpack(data, VIDEO),
    "window": WindowRecord.unpack,
    "header": FileHeader.unpack,
    "index": lambda data: unpack_index(data, 36, 200),
    "meta": unpack_meta,
}
PACK = {
    "video": VideoRecord.pack,
    "model": ModelRecord.pack,
    "group": lambda g: g.pack(VIDEO),
    "window": WindowRecord.pack,
    "header": FileHeader.pack,
}


@st.composite
def broken(draw, valid):
    """Random bytes, or valid ones with a few places overwritten, removed or doubled."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=80))
    data = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


@pytest.mark.parametrize("name", VALID)
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_random_bytes_parse_or_are_refused(name, data):
    raw = data.draw(broken(VALID[name]))
    try:
        record = UNPACK[name](raw)
    except FormatError as error:
        assert "\n" not in str(error)
        return
    if name in PACK:  # one value, one form
        assert PACK[name](record) == (raw[: FileHeader.SIZE] if name == "header" else raw)
