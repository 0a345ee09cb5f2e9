"""What stands before the symbols of coded frames."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.bitstream.frames import QUALITIES, CodedFrame, FramesSection
from nvcodec.errors import FormatError, MalformedError

QUALITY = st.integers(0, QUALITIES - 1)
FRAME = st.builds(
    CodedFrame, st.booleans(), st.tuples(st.booleans(), st.booleans(), st.booleans()), st.none() | QUALITY
)
SECTION = st.builds(
    FramesSection,
    QUALITY,
    st.lists(st.integers(0, 255), max_size=16).map(tuple),
    st.lists(FRAME, min_size=1, max_size=9).map(tuple),
    st.sampled_from((1, 2, 4)).flatmap(lambda n: st.tuples(*[st.binary(max_size=200)] * n)),
    st.booleans(),
)
GOLDEN = FramesSection(
    9,
    (0, 3, 200),
    (CodedFrame(True), CodedFrame(False, (True, False, True)), CodedFrame(False, (False, False, False), 95)),
    (b"stream",),
)


def test_golden():
    assert GOLDEN.pack() == bytes.fromhex("09 00 03 0003c8 0f 0a 105f") + b"stream"
    assert FramesSection.unpack(GOLDEN.pack(), 3) == GOLDEN
    parts = dataclasses.replace(GOLDEN, streams=(b"one", b"", b"other", b"!"))
    assert parts.pack() == bytes.fromhex("09 02 03 0003c8 0f 0a 105f 03 00 05") + b"oneother!"
    assert FramesSection.unpack(parts.pack(), 3) == parts and parts.split == 2
    halves = dataclasses.replace(parts, halves=True)
    assert halves.pack() == b"\x09\x06" + parts.pack()[2:] and FramesSection.unpack(halves.pack(), 3) == halves


@given(SECTION)
def test_round_trip(section):
    assert FramesSection.unpack(section.pack(), len(section.frames)) == section


@given(st.binary(max_size=40), st.integers(1, 10))
def test_any_bytes(data, count):
    try:
        section = FramesSection.unpack(data, count)
    except FormatError:
        return
    assert section.pack() == data


def test_quality():
    one = FramesSection(9, (0, 3, 200), (CodedFrame(False),) * 2 + (CodedFrame(False, quality=5),), (b"",))
    assert [one.quality_of(0, depth) for depth in range(4)] == [9, 12, 95, 95]
    assert one.quality_of(2, 3) == 5
    assert dataclasses.replace(one, offsets=(2,)).quality_of(1, 7) == 11
    assert dataclasses.replace(one, offsets=()).quality_of(1, 7) == 9


@pytest.mark.parametrize(
    "text, why",
    [
        ("", "quality needs 1 bytes"),
        ("60 00 00 01", "quality 96 is not in 0..95"),
        ("00", "layout needs 1 bytes"),
        ("00 03 00 01", "split 3 is not in 0..2"),
        ("00 07 00 01", "split 3 is not in 0..2"),
        ("00 08 00 01", "reserved bits of the layout"),
        ("00 80 00 01", "reserved bits of the layout"),
        ("00 00 11" + 17 * "00" + "01", "17 offsets, over 16"),
        ("00 00 ffffffffffffffffff01", "offsets needs"),
        ("00 00 03 0000", "offsets needs 3 bytes"),
        ("00 00 8000 01", "longer than it need be"),
        ("00 00 00", "flags of a frame needs 1 bytes"),
        ("00 00 00 20", "reserved flags of a frame"),
        ("00 00 00 80", "reserved flags of a frame"),
        ("00 00 00 10", "quality of a frame needs 1 bytes"),
        ("00 00 00 10 60", "quality 96 is not in 0..95"),
        ("00 01 00 01", "length of a stream needs 1 bytes"),
        ("00 01 00 01 02 00", "symbols needs 2 bytes"),
        ("00 02 00 01 01 00 00", "symbols needs 1 bytes"),
    ],
)
def test_what_is_refused(text, why):
    with pytest.raises(MalformedError, match=f"^group 3: .*{why}"):
        FramesSection.unpack(bytes.fromhex(text), 1, "group 3")


@pytest.mark.parametrize(
    "change",
    [
        {"quality": 96},
        {"quality": -1},
        {"offsets": (256,)},
        {"offsets": (0,) * 17},
        {"frames": (CodedFrame(True, quality=96),)},
        {"frames": (CodedFrame(True, (True,)),)},
        {"streams": ()},
        {"streams": (b"",) * 3},
        {"streams": (b"",) * 8},
    ],
)
def test_what_is_not_written(change):
    with pytest.raises(MalformedError):
        dataclasses.replace(GOLDEN, **change).pack()
