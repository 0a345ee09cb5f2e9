"""What decodes the parts of groups of frames side by side: threads, or processes of which each has a thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import local

import torch

from nvcodec.decode.children import Child, available
from nvcodec.decode.parts import Part
from nvcodec.decode.pictures import Planes
from nvcodec.models.base import FrameModel, Weights
from nvcodec.threads import threads_of_torch
from nvcodec.video import VideoInfo

SMALL = 1 << 17  # luma samples of a frame, below which one thread is as fast as more
FEW = 4  # parts that are worked at a time, where more threads than that are better used within them
PROCESSES = 8  # at most: so many parts are at hand


class Workers:
    """As many as torch has threads in the one that makes them; none off the CPU, where work is done when it comes.

    processes: whether those for small frames may be processes, forked when there is work (`decode.children`).

    To be used as a context, which ends when those that have begun are done or have noticed that they are `stopped`.
    """

    def __init__(self, info: VideoInfo, device: torch.device, processes: bool = False) -> None:
        self._threads = torch.get_num_threads()
        self._small = info.width * info.height < SMALL
        self._each = 1 if self._small else max(1, self._threads // FEW)
        self.side_by_side = self._threads > 1 and device.type == "cpu"
        self.stopped = False
        self._processes = processes and self._small and available()
        self._children: list[Child] = []
        self._own = local()  # of a thread: its child
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped = True
        for child in self._children:
            child.kill()
        for child in self._children:
            child.join()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            torch.set_num_threads(self._threads)  # those of workers were for all threads that were yet to come

    def here(self, work: Callable[[], object]) -> None:
        """Do what others wait for, in this thread, while workers are at what was submitted before."""
        with threads_of_torch(1 if self._small else max(1, self._threads // 2)):
            work()

    def submit(self, model: FrameModel, weights: Weights, part: Part) -> Future[dict[int, Planes]]:
        """Have a part decoded by a worker."""
        if self.side_by_side and part.frames:
            self._pool = self._pool or self._begun()
            return self._pool.submit(self._decode, model, weights, part)
        done: Future[dict[int, Planes]] = Future()
        try:
            done.set_result(part.decode(model, weights))
        except Exception as error:
            done.set_exception(error)
        return done

    def _begun(self) -> ThreadPoolExecutor:
        """A thread for each worker, which waits for its child where it has one."""
        number = self._threads // self._each
        if self._processes:
            try:
                while len(self._children) < min(number, PROCESSES):
                    self._children.append(Child())
            except OSError:  # there are too many already
                pass
        left = list(self._children)

        def begin() -> None:
            torch.set_num_threads(self._each)
            self._own.child = left.pop() if left else None

        return ThreadPoolExecutor(len(self._children) or number, "frames", begin)

    def _decode(self, model: FrameModel, weights: Weights, part: Part) -> dict[int, Planes]:
        child: Child | None = self._own.child
        return child.decode(model, weights, part) if child else part.decode(model, weights, lambda: self.stopped)
