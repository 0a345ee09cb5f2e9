"""Where the bytes of a file went: every one is attributed to exactly one kind.

header framing video metadata models index end    of the container; "framing" is 18 bytes for each chunk
groups                                            of groups, apart from their sections
window mask                                       of windows: all but their masks, and these
steps tables symbols blobs frames                 of groups, by section
unknown                                           payloads of ancillary chunks that this release does not know
damaged                                           what could not be read
"""

from dataclasses import dataclass
from typing import BinaryIO

from nvcodec.bitstream import chunks
from nvcodec.bitstream.container import Reader
from nvcodec.bitstream.damage import Damage
from nvcodec.bitstream.group_records import WindowRecord
from nvcodec.bitstream.header import FileHeader
from nvcodec.bitstream.records import ModelRecord, VideoRecord
from nvcodec.bitstream.registry import Inheritance, SectionKind


@dataclass(frozen=True)
class GroupSize:
    """One group and its bytes: `record` of its payload apart from `sections`, and the framing of its chunk."""

    number: int
    chain: int
    model: int
    inheritance: Inheritance
    first_frame: int
    frame_count: int
    record: int
    sections: dict[SectionKind, int]
    framing: int = chunks.OVERHEAD

    @property
    def size(self) -> int:
        """Bytes of the whole chunk."""
        return self.framing + self.record + sum(self.sections.values())

    @property
    def random_access(self) -> bool:
        """Whether it decodes without the groups before; its window, if it has one, is still needed."""
        return self.inheritance in (Inheritance.NONE, Inheritance.WINDOW)


@dataclass(frozen=True)
class WindowSize:
    """One window and its bytes: `record` of its payload apart from the `mask`, and the framing of its chunk."""

    first_group: int
    groups: int
    model: int
    shared: int
    record: int
    mask: int
    framing: int = chunks.OVERHEAD

    @property
    def size(self) -> int:
        """Bytes of the whole chunk."""
        return self.framing + self.record + self.mask


@dataclass(frozen=True)
class Survey:
    """What a file holds and where its bytes went. `findings` is empty and `complete` true for a whole file."""

    header: FileHeader
    video: VideoRecord
    models: dict[int, ModelRecord]
    meta: dict[str, object]
    groups: tuple[GroupSize, ...]
    windows: tuple[WindowSize, ...]
    usage: dict[str, int]
    complete: bool
    findings: tuple[Damage, ...]

    @property
    def damage(self) -> tuple[str, ...]:
        """What was found damaged, a line each: the findings without their kind."""
        return tuple(map(str, self.findings))

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return sum(self.usage.values())

    @property
    def frames(self) -> int:
        """Frames in the groups that could be read."""
        return sum(group.frame_count for group in self.groups)


def scan(file: BinaryIO) -> Survey:
    """Read a file through once and check every checksum in passing; damage is described, not raised.

    `FormatError` when the file header or the video record cannot be read.
    """
    reader = Reader(file, recover=True)
    groups, windows = [], []
    before = {"groups": 0, "window": 0}
    for record in reader.records():
        kind = "window" if isinstance(record, WindowRecord) else "groups"
        size = reader.usage[kind] - before[kind]
        before[kind] += size
        if isinstance(record, WindowRecord):
            mask = len(record.section(SectionKind.MASK))
            windows.append(WindowSize(record.first_group, record.groups, record.model, record.shared, size, mask))
            continue
        sections = {section.kind: len(section.data) for section in record.sections}
        groups.append(
            GroupSize(
                record.number, record.chain, record.model, record.inheritance, record.first_frame, record.frame_count,
                size, sections,
            )
        )  # fmt: skip
    return Survey(
        reader.header, reader.video, reader.models, reader.meta, tuple(groups), tuple(windows), reader.usage,
        reader.complete, tuple(reader.damage),
    )  # fmt: skip
