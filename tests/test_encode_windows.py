"""Whole encodes whose groups share parameters: what is reported is what the file decodes to, whatever is asked for."""

import dataclasses
import gc
import io
import os
import sys
import weakref
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bitstream_samples import Pipe, spans
from clip_samples import SHOTS, write_clip
from encode_samples import MODELS, NONE, QUICK, SMALL, WINDOW, WINDOW_PREVIOUS, decoded, records, settings, shape
from layout_samples import planned

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nvcodec.bitstream.container import Reader  # noqa: E402
from nvcodec.bitstream.group_records import GroupRecord, WindowRecord  # noqa: E402
from nvcodec.bitstream.registry import Origin, SectionKind  # noqa: E402
from nvcodec.decode.decoder import Decoder  # noqa: E402
from nvcodec.encode import encoder as encoding  # noqa: E402
from nvcodec.encode.encoder import encode  # noqa: E402
from nvcodec.encode.plan import FILE_OVERHEAD, GROUP_OVERHEAD, decide  # noqa: E402
from nvcodec.encode.rate_control import RateControl  # noqa: E402
from nvcodec.encode.report import GroupReport, Progress  # noqa: E402
from nvcodec.encode.settings import CHOICES  # noqa: E402
from nvcodec.errors import UsageError  # noqa: E402
from nvcodec.media.source import open_source  # noqa: E402
from nvcodec.video import VideoInfo  # noqa: E402
from tools.refdec import decode as reference_decode  # noqa: E402

pytest_plugins = ("clip_fixtures",)


def frames_of(path):
    with open_source(path) as source:
        return list(source)


def check_file(source, path, report):
    """The file decodes to what was reported, in the other decoder too, and its bytes are all accounted for."""
    frames, originals = decoded(path), frames_of(source)
    assert [f.pts for f in frames] == [f.pts for f in originals] and report.frames == len(frames)
    for group in report.groups:
        assert group.psnr == pytest.approx(group.psnr_training, abs=0.01)
    _, *references = reference_decode(path.read_bytes())
    pictures = [picture for group in references for picture in group.frames]
    for frame, picture in zip(frames, pictures, strict=True):
        assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(frame.planes, picture, strict=True))

    data = path.read_bytes()
    assert report.bytes == len(data) == sum(report.bytes_by_kind.values())
    sizes = {kind: [end - start for found, start, end in spans(data) if found == kind] for kind in (b"GRUP", b"WNDW")}
    assert [group.bytes for group in report.groups] == sizes[b"GRUP"]
    windows = [group.window for group in report.groups if group.window]
    assert [window.bytes for window in windows] == sizes[b"WNDW"]
    coded = [r for r in records(path) if isinstance(r, WindowRecord)]
    assert [w.mask_bytes for w in windows] == [len(r.section(SectionKind.MASK)) for r in coded]
    assert (
        [w.shared for w in windows] == [r.shared for r in coded] == [sum(w.shared_by_tensor.values()) for w in windows]
    )
    assert [w.groups for w in windows] == [r.groups for r in coded]
    assert [g.number for g in report.groups if g.window] == [r.first_group for r in coded]
    if coded:
        assert report.bytes_by_kind["shared"] + report.bytes_by_kind["mask"] == sum(sizes[b"WNDW"])
        assert report.bytes_by_kind["mask"] == sum(w.mask_bytes for w in windows)
    inheritances = [r.inheritance.name.lower() for r in records(path) if isinstance(r, GroupRecord)]
    assert [group.inheritance for group in report.groups] == inheritances


CASES = [(model, 0.5, inherit) for model in MODELS for inherit in (None, "previous")]
CASES += [(model, share, None) for model in ("float", "hnerv") for share in (0.0, 1.0)]
CASES += [("nirvana", 1.0, "previous"), ("enerv", 1.0, None)]


@pytest.mark.parametrize("model, share, inherit", CASES)
def test_from_pixels_to_bytes_and_back(cut_clip, tmp_path, model, share, inherit):
    report = encode(cut_clip, tmp_path / "a.nvc", settings(share=share, inherit=inherit, **MODELS[model]))
    check_file(cut_clip, tmp_path / "a.nvc", report)
    if share:
        nexts = WINDOW_PREVIOUS if inherit else WINDOW
        assert shape(tmp_path / "a.nvc") == [(0, 3), WINDOW, nexts, nexts, (3, 2), WINDOW, nexts]
        for window in (group.window for group in report.groups if group.window):
            assert window.shared == round(share * window.shared_of)
    else:
        assert shape(tmp_path / "a.nvc") == [NONE] * 5
    assert report.plan.groups == 5 and report.plan.frames == 20


@pytest.mark.parametrize("model", ["hnerv", "nirvana"])
def test_what_is_shared_is_the_same_in_all_groups(cut_clip, tmp_path, model):
    """Where the masks say so, the integers of all groups of a window are equal; embeddings are never shared."""
    encode(cut_clip, tmp_path / "a.nvc", settings(steps_first=20, mask="fisher", **MODELS[model]))
    _, *groups = reference_decode((tmp_path / "a.nvc").read_bytes())
    for first, second in ((0, 1), (0, 2), (3, 4)):
        a, b = groups[first], groups[second]
        assert a.window is b.window is not None
        for q, p, shared in zip(a.state.integers, b.state.integers, a.window.shared, strict=True):
            assert np.array_equal(q[shared], p[shared])
        rest = [(q != p)[~m] for q, p, m in zip(a.state.integers, b.state.integers, a.window.shared, strict=True)]
        assert np.concatenate(rest).mean() > 0.1
    assert groups[0].window is not groups[3].window
    if model == "hnerv":
        assert not groups[0].window.shared[0].any()


def test_sharing_pays_off(cut_clip, tmp_path):
    """At one lambda a window costs less than groups for themselves."""
    apart = encode(cut_clip, tmp_path / "a.nvc", settings(share=0.0, steps_first=40, stop=12))
    shared = encode(cut_clip, tmp_path / "b.nvc", settings(share=0.8, steps_first=40, stop=12))
    assert shared.bytes < 0.75 * apart.bytes


@pytest.mark.parametrize("changes", [{}, {"share": 0.2}, {"inherit": "previous"}])
def test_a_rate_counts_what_is_shared(cut_clip, tmp_path, changes):
    how = settings(lam=None, bpp=12.0, width=None, steps_first=60, **changes)
    report = encode(cut_clip, tmp_path / "a.nvc", how)
    assert 0.5 * 12.0 < report.bpp < 1.2 * 12.0 and report.plan.bpp == pytest.approx(12.0, rel=0.2)


def test_budgets_of_windows_add_up():
    """Each window gets its part of the rate, less what its groups cost anyway; what one saves the others have."""
    info = VideoInfo(160, 90, rate=Fraction(25))
    how = settings(lam=None, bpp=0.5, max_window=4, chunk=1.0, group=None, min_window=1.0)
    decision = decide(how, info, *planned(how, info, 400, (170, 250)))
    pixels, units = 160 * 90, decision.layout.units
    assert len({len(unit) for unit in units}) > 2
    control, total = RateControl(decision, pixels, None), 0.0
    whole = 0.5 * 400 * pixels - 8 * FILE_OVERHEAD
    for number, unit in enumerate(units):
        budget = control.budget(sum(unit), len(unit), True)
        overhead = 8 * GROUP_OVERHEAD * len(unit)
        spent = budget + overhead if number else 0.5 * (budget + overhead)
        total += spent
        assert number > 0 or budget + overhead == pytest.approx(sum(unit) / 400 * whole)
        control.account(sum(unit), True, spent / 8, 1e-4)
    assert total == pytest.approx(whole)


def test_the_same_settings_give_the_same_file(cut_clip, tmp_path):
    files = {}
    for name, changes in (("a", {}), ("b", {}), ("seed", {"seed": 1})):
        encode(cut_clip, tmp_path / f"{name}.nvc", settings(**changes))
        files[name] = (tmp_path / f"{name}.nvc").read_bytes()
    assert files["a"] == files["b"] != files["seed"]


def test_every_choice_has_a_file_of_its_own(cut_clip, tmp_path):
    """Masks and ways of training; all decode to what was reported."""
    found = set()
    choices = [("share_training", word) for word in CHOICES["share_training"]]
    choices += [("mask", word) for word in CHOICES["mask"] if word != QUICK.mask]
    for name, word in choices:
        how = settings(**{name: word}, stop=12, **MODELS["nirvana"])
        report = encode(cut_clip, tmp_path / "a.nvc", how, force=True)
        decoded(tmp_path / "a.nvc")
        assert report.groups[0].window.shared == round(0.5 * report.groups[0].window.shared_of)
        found.add((tmp_path / "a.nvc").read_bytes())
    assert len(found) == len(choices)


def test_one_after_the_other(cut_clip, tmp_path):
    """The first group is trained as if it were alone, and what it shares is what the others have."""
    how = settings(share_training="sequential", share=1.0, model="nirvana", **SMALL)
    steps = []
    report = encode(cut_clip, tmp_path / "a.nvc", how, observer=lambda e: isinstance(e, Progress) and steps.append(e))
    check_file(cut_clip, tmp_path / "a.nvc", report)
    assert [e.step for e in steps if e.group == 0] == [1 + n // 3 for n in range(3 * 8)]
    alone = encode(cut_clip, tmp_path / "b.nvc", dataclasses.replace(how, share=None, stop=4))
    assert report.groups[0].psnr == alone.groups[0].psnr
    first, second = decoded(tmp_path / "a.nvc"), decoded(tmp_path / "b.nvc")
    assert all(a.same_pixels(b) for a, b in zip(first[:4], second, strict=True))


@pytest.mark.parametrize("training", CHOICES["share_training"])
def test_a_psnr_is_reached_by_all_groups(cut_clip, tmp_path, training):
    how = settings(lam=None, psnr=15.5, steps_first=30, start=8, stop=16, share_training=training)
    how = dataclasses.replace(how, min_window=0.4, max_window=0)
    report = encode(cut_clip, tmp_path / "a.nvc", how)
    assert shape(tmp_path / "a.nvc")[0] == (0, 2), "one window for two scenes, one of them harder than the other"
    assert all(group.psnr >= 15.5 for group in report.groups)
    free = encode(cut_clip, tmp_path / "b.nvc", dataclasses.replace(how, psnr=None, lam=1e-7))
    assert report.bytes < free.bytes


@pytest.mark.parametrize("changes", [{}, {"share": None, "inherit": "none"}, {"model": "nirvana", **SMALL}])
def test_pruned_weights_are_zeros_in_the_file(cut_clip, tmp_path, changes):
    """Most of the integers of matrices and kernels, with zeros for their origin, which cost next to nothing."""
    sizes = {}
    for prune in (0.1, 0.8):
        report = encode(cut_clip, tmp_path / f"{prune}.nvc", settings(prune=prune, stop=12, width=8, **changes))
        sizes[prune] = report.bytes
    assert len(decoded(tmp_path / "0.8.nvc")) == 12 and sizes[0.8] < 0.6 * sizes[0.1]
    with open(tmp_path / "0.8.nvc", "rb") as file:
        assert Reader(file).models[0].origin == Origin.ZERO
    _, *groups = reference_decode((tmp_path / "0.8.nvc").read_bytes())
    for group in groups:
        _, *matrices = [q.ravel() == 0 for q in group.state.integers if q.ndim > 1]  # the first may be embeddings
        assert np.mean(np.concatenate(matrices)) > 0.75


@pytest.mark.parametrize("model", ["hnerv", "nirvana"])
def test_one_group_for_the_whole_video(cut_clip, tmp_path, model):
    how = settings(group=None, share=None, min_window=None, monolithic=True, **MODELS[model])
    report = encode(cut_clip, tmp_path / "a.nvc", how)
    check_file(cut_clip, tmp_path / "a.nvc", report)
    assert shape(tmp_path / "a.nvc") == [NONE] and report.groups[0].frames == 20
    assert report.plan.config["group"] == 20


def test_one_group_for_a_video_that_is_too_long(tmp_path):
    clip = write_clip(tmp_path / "a.y4m", 2, 2, SHOTS)
    with open(clip, "ab") as file:
        file.write((b"FRAME\n" + bytes(6)) * 4080)
    with pytest.raises(UsageError, match="the video has 4100 frames; a group of 2x2 has at most 4096"):
        encode(clip, tmp_path / "a.nvc", settings(group=None, share=None, monolithic=True))
    assert os.listdir(tmp_path) == ["a.y4m"]


def test_a_scene_of_one_chunk_has_no_window(cut_clip, tmp_path):
    """Nothing to share: the group is from scratch, whatever it may inherit."""
    for changes, expected in (
        ({"stop": 4}, [NONE]),
        ({"stop": 3}, [NONE]),
        ({"start": 8}, [NONE, (1, 2), WINDOW, WINDOW_PREVIOUS]),
        ({"stop": 16}, [(0, 3), WINDOW, WINDOW_PREVIOUS, WINDOW_PREVIOUS, NONE]),
    ):
        report = encode(cut_clip, tmp_path / "a.nvc", settings(inherit="previous", **changes), force=True)
        assert shape(tmp_path / "a.nvc") == expected
        assert (report.groups[0].window is None) == (expected[0] == NONE)
        assert any("nothing is shared" in note for note in report.notes) == (expected == [NONE])
        decoded(tmp_path / "a.nvc")
        assert sum(report.bytes_by_kind.values()) == report.bytes


# reading --------------------------------------------------------------------------------------------------------------


class Watched(io.BytesIO):
    """Remembers what was read."""

    def __init__(self, data):
        super().__init__(data)
        self.seen = np.zeros(len(data), np.bool_)

    def read(self, size=-1):
        start = self.tell()
        data = super().read(size)
        self.seen[start : start + len(data)] = True
        return data


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_any_chunk_decodes_by_itself(cut_clip, tmp_path, share):
    """Of windows and groups only its own are read."""
    encode(cut_clip, tmp_path / "a.nvc", settings(share=share))
    data, frames = (tmp_path / "a.nvc").read_bytes(), decoded(tmp_path / "a.nvc")
    chunks = [(kind, start, end) for kind, start, end in spans(data) if kind in (b"GRUP", b"WNDW")]
    window_of = [None] * 5 if share == 0 else [0, 0, 0, 1, 1]
    for number in range(5):
        file = Watched(data)
        some = list(Decoder(file, device="cpu").frames(4 * number, 4 * number + 4))
        assert all(a.same_pixels(b) for a, b in zip(some, frames[4 * number : 4 * number + 4], strict=True))
        seen = {b"GRUP": [], b"WNDW": []}
        for kind, start, end in chunks:
            seen[kind].append(bool(file.seen[start + 14 : end].any()))
        assert seen[b"GRUP"] == [n == number for n in range(5)]
        assert seen[b"WNDW"] == [n == window_of[number] for n in range(2 if share else 0)]


def test_chained_groups_decode_from_the_start_of_their_window(cut_clip, tmp_path):
    encode(cut_clip, tmp_path / "a.nvc", settings(inherit="previous", keyint=2))
    assert shape(tmp_path / "a.nvc") == [
        (0, 3), WINDOW, WINDOW_PREVIOUS, WINDOW, (3, 2), WINDOW, WINDOW_PREVIOUS,
    ]  # fmt: skip
    data, frames = (tmp_path / "a.nvc").read_bytes(), decoded(tmp_path / "a.nvc")
    groups = [(start, end) for kind, start, end in spans(data) if kind == b"GRUP"]
    for number, needed in enumerate(([0], [0, 1], [2], [3], [3, 4])):
        file = Watched(data)
        (some,) = Decoder(file, device="cpu").frames(4 * number + 1, 4 * number + 2)
        assert some.same_pixels(frames[4 * number + 1])
        assert [n for n, (start, end) in enumerate(groups) if file.seen[start + 14 : end].any()] == needed


# streams and memory ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_stream_gives_the_same_file(cut_clip, tmp_path, monkeypatch, share):
    encode(cut_clip, tmp_path / "a.nvc", settings(share=share))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Pipe(cut_clip.read_bytes(), most=1000)))
    report = encode("-", tmp_path / "b.nvc", settings(share=share))
    assert (report.plan.frames, report.plan.groups, report.frames) == (None, None, 20)
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "b.nvc").read_bytes()


def test_a_stream_of_which_a_rate_is_asked(cut_clip, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Pipe(cut_clip.read_bytes(), most=1000)))
    report = encode("-", tmp_path / "b.nvc", settings(lam=None, bpp=4.0, steps_first=40))
    assert len(decoded(tmp_path / "b.nvc")) == 20 and 1.0 < report.bpp < 6.0


def test_what_was_encoded_is_let_go(tmp_path, monkeypatch):
    """While a window of a file is trained, no other frames are in memory."""
    clip = write_clip(tmp_path / "long.y4m", 16, 12, SHOTS * 3)
    alive = weakref.WeakSet()

    class Watcher:
        def __init__(self, name):
            self._source = open_source(name)
            self.info, self.frame_count = self._source.info, self._source.frame_count
            self.notes, self.has_audio = [], False

        def digest(self):
            return None

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._source.__exit__(None, None, None)

        def __iter__(self):
            for frame in self._source:
                alive.add(frame)
                yield frame
                del frame

    monkeypatch.setattr(encoding, "open_source", Watcher)
    held = {}

    def watch(event):
        if isinstance(event, Progress):
            gc.collect()
            held[event.group] = len(alive)

    encode(clip, tmp_path / "a.nvc", settings(steps_first=1, width=3), observer=watch)
    assert held == {0: 12, 3: 8, 5: 12, 8: 8, 10: 12, 13: 8}


def test_chains_in_processes(cut_clip, tmp_path):
    """Each chain has whole windows, which are renumbered where they are joined."""
    how = settings(chains=2, jobs=2, group=None, chunk=0.2, min_window=0.28)
    report = encode(cut_clip, tmp_path / "a.nvc", how)
    check_file(cut_clip, tmp_path / "a.nvc", report)
    assert shape(tmp_path / "a.nvc") == [(0, 3), WINDOW, WINDOW, WINDOW, (3, 2), WINDOW, WINDOW]
    groups = [r for r in records(tmp_path / "a.nvc") if isinstance(r, GroupRecord)]
    assert [(g.number, g.chain, g.first_frame) for g in groups] == [
        (0, 0, 0), (1, 0, 4), (2, 0, 8), (3, 1, 12), (4, 1, 16),
    ]  # fmt: skip
    assert [(g.number, g.chain, g.first_frame) for g in report.groups] == [
        (g.number, g.chain, g.first_frame) for g in groups
    ]
    assert sorted(os.listdir(tmp_path)) == ["a.nvc"]


def test_groups_are_reported_in_order(cut_clip, tmp_path):
    """After each window its groups, with the bytes of the window in the first one's size."""
    events = []
    encode(cut_clip, tmp_path / "a.nvc", QUICK, observer=events.append)
    rows = [(type(e).__name__, getattr(e, "number", getattr(e, "group", None))) for e in events]
    numbers = [number for name, number in rows if name == "GroupReport"]
    assert numbers == [0, 1, 2, 3, 4]
    assert {number for name, number in rows if name == "Progress"} == {0, 3}
    assert all(a.number < b.number for a, b in pairwise([e for e in events if isinstance(e, GroupReport)]))
    for event in events:
        if isinstance(event, GroupReport):
            assert event.size == event.bytes + (event.window.bytes if event.window else 0)
