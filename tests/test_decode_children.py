"""Processes that decode parts: the same frames, and errors that are told, whatever happens to them."""

import io
import multiprocessing
import os
import pickle
import signal
import time

import numpy as np
import pytest
import torch
from mc_samples import build, code_group, headers_of, integers, model_of, weights_of, write_prior

from nvcodec.decode import children, workers
from nvcodec.decode.children import Child
from nvcodec.decode.decoder import Check, Decoder
from nvcodec.decode.frames import GroupDecoder
from nvcodec.decode.parts import Motions
from nvcodec.decode.workers import Workers
from nvcodec.errors import NvcodecError
from nvcodec.models import priors
from nvcodec.models.hierarchy import Place
from nvcodec.video import VideoInfo

INFO = VideoInfo(40, 24)
MODEL = model_of(INFO.height, INFO.width)
WEIGHTS = weights_of(MODEL, integers(MODEL.tensors))
CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(not children.AVAILABLE, reason="processes are forked on Linux alone")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("priors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(priors, "PATHS", [*priors.PATHS, folder])
        patch.setenv("NVCODEC_CODER", "builtin")
        yield build(write_prior(folder))


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
    assert not multiprocessing.active_children()


@pytest.fixture
def made(monkeypatch):
    """The children that workers make."""
    found = []

    class Noted(Child):
        def __init__(self):
            super().__init__()
            found.append(self)

    monkeypatch.setattr(workers, "Child", Noted)
    return found


def groups(whole, processes=True):
    return list(Decoder(io.BytesIO(whole.data), device="cpu", processes=processes).groups())


def test_frames_are_those_of_threads(whole, made):
    """Networks change between groups, and with them what children have."""
    expected = groups(whole, processes=False)
    assert not made
    found = groups(whole)
    assert len(made) == 2
    assert all(group.check is Check.EXACT for group in found)
    for one, other in zip(found, expected, strict=True):
        assert [f.pts for f in one.frames] == [f.pts for f in other.frames]
        for a, b in zip(one.frames, other.frames, strict=True):
            assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))


def test_there_are_no_more_than_threads_and_not_too_many(whole, made, monkeypatch):
    torch.set_num_threads(64)
    groups(whole)
    assert len(made) == workers.PROCESSES
    made.clear()
    torch.set_num_threads(1)
    groups(whole)
    assert not made


def test_large_frames_have_threads(whole, made, monkeypatch):
    monkeypatch.setattr(workers, "SMALL", 1)
    assert all(group.check is Check.EXACT for group in groups(whole))
    assert not made


def test_where_no_process_can_be_had_there_are_threads(whole, monkeypatch):
    def none(self):
        raise BlockingIOError("too many")

    monkeypatch.setattr(multiprocessing.get_context("fork").Process, "start", none)
    assert all(group.check is Check.EXACT for group in groups(whole))


def checks(whole, queue):
    queue.put((children.available(), [group.check for group in groups(whole)]))


def test_a_process_that_may_have_none_decodes_all_the_same(whole):
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=checks, args=(whole, queue), daemon=True)
    process.start()
    available, found = queue.get()
    process.join()
    assert not available and set(found) == {Check.EXACT}


def test_a_child_that_is_killed_is_told(whole, made):
    decoded = Decoder(io.BytesIO(whole.data), device="cpu", processes=True).groups()
    next(decoded)
    for child in made:
        os.kill(child._process.pid, signal.SIGKILL)
        child._process.join()
    with pytest.raises(NvcodecError, match="a process that decoded frames is gone"):
        list(decoded)


def test_a_child_ends_with_its_parent():
    def parent(connection):
        child = Child()
        connection.send(child._process.pid)
        os._exit(0)  # no farewell

    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=parent, args=(theirs,))
    process.start()
    pid = ours.recv()
    process.join()
    for _ in range(500):
        if not running(pid):
            return
        time.sleep(0.02)
    raise AssertionError("it goes on")


def running(pid):
    """Not so of one that has ended and that nobody has asked for."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Broken:
    """A part whose decoding fails."""

    def decode(self, model, weights):
        raise NvcodecError("as it is")


@pytest.fixture
def child():
    found = Child()
    yield found
    found.kill()
    found.join()


def test_an_error_of_a_child_is_raised_here(child):
    for _ in range(2):
        with pytest.raises(NvcodecError, match="as it is"):
            child.decode(MODEL, WEIGHTS, Broken())


def test_a_network_is_sent_when_it_is_another(child, monkeypatch):
    sent = []
    dumps = pickle.dumps
    monkeypatch.setattr(
        children.pickle, "dumps", lambda what, how: sent.append(what[0] is not None) or dumps(what, how)
    )
    for weights in (WEIGHTS, WEIGHTS, dict(WEIGHTS), WEIGHTS):
        with pytest.raises(NvcodecError, match="as it is"):
            child.decode(MODEL, weights, Broken())
    assert sent == [True, False, True, True]


def test_a_model_can_be_pickled():
    model = model_of(50, 37)
    again = pickle.loads(pickle.dumps(model))
    assert (again.config, again.tensors, again._size) == (model.config, model.tensors, model._size)


def test_fields_can_be_pickled():
    """Also where there are none yet: frames of a part add theirs."""
    motions = Motions()
    place = Place(4, (0, 8), 2)
    pickle.loads(pickle.dumps(motions)).add(place, [torch.zeros(1, 2, 2, 3)] * 2)
    motions.add(Place(8, (0,), 1), [torch.full((1, 2, 2, 3), 8.0)])
    again = pickle.loads(pickle.dumps(motions))
    assert torch.equal(again.guess(place), motions.guess(place)) and bool(again.guess(place).any())


def test_empty_parts_wait_for_nobody(made):
    """A group of one frame: nothing is left for its only part."""
    section, _ = code_group(MODEL, WEIGHTS, headers_of(1, False), None, INFO)
    with Workers(INFO, CPU, processes=True) as several:
        assert len(GroupDecoder(several, MODEL, WEIGHTS, section.pack(), 1, None, INFO, "one").planes()) == 1
    assert not made
