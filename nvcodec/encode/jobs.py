"""Chains in parallel: each is an encode of its own, in a process of its own, to a file of its own, then joined.

NIRVANA's chunks (section 4.6): disjoint parts of the video, each from scratch. The chains' files stand beside the
output as NAME.part.chainN.nvc and are ordinary .nvc files; as soon as all chains before it are joined, a finished one
is copied to the output, group by group, and removed. An interrupted encode keeps them, and goes on with each.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nvcodec.bitstream.container import Reader
from nvcodec.encode.layout import Division, Layout
from nvcodec.encode.output import Output, read_report
from nvcodec.encode.plan import Decision
from nvcodec.encode.report import Event, GroupReport, Observer, Progress
from nvcodec.encode.settings import EncodeSettings
from nvcodec.errors import UsageError

POLL_SECONDS = 0.2

Submit = Callable[..., "Future[tuple[GroupReport, ...]]"]


@dataclass(frozen=True)
class _Chain:
    number: int
    frames: range
    first_group: int
    layout: Layout
    path: Path

    @property
    def rows(self) -> Path:
        """Where the reports of a finished chain's groups are kept until it is joined."""
        return self.path.with_suffix(".json")


class _Forward:
    """The observer in a worker: events of a chain to the parent's queue, numbered as groups of the whole video."""

    def __init__(self, chain: _Chain, events: Any) -> None:
        self._chain, self._events = chain, events

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._events.put(replace(event, group=event.group + self._chain.first_group))
        elif isinstance(event, GroupReport):
            self._events.put(_renumbered(event, self._chain))


def encode_chains(
    source: str, settings: EncodeSettings, decision: Decision, output: Output, observer: Observer
) -> None:
    """Encode all chains of `decision`, `settings.jobs` at a time, into `output`, in order."""
    assert decision.layout is not None
    chains, groups, frames = [], 0, settings.start
    for number, units in enumerate(decision.layout.chains):
        path = output.path.with_name(f"{output.target.name}.part.chain{number}.nvc")
        length = sum(map(sum, units))
        chains.append(_Chain(number, range(frames, frames + length), groups, Layout((units,)), path))
        groups, frames = groups + sum(map(len, units)), frames + length
    # A chain that was being joined when the encode was stopped is joined from where it stopped.
    todo = [c for c in chains if c.first_group + c.layout.groups > output.writer.groups]
    how = replace(settings, chains=1, jobs=1, threads=_threads(settings))
    how = replace(how, width=decision.width, parameters=None, group=decision.group, chunk=None)  # one network for all
    division = decision.division
    engine = _ray if settings.engine == "ray" else _local
    with engine(settings.jobs, how.threads or 1) as (submit, events):
        running: dict[Future[tuple[GroupReport, ...]], _Chain] = {
            submit(source, replace(how, start=c.frames.start, stop=_stop(c, chains, settings)), division, c, events): c
            for c in todo
        }
        finished: dict[int, tuple[GroupReport, ...]] = {}
        waiting = list(todo)
        while running:
            done, _ = wait(running, POLL_SECONDS, FIRST_COMPLETED)
            _drain(events, observer)
            for future in done:
                chain = running.pop(future)
                finished[chain.number] = future.result()
            while waiting and waiting[0].number in finished:
                chain = waiting.pop(0)
                _join(chain, finished[chain.number], output)
        _drain(events, observer)


def _stop(chain: _Chain, chains: list[_Chain], settings: EncodeSettings) -> int | None:
    """Where a chain ends; the last one goes on to the end, wherever the container says that is."""
    return settings.stop if chain is chains[-1] else chain.frames.stop


def _threads(settings: EncodeSettings) -> int:
    """Of each process: a fair share of the cores."""
    return settings.threads or max(1, multiprocessing.cpu_count() // settings.jobs)


@contextmanager
def _local(jobs: int, threads: int) -> Iterator[tuple[Submit, Any]]:
    """Processes of this machine: submit(*arguments of _work), and the queue of their events."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        pool = ProcessPoolExecutor(jobs, mp_context=context)
        try:
            yield (lambda *arguments: pool.submit(_work, *arguments)), manager.Queue()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        pool.shutdown()


@contextmanager
def _ray(jobs: int, threads: int) -> Iterator[tuple[Submit, Any]]:
    """Tasks of a Ray cluster: the one that RAY_ADDRESS names, else one that is started here, for `jobs` tasks."""
    try:
        import ray
        from ray.util.queue import Queue
    except ImportError as error:
        raise UsageError("--engine ray needs Ray: pip install 'nvcodec[ray]'") from error
    started = not ray.is_initialized()
    if started and "RAY_ADDRESS" in os.environ:
        ray.init(log_to_driver=False)
    elif started:
        ray.init(num_cpus=jobs * threads, include_dashboard=False, log_to_driver=False)
    remote = ray.remote(_work).options(num_cpus=threads)
    try:
        yield (lambda *arguments: remote.remote(*arguments).future()), Queue(actor_options={"num_cpus": 0})
    finally:
        if started:
            ray.shutdown()


def _work(
    source: str, settings: EncodeSettings, division: Division, chain: _Chain, events: Any
) -> tuple[GroupReport, ...]:
    """In a worker: one chain, taken up where an earlier encode left it, unless that finished it."""
    from nvcodec.encode.encoder import encode_part

    asked = json.dumps(asdict(replace(settings, threads=None)))
    try:
        finished = json.loads(chain.rows.read_text(encoding="utf-8"))
        if finished["settings"] == asked and chain.path.exists():
            return tuple(read_report(row) for row in finished["groups"])
    except (OSError, ValueError, KeyError):
        pass
    divided = division, chain.layout
    report = encode_part(
        source, chain.path, settings, divided, force=True, resume=True, observer=_Forward(chain, events)
    )
    rows = {"settings": asked, "groups": [asdict(row) for row in report.groups]}
    chain.rows.write_text(json.dumps(rows), encoding="utf-8")
    return report.groups


def _drain(events: Any, observer: Observer) -> None:
    while True:
        try:
            observer(events.get_nowait())
        except queue.Empty:
            return


def _join(chain: _Chain, rows: tuple[GroupReport, ...], output: Output) -> None:
    """Append a chain's groups and windows, less those that are there already, and remove its file."""
    with open(chain.path, "rb") as file:
        reader = Reader(file)
        for record, row in zip(reader.groups(), rows, strict=True):
            number = chain.first_group + record.number
            if number < output.writer.groups:
                continue
            if record.in_window:
                window = reader.window_of(record)
                assert window is not None
                if window.first_group == record.number:
                    output.write_window(replace(window, first_group=number))
            renumbered = replace(record, number=number, chain=chain.number, first_frame=output.writer.frames)
            output.write(renumbered, replace(_renumbered(row, chain), first_frame=output.writer.frames))
    chain.path.unlink()
    chain.rows.unlink()


def _renumbered(row: GroupReport, chain: _Chain) -> GroupReport:
    return replace(row, number=row.number + chain.first_group, chain=chain.number)
