"""A file as a whole: FileHeader, then chunks in this order.

    VIDI            exactly one, first
    META            at most one, before the first group or window
    MODL            at least one before the first group; any later one before the groups and windows that use it
    WNDW            any number, each right before the groups that share it
    GRUP            any number, in order
    INDX            at most one, after the last group
    FEND            exactly one, last; no byte follows

Chunks of unknown type may stand anywhere after VIDI and are skipped when they are marked ancillary. The writer only
appends, so that a file that is cut anywhere, or a writer that is killed, leaves whole groups that decode.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, BinaryIO

from nvcodec.bitstream import chunks
from nvcodec.bitstream.chunks import ByteSource, ChunkHeader
from nvcodec.bitstream.damage import Damage
from nvcodec.bitstream.group_records import GroupRecord, WindowRecord
from nvcodec.bitstream.header import FileHeader
from nvcodec.bitstream.index import IndexEntry, IndexWriter, unpack_index
from nvcodec.bitstream.metadata import pack_meta
from nvcodec.bitstream.records import EndRecord, ModelRecord, VideoRecord
from nvcodec.bitstream.sequence import Sequence
from nvcodec.bitstream.walk import Walk
from nvcodec.errors import ChecksumError, FormatError, MalformedError, TargetError, TruncatedError, UsageError

LEAST_GROUP_SIZE = chunks.OVERHEAD + 18
"""Bytes of the smallest possible group chunk: one gray frame, no sections."""


class Writer:
    """Appends to `file`, which is never read and never sought; every chunk is flushed as it is written.

    Call `write_video`, `write_meta` (or not), `write_model`, `write_group` ... and `finish`; `write_window` before the
    groups that share one. Records are held to the rules that readers check. `TargetError` where the system cannot
    write.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._video: VideoRecord | None = None
        self._sequence = Sequence()
        self._index = IndexWriter()
        self._window_offset = 0  # of the last window
        self._meta_written = False
        self._finished = False
        self.bytes_written = 0

    @classmethod
    def resume(cls, file: BinaryIO) -> "Writer":
        """Go on with a file that was cut, or finished: open it as "r+b", at its start.

        What follows the last whole group, model or metadata is cut off, and a window whose groups are not all there,
        with all that follows it. `TruncatedError` when not even the video record is whole; damage other than a cut is
        raised as a reader raises it, and nothing is changed.
        """
        base, writer = file.tell(), cls(file)
        source = ByteSource(file)
        FileHeader.unpack(source.read(FileHeader.SIZE))
        walk, entries = Walk(source, False, []), []
        kept, sequence = walk.kept, walk.sequence
        try:
            while not walk.ended:
                record = walk.step()
                if isinstance(record, GroupRecord):
                    entries.append(walk.entry(record))
                if not walk.sequence.window_open:
                    kept, sequence = walk.kept, walk.sequence.copy()
        except TruncatedError:
            if walk.video is None:
                raise
        file.seek(base + kept)
        file.truncate()
        for entry in entries[: sequence.groups]:
            writer._index.add(entry)
        writer._video, writer._sequence, writer.bytes_written = walk.video, sequence, kept
        writer._meta_written = walk.meta is not None
        return writer

    @property
    def groups(self) -> int:
        """Groups in the file so far."""
        return self._sequence.groups

    @property
    def frames(self) -> int:
        """Frames in the file so far."""
        return self._sequence.frames

    def write_video(self, video: VideoRecord) -> None:
        """The file header and the video record; first of all."""
        assert self._video is None, "one video record"
        payload = video.pack()
        self._write(FileHeader().pack() + chunks.pack_chunk(chunks.VIDEO, payload))
        self._video = video

    def write_meta(self, meta: dict[str, Any]) -> None:
        """Metadata: at most once, before the first group or window."""
        begun = self.groups or self._sequence.window
        assert self._video and not self._meta_written and not begun, "once, first"
        self._write(chunks.pack_chunk(chunks.META, pack_meta(meta)))
        self._meta_written = True

    def write_model(self, model: ModelRecord) -> None:
        """A model, before the groups and windows that use it."""
        assert self._video and not self._finished
        payload = model.pack()
        self._sequence.add_model(model)
        self._write(chunks.pack_chunk(chunks.MODEL, payload))

    def write_window(self, window: WindowRecord) -> int:
        """A window, before its groups; returns the offset of its chunk."""
        assert self._video and not self._finished
        payload = window.pack()
        self._sequence.add_window(window)
        self._window_offset = self.bytes_written
        self._write(chunks.pack_chunk(chunks.WINDOW, payload))
        return self._window_offset

    def write_group(self, group: GroupRecord) -> int:
        """A group; returns the offset of its chunk."""
        assert self._video and not self._finished
        payload = group.pack(self._video)
        self._sequence.add_group(group)
        offset = self.bytes_written
        self._write(chunks.pack_chunk(chunks.GROUP, payload))
        window = self._window_offset if group.in_window else None
        self._index.add(
            IndexEntry(group.number, group.first_frame, group.frame_count, offset, group.random_access, window)
        )
        return offset

    def finish(self) -> None:
        """The index and the end record. The file itself is left open."""
        assert self._video and not self._finished
        end = EndRecord(self.groups, self.frames, self.bytes_written)
        self._sequence.check_end(end)
        self._write(chunks.pack_chunk(chunks.INDEX, self._index.pack()))
        self._write(chunks.pack_chunk(chunks.END, end.pack()))
        self._finished = True

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                written = self._file.write(left)
                if not written:
                    raise OSError("nothing was written")
                left = left[written:]
            self._file.flush()
        except OSError as error:
            raise TargetError(f"the file cannot be written: {error.strerror or error}") from error
        self.bytes_written += len(data)


class Reader:
    """Reads `file` from where it stands: a seekable one in any order, a pipe from front to end.

    The constructor reads up to the first group. What is wrong there is raised, except that a file that was cut after
    its video record is opened, and `groups` raises. With `recover`, damage after the video record is never raised:
    what it hit is left out, and `damage` says what and where; groups that inherit from a lost one, or share a lost
    window, are still given.
    Without, `damage` names nothing worse than a damaged index.

    header    the file header
    video     the video record
    models    those met so far, by index; all that the first group can use are there from the start
    meta      the metadata, empty when there is none
    """

    def __init__(self, file: BinaryIO, *, recover: bool = False) -> None:
        self._source = ByteSource(file)
        self._recover = recover
        self.damage: list[Damage] = []
        self.header = self._read_header()
        self._walk = self._new_walk()
        self._fresh = True  # the walk has not been given to `groups` yet
        try:
            self._walk.prelude()
        except TruncatedError:
            if self._walk.video is None:
                raise
        assert self._walk.video is not None
        self.video: VideoRecord = self._walk.video
        self.meta: dict[str, Any] = self._walk.meta or {}
        self.models: dict[int, ModelRecord] = dict(self._walk.sequence.models)
        self._window: WindowRecord | None = None  # the last one that was passed or read
        self._index: list[IndexEntry] | None = None
        self._index_proven = False  # it was built from the groups themselves

    def _read_header(self) -> FileHeader:
        data = self._source.read(FileHeader.SIZE)
        try:
            return FileHeader.unpack(data)
        except ChecksumError as error:
            if not self._recover:
                raise
            self.damage.append(Damage.of(error))
            return FileHeader()

    def _new_walk(self) -> Walk:
        return Walk(self._source, self._recover, self.damage)

    @property
    def complete(self) -> bool:
        """Whether the end record is there; of a pipe, whether it was read."""
        return self._walk.complete or (self._source.seekable and self._end_record() is not None)

    @property
    def usage(self) -> dict[str, int]:
        """Bytes by kind, of all that `groups` has passed over; after its end they add up to the size of the file."""
        return {kind: size for kind, size in self._walk.usage.items() if size}

    def groups(self) -> Iterator[GroupRecord]:
        """All groups in order, from the first; a pipe gives them once.

        Each is yielded before anything after it is read. A cut file ends with a `TruncatedError`.
        """
        for record in self.records():
            if isinstance(record, GroupRecord):
                yield record

    def records(self) -> Iterator[GroupRecord | WindowRecord]:
        """As `groups`, with the windows, each before its first group."""
        if not self._fresh:
            self._walk = self._new_walk()
        self._fresh = False
        walk, known = self._walk, 0
        while not walk.ended:
            record = walk.step()
            if len(walk.sequence.models) > known:
                self.models.update(walk.sequence.models)
                known = len(walk.sequence.models)
            if isinstance(record, WindowRecord):
                self._window = record
            if record:
                yield record

    def window_of(self, group: GroupRecord) -> WindowRecord | None:
        """The window that `group`, as `groups` or `read_group` gave it, shares.

        The last window is remembered; another one is found by the index. None for a group that shares none and, with
        `recover`, where the window is lost; `MalformedError` without. A pipe has that of the last group only.
        """
        if not group.in_window:
            return None
        if self._window and _shared(self._window, group):
            return self._window
        sequence = self._walk.sequence
        if sequence.last and sequence.last.number == group.number and not sequence.shares(group):
            return None  # it was passed over without its window, which only happens with `recover`
        try:
            return self._read_window(group)
        except FormatError:
            if self._index_proven and self._recover:
                return None
            if self._index_proven:
                raise
        self._rebuild_index()
        return self._read_window(group)

    @property
    def index(self) -> list[IndexEntry]:
        """Where every whole group is; `UsageError` on a pipe.

        From the index of the file where it has one, else by reading the file through. An index may lie: `read_group`
        and `access_point` check what they take from it. Damage other than a cut is raised when the
        file has to be read.
        """
        if not self._source.seekable:
            raise UsageError("a stream has no index; save it to a file first")
        if self._index is None:
            self._index = None if self._recover else self._stored_index()
            if self._index is None:
                self._rebuild_index()
        assert self._index is not None
        return self._index

    def read_group(self, number: int) -> GroupRecord:
        """The group of that number, without reading those before; `UsageError` where the file has none."""
        try:
            return self._read_entry(self._entry(number))
        except FormatError:
            if self._index_proven:
                raise
        self._rebuild_index()
        return self._read_entry(self._entry(number))

    def access_point(self, frame: int) -> int:
        """The number of the last random-access group that starts at or before `frame`."""
        while True:
            proven = self._index_proven
            last = bisect_right(self.index, frame, key=lambda entry: entry.first_frame)
            entry = next((entry for entry in reversed(self.index[:last]) if entry.random_access), None)
            if entry is None:
                raise UsageError(f"no group to start from at or before frame {frame}")
            self.read_group(entry.number)  # rebuilds the index where the entry is not true
            if self._index_proven == proven:
                return entry.number

    def _entry(self, number: int) -> IndexEntry:
        place = bisect_right(self.index, number, key=lambda entry: entry.number) - 1
        if place < 0 or self.index[place].number != number:
            raise UsageError(f"the file has no group {number}")
        return self.index[place]

    def _read_entry(self, entry: IndexEntry) -> GroupRecord:
        header = self._chunk_at(entry.offset, chunks.GROUP)
        group = GroupRecord.unpack(self._source.payload(header), self.video)
        found = (group.number, group.first_frame, group.frame_count, group.random_access)
        wrong = found != (entry.number, entry.first_frame, entry.frame_count, entry.random_access)
        if wrong or (group.in_window != (entry.window is not None) and not self._index_proven):
            raise MalformedError(f"the index is wrong about group {entry.number}")
        if group.model not in self.models:  # it is defined between groups that were not read
            walk = self._new_walk()
            while not walk.ended and group.model not in walk.sequence.models:
                walk.step()
            self.models.update(walk.sequence.models)
        return group

    def _read_window(self, group: GroupRecord) -> WindowRecord:
        """The window of `group`, from where the index says that it is."""
        offset = self._entry(group.number).window
        if offset is None:
            raise MalformedError(f"group {group.number} shares a window that is not there")
        header = self._chunk_at(offset, chunks.WINDOW)
        window = WindowRecord.unpack(self._source.payload(header))
        if not _shared(window, group):
            raise MalformedError(f"the window at byte {offset} is not that of group {group.number}")
        self._window = window
        return window

    def _chunk_at(self, offset: int, kind: bytes) -> ChunkHeader:
        self._source.seek(offset)
        header = self._source.header()
        if header is None or header.type != kind:
            raise MalformedError(f"there is no {kind.decode('ascii')} chunk at byte {offset}")
        return header

    def _end_record(self) -> EndRecord | None:
        """The end record at the end of a seekable file, None where there is none."""
        size = chunks.OVERHEAD + EndRecord.SIZE
        try:
            header = self._chunk_at(max(self._source.end() - size, 0), chunks.END)
            return EndRecord.unpack(self._source.payload(header))
        except FormatError:
            return None

    def _stored_index(self) -> list[IndexEntry] | None:
        """The index that the file has, None where there is none or it cannot be true."""
        end = self._end_record()
        if end is None or end.index_offset == 0:
            return None
        try:
            if end.index_offset >= self._source.end():
                raise MalformedError(f"the index cannot start at byte {end.index_offset}")
            header = self._chunk_at(end.index_offset, chunks.INDEX)
            entries = unpack_index(self._source.payload(header), LEAST_GROUP_SIZE, end.index_offset)
            if (len(entries), sum(entry.frame_count for entry in entries)) != (end.groups, end.frames):
                raise MalformedError("the index does not add up to the totals of the file")
        except FormatError as error:
            self._walk.note(Damage.of(error, "; it is rebuilt"))
            return None
        return entries

    def _rebuild_index(self) -> None:
        """Build the index by reading all groups; a cut file has those before the cut."""
        walk, entries = self._new_walk(), []
        try:
            while not walk.ended:
                record = walk.step()
                if isinstance(record, GroupRecord):
                    entries.append(walk.entry(record))
        except TruncatedError:
            pass
        self.models.update(walk.sequence.models)
        self._index, self._index_proven = entries, True


def _shared(window: WindowRecord, group: GroupRecord) -> bool:
    """Whether `window` can be that of `group`."""
    return window.covers(group.number) and window.model == group.model
