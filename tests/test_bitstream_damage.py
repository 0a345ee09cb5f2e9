"""Cut, flipped, spliced and hostile files: always one of our errors or the truth, never a hang."""

import dataclasses
import io
import time
from itertools import islice

import pytest
from bitstream_samples import GROUPS, META, MODEL, VIDEO, Pipe, group, parts, raw_chunk, read_all, spans, tiny_file
from hypothesis import given, settings
from hypothesis import strategies as st

from nvcodec import limits
from nvcodec.bitstream import walk
from nvcodec.bitstream.container import Reader
from nvcodec.bitstream.damage import Damage, Kind
from nvcodec.bitstream.records import EndRecord
from nvcodec.bitstream.survey import scan
from nvcodec.errors import ChecksumError, FormatError, MalformedError, NvcodecError, TruncatedError

WHOLE = tiny_file()
SPANS = spans(WHOLE)
GROUP_ENDS = [end for kind, _, end in SPANS if kind == b"GRUP"]
VIDEO_END = SPANS[0][2]
INDEX_SPAN = next((start, end) for kind, start, end in SPANS if kind == b"INDX")


def groups_before(cut):
    return GROUPS[: sum(end <= cut for end in GROUP_ENDS)]


def take(reader):
    """(groups, the error that ended them or None)."""
    found = []
    try:
        for record in reader.groups():
            found.append(record)
    except NvcodecError as error:
        return tuple(found), error
    return tuple(found), None


# Cuts -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pipe", [False, True])
def test_a_cut_at_every_byte(pipe):
    for cut in range(len(WHOLE)):
        file = Pipe(WHOLE[:cut]) if pipe else io.BytesIO(WHOLE[:cut])
        if cut < VIDEO_END:
            with pytest.raises(TruncatedError):
                Reader(file)
            continue
        reader = Reader(file)
        found, error = take(reader)
        assert found == groups_before(cut) and type(error) is TruncatedError, cut
        assert not reader.complete and reader.video == VIDEO and reader.damage == []


def test_the_groups_before_a_cut_can_be_reached_at_random():
    for cut in range(VIDEO_END, len(WHOLE)):
        reader = Reader(io.BytesIO(WHOLE[:cut]))
        kept = groups_before(cut)
        assert [entry.number for entry in reader.index] == [g.number for g in kept]
        for record in kept:
            assert reader.read_group(record.number) == record


@pytest.mark.parametrize("pipe", [False, True])
def test_a_cut_at_every_byte_is_recovered(pipe):
    for cut in range(VIDEO_END, len(WHOLE)):
        reader, found = read_all(WHOLE[:cut], recover=True, pipe=pipe)
        assert tuple(found) == groups_before(cut) and reader.damage, cut


# Flips ----------------------------------------------------------------------------------------------------------------


def flips():
    for bit in range(8 * len(WHOLE)):
        data = bytearray(WHOLE)
        data[bit // 8] ^= 1 << bit % 8
        yield bit // 8, bytes(data)


def advisory(place):
    """Payload and payload CRC of the index."""
    return INDEX_SPAN[0] + 14 <= place < INDEX_SPAN[1]


def test_a_flip_of_every_bit_is_detected_or_harmless():
    for place, data in flips():
        try:
            reader = Reader(io.BytesIO(data))
        except FormatError:
            assert place < GROUP_ENDS[0]
            continue
        found, error = take(reader)
        if advisory(place):
            assert found == GROUPS and error is None and reader.damage
        else:
            assert isinstance(error, FormatError) and found == groups_before(place), place
        fresh = Reader(io.BytesIO(data))
        for number in range(4):
            try:
                assert fresh.read_group(number) == GROUPS[number]
            except FormatError:
                assert not advisory(place)


def test_a_flip_of_every_bit_costs_recovery_at_most_one_chunk():
    for place, data in flips():
        if place < 28:
            continue
        try:
            reader, found = read_all(data, recover=True)
        except FormatError:
            assert place < VIDEO_END
            continue
        hit = next(kind for kind, start, end in SPANS if start <= place < end)
        if hit == b"MODL":
            assert found == []
        elif hit == b"GRUP":
            lost = sum(end <= place for end in GROUP_ENDS)
            assert tuple(found) == GROUPS[:lost] + GROUPS[lost + 1 :]
        else:
            assert tuple(found) == GROUPS
        assert reader.damage and reader.meta == ({} if hit == b"META" else META)


def test_a_flip_in_the_header_is_recovered_unless_it_hits_the_magic():
    for place, data in flips():
        if 8 <= place < 28:
            reader, found = read_all(data, recover=True)
            assert tuple(found) == GROUPS and "file header" in str(reader.damage[0])
        elif place < 8:
            with pytest.raises(FormatError):
                read_all(data, recover=True)


def test_flips_through_a_pipe_are_the_same():
    for place, data in flips():
        if place % 5 == 0:
            outcomes = []
            for pipe in (False, True):
                try:
                    outcomes.append(read_all(data, recover=True, pipe=pipe)[1])
                except FormatError as error:
                    outcomes.append(str(error))
            assert outcomes[0] == outcomes[1]


# Recovery -------------------------------------------------------------------------------------------------------------

HEAD, VIDI, META_CHUNK, MODL, G0, G1, G2, G3, INDX, FEND = parts()


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize(
    "middle, kept",
    [
        ((G0, b"noise", G1, G2, G3), (0, 1, 2, 3)),
        ((G0, b"GRUP" * 9, G1, G2, G3), (0, 1, 2, 3)),
        ((G0[:-1], G1, G2, G3), (1, 2, 3)),  # bytes lost in a payload: the next header comes early
        ((G0[:30], b"??", G0[30:], G1, G2, G3), (1, 2, 3)),
        ((G0, G1[5:], G2, G3), (0, 2, 3)),
        ((G0, G1[:20], G2[20:], G3), (0, 3)),
        ((G0, G2, G3), (0, 2, 3)),
        ((G0, G1, G1, G2, G3), (0, 1, 2, 3)),
        ((G0, G3, G1, G2), (0, 3)),
        ((G1, G2, G3), (1, 2, 3)),
        ((G0, raw_chunk(b"GRUP", b"\x01\x00"), G2, G3), (0, 2, 3)),
        ((G0, raw_chunk(b"NEWS", b"abc", 0), G1, G2, G3), (0, 1, 2, 3)),
        ((G0, raw_chunk(b"xtra", b"abc", 1)[:-2] + b"??", G1, G2, G3), (0, 1, 2, 3)),
        ((G0, G1, MODL, G2, G3), (0, 1, 2, 3)),
        ((G0, META_CHUNK, G1, G2, G3), (0, 1, 2, 3)),
    ],
)
def test_recovery_keeps_what_is_whole(middle, kept, pipe):
    data = b"".join((HEAD, VIDI, MODL, *middle, INDX, FEND))
    reader, found = read_all(data, recover=True, pipe=pipe)
    assert tuple(found) == tuple(GROUPS[number] for number in kept)
    assert reader.damage and reader.complete
    assert scan(io.BytesIO(data)).size == len(data)
    with pytest.raises(FormatError):
        read_all(data, pipe=pipe)


def test_recovery_finds_a_header_across_any_border_of_its_window():
    for size in [*range(16360, 16400), 40000]:
        _, found = read_all(b"".join((HEAD, VIDI, MODL, G0, bytes(size), G1, G2, G3, FEND)), recover=True)
        assert tuple(found) == GROUPS


def test_recovery_looks_into_damaged_payloads_within_a_budget(monkeypatch):
    data = b"".join((HEAD, VIDI, MODL, G0[:-1], G1, G2, G3, FEND))
    monkeypatch.setattr(limits, "MAX_RECOVERY_BYTES", 10)
    assert [g.number for g in read_all(data, recover=True)[1]] == [2, 3]


def test_recovery_says_what_is_lost():
    reader, _ = read_all(b"".join((HEAD, VIDI, MODL, G0, G3, FEND)), recover=True)
    assert reader.damage == [Damage(Kind.LOST, "groups 1 to 2 are lost", 1)]
    data = bytearray(WHOLE)
    data[SPANS[4][1] + 20] ^= 1
    reader, _ = read_all(bytes(data), recover=True)
    start = SPANS[4][1]
    assert [str(found) for found in reader.damage] == [
        f"the payload of the chunk GRUP at byte {start} is damaged: its checksum does not match",
        "group 1 is lost",
    ]
    assert [(found.kind, found.group) for found in reader.damage] == [(Kind.DAMAGED, None), (Kind.LOST, 1)]
    assert list(reader.groups()) and len(reader.damage) == 2  # a second pass adds nothing


@pytest.mark.parametrize("pipe", [False, True])
def test_recovery_tells_a_cut_from_other_damage(pipe):
    for cut in range(VIDEO_END, len(WHOLE)):
        reader, _ = read_all(WHOLE[:cut], recover=True, pipe=pipe)
        assert [found.kind for found in reader.damage] == [Kind.CUT], cut
    for place, data in islice(flips(), 8 * VIDEO_END, None, 3):
        reader, _ = read_all(data, recover=True, pipe=pipe)
        assert Kind.DAMAGED in {found.kind for found in reader.damage}, place


def test_recovery_tells_totals_that_are_wrong():
    end = raw_chunk(b"FEND", EndRecord(5, 9, 0).pack())
    reader, _ = read_all(b"".join((HEAD, VIDI, MODL, G0, G1, G2, G3, end)), recover=True)
    assert [(found.kind, str(found)) for found in reader.damage] == [
        (Kind.TOTALS, "the file says it has 5 groups and 9 frames; it has 4 and 7")
    ]
    short = raw_chunk(b"FEND", bytes(EndRecord.SIZE - 1))
    reader, _ = read_all(b"".join((HEAD, VIDI, MODL, G0, short)), recover=True)
    assert [found.kind for found in reader.damage] == [Kind.DAMAGED] and not reader.complete


def test_recovery_lists_only_whole_groups_in_its_index():
    data = bytearray(WHOLE)
    data[SPANS[4][1] + 20] ^= 1
    reader = Reader(io.BytesIO(data), recover=True)
    assert [entry.number for entry in reader.index] == [0, 2, 3]
    assert reader.access_point(5) == 2 and reader.read_group(3) == GROUPS[3]


def test_an_error_does_not_go_away():
    data = bytearray(WHOLE)
    data[SPANS[4][1] + 20] ^= 1
    for file in (io.BytesIO(data), Pipe(bytes(data))):
        reader = Reader(file)
        groups = reader.groups()
        assert next(groups) == GROUPS[0]
        with pytest.raises(ChecksumError):
            next(groups)
        with pytest.raises(StopIteration):
            next(groups)
    cut = Reader(Pipe(WHOLE[: VIDEO_END + 5]))  # found by the constructor, kept for the iteration
    with pytest.raises(TruncatedError, match="within the chunk header at byte 90"):
        next(cut.groups())


def test_a_group_inside_a_payload_is_not_a_group():
    carrier = dataclasses.replace(GROUPS[0], sections=(GROUPS[0].sections[0]._replace(data=G1),))
    data = b"".join((HEAD, VIDI, MODL, raw_chunk(b"GRUP", carrier.pack(VIDEO)), G1, G2, G3, FEND))
    assert [g.number for g in read_all(data)[1]] == [0, 1, 2, 3]
    assert [g.number for g in read_all(data, recover=True)[1]] == [0, 1, 2, 3]
    broken = data.replace(carrier.pixel_hash, bytes(8), 1)
    assert [g.number for g in read_all(broken, recover=True)[1]] == [1, 2, 3]


# Hostile files --------------------------------------------------------------------------------------------------------


def hostile():
    """Files made to cost far more time or memory than they have bytes."""
    start = HEAD + VIDI
    empty_group = raw_chunk(b"GRUP", b"")
    yield (
        "false headers, long",
        start + b"".join(raw_chunk(b"GRUP", b"", length=length)[:14] for length in range(10**6, 10**6 - 20000, -1)),
    )
    yield (
        "false headers, exact",
        start + b"".join(raw_chunk(b"GRUP", b"", length=14 * (20000 - i) - 4)[:14] for i in range(20000)),
    )
    yield "groups of nothing", start + empty_group * 20000
    yield "types without headers", start + b"GRUP" * 80000
    yield "skipped chunks", start + raw_chunk(b"xtra", b"", 1) * 20000
    yield "skipped chunks, damaged", start + (raw_chunk(b"xtra", b"", 1)[:-1] + b"?") * 20000
    yield "skipped to nowhere", start + raw_chunk(b"xtra", b"", 1, length=2**32 - 1)
    models = b"".join(raw_chunk(b"MODL", dataclasses.replace(MODEL, index=i).pack()) for i in range(256))
    many = [group(i, i, 1, sections=()) for i in range(5000)]
    yield "many models", start + models + b"".join(raw_chunk(b"GRUP", g.pack(VIDEO)) for g in many)
    yield "noise", start + bytes(range(256)) * 1500


@pytest.mark.parametrize("recover", [False, True])
@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in hostile()])
def test_hostile_files_end_soon(data, recover):
    began = time.process_time()
    try:
        reader = Reader(io.BytesIO(data), recover=recover)
        take(reader)
        assert len(reader.damage) <= walk.MAX_NOTES
    except FormatError:
        assert not recover
    assert time.process_time() - began < 5


# Random damage --------------------------------------------------------------------------------------------------------


@st.composite
def mangled(draw):
    """The whole file after a few edits: overwrites, deletions, insertions, copies of its own parts."""
    data = bytearray(WHOLE)
    for _ in range(draw(st.integers(1, 5))):
        place, size = draw(st.integers(0, len(data))), draw(st.integers(0, 60))
        match draw(st.integers(0, 3)):
            case 0:
                data[place : place + 4] = draw(st.binary(max_size=4))
            case 1:
                del data[place : place + size]
            case 2:
                data[place:place] = draw(st.binary(max_size=20))
            case _:
                source = draw(st.integers(0, len(data)))
                data[place:place] = data[source : source + size]
    return bytes(data)


@settings(max_examples=400, deadline=None)
@given(mangled(), st.booleans())
def test_random_damage(data, pipe):
    try:
        found, _ = take(Reader(Pipe(data) if pipe else io.BytesIO(data)))
        assert found == GROUPS[: len(found)]
    except FormatError:
        pass
    try:
        reader, found = read_all(data, recover=True, pipe=pipe)
    except FormatError:
        return
    assert set(found) <= set(GROUPS) and [g.number for g in found] == sorted({g.number for g in found})
    assert reader.damage or data == WHOLE
    survey = scan(io.BytesIO(data))
    assert survey.size == len(data) and [g.number for g in survey.groups] == [g.number for g in found]
    seekable = Reader(io.BytesIO(data), recover=True)
    assert [seekable.read_group(entry.number) for entry in seekable.index] == found


CHUNKS = st.builds(
    raw_chunk,
    st.sampled_from((b"META", b"MODL", b"GRUP", b"INDX", b"FEND", b"VIDI")),
    st.binary(max_size=50) | st.sampled_from([c[14:-4] for c in parts()[1:]]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(CHUNKS | st.sampled_from(parts()[1:]), max_size=12), st.booleans())
def test_random_chunks_with_right_checksums(pieces, with_video):
    data = HEAD + VIDI * with_video + b"".join(pieces)
    for recover in (False, True):
        try:
            reader, found = read_all(data, recover=recover)
        except FormatError as error:
            assert "\n" not in str(error)
            continue
        assert [g.number for g in found] == sorted({g.number for g in found})
        for entry in reader.index:
            assert reader.read_group(entry.number).number == entry.number


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_random_files_are_refused(data):
    for start in (b"", WHOLE[:8], HEAD, HEAD + VIDI):
        with pytest.raises(FormatError):
            take_or_raise(start + data)


def take_or_raise(data):
    _, error = take(Reader(io.BytesIO(data)))
    if error:
        raise error


def test_malformed_payloads_with_right_checksums_are_malformed():
    for kind in (b"META", b"MODL", b"GRUP"):
        with pytest.raises(MalformedError):
            read_all(HEAD + VIDI + MODL * (kind == b"GRUP") + raw_chunk(kind, b""))
