"""Whole encodes with coded frames, of small real excerpts: the file decodes exactly, and is what the report says."""

import dataclasses
import itertools
import os
from fractions import Fraction

import numpy as np
import pytest
from clip_samples import BUNNY, CITY, SHOTS, write_clip
from encode_samples import assert_same_psnr, decoded, shape

from nvcodec.bitstream.container import Reader
from nvcodec.bitstream.frames import QUALITIES, FramesSection, quality_of_depth
from nvcodec.bitstream.registry import Exactness, Inheritance, SectionKind
from nvcodec.decode import frame_renderer as decoding
from nvcodec.decode.decoder import Check, Decoder
from nvcodec.encode import frame_chain, frame_fit, plan
from nvcodec.encode.encoder import encode
from nvcodec.encode.frame_fit import Effort
from nvcodec.encode.qualities import FINEST, indices_of
from nvcodec.encode.report import EncodeReport, GroupReport, Plan, Progress
from nvcodec.encode.settings import EncodeSettings
from nvcodec.errors import FeatureError, SelfCheckError, TruncatedError, UsageError
from nvcodec.media.sink import open_sink
from nvcodec.media.source import open_source
from nvcodec.models.hierarchy import coding_order
from nvcodec.training.frames import lambda_of
from nvcodec.video import Chroma, ColorInfo, Frame, Range, VideoInfo

NONE, PREVIOUS = Inheritance.NONE, Inheritance.PREVIOUS
QUICK = EncodeSettings(preset="ultrafast", lam=1 / 256, group=4, steps_first=3, steps_next=2, stop=10, threads=1)


def settings(**changes):
    return dataclasses.replace(QUICK, **changes)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """11 frames, 53 x 31."""
    return write_clip(tmp_path_factory.mktemp("clip") / "small.y4m", 53, 31)


@pytest.fixture(scope="module")
def quick(clip, tmp_path_factory):
    """QUICK's file, its report and the events on the way."""
    path, events = tmp_path_factory.mktemp("quick") / "a.nvc", []
    return path, encode(clip, path, QUICK, observer=events.append), events


def test_the_report_is_what_the_file_decodes_to(clip, quick):
    path, report, _ = quick
    frames = decoded(path)
    with open_source(clip) as source:
        info, sources = source.info, list(source)[:10]
    assert report.bytes == os.path.getsize(path) and report.frames == len(frames) == 10
    assert report.bpp == report.bytes * 8 / (10 * 53 * 31)
    assert sum(report.bytes_by_kind.values()) == report.bytes
    assert set(report.bytes_by_kind) == {"frames", "headers", "file"}
    assert_same_psnr(report, sources, frames, info)
    assert report.psnr > 22
    with open(path, "rb") as file:
        reader = Reader(file)
        records = list(reader.groups())
        model = reader.models[0]
    assert model.exactness == Exactness.EXACT and model.has_frames
    assert [g.bytes for g in report.groups] == [len(r.pack(reader.video)) + plan.chunks.OVERHEAD for r in records]


def test_bits_of_tensors_are_those_of_the_symbols(quick):
    for group in quick[1].groups:
        coded = 8 * group.bytes_by_kind["frames"]
        assert sum(group.bits_per_tensor.values()) == pytest.approx(coded, rel=0.1, abs=200)
        names = {"latent5", "latent4", "latent3", "latent3b", "latent3c", "latent2", "flow0", "flow1"}
        assert set(group.bits_per_tensor) <= names


def test_events(quick):
    _, report, events = quick
    assert type(events[0]) is Plan and type(events[-1]) is EncodeReport
    assert [(e.first_frame, e.frames) for e in events if isinstance(e, GroupReport)] == [(0, 4), (4, 4), (8, 2)]
    for number, group in enumerate(report.groups):
        steps = [e.step for e in events if isinstance(e, Progress) and e.group == number]
        assert steps == sorted(set(steps)) and steps[-1] == group.steps
    assert events[0].steps == sum(group.steps for group in report.groups)
    assert events[0].bpp is None and events[0].groups == 3
    last = [e for e in events if isinstance(e, Progress)][-1]
    assert last.seconds_left == pytest.approx(0, abs=1e-6) and 15 < last.loss_psnr < 40
    assert all(abs(group.psnr_loss - group.psnr) < 9 for group in report.groups), "three steps are few"


def test_more_steps_pay_off(clip, tmp_path):
    """Of a frame that no others are predicted from: what those pay is not in its own cost."""
    lam = 1 / 1024

    def cost(steps):
        made = settings(stop=1, steps_first=steps, lam=lam)
        found = encode(clip, tmp_path / f"{steps}.nvc", made)
        return 10 ** (-found.psnr / 10) / lam + found.bpp

    assert cost(30) < 0.995 * cost(1)


# networks fitted to groups -------------------------------------------------------------------------------------------

FITTED = {"steps_network": 12, "lam": 2.0**-14, "group": 5, "stop": None}


@pytest.fixture(scope="module")
def panning(tmp_path_factory):
    """15 frames, 128 x 96."""
    shots = ((BUNNY, 15, (40, 60)),)
    return write_clip(tmp_path_factory.mktemp("clip") / "larger.y4m", 128, 96, shots)


def records_of(path):
    with open(path, "rb") as file:
        return list(Reader(file).groups())


def changes_network(record):
    return {section.kind for section in record.sections} > {SectionKind.TABLES, SectionKind.SYMBOLS}


def test_a_fitted_network_pays_off(panning, tmp_path):
    """All groups together cost less, what changes in the network included; the others inherit it."""

    def cost(steps):
        found = encode(panning, tmp_path / f"{steps}.nvc", settings(**FITTED | {"steps_network": steps}))
        return 10 ** (-found.psnr / 10) / FITTED["lam"] + found.bpp

    assert cost(40) < 0.99 * cost(0)
    assert not any(changes_network(record) for record in records_of(tmp_path / "0.nvc"))
    records = records_of(tmp_path / "40.nvc")
    assert changes_network(records[0]) and shape(tmp_path / "40.nvc") == [NONE, PREVIOUS, PREVIOUS]
    report = encode(panning, tmp_path / "again.nvc", settings(**FITTED | {"steps_network": 40}))
    names = set().union(*(group.bits_per_tensor for group in report.groups))
    assert {"inter.picture.weight", "latent4", "flow0"} <= names


def test_a_network_is_not_changed_where_that_does_not_pay(clip, tmp_path):
    encode(clip, tmp_path / "a.nvc", settings(steps_network=4, lam=lambda_of(90)))
    assert not any(changes_network(record) for record in records_of(tmp_path / "a.nvc"))


@pytest.mark.parametrize("changes", [{}, {"keyint": 2}])
def test_an_encode_that_fits_networks_goes_on_to_the_same_file(panning, tmp_path, changes):
    how = settings(**FITTED | changes)
    encode(panning, tmp_path / "whole.nvc", how)
    assert any(changes_network(record) for record in records_of(tmp_path / "whole.nvc"))
    stopped(panning, tmp_path / "a.nvc", how)
    encode(panning, tmp_path / "a.nvc", how, resume=True)
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "whole.nvc").read_bytes()


def test_steps_of_networks_are_told(panning, tmp_path):
    events = []
    report = encode(panning, tmp_path / "a.nvc", settings(**FITTED), observer=events.append)
    assert events[0].steps_network == 12 and events[0].steps == sum(group.steps for group in report.groups)
    for number, group in enumerate(report.groups):
        assert [e.step for e in events if isinstance(e, Progress) and e.group == number][-1] == group.steps


def test_same_settings_same_file(clip, quick, tmp_path):
    encode(clip, tmp_path / "a.nvc", QUICK)
    assert (tmp_path / "a.nvc").read_bytes() == quick[0].read_bytes()
    encode(clip, tmp_path / "b.nvc", settings(seed=1))
    assert (tmp_path / "b.nvc").read_bytes() != quick[0].read_bytes()


def test_lambda_is_monotone(clip, quick, tmp_path):
    found = [quick[1]]
    for lam in (lambda_of(32), lambda_of(84)):
        found.append(encode(clip, tmp_path / "a.nvc", settings(lam=lam), force=True))
        assert {group.lam for group in found[-1].groups} == {lam}
    middle, fine, coarse = found
    assert fine.bytes > middle.bytes > coarse.bytes and fine.psnr > middle.psnr > coarse.psnr


@pytest.mark.parametrize("bpp", [0.25, 0.4])
def test_a_bit_rate_is_met(tmp_path, bpp):
    clip = write_clip(tmp_path / "clip.y4m", 64, 48, ((BUNNY, 16, (40, 60)),))
    report = encode(clip, tmp_path / "a.nvc", settings(lam=None, bpp=bpp, stop=None))
    assert report.bpp == pytest.approx(bpp, rel=0.35)
    assert report.plan.bpp == bpp and len(report.groups) == 4


def test_a_psnr_is_reached(clip, quick, tmp_path):
    """By all groups, with fewer bits where less is asked for: what some lambda gives, or a little less."""
    fine = encode(clip, tmp_path / "a.nvc", settings(lam=lambda_of(32)))
    sizes = []
    for psnr in (min(group.psnr for group in report.groups) - 0.2 for report in (quick[1], fine)):
        report = encode(clip, tmp_path / "a.nvc", settings(lam=None, psnr=psnr), force=True)
        assert all(group.psnr >= psnr for group in report.groups)
        assert len(decoded(tmp_path / "a.nvc")) == 10
        sizes.append(report.bytes)
    assert sizes[0] < sizes[1]


# structure ------------------------------------------------------------------------------------------------------------


def test_groups_follow_each_other(quick):
    assert shape(quick[0]) == [NONE, PREVIOUS, PREVIOUS]


@pytest.mark.parametrize("changes", [{"keyint": 2}, {"inherit": "none"}])
def test_ranges_decode_from_the_right_group(clip, tmp_path, changes, monkeypatch):
    path = tmp_path / "a.nvc"
    encode(clip, path, settings(**changes))
    fresh = [0, 2] if "keyint" in changes else [0, 1, 2]
    assert [n for n, kind in enumerate(shape(path)) if kind == NONE] == fresh
    frames = decoded(path)
    seen = []
    begin = decoding.FrameRenderer.begin
    monkeypatch.setattr(decoding.FrameRenderer, "begin", lambda *args: seen.append(args[-1].number) or begin(*args))
    for start in range(10):
        seen.clear()
        with open(path, "rb") as file:
            some = list(Decoder(file, device="cpu").frames(start, start + 2))
        assert len(some) == min(2, 10 - start)
        assert all(a.same_pixels(b) for a, b in zip(some, frames[start : start + 2], strict=True))
        assert seen[0] == max(n for n in fresh if n <= start // 4)


def test_chains_in_processes(clip, tmp_path):
    how = settings(chains=2, jobs=2)
    report = encode(clip, tmp_path / "a.nvc", how)
    assert shape(tmp_path / "a.nvc") == [NONE, NONE, PREVIOUS] and len(decoded(tmp_path / "a.nvc")) == 10
    assert [(g.number, g.chain, g.first_frame) for g in report.groups] == [(0, 0, 0), (1, 1, 4), (2, 1, 8)]
    assert sum(report.bytes_by_kind.values()) == report.bytes == os.path.getsize(tmp_path / "a.nvc")
    assert os.listdir(tmp_path) == ["a.nvc"]


def test_a_range_of_the_source(clip, tmp_path):
    report = encode(clip, tmp_path / "a.nvc", settings(start=3, stop=8))
    with open_source(clip) as source:
        wanted = [frame.pts for frame in source][3:8]
    assert report.frames == 5 and [f.pts for f in decoded(tmp_path / "a.nvc")] == wanted


def test_scene_cuts_within_groups(tmp_path):
    """What is behind a cut is coded all the same."""
    clip = write_clip(tmp_path / "cut.y4m", 40, 24, SHOTS)
    report = encode(clip, tmp_path / "a.nvc", settings(stop=None, start=10, group=5, lam=1 / 2048))
    assert report.frames == 10 and min(row for g in report.groups for row in g.psnr_frames) > 15
    assert len(decoded(tmp_path / "a.nvc")) == 10


# going on -------------------------------------------------------------------------------------------------------------


class Stop(Exception):
    pass


@pytest.mark.parametrize(
    ("where", "changes"),
    [
        ((0, 2), {}),
        ((1, 3), {}),
        ((2, 1), {"lam": None, "bpp": 0.4, "seed": 3}),
        ((2, 1), {"lam": None, "psnr": 24.0}),
        ((2, 1), {"keyint": 2}),
    ],
)
def test_a_stopped_encode_goes_on_to_the_same_file(clip, tmp_path, where, changes):
    how = settings(**changes)
    encode(clip, tmp_path / "whole.nvc", how)

    def stop(event):
        if isinstance(event, Progress) and event.group == where[0] and event.step >= where[1]:
            raise Stop

    with pytest.raises(Stop):
        encode(clip, tmp_path / "a.nvc", how, observer=stop)
    left = tmp_path / "a.nvc.part"
    assert left.exists() == (where[0] > 0)
    if left.exists():
        checks = []
        with open(left, "rb") as file, pytest.raises(TruncatedError):
            for group in Decoder(file, device="cpu").groups():
                checks.append(group.check)
        assert checks == [Check.EXACT] * where[0], "what is finished decodes"
    report = encode(clip, tmp_path / "a.nvc", how, resume=True)
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "whole.nvc").read_bytes()
    assert [g.number for g in report.groups] == [0, 1, 2]
    assert sorted(os.listdir(tmp_path)) == ["a.nvc", "whole.nvc"]


def stopped(clip, target, how):
    """An encode that is stopped in its third group."""

    def stop(event):
        if isinstance(event, Progress) and event.group == 2:
            raise Stop

    with pytest.raises(Stop):
        encode(clip, target, how, observer=stop)


def test_an_encode_goes_on_from_the_last_random_access_group(clip, tmp_path, monkeypatch):
    """What is before it is not decoded again."""
    how = settings(group=2, keyint=1)
    stopped(clip, tmp_path / "a.nvc", how)
    seen = []
    begin = decoding.FrameRenderer.begin
    monkeypatch.setattr(decoding.FrameRenderer, "begin", lambda *args: seen.append(args[-1].number) or begin(*args))
    encode(clip, tmp_path / "a.nvc", how, resume=True)
    assert seen == [1]


def test_an_encode_does_not_go_on_from_other_pixels(clip, tmp_path, monkeypatch):
    stopped(clip, tmp_path / "a.nvc", QUICK)
    monkeypatch.setattr(frame_chain, "Decoder", spoiled(frame_chain.Decoder))
    with pytest.raises(SelfCheckError, match="group 1"):
        encode(clip, tmp_path / "a.nvc", QUICK, resume=True)


def spoiled(real):
    """A decoder that finds other pixels than the hash says."""

    class Spoiled(real):
        def _check(self, record, planes):
            planes[-1][0][0, 0] ^= 1
            return super()._check(record, planes)

    return Spoiled


# pixel formats --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "chroma", "depth"),
    [
        ((33, 17), Chroma.GRAY, 8),
        ((18, 34), Chroma.GRAY, 10),
        ((35, 21), Chroma.C420, 10),
        ((16, 16), Chroma.C420, 8),
        ((1, 1), Chroma.C420, 8),
        ((97, 5), Chroma.C420, 8),
    ],
)
def test_pixel_formats(tmp_path, size, chroma, depth):
    color = ColorInfo(9, 16, 9, Range.FULL, 2) if depth == 10 else ColorInfo(1, 1, 1, Range.LIMITED, 1)
    info = VideoInfo(
        *size, depth, chroma, color, Fraction(1, 1000), Fraction(25), sample_aspect=Fraction(4, 3), rotation=90
    )
    random = np.random.default_rng(0)
    path = tmp_path / "in.mkv"
    with open_sink(path, info) as sink:
        for pts in (0, 40, 90, 130, 170):
            planes = tuple(
                (np.add.outer(3 * np.arange(h), 2 * np.arange(w)) + random.integers(60, 100) << depth - 8).astype(
                    info.dtype
                )
                for h, w in info.plane_shapes
            )
            sink.write(Frame(planes, pts))
    with open_source(path) as source:
        expected = source.info
        stamps = [frame.pts * source.info.time_base for frame in source]
    report = encode(path, tmp_path / "a.nvc", settings(lam=1 / 2048, group=3))
    with open(tmp_path / "a.nvc", "rb") as file:
        assert Decoder(file).info == expected
    assert [f.pts * expected.time_base for f in decoded(tmp_path / "a.nvc")] == stamps
    assert report.psnr > 18 and len(report.psnr_planes) == len(info.plane_shapes)


@pytest.mark.parametrize("chroma", [Chroma.C422, Chroma.C444])
def test_other_pixel_formats_are_refused(tmp_path, chroma):
    info = VideoInfo(16, 16, 8, chroma)
    with open_sink(tmp_path / "in.y4m", info) as sink:
        sink.write(Frame(tuple(np.zeros(shape, np.uint8) for shape in info.plane_shapes), 0))
    with pytest.raises(UsageError, match=f"mc codes 4:2:0 and gray, not what this is .{chroma.name[1:]}.*--model"):
        encode(tmp_path / "in.y4m", tmp_path / "a.nvc", settings(model="mc"))
    assert os.listdir(tmp_path) == ["in.y4m"]


@pytest.mark.parametrize(
    ("chroma", "depth", "model"),
    [(Chroma.GRAY, 8, "mc"), (Chroma.C420, 10, "mc"), (Chroma.C422, 8, "nirvana"), (Chroma.C444, 10, "nirvana")],
)
def test_there_is_a_default_for_every_pixel_format(tmp_path, chroma, depth, model):
    """Plan, report and file name what was taken."""
    info = VideoInfo(16, 16, depth, chroma)
    with open_sink(tmp_path / "in.y4m", info) as sink:
        sink.write(Frame(tuple(np.full(shape, 99, info.dtype) for shape in info.plane_shapes), 0))
    events = []
    report = encode(tmp_path / "in.y4m", tmp_path / "a.nvc", settings(stop=None), observer=events.append)
    with open(tmp_path / "a.nvc", "rb") as file:
        reader = Reader(file)
        assert list(reader.groups())
        assert [found.name for found in reader.models.values()] == [model]
    assert events[0].model == report.plan.model == model and "model" not in report.settings, "it was not asked for"
    assert len(decoded(tmp_path / "a.nvc")) == 1


# what it does not have ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 32}, {"parameters": 10_000}, {"prune": 0.5}, {"share": 0.5}, {"share": 0.0}, {"monolithic": True},
        {"patch": 8}, {"chunk": 1.0}, {"depth": 2}, {"channels": 4}, {"block_channels": 4}, {"conv": "float"},
    ],
)  # fmt: skip
def test_options_that_it_does_not_have(clip, tmp_path, changes):
    group = None if {"chunk", "monolithic"} & set(changes) else 4
    (name,) = changes
    for model, who in (("mc", "mc"), (None, "mc, the default for this video,")):
        with pytest.raises(UsageError, match=f"^{who} has no option --{name.replace('_', '-')}; choose --model "):
            encode(clip, tmp_path / "a.nvc", settings(model=model, group=group, **changes))
    assert os.listdir(tmp_path) == []


def test_a_prior_that_is_not_there(clip, quick, tmp_path, monkeypatch):
    unknown = bytes.fromhex("00ff00ff00ff00ff")
    data = quick[0].read_bytes()
    assert data.count(plan.PRIOR) == 1
    monkeypatch.setattr(plan, "PRIOR", unknown)
    with pytest.raises(FeatureError, match="00ff00ff00ff00ff"):
        encode(clip, tmp_path / "a.nvc", QUICK)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("below", [0.0, 1e9])
def test_groups_of_two_halves(panning, tmp_path, monkeypatch, below):
    """Those that are long enough, where it pays; files decode, and steps are told as they are."""
    monkeypatch.setattr(frame_fit, "HALVED_BELOW", below)
    events = []
    report = encode(panning, tmp_path / "a.nvc", settings(group=9, stop=14), observer=events.append)
    records = records_of(tmp_path / "a.nvc")
    sections = [FramesSection.unpack(r.section(SectionKind.FRAMES), r.frame_count) for r in records]
    long = [r.frame_count - r.random_access >= frame_fit.LEAST_HALVED for r in records]
    assert long == [True, False]
    assert [section.halves for section in sections] == [below > 1 and one for one in long]
    for record, section, group in zip(records, sections, report.groups, strict=True):
        order = coding_order(record.frame_count, not record.random_access, section.halves)
        assert group.steps == sum(Effort(3, 2).steps(place.depth) for place in order)
    told = [event.step for event in events if isinstance(event, Progress)]
    assert max(told) <= max(event.steps for event in events if isinstance(event, Progress))
    assert len(decoded(tmp_path / "a.nvc")) == 14


@pytest.mark.parametrize("far, between, near, onwards", [(4, 2, 3, 2.8), (4, 2, 3, 2.9), (4, 2, 2, 3), (1, 1, 1, 1)])
def test_two_halves_are_what_costs_less(monkeypatch, far, between, near, onwards):
    costs = {(8, (0,)): far, (4, (0, 8)): between, (4, (0,)): near, (8, (4,)): onwards}

    def look(self, place, references, quality, motions):
        assert len(references) == len(place.references)
        return frame_fit._Look(place, None, None, costs[place.frame, place.references])

    monkeypatch.setattr(frame_fit._Group, "_look", look)
    monkeypatch.setattr(frame_fit._Group, "_shows", lambda self, look, quality, motions: look.place.frame)
    group = frame_fit._Group.__new__(frame_fit._Group)
    group._first, group._last, group._references = 0, 8, {0: 0}
    assert group.in_halves(20) == (near + onwards < 0.98 * (far + between))
    group._last = 7
    assert not group.in_halves(20), "too short"


@pytest.mark.parametrize("cut", [True, False])
def test_a_frame_after_a_cut_starts_anew(cut, tmp_path):
    """The last frame of a group, which is predicted over its whole length."""
    shots = ((BUNNY, 4, (40, 60)), (CITY, 4, (0, 0))) if cut else ((CITY, 8, (0, 0)),)
    clip = write_clip(tmp_path / "clip.y4m", 96, 64, shots)
    encode(clip, tmp_path / "a.nvc", settings(group=8, stop=None))
    with open(tmp_path / "a.nvc", "rb") as file:
        (group,) = Reader(file).groups()
    coded = FramesSection.unpack(group.section(SectionKind.FRAMES), 8).frames
    assert [frame.intra for frame in coded] == [True, cut] + [False] * 6
    assert len(decoded(tmp_path / "a.nvc")) == 8


def test_qualities_of_all_depths_grow_with_that_of_the_first():
    found = {q: [quality_of_depth(*indices_of(q), depth) for depth in range(7)] for q in range(FINEST, QUALITIES)}
    assert all(later >= one for a, b in itertools.pairwise(found.values()) for one, later in zip(a, b, strict=True))
    assert all(list(row) == sorted(row) for row in found.values())
    assert found[FINEST] == [0] * 7 and found[-12] == [0, 0, 2, 7, 12, 12, 12] and found[FINEST + 1][-1] == 1
    for q in found:
        whole, halves = ([quality_of_depth(*indices_of(q, h), depth) for depth in range(7)] for h in (False, True))
        assert halves == [*whole[:2], *whole[1:-1]], "a depth less from the third on"
    assert found[0][:3] == [0, 8, 14] and found[44][:3] == [44, 59, 65] and found[28][1] == 28 + 12
