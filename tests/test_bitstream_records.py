"""Video, model, group and end records and the registry: golden bytes, round trips, every rule."""

import dataclasses
import struct

import pytest
from bitstream_samples import GROUPS, MODEL, VIDEO, group
from hypothesis import given
from hypothesis import strategies as st

from nvcodec import limits
from nvcodec.bitstream import registry
from nvcodec.bitstream.fields import svarint, uvarint
from nvcodec.bitstream.group_records import GroupRecord, Section
from nvcodec.bitstream.records import EndRecord, ModelRecord, TensorSpec, VideoRecord
from nvcodec.bitstream.registry import Exactness, Inheritance, Origin, SectionKind, TensorKind
from nvcodec.errors import (
    FeatureError,
    LimitError,
    MalformedError,
    UsageError,
)

# Video ----------------------------------------------------------------------------------------------------------------


def test_video_golden():
    assert VIDEO.pack().hex() == (
        "05000000030000000801000202020000" + "00000000" + "0100000019000000" + "1900000001000000" + "0000000000000000"
    )


RATIO = st.tuples(st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1))


@st.composite
def videos(draw):
    chroma = draw(st.integers(0, 3))
    return VideoRecord(
        draw(st.integers(1, 2**13)),
        draw(st.integers(1, 2**13)),
        draw(st.sampled_from((8, 10))),
        chroma,
        draw(RATIO),
        draw(st.integers(0, 2)),
        draw(st.integers(0, 255)),
        draw(st.integers(0, 255)),
        draw(st.integers(0 if chroma == 3 else 1, 255)),
        draw(st.integers(0, 6)),
        draw(st.integers(0, 359)),
        draw(RATIO | st.just((0, 0))),
        draw(RATIO | st.just((0, 0))),
    )


@given(videos())
def test_video_round_trip(video):
    assert VideoRecord.unpack(video.pack()) == video
    assert 0 <= video.nominal_step <= limits.MAX_PTS


@pytest.mark.parametrize(
    "change, error, why",
    [
        ({"width": 0}, MalformedError, "width is zero"),
        ({"height": 0}, MalformedError, "height is zero"),
        ({"width": 2**15 + 1}, LimitError, "width"),
        ({"height": 2**32 - 1}, LimitError, "height"),
        ({"width": 2**15, "height": 2**11 + 1}, LimitError, "width x height"),
        ({"bit_depth": 9}, MalformedError, "bit depth 9"),
        ({"bit_depth": 12}, MalformedError, "bit depth 12"),
        ({"chroma": 4}, MalformedError, "chroma format 4"),
        ({"range": 3}, MalformedError, "range 3"),
        ({"matrix": 0}, MalformedError, "matrix 0"),
        ({"chroma_location": 7}, MalformedError, "chroma location 7"),
        ({"rotation": 360}, MalformedError, "rotation 360"),
        ({"time_base": (0, 0)}, MalformedError, "time base 0/0"),
        ({"time_base": (0, 25)}, MalformedError, "time base 0/25"),
        ({"time_base": (1, 0)}, MalformedError, "time base 1/0"),
        ({"rate": (25, 0)}, MalformedError, "rate 25/0"),
        ({"rate": (0, 1)}, MalformedError, "rate 0/1"),
        ({"sample_aspect": (0, 1)}, MalformedError, "sample aspect 0/1"),
    ],
)
def test_video_refused_both_ways(change, error, why):
    bad = dataclasses.replace(VIDEO, **change)
    with pytest.raises(error, match=why):
        bad.pack()
    ratios = (*bad.time_base, *bad.rate, *bad.sample_aspect)
    data = struct.pack(
        "<II8BHH6I", bad.width, bad.height, bad.bit_depth, bad.chroma, bad.range, bad.primaries, bad.transfer,
        bad.matrix, bad.chroma_location, 0, bad.rotation, 0, *ratios,
    )  # fmt: skip
    with pytest.raises(error, match=why):
        VideoRecord.unpack(data)


@pytest.mark.parametrize("place", [15, 18, 19])
def test_video_reserved_bits(place):
    data = bytearray(VIDEO.pack())
    data[place] = 1
    with pytest.raises(MalformedError, match="reserved"):
        VideoRecord.unpack(bytes(data))


@pytest.mark.parametrize("size", [0, 43, 45])
def test_video_length(size):
    with pytest.raises(MalformedError, match="44 are due"):
        VideoRecord.unpack(bytes(size))


@pytest.mark.parametrize(
    "rate, time_base, step",
    [
        ((25, 1), (1, 25), 1),
        ((30000, 1001), (1, 90000), 3003),
        ((30000, 1001), (1, 1000), 33),
        ((2, 1), (1, 3), 2),  # 1.5 rounds up
        ((60, 1), (1, 1), 0),
        ((0, 0), (1, 25), 0),
        ((1, 2**32 - 1), (1, 2**32 - 1), 2**62 - 1),
    ],
)
def test_nominal_step(rate, time_base, step):
    assert dataclasses.replace(VIDEO, rate=rate, time_base=time_base).nominal_step == step


# Model ----------------------------------------------------------------------------------------------------------------


CONFIG = (16, 32, 24, 24, 16, 12, 200, 48, 24, 16, 16, 9, 21, 66)
CODED = ModelRecord(0, 5, 7, CONFIG, (), Exactness.EXACT, Origin.PRIOR, bytes(range(8)))


def model_bytes(model=1, exactness=0, origin=0, config=(8, 3, 16, 2, 4, 6, 30, 1), tensors=((0, (4, 2)),), count=None):
    out = struct.pack("<BHBBI", 0, model, exactness, origin, 7) + uvarint(len(config)) + b"".join(map(uvarint, config))
    out += uvarint(len(tensors) if count is None else count)
    for kind, shape in tensors:
        out += bytes([kind, len(shape)]) + b"".join(map(uvarint, shape))
    return out


def test_model_golden():
    assert MODEL.pack().hex() == "000100000007000000" + "080803100204" + "061e01" + "02" + "00020402" + "010403010303"
    assert ModelRecord.unpack(MODEL.pack()) == MODEL


def test_model_of_coded_frames_golden():
    """Its record ends after the configuration."""
    data = CODED.pack()
    assert data.hex() == "00050001020700000000010203040506070e10201818100cc80130181010091542"
    assert ModelRecord.unpack(data) == CODED
    assert CODED.has_frames and CODED.parameters == 0
    for more in (b"\0", uvarint(1) + b"\0\1\1"):
        with pytest.raises(MalformedError, match="left over"):
            ModelRecord.unpack(data + more)
    with pytest.raises(MalformedError, match="model 'mc' lists no tensors"):
        dataclasses.replace(CODED, tensors=MODEL.tensors).pack()


def test_model_properties():
    assert MODEL.name == "nirvana" and MODEL.parameters == 8 + 27
    assert MODEL.settings == dict(
        patch=8, group=3, width=16, depth=2, channels=4, block_channels=6, omega=30, conv_float=1
    )


SPEC = st.builds(
    TensorSpec, st.sampled_from(TensorKind), st.lists(st.integers(1, 16), min_size=1, max_size=4).map(tuple)
)


@st.composite
def model(draw):
    entry = draw(st.sampled_from(list(registry.MODELS.values())))
    origin = draw(st.sampled_from(Origin))
    values = st.lists(st.integers(0, 2**64 - 1), min_size=len(entry.fields), max_size=len(entry.fields))
    return ModelRecord(
        draw(st.integers(0, 255)),
        entry.id,
        draw(st.integers(0, 2**32 - 1)),
        draw(values.map(tuple)),
        () if entry.frames else draw(st.lists(SPEC, min_size=1, max_size=20).map(tuple)),
        Exactness.EXACT if entry.frames else Exactness.FLOAT,
        origin,
        draw(st.binary(min_size=8, max_size=8)) if origin == Origin.PRIOR else b"",
    )


@given(model())
def test_model_round_trip(model):
    assert ModelRecord.unpack(model.pack()) == model


@pytest.mark.parametrize(
    "data, error, why",
    [
        (model_bytes(model=0), FeatureError, "model 0"),
        (model_bytes(model=65535), FeatureError, "model 65535"),
        (model_bytes(exactness=2), FeatureError, "exactness class 2"),
        (model_bytes(exactness=1), MalformedError, "model 'nirvana' is of exactness class F only"),
        (model_bytes(model=5, config=(1,) * 14)[:-5], MalformedError, "model 'mc' is of exactness class X only"),
        (model_bytes(origin=3), FeatureError, "origin 3"),
        (model_bytes(origin=2, config=())[:16], MalformedError, "prior needs 8 bytes"),
        (model_bytes(config=(1,) * 7), MalformedError, "7 configuration values where 8"),
        (model_bytes(config=(1,) * 9), MalformedError, "9 configuration values where 8"),
        (model_bytes(tensors=()), MalformedError, "no tensors"),
        (model_bytes(tensors=((2, (1,)),)), FeatureError, "tensor kind 2"),
        (model_bytes(tensors=((0, ()),)), MalformedError, "rank 0"),
        (model_bytes(tensors=((0, (1,) * 5),)), LimitError, "tensor rank"),
        (model_bytes(tensors=((0, (3, 0)),)), MalformedError, "empty axis"),
        (model_bytes(tensors=((0, (2**26 + 1,)),)), LimitError, "tensor axis"),
        (model_bytes(tensors=((0, (2**26,) * 4),)), LimitError, "parameter count"),
        (model_bytes(tensors=((0, (2**25,)),) * 3), LimitError, "parameter count"),
        (model_bytes(tensors=((0, (1,)),) * 1025), LimitError, "tensor count"),
        (model_bytes(count=2**63), LimitError, "tensor count"),
        (model_bytes(count=2), MalformedError, "0 are left"),
        (model_bytes() + b"\x00", MalformedError, "1 bytes are left over"),
    ],
)
def test_model_refused(data, error, why):
    with pytest.raises(error, match=why):
        ModelRecord.unpack(data)


def test_model_is_refused_when_written_too():
    with pytest.raises(LimitError, match="parameter count"):
        dataclasses.replace(MODEL, tensors=(TensorSpec(TensorKind.LATENT, (2**13, 2**13, 2)),)).pack()
    with pytest.raises(MalformedError, match="configuration values"):
        dataclasses.replace(MODEL, config=()).pack()
    assert dataclasses.replace(MODEL, tensors=(TensorSpec(TensorKind.LATENT, (2**13, 2**13)),)).pack()


# Group ----------------------------------------------------------------------------------------------------------------


def group_bytes(number=0, chain=0, inheritance=0, first=0, count=1, pts=(0,), tail=bytes(8 + 6), sections=b"\x00"):
    head = uvarint(number) + uvarint(chain) + bytes([0, inheritance]) + uvarint(first) + uvarint(count)
    return head + b"".join(map(svarint, pts)) + tail + sections


def test_group_golden():
    assert GROUPS[1].pack(VIDEO).hex() == (
        "01"
        + "00"
        + "0001"
        + "02"
        + "02"
        + "0400"
        + "0001020304050607"
        + "100000080008"
        + "02"
        + "010101"
        + "0303010101"
    )


@st.composite
def groups(draw):
    video = draw(videos())
    frames = draw(st.integers(1, min(20, limits.MAX_GROUP_PIXELS // (video.width * video.height))))
    pts = st.integers(-limits.MAX_PTS, limits.MAX_PTS) | st.integers(0, 100)
    kinds = sorted(draw(st.sets(st.sampled_from(SectionKind), max_size=4)))
    number = draw(st.integers(0, limits.MAX_GROUPS - 1))
    mean = st.integers(0, 16 * (2**video.bit_depth - 1))
    record = GroupRecord(
        number,
        draw(st.integers(0, number)),
        draw(st.integers(0, 255)),
        draw(st.sampled_from(Inheritance)),
        draw(st.integers(0, limits.MAX_FRAMES - frames)),
        tuple(sorted(draw(st.sets(pts, min_size=frames, max_size=frames)))),
        draw(st.binary(min_size=8, max_size=8)),
        tuple(draw(st.lists(mean, min_size=video.planes, max_size=video.planes))),
        tuple(Section(kind, draw(st.binary(max_size=300))) for kind in kinds),
    )
    return video, record


@given(groups())
def test_group_round_trip(sample):
    video, record = sample
    assert GroupRecord.unpack(record.pack(video), video) == record


def test_a_constant_rate_costs_one_zero_byte_a_frame():
    video = dataclasses.replace(VIDEO, rate=(30000, 1001), time_base=(1, 30000))
    record = dataclasses.replace(group(frames=5), pts=tuple(range(500, 500 + 5 * 1001, 1001)))
    assert svarint(500) + bytes(4) + record.pixel_hash in record.pack(video)


def test_what_inheritance_asks_for():
    kinds = {kind: group(inheritance=kind) for kind in Inheritance}
    assert [kind.name for kind, record in kinds.items() if record.random_access] == ["NONE", "WINDOW"]
    assert [kind.name for kind, record in kinds.items() if record.in_window] == ["WINDOW", "WINDOW_PREVIOUS"]


def test_sections_by_kind():
    assert GROUPS[1].section(SectionKind.SYMBOLS) == b"\x01\x01\x01"
    assert GROUPS[1].section(SectionKind.BLOBS) == b""


@pytest.mark.parametrize(
    "data, error, why",
    [
        (group_bytes(number=2**22), LimitError, "number"),
        (group_bytes(number=1, chain=2), MalformedError, "chain 2 in group 1"),
        (group_bytes(inheritance=4), FeatureError, "inheritance 4"),
        (b"\x00\x00\x00\x04its own fields", FeatureError, "inheritance 4"),
        (group_bytes(count=0), MalformedError, "no frames"),
        (group_bytes(count=4097, pts=(0,) * 4097), LimitError, "frame count"),
        (group_bytes(count=2**64 - 1), LimitError, "frame count"),
        (group_bytes(first=2**32 - 1), LimitError, "frames up to its end"),
        (group_bytes(first=2**40), LimitError, "first frame"),
        (group_bytes(count=2, pts=(5, -1)), MalformedError, "do not strictly increase"),
        (group_bytes(count=2, pts=(5, -2)), MalformedError, "do not strictly increase"),
        (group_bytes(pts=(2**62,)), LimitError, "magnitude of a pts"),
        (group_bytes(pts=(-(2**62),)), LimitError, "magnitude of a pts"),
        (group_bytes(count=3, pts=(0, 2**62, 2**62)), LimitError, "magnitude of a pts"),
        (group_bytes(tail=bytes(8) + b"\xf1\x0f" + bytes(4)), MalformedError, "plane mean is over 4080"),
        (group_bytes(tail=bytes(13), sections=b""), MalformedError, "plane mean needs 2 bytes"),
        (group_bytes(sections=b"\x01\x07\x00"), FeatureError, "section kind 7"),
        (group_bytes(sections=b"\x01\x00\x00"), FeatureError, "section kind 0"),
        (group_bytes(sections=b"\x05" + b"\x01\x00" * 5), LimitError, "section count"),
        (group_bytes(sections=b"\x02\x01\x00\x01\x00"), MalformedError, "repeated or out of order"),
        (group_bytes(sections=b"\x02\x03\x00\x01\x00"), MalformedError, "repeated or out of order"),
        (group_bytes(sections=b"\x01\x01\x02a"), MalformedError, "section needs 2 bytes where 1 are left"),
        (group_bytes(sections=b"\x01\x01" + uvarint(2**64 - 1)), MalformedError, "section needs"),
        (group_bytes(sections=b"\x00\x00"), MalformedError, "1 bytes are left over"),
    ],
)
def test_group_refused(data, error, why):
    with pytest.raises(error, match=why):
        GroupRecord.unpack(data, VIDEO)


def test_group_pixels_are_capped_together():
    video = dataclasses.replace(VIDEO, width=2**13, height=2**13)
    assert group(frames=8).pack(video)
    with pytest.raises(LimitError, match="pixels"):
        group(frames=9).pack(video)


@pytest.mark.parametrize(
    "change, error, why",
    [
        ({"pts": ()}, MalformedError, "no frames"),
        ({"pts": (3, 3)}, MalformedError, "strictly increase"),
        ({"pixel_hash": bytes(7)}, MalformedError, "not 8 bytes"),
        ({"means": (1,)}, MalformedError, "1 means for 3 planes"),
        ({"model": 256}, MalformedError, "model index"),
        ({"sections": tuple(Section(kind, b"") for kind in SectionKind)}, LimitError, "section count"),
        ({"sections": (Section(SectionKind.BLOBS, b""), Section(SectionKind.STEPS, b""))}, MalformedError, "order"),
    ],
)
def test_group_is_refused_when_written_too(change, error, why):
    with pytest.raises(error, match=why):
        dataclasses.replace(group(), **change).pack(VIDEO)


# End and registry -----------------------------------------------------------------------------------------------------


def test_end_record():
    end = EndRecord(3, 70000, 2**40)
    assert end.pack().hex() == "03000000" + "70110100" + "0000000000010000"
    assert EndRecord.unpack(end.pack()) == end
    for size in (15, 17):
        with pytest.raises(MalformedError, match="16 are due"):
            EndRecord.unpack(bytes(size))


def test_wire_ids_never_change():
    assert {e.name: int(e) for e in Exactness} == {"FLOAT": 0, "EXACT": 1}
    assert {e.name: int(e) for e in Inheritance} == {"NONE": 0, "PREVIOUS": 1, "WINDOW": 2, "WINDOW_PREVIOUS": 3}
    assert {e.name: int(e) for e in Origin} == {"RANDOM": 0, "ZERO": 1, "PRIOR": 2}
    assert {e.name: int(e) for e in TensorKind} == {"LATENT": 0, "FLOAT32": 1}
    sections = {"STEPS": 1, "TABLES": 2, "SYMBOLS": 3, "BLOBS": 4, "MASK": 5, "FRAMES": 6}
    assert {e.name: int(e) for e in SectionKind} == sections
    codings = {"ZERO": 0, "SINGLE": 1, "ROWS": 2, "COLUMNS": 3, "CONTEXT": 4, "LIKE": 5}
    assert {e.name: int(e) for e in registry.TensorCoding} == codings
    masks = {"NONE": 0, "ALL": 1, "SINGLE": 2, "ROWS": 3, "COLUMNS": 4, "PRODUCT": 5}
    assert {e.name: int(e) for e in registry.MaskCoding} == masks
    assert {e.name: int(e) for e in registry.BlobCoding} == {"STORED": 0, "ZSTD": 1, "LZMA": 2}
    assert {id_: entry.name for id_, entry in registry.MODELS.items()} == {
        1: "nirvana",
        2: "nerv",
        3: "hnerv",
        4: "enerv",
        5: "mc",
    }
    assert [entry.name for entry in registry.MODELS.values() if entry.frames] == ["mc"]
    assert registry.model_entry(1).name == "nirvana" and registry.model_named("nirvana").id == 1
    with pytest.raises(UsageError, match="there are: nirvana"):
        registry.model_named("nerf")
