"""Small valid records and files that the bitstream tests start from, and ways to break them."""

import io
import struct
import zlib

from nvcodec.bitstream import chunks
from nvcodec.bitstream.container import Reader, Writer
from nvcodec.bitstream.group_records import GroupRecord, Section, WindowRecord
from nvcodec.bitstream.records import ModelRecord, TensorSpec, VideoRecord
from nvcodec.bitstream.registry import Inheritance, SectionKind, TensorKind

VIDEO = VideoRecord(5, 3, 8, 1, (1, 25), rate=(25, 1))
MODEL = ModelRecord(
    0,
    1,
    7,
    (8, 3, 16, 2, 4, 6, 30, 1),
    (TensorSpec(TensorKind.LATENT, (4, 2)), TensorSpec(TensorKind.FLOAT32, (3, 1, 3, 3))),
)
META = {"title": "tiny"}


def group(number=0, first_frame=0, frames=2, chain=0, inheritance=Inheritance.NONE, model=0, sections=None):
    """A group of `VIDEO` at its nominal rate."""
    if sections is None:
        sections = (Section(SectionKind.STEPS, b"\x01"), Section(SectionKind.SYMBOLS, bytes([number] * 3)))
    pts = tuple(range(first_frame, first_frame + frames))
    return GroupRecord(number, chain, model, inheritance, first_frame, pts, bytes(range(8)), (16, 2048, 2048), sections)


def window(first_group=0, groups=2, model=0, shared=5, sections=None):
    """A window of `MODEL`; its sections are none that decode."""
    if sections is None:
        sections = (Section(SectionKind.SYMBOLS, bytes([first_group % 256])), Section(SectionKind.MASK, b"mask"))
    return WindowRecord(first_group, groups, model, shared, sections)


GROUPS = (
    group(),
    group(1, 2, inheritance=Inheritance.PREVIOUS),
    group(2, 4, 1, chain=1),
    group(3, 5, inheritance=Inheritance.PREVIOUS, chain=1),
)


WINDOWED = (
    group(),
    window(1, 2),
    group(1, 2, inheritance=Inheritance.WINDOW),
    group(2, 4, 1, inheritance=Inheritance.WINDOW_PREVIOUS),
    group(3, 5, inheritance=Inheritance.PREVIOUS),
    window(4, 3),
    group(4, 7, chain=1, inheritance=Inheritance.WINDOW),
    group(5, 9, 3, chain=1, inheritance=Inheritance.WINDOW_PREVIOUS),
    group(6, 12, chain=1, inheritance=Inheritance.WINDOW),
    group(7, 14, chain=2),
)
"""Windows and groups of one file, with and without others before, between and after them."""


def tiny_file(finish=True, groups=GROUPS, meta=META):
    """A whole file; windows may be among the groups."""
    file = io.BytesIO()
    writer = Writer(file)
    writer.write_video(VIDEO)
    if meta:
        writer.write_meta(meta)
    writer.write_model(MODEL)
    for record in groups:
        write(writer, record)
    if finish:
        writer.finish()
    assert writer.bytes_written == len(file.getvalue())
    return file.getvalue()


def write(writer, record):
    """A group or a window; the offset of its chunk."""
    return writer.write_window(record) if isinstance(record, WindowRecord) else writer.write_group(record)


def spans(data):
    """[(type, start, end)] of every chunk of a valid file."""
    found, start = [], 28
    while start < len(data):
        end = start + chunks.OVERHEAD + int.from_bytes(data[start + 6 : start + 10], "little")
        found.append((data[start : start + 4], start, end))
        start = end
    return found


def raw_chunk(kind, payload, flags=None, length=None):
    """A chunk with right checksums, whatever else is wrong with it."""
    flags = (kind in chunks.ANCILLARY_TYPES) if flags is None else flags
    head = struct.pack("<4sHI", kind, flags, len(payload) if length is None else length)
    return head + struct.pack("<I", zlib.crc32(head)) + payload + struct.pack("<I", zlib.crc32(payload))


def parts(data=None):
    """[file header, chunk, chunk, ...] as bytes, to be rearranged."""
    data = tiny_file() if data is None else data
    return [data[:28]] + [data[start:end] for _, start, end in spans(data)]


class Pipe(io.RawIOBase):
    """Unseekable, and as mean as a pipe: a few bytes at a time."""

    def __init__(self, data, most=7):
        self._file, self._most = io.BytesIO(data), most

    def readable(self):
        return True

    def read(self, size=-1):
        return self._file.read(min(size, self._most) if size >= 0 else self._most)


class CountingFile(io.BytesIO):
    """Counts the bytes that are read."""

    total = 0

    def read(self, size=-1):
        data = super().read(size)
        self.total += len(data)
        return data


def read_all(data, recover=False, pipe=False):
    """(reader, groups); errors are the reader's."""
    reader = Reader(Pipe(data) if pipe else io.BytesIO(data), recover=recover)
    return reader, list(reader.groups())
