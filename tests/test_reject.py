"""What must be refused: one case or more for each row of the specification's table, through two whole decoders.

Also cuts and flips of the worked examples from end to end. Fields and records on their own are in test_bitstream_*.
"""

import dataclasses
import io
import re
import struct

import pytest
from bitstream_samples import Pipe, raw_chunk, spans
from reject_cases import (
    BIG,
    ESCAPED,
    FLOATS,
    META,
    NO_FLOATS,
    ONE_PAIR,
    ROOT,
    W,
    blob,
    block,
    cases,
    end,
    exp_golomb,
    flipped,
    header,
    lzma_raw,
    model_bytes,
    pack,
    tables,
    zeros,
    zstd,
)
from reject_frame_cases import M, frame_cases, payload_cases, valid_frames
from reject_window_cases import SHARED, S, V, chunk, edit, grup, mask_cases, vector_cases, window, window_cases

from nvcodec import errors
from nvcodec.bitstream import chunks
from nvcodec.bitstream.group_records import WindowRecord
from nvcodec.bitstream.registry import SectionKind
from nvcodec.decode.decoder import Decoder
from nvcodec.errors import NvcodecError
from tools.refdec import Refused
from tools.refdec import decode as reference_decode
from tools.refdec.container import Video

KINDS = {
    "not-nvc": errors.NotNvcError,
    "truncated": errors.TruncatedError,
    "checksum": errors.ChecksumError,
    "version": errors.VersionError,
    "feature": errors.FeatureError,
    "limit": errors.LimitError,
    "malformed": errors.MalformedError,
}
ROWS = dict(re.findall(r"^\| ([A-Z]\d+) \| .* \| ([a-z-]+) \|$", (ROOT / "bitstream_spec.md").read_text(), flags=re.M))


@pytest.fixture(autouse=True)
def builtin(monkeypatch):
    monkeypatch.setenv("NVCODEC_CODER", "builtin")


CASES = [
    pytest.param(row, data, id=f"{row}-{number}")
    for number, (row, data) in enumerate(
        (*cases(), *window_cases(), *mask_cases(), *vector_cases(), *frame_cases(), *payload_cases())
    )
]


def outcome(data, pipe=False):
    """(numbers of the groups given, the error that ended the product's decoder or None)."""
    given = []
    try:
        for group in Decoder(Pipe(data) if pipe else io.BytesIO(data), device="cpu").groups():
            assert len(group.frames) == group.record.frame_count
            given.append(group.record.number)
    except NvcodecError as error:
        assert "\n" not in str(error) and str(error)
        return given, error
    return given, None


def reference_outcome(data):
    """The same of the reference decoder, the error as its kind."""
    given = []
    try:
        for item in reference_decode(data):
            if not isinstance(item, Video):
                given.append(item.record.number)
    except Refused as error:
        return given, error.kind
    return given, None


def test_every_row_has_a_case():
    assert len(ROWS) > 70 and set(ROWS.values()) == set(KINDS)
    assert {case.values[0] for case in CASES} == set(ROWS)


@pytest.mark.parametrize("row, data", CASES)
def test_refused_by_both_decoders(row, data):
    given, error = outcome(data)
    assert type(error) is KINDS[ROWS[row]], error
    assert reference_outcome(data) == (given, ROWS[row])


def test_the_bases_of_the_cases_are_valid():
    for file in (W, FLOATS, BIG, S, V, M):
        assert outcome(file.data)[1] is None
        for number, record in enumerate(file.groups):
            assert pack(record, file.video) == file.grup[number][14:-4]
    for file in (W, FLOATS, BIG):
        assert outcome(file.join(file.modl, file.grup, file.fend))[1] is None
    assert edit(S, b"WNDW", 0, window(**vars(WindowRecord.unpack(chunk(S, b"WNDW")[14:-4])))) == S.data
    long = dataclasses.replace(W.groups[1], pts=tuple(range(2, 302)))
    for data in (
        W.with_model(model_bytes()),
        header(compatible=5, advisory=2**31),
        W.sections(1, TABLES=tables(*zeros(8)), SYMBOLS=b""),
        W.sections(1, STEPS=bytes(8)),
        W.sections(1, TABLES=tables(*ONE_PAIR), SYMBOLS=block((1, 3))),
        W.sections(1, TABLES=ESCAPED, SYMBOLS=block((4, 2)) + exp_golomb(5)),
        W.join(raw_chunk(b"xtra", b"abc", 1), META(b'{"a":' + b"[" * 15 + b"]" * 15 + b"}"), W.modl, W.grup, W.fend),
        W.join(W.modl, W.grup, raw_chunk(b"INDX", b"nonsense"), W.fend),
        W.join(W.modl, W.grup, flipped(W.indx, 15), W.fend),
        W.join(W.modl, W.grup[0], raw_chunk(b"GRUP", pack(long, W.video)), end(2, 302)),
        W.join(W.modl, window(), SHARED, W.grup[1], W.fend),
        W.join(W.modl, window(), raw_chunk(b"MODL", model_bytes(index=1)), SHARED, W.grup[1], W.fend),
        W.join(W.modl, window(), raw_chunk(b"xtra", b"abc", 1), SHARED, W.grup[1], W.fend),
        W.join(W.modl, window(groups=2), SHARED, grup(1), W.fend),
        W.join(W.modl, W.grup[0], window(1), grup(1), W.fend),
        blob(b"\0" + NO_FLOATS),
        blob(zstd(NO_FLOATS)),
        blob(b"\2" + lzma_raw(NO_FLOATS)),
        *valid_frames(),
    ):
        given, error = outcome(data)
        assert error is None and reference_outcome(data) == (given, None)


# Cuts and flips -------------------------------------------------------------------------------------------------------

FILES = pytest.mark.parametrize("file", [W, S], ids=["worked", "window"])


def group_ends(file):
    """Where each group's chunk ends."""
    return [stop for kind, _, stop in spans(file.data) if kind == b"GRUP"]


@FILES
@pytest.mark.parametrize("pipe", [False, True])
def test_a_cut_at_every_byte_gives_the_whole_groups_before_it(file, pipe):
    ends = group_ends(file)
    for cut in range(len(file.data)):
        given, error = outcome(file.data[:cut], pipe)
        assert type(error) is errors.TruncatedError, cut
        assert given == list(range(sum(stop <= cut for stop in ends))), cut
        assert reference_outcome(file.data[:cut]) == (given, "truncated")


@pytest.mark.parametrize("file, step", [(W, 1), (S, 5)], ids=["worked", "window"])
def test_a_flip_of_every_bit_is_found(file, step):
    ends = group_ends(file)
    index = next(range(start + 14, stop) for kind, start, stop in spans(file.data) if kind == b"INDX")
    for bit in range(0, 8 * len(file.data), step):
        data = bytearray(file.data)
        data[bit // 8] ^= 1 << bit % 8
        given, error = outcome(bytes(data))
        if bit // 8 in index:
            assert given == [0, 1] and error is None
        else:
            assert isinstance(error, errors.FormatError), bit
            assert given == list(range(sum(stop <= bit // 8 for stop in ends))), bit


def repaired(file, kinds, step):
    """(place, file): a flip of every few bits of every payload, with the checksum made right again."""
    for kind, start, stop in spans(file.data):
        if kind not in kinds:
            continue
        for bit in range(start % step, 8 * (stop - start - chunks.OVERHEAD), step):
            payload = bytearray(file.data[start + 14 : stop - 4])
            payload[bit // 8] ^= 1 << bit % 8
            yield start + 14 + bit // 8, file.data[:start] + raw_chunk(kind, bytes(payload)) + file.data[stop:]


@pytest.mark.parametrize(
    "file, kinds, step",
    [(W, (b"VIDI", b"MODL", b"GRUP", b"INDX"), 3), (S, (b"WNDW", b"GRUP"), 3), (M, (b"MODL", b"GRUP"), 41)],
    ids=["worked", "window", "frames"],
)
def test_a_flip_behind_the_checksums_is_refused_or_decodes_and_both_decoders_agree(file, kinds, step):
    agreed, ends = 0, group_ends(file)
    for place, data in repaired(file, kinds, step):
        given, error = outcome(data)
        before = sum(stop <= place for stop in ends)
        assert given[:before] == list(range(before))
        if struct.unpack("<I", data[42:46])[0] * struct.unpack("<I", data[46:50])[0] > 4096:
            continue  # the reference would take long for a large picture
        also_given, kind = reference_outcome(data)
        assert (also_given, kind is None) == (given, error is None), place  # with two faults, kinds may differ
        agreed += 1
    assert agreed > 1500 // step


def test_other_symbols_of_frames_are_refused_or_decode_to_the_same_pixels():
    decoded = 0
    for which, group in enumerate(M.groups):
        payload = group.section(SectionKind.FRAMES)
        for bit in range(0, 8 * len(payload), 3):
            changed = bytearray(payload)
            changed[bit // 8] ^= 1 << bit % 8
            data = M.sections(which, FRAMES=bytes(changed))
            given, error = outcome(data)
            assert reference_outcome(data)[0] == given
            if error is None:
                frames = [f.planes for group in Decoder(io.BytesIO(data), device="cpu").groups() for f in group.frames]
                wanted = [f for item in reference_decode(data) if not isinstance(item, Video) for f in item.frames]
                assert [[p.tolist() for p in f] for f in frames] == [[p.tolist() for p in f] for f in wanted]
                decoded += 1
    assert decoded > 2


@FILES
def test_recovery_from_a_flip_gives_only_whole_groups(file):
    places, ends = spans(file.data), group_ends(file)
    for bit in range(8 * places[1][1], 8 * len(file.data), 7):
        data = bytearray(file.data)
        data[bit // 8] ^= 1 << bit % 8
        decoder = Decoder(io.BytesIO(bytes(data)), device="cpu", recover=True)
        groups = list(decoder.groups())
        hit = next(kind for kind, start, stop in places if start <= bit // 8 < stop)
        if hit in (b"MODL", b"WNDW"):
            assert groups == []
        elif hit == b"GRUP":
            assert [g.record.number for g in groups] == ([0] if bit // 8 >= ends[0] else [])
        else:
            assert [g.record.number for g in groups] == [0, 1]
        assert decoder.damage
        for frame in (frame for group in groups for frame in group.frames):
            assert tuple(plane.shape for plane in frame.planes) == decoder.info.plane_shapes
