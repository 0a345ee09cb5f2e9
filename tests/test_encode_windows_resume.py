"""Encodes with windows that are stopped, and go on to the same file as if nothing had happened."""

import contextlib
import dataclasses
import os
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from encode_samples import QUICK, decoded, settings

from nvcodec.bitstream.container import Writer
from nvcodec.decode.decoder import Decoder
from nvcodec.encode import jobs
from nvcodec.encode.encoder import encode
from nvcodec.encode.report import Progress
from nvcodec.errors import FormatError, UsageError

pytest_plugins = ("clip_fixtures",)


class Stop(Exception):
    pass


@pytest.mark.parametrize(
    "where, changes",
    [
        ((0, 3), {}),
        ((3, 1), {}),
        ((3, 8), {"lam": None, "bpp": 2.0}),
        ((3, 4), {"inherit": "previous"}),
        ((3, 4), {"share_training": "sequential", "prune": 0.5}),
        ((3, 4), {"lam": None, "psnr": 12.0}),
    ],
)
def test_a_stopped_encode_goes_on_to_the_same_file(cut_clip, tmp_path, where, changes):
    """Within the training of a window: whole windows before it are kept."""
    how = settings(**changes)
    encode(cut_clip, tmp_path / "whole.nvc", how)

    def stop(event):
        if isinstance(event, Progress) and (event.group, event.step) == where:
            raise Stop

    with pytest.raises(Stop):
        encode(cut_clip, tmp_path / "a.nvc", how, observer=stop)
    if where[0]:
        with open(tmp_path / "a.nvc.part", "rb") as file:
            assert some_frames(file) == 12
        with pytest.raises(UsageError, match="seed"):
            encode(cut_clip, tmp_path / "a.nvc", dataclasses.replace(how, seed=9), resume=True)
    report = encode(cut_clip, tmp_path / "a.nvc", how, resume=True)
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "whole.nvc").read_bytes()
    assert len(report.groups) == 5 and [bool(g.window) for g in report.groups] == [True, False, False, True, False]
    assert sum(report.bytes_by_kind.values()) == report.bytes
    assert sorted(os.listdir(tmp_path)) == ["a.nvc", "whole.nvc"]


def some_frames(file):
    """How many there are before the cut."""
    found = 0
    with pytest.raises(FormatError):
        for _ in Decoder(file, device="cpu").frames():
            found += 1
    return found


@pytest.mark.parametrize("written, in_place", [(0, False), (1, False), (3, False), (4, True)])
def test_a_window_that_was_cut_is_written_again(cut_clip, tmp_path, monkeypatch, written, in_place):
    """Stopped between the groups of a window: that window is cut off, and encoded again."""
    encode(cut_clip, tmp_path / "whole.nvc", QUICK)
    real = Writer.write_group

    def write_group(self, record):
        if record.number == written:
            raise Stop
        return real(self, record)

    monkeypatch.setattr(Writer, "write_group", write_group)
    with pytest.raises(Stop):
        encode(cut_clip, tmp_path / "a.nvc", QUICK, in_place=in_place)
    left = tmp_path / ("a.nvc" if in_place else "a.nvc.part")
    assert left.exists() == (written > 0)
    if written:
        with open(left, "rb") as file:
            assert some_frames(file) == 4 * written, "whole groups decode, of a window that was cut too"
    monkeypatch.undo()
    report = encode(cut_clip, tmp_path / "a.nvc", QUICK, in_place=in_place, resume=True)
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "whole.nvc").read_bytes()
    assert [g.number for g in report.groups] == list(range(5))


# chains ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def in_this_process(monkeypatch):
    """Chains one after the other, without processes."""

    @contextlib.contextmanager
    def local(count, threads):
        events = SimpleNamespace(put=seen.append, get_nowait=lambda: seen.pop(0) if seen else empty())
        yield submit, events

    def empty():
        raise jobs.queue.Empty

    def submit(*arguments):
        future = Future()
        try:
            future.set_result(jobs._work(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    seen = []
    monkeypatch.setattr(jobs, "_local", local)


def test_stopped_chains_go_on(cut_clip, tmp_path, monkeypatch, in_this_process):
    """From wherever a window was being joined. The first chain has a window and a group, the second one a window."""
    how = settings(chains=2, max_window=2, inherit="previous")
    encode(cut_clip, tmp_path / "whole.nvc", how)
    frames = decoded(tmp_path / "whole.nvc")
    for start in range(0, 20, 4):
        with open(tmp_path / "whole.nvc", "rb") as file:
            (some,) = Decoder(file, device="cpu").frames(start, start + 1)
        assert some.same_pixels(frames[start])
    join = jobs._join
    for number in range(5):

        def joining(chain, rows, output, number=number):
            write = output.write
            output.write = lambda record, row: stop() if record.number == number else write(record, row)
            join(chain, rows, output)

        with monkeypatch.context() as patch:
            patch.setattr(jobs, "_join", joining)
            with pytest.raises(Stop):
                encode(cut_clip, tmp_path / "a.nvc", how)
        report = encode(cut_clip, tmp_path / "a.nvc", how, resume=True)
        assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "whole.nvc").read_bytes()
        assert [bool(g.window) for g in report.groups] == [True, False, False, True, False]
        assert [g.number for g in report.groups] == list(range(5))
        assert sorted(os.listdir(tmp_path)) == ["a.nvc", "whole.nvc"]
        (tmp_path / "a.nvc").unlink()


def stop():
    raise Stop
