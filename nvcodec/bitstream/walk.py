"""One pass over the chunks of a file, front to back: order, checks, accounting, and recovery from damage."""

from collections import Counter
from typing import Any

from nvcodec import limits
from nvcodec.bitstream import chunks
from nvcodec.bitstream.chunks import ByteSource, ChunkHeader
from nvcodec.bitstream.damage import Damage, Kind
from nvcodec.bitstream.group_records import GroupRecord, WindowRecord
from nvcodec.bitstream.header import FileHeader
from nvcodec.bitstream.index import IndexEntry
from nvcodec.bitstream.metadata import unpack_meta
from nvcodec.bitstream.records import EndRecord, ModelRecord, VideoRecord
from nvcodec.bitstream.registry import SectionKind
from nvcodec.bitstream.sequence import Sequence
from nvcodec.errors import ChecksumError, FormatError, MalformedError, TruncatedError

MAX_NOTES = 1000
"""Descriptions of damage that are kept: a file may be nothing but damage."""


class Walk:
    """Starts after the file header and keeps its own place, so that the source may be read elsewhere between steps.

    With `recover`, damage after the video record is noted and passed over: by the framing where the next header is
    where it should be, else by searching for the next header. Without, it is raised, by this step and all later ones.
    """

    def __init__(self, source: ByteSource, recover: bool, damage: list[Damage]) -> None:
        self._source = source
        self._recover = recover
        self._damage = damage
        self._failure: FormatError | None = None
        self._at = FileHeader.SIZE
        self._index_seen = False
        self._budget = limits.MAX_RECOVERY_BYTES
        self.sequence = Sequence(gaps=recover)
        self.video: VideoRecord | None = None
        self.meta: dict[str, Any] | None = None
        self.offset = 0  # of the last chunk
        self.window_offset = 0  # of the last window
        self.ended = False  # nothing more to read
        self.complete = False  # the end record was read
        self.kept = 0  # the end of the last chunk that is no index or end record
        self.usage = Counter({"header": FileHeader.SIZE})  # bytes by kind; they add up to the place in the file

    def note(self, damage: Damage) -> None:
        """Record damage, once."""
        if len(self._damage) < MAX_NOTES and damage not in self._damage:
            self._damage.append(damage)

    def prelude(self) -> None:
        """Pass over the chunks before the first group or window; the video record is known then."""
        body = (chunks.WINDOW, chunks.GROUP, chunks.INDEX, chunks.END, b"")
        while self.video is None or (not self.ended and self._source.peek(4) not in body):
            self.step()

    def entry(self, group: GroupRecord) -> IndexEntry:
        """Where `group`, the last chunk, is."""
        window = self.window_offset if group.in_window and self.sequence.shares(group) else None
        return IndexEntry(group.number, group.first_frame, group.frame_count, self.offset, group.random_access, window)

    def step(self) -> GroupRecord | WindowRecord | None:
        """Pass over one chunk, or over damage; the record if it was a group or a window."""
        if self._failure:
            raise self._failure
        self._source.seek(self._at)
        self.offset = self._at
        try:
            record = self._chunk()
        except FormatError as error:
            if not self._recover or self.video is None:
                self._failure = error
                raise
            record = None
            self.note(Damage.of(error))
            self.usage["damaged"] += self._source.position - self._at
        self._at = self._source.position
        return record

    def _chunk(self) -> GroupRecord | WindowRecord | None:
        """As `step`; on errors the source stands where to go on."""
        try:
            header = self._source.header()
            if header is None:
                raise TruncatedError("the file ends before its end record: it was cut, or its encoder was stopped")
        except FormatError:
            self._source.read(1)
            self._find_header()
            raise
        if not header.known:
            self._skip(header)
            return None
        record = self._accept(header, self._payload(header))
        self.usage["framing"] += chunks.OVERHEAD
        if self.ended:
            self._check_tail()
        return record

    def _skip(self, header: ChunkHeader) -> None:
        if self.video is None:
            raise MalformedError("the first chunk is not the video record")
        try:
            self._source.skip(header)
        except FormatError:
            self._find_header()
            raise
        self.usage["unknown"] += header.length
        self.usage["framing"] += chunks.OVERHEAD

    def _payload(self, header: ChunkHeader) -> bytes:
        try:
            return self._source.payload(header)
        except FormatError as error:
            if header.type == chunks.INDEX and isinstance(error, ChecksumError):
                self.note(Damage.of(error))  # the index is advisory: a file without one is as good
                return self._source.read(header.length + 4)[:-4]
            if self._recover:
                self._pass_payload(header)
            raise

    def _pass_payload(self, header: ChunkHeader) -> None:
        """From a damaged payload to the next header: where the framing puts it, or else anywhere after this one's."""
        body = self._source.read(header.length + 4)
        if len(body) == header.length + 4:
            after = self._source.peek(chunks.HEADER_SIZE)
            if not after or chunks.is_header(after):
                return
        if len(body) <= self._budget:
            self._budget -= len(body)
            self._source.unread(body)
        self._find_header()

    def _find_header(self) -> None:
        if self._recover:
            self.ended = not self._source.resync()

    def _accept(self, header: ChunkHeader, payload: bytes) -> GroupRecord | WindowRecord | None:
        """Check a whole chunk of a known type against the rules, and take in what it says."""
        kind = header.type
        record: GroupRecord | WindowRecord | None = None
        if self.video is None and kind != chunks.VIDEO:
            raise MalformedError("the first chunk is not the video record")
        if self._index_seen and kind != chunks.END:
            raise MalformedError(f"the {header} comes after the index")
        if kind == chunks.GROUP:
            record = self._accept_group(payload)
        elif kind == chunks.WINDOW:
            record = self._accept_window(payload)
        elif kind == chunks.VIDEO:
            if self.video:
                raise MalformedError("there are two video records")
            self.video = VideoRecord.unpack(payload)
            self.usage["video"] += len(payload)
        elif kind == chunks.META:
            self._accept_meta(payload)
            self.usage["metadata"] += len(payload)
        elif kind == chunks.MODEL:
            self.sequence.add_model(ModelRecord.unpack(payload))
            self.usage["models"] += len(payload)
        elif kind == chunks.INDEX:
            self._index_seen = True
            self.usage["index"] += len(payload)
        else:
            self._accept_end(payload)
            self.usage["end"] += len(payload)
        if kind not in (chunks.INDEX, chunks.END):
            self.kept = self._source.position
        return record

    def _accept_meta(self, payload: bytes) -> None:
        if self.meta is not None:
            raise MalformedError("there are two metadata chunks")
        if self.sequence.groups or self.sequence.window:
            raise MalformedError("metadata comes after the first group or window")
        self.meta = unpack_meta(payload)

    def _accept_window(self, payload: bytes) -> WindowRecord:
        window = WindowRecord.unpack(payload)
        self.sequence.add_window(window)
        self.window_offset = self.offset
        mask = len(window.section(SectionKind.MASK))
        self.usage["mask"] += mask
        self.usage["window"] += len(payload) - mask
        return window

    def _accept_group(self, payload: bytes) -> GroupRecord:
        assert self.video is not None
        group = GroupRecord.unpack(payload, self.video)
        due, noted = self.sequence.groups, self._lacks_window(self.sequence.last)
        self.sequence.add_group(group)
        if self._lacks_window(group) and not noted:
            self.note(Damage(Kind.LOST, f"the window that group {group.number} shares is lost", group.number))
        if group.number > due:
            last = group.number - 1
            told = f"group {due} is lost" if last == due else f"groups {due} to {last} are lost"
            self.note(Damage(Kind.LOST, told, due))
        coded = 0
        for section in group.sections:
            self.usage[section.kind.name.lower()] += len(section.data)
            coded += len(section.data)
        self.usage["groups"] += len(payload) - coded
        return group

    def _lacks_window(self, group: GroupRecord | None) -> bool:
        return group is not None and group.in_window and not self.sequence.shares(group)

    def _accept_end(self, payload: bytes) -> None:
        end = EndRecord.unpack(payload)
        try:
            self.sequence.check_end(end)
        except MalformedError as error:
            if not self._recover:
                raise
            self.note(Damage(Kind.TOTALS, str(error)))
        self.ended = self.complete = True

    def _check_tail(self) -> None:
        """Nothing may follow the end record."""
        extra = 0
        while piece := self._source.read(1 << 20):
            if not self._recover:
                raise MalformedError("bytes follow the end record")
            extra += len(piece)
        if extra:
            self.note(Damage(Kind.DAMAGED, f"{extra} bytes follow the end record"))
            self.usage["damaged"] += extra
