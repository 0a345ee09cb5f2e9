"""Scene changes: frame pairs whose difference stands out from that of the pairs around them (NerVast, section 3.1).

The paper names the method, a threshold on differences against adjacent ones, and no statistic. Ours, for frames n - 1
and n, in squared code values of 8 bit:

    t(n)        the picture, each plane averaged over GRID x GRID cells: noise and small motion vanish
    e(a, b)     mean over the cells of (t(a) - t(b))^2, summed over the planes
    c(n)        variance of t(n - 1) + variance of t(n) over the cells, summed over the planes, + FLOOR
    jump(n)     the least e(a, b) of the frames n - REACH <= a < n <= b < n + REACH
    usual(n)    the third largest of the e of the SIDE pairs before; the same of the SIDE pairs after; the larger one
    difference  min(1, e(n - 1, n) / c(n))
    score       (jump(n) - usual(n)) / c(n), limited to 0 .. 1

e / c is 0 for equal pictures and 1 for unrelated ones of the same brightness, whatever their contrast, so that a cut
between dark scenes counts as one between bright scenes.

- A flash, or up to REACH - 1 odd frames of any kind, is no change: beyond them all is as before, so the jump is small.
- Fades, fast pans and video that moves every second or third frame only are none: their usual difference is as large.
- Two changes, or a flash, among the SIDE pairs on one side do not hide a change: the two largest do not count.
- Still video has no differences; FLOOR keeps the noise of a black screen from counting.
- Where the video begins or ends, a side with fewer than three pairs tells nothing, and the other one decides.

A dissolve has no pair that stands out and is not found; a fade of fewer than five frames counts as a change.

THRESHOLD lies between the highest score of motion and the lowest score of a cut that were measured on real footage,
0.28 and 0.50 (`docs/experiments.md`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvcodec.video import Frame, Plane, VideoInfo

GRID = 32
REACH = 6
SIDE = 9
FLOOR = 4.0
THRESHOLD = 0.35


@dataclass(frozen=True)
class PairScore:
    """How much frame number `frame` differs from the one before it; both values are 0 .. 1, and 0 for frame 0."""

    frame: int
    difference: float
    score: float


@dataclass(frozen=True, eq=False)
class _Thumbnail:
    """cells: (planes, cells) means in code values of 8 bit. variance: over the cells, summed over the planes."""

    cells: NDArray[np.float32]
    variance: float


class SceneDetector:
    """One pass over a video in constant memory: the thumbnails of 2 SIDE + 1 frames.

    A frame has its score when SIDE more frames were seen, or the last one.
    """

    def __init__(self, info: VideoInfo) -> None:
        self._scale = 255 / info.peak
        self._rows = min(GRID, *(height for height, _ in info.plane_shapes))
        self._columns = min(GRID, *(width for _, width in info.plane_shapes))
        self._seen = 0
        self._scored = 0  # the next frame that gets a score
        self._thumbnails: list[_Thumbnail] = []  # of the last frames
        self._steps: list[float] = []  # e of each of them and the frame before it; 0 for the first frame

    def push(self, frame: Frame) -> list[PairScore]:
        """One more frame; the score that is known by it, if any."""
        thumbnail = self._thumbnail(frame)
        self._steps.append(_error(self._thumbnails[-1], thumbnail) if self._thumbnails else 0.0)
        self._thumbnails.append(thumbnail)
        self._seen += 1
        scores = [self._next()] if self._seen > self._scored + SIDE else []
        del self._thumbnails[: -2 * SIDE - 1], self._steps[: -2 * SIDE - 1]
        return scores

    def finish(self) -> list[PairScore]:
        """After the last frame: the scores that are left, at most SIDE."""
        return [self._next() for _ in range(self._scored, self._seen)]

    def _thumbnail(self, frame: Frame) -> _Thumbnail:
        cells = np.stack([_cell_means(plane, self._rows, self._columns) for plane in frame.planes])
        cells *= np.float32(self._scale)
        return _Thumbnail(cells, float(cells.var(axis=1).sum()))

    def _next(self) -> PairScore:
        number = self._scored
        self._scored += 1
        if number == 0:
            return PairScore(0, 0.0, 0.0)
        at = number - (self._seen - len(self._thumbnails))
        steps = self._steps
        before, after = steps[max(0, at - SIDE) : at], steps[at + 1 : at + 1 + SIDE]
        sides = self._thumbnails[max(0, at - REACH) : at], self._thumbnails[at : at + REACH]
        jump = min(_error(a, b) for a in sides[0] for b in sides[1])
        contrast = self._thumbnails[at - 1].variance + self._thumbnails[at].variance + FLOOR
        excess = (jump - max(_usual(before), _usual(after))) / contrast
        return PairScore(number, min(1.0, steps[at] / contrast), min(1.0, max(0.0, excess)))


def scene_scores(frames: Iterable[Frame], info: VideoInfo) -> Iterator[PairScore]:
    """A score for each frame, in order."""
    detector = SceneDetector(info)
    for frame in frames:
        yield from detector.push(frame)
    yield from detector.finish()


def _cell_means(plane: Plane, rows: int, columns: int) -> NDArray[np.float32]:
    """(h, w) -> (rows * columns,): means of cells that cover the plane, whose sides differ by at most one sample."""
    down = np.arange(rows + 1) * plane.shape[0] // rows
    across = np.arange(columns + 1) * plane.shape[1] // columns
    sums = np.add.reduceat(plane, down[:-1], axis=0, dtype=np.uint32)  # (rows, w)
    sums = np.add.reduceat(sums, across[:-1], axis=1)  # (rows, columns)
    means = sums / np.outer(np.diff(down), np.diff(across))
    return means.astype(np.float32).ravel()


def _error(a: _Thumbnail, b: _Thumbnail) -> float:
    """e of the module's docstring."""
    difference = (a.cells - b.cells).ravel()
    return float(np.dot(difference, difference) / a.cells.shape[1])


def _usual(steps: list[float]) -> float:
    """The third largest; 0 where there are fewer."""
    return sorted(steps)[-3] if len(steps) > 2 else 0.0
