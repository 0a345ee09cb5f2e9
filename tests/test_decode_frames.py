"""Coded frames: what an encoder's passes reconstruct is what the decoder gives, to the bit, whatever the frames are."""

import dataclasses
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mc_samples import CPU, QUALITY, code_group, come_through, headers_of, integers, model_of, weights_of

from nvcodec.bitstream.frames import CodedFrame, FramesSection
from nvcodec.decode.frames import decode_frames
from nvcodec.decode.parts import Motions, References
from nvcodec.decode.pictures import check_format, to_picture, to_planes
from nvcodec.errors import FormatError, MalformedError
from nvcodec.models.hierarchy import CARRIED, Place, coding_order
from nvcodec.models.integer import SMOOTH
from nvcodec.models.motion import midway
from nvcodec.video import Chroma, VideoInfo

SIZES = [(50, 37), (16, 16), (1, 1), (17, 33), (96, 80)]


def network(info, seed=0):
    model = model_of(info.height, info.width)
    weights = weights_of(model, integers(model.tensors, seed))
    model.check(weights)
    return model, weights


def picture_of(info, seed=0):
    """Planes at random: smooth, so that motion does something."""
    rng = np.random.default_rng(seed)
    small = [rng.uniform(0, info.peak, (-(-h // 5), -(-w // 5))) for h, w in info.plane_shapes]
    return tuple(
        np.kron(plane, np.ones((5, 5)))[:h, :w].astype(info.dtype)
        for plane, (h, w) in zip(small, info.plane_shapes, strict=True)
    )


def same(a, b):
    return len(a) == len(b) and all(
        p.dtype == q.dtype and np.array_equal(p, q)
        for x, y in zip(a, b, strict=True)
        for p, q in zip(x, y, strict=True)
    )


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("chroma", [Chroma.C420, Chroma.GRAY])
@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("width, height", SIZES)
def test_round_trip(width, height, depth, chroma):
    info = VideoInfo(width, height, depth, chroma)
    model, weights = network(info)
    for reference, count in ((None, 5), (None, 1), (picture_of(info), 4), (picture_of(info), 1)):
        section, planes = code_group(model, weights, headers_of(count, reference is not None), reference, info, count)
        found = decode_frames(model, weights, section.pack(), count, reference, info)
        assert same(found, planes)
        for frame in found:
            assert [p.shape for p in frame] == list(info.plane_shapes)
            assert all(p.dtype == info.dtype and p.flags.owndata | p.flags.c_contiguous for p in frame)
    assert len({frame[0].tobytes() for frame in planes}) == len(planes)


@pytest.mark.parametrize("halves", [False, True])
@pytest.mark.parametrize("count, carried", [(3, False), (17, False), (16, True), (9, True)])
def test_neither_threads_nor_parts_matter(threads, count, carried, halves):
    info = VideoInfo(50, 37)
    model, weights = network(info)
    reference = picture_of(info) if carried else None
    whole = None
    for split in (0, 1, 2):
        section, planes = code_group(
            model, weights, headers_of(count, carried), reference, info, split=split, halves=halves
        )
        assert section.split == split and section.halves == halves
        whole = whole or planes
        assert same(planes, whole)
        for number in (2, 3, 1):
            threads(number)
            assert same(decode_frames(model, weights, section.pack(), count, reference, info), planes)
            assert torch.get_num_threads() == number, "as it was"


@pytest.mark.parametrize("number", [1, 2])
def test_a_damaged_part_is_refused(threads, number):
    """Whichever it is, and however many threads there are."""
    threads(number)
    section, _ = code_group(MODEL, WEIGHTS, headers_of(9, False), None, INFO, split=2)
    for parts in ([0], [1], [2], [3], [0, 2], [1, 3]):
        streams = [stream + b"\0" * (part in parts) for part, stream in enumerate(section.streams)]
        damaged = dataclasses.replace(section, streams=tuple(streams))
        with pytest.raises(MalformedError, match="^frames"):
            decode_frames(MODEL, WEIGHTS, damaged.pack(), 9, None, INFO)


def test_parts_without_frames_are_empty():
    section, planes = code_group(MODEL, WEIGHTS, headers_of(3, False), None, INFO, split=2)
    assert section.streams[0] and not any(section.streams[1:])
    assert same(decode_frames(MODEL, WEIGHTS, section.pack(), 3, None, INFO), planes)
    full = dataclasses.replace(section, streams=(*section.streams[:3], section.streams[0]))
    with pytest.raises(MalformedError, match="^frames: a part without frames has symbols"):
        decode_frames(MODEL, WEIGHTS, full.pack(), 3, None, INFO)


INFO = VideoInfo(40, 24)
MODEL, WEIGHTS = network(INFO)
HEADER = st.builds(
    CodedFrame,
    st.booleans(),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.none() | st.integers(0, 95),
)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(HEADER, min_size=1, max_size=6), st.booleans(), st.lists(st.integers(0, 255), max_size=5), st.integers()
)
def test_headers_of_all_kinds(headers, carried, offsets, seed):
    reference = picture_of(INFO) if carried else None
    if not carried:
        headers[0] = dataclasses.replace(headers[0], intra=True)
    section, planes = code_group(MODEL, WEIGHTS, headers, reference, INFO, seed % 2**32, tuple(offsets))
    assert same(decode_frames(MODEL, WEIGHTS, section.pack(), len(headers), reference, INFO), planes)


def test_levels_that_are_not_coded_take_nothing():
    bare = [dataclasses.replace(h, levels=(False,) * 3) for h in headers_of(3, False)]
    section, planes = code_group(MODEL, WEIGHTS, [bare[0]], None, INFO)
    assert section.streams[0] == bytes.fromhex("01 00 00000100")
    assert same(decode_frames(MODEL, WEIGHTS, section.pack(), 1, None, INFO), planes)
    sizes = []
    for levels in ((False,) * 3, (True, False, False), (True, True, False), (True,) * 3):
        headers = [dataclasses.replace(h, levels=levels) for h in headers_of(3, False)]
        section, planes = code_group(MODEL, WEIGHTS, headers, None, INFO)
        assert same(decode_frames(MODEL, WEIGHTS, section.pack(), 3, None, INFO), planes)
        sizes.append(len(section.streams[0]))
    assert sizes == sorted(set(sizes))


def test_symbols_that_are_skipped():
    """Scales so small that hardly a symbol is coded: locations alone make the picture."""
    weights = dict(WEIGHTS)
    for name in weights:
        if name.split(".")[1][:5] in ("first", "secon") and name.endswith("bias"):
            bias = weights[name].clone()
            bias[len(bias) // 2 :] = -4000
            weights[name] = bias
    MODEL.check(weights)
    section, planes = code_group(MODEL, weights, headers_of(3, False), None, INFO)
    plain, _ = code_group(MODEL, WEIGHTS, headers_of(3, False), None, INFO)
    assert len(section.streams[0]) < len(plain.streams[0]) / 3
    assert same(decode_frames(MODEL, weights, section.pack(), 3, None, INFO), planes)


def test_a_reference_matters_only_where_it_is_used():
    one, other = picture_of(INFO, 1), picture_of(INFO, 2)
    section, planes = code_group(MODEL, WEIGHTS, headers_of(2, True), one, INFO)
    assert not same(decoded_or_none(section.pack(), 2, other), planes)
    section, planes = code_group(MODEL, WEIGHTS, [CodedFrame(True)] * 2, one, INFO)
    assert same(decode_frames(MODEL, WEIGHTS, section.pack(), 2, other, INFO), planes)


def decoded_or_none(data, count, reference):
    try:
        return decode_frames(MODEL, WEIGHTS, data, count, reference, INFO)
    except FormatError as error:
        assert str(error).startswith("frames")
        return []


def test_quality_is_that_of_the_frame():
    headers = headers_of(2, False)
    section, _ = code_group(MODEL, WEIGHTS, headers, None, INFO)
    own = tuple(
        dataclasses.replace(h, quality=QUALITY + place.depth * 3)
        for h, place in zip(headers, coding_order(2, False), strict=True)
    )
    found = decode_frames(MODEL, WEIGHTS, section.pack(), 2, None, INFO)
    for changed in (
        dataclasses.replace(section, frames=own),
        dataclasses.replace(section, quality=0, frames=own, offsets=()),
        dataclasses.replace(section, offsets=(0, 3)),
    ):
        assert same(decode_frames(MODEL, WEIGHTS, changed.pack(), 2, None, INFO), found)
    assert not same(decoded_or_none(dataclasses.replace(section, quality=QUALITY - 9).pack(), 2, None), found)


def test_a_frame_without_references_is_intra():
    section, _ = code_group(MODEL, WEIGHTS, headers_of(2, False), None, INFO)
    section = dataclasses.replace(section, frames=(CodedFrame(False), *section.frames[1:]))
    with pytest.raises(MalformedError, match="^group 4: frames: a frame without references is not intra"):
        decode_frames(MODEL, WEIGHTS, section.pack(), 2, None, INFO, "group 4: frames")


def test_every_cut_and_what_follows_is_refused():
    section, _ = code_group(MODEL, WEIGHTS, headers_of(2, False), None, INFO)
    data = section.pack()
    for cut in range(0, len(data), 7):
        with pytest.raises(MalformedError, match="^frames"):
            decode_frames(MODEL, WEIGHTS, data[:cut], 2, None, INFO)
    with pytest.raises(MalformedError, match="^frames"):
        decode_frames(MODEL, WEIGHTS, data + b"\0", 2, None, INFO)


def test_flips_are_refused_or_decode():
    data = code_group(MODEL, WEIGHTS, headers_of(2, False), None, INFO)[0].pack()
    rng = random.Random(0)
    refused = 0
    for _ in range(100):
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        refused += decoded_or_none(bytes(changed), 2, None) == []
    assert refused > 90


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80), st.integers(1, 4), st.booleans(), st.booleans())
def test_any_bytes(data, count, carried, framed):
    if framed:  # so that more comes through to the symbols
        data = FramesSection(3, (), (CodedFrame(True),) * count, (data,)).pack()
    decoded_or_none(data, count, picture_of(INFO) if carried else None)


# Guesses --------------------------------------------------------------------------------------------------------------


def field_at_random(seed):
    return torch.from_numpy(np.random.default_rng(seed).integers(-99, 100, (1, 2, 3, 4))).float()


@pytest.mark.parametrize("count, carried", [(5, False), (4, True), (8, False), (3, True)])
def test_guesses_are_part_of_the_way_between_references(count, carried):
    """From the later of both to the earlier one, or the other way around, of what comes through each cell; none for the
    first frames."""
    motions, fields = Motions(), {}
    for place in coding_order(count, carried):
        guess = motions.guess(place)
        if len(place.references) == 2:
            (a, b), t = place.references, place.frame
            forwards = (b, a) in fields
            known = come_through(fields[b, a], b - t, b - a) if forwards else -come_through(fields[a, b], t - a, b - a)
            wanted = torch.floor(8 * known * (place.frame - a) / (b - a) + 0.5)
            assert torch.equal(guess, wanted)
            assert torch.equal(guess, midway(known, place.frame - a, b - a))
        else:
            assert guess is None
        mine = [field_at_random(10 * place.frame + n) for n in range(len(place.references))]
        motions.add(place, mine)
        fields |= {(place.frame, r): field for r, field in zip(place.references, mine, strict=True)}
    assert {first < second for first, second in fields} == {True, False} or count == 3


def test_there_is_no_guess_where_what_lies_between_is_not_known():
    """The later coded of both references is intra, or is the carried frame's."""
    motions, field = Motions(), field_at_random(0)
    assert motions.guess(Place(0, (), 0)) is None and motions.guess(Place(1, (0,), 1)) is None
    assert motions.guess(Place(2, (0, 4), 2)) is None and motions.guess(Place(0, (CARRIED, 1), 2)) is None
    motions.add(Place(4, (0,), 1), [field])
    assert motions.guess(Place(4, (0,), 1)) is None and motions.guess(Place(6, (4, 8), 2)) is None
    assert torch.equal(motions.guess(Place(2, (0, 4), 2)), 4 * come_through(field, 1, 2))
    motions.add(Place(2, (0, 4), 2), [field, 3 * field])
    assert torch.equal(motions.guess(Place(1, (0, 2), 3)), 4 * come_through(field, 1, 2))
    assert torch.equal(motions.guess(Place(3, (2, 4), 3)), -4 * come_through(3 * field, 1, 2))
    motions.add(Place(3, (CARRIED,), 1), [field])
    assert torch.equal(motions.guess(Place(0, (CARRIED, 3), 2)), 2 * come_through(field, 3, 4))


def test_a_decoder_takes_guesses_from_frames_before(monkeypatch):
    """Other displacements of a frame change what is read of those between."""
    section, planes = code_group(MODEL, WEIGHTS, headers_of(5, False), None, INFO)
    assert same(decode_frames(MODEL, WEIGHTS, section.pack(), 5, None, INFO), planes)
    monkeypatch.setattr(Motions, "guess", lambda *_: None)
    assert not same(decoded_or_none(section.pack(), 5, None), planes)


# Pictures -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chroma", [Chroma.C420, Chroma.GRAY])
@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("width, height", SIZES)
def test_planes_survive_a_picture(width, height, depth, chroma):
    info = VideoInfo(width, height, depth, chroma)
    planes = picture_of(info)
    picture = to_picture(planes, info, CPU)
    assert picture.shape == (1, 6, -(-height // 16) * 8, -(-width // 16) * 8)
    assert same([to_planes(picture, info)], [planes])
    luma = np.pad(planes[0].astype(int), ((0, -height % 16), (0, -width % 16)), mode="edge")
    wanted = 4 * (luma - 128) if depth == 8 else luma - 512
    for channel in range(4):
        assert np.array_equal(picture[0, channel].numpy(), wanted[channel // 2 :: 2, channel % 2 :: 2])
    if chroma is Chroma.GRAY:
        assert not picture[0, 4:].any()


def test_samples_are_rounded_half_up_and_clamped():
    values = torch.tensor([-9999.0, -512, -3, -2, -1, 0, 1, 2, 508, 510, 511, 9999]).view(1, 1, 1, 12)
    picture = torch.zeros(1, 6, 1, 12)
    picture[:, 4:5] = values
    for depth, wanted in (
        (8, [0, 0, 127, 128, 128, 128, 128, 129, 255, 255, 255, 255]),
        (10, [0, 0, 509, 510, 511, 512, 513, 514, 1020, 1022, 1023, 1023]),
    ):
        assert to_planes(picture, VideoInfo(24, 2, depth))[1].tolist() == [wanted]


@pytest.mark.parametrize("chroma", [Chroma.C422, Chroma.C444])
def test_other_formats_are_refused(chroma):
    with pytest.raises(MalformedError, match="mc has 4:2:0 and gray only"):
        check_format("mc", VideoInfo(8, 8, chroma=chroma))


def test_references_are_made_again_when_they_were_let_go():
    made = []

    def picture(frame):
        made.append(frame)
        return torch.full((1, 6, 8, 8), float(frame))

    references = References(picture, INFO)
    for frame in (0, 1, 0, 2, 3, 0, 4, 0, 1):
        assert references[frame].picture[0, 0, 0, 0] == frame
    assert made == [0, 1, 2, 3, 4, 1]
    made.clear()
    references = References(picture, VideoInfo(2**13, 2**13))
    for frame in (0, 1, 0, 2, 0, 1):
        assert references[frame].picture[0, 0, 0, 0] == frame
    assert made == [0, 1, 2, 1]


def test_the_models_masks_can_be_trained_with_after_decoding():
    """Nothing that a model keeps is made in inference mode."""
    info = VideoInfo(90, 70)
    model, weights = network(info)
    section, _ = code_group(model, weights, headers_of(1, False), None, info)
    decode_frames(model, weights, section.pack(), 1, None, info)
    leaves = {name: w.clone().requires_grad_() for name, w in weights.items()}

    def code(name, stride, cells, location, scale, step):
        return torch.where(cells, location + scale, 0)

    picture = model.picture(leaves, model.tuning(leaves, True, 3), None, code, SMOOTH)
    picture.sum().backward()
    assert leaves["intra.start"].grad is not None
