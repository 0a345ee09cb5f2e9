"""The rules that tie a record to those before it. Writer and reader run the same checker.

- groups are numbered 0, 1, 2 ... and their frames follow each other from 0 without gap or overlap;
- a chain number stays or grows by one, from 0; the first group of a chain inherits nothing;
- pts increase from group to group;
- a group's model is defined before it, once; a group that inherits from the one before has the same model.
"""

from nvcodec import limits
from nvcodec.bitstream.records import EndRecord, GroupRecord, ModelRecord
from nvcodec.errors import MalformedError


class Sequence:
    """The state that the rules need: what has been seen so far.

    With `gaps`, groups may be missing, as in a damaged file: what is there must still be in order.
    """

    def __init__(self, gaps: bool = False) -> None:
        self.gaps = gaps
        self.models: dict[int, ModelRecord] = {}
        self.last: GroupRecord | None = None
        self.groups = 0
        self.frames = 0

    def add_model(self, model: ModelRecord) -> None:
        """Define a model."""
        if model.index in self.models:
            raise MalformedError(f"model {model.index} is defined twice")
        self.models[model.index] = model

    def add_group(self, group: GroupRecord) -> None:
        """Check that `group` can follow, then count it."""
        self._check(group)
        self.last = _without_sections(group)
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
        if group.model not in self.models:
            raise MalformedError(f"{name} needs model {group.model}, which is not defined before it")
        chain = last.chain if last else 0
        steps = group.chain - chain
        if not 0 <= steps <= group.number - (last.number if last else 0):
            raise MalformedError(f"{name} is in chain {group.chain} after chain {chain}")
        if last and group.pts[0] <= last.pts[-1]:
            raise MalformedError(f"{name} starts at pts {group.pts[0]}, not after {last.pts[-1]}")
        if not group.random_access and follows:
            if last is None or steps:
                raise MalformedError(f"{name} is the first of its chain and inherits from the one before")
            if group.model != last.model:
                raise MalformedError(f"{name} inherits from a group of another model")

    def check_end(self, end: EndRecord) -> None:
        """Compare the totals with what was seen."""
        if (end.groups, end.frames) != (self.groups, self.frames):
            raise MalformedError(
                f"the file says it has {end.groups} groups and {end.frames} frames; "
                f"it has {self.groups} and {self.frames}"
            )


def _without_sections(group: GroupRecord) -> GroupRecord:
    """The record without its payload, which need not be kept alive."""
    return GroupRecord(
        group.number, group.chain, group.model, group.inheritance, group.first_frame, group.pts, group.pixel_hash,
        group.means, (),
    )  # fmt: skip
