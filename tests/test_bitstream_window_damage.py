"""Files with windows that are cut or damaged: resuming, recovery, random and hostile files."""

import dataclasses
import io
import time

import pytest
from bitstream_samples import (
    META,
    MODEL,
    VIDEO,
    WINDOWED,
    Pipe,
    group,
    raw_chunk,
    read_all,
    window,
    write,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from windowed_samples import (
    BODY,
    FEND,
    GROUPS,
    HEAD,
    INDX,
    MODL,
    OF_GROUP,
    PARTS,
    SPANS,
    STARTS,
    VIDEO_END,
    VIDI,
    WHOLE,
    WINDOWS,
    after_model,
)

from nvcodec.bitstream import container
from nvcodec.bitstream.container import Reader, Writer
from nvcodec.bitstream.damage import Kind
from nvcodec.bitstream.group_records import GroupRecord, Section, WindowRecord
from nvcodec.bitstream.records import EndRecord
from nvcodec.bitstream.registry import Inheritance, SectionKind
from nvcodec.bitstream.survey import scan
from nvcodec.errors import FormatError, MalformedError, NvcodecError, TruncatedError

# Resuming -------------------------------------------------------------------------------------------------------------

CLOSED = [0, 1, 4, 5, 9, 10]  # how many records of WINDOWED leave no window open


def resumed(data, path):
    path.write_bytes(data)
    with open(path, "r+b") as file:
        writer = Writer.resume(file)
        assert writer.bytes_written == path.stat().st_size
        yield writer
        if writer._meta_written is False:
            writer.write_meta(META)
        if not writer._sequence.models:
            writer.write_model(MODEL)
        left = [r for r in WINDOWED if (r.first_group if isinstance(r, WindowRecord) else r.number) >= writer.groups]
        for record in left:
            write(writer, record)
        writer.finish()
    yield path.read_bytes()


def test_resume_at_every_cut_gives_the_same_file(tmp_path):
    ends = [end for kind, _, end in SPANS if kind in (b"GRUP", b"WNDW")]
    for cut in range(VIDEO_END, len(WHOLE) + 1):
        steps = resumed(WHOLE[:cut], tmp_path / "cut.nvc")
        writer, whole = next(steps), sum(end <= cut for end in ends)
        kept = max(n for n in CLOSED if n <= whole)
        before = [record for record in WINDOWED[:kept] if isinstance(record, GroupRecord)]
        assert (writer.groups, writer.frames) == (len(before), sum(g.frame_count for g in before)), cut
        if kept:
            assert writer.bytes_written == ends[kept - 1]
        assert next(steps) == WHOLE, cut


def test_resume_within_a_window_leaves_the_writer_as_it_was_before_it(tmp_path):
    ends = [end for kind, _, end in SPANS if kind in (b"GRUP", b"WNDW")]
    path = tmp_path / "cut.nvc"
    path.write_bytes(WHOLE[: ends[7]])  # within the second window
    late = dataclasses.replace(MODEL, index=1)
    with open(path, "ab") as file:
        file.write(raw_chunk(b"MODL", late.pack()))
    with open(path, "r+b") as file:
        writer = Writer.resume(file)
        fresh = io.BytesIO()
        whole = Writer(fresh)
        whole.write_video(VIDEO)
        whole.write_meta(META)
        whole.write_model(MODEL)
        for record in WINDOWED[:5]:
            write(whole, record)
        assert path.read_bytes() == fresh.getvalue()
        for made in (writer, whole):
            made.write_model(late)  # it was within the window, and is gone
            made.write_window(window(4, 1, model=1))
            made.write_group(group(4, 7, chain=1, model=1, inheritance=Inheritance.WINDOW))
            made.finish()
    assert path.read_bytes() == fresh.getvalue()


def test_resume_does_not_touch_a_file_that_breaks_a_rule():
    data = after_model(*BODY[:2], BODY[1])
    file = io.BytesIO(data)
    with pytest.raises(MalformedError):
        Writer.resume(file)
    assert file.getvalue() == data


# Recovery -------------------------------------------------------------------------------------------------------------


def damaged(data, place):
    return data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :]


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize("how", ["payload", "header", "removed"])
@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_window_is_told_and_the_other_is_found(lost, how, pipe):
    start, end = next((s, e) for _, s, e in SPANS if s == STARTS[b"WNDW"][lost])
    data = WHOLE[:start] + WHOLE[end:] if how == "removed" else damaged(WHOLE, start + (20 if how == "payload" else 3))
    reader = Reader(Pipe(data) if pipe else io.BytesIO(data), recover=True)
    found = [(record, reader.window_of(record)) for record in reader.groups()]
    assert [record for record, _ in found] == list(GROUPS)
    assert [w for _, w in found] == [None if w == WINDOWS[lost] else w for w in OF_GROUP]
    first = WINDOWS[lost].first_group
    notes = [(note.kind, note.group) for note in reader.damage if note.kind is Kind.LOST]
    assert notes == [(Kind.LOST, first)] and f"window that group {first} shares is lost" in str(reader.damage[-1])
    assert len(reader.damage) == (1 if how == "removed" else 2)
    if not pipe:
        fresh = Reader(io.BytesIO(data), recover=True)
        assert [fresh.window_of(fresh.read_group(number)) for number in range(8)] == [w for _, w in found]
        assert [entry.window is None for entry in fresh.index] == [w is None for _, w in found]
    with pytest.raises(FormatError):
        read_all(data, pipe=pipe)


def test_lost_groups_of_a_window_leave_the_others():
    first = next(i for i, record in enumerate(WINDOWED) if record == GROUPS[4])
    data = after_model(*BODY[:first], *BODY[first + 1 :], INDX, FEND)
    reader = Reader(io.BytesIO(data), recover=True)
    assert [(g.number, reader.window_of(g)) for g in reader.groups() if g.number > 3] == [
        (5, WINDOWS[1]), (6, WINDOWS[1]), (7, None),
    ]  # fmt: skip
    assert [str(note) for note in reader.damage] == ["group 4 is lost"]


def test_both_a_window_and_groups_are_lost():
    data = after_model(*BODY[:3], *BODY[5:], FEND)
    reader = Reader(io.BytesIO(data), recover=True)
    assert [g.number for g in reader.groups()] == [0, 1, 4, 5, 6, 7]
    assert reader.window_of(GROUPS[5]) == WINDOWS[1] and reader.window_of(GROUPS[1]) == WINDOWS[0]
    assert [str(note) for note in reader.damage] == ["groups 2 to 3 are lost"]


def test_an_end_within_a_window_is_told():
    end = raw_chunk(b"FEND", EndRecord(5, 9, 0).pack())
    data = after_model(*BODY[:7], end)
    reader, found = read_all(data, recover=True)
    assert [g.number for g in found] == [0, 1, 2, 3, 4] and reader.complete
    assert [(note.kind, str(note)) for note in reader.damage] == [
        (Kind.TOTALS, "the file ends before group 5, of a window that ends before group 7")
    ]


def test_a_window_inside_a_payload_is_not_a_window():
    inner = raw_chunk(b"WNDW", window(1, 5).pack())
    carrier = dataclasses.replace(GROUPS[0], sections=(Section(SectionKind.SYMBOLS, inner),))
    data = after_model(raw_chunk(b"GRUP", carrier.pack(VIDEO)), *BODY[1:], FEND)
    assert [g.number for g in read_all(data)[1]] == [g.number for g in read_all(data, recover=True)[1]]


def test_a_flip_of_every_bit_is_found_or_harmless_and_costs_at_most_one_chunk():
    start, stop = SPANS[-2][1:]
    for bit in range(8 * VIDEO_END, 8 * len(WHOLE)):
        place = bit // 8
        data = WHOLE[:place] + bytes([WHOLE[place] ^ 1 << bit % 8]) + WHOLE[place + 1 :]
        reader = Reader(io.BytesIO(data), recover=True)
        found = [(record, reader.window_of(record)) for record in reader.groups()]
        kind, hit = next((kind, start) for kind, start, end in SPANS if start <= place < end)
        wanted = list(zip(GROUPS, OF_GROUP, strict=True))
        if kind == b"MODL":
            wanted = []
        elif kind == b"GRUP":
            del wanted[STARTS[b"GRUP"].index(hit)]
        elif kind == b"WNDW":
            lost = WINDOWS[STARTS[b"WNDW"].index(hit)]
            wanted = [(record, None if shared == lost else shared) for record, shared in wanted]
        assert found == wanted and reader.damage, place
        try:
            strict = read_all(data)[1]
        except FormatError:
            continue
        assert strict == list(GROUPS) and start + 14 <= place < stop


# Random and hostile files ---------------------------------------------------------------------------------------------


@st.composite
def mangled(draw):
    """Chunks of the file left out, repeated, moved and damaged."""
    pieces = [HEAD, VIDI, MODL, *BODY, INDX, FEND]
    for _ in range(draw(st.integers(1, 4))):
        place, other = draw(st.integers(2, len(pieces) - 1)), draw(st.integers(2, len(pieces) - 1))
        match draw(st.integers(0, 3)):
            case 0:
                if len(pieces) > 4:
                    del pieces[place]
            case 1:
                pieces[place], pieces[other] = pieces[other], pieces[place]
            case 2:
                pieces.insert(place, pieces[other])
            case _:
                pieces[place] = damaged(pieces[place], draw(st.integers(0, len(pieces[place]) - 1)))
    return b"".join(pieces)


@settings(max_examples=400, deadline=None)
@given(mangled(), st.booleans())
def test_random_damage(data, pipe):
    def opened(recover):
        return Reader(Pipe(data) if pipe else io.BytesIO(data), recover=recover)

    given_groups = []
    try:
        reader = opened(False)
        for record in reader.groups():
            given_groups.append(record)
            assert reader.window_of(record) == OF_GROUP[record.number]
    except NvcodecError as error:
        assert isinstance(error, FormatError)
    assert tuple(given_groups) == GROUPS[: len(given_groups)]
    reader = opened(True)
    found = [(record, reader.window_of(record)) for record in reader.groups()]
    for record, shared in found:
        assert record in GROUPS and shared in (None, OF_GROUP[record.number])
    survey = scan(io.BytesIO(data))
    assert survey.size == len(data) and [g.number for g in survey.groups] == [record.number for record, _ in found]
    seekable = Reader(io.BytesIO(data), recover=True)
    again = [seekable.read_group(entry.number) for entry in seekable.index]
    assert [(record, seekable.window_of(record)) for record in again] == found


CHUNKS = st.builds(
    raw_chunk,
    st.sampled_from((b"MODL", b"WNDW", b"GRUP", b"INDX", b"FEND")),
    st.binary(max_size=50) | st.sampled_from([part[14:-4] for part in PARTS[1:]]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(CHUNKS | st.sampled_from([MODL, *BODY, INDX, FEND]), max_size=16))
def test_random_chunks_with_right_checksums(pieces):
    data = after_model(*pieces)
    for recover in (False, True):
        try:
            reader = Reader(io.BytesIO(data), recover=recover)
            found = [(record, reader.window_of(record)) for record in reader.groups()]
        except FormatError as error:
            assert "\n" not in str(error) and not recover
            continue
        for record, shared in found:
            assert shared is None or (shared.covers(record.number) and shared.model == record.model)
            assert recover or record.in_window == (shared is not None)


@pytest.mark.parametrize("recover", [False, True])
def test_many_windows_end_soon(recover, monkeypatch):
    models = b"".join(raw_chunk(b"MODL", dataclasses.replace(MODEL, index=i).pack()) for i in range(256))
    pairs = (
        raw_chunk(b"WNDW", window(n, 1, sections=()).pack())
        + raw_chunk(b"GRUP", group(n, n, 1, inheritance=Inheritance.WINDOW, sections=()).pack(VIDEO))
        for n in range(4000)
    )
    data = HEAD + VIDI + models + b"".join(pairs)
    walks = []
    monkeypatch.setattr(container.Reader, "_rebuild_index", lambda reader: walks.append(reader))
    began = time.process_time()
    reader = Reader(io.BytesIO(data), recover=recover)
    try:
        for record in reader.groups():
            assert reader.window_of(record).first_group == record.number
    except TruncatedError:
        assert not recover
    assert not walks and time.process_time() - began < 5
    monkeypatch.undo()
    began = time.process_time()
    assert Writer.resume(io.BytesIO(data)).groups == 4000
    assert time.process_time() - began < 5
