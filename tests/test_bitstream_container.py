"""Whole files: golden bytes, order and rules between records, caps, failures of the system."""

import dataclasses
import io

import pytest
from bitstream_samples import (
    GROUPS,
    META,
    MODEL,
    VIDEO,
    Pipe,
    group,
    parts,
    raw_chunk,
    read_all,
    spans,
    tiny_file,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from nvcodec import limits
from nvcodec.bitstream import chunks
from nvcodec.bitstream.container import LEAST_GROUP_SIZE, Reader, Writer
from nvcodec.bitstream.group_records import GroupRecord, Section
from nvcodec.bitstream.records import EndRecord, VideoRecord
from nvcodec.bitstream.registry import Inheritance, SectionKind
from nvcodec.bitstream.survey import scan
from nvcodec.errors import (
    FeatureError,
    LimitError,
    MalformedError,
    SourceError,
    TargetError,
    TruncatedError,
)

PREVIOUS = Inheritance.PREVIOUS

GOLDEN = (
    "9d4e56430d0a1a0a000c00000000000000000000010000005fc634e5"  # HEAD
    "5649444900002c0000001ec711b3050000000300000008010002020200000000000001000000190000001900000001000000"  # VIDI
    "0000000000000000100b67e5"
    "4d4f444c00001d000000e874ea05000100000007000000080803100204061e0102000204020104030103038651ce88"  # MODL
    "4752555000001f000000834e21f500000000000200000001020304050607100000080008020101010303000000a26082fc"  # GRUP
    "494e4458010005000000d9d41ad601890102013f1fe02f"  # INDX
    "46454e44000010000000f38f61380100000002000000ba00000000000000348edee9"  # FEND
)
"""The header and each chunk of the smallest useful file."""


def join(*pieces):
    return b"".join(pieces)


def test_golden_file():
    assert tiny_file(groups=GROUPS[:1], meta=None).hex() == GOLDEN


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize("recover", [False, True])
def test_round_trip(pipe, recover):
    reader, groups = read_all(tiny_file(), recover, pipe)
    assert (reader.video, reader.models, reader.meta) == (VIDEO, {0: MODEL}, META)
    assert tuple(groups) == GROUPS
    assert reader.complete and reader.damage == []


def test_everything_before_the_first_group_is_known_at_once():
    reader = Reader(Pipe(tiny_file()))
    assert (reader.video, reader.models, reader.meta, reader.complete) == (VIDEO, {0: MODEL}, META, False)


def test_a_file_may_have_no_groups():
    reader, groups = read_all(tiny_file(groups=()))
    assert groups == [] and reader.complete and reader.index == []


def test_groups_are_yielded_before_anything_after_them_is_read():
    data = tiny_file()
    end_of_second = spans(data)[4][2]
    file = io.BytesIO(data)
    groups = Reader(file).groups()
    next(groups), next(groups)
    assert file.tell() == end_of_second


def test_an_unknown_ancillary_chunk_is_skipped_and_a_later_model_accepted():
    pieces = parts()
    other = dataclasses.replace(MODEL, index=9)
    extra = raw_chunk(b"xtra", b"whatever", flags=1)
    last = raw_chunk(b"GRUP", group(4, 7, chain=2, model=9).pack(VIDEO))
    pieces[2:2] = [extra]
    pieces[-2:] = [extra, raw_chunk(b"MODL", other.pack()), extra, last, extra, raw_chunk(b"FEND", end(5, 9)), b""]
    reader, groups = read_all(join(*pieces))
    assert [g.model for g in groups] == [0, 0, 0, 0, 9] and reader.models[9] == other
    fresh = Reader(io.BytesIO(join(*pieces)))
    assert fresh.models.keys() == {0} and fresh.read_group(4).model == 9 and fresh.models.keys() == {0, 9}


def end(groups=4, frames=7, index_offset=0):
    return EndRecord(groups, frames, index_offset).pack()


# Order and rules between records --------------------------------------------------------------------------------------

HEAD, VIDI, META_CHUNK, MODL, G0, G1, G2, G3, INDX, FEND = parts()
NEXT = dataclasses.replace(GROUPS[3], number=4, first_frame=7, pts=(7, 8))
OTHER_MODEL = raw_chunk(b"MODL", dataclasses.replace(MODEL, index=1).pack())


def after_groups(record):
    """A file whose four groups are followed by this one."""
    return join(HEAD, VIDI, MODL, OTHER_MODEL, G0, G1, G2, G3, raw_chunk(b"GRUP", record.pack(VIDEO)))


REFUSED = {
    "no video record": (join(HEAD, MODL, G0), MalformedError, "first chunk is not the video record"),
    "group first": (join(HEAD, G0, FEND), MalformedError, "first chunk is not the video record"),
    "unknown ancillary first": (join(HEAD, raw_chunk(b"xtra", b"", 1), VIDI), MalformedError, "first chunk is not"),
    "two video records": (join(HEAD, VIDI, VIDI), MalformedError, "two video records"),
    "two metadata": (join(HEAD, VIDI, META_CHUNK, META_CHUNK), MalformedError, "two metadata"),
    "late metadata": (join(HEAD, VIDI, MODL, G0, META_CHUNK), MalformedError, "after the first group"),
    "bad metadata": (join(HEAD, VIDI, raw_chunk(b"META", b"[]")), MalformedError, "not an object"),
    "two models of one index": (join(HEAD, VIDI, MODL, MODL), MalformedError, "model 0 is defined twice"),
    "undefined model": (join(HEAD, VIDI, G0), MalformedError, "needs model 0, which is not defined"),
    "model after its group": (join(HEAD, VIDI, G0, MODL), MalformedError, "not defined before it"),
    "group after index": (join(HEAD, VIDI, MODL, INDX, G0), MalformedError, "comes after the index"),
    "model after index": (join(HEAD, VIDI, INDX, MODL), MalformedError, "comes after the index"),
    "two indexes": (join(HEAD, VIDI, INDX, INDX), MalformedError, "comes after the index"),
    "bytes after the end": (tiny_file() + b"\x00", MalformedError, "bytes follow"),
    "a file after the end": (tiny_file() * 2, MalformedError, "bytes follow"),
    "lost end": (tiny_file()[: -len(FEND)], TruncatedError, "before its end record"),
    "more groups than there are": (join(*parts()[:-2], raw_chunk(b"FEND", end(5))), MalformedError, "5 groups"),
    "fewer frames than there are": (join(*parts()[:-2], raw_chunk(b"FEND", end(4, 6))), MalformedError, "6 frames"),
    "group left out": (join(HEAD, VIDI, MODL, G0, G2), MalformedError, "group 2 where group 1 is due"),
    "group twice": (join(HEAD, VIDI, MODL, G0, G0), MalformedError, "group 0 where group 1 is due"),
    "groups swapped": (join(HEAD, VIDI, MODL, G1, G0), MalformedError, "group 1 where group 0 is due"),
    "unknown critical chunk": (join(HEAD, VIDI, raw_chunk(b"NEWS", b"", 0)), FeatureError, "chunk NEWS at byte 90"),
    "unknown window chunk": (join(HEAD, VIDI, raw_chunk(b"WIND", b"", 0)), FeatureError, "chunk WIND"),
    "reserved flags": (join(HEAD, VIDI, raw_chunk(b"xtra", b"", 3)), MalformedError, "reserved flags"),
    "critical metadata": (join(HEAD, VIDI, raw_chunk(b"META", b"{}", 0)), MalformedError, "ancillary flag"),
    "ancillary model": (join(HEAD, VIDI, raw_chunk(b"MODL", MODEL.pack(), 1)), MalformedError, "ancillary flag"),
    "type not letters": (join(HEAD, VIDI, raw_chunk(b"GR1P", b"", 1)), MalformedError, "not four letters"),
    "type not ASCII": (join(HEAD, VIDI, raw_chunk(b"GR\xc3\xbc", b"", 1)), MalformedError, "not four letters"),
    "short video record": (join(HEAD, raw_chunk(b"VIDI", bytes(43))), MalformedError, "43 bytes where 44"),
    "long end": (join(HEAD, VIDI, raw_chunk(b"FEND", bytes(17))), MalformedError, "17 bytes where 16"),
    "empty group": (join(HEAD, VIDI, MODL, raw_chunk(b"GRUP", b"")), MalformedError, "number needs 1 bytes"),
    "starts late": (
        join(HEAD, VIDI, MODL, raw_chunk(b"GRUP", group(0, 1).pack(VIDEO))),
        MalformedError,
        "starts at frame 1 where frame 0",
    ),
    "starts inheriting": (
        join(HEAD, VIDI, MODL, raw_chunk(b"GRUP", group(inheritance=PREVIOUS).pack(VIDEO))),
        MalformedError,
        "first of its chain",
    ),
    "frames overlap": (
        after_groups(dataclasses.replace(NEXT, first_frame=6)),
        MalformedError,
        "starts at frame 6 where frame 7",
    ),
    "frames left out": (
        after_groups(dataclasses.replace(NEXT, first_frame=8)),
        MalformedError,
        "starts at frame 8 where frame 7",
    ),
    "pts repeat": (after_groups(dataclasses.replace(NEXT, pts=(6, 8))), MalformedError, "pts 6, not after 6"),
    "chain skips": (after_groups(dataclasses.replace(NEXT, chain=3)), MalformedError, "chain 3 after chain 1"),
    "chain falls": (after_groups(dataclasses.replace(NEXT, chain=0)), MalformedError, "chain 0 after chain 1"),
    "new chain inherits": (after_groups(dataclasses.replace(NEXT, chain=2)), MalformedError, "first of its chain"),
    "inherits another model": (after_groups(dataclasses.replace(NEXT, model=1)), MalformedError, "another model"),
    "undefined later model": (after_groups(dataclasses.replace(NEXT, model=2)), MalformedError, "needs model 2"),
}


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize("data, error, why", REFUSED.values(), ids=REFUSED)
def test_refused(data, error, why, pipe):
    with pytest.raises(error, match=why) as caught:
        read_all(data, pipe=pipe)
    assert type(caught.value) is error and "\n" not in str(caught.value)


def test_what_the_rules_allow_is_accepted():
    for record in (NEXT, group(4, 7, chain=2), group(4, 7, chain=1, model=1)):
        data = after_groups(record) + raw_chunk(b"FEND", end(5, 9))
        assert read_all(data)[1] == [*GROUPS, record]


@pytest.mark.parametrize(
    "kind, length",
    [(b"META", 2**16 + 1), (b"MODL", 2**16 + 1), (b"WNDW", 2**29 + 1), (b"GRUP", 2**29 + 1), (b"INDX", 2**32 - 1)],
)
def test_a_length_over_the_cap_is_refused_before_it_is_read(kind, length):
    class Watched(io.BytesIO):
        asked = 0

        def read(self, size=-1):
            self.asked = max(self.asked, size)
            return super().read(size)

    file = Watched(join(HEAD, VIDI, raw_chunk(kind, b"", length=length)) + bytes(1000))
    with pytest.raises(LimitError, match="over the cap"):
        list(Reader(file).groups())
    assert file.asked < 100


def test_a_length_that_lies_about_a_short_file_allocates_little():
    class Watched(io.BytesIO):
        asked = 0

        def read(self, size=-1):
            self.asked = max(self.asked, size)
            return super().read(size)

    file = Watched(join(HEAD, VIDI, MODL, raw_chunk(b"GRUP", b"", length=2**29)))
    with pytest.raises(TruncatedError, match="ends within the chunk GRUP"):
        list(Reader(file).groups())
    assert file.asked <= 2**20


@pytest.mark.parametrize(
    "records, error",
    [
        ([GROUPS[0], GROUPS[2]], MalformedError),
        ([GROUPS[1]], MalformedError),
        ([dataclasses.replace(GROUPS[0], model=3)], MalformedError),
        ([dataclasses.replace(GROUPS[0], pts=tuple(range(4097)))], LimitError),
    ],
)
def test_the_writer_obeys_the_same_rules(records, error):
    with pytest.raises(error):
        tiny_file(groups=records)


def test_failures_are_ours():
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    class Bad(io.BytesIO):
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

    with pytest.raises(TargetError, match="No space left"):
        Writer(Full()).write_video(VIDEO)
    with pytest.raises(SourceError, match="Input/output error"):
        Reader(Bad())


def test_short_writes_are_completed():
    class Slow(io.BytesIO):
        def write(self, data):
            return super().write(bytes(data[:5]))

    file = Slow()
    writer = Writer(file)
    writer.write_video(VIDEO)
    writer.finish()
    assert read_all(file.getvalue())[0].complete and writer.bytes_written == len(file.getvalue())


def test_the_smallest_group():
    gray = VideoRecord(1, 1, 8, 0, (1, 25))
    record = GroupRecord(0, 0, 0, Inheritance.NONE, 0, (0,), bytes(8), (0,), ())
    assert len(chunks.pack_chunk(chunks.GROUP, record.pack(gray))) == LEAST_GROUP_SIZE


# Properties -----------------------------------------------------------------------------------------------------------


@st.composite
def group_lists(draw):
    records, frame, chain, pts = [], 0, 0, draw(st.integers(-(2**40), 2**40))
    for number in range(draw(st.integers(0, 6))):
        chain += bool(number) and draw(st.booleans())
        fresh = number == 0 or chain > records[-1].chain or draw(st.booleans())
        steps = draw(st.lists(st.integers(1, 2**33), min_size=1, max_size=5))
        times = []
        for step in steps:
            pts += step
            times.append(pts)
        sections = tuple(
            Section(kind, draw(st.binary(max_size=40))) for kind in list(SectionKind)[:4] if draw(st.booleans())
        )
        records.append(
            dataclasses.replace(
                group(number, frame, 1, chain, Inheritance.NONE if fresh else PREVIOUS),
                pts=tuple(times),
                sections=sections,
            )
        )
        frame += len(times)
    return tuple(records)


@settings(deadline=None)
@given(group_lists(), st.booleans())
def test_any_file_round_trips(records, pipe):
    data = tiny_file(groups=records)
    reader, found = read_all(data, pipe=pipe)
    assert tuple(found) == records
    survey = scan(io.BytesIO(data))
    assert survey.size == len(data) and survey.complete and not survey.damage
    seekable = Reader(io.BytesIO(data))
    for record in records:
        assert seekable.read_group(record.number) == record
        start = seekable.access_point(record.first_frame + record.frame_count - 1)
        assert all(not r.random_access for r in records[start + 1 : record.number + 1])
    assert seekable.damage == []


def test_limits_are_those_of_the_fields():
    assert limits.MAX_FRAMES < 2**32 and limits.MAX_GROUPS < 2**32 and limits.MAX_GROUP_BYTES < 2**32
