"""Files of coded frames through the whole decoder: priors, changes of the network, ranges, damage, what is refused."""

import dataclasses
import hashlib
import io
import json
import multiprocessing
import random
import struct
import threading

import numpy as np
import pytest
import torch
from bitstream_samples import MODEL, Pipe, raw_chunk, spans
from mc_samples import (
    FRAMES,
    LAYOUT,
    LENGTHS,
    NONE,
    PREVIOUS,
    STARTS,
    VIDEO,
    Grp,
    build,
    integers,
    model_of,
    model_record,
    write_prior,
)

from nvcodec.bitstream.frames import FramesSection
from nvcodec.bitstream.group_records import Section, WindowRecord
from nvcodec.bitstream.registry import Exactness, Inheritance, Origin, SectionKind
from nvcodec.bitstream.sequence import Sequence
from nvcodec.cli.main import main
from nvcodec.decode.ahead import Ahead
from nvcodec.decode.decoder import Check, Decoder
from nvcodec.decode.frame_renderer import AHEAD, FrameRenderer
from nvcodec.decode.state import apply_network, encode_network, encode_residuals, initial_state
from nvcodec.errors import FeatureError, FormatError, LimitError, MalformedError, UsageError
from nvcodec.models import priors

STEPS, TABLES, SYMBOLS, BLOBS, MASK, FRAMES_KIND = SectionKind


@pytest.fixture(scope="module", autouse=True)
def prior(tmp_path_factory):
    """The name of a prior that is found for all tests here."""
    folder = tmp_path_factory.mktemp("priors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(priors, "PATHS", [*priors.PATHS, folder])
        patch.setenv("NVCODEC_CODER", "builtin")
        yield write_prior(folder)


@pytest.fixture(scope="module")
def whole(prior):
    return build(prior)


@pytest.fixture(params=[(1, False), (3, False), (3, True)], ids=["one thread", "threads", "processes"])
def threads(request, monkeypatch):
    """Of torch: groups begin before they are asked for where there is more than one. And whether decoders may have
    processes."""
    number, processes = request.param
    monkeypatch.setitem(Decoder.__init__.__kwdefaults__, "processes", processes)
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    yield number
    assert torch.get_num_threads() == number, "as it was"
    assert not multiprocessing.active_children()
    torch.set_num_threads(before)


def decode(data, start=0, stop=None, pipe=False, **how):
    decoder = Decoder(Pipe(data) if pipe else io.BytesIO(data), device="cpu", **how)
    return decoder, list(decoder.groups(start, stop))


def assert_frames(groups, planes, start=0):
    found = [frame.planes for group in groups for frame in group.frames]
    assert len(found) == len(planes) - start
    for one, other in zip(found, planes[start:], strict=True):
        assert all(np.array_equal(p, q) for p, q in zip(one, other, strict=True))
    assert all(group.check is Check.EXACT for group in groups)


@pytest.mark.parametrize("pipe", [False, True])
def test_a_whole_file(whole, pipe):
    decoder, groups = decode(whole.data, pipe=pipe)
    assert [len(group.frames) for group in groups] == LENGTHS
    assert_frames(groups, whole.planes)
    assert decoder.damage == []
    kinds = [[section.kind for section in group.sections] for group in whole.groups]
    changed = [part.network is not None for part in LAYOUT]
    assert kinds == [[TABLES, SYMBOLS, FRAMES_KIND] if c else [FRAMES_KIND] for c in changed]


def test_without_a_prior_a_group_of_random_access_has_the_network(prior):
    file = build(layout=(Grp(NONE, 2), Grp(PREVIOUS, 2), Grp(NONE, 1, 3)))
    assert file.model.origin == Origin.ZERO
    assert_frames(decode(file.data)[1], file.planes)
    with pytest.raises(MalformedError, match="intra.steps: a step is out of"):
        decode(build(layout=(Grp(NONE, 1),), spoil=lambda _, group: keep(group, FRAMES_KIND)).data)


def keep(group, *kinds):
    return dataclasses.replace(group, sections=tuple(s for s in group.sections if s.kind in kinds))


@pytest.mark.parametrize(
    "depth, chroma, size", [(10, 1, (37, 50)), (8, 0, (33, 17)), (10, 0, (16, 16)), (8, 1, (1, 1))]
)
def test_other_formats(prior, depth, chroma, size):
    video = dataclasses.replace(VIDEO, width=size[0], height=size[1], bit_depth=depth, chroma=chroma)
    file = build(prior, (Grp(NONE, 2), Grp(PREVIOUS, 3)), video)
    assert_frames(decode(file.data)[1], file.planes)


@pytest.mark.parametrize("start", range(FRAMES))
def test_ranges(whole, start, threads):
    for stop in (start + 1, start + 3, None):
        groups = decode(whole.data, start, stop)[1]
        assert_frames(groups, whole.planes[:stop], start)
    assert_frames(decode(whole.data, start, pipe=True)[1], whole.planes, start)


def test_a_range_reads_from_the_random_access_group_before(whole, monkeypatch):
    seen = []
    begin = FrameRenderer.begin
    monkeypatch.setattr(FrameRenderer, "begin", lambda *args: seen.append(args[-1].number) or begin(*args))
    decode(whole.data, STARTS[5], STARTS[5] + 1)
    assert seen == [3, 4, 5]
    with pytest.raises(UsageError, match="ends before frame"):
        decode(whole.data, FRAMES)


def test_groups_begin_before_they_are_asked_for(whole, threads, monkeypatch):
    """But not many: memory does not grow with the video."""
    seen, most = [], []
    begin = FrameRenderer.begin
    monkeypatch.setattr(FrameRenderer, "begin", lambda *args: seen.append(args[-1].number) or begin(*args))
    monkeypatch.setattr(Ahead, "at_hand", True)
    for number, group in enumerate(Decoder(io.BytesIO(whole.data), device="cpu").groups()):
        assert group.record.number == number and group.check is Check.EXACT
        most.append(len(seen) - number)
    assert seen == list(range(len(LAYOUT)))
    assert max(most) == (1 if threads == 1 else 1 + AHEAD)


def test_an_abandoned_decoder_leaves_no_threads_and_no_processes(whole, threads):
    before = set(threading.enumerate())
    groups = Decoder(io.BytesIO(whole.data), device="cpu").groups()
    next(groups)
    groups.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


def spoiled(whole, number, change):
    """The file with the payload of a group's chunk changed, its checksum right."""
    places = [(start, end) for kind, start, end in spans(whole.data) if kind == b"GRUP"]
    start, end = places[number]
    payload = change(whole.groups[number]).pack(VIDEO)
    return whole.data[:start] + raw_chunk(b"GRUP", payload) + whole.data[end:]


def other_frames(change):
    """A change of the section FRAMES."""

    def spoil(group):
        section = FramesSection.unpack(group.section(FRAMES_KIND), group.frame_count)
        data = change(section)
        data = data.pack() if isinstance(data, FramesSection) else data
        others = tuple(s for s in group.sections if s.kind != FRAMES_KIND)
        return dataclasses.replace(group, sections=(*others, Section(FRAMES_KIND, data)))

    return spoil


def test_pixels_that_are_not_the_encoders_are_wrong(whole):
    """Class X is exact: a plane's mean does not excuse anything."""
    groups = decode(spoiled(whole, 1, lambda group: dataclasses.replace(group, pixel_hash=bytes(8))))[1]
    assert [group.check for group in groups] == [Check.EXACT, Check.WRONG] + [Check.EXACT] * 6


@pytest.mark.parametrize("number, lost", [(0, [0, 1, 2]), (1, [1, 2]), (4, [4, 5]), (6, [6, 7]), (7, [7])])
@pytest.mark.parametrize("part", ["frames", "network"])
def test_recovery(whole, number, lost, part, threads):
    """Frames that cannot be decoded, or a network: that group is left out, and those that inherit from it."""
    if part == "frames":
        data = spoiled(whole, number, other_frames(lambda s: dataclasses.replace(s, streams=(s.streams[0] + b"\0",))))
    else:
        data = spoiled(
            whole, number, lambda g: dataclasses.replace(g, sections=(Section(TABLES, b""), *g.sections[-1:]))
        )
    decoder, groups = decode(data, recover=True)
    given = [n for n in range(len(LAYOUT)) if n not in lost]
    assert [group.record.number for group in groups] == given
    assert_frames(groups, [p for n in given for p in whole.planes[STARTS[n] : STARTS[n] + LENGTHS[n]]])
    found = [str(damage) for damage in decoder.damage]
    assert [damage.group for damage in decoder.damage] == lost
    assert all(f"group {n} is left out: " in line for n, line in zip(lost, found, strict=True))
    assert all("the group that it inherits from is lost" in line for line in found[1:])
    with pytest.raises(MalformedError, match=f"group {number}: "):
        decode(data)
    before = []
    with pytest.raises(MalformedError):
        before += [g.record.number for g in Decoder(io.BytesIO(data), device="cpu").groups()]
    decoder = Decoder(io.BytesIO(data), device="cpu")
    with pytest.raises(MalformedError):
        for group in decoder.groups():
            before.append(group.record.number)
    assert before == list(range(number))


@pytest.mark.parametrize("number", [0, 2, 3, 5])
def test_recovery_from_a_lost_chunk(whole, number, threads):
    data = bytearray(whole.data)
    data[whole.offsets[number] + 40] ^= 1
    groups = decode(bytes(data), recover=True)[1]
    lost = {0: [0, 1, 2], 2: [2], 3: [3, 4, 5], 5: [5]}[number]
    assert [group.record.number for group in groups] == [n for n in range(len(LAYOUT)) if n not in lost]
    assert all(group.check is Check.EXACT for group in groups)


def test_flips_behind_the_checksums_are_refused_or_decode(whole):
    rng = random.Random(1)
    refused = 0
    for _ in range(60):
        number = rng.randrange(4)
        start, end = [(start, end) for kind, start, end in spans(whole.data) if kind == b"GRUP"][number]
        payload = bytearray(whole.data[start + 14 : end - 4])
        payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
        try:
            decode(whole.data[:start] + raw_chunk(b"GRUP", bytes(payload)) + whole.data[end:])
        except FormatError:
            refused += 1
    assert refused > 45


# What is refused ------------------------------------------------------------------------------------------------------


def with_model(whole, payload, video=None):
    """The file with another model record, and another video record where one is given."""
    vidi, modl, *rest = [(kind, whole.data[start:end]) for kind, start, end in spans(whole.data)]
    vidi = raw_chunk(b"VIDI", video.pack()) if video else vidi[1]
    return whole.data[:28] + vidi + raw_chunk(b"MODL", payload) + b"".join(part for _, part in rest)


def test_the_record_of_a_model_with_a_prior(whole, prior):
    payload = whole.model.pack()
    assert payload[:17] == struct.pack("<BHBBI", 0, 5, 1, 2, 0) + prior
    assert type(whole.model).unpack(payload) == whole.model
    assert with_model(whole, payload) == whole.data


def test_another_prior(whole, tmp_path, monkeypatch):
    payload = bytearray(whole.model.pack())
    payload[9] ^= 1
    with pytest.raises(FeatureError, match="needs prior .*, which this release does not have"):
        decode(with_model(whole, bytes(payload)))
    data = bytes(6)
    (tmp_path / f"{priors.digest(data).hex()}.bin").write_bytes(data)
    monkeypatch.setattr(priors, "PATHS", [tmp_path])
    payload[9:17] = priors.digest(data)
    with pytest.raises(MalformedError, match="is of 6 bytes where the model needs"):
        decode(with_model(whole, bytes(payload)))


def test_exactness_and_origin_go_with_the_model(whole):
    good = bytearray(whole.model.pack())
    good[3] = 0
    with pytest.raises(MalformedError, match="model 'mc' is of exactness class X only"):
        decode(with_model(whole, bytes(good)))
    with pytest.raises(MalformedError, match="model 'nirvana' is of exactness class F only"):
        dataclasses.replace(MODEL, exactness=Exactness.EXACT).pack()
    for name in (b"", bytes(7), bytes(9)):
        with pytest.raises(MalformedError, match="prior"):
            dataclasses.replace(whole.model, prior=name).pack()
    with pytest.raises(MalformedError, match="prior"):
        dataclasses.replace(whole.model, origin=Origin.ZERO).pack()
    with pytest.raises(MalformedError, match="prior needs 8 bytes"):
        type(whole.model).unpack(whole.model.pack()[:16])


def test_the_configuration_says_what_the_tensors_are(whole):
    assert len(whole.model.pack()) == 9 + 8 + 1 + 14
    with pytest.raises(MalformedError, match=f"prior {whole.model.prior.hex()} is of"):
        decode(with_model(whole, dataclasses.replace(whole.model, config=(*whole.model.config[:-1], 3)).pack()))
    for config, error in (
        ((0, *whole.model.config[1:]), MalformedError),
        ((2, *whole.model.config[1:]), MalformedError),
    ):
        with pytest.raises(error, match="group 0 is not in|more than the 2 frames of its model"):
            decode(with_model(whole, dataclasses.replace(whole.model, config=config).pack()))


@pytest.mark.parametrize("chroma", [2, 3])
def test_chroma(whole, chroma):
    with pytest.raises(MalformedError, match="mc has 4:2:0 and gray only"):
        decode(with_model(whole, whole.model.pack(), dataclasses.replace(VIDEO, chroma=chroma)))


def test_a_picture_with_layers_that_are_too_large():
    video = dataclasses.replace(VIDEO, width=2**13, height=2**13)
    model = model_of(16, 16, dataclasses.replace(model_of(16, 16).config, half=256))
    record = model_record(model)
    file = build(layout=(Grp(NONE, 1),))
    with pytest.raises(LimitError, match="mc: a layer of"):
        decode(with_model(file, record.pack(), video))


def sections(group, **data):
    """Sections replaced, added, or with None left out."""
    have = {s.kind.name: s.data for s in group.sections} | data
    parts = tuple(Section(kind, have[kind.name]) for kind in SectionKind if have.get(kind.name) is not None)
    return dataclasses.replace(group, sections=parts)


@pytest.mark.parametrize(
    "number, change, why",
    [
        (0, {"FRAMES": None}, "section FRAMES is missing"),
        (2, {"FRAMES": None}, "section FRAMES is missing"),
        (2, {"TABLES": None}, "section TABLES is missing"),
        (2, {"SYMBOLS": None}, "section SYMBOLS is missing"),
        (0, {"STEPS": b""}, "section TABLES is missing"),
        (2, {"STEPS": bytes(200)}, "section STEPS has no tensor"),
        (2, {"BLOBS": b"\0"}, "section BLOBS has no tensor"),
        (2, {"MASK": b"\0"}, "section MASK has no tensor"),
        (0, {"MASK": b"\0"}, "section TABLES is missing"),
        (0, {"FRAMES": b""}, "frames: quality needs 1 bytes"),
    ],
)
def test_sections(whole, number, change, why):
    with pytest.raises(MalformedError, match=f"group {number}: .*{why}"):
        decode(spoiled(whole, number, lambda group: sections(group, **change)))


def test_frames_in_a_group_of_another_model():
    from nvc_samples import VIDEO as video
    from nvc_samples import tiny_nvc

    data = tiny_nvc()[0]
    start, end = next((start, end) for kind, start, end in spans(data) if kind == b"GRUP")
    group = next(Decoder(io.BytesIO(data), device="cpu").groups()).record
    payload = sections(group, FRAMES=b"").pack(video)
    with pytest.raises(MalformedError, match="group 0: section FRAMES"):
        decode(data[:start] + raw_chunk(b"GRUP", payload) + data[end:])


@pytest.mark.parametrize("inheritance", [Inheritance.WINDOW, Inheritance.WINDOW_PREVIOUS])
@pytest.mark.parametrize("gaps", [False, True])
def test_windows(whole, inheritance, gaps):
    sequence = Sequence(gaps=gaps)
    sequence.add_model(whole.model)
    with pytest.raises(MalformedError, match="a window is of model 'mc', which has no windows"):
        sequence.add_window(WindowRecord(0, 2, 0, 5, ()))
    with pytest.raises(MalformedError, match="group 0 is of model 'mc', which has no windows"):
        sequence.add_group(dataclasses.replace(whole.groups[0], inheritance=inheritance))


@pytest.mark.parametrize("name", ["intra.steps", "intra.direct4.weight", "inter.mix2.weight", "flow.near.bias"])
def test_integers_that_are_not_exact(prior, name):
    """In a group that changes the network, and in the next one that does not: each is refused for itself."""
    model = model_of(VIDEO.height, VIDEO.width)
    place = [t.name for t in model.tensors].index(name)
    initial = initial_state(model.tensors, 0, Origin.PRIOR, prior)
    latents = [q.copy() for q in initial.latents]
    latents[place].flat[0] = 2**23

    def spoil(number, group):
        extra = encode_network(initial, latents, True).sections if number == 0 else ()
        return dataclasses.replace(group, sections=(*extra, *group.sections))

    with pytest.raises(MalformedError, match=name.rsplit(".", 1)[0]):
        decode(build(prior, (Grp(NONE, 1), Grp(PREVIOUS, 1)), spoil=spoil).data)
    decoder, groups = decode(
        build(prior, (Grp(NONE, 1), Grp(PREVIOUS, 1), Grp(NONE, 1)), spoil=spoil).data, recover=True
    )
    assert [group.record.number for group in groups] == [2]


# State ----------------------------------------------------------------------------------------------------------------


def test_a_network_that_does_not_change_costs_nothing_and_is_the_same_list(prior):
    model = model_of(16, 16)
    initial = initial_state(model.tensors, 0, Origin.PRIOR, prior)
    assert encode_network(initial, [q.copy() for q in initial.latents], True) is None
    group = build(prior, (Grp(NONE, 1),)).groups[0]
    state = apply_network(initial, group)
    assert state.latents is initial.latents and state.steps == initial.steps and state.floats == []


def test_activity_grows_and_fades_without_residuals(prior):
    """As if residuals of zero had been coded: what contexts see does not depend on how nothing was said."""
    model = model_of(16, 16)
    state = initial_state(model.tensors, 0, Origin.PRIOR, prior)
    group = build(prior, (Grp(NONE, 1),)).groups[0]
    moved = [q.copy() for q in state.latents]
    moved[0][:2] += 5
    changed = encode_network(state, moved, True)
    assert [s.kind for s in changed.sections] == [TABLES, SYMBOLS]
    state = apply_network(state, dataclasses.replace(group, sections=(*changed.sections, *group.sections)))
    follows = dataclasses.replace(group, inheritance=PREVIOUS)
    silent = apply_network(state, follows)
    zero = encode_residuals(state, state.latents, state.steps, [], False).sections
    said = apply_network(state, dataclasses.replace(follows, sections=(*zero, *group.sections)))
    for a, b, before in zip(silent.activity, said.activity, state.activity, strict=True):
        assert np.array_equal(a, b) and (a <= before).all()
    assert silent.activity[0].any() and (silent.activity[0] < state.activity[0]).any()


# What the command line shows ------------------------------------------------------------------------------------------


def test_info(whole, prior, tmp_path, capsys):
    path = tmp_path / "a.nvc"
    path.write_bytes(whole.data)
    assert main(["info", str(path)]) == 0
    out = capsys.readouterr().out
    assert "format 0.12" in out and f"model 0    mc, class X, prior {prior.hex()}" in out
    assert "group 9, flow 4, width 4, half 4, coarse 3, middle 2, fine 2, intra_width 5, intra_half 4, " in out
    assert "intra_coarse 2, intra_middle 3, intra_low 2, intra_medium 1, intra_high 2" in out
    assert main(["info", "--json", str(path)]) == 0
    found = json.loads(capsys.readouterr().out)
    model = found["models"][0]
    assert (model["name"], model["exactness"], model["origin"], model["prior"]) == ("mc", "X", "prior", prior.hex())
    sizes = [len(group.section(FRAMES_KIND)) for group in whole.groups]
    assert found["bytes_by_kind"]["frames"] == sum(sizes)
    assert [group["bytes_by_kind"]["frames"] for group in found["groups"]] == sizes
    assert found["bytes"] == len(whole.data) == sum(found["bytes_by_kind"].values())


def test_decode_and_verify(whole, tmp_path, capsys):
    path = tmp_path / "a.nvc"
    path.write_bytes(whole.data)
    assert main(["decode", str(path), "--verify"]) == 0
    assert main(["decode", str(path), str(tmp_path / "a.md5")]) == 0
    total = hashlib.md5(b"".join(p.tobytes() for planes in whole.planes for p in planes)).hexdigest()
    assert (tmp_path / "a.md5").read_text().splitlines()[-1] == f"total {FRAMES} {total}"
    wrong = spoiled(whole, 1, lambda group: dataclasses.replace(group, pixel_hash=bytes(8)))
    path.write_bytes(wrong)
    assert main(["decode", str(path), "--verify"]) == 10
    assert "1 group of 8 decoded to wrong pixels" in capsys.readouterr().err


def test_integers_of_the_samples_are_a_network():
    model = model_of(16, 16)
    assert all(
        q.dtype == np.int32 and q.shape == t.shape for q, t in zip(integers(model.tensors), model.tensors, strict=True)
    )
