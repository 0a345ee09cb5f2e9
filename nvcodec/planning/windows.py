"""Windows of chunks that share parameters (NerVast, section 3.1): from scene change to scene change.

A chunk is a run of frames with a network of its own; the networks of a window's chunks share parameters. The paper cuts
a video into chunks of one length and puts those between two scene changes into a window. Here chunk borders follow the
scene changes, so that no network has frames of two scenes. The rules:

- Windows cover all frames in order. One begins at frame 0, and one at each scene change that counts.
- A window has `minimum` frames at least, unless the whole video has fewer. Of scene changes that are nearer to each
  other, the one with the highest score counts, the first one among equals; what would be a shorter window is part of
  its neighbour. So are fewer frames at the beginning or end of the video.
- A window has at most `max_chunks` chunks. A scene that is longer is divided: windows of max_chunks whole chunks, as
  long as `minimum` frames or more are left; where fewer would be left, two halves.
- A window of L frames has the fewest chunks of at most `chunk` frames, ceil(L / chunk). Their lengths differ by one
  frame at most; none is empty.

A window is known `minimum` frames after its end, so that an encoder never holds more than `WindowRule.held` frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from nvcodec import limits
from nvcodec.errors import UsageError
from nvcodec.planning.scenes import THRESHOLD, PairScore, SceneDetector
from nvcodec.video import Frame, VideoInfo

T = TypeVar("T")

CHUNK_SECONDS = 5.0  # the paper's
MIN_SECONDS = 2.0  # ours: each window costs a network and a mask at least, however short it is
MAX_CHUNKS = 8  # ours: 7/8 of what an endless window would share, for 40 seconds of video in memory
NOMINAL_RATE = Fraction(25)  # frames per second where a video does not say


@dataclass(frozen=True)
class Chunk:
    """Frames first_frame .. first_frame + frames - 1: what one network is trained on."""

    first_frame: int
    frames: int


@dataclass(frozen=True)
class Window:
    """Frames first_frame .. first_frame + frames - 1, and the chunks that they are.

    score: of the scene change that it begins with; None for the first window, and where a long scene was divided.
    """

    first_frame: int
    frames: int
    chunks: tuple[Chunk, ...]
    score: float | None = None

    def split(self, items: Sequence[T]) -> list[Sequence[T]]:
        """What there is of each frame of the window, by chunk."""
        assert len(items) == self.frames, "one item for each frame"
        starts = [chunk.first_frame - self.first_frame for chunk in self.chunks]
        return [items[start : start + chunk.frames] for start, chunk in zip(starts, self.chunks, strict=True)]


@dataclass(frozen=True)
class WindowRule:
    """Lengths in frames. max_chunks: 0 for no limit. UsageError where no video could be divided like this."""

    chunk: int
    minimum: int
    max_chunks: int = MAX_CHUNKS

    def __post_init__(self) -> None:
        if self.chunk < 1 or self.minimum < 1 or self.max_chunks < 0:
            raise UsageError("chunks and windows have one frame at least")
        if self.longest is not None and 2 * self.minimum > self.longest + 1:
            raise UsageError(
                f"windows of at least {self.minimum} frames do not fit into {self.max_chunks} chunks of {self.chunk}: "
                "the limit has to be twice the minimum; take longer or more chunks, or a shorter minimum"
            )

    @property
    def longest(self) -> int | None:
        """Frames of the longest window; None where there is no limit."""
        return self.chunk * self.max_chunks or None

    @property
    def held(self) -> int | None:
        """An upper bound of the frames that are seen, but not in a window that is known yet."""
        return None if self.longest is None else self.longest + 2 * self.minimum


def frames_in(seconds: float, info: VideoInfo) -> int:
    """The nearest number of frames, 1 at least, at the video's nominal rate."""
    return max(1, round(Fraction(seconds) * (info.rate or NOMINAL_RATE)))


def rule_for(
    info: VideoInfo,
    *,
    seconds: float = CHUNK_SECONDS,
    frames: int | None = None,
    min_seconds: float | None = None,
    max_chunks: int = MAX_CHUNKS,
) -> WindowRule:
    """The rule of a video. A chunk has `frames` frames, or `seconds` as far as the caps of a group permit.

    min_seconds: of a window; by default MIN_SECONDS, or half of the longest window where that is less. UsageError for
    more frames than a group may have, and for a minimum that does not fit.
    """
    most = min(limits.MAX_GROUP_FRAMES, limits.MAX_GROUP_PIXELS // (info.width * info.height))
    if frames is not None and frames > most:
        raise UsageError(f"a chunk of {info.width}x{info.height} has at most {most} frames, not {frames}")
    chunk = min(frames_in(seconds, info), most) if frames is None else frames
    if min_seconds is None:
        minimum = frames_in(MIN_SECONDS, info)
        if max_chunks:
            minimum = min(minimum, (chunk * max_chunks + 1) // 2)
    else:
        minimum = frames_in(min_seconds, info)
    return WindowRule(chunk, minimum, max_chunks)


class WindowPlanner:
    """Takes a video frame by frame and gives its windows, each as soon as it is known."""

    def __init__(self, rule: WindowRule, first_frame: int = 0) -> None:
        self._rule = rule
        self._seen = first_frame  # the number of the next frame
        self._start = first_frame  # of the window that is open
        self._score: float | None = None  # of the change that it begins with
        self._cut: tuple[int, float] | None = None  # where it will end, unless a better place comes soon

    def push(self, score: float | None = None) -> list[Window]:
        """One more frame; score: of the scene change that it begins a scene with, None where there is none.

        Returns the windows that are known by it, in order.
        """
        here = self._seen
        self._seen += 1
        if score is not None and here - self._start >= self._rule.minimum:
            if self._cut is None or score > self._cut[1]:
                self._cut = here, score
        closed = self._divide(self._seen if self._cut is None else self._cut[0])
        if self._cut is not None and self._seen - self._cut[0] >= self._rule.minimum:
            stop, score = self._cut
            closed += self._close(stop)
            self._score, self._cut = score, None
        return closed

    def finish(self) -> list[Window]:
        """After the last frame: the windows that are left. Too few frames follow a change that did not end one yet."""
        return self._divide(self._seen) + self._close(self._seen)

    def _divide(self, stop: int) -> list[Window]:
        """The longest windows that a scene which goes on to `stop` or further begins with."""
        closed: list[Window] = []
        longest = self._rule.longest
        while longest is not None and stop - self._start >= longest + self._rule.minimum:
            closed.append(self._window(self._start + longest))
        return closed

    def _close(self, stop: int) -> list[Window]:
        """The last windows of a scene that ends before `stop`: the rest, in two where it is too long."""
        frames = stop - self._start
        longest = self._rule.longest
        closed: list[Window] = []
        if longest is not None and frames > longest:
            closed.append(self._window(stop - frames // 2))
        if frames:
            closed.append(self._window(stop))
        return closed

    def _window(self, stop: int) -> Window:
        """The open window ends before `stop`; the next one begins there."""
        first, score = self._start, self._score
        self._start, self._score = stop, None
        return Window(first, stop - first, _chunks(first, stop - first, self._rule.chunk), score)


def _chunks(first: int, frames: int, longest: int) -> tuple[Chunk, ...]:
    """The fewest chunks of at most `longest` frames, of nearly equal lengths."""
    count = -(-frames // longest)
    borders = [first + frames * n // count for n in range(count + 1)]
    return tuple(Chunk(a, b - a) for a, b in zip(borders, borders[1:], strict=False))


def plan_windows(frames: int, cuts: Mapping[int, float], rule: WindowRule) -> list[Window]:
    """The windows of a video of known length. cuts: the score of the scene change that a frame begins with."""
    planner = WindowPlanner(rule)
    closed = [window for number in range(frames) for window in planner.push(cuts.get(number))]
    return closed + planner.finish()


def windowed(
    frames: Iterable[Frame], info: VideoInfo, rule: WindowRule, threshold: float = THRESHOLD
) -> Iterator[tuple[Window, list[Frame]]]:
    """The windows of a video, each with its frames, in memory for rule.held frames and what the detector lags behind.

    threshold: the least score of a scene change.
    """
    detector, planner = SceneDetector(info), WindowPlanner(rule)
    waiting: deque[Frame] = deque()

    def known(scores: list[PairScore]) -> list[Window]:
        return [window for pair in scores for window in planner.push(change(pair, threshold))]

    def with_frames(windows: list[Window]) -> Iterator[tuple[Window, list[Frame]]]:
        for window in windows:
            yield window, [waiting.popleft() for _ in range(window.frames)]

    for frame in frames:
        waiting.append(frame)
        yield from with_frames(known(detector.push(frame)))
    yield from with_frames(known(detector.finish()) + planner.finish())


def change(pair: PairScore, threshold: float) -> float | None:
    """What WindowPlanner.push takes: the score of a pair that reaches the threshold, None for others."""
    return pair.score if pair.score >= threshold else None
