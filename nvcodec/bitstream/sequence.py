"""The rules that tie a record to those before it. Writer and reader run the same checker.

- groups are numbered 0, 1, 2 ... and their frames follow each other from 0 without gap or overlap;
- a chain number stays or grows by one, from 0; the first group of a chain needs none before it;
- pts increase from group to group;
- a model is defined once, before the groups and windows that use it; a group that inherits from the one before has the
  same model;
- a window comes right before its first group, after all groups of the window before it; its groups share it, are of its
  model and one chain, and no others share one; the first of them needs none before it;
- a model of coded frames has no windows;
- the file does not end within a window.
"""

from copy import copy
from dataclasses import replace

from nvcodec import limits
from nvcodec.bitstream.group_records import GroupRecord, WindowRecord
from nvcodec.bitstream.records import EndRecord, ModelRecord
from nvcodec.errors import MalformedError


class Sequence:
    """The state that the rules need: what has been seen so far.

    With `gaps`, groups and windows may be missing, as in a damaged file: what is there must still be in order.
    """

    def __init__(self, gaps: bool = False) -> None:
        self.gaps = gaps
        self.models: dict[int, ModelRecord] = {}
        self.last: GroupRecord | None = None
        self.window: WindowRecord | None = None  # the last one
        self.groups = 0
        self.frames = 0

    @property
    def window_open(self) -> bool:
        """Whether groups of the last window are still to come."""
        return self.window is not None and self.groups < self.window.end

    def copy(self) -> "Sequence":
        """The state as it is now."""
        made = copy(self)
        made.models = dict(self.models)
        return made

    def add_model(self, model: ModelRecord) -> None:
        """Define a model."""
        if model.index in self.models:
            raise MalformedError(f"model {model.index} is defined twice")
        self.models[model.index] = model

    def add_window(self, window: WindowRecord) -> None:
        """Check that `window` can follow."""
        name, first = "a window", window.first_group
        if first != self.groups and not (self.gaps and first > self.groups):
            raise MalformedError(f"{name} from group {first} on where group {self.groups} is due")
        if self.window and first < self.window.end:
            raise MalformedError(f"{name} from group {first} on within one that ends before group {self.window.end}")
        self._check_model(window.model, name)
        self._check_windowed(window.model, name)
        self.window = replace(window, sections=())

    def shares(self, group: GroupRecord) -> bool:
        """Whether the last window is that of `group`."""
        return self.window is not None and self.window.covers(group.number)

    def add_group(self, group: GroupRecord) -> None:
        """Check that `group` can follow, then count it."""
        self._check(group)
        self.last = replace(group, sections=())
        self.groups = group.number + 1
        self.frames = group.first_frame + group.frame_count

    def _check(self, group: GroupRecord) -> None:
        name, last = f"group {group.number}", self.last
        follows = group.number == self.groups
        if not follows and not (self.gaps and group.number > self.groups):
            raise MalformedError(f"{name} where group {self.groups} is due")
        # A lost group had at least one frame and at most MAX_GROUP_FRAMES.
        least = self.frames + (group.number - self.groups)
        most = self.frames + (group.number - self.groups) * limits.MAX_GROUP_FRAMES
        if not least <= group.first_frame <= most:
            raise MalformedError(f"{name} starts at frame {group.first_frame} where frame {least} is due")
        self._check_model(group.model, name)
        if group.in_window:
            self._check_windowed(group.model, name)
        chain = last.chain if last else 0
        steps = group.chain - chain
        if not 0 <= steps <= self._most_steps(last.number if last else 0, group.number):
            raise MalformedError(f"{name} is in chain {group.chain} after chain {chain}")
        if last and group.pts[0] <= last.pts[-1]:
            raise MalformedError(f"{name} starts at pts {group.pts[0]}, not after {last.pts[-1]}")
        if not group.random_access and follows:
            if last is None or steps:
                raise MalformedError(f"{name} is the first of its chain and inherits from the one before")
            if group.model != last.model:
                raise MalformedError(f"{name} inherits from a group of another model")
        self._check_window(group, name)

    def _check_model(self, model: int, name: str) -> None:
        if model not in self.models:
            raise MalformedError(f"{name} needs model {model}, which is not defined before it")

    def _check_windowed(self, model: int, name: str) -> None:
        if self.models[model].has_frames:
            raise MalformedError(f"{name} is of model '{self.models[model].name}', which has no windows")

    def _most_steps(self, last: int, number: int) -> int:
        """How many chains can start after group `last`, up to group `number`: none within the window."""
        if self.window is None:
            return number - last
        return number - last - max(0, min(number, self.window.end - 1) - max(last, self.window.first_group))

    def _check_window(self, group: GroupRecord, name: str) -> None:
        window = self.window
        if window is None or group.number >= window.end:
            if group.in_window and not self.gaps:
                raise MalformedError(f"{name} shares a window that is not there")
            return
        if group.number < window.first_group:
            raise MalformedError(f"{name} comes after a window from group {window.first_group} on")
        if not group.in_window:
            raise MalformedError(f"{name} does not share the window that it is in")
        if group.model != window.model:
            raise MalformedError(f"{name} shares a window of another model")
        if group.number == window.first_group and not group.random_access:
            raise MalformedError(f"{name} is the first of its window and inherits from the one before")

    def check_end(self, end: EndRecord) -> None:
        """Compare the totals with what was seen; the last window must have ended."""
        if self.window and self.window_open:
            raise MalformedError(
                f"the file ends before group {self.groups}, of a window that ends before group {self.window.end}"
            )
        if (end.groups, end.frames) != (self.groups, self.frames):
            raise MalformedError(
                f"the file says it has {end.groups} groups and {end.frames} frames; "
                f"it has {self.groups} and {self.frames}"
            )
