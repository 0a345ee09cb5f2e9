"""The threads that decode the parts of groups of frames, side by side."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from nvcodec.threads import threads_of_torch
from nvcodec.video import VideoInfo

SMALL = 1 << 17  # luma samples of a frame, below which one thread is as fast as more
FEW = 4  # parts that are worked at a time, where more threads than that are better used within them


class Workers:
    """As many as torch has threads in the one that makes them; none off the CPU, where work is done when it comes.

    To be used as a context, which ends when those that have begun are done or have noticed that they are `stopped`.
    """

    def __init__(self, info: VideoInfo, device: torch.device) -> None:
        self._threads = torch.get_num_threads()
        self._small = info.width * info.height < SMALL
        self.side_by_side = self._threads > 1 and device.type == "cpu"
        self.stopped = False
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped = True
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            torch.set_num_threads(self._threads)  # those of workers were for all threads that were yet to come

    def here(self, work: Callable[[], None]) -> None:
        """Do what others wait for, in this thread, while workers are at what was submitted before."""
        with threads_of_torch(1 if self._small else max(1, self._threads // 2)):
            work()

    def submit(self, work: Callable[[], None]) -> Future[None]:
        """Have `work` done by a worker."""
        if self.side_by_side:
            if self._pool is None:
                each = 1 if self._small else max(1, self._threads // FEW)
                self._pool = ThreadPoolExecutor(self._threads // each, "frames", torch.set_num_threads, (each,))
            return self._pool.submit(work)
        done: Future[None] = Future()
        try:
            work()
        except Exception as error:
            done.set_exception(error)
        else:
            done.set_result(None)
        return done
