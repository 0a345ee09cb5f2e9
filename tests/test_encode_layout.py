"""Frames to groups, units and chains: everything once, in order, as long as it may be."""

import dataclasses
import itertools
import os
from fractions import Fraction

import pytest
from clip_samples import SHOTS, write_clip
from hypothesis import given
from hypothesis import strategies as st
from layout_samples import planned

from nvcodec.bitstream.registry import Inheritance
from nvcodec.encode import layout as layouts
from nvcodec.encode.layout import Division, Layout, by_layout, census, division, find_layout, kinds
from nvcodec.encode.plan import decide, divide
from nvcodec.encode.settings import EncodeSettings
from nvcodec.errors import UsageError
from nvcodec.limits import MAX_GROUP_FRAMES
from nvcodec.media import libav_source
from nvcodec.media.source import open_source
from nvcodec.planning.scenes import SIDE
from nvcodec.planning.sizing import OPEN_END_GROUPS, Census
from nvcodec.planning.windows import WindowRule, frames_in
from nvcodec.video import VideoInfo

pytest_plugins = ("clip_fixtures",)

INFO = VideoInfo(40, 24, rate=Fraction(25))
NONE, PREVIOUS, WINDOW, WINDOW_PREVIOUS = Inheritance
NERV = EncodeSettings(model="nerv", share=0.5, group=4, min_window=0.16, max_window=3)
WINDOWS = ((4, 4, 4), (4, 4))  # the groups of each window of the clip with a cut


def settings(**changes):
    return dataclasses.replace(NERV, **changes)


# units ----------------------------------------------------------------------------------------------------------------


@given(
    st.integers(1, 120),
    st.sets(st.integers(1, 119), max_size=8),
    st.integers(1, 9),
    st.integers(0, 5),
    st.floats(0, 2),
    st.sampled_from([None, 0.0, 0.5, 1.0]),
    st.sampled_from(["nirvana", "nerv"]),
)
def test_units_cover_all_frames_in_order(frames, cuts, group, most, least, share, model):
    how = EncodeSettings(model=model, group=group, share=share, min_window=least, max_window=most)
    try:
        divided, layout = planned(how, INFO, frames, cuts)
    except UsageError:
        assert share is not None and most and 2 * frames_in(least, INFO) > group * most + 1
        return
    found = [list(unit) for unit in by_layout(range(frames), layout)]
    assert [n for unit in found for part in unit for n in part] == list(range(frames))
    assert [tuple(map(len, unit)) for unit in found] == layout.units
    assert (layout.frames, layout.groups) == (frames, sum(map(len, layout.units)))
    assert layout.longest <= group and all(length > 0 for unit in layout.units for length in unit)
    if share:
        assert all(len(unit) <= most for unit in layout.units) or most == 0
    else:
        assert all(len(unit) == 1 for unit in layout.units)
    if model == "nirvana" and share is None:
        assert divided.rule is None and layout.units[:-1] == [(group,)] * (len(layout.units) - 1)
    begins = list(itertools.accumulate((sum(unit) for unit in layout.units), initial=0))
    if share and not cuts:
        assert all(sum(unit) == group * most for unit in layout.units[:-2]), "only a long scene is divided"
        assert most or len(layout.units) == 1
    if share == 0 and least == 0 and most == 0:
        assert cuts & set(range(frames)) <= set(begins), "no group has frames of two scenes"


def test_missing_frames_are_left_out():
    layout = Layout((((3, 3), (2,)), ((4, 1),)))
    assert [[len(part) for part in unit] for unit in by_layout(range(7), layout)] == [[3, 3], [1]]
    assert [[len(part) for part in unit] for unit in by_layout(range(10), layout)] == [[3, 3], [2], [2]]
    assert [[list(part) for part in unit] for unit in by_layout("abc", layout)] == [[["a", "b", "c"]]]


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple), min_size=1, max_size=12),
       st.integers(1, 9))  # fmt: skip
def test_chains_are_made_of_whole_units(units, chains):
    parts = layouts._divide(units, chains)
    assert [unit for part in parts for unit in part] == units
    assert len(parts) == min(chains, len(units)) and all(parts)
    longest = max(map(sum, units))
    if len(units) > 3 * chains:  # about as many frames each
        even = sum(map(sum, units)) / chains
        assert all(abs(sum(map(sum, part)) - even) <= 2 * longest for part in parts)


# inheritance ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, unit, first, expected",
    [
        ({"share": 0.5}, 3, 0, [WINDOW] * 3),
        ({"share": 0.5}, 3, 7, [WINDOW] * 3),
        ({"share": 0.5}, 1, 7, [NONE]),
        ({"share": 0.5, "inherit": "none", "keyint": 2}, 3, 0, [WINDOW] * 3),
        ({"share": 0.5, "inherit": "previous"}, 3, 7, [WINDOW, WINDOW_PREVIOUS, WINDOW_PREVIOUS]),
        ({"share": 0.5, "inherit": "previous"}, 1, 7, [NONE]),
        ({"share": 0.5, "inherit": "previous", "keyint": 2}, 4, 7, [WINDOW, WINDOW_PREVIOUS] * 2),
        ({"share": 0.0}, 1, 7, [NONE]),
        ({"share": None}, 1, 0, [NONE]),
        ({"share": None}, 1, 7, [PREVIOUS]),
        ({"share": None, "inherit": "previous", "keyint": 7}, 1, 7, [NONE]),
        ({"share": None, "inherit": "none"}, 1, 7, [NONE]),
    ],
)
def test_what_groups_inherit(changes, unit, first, expected):
    assert kinds(settings(**changes), unit, first) == expected


def test_groups_of_each_kind_are_counted():
    layout = Layout((((4, 4, 4), (4,), (3, 3)), ((4, 4),)))
    how = division(NERV, INFO, None, 29)
    assert census(NERV, layout, how) == Census(1, 0, 7, 0, 3, 0.5)
    assert census(settings(inherit="previous"), layout, how) == Census(1, 0, 3, 4, 3, 0.5)
    alone = Layout((((4,),) * 5, ((4,),) * 2))
    assert census(settings(share=None), alone, how) == Census(2, 5)
    assert census(settings(share=None, keyint=2), alone, how) == Census(4, 3)
    assert census(settings(share=0.0), alone, how) == Census(7)


def test_groups_of_a_stream_are_guessed():
    """A scene that does not end."""

    def guessed(how):
        return census(how, None, division(how, INFO, None, None))

    windows = -(-OPEN_END_GROUPS // 3)
    assert guessed(settings(inherit="previous")) == Census(0, 0, 10, 20, 10, 0.5) and windows == 11
    assert guessed(settings(max_window=0)) == Census(0, 0, OPEN_END_GROUPS, 0, 1, 0.5)
    assert guessed(settings(max_window=OPEN_END_GROUPS + 1)).windows == 1
    assert guessed(settings(share=0.0)) == Census(OPEN_END_GROUPS)
    assert guessed(settings(share=None)) == Census(1, OPEN_END_GROUPS - 1)


@pytest.mark.parametrize("share", [None, 0.0, 0.25, 0.75])
@pytest.mark.parametrize("inherit", [None, "previous"])
def test_the_network_follows_from_what_is_shared(share, inherit):
    """A rate gives a wider network where groups share more, and what is expected of the file is the rate."""
    if share == 0 and inherit:
        return
    how = EncodeSettings(model="nerv", group=25, share=share, inherit=inherit, bpp=0.3)
    info = VideoInfo(320, 180, rate=Fraction(25))
    decision = decide(how, info, *planned(how, info, 400))
    assert decision.expected_bpp(320 * 180) == pytest.approx(0.3, rel=0.1) and decision.sized
    more = dataclasses.replace(how, share=(share or 0) + 0.2, inherit=inherit)
    if share is not None:
        assert decide(more, info, *planned(more, info, 400)).width > decision.width
    assert decision.steps == decision.steps_first * (decision.groups - decision.census.inherited) + (
        decision.steps_next * decision.census.inherited
    )


# lengths --------------------------------------------------------------------------------------------------------------


def test_one_group_for_the_whole_video():
    how = EncodeSettings(model="nerv", monolithic=True)
    divided, layout = planned(how, INFO, MAX_GROUP_FRAMES)
    assert divided == Division(MAX_GROUP_FRAMES, None, False, how.scene_threshold)
    assert layout.chains == (((MAX_GROUP_FRAMES,),),)
    decision = decide(how, INFO, divided, layout)
    assert decision.group == MAX_GROUP_FRAMES and decision.census == Census(1)
    with pytest.raises(UsageError, match=f"has {MAX_GROUP_FRAMES + 1} frames; a group of 40x24 has at most"):
        division(how, INFO, None, MAX_GROUP_FRAMES + 1)
    with pytest.raises(UsageError, match="length of the video is not known"):
        division(how, INFO, None, None)
    for other in ({"group": 4}, {"chunk": 1.0}, {"share": 0.5}, {"chains": 2}):
        with pytest.raises(UsageError, match=f"does not go with --{next(iter(other))}"):
            dataclasses.replace(how, **other)


def test_lengths_that_cannot_be():
    for how in (settings(group=MAX_GROUP_FRAMES + 0), settings(group=MAX_GROUP_FRAMES, share=None)):
        with pytest.raises(UsageError, match="at most 16"):
            division(how, VideoInfo(8192, 4096), None, 100)
    with pytest.raises(UsageError, match="twice the minimum"):
        division(settings(min_window=1.0), INFO, None, 100)
    assert division(settings(min_window=1.0, share=None), INFO, None, 100).rule == WindowRule(4, 2, 1)


def test_chunks_are_no_longer_than_the_video():
    assert division(settings(group=None), INFO, None, 9).group == 9
    assert division(settings(group=None), INFO, None, 1000).group == 125
    assert division(settings(group=None, chunk=0.2), INFO, None, 1000).group == 5
    assert division(settings(group=None), INFO, 8, 1000).group == 8, "the model's own"
    assert division(settings(group=None, share=None), INFO, 8, 3) == Division(3, None, False, NERV.scene_threshold)


# files and streams ----------------------------------------------------------------------------------------------------


def looked_at(clip, how, chains=1, watch=lambda _: None):
    """(Division, Layout) of a file."""
    how = dataclasses.replace(how, chains=chains)
    with open_source(clip) as source:
        divided, frames = divide(how, source.info, source.frame_count)
        return divided, find_layout(str(clip), how, source.info, divided, frames, watch)


def test_a_file_is_looked_at_first(cut_clip):
    """Windows end at the cut, whatever is shared; a file and a stream are divided alike."""
    for how, expected in (
        (NERV, WINDOWS),
        (settings(max_window=2), ((4, 4), (4,), (4, 4))),
        (settings(share=0.0), tuple((length,) for length in sum(WINDOWS, ()))),
        (settings(share=None, group=8), ((8,), (4,), (8,))),
        (settings(group=5), ((4, 4, 4), (4, 4))),
        (settings(min_window=0.4, max_window=0), ((4,) * 5,)),
        (settings(model="nirvana"), WINDOWS),
        (settings(model="nirvana", share=None, group=8), ((8,), (8,), (4,))),
    ):
        divided, layout = looked_at(cut_clip, how)
        assert layout.chains == (expected,)
        with open_source(cut_clip) as source:
            units = [tuple(map(len, unit)) for unit in divided.units(iter(source), source.info)]
        assert units == layout.units and layout.frames == 20
    with open_source(cut_clip) as source:
        higher = dataclasses.replace(looked_at(cut_clip, settings(max_window=0))[0], threshold=1.1)
        assert [len(unit) for unit in higher.units(iter(source), source.info)] == [5], "no score is so high"


def test_the_frames_of_units_are_those_of_the_file(cut_clip):
    with open_source(cut_clip) as source:
        frames = list(source)
    divided, _ = looked_at(cut_clip, NERV)
    units = list(divided.units(iter(frames), INFO))
    assert [f.pts for unit in units for part in unit for f in part] == list(range(20))
    assert all(f is frames[f.pts] for unit in units for part in unit for f in part)


def test_the_first_pass_says_how_far_it_is(cut_clip, monkeypatch):
    monkeypatch.setattr(layouts, "LOOKS", 6)
    seen = []
    looked_at(cut_clip, NERV, watch=seen.append)
    assert seen == [0, 6, 12, 18]
    looked_at(cut_clip, settings(model="nirvana", share=None), watch=seen.append)
    assert len(seen) == 4, "nothing has to be looked at"


def test_parts_of_a_file(cut_clip):
    assert looked_at(cut_clip, settings(start=3, stop=17))[1].chains == (((3, 3, 3), (2, 3)),)
    assert looked_at(cut_clip, settings(start=12))[1].chains == (((4, 4),),)
    with pytest.raises(UsageError, match="none from 20 on"):
        looked_at(cut_clip, settings(start=20))


def test_chains_split_a_file_between_units(cut_clip):
    assert looked_at(cut_clip, NERV, 2)[1].chains == ((WINDOWS[0],), (WINDOWS[1],))
    assert looked_at(cut_clip, NERV, 9)[1].chains == ((WINDOWS[0],), (WINDOWS[1],))
    assert looked_at(cut_clip, settings(share=0.0), 2)[1].chains == (((4,),) * 3, ((4,),) * 2)
    plain = settings(model="nirvana", share=None, group=6)
    assert looked_at(cut_clip, plain, 2)[1].chains == (((6,), (6,)), ((6,), (2,)))


def test_streams_without_a_length(cut_clip, tmp_path, monkeypatch):
    with open_source(cut_clip) as source:
        info = source.info
    divided, frames = divide(NERV, info, None)
    assert frames is None and divided == Division(4, WindowRule(4, 4, 3), True, NERV.scene_threshold)
    divided, frames = divide(settings(start=2, stop=9), info, None)
    assert frames == 7 and find_layout("-", NERV, info, divided, 7, lambda _: None) is None, "it is read only once"
    decision = decide(NERV, info, divided, None)
    assert (decision.frames, decision.groups, decision.steps) == (None, None, None) and decision.group == 4
    os.mkfifo(tmp_path / "pipe.y4m")
    monkeypatch.setattr(layouts, "open_source", lambda _: pytest.fail("a pipe is opened twice"))
    assert find_layout(str(tmp_path / "pipe.y4m"), NERV, info, divided, 7, lambda _: None) is None
    with pytest.raises(UsageError, match="--chains needs"):
        divide(settings(chains=2), info, None)
    with pytest.raises(UsageError, match="length of the video is not known"):
        divide(EncodeSettings(model="nerv", monolithic=True), info, None)


def test_a_stream_is_held_no_longer_than_the_rule_says(tmp_path):
    """Frames that were taken and not given out yet: what a window needs, and what the detector lags behind."""
    clip = write_clip(tmp_path / "long.y4m", 16, 12, SHOTS * 4)
    with open_source(clip) as source:
        frames, info = list(source), source.info
    rule = WindowRule(4, 4, 3)
    taken, given, most = 0, 0, 0

    def counted():
        nonlocal taken
        for frame in frames:
            taken += 1
            yield frame

    for unit in Division(4, rule, True, 0.35).units(counted(), info):
        most = max(most, taken - given)
        assert len(unit) <= 3
        given += sum(map(len, unit))
    assert given == len(frames) > 3 * rule.held
    assert rule.longest < most <= rule.held + SIDE


def test_a_container_that_says_too_few_frames(tmp_path, monkeypatch):
    """What it says is for the plan; all frames are divided."""
    clip = write_clip(tmp_path / "a.mkv", 40, 24, SHOTS)
    with open_source(clip) as source:
        frames = len(list(source))
    monkeypatch.setattr(libav_source, "_count", lambda *_: frames - 3)
    with open_source(clip) as source:
        assert source.frame_count == frames - 3
    assert looked_at(clip, NERV)[1].frames == frames
    assert looked_at(clip, NERV, 2)[1].frames == frames
    assert looked_at(clip, settings(stop=5))[1].frames == 5
