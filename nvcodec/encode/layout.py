"""What is encoded together: frames to groups, and groups to units.

A unit is a window of groups that share parameters, or one group alone. Where the source can be read twice, a first pass
finds all units before anything is trained, so that the sizes of networks and the budgets of groups are known; a stream
is divided as it comes.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from nvcodec.bitstream.registry import Inheritance
from nvcodec.encode.settings import EncodeSettings
from nvcodec.errors import UsageError
from nvcodec.limits import MAX_GROUP_FRAMES, MAX_GROUP_PIXELS
from nvcodec.media.source import open_source
from nvcodec.planning.groups import chain_ranges, grouped, is_random_access
from nvcodec.planning.sizing import OPEN_END_GROUPS, Census
from nvcodec.planning.windows import CHUNK_SECONDS, WindowRule, rule_for, windowed
from nvcodec.video import Frame, VideoInfo

T = TypeVar("T")

LOOKS = 100  # frames between two signs of life of the first pass

Unit = tuple[int, ...]
"""The frames of each group of a unit."""


@dataclass(frozen=True)
class Layout:
    """The chains of a video, of each its units in order, of each the lengths of its groups in frames."""

    chains: tuple[tuple[Unit, ...], ...]

    @property
    def units(self) -> list[Unit]:
        """Of all chains."""
        return [unit for chain in self.chains for unit in chain]

    @property
    def groups(self) -> int:
        """How many there are."""
        return sum(map(len, self.units))

    @property
    def frames(self) -> int:
        """How many there are."""
        return sum(map(sum, self.units))

    @property
    def longest(self) -> int:
        """Frames of the longest group."""
        return max(max(unit) for unit in self.units)


@dataclass(frozen=True)
class Division:
    """How a video is divided. rule: chunks that follow scene changes; None for groups of `group` frames.

    shares: the groups of a window are one unit.
    """

    group: int
    rule: WindowRule | None
    shares: bool
    threshold: float

    def typical(self) -> Layout:
        """What a video of unknown length is taken to have: OPEN_END_GROUPS groups in one scene."""
        window = (self.rule.max_chunks if self.rule else 1) or OPEN_END_GROUPS
        size = window if self.shares else 1
        return Layout((((self.group,) * size,) * max(1, OPEN_END_GROUPS // size),))

    def units(self, frames: Iterable[Frame], info: VideoInfo) -> Iterator[list[Sequence[Frame]]]:
        """The frames of each unit, by group, as soon as it is known; in memory for one unit and what is seen ahead."""
        if self.rule is None:
            for group in grouped(frames, self.group):
                yield [group]
            return
        for window, members in windowed(frames, info, self.rule, self.threshold):
            groups = window.split(members)
            del members
            if self.shares:
                yield groups
            else:
                yield from ([group] for group in groups)
            del groups  # before the next ones are read


def division(settings: EncodeSettings, info: VideoInfo, group: int | None, frames: int | None) -> Division:
    """Of a video of `frames` frames, None where that is not known. group: frames of a group, None for chunks.

    UsageError for lengths that no group or window can have.
    """
    pixels = info.width * info.height
    most = min(MAX_GROUP_FRAMES, MAX_GROUP_PIXELS // pixels)
    if settings.monolithic:
        if frames is None or frames > most:
            what = "the length of the video is not known" if frames is None else f"the video has {frames} frames"
            raise UsageError(f"--monolithic: {what}; a group of {info.width}x{info.height} has at most {most}")
        return Division(frames, None, False, settings.scene_threshold)
    asked = settings.group
    if asked is not None and asked > most:
        raise UsageError(f"--group {asked}: at {info.width}x{info.height} it is at most {most}")
    windows = settings.share is not None
    if group is not None and not windows:
        length = asked or min(group, most, most if frames is None else frames)
        return Division(length, None, False, settings.scene_threshold)
    rule = rule_for(
        info,
        seconds=settings.chunk or CHUNK_SECONDS,
        frames=asked or (None if settings.chunk else group),
        min_seconds=settings.min_window if windows else None,
        max_chunks=settings.max_window if windows else 1,
    )
    chunk = rule.chunk if frames is None else min(rule.chunk, frames)
    return Division(chunk, rule, bool(settings.share), settings.scene_threshold)


def find_layout(
    source: str, settings: EncodeSettings, info: VideoInfo, how: Division, frames: int, looked_at: Callable[[int], None]
) -> Layout | None:
    """The layout of the frames that are asked for; None for a source that cannot be read twice and would have to be.

    frames: how many it says they are; where they are looked at, all that are there count. looked_at: told how many it
    were so far, every LOOKS frames.
    """
    if how.rule is None:
        stop = settings.start + frames
        return Layout(
            tuple(
                tuple((min(how.group, len(part) - at),) for at in range(0, len(part), how.group))
                for part in chain_ranges(settings.start, stop, settings.chains, how.group)
            )
        )
    if not (os.path.isfile(source) or os.path.isdir(source)):  # a pipe may have a name too
        return None

    def watched(found: Iterable[Frame]) -> Iterator[Frame]:
        for number, frame in enumerate(found):
            if number % LOOKS == 0:
                looked_at(number)
            yield frame

    with open_source(source) as video:
        wanted = itertools.islice(iter(video), settings.start, settings.stop)
        units = [tuple(len(group) for group in unit) for unit in how.units(watched(wanted), info)]
    return Layout(_divide(units, settings.chains))


def kinds(settings: EncodeSettings, unit: int, first: int) -> list[Inheritance]:
    """Inheritance of the groups of a unit of `unit` groups, the first of which is number `first` of its chain."""
    previous = settings.inherit == "previous" or (settings.inherit is None and settings.share is None)
    if unit > 1:
        nexts = Inheritance.WINDOW_PREVIOUS if previous else Inheritance.WINDOW
        return [Inheritance.WINDOW if is_random_access(n, settings.keyint) else nexts for n in range(unit)]
    alone = settings.share is not None or not previous or is_random_access(first, settings.keyint)
    return [Inheritance.NONE if alone else Inheritance.PREVIOUS]


def census(settings: EncodeSettings, layout: Layout | None, how: Division) -> Census:
    """How many groups there are of each kind of inheritance."""
    chains = (layout or how.typical()).chains
    counts = dict.fromkeys(Inheritance, 0)
    for chain in chains:
        number = 0
        for unit in chain:
            for kind in kinds(settings, len(unit), number):
                counts[kind] += 1
            number += len(unit)
    return Census(
        fresh=counts[Inheritance.NONE],
        inherited=counts[Inheritance.PREVIOUS],
        leaders=counts[Inheritance.WINDOW],
        followers=counts[Inheritance.WINDOW_PREVIOUS],
        windows=sum(len(unit) > 1 for chain in chains for unit in chain),
        share=settings.share or 0.0,
    )


def _divide(units: list[Unit], chains: int) -> tuple[tuple[Unit, ...], ...]:
    """Units to at most `chains` chains of about as many frames each; every chain has at least one."""
    total, done = sum(map(sum, units)), 0
    out: list[list[Unit]] = [[]]
    for number, unit in enumerate(units):
        left = len(units) - number
        if out[-1] and len(out) < chains and (done >= total * len(out) / chains or left <= chains - len(out)):
            out.append([])
        out[-1].append(unit)
        done += sum(unit)
    return tuple(map(tuple, out))


def by_layout(frames: Iterable[T], layout: Layout) -> Iterator[list[Sequence[T]]]:
    """The frames of each unit, by group. What is missing at the end is left out."""
    ahead = iter(frames)
    for unit in layout.units:
        groups: list[Sequence[T]] = [list(itertools.islice(ahead, length)) for length in unit]
        found = [group for group in groups if group]
        if found:
            yield found
        del groups, found  # while the next ones are read
