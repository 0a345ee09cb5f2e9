"""Where the bytes of a file went: every one is attributed to exactly one kind.

header framing video metadata models index end    of the container; "framing" is 18 bytes for each chunk
groups                                            of groups, apart from their sections
steps tables symbols blobs                        of groups, by section
unknown                                           payloads of ancillary chunks that this release does not know
damaged                                           what could not be read
"""

from dataclasses import dataclass
from typing import BinaryIO

from nvcodec.bitstream import chunks
from nvcodec.bitstream.container import Reader
from nvcodec.bitstream.damage import Damage
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


@dataclass(frozen=True)
class Survey:
    """What a file holds and where its bytes went. `findings` is empty and `complete` true for a whole file."""

    header: FileHeader
    video: VideoRecord
    models: dict[int, ModelRecord]
    meta: dict[str, object]
    groups: tuple[GroupSize, ...]
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
    groups = []
    before = reader.usage.get("groups", 0)
    for group in reader.groups():
        record = reader.usage["groups"] - before
        before += record
        sections = {section.kind: len(section.data) for section in group.sections}
        groups.append(
            GroupSize(
                group.number, group.chain, group.model, group.inheritance, group.first_frame, group.frame_count,
                record, sections,
            )
        )  # fmt: skip
    return Survey(
        reader.header, reader.video, reader.models, reader.meta, tuple(groups), reader.usage, reader.complete,
        tuple(reader.damage),
    )  # fmt: skip
