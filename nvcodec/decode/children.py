"""Processes that decode parts of groups, for pictures so small that threads mostly wait for Python's lock.

They are forked from the one that decodes, so that all that was imported and compiled is there at once; what is decoded
goes to and fro as pickles. Not every program can be forked: one with threads of its own may hold locks just then. So
they are for programs that ask for them.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import sys
import warnings
from concurrent.futures import CancelledError
from multiprocessing.connection import Connection
from multiprocessing.process import current_process
from typing import Any

import torch
from numba.core.compiler_lock import global_compiler_lock

from nvcodec.decode.parts import Part
from nvcodec.decode.pictures import Planes
from nvcodec.errors import NvcodecError
from nvcodec.models.base import FrameModel, Weights

AVAILABLE = sys.platform == "linux"  # elsewhere forked processes cannot use the system's libraries, or there are none


class Child:
    """A process that decodes one part after the other. OSError where there can be none."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("fork")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, self._connection), name="frames", daemon=True)
        self._network: tuple[FrameModel, Weights] | None = None  # the one that it has
        self._closed = False
        try:
            # No other thread is compiling then: what it holds would never be given back in the child.
            with other, global_compiler_lock, warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of forks where there are threads
                self._process.start()
        except OSError:
            self._connection.close()
            raise

    def decode(self, model: FrameModel, weights: Weights, part: Part) -> dict[int, Planes]:
        """As `Part.decode`; CancelledError once it is closed."""
        network = None
        if self._network is None or self._network[0] is not model or self._network[1] is not weights:
            network = model, {name: weight.numpy() for name, weight in weights.items()}
        try:
            self._connection.send_bytes(pickle.dumps((network, part), pickle.HIGHEST_PROTOCOL))
            self._network = model, weights
            found = pickle.loads(self._connection.recv_bytes())
        except (OSError, EOFError):
            if self._closed:
                raise CancelledError from None
            raise NvcodecError("a process that decoded frames is gone; the system may be short of memory") from None
        if isinstance(found, Exception):
            raise found
        frames: dict[int, Planes] = found
        return frames

    def kill(self) -> None:
        """End it, whatever it does."""
        self._closed = True
        self._process.kill()

    def join(self) -> None:
        """Wait until it has ended, once it was killed."""
        self._process.join()
        self._process.close()


def available() -> bool:
    """Whether this process can have any."""
    return AVAILABLE and not current_process().daemon


def _serve(connection: Connection, parents: Connection) -> None:
    """What a child does: until it is killed, or its parent is gone. parents: the other end, which it has a copy of."""
    parents.close()  # or the end of the parent would not be the end of what can be read
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for all processes of a terminal
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    model: FrameModel
    weights: Weights
    while True:
        try:
            network, part = pickle.loads(connection.recv_bytes())
            if network is not None:
                model, weights = network[0], {name: torch.from_numpy(weight) for name, weight in network[1].items()}
            connection.send_bytes(_answer(part, model, weights))
        except (OSError, EOFError):
            return


def _answer(part: Part, model: FrameModel, weights: Weights) -> bytes:
    found: Any
    try:
        found = part.decode(model, weights)
    except Exception as error:
        found = error
    return pickle.dumps(found, pickle.HIGHEST_PROTOCOL)
