"""Window records: golden bytes, every rule of a record, and what ties windows to groups."""

import dataclasses
import io

import pytest
from bitstream_samples import MODEL, VIDEO, WINDOWED, group, raw_chunk, read_all, spans, tiny_file, window, write
from hypothesis import given
from hypothesis import strategies as st

from nvcodec import limits
from nvcodec.bitstream.container import Reader, Writer
from nvcodec.bitstream.fields import uvarint
from nvcodec.bitstream.group_records import GroupRecord, Section, WindowRecord
from nvcodec.bitstream.records import EndRecord
from nvcodec.bitstream.registry import Inheritance, SectionKind
from nvcodec.bitstream.sequence import Sequence
from nvcodec.bitstream.survey import scan
from nvcodec.errors import FeatureError, LimitError, MalformedError, TruncatedError

NONE, PREVIOUS, WINDOW, WINDOW_PREVIOUS = Inheritance
HEAD = tiny_file(groups=())[:28]
VIDI, MODL, INDX = (
    next(tiny_file(groups=())[start:end] for found, start, end in spans(tiny_file(groups=())) if found == kind)
    for kind in (b"VIDI", b"MODL", b"INDX")
)
OTHER_MODEL = raw_chunk(b"MODL", dataclasses.replace(MODEL, index=1).pack())


# Records --------------------------------------------------------------------------------------------------------------


def window_bytes(first=1, groups=2, model=0, shared=5, sections=b"\x00"):
    return uvarint(first) + uvarint(groups) + bytes([model]) + uvarint(shared) + sections


def test_golden():
    assert window(300, 2, 3).pack().hex() == "ac02" + "02" + "03" + "05" + "02" + "03012c" + "05046d61736b"


@st.composite
def windows(draw):
    groups = draw(st.integers(1, limits.MAX_GROUPS))
    kinds = sorted(draw(st.sets(st.sampled_from(SectionKind), max_size=4)))
    return WindowRecord(
        draw(st.integers(0, limits.MAX_GROUPS - groups)),
        groups,
        draw(st.integers(0, 255)),
        draw(st.integers(1, limits.MAX_PARAMETERS)),
        tuple(Section(kind, draw(st.binary(max_size=300))) for kind in kinds),
    )


@given(windows())
def test_round_trip(record):
    assert WindowRecord.unpack(record.pack()) == record
    assert not record.covers(record.first_group - 1) and not record.covers(record.end)
    assert record.covers(record.first_group) and record.covers(record.end - 1)
    for kind in SectionKind:
        assert record.section(kind) == dict(record.sections).get(kind, b"")


@pytest.mark.parametrize(
    "data, error, why",
    [
        (window_bytes(first=2**22), LimitError, "first group"),
        (window_bytes(groups=0), MalformedError, "no groups"),
        (window_bytes(groups=2**22 + 1), LimitError, "groups is 4194305"),
        (window_bytes(first=2**22 - 1), LimitError, "groups up to its end"),
        (window_bytes(shared=0), MalformedError, "no shared elements"),
        (window_bytes(shared=2**26 + 1), LimitError, "shared elements"),
        (window_bytes(sections=b"\x01\x07\x00"), FeatureError, "section kind 7"),
        (window_bytes(sections=b"\x01\x00\x00"), FeatureError, "section kind 0"),
        (window_bytes(sections=b"\x05" + b"\x01\x00" * 5), LimitError, "section count"),
        (window_bytes(sections=b"\x02\x03\x00\x03\x00"), MalformedError, "repeated or out of order"),
        (window_bytes(sections=b"\x02\x05\x00\x03\x00"), MalformedError, "repeated or out of order"),
        (window_bytes(sections=b"\x01\x05\x02a"), MalformedError, "section needs 2 bytes where 1 are left"),
        (window_bytes(sections=b"\x00\x00"), MalformedError, "1 bytes are left over"),
        (window_bytes(sections=b""), MalformedError, "section count needs 1 bytes"),
        (b"\x80\x00" + window_bytes()[1:], MalformedError, "longer than it need be"),
        (b"", MalformedError, "first group needs 1 bytes"),
    ],
)
def test_refused(data, error, why):
    with pytest.raises(error, match=why):
        WindowRecord.unpack(data)


@pytest.mark.parametrize(
    "change, error, why",
    [
        ({"first_group": -1}, MalformedError, "out of range"),
        ({"model": 256}, MalformedError, "out of range"),
        ({"groups": 0}, MalformedError, "no groups"),
        ({"groups": 2**22 + 1}, LimitError, "groups up to its end"),
        ({"shared": 0}, MalformedError, "no shared"),
        ({"shared": 2**26 + 1}, LimitError, "shared"),
        ({"sections": (Section(SectionKind.MASK, b""), Section(SectionKind.STEPS, b""))}, MalformedError, "order"),
        ({"sections": tuple(Section(kind, b"") for kind in SectionKind)}, LimitError, "section count"),
    ],
)
def test_refused_when_written_too(change, error, why):
    with pytest.raises(error, match=why):
        dataclasses.replace(window(), **change).pack()


# Rules between records ------------------------------------------------------------------------------------------------


def chunk(record):
    if isinstance(record, GroupRecord):
        return raw_chunk(b"GRUP", record.pack(VIDEO))
    return raw_chunk(b"WNDW", record.pack())


def file_of(*records, end=None):
    """A file of two models and these records, with an end record that is true of them."""
    groups = [record for record in records if isinstance(record, GroupRecord)]
    totals = EndRecord(len(groups), sum(g.frame_count for g in groups), 0) if end is None else end
    return b"".join((HEAD, VIDI, MODL, OTHER_MODEL, *map(chunk, records), raw_chunk(b"FEND", totals.pack())))


def follower(number, inheritance=WINDOW, chain=0, model=0):
    """Group `number` of a file where each has two frames."""
    return group(number, 2 * number, chain=chain, inheritance=inheritance, model=model)


FIRST = (window(0, 3), follower(0))
REFUSED = {
    "late": ((window(1, 2), follower(0)), "window from group 1 on where group 0 is due"),
    "early": ((group(), window(0, 2)), "window from group 0 on where group 1 is due"),
    "within another": ((*FIRST, window(1, 2)), "within one that ends before group 3"),
    "twice": ((window(0, 2), window(0, 2)), "within one that ends before group 2"),
    "undefined model": ((window(0, 2, model=2),), "a window needs model 2"),
    "starts without it": ((window(0, 1), follower(0, NONE)), "does not share the window"),
    "goes on without it": ((*FIRST, follower(1, PREVIOUS)), "does not share the window"),
    "starts anew within it": ((*FIRST, follower(1, NONE)), "does not share the window"),
    "none there": ((follower(0),), "shares a window that is not there"),
    "none there any more": ((window(0, 1), follower(0), follower(1)), "shares a window that is not there"),
    "none there, inherited": ((group(), follower(1, WINDOW_PREVIOUS)), "shares a window that is not there"),
    "another model": ((window(0, 2, model=1), follower(0)), "shares a window of another model"),
    "later another model": ((*FIRST, follower(1, model=1)), "shares a window of another model"),
    "first inherits": ((group(), window(1, 2), follower(1, WINDOW_PREVIOUS)), "first of its window and inherits"),
    "first of all inherits": ((window(0, 2), follower(0, WINDOW_PREVIOUS)), "first of its chain and inherits"),
    "chain within it": ((*FIRST, follower(1, chain=1)), "chain 1 after chain 0"),
    "chain at its end": ((*FIRST, follower(1), follower(2, chain=1)), "chain 1 after chain 0"),
    "end within it": ((*FIRST,), "ends before group 1, of a window that ends before group 3"),
    "end before it": ((window(0, 1),), "ends before group 0, of a window that ends before group 1"),
    "new chain inherits": (
        (window(0, 1), follower(0), follower(1, PREVIOUS, chain=1)),
        "first of its chain and inherits",
    ),
    "inherits another model": ((window(0, 1), follower(0), follower(1, PREVIOUS, model=1)), "of another model"),
}


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize("records, why", REFUSED.values(), ids=REFUSED)
def test_refused_between_records(records, why, pipe):
    with pytest.raises(MalformedError, match=why):
        read_all(file_of(*records), pipe=pipe)


@pytest.mark.parametrize("records, why", REFUSED.values(), ids=REFUSED)
def test_the_writer_obeys_the_same_rules(records, why):
    writer = Writer(io.BytesIO())
    writer.write_video(VIDEO)
    writer.write_model(MODEL)
    writer.write_model(dataclasses.replace(MODEL, index=1))
    with pytest.raises(MalformedError, match=why):
        for record in records:
            write(writer, record)
        writer.finish()


@pytest.mark.parametrize(
    "records",
    [
        (window(0, 1), follower(0), follower(1, PREVIOUS)),
        (window(0, 1), follower(0), follower(1, NONE, chain=1, model=1)),
        (window(0, 1), follower(0), window(1, 1, model=1), follower(1, model=1)),
        (group(), window(1, 1, model=1), follower(1, chain=1, model=1), follower(2, PREVIOUS, chain=1, model=1)),
        (*FIRST, follower(1, WINDOW_PREVIOUS), follower(2)),
    ],
)
def test_what_the_rules_allow_is_accepted(records):
    data = file_of(*records)
    assert tuple(read_all(data)[0].records()) == records and read_all(data)[0].complete


def test_other_chunks_may_stand_within_a_window_but_no_metadata():
    later = raw_chunk(b"MODL", dataclasses.replace(MODEL, index=7).pack())
    extra = raw_chunk(b"xtra", b"abc", 1)
    whole = file_of(*FIRST, follower(1), follower(2))
    place = whole.index(b"GRUP")
    reader, groups = read_all(whole[:place] + later + extra + whole[place:])
    assert len(groups) == 3 and reader.models.keys() == {0, 1, 7}
    with pytest.raises(MalformedError, match="metadata comes after the first group or window"):
        read_all(whole[:place] + raw_chunk(b"META", b"{}") + whole[place:])
    with pytest.raises(MalformedError, match="comes after the index"):
        read_all(whole[:place] + INDX + whole[place:])
    with pytest.raises(MalformedError, match="comes after the index"):
        read_all(b"".join((HEAD, VIDI, MODL, INDX, chunk(window()))))


def test_a_window_before_the_first_group_does_not_hide_what_follows_the_prelude():
    data = tiny_file(groups=(window(0, 1), follower(0)))
    reader, groups = read_all(data, pipe=True)
    assert reader.meta == {"title": "tiny"} and groups == [follower(0)] and reader.complete


def test_a_file_that_ends_with_a_window_was_cut():
    data = tiny_file(finish=False, groups=(group(), window(1, 2)))
    reader = read_all(data, recover=True)[0]
    assert not reader.complete and "before its end record" in str(reader.damage[0])
    for pipe in (False, True):
        with pytest.raises(TruncatedError):
            read_all(data, pipe=pipe)
    survey = scan(io.BytesIO(data))
    assert (len(survey.groups), len(survey.windows), survey.complete) == (1, 1, False)


def test_the_ancillary_flag_of_a_window_is_wrong():
    with pytest.raises(MalformedError, match="ancillary flag"):
        read_all(b"".join((HEAD, VIDI, MODL, raw_chunk(b"WNDW", window().pack(), 1))))


# Sequences ------------------------------------------------------------------------------------------------------------


@st.composite
def sequences(draw):
    """Groups and windows of a valid file."""
    records, frame, chain, last_window = [], 0, 0, None
    for number in range(draw(st.integers(0, 10))):
        inside = last_window is not None and last_window.covers(number)
        fresh = not inside and number > 0 and draw(st.booleans())
        chain += fresh
        if not inside and draw(st.booleans()):
            last_window, first = window(number, draw(st.integers(1, 4))), True
            records.append(last_window)
        else:
            first = not inside
        shared = last_window is not None and last_window.covers(number)
        kinds = [WINDOW] if shared else [NONE]
        if not fresh and number and not (shared and first):
            kinds += [WINDOW_PREVIOUS] if shared else [PREVIOUS]
        frames = draw(st.integers(1, 3))
        records.append(group(number, frame, frames, chain, draw(st.sampled_from(kinds))))
        frame += frames
    if last_window is not None and last_window.end > (
        number := len([r for r in records if isinstance(r, GroupRecord)])
    ):
        for rest in range(number, last_window.end):
            records.append(group(rest, frame, 1, chain, WINDOW))
            frame += 1
    return tuple(records)


@given(sequences(), st.booleans(), st.booleans())
def test_any_valid_sequence_round_trips(records, pipe, recover):
    data = tiny_file(groups=records)
    reader, found = read_all(data, recover, pipe)
    assert found == [record for record in records if isinstance(record, GroupRecord)]
    assert reader.complete and reader.damage == []
    assert tuple(Reader(io.BytesIO(data)).records()) == records
    survey = scan(io.BytesIO(data))
    assert survey.size == len(data) and survey.complete and not survey.damage
    assert [w.first_group for w in survey.windows] == [r.first_group for r in records if isinstance(r, WindowRecord)]
    sizes = {kind: [end - start for k, start, end in spans(data) if k == kind] for kind in (b"GRUP", b"WNDW")}
    assert sizes == {b"GRUP": [g.size for g in survey.groups], b"WNDW": [w.size for w in survey.windows]}


@given(sequences(), st.data())
def test_what_is_left_of_a_sequence_is_possible(records, data):
    """With gaps, any part of a valid sequence is accepted, as all that follows a loss inherits from what is there."""
    kept = [record for record in records if data.draw(st.booleans())]
    sequence = Sequence(gaps=True)
    sequence.add_model(MODEL)
    for record in kept:
        sequence.add_window(record) if isinstance(record, WindowRecord) else sequence.add_group(record)
    groups = [record for record in kept if isinstance(record, GroupRecord)]
    assert sequence.groups == (groups[-1].number + 1 if groups else 0)


@pytest.mark.parametrize(
    "records, why",
    [
        ((window(3, 2), follower(1, NONE)), "comes after a window from group 3 on"),
        ((window(0, 9), window(4, 2)), "within one that ends before group 9"),
        ((window(2, 5), follower(4, chain=3)), "chain 3 after chain 0"),
        ((window(2, 5), follower(2, chain=1), follower(5, chain=2)), "chain 2 after chain 1"),
        ((window(2, 5), follower(2, WINDOW_PREVIOUS)), "first of its window"),
        ((group(), group(1, 2, inheritance=PREVIOUS), window(1, 2)), "where group 2 is due"),
    ],
)
def test_with_gaps_what_is_impossible_is_refused(records, why):
    sequence = Sequence(gaps=True)
    sequence.add_model(MODEL)
    with pytest.raises(MalformedError, match=why):
        for record in records:
            sequence.add_window(record) if isinstance(record, WindowRecord) else sequence.add_group(record)


def test_a_copy_of_a_sequence_stays_as_it_was():
    sequence = Sequence()
    sequence.add_model(MODEL)
    sequence.add_group(group())
    before = sequence.copy()
    for record in WINDOWED[1:4]:
        sequence.add_window(record) if isinstance(record, WindowRecord) else sequence.add_group(record)
    sequence.add_model(dataclasses.replace(MODEL, index=1))
    assert (before.groups, before.frames, before.window, before.window_open) == (1, 2, None, False)
    assert before.models.keys() == {0} and before.last.number == 0
    assert sequence.groups == 3 and sequence.window.sections == () and not sequence.window_open


# Sizes ----------------------------------------------------------------------------------------------------------------


def test_survey_tells_windows_and_their_masks():
    data = tiny_file(groups=WINDOWED)
    survey = scan(io.BytesIO(data))
    found = [(w.first_group, w.groups, w.model, w.shared, w.mask) for w in survey.windows]
    assert found == [(1, 2, 0, 5, 4), (4, 3, 0, 5, 4)]
    assert survey.usage["mask"] == 8
    assert survey.usage["window"] == sum(len(r.pack()) for r in WINDOWED if isinstance(r, WindowRecord)) - 8
    assert [g.random_access for g in survey.groups] == [True, True, False, False, True, False, True, True]
    assert survey.size == len(data)
