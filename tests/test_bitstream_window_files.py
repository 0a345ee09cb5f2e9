"""Files with windows: how a reader finds the window of a group, and indexes that lie."""

import dataclasses
import io

import pytest
from bitstream_samples import WINDOWED, CountingFile, Pipe, raw_chunk, spans, tiny_file
from windowed_samples import BODY, FEND, GROUPS, INDX, OF_GROUP, SPANS, STARTS, VIDEO_END, WHOLE, WINDOWS, after_model

from nvcodec.bitstream.container import Reader
from nvcodec.bitstream.fields import uvarint
from nvcodec.bitstream.group_records import Section, WindowRecord
from nvcodec.bitstream.records import EndRecord
from nvcodec.bitstream.registry import SectionKind
from nvcodec.errors import MalformedError, UsageError

# The window of a group ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize("recover", [False, True])
def test_windows_of_groups_in_order(pipe, recover):
    reader = Reader(Pipe(WHOLE) if pipe else io.BytesIO(WHOLE), recover=recover)
    assert [reader.window_of(record) for record in reader.groups()] == OF_GROUP
    assert reader.damage == []


@pytest.mark.parametrize("recover", [False, True])
@pytest.mark.parametrize("number", range(len(GROUPS)))
def test_windows_of_groups_at_random(number, recover):
    reader = Reader(io.BytesIO(WHOLE), recover=recover)
    assert reader.window_of(reader.read_group(number)) == OF_GROUP[number]
    assert reader.window_of(GROUPS[-1 - number]) == OF_GROUP[-1 - number]
    assert reader.damage == []


def test_the_index_says_where_windows_are():
    reader = Reader(io.BytesIO(WHOLE))
    first, second = STARTS[b"WNDW"]
    assert [entry.window for entry in reader.index] == [None, first, first, None, second, second, second, None]
    assert [entry.offset for entry in reader.index] == STARTS[b"GRUP"]
    rebuilt = Reader(io.BytesIO(WHOLE), recover=True)
    assert rebuilt.index == reader.index
    assert Reader(io.BytesIO(WHOLE[: -len(FEND)])).index == reader.index


def test_a_window_is_read_once_for_groups_that_follow_each_other():
    big = Section(SectionKind.SYMBOLS, bytes(10**5))
    records = [dataclasses.replace(r, sections=(big,)) if isinstance(r, WindowRecord) else r for r in WINDOWED]
    file = CountingFile(tiny_file(groups=records))
    reader = Reader(file)
    for number in (4, 5, 6):
        assert reader.window_of(reader.read_group(number)) == records[5]
    assert 10**5 < file.total < 1.1 * 10**5


def test_walking_does_not_read_windows_again():
    file = CountingFile(WHOLE)
    reader = Reader(file)
    for record in reader.groups():
        reader.window_of(record)
    assert file.total < len(WHOLE) + 100


def test_walking_and_random_access_may_alternate():
    reader = Reader(io.BytesIO(WHOLE))
    for record in reader.groups():
        other = reader.read_group(7 - record.number)
        assert reader.window_of(other) == OF_GROUP[7 - record.number]
        assert reader.window_of(record) == OF_GROUP[record.number]


def test_a_pipe_cannot_go_back_to_a_window():
    reader = Reader(Pipe(WHOLE))
    groups = list(reader.groups())
    assert reader.window_of(groups[5]) == WINDOWS[1]
    with pytest.raises(UsageError, match="save it to a file"):
        reader.window_of(groups[1])


def test_access_points_are_in_windows_too():
    reader = Reader(io.BytesIO(WHOLE))
    assert [reader.access_point(record.first_frame) for record in GROUPS] == [0, 1, 1, 1, 4, 4, 6, 7]


def test_groups_before_a_cut_can_be_reached_with_their_windows():
    for cut in range(VIDEO_END, len(WHOLE)):
        reader = Reader(io.BytesIO(WHOLE[:cut]))
        kept = sum(end <= cut for kind, _, end in SPANS if kind == b"GRUP")
        assert len(reader.index) == kept
        found = [reader.window_of(reader.read_group(number)) for number in reversed(range(kept))]
        assert found == OF_GROUP[:kept][::-1]


# Indexes that lie -----------------------------------------------------------------------------------------------------


def with_index(change, data=WHOLE):
    """A file with entries of its index changed: number -> (offset of the group, frames, flags, back or None)."""
    payload, last = uvarint(len(GROUPS)), 0
    for entry in Reader(io.BytesIO(data), recover=True).index:
        flags = entry.random_access | 2 * (entry.window is not None)
        back = None if entry.window is None else entry.offset - entry.window
        offset, frames, flags, back = change.get(entry.number, (entry.offset, entry.frame_count, flags, back))
        payload += uvarint(offset - last) + uvarint(frames) + bytes([flags]) + (uvarint(back) if flags & 2 else b"")
        last = offset
    start = spans(data)[-2][1]
    return data[:start] + raw_chunk(b"INDX", payload) + raw_chunk(b"FEND", EndRecord(8, 16, start).pack())


G = STARTS[b"GRUP"]
FIRST, SECOND = STARTS[b"WNDW"]
LIES = {
    "another window": with_index({5: (G[5], 3, 2, G[5] - FIRST)}),
    "no window there": with_index({5: (G[5], 3, 2, G[5] - FIRST - 1)}),
    "a group": with_index({5: (G[5], 3, 2, G[5] - G[4])}),
    "within the header": with_index({5: (G[5], 3, 2, G[5])}),
    "before the file": with_index({5: (G[5], 3, 2, G[5] + 1)}),
    "far before the file": with_index({5: (G[5], 3, 2, 2**63)}),
    "itself": with_index({5: (G[5], 3, 2, 0)}),
    "no window": with_index({5: (G[5], 3, 0, None)}),
    "a window of none": with_index({3: (G[3], 2, 2, G[3] - FIRST)}),
    "a window of the first": with_index({0: (G[0], 2, 3, 18)}),
    "access without window": with_index({4: (G[4], 2, 1, None)}),
    "reserved": with_index({3: (G[3], 2, 4, None)}),
}


def test_the_lies_start_from_the_truth():
    assert with_index({}) == WHOLE


@pytest.mark.parametrize("recover", [False, True])
@pytest.mark.parametrize("data", LIES.values(), ids=LIES)
def test_a_lying_index_harms_nothing(data, recover):
    for number in range(8):
        reader = Reader(io.BytesIO(data), recover=recover)
        record = reader.read_group(number)
        assert record == GROUPS[number] and reader.window_of(record) == OF_GROUP[number]
        start = reader.access_point(record.first_frame)
        first = reader.read_group(start)
        assert first.random_access and reader.window_of(first) == OF_GROUP[start]


def test_a_window_that_is_not_there_is_refused_by_index_too():
    data = after_model(BODY[0], *BODY[2:], INDX, FEND)
    reader = Reader(io.BytesIO(data))
    with pytest.raises(MalformedError):
        reader.window_of(reader.read_group(1))
    with pytest.raises(MalformedError, match="a window that is not there"):
        Reader(io.BytesIO(data)).window_of(GROUPS[1])


def test_a_window_that_only_looks_like_that_of_a_group_is_not_taken_from_the_index():
    other_model, other_groups = (raw_chunk(b"xtra", chunk, 1) for chunk in (hidden(model=9), hidden(groups=1)))
    data = WHOLE[:VIDEO_END] + other_model + other_groups + WHOLE[VIDEO_END:]
    for place in (VIDEO_END + 14, VIDEO_END + len(other_model) + 14):
        offset = Reader(io.BytesIO(data), recover=True).index[5].offset
        lying = with_index({5: (offset, 3, 2, offset - place)}, data)
        reader = Reader(io.BytesIO(lying))
        assert reader.window_of(reader.read_group(5)) == WINDOWS[1]
        assert reader.index == Reader(io.BytesIO(lying), recover=True).index


def hidden(**change):
    """A chunk that is not in the file: nearly its second window."""
    return raw_chunk(b"WNDW", dataclasses.replace(WINDOWS[1], **change).pack())
