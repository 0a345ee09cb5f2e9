"""The index record, random access, and indexes that lie."""

import dataclasses
import io

import pytest
from bitstream_samples import (
    GROUPS,
    MODEL,
    VIDEO,
    CountingFile,
    Pipe,
    parts,
    raw_chunk,
    spans,
    tiny_file,
)
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.bitstream.container import Reader, Writer
from nvcodec.bitstream.fields import uvarint
from nvcodec.bitstream.group_records import Section
from nvcodec.bitstream.index import IndexEntry, IndexWriter, unpack_index
from nvcodec.bitstream.records import EndRecord
from nvcodec.bitstream.registry import SectionKind
from nvcodec.errors import (
    LimitError,
    MalformedError,
    UsageError,
)

HEAD, VIDI, META_CHUNK, MODL, G0, G1, G2, G3, INDX, FEND = parts()


def join(*pieces):
    return b"".join(pieces)


def end(groups=4, frames=7, index_offset=0):
    return EndRecord(groups, frames, index_offset).pack()


@given(
    st.lists(
        st.tuples(st.integers(40, 10**6), st.integers(1, 4096), st.booleans(), st.none() | st.integers(1, 2**40)),
        max_size=30,
    )
)
def test_index_round_trip(groups):
    writer, offset, first, wanted = IndexWriter(), 0, 0, []
    for number, (step, frames, access, back) in enumerate(groups):
        offset += step
        window = None if back is None else max(28, offset - back)
        wanted.append(IndexEntry(number, first, frames, offset, access or number == 0, window))
        writer.add(wanted[-1])
        first += frames
    assert unpack_index(writer.pack(), 40, offset + 40) == wanted


@pytest.mark.parametrize(
    "data, error, why",
    [
        (uvarint(2**22 + 1), LimitError, "count"),
        (uvarint(2**20), MalformedError, "do not fit"),
        (b"\x01\x00\x01\x01", MalformedError, "cannot lie at byte 0"),
        (b"\x01\x64\x01\x01", MalformedError, "cannot lie at byte 100"),
        (b"\x02\x0a\x01\x01\x0a\x01\x00", MalformedError, "cannot lie at byte 20"),
        (b"\x01\x0a\x00\x01", MalformedError, "not valid"),
        (b"\x01\x0a\x01\x00", MalformedError, "not valid"),
        (b"\x01\x0a\x01\x02\x01", MalformedError, "not valid"),
        (b"\x01\x0a\x01\x05", MalformedError, "not valid"),
        (b"\x01\x28\x01\x03", MalformedError, "window needs 1 bytes"),
        (b"\x01\x28\x01\x03\x00", MalformedError, "window of group 0 cannot lie at byte 40"),
        (b"\x01\x28\x01\x03\x0d", MalformedError, "window of group 0 cannot lie at byte 27"),
        (b"\x01\x28\x01\x03\x41", MalformedError, "window of group 0 cannot lie at byte -25"),
        (b"\x01\x0a" + uvarint(4097) + b"\x01", LimitError, "frame count"),
        (b"\x01\x0a\x01\x01\x00", MalformedError, "left over"),
    ],
)
def test_index_refused(data, error, why):
    with pytest.raises(error, match=why):
        unpack_index(data, 36, 120)


def with_index(payload, offset=None):
    """The tiny file with this index payload."""
    pieces = parts()
    where = sum(map(len, pieces[:-2])) if offset is None else offset
    return join(*pieces[:-2], raw_chunk(b"INDX", payload), raw_chunk(b"FEND", end(index_offset=where)))


TRUE_INDEX = INDX[14:-4]


def test_index_says_where_the_groups_are():
    data = tiny_file()
    starts = [start for kind, start, _ in spans(data) if kind == b"GRUP"]
    reader = Reader(io.BytesIO(data))
    assert [(e.number, e.first_frame, e.frame_count, e.offset, e.random_access) for e in reader.index] == [
        (g.number, g.first_frame, g.frame_count, start, g.random_access)
        for g, start in zip(GROUPS, starts, strict=True)
    ]
    assert reader.damage == []
    assert with_index(TRUE_INDEX) == data


def test_random_access_does_not_read_the_rest():
    big = [Section(SectionKind.SYMBOLS, bytes(10**5))]
    groups = [dataclasses.replace(g, sections=tuple(big)) for g in GROUPS]
    file = CountingFile(tiny_file(groups=groups))
    reader = Reader(file)
    assert reader.access_point(6) == 2 and reader.read_group(3) == groups[3]
    assert file.total < 2.2 * 10**5


def test_random_access_finds_a_model_that_stands_between_groups():
    file = io.BytesIO()
    writer = Writer(file)
    other = dataclasses.replace(MODEL, index=9)
    last = dataclasses.replace(GROUPS[2], model=9)
    writer.write_video(VIDEO)
    writer.write_model(MODEL)
    for record in GROUPS[:2]:
        writer.write_group(record)
    writer.write_model(other)
    writer.write_group(last)
    writer.finish()
    file.seek(0)
    reader = Reader(file)
    assert reader.models.keys() == {0}
    assert reader.read_group(2) == last and reader.models == {0: MODEL, 9: other}


def test_access_points():
    reader = Reader(io.BytesIO(tiny_file()))
    assert [reader.access_point(frame) for frame in range(7)] == [0, 0, 0, 0, 2, 2, 2]
    with pytest.raises(UsageError, match="no group 4"):
        reader.read_group(4)
    with pytest.raises(UsageError, match="no group -1"):
        reader.read_group(-1)
    with pytest.raises(UsageError, match="frame -1"):
        reader.access_point(-1)


def lie(entries):
    """An index payload of (offset step, frames, flags) rows."""
    out = bytes([len(entries)])
    for step, frames, flags in entries:
        out += uvarint(step) + bytes([frames, flags])
    return out


ROWS = [(e.offset, e.frame_count, int(e.random_access)) for e in Reader(io.BytesIO(tiny_file())).index]
STEPS = [ROWS[0]] + [(b[0] - a[0], b[1], b[2]) for a, b in zip(ROWS, ROWS[1:], strict=False)]


def changed(place, row):
    return lie([row if i == place else old for i, old in enumerate(STEPS)])


LIES = {
    "empty": with_index(b"\x00"),
    "garbage": with_index(b"\xff" * 20),
    "no payload": with_index(b""),
    "fewer groups": with_index(lie(STEPS[:3])),
    "offset of the first": with_index(changed(0, (STEPS[0][0] - 1, 2, 1))),
    "offset inside a payload": with_index(changed(1, (STEPS[1][0] + 1, 2, 0))),
    "access flag": with_index(changed(3, (STEPS[3][0], 2, 1))),
    "no access flag": with_index(changed(2, (STEPS[2][0], 1, 0))),
    "frames moved": with_index(lie([STEPS[0], (STEPS[1][0], 1, 0), (STEPS[2][0], 2, 1), STEPS[3]])),
    "frames over": with_index(changed(3, (STEPS[3][0], 9, 0))),
    "index offset of a group": with_index(TRUE_INDEX, ROWS[1][0]),
    "index offset beyond": with_index(TRUE_INDEX, 2**64 - 1),
    "index offset within": with_index(TRUE_INDEX, 3),
    "index offset none": with_index(TRUE_INDEX, 0),
    "no index": join(*parts()[:-2], raw_chunk(b"FEND", end())),
    "no end": join(*parts()[:-2]),
}


def test_the_lies_start_from_the_truth():
    assert lie(STEPS) == TRUE_INDEX


@pytest.mark.parametrize("recover", [False, True])
@pytest.mark.parametrize("data", LIES.values(), ids=LIES)
def test_a_lying_index_harms_nothing(data, recover):
    for frame, access in enumerate([0, 0, 0, 0, 2, 2, 2]):
        reader = Reader(io.BytesIO(data), recover=recover)
        first = reader.access_point(frame)
        assert first in (access, 0)  # a lie may cost time, never the right group
        assert reader.read_group(first).random_access
    for number, record in enumerate(GROUPS):
        assert Reader(io.BytesIO(data), recover=recover).read_group(number) == record


def test_groups_and_random_access_may_alternate():
    reader = Reader(io.BytesIO(tiny_file()))
    seen = []
    for record in reader.groups():
        seen.append(record)
        assert reader.read_group(3 - record.number) == GROUPS[3 - record.number]
        assert reader.complete
    assert tuple(seen) == GROUPS == tuple(reader.groups())


def test_a_file_may_start_anywhere_in_its_stream():
    file = io.BytesIO(b"before" + tiny_file())
    file.seek(6)
    reader = Reader(file)
    assert reader.read_group(2) == GROUPS[2] and tuple(reader.groups()) == GROUPS and reader.complete


def test_a_pipe_is_read_once_and_in_order():
    reader = Reader(Pipe(tiny_file()))
    for use in (lambda: reader.index, lambda: reader.read_group(0), lambda: reader.access_point(0)):
        with pytest.raises(UsageError, match="save it to a file"):
            use()
    assert tuple(reader.groups()) == GROUPS
    with pytest.raises(UsageError, match="read only once"):
        list(reader.groups())
