"""Scene changes on real and made-up footage, and the windows between them."""

import functools
import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcodec import limits
from nvcodec.errors import UsageError
from nvcodec.media.source import open_source
from nvcodec.planning.scenes import SIDE, THRESHOLD, SceneDetector, scene_scores
from nvcodec.planning.windows import (
    MAX_CHUNKS,
    Chunk,
    Window,
    WindowPlanner,
    WindowRule,
    frames_in,
    plan_windows,
    rule_for,
    windowed,
)
from nvcodec.video import Chroma, ColorInfo, Frame, VideoInfo

DATA = Path(__file__).parent / "data"
INFO = VideoInfo(159, 89)
N = 14  # frames of a shot


@functools.cache
def clip(name):
    """The planes of every frame; those of the larger clip cropped to the size of the smaller one."""
    with open_source(DATA / name) as source:
        shapes = INFO.plane_shapes
        return [tuple(p[:h, -w:] for p, (h, w) in zip(f.planes, shapes, strict=True)) for f in source]


def there_and_back(name, count, step=1):
    """Any number of frames of a short clip, without a jump."""
    frames = clip(name)[::step]
    return list(itertools.islice(itertools.cycle(frames + frames[-2:0:-1]), count))


def bunny(count=N, step=1):
    return there_and_back("bunny_320x180.mp4", count, step)


def city(count=N):
    return there_and_back("city_odd_159x89.mp4", count)


def turned(shot):
    """Upside down: another scene."""
    return [tuple(plane[::-1, ::-1].copy() for plane in p) for p in shot]


def three_shots():
    """Of N frames each."""
    return bunny() + city() + turned(bunny())


def gain(planes, factor, offset=0.0):
    """Contrast and brightness, about black."""
    luma = np.clip((planes[0] - 16.0) * factor + 16 + offset, 0, 255)
    chroma = [np.clip((p - 128.0) * factor + 128, 0, 255) for p in planes[1:]]
    return tuple(p.round().astype(np.uint8) for p in (luma, *chroma))


def mix(a, b, part):
    return tuple(((1 - part) * x + part * y).round().astype(np.uint8) for x, y in zip(a, b, strict=True))


def frames_of(pictures):
    return [Frame(planes, number) for number, planes in enumerate(pictures)]


def scores(pictures, info=INFO):
    return list(scene_scores(frames_of(pictures), info))


def changes(pictures, info=INFO):
    """Frames whose score reaches the threshold; none comes near it that does not."""
    found = scores(pictures, info)
    assert [pair.frame for pair in found] == list(range(len(pictures)))
    assert all(0 <= pair.score <= 1 and 0 <= pair.difference <= 1 for pair in found)
    return [pair.frame for pair in found if pair.score >= THRESHOLD]


# scene changes --------------------------------------------------------------------------------------------------------


def test_a_clip_without_cuts():
    found = scores(clip("bunny_320x180.mp4"))
    assert max(pair.score for pair in found) < THRESHOLD / 3


@pytest.mark.parametrize("first, second", [(bunny, city), (city, bunny)])
@pytest.mark.parametrize("dark", [1.0, 0.2, 0.06])
def test_a_cut(first, second, dark):
    """Also where both scenes are nearly black."""
    shots = [gain(p, dark) for p in first() + second()]
    assert changes(shots) == [N]
    assert scores(shots)[N].score > 2 * THRESHOLD


def test_a_cut_between_scenes_of_one_brightness_and_contrast():
    def alike(shot):
        mean, spread = np.mean([p[0].mean() for p in shot]), np.mean([p[0].std() for p in shot])
        lumas = [np.clip((p[0] - mean) * (40 / spread) + 110, 0, 255).round().astype(np.uint8) for p in shot]
        return [(luma, np.full_like(p[1], 128), np.full_like(p[2], 128)) for luma, p in zip(lumas, shot, strict=True)]

    assert changes(alike(bunny()) + alike(city())) == [N]


@pytest.mark.parametrize("between", [1, 2, 5, 6, N])
def test_a_cut_soon_after_another(between):
    assert changes(bunny() + city(between) + turned(bunny())) == [N, N + between]


FLASHES = {
    "white": lambda p: gain(p, 0, 219),
    "brighter": lambda p: gain(p, 2, 40),
    "black": lambda p: gain(p, 0),
    "foreign": lambda p: city(1)[0],
}


@pytest.mark.parametrize("kind", FLASHES)
@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_a_flash_is_no_change(kind, length):
    shot = bunny(30)
    for number in range(12, 12 + length):
        shot[number] = FLASHES[kind](shot[number])
    assert changes(shot) == []


def test_a_flash_beside_a_cut_does_not_hide_it():
    for place in (N - 4, N + 4):
        shots = bunny() + city()
        shots[place] = FLASHES["white"](shots[place])
        assert changes(shots) == [N]


@pytest.mark.parametrize("length", [6, 10, 20])
def test_fades_and_dissolves(length):
    shot, black = bunny(20 + length), [FLASHES["black"](bunny()[0])] * 12
    out = shot[:20] + [gain(p, 1 - (n + 1) / length) for n, p in enumerate(shot[20:])] + black
    assert changes(out) == []
    assert changes(out[::-1]) == []
    (other,) = city(1)
    across = shot[:20] + [mix(p, other, (n + 1) / length) for n, p in enumerate(shot[20:])] + [other] * 12
    assert changes(across) == []


@pytest.mark.parametrize("repeats", [1, 2, 3])
@pytest.mark.parametrize("step", [2, 4])
def test_fast_motion(step, repeats):
    """Frames left out, and each one shown several times, as in animation: it moves every second or third frame."""
    assert changes([p for p in bunny(40, step) for _ in range(repeats)]) == []


def panned(places):
    """One picture, seen from these columns on; the gray video that goes with it."""
    with open_source(DATA / "bunny_320x180.mp4") as source:
        luma = next(iter(source)).planes[0]
    return [(luma[40:129, x : x + 159],) for x in places], VideoInfo(159, 89, chroma=Chroma.GRAY)


@pytest.mark.parametrize("repeats", [1, 2, 3])
def test_a_fast_pan(repeats):
    """A fifth of the picture at a step, which would count if it came alone."""
    there = [x for x in (*range(0, 160, 32), *range(160, 0, -32)) for _ in range(repeats)]
    assert changes(*panned(there * 3)) == []
    assert changes(*panned([64] * 12 + [96] * 12)) == [12]


def test_a_small_jump_is_no_change():
    """What is alike stays together, though the difference stands out."""
    pictures, info = panned([64] * 12 + [72] * 12)
    assert changes(pictures, info) == [] and scores(pictures, info)[12].score > THRESHOLD / 3


def test_still_video():
    still = bunny(1) * 12
    assert all(pair.score == pair.difference == 0 for pair in scores(still))
    assert changes(still + city(1) * 12) == [12]
    flat = [FLASHES["black"](still[0]), FLASHES["white"](still[0])]
    assert changes(flat[:1] * 12 + flat[1:] * 12) == [12]
    assert changes(flat[:1] * 12 + [gain(flat[0], 1, 1)] * 12) == [], "one code value"


def test_noise_on_black_is_no_change():
    rng = np.random.default_rng(0)
    noise = [tuple(rng.integers(126, 131, s).astype(np.uint8) for s in INFO.plane_shapes) for _ in range(40)]
    assert changes(noise) == []


@pytest.mark.parametrize("length", range(1, 6))
def test_few_frames(length):
    assert changes(bunny(length)) == []
    assert changes(bunny(length) + city(length)) == [length]


def test_nothing():
    assert scores([]) == []


def test_a_change_at_an_end():
    assert changes(bunny(1) + city()) == [1]
    assert changes(bunny() + city(1)) == [N]


def test_layouts_and_depths_agree():
    """10 bit scores as 8 bit does; gray and RGB are scored; chroma of odd sizes and tiny pictures are too."""
    shots = [gain(p, 0.06) for p in bunny() + city()]
    deep = [tuple(plane.astype(np.uint16) * 4 for plane in p) for p in shots]
    a, b = scores(shots), scores(deep, VideoInfo(159, 89, bit_depth=10))
    assert [p.score for p in a] == pytest.approx([p.score for p in b], abs=0.01)
    assert changes([p[:1] for p in shots], VideoInfo(159, 89, chroma=Chroma.GRAY)) == [N]
    rgb = VideoInfo(159, 89, chroma=Chroma.C444, color=ColorInfo(matrix=0))
    assert changes([(p[0], p[0] // 2, p[0]) for p in shots], rgb) == [N]
    tiny = VideoInfo(3, 5)
    cut = [tuple(p[:h, :w] for p, (h, w) in zip(s, tiny.plane_shapes, strict=True)) for s in shots]
    assert len(scores(cut, tiny)) == 2 * N


def test_a_score_comes_with_the_frames_after_it():
    """SIDE of them, and in constant memory; taken one by one it is the same."""
    shots = frames_of(three_shots())
    detector = SceneDetector(INFO)
    found = []
    for number, frame in enumerate(shots):
        known = detector.push(frame)
        assert [pair.frame for pair in known] == ([number - SIDE] if number >= SIDE else [])
        assert len(detector._thumbnails) <= 2 * SIDE + 1
        found += known
    assert found + detector.finish() == scores(three_shots())


# windows --------------------------------------------------------------------------------------------------------------

CUTS = st.dictionaries(st.integers(0, 400), st.floats(0.01, 1), max_size=30)


@st.composite
def rules(draw):
    chunk, max_chunks = draw(st.integers(1, 30)), draw(st.integers(0, 5))
    longest = chunk * max_chunks
    return WindowRule(chunk, draw(st.integers(1, (longest + 1) // 2 if longest else 60)), max_chunks)


@given(st.integers(0, 400), CUTS, rules())
def test_windows(frames, cuts, rule):
    windows = plan_windows(frames, cuts, rule)
    covered = [n for window in windows for n in range(window.first_frame, window.first_frame + window.frames)]
    assert covered == list(range(frames)), "all frames, in order"
    for window in windows:
        assert window.frames >= min(rule.minimum, frames)
        assert rule.longest is None or window.frames <= rule.longest
        assert not rule.max_chunks or len(window.chunks) <= rule.max_chunks
        lengths = [chunk.frames for chunk in window.chunks]
        assert len(lengths) == -(-window.frames // rule.chunk), "as few as can be"
        assert 0 < min(lengths) and max(lengths) <= rule.chunk and max(lengths) - min(lengths) <= 1
        ends = list(itertools.accumulate(lengths, initial=window.first_frame))
        assert [chunk.first_frame for chunk in window.chunks] == ends[:-1], "one after the other"
    for window in windows[1:]:
        if window.score is not None:
            assert cuts[window.first_frame] == window.score
    assert not windows or windows[0].score is None


@given(st.integers(1, 400), CUTS, rules())
def test_a_change_is_passed_over_for_a_reason_only(frames, cuts, rule):
    """It is near to an end, or to another one that is not weaker."""
    begun = {window.first_frame for window in plan_windows(frames, cuts, rule) if window.score is not None}
    for cut in (c for c in cuts if 0 < c < frames and c not in begun):
        near = [c for c in cuts if 0 < abs(c - cut) < rule.minimum and cuts[c] >= cuts[cut]]
        assert near or cut < rule.minimum or frames - cut < rule.minimum


@given(st.integers(1, 400), CUTS, rules())
def test_windows_are_known_soon(frames, cuts, rule):
    """A planner never has more frames to itself than the rule says, and `minimum` after a change that is certain."""
    planner, done = WindowPlanner(rule, 1000), 0
    alone = [c for c in cuts if not any(0 < abs(c - other) < rule.minimum for other in cuts)]
    for number in range(frames):
        for window in planner.push(cuts.get(number)):
            assert window.first_frame == 1000 + done
            done += window.frames
            assert number + 1 >= done + min(rule.minimum, frames)
        assert rule.held is None or number + 1 - done < rule.held
        assert not [c for c in alone if done + rule.minimum <= c <= number + 1 - rule.minimum]
    assert done + sum(window.frames for window in planner.finish()) == frames


def test_windows_by_example():
    rule = WindowRule(chunk=10, minimum=4, max_chunks=3)
    assert plan_windows(16, {8: 0.5}, rule) == [
        Window(0, 8, (Chunk(0, 8),)),
        Window(8, 8, (Chunk(8, 8),), 0.5),
    ]
    assert [w.frames for w in plan_windows(40, {20: 0.4, 22: 0.9, 24: 0.5}, rule)] == [22, 18], "the strongest"
    assert [w.frames for w in plan_windows(40, {20: 0.4, 22: 0.4}, rule)] == [20, 20], "the first of equals"
    assert [w.frames for w in plan_windows(30, {2: 0.9, 28: 0.9}, rule)] == [30], "not at the ends"
    assert [w.frames for w in plan_windows(80, {}, rule)] == [30, 30, 20]
    assert [w.frames for w in plan_windows(64, {}, rule)] == [30, 30, 4]
    assert [w.frames for w in plan_windows(63, {}, rule)] == [30, 17, 16], "no short one is left"
    assert [c.frames for c in plan_windows(16, {}, rule)[0].chunks] == [8, 8]
    assert [w.frames for w in plan_windows(1000, {}, WindowRule(10, 4, 0))] == [1000]


@pytest.mark.parametrize("values", [(0, 1, 1), (1, 0, 1), (1, 1, -1), (10, 16, 3), (1, 2, 2)])
def test_rules_that_cannot_be(values):
    with pytest.raises(UsageError):
        WindowRule(*values)


def test_the_rule_of_a_video():
    info = VideoInfo(1280, 720, rate=Fraction(30000, 1001))
    assert rule_for(info) == WindowRule(150, 60, MAX_CHUNKS)
    assert rule_for(VideoInfo(1280, 720)) == WindowRule(125, 50, MAX_CHUNKS), "25 frames per second if it does not say"
    assert rule_for(info, seconds=1000).chunk == limits.MAX_GROUP_PIXELS // (1280 * 720)
    assert rule_for(VideoInfo(64, 64), seconds=1000).chunk == limits.MAX_GROUP_FRAMES
    assert rule_for(VideoInfo(8192, 4096)).chunk == 16, "as many pixels as a group may have"
    assert rule_for(info, frames=6, max_chunks=3) == WindowRule(6, 9, 3), "a default minimum that fits"
    assert rule_for(info, frames=6, max_chunks=0) == WindowRule(6, 60, 0)
    assert rule_for(info, frames=6, min_seconds=0).minimum == 1
    assert frames_in(1e-9, info) == 1
    with pytest.raises(UsageError, match="twice the minimum"):
        rule_for(info, frames=6, min_seconds=2, max_chunks=3)
    with pytest.raises(UsageError, match="at most 16 frames"):
        rule_for(VideoInfo(8192, 4096), frames=17)


def test_windows_of_a_video_with_their_frames():
    shots = frames_of(three_shots())
    rule = WindowRule(chunk=8, minimum=6, max_chunks=2)
    found = list(windowed(iter(shots), INFO, rule))
    assert [(w.first_frame, w.frames) for w, _ in found] == [(0, 14), (14, 14), (28, 14)]
    assert [f for _, frames in found for f in frames] == shots
    window, frames = found[1]
    assert window.score is not None and window.score > THRESHOLD
    assert [[f.pts for f in part] for part in window.split(frames)] == [list(range(14, 21)), list(range(21, 28))]
    assert [w.frames for w, _ in windowed(shots, INFO, rule, threshold=2)] == [16, 16, 10], "divided by length only"
    assert list(windowed([], INFO, rule)) == []


def test_windows_come_while_the_video_is_read():
    """No more frames are read than it takes to know a window."""
    rule = WindowRule(chunk=8, minimum=6, max_chunks=2)
    read = 0

    def endless():
        nonlocal read
        for number, planes in enumerate(itertools.cycle(bunny())):
            read += 1
            yield Frame(planes, number)

    taken = 0
    for window, _ in itertools.islice(windowed(endless(), INFO, rule), 9):
        taken += window.frames
        assert read - taken <= rule.held + SIDE
