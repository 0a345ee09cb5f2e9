"""Whole files that break one rule each, for every row of the specification's table of what must be refused."""

import dataclasses
import functools
import io
import lzma
import struct
import sys
import zlib
from pathlib import Path

import zstandard
from bitstream_samples import raw_chunk, spans

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nvcodec.bitstream.container import Reader  # noqa: E402
from nvcodec.bitstream.fields import svarint, uvarint  # noqa: E402
from nvcodec.bitstream.group_records import Section  # noqa: E402
from nvcodec.bitstream.registry import Exactness, Inheritance, SectionKind  # noqa: E402
from nvcodec.entropy.bits import BitWriter  # noqa: E402

BLOBS = SectionKind.BLOBS


class File:
    """A valid file, in parts that can be changed."""

    def __init__(self, name):
        self.data = (ROOT / "tests" / "vectors" / f"{name}.nvc").read_bytes()
        reader = Reader(io.BytesIO(self.data))
        self.groups = list(reader.groups())
        self.video, self.models = reader.video, reader.models
        self.header = self.data[:28]
        pieces = [(kind, self.data[start:end]) for kind, start, end in spans(self.data)]
        self.vidi, self.modl, self.indx, self.fend = (
            next(piece for kind, piece in pieces if kind == wanted) for wanted in (b"VIDI", b"MODL", b"INDX", b"FEND")
        )
        self.grup = [piece for kind, piece in pieces if kind == b"GRUP"]

    def join(self, *middle):
        """Header, video record, then what is given, in any mix of bytes and lists of bytes."""
        flat = [part for item in middle for part in (item if isinstance(item, list) else [item])]
        return self.header + self.vidi + b"".join(flat)

    def with_video(self, place, size, value):
        payload = bytearray(self.vidi[14:-4])
        payload[place : place + size] = value.to_bytes(size, "little")
        return self.header + raw_chunk(b"VIDI", bytes(payload)) + self.modl + b"".join(self.grup) + self.fend

    def with_model(self, payload):
        return self.join(raw_chunk(b"MODL", payload), self.grup, self.fend)

    def with_group(self, number, payload):
        grup = list(self.grup)
        grup[number] = raw_chunk(b"GRUP", payload)
        return self.join(self.modl, grup, self.fend)

    def changed(self, which, /, **change):
        """One group's record changed, without the checks of the writer."""
        record = dataclasses.replace(self.groups[which], **change)
        return self.with_group(which, pack(record, self.video))

    def sections(self, number, **data):
        """Some sections of a group replaced; None takes one away."""
        have = {section.kind.name: section.data for section in self.groups[number].sections}
        have.update(data)
        parts = [Section(kind, have[kind.name]) for kind in SectionKind if have.get(kind.name) is not None]
        return self.changed(number, sections=tuple(parts))


def pack(record, video):
    """GroupRecord.pack without validation."""
    out = uvarint(record.number) + uvarint(record.chain) + bytes([record.model, record.inheritance])
    out += uvarint(record.first_frame) + uvarint(len(record.pts)) + svarint(record.pts[0] if record.pts else 0)
    step = video.nominal_step
    for before, pts in zip(record.pts, record.pts[1:], strict=False):
        out += svarint(pts - before - step)
        step = pts - before
    out += record.pixel_hash + struct.pack(f"<{len(record.means)}H", *record.means)
    return out + pack_sections(record.sections)


def pack_sections(sections):
    return uvarint(len(sections)) + b"".join(bytes([s.kind]) + uvarint(len(s.data)) + s.data for s in sections)


def header(**fields):
    values = dict(major=0, minor=12, reserved=0, incompatible=0, compatible=0, advisory=1) | fields
    head = W.data[:8] + struct.pack("<BBHIII", *values.values())
    return head + struct.pack("<I", zlib.crc32(head)) + W.data[28:]


def flipped(data, place):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def model_bytes(config=None, tensors=None, model_id=None, exactness=None, index=0, of=None, origin=None, prior=b""):
    """A model record, of the worked example by default, changed, unchecked. tensors: () for no list of them at all."""
    record = (of or W).models[0]
    model_id = record.model_id if model_id is None else model_id
    config = list(record.config if config is None else config)
    tensors = record.tensors if tensors is None else tensors
    origin = record.origin if origin is None else origin
    exactness = record.exactness if exactness is None else exactness
    out = struct.pack("<BHBBI", index, model_id, exactness, origin, record.seed) + prior + uvarint(len(config))
    out += b"".join(map(uvarint, config))
    if tensors == ():
        return out
    out += uvarint(len(tensors))
    return out + b"".join(bytes([kind, len(shape)]) + b"".join(map(uvarint, shape)) for kind, shape in tensors)


def config(of=None, **change):
    return model_bytes(list({**(of or W).models[0].settings, **change}.values()), of=of)


def tables(*fields, k_code=0, order=0, tail=0):
    """A tables section: (value, width) fields after K code and escape order, then whole bytes."""
    bits = BitWriter()
    for value, width in ((k_code, 3), (order, 5), *fields):
        bits.fixed(value, width)
    return bits.getvalue() + bytes(tail)


def zeros(count):
    """A run of tensors that are coded ZERO."""
    return (0, 3), (count, 2 * count.bit_length() - 1)


def nothing(count):
    """Tensors of a mask of which no element is shared."""
    return ((0, 3),) * count


W, FLOATS, BIG = File("worked"), File("yuv444p8_floats"), File("escapes")
NERV, HNERV, ENERV = File("nerv"), File("hnerv"), File("enerv")
SINGLE = ((1, 3), (24, 6), (4, 6))
ONE_PAIR = (*SINGLE, *zeros(7))  # two symbols, those of tensor 0; the other tensors are zero
ESCAPED = tables(*ONE_PAIR, order=23)


@functools.cache
def block(symbols, d=4, z=24, k_max=1):
    """A right block, with its length."""
    from nvcodec.entropy import builtin as coder
    from nvcodec.entropy.tables import cdf_row

    data = coder.encode(list(symbols), [cdf_row(z, d, k_max).tolist()], [0] * len(symbols))
    return uvarint(len(data)) + data


def exp_golomb(value, order=23):
    bits = BitWriter()
    bits.exp_golomb(value, order)
    return bits.getvalue()


def lzma_raw(data, filters=None):
    chain = filters or [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 20, "lc": 3, "lp": 0, "pb": 0}]
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=chain)


def blob(data):
    """The first group alone, with that section BLOBS."""
    record = FLOATS.groups[0]
    record = dataclasses.replace(record, sections=(*record.sections[:-1], Section(BLOBS, data)))
    return FLOATS.join(FLOATS.modl, raw_chunk(b"GRUP", pack(record, FLOATS.video)), end(1, record.frame_count))


def zstd(data, **options):
    return b"\x01" + zstandard.ZstdCompressor(level=3, **options).compress(data)


FLOAT_COUNT = sum(t.size for t in FLOATS.models[0].tensors if t.kind == 1)
NO_FLOATS = bytes(4 * FLOAT_COUNT)
NOT_FINITE = b"".join([bytes(2 * FLOAT_COUNT), b"\x80" * FLOAT_COUNT, b"\x7f" * FLOAT_COUNT])
END_MARK_LESS = lzma_raw(NO_FLOATS)[:-6]
META = functools.partial(raw_chunk, b"META")
TENSORS = W.models[0].tensors
NONE, PREVIOUS, *_ = Inheritance


def end(groups, frames):
    return raw_chunk(b"FEND", struct.pack("<IIQ", groups, frames, 0))


def framewise_changes():
    """(file, change of its configuration) out of the ranges of section 15."""
    for file in (NERV, HNERV, ENERV):
        for change in (
            {"group": 0}, {"group": 4097}, {"width": 0}, {"width": 8193}, {"lower": 0}, {"lower": 8193},
            {"reduction": 9}, {"reduction": 101}, {"s1": 0}, {"s1": 9}, {"s2": 0, "s4": 2}, {"s6": 2**63},
            {"s1": 5, "s2": 5},
        ):  # fmt: skip
            yield file, change
    for file in (NERV, ENERV):
        for change in ({"stem": 0}, {"stem": 8193}, {"levels": 0}, {"levels": 129}, {"base": 100}, {"base": 401}):
            yield file, change
        yield file, {"base": 400, "levels": 15}
    for file, name, most in ((HNERV, "embedding", 256), (ENERV, "space", 16)):
        yield file, {name: 0}
        yield file, {name: most + 1}


def cases():
    """(row, bytes): whole files that break one rule each."""
    whole, g0, g1 = W.data, *W.grup
    yield "H1", b"RIFF" + whole[4:]
    yield "H1", whole.replace(b"\r\n", b"\n")
    yield "H2", whole[:5]
    yield "H2", whole[:27]
    yield "H3", flipped(whole, 20)
    for version in ({"major": 1}, {"minor": 11}, {"minor": 13}):
        yield "H4", header(**version)
    yield "H5", header(reserved=1)
    yield "H6", header(incompatible=1 << 31)
    yield "C1", W.join(flipped(W.modl, 0), W.grup, W.fend)
    yield "C2", W.join(raw_chunk(b"GR P", b"", 1), W.modl, W.grup, W.fend)
    yield "C3", W.join(raw_chunk(b"xtra", b"", 3), W.modl, W.grup, W.fend)
    yield "C4", W.join(raw_chunk(b"WIND", b"", 0), W.modl, W.grup, W.fend)
    yield "C5", W.join(raw_chunk(b"MODL", W.modl[14:-4], 1), W.grup, W.fend)
    yield "C5", W.join(META(b"{}", 0), W.modl, W.grup, W.fend)
    yield "C6", W.header + raw_chunk(b"VIDI", W.vidi[14:-4] + b"\0") + W.modl + g0 + g1 + W.fend
    yield "C6", W.join(W.modl, W.grup, raw_chunk(b"FEND", bytes(15)))
    for kind, most in ((b"META", 2**16), (b"MODL", 2**16), (b"WNDW", 2**29), (b"GRUP", 2**29), (b"INDX", 2**26)):
        yield "C7", W.join(W.modl, W.grup, raw_chunk(kind, b"", length=most + 1))
    yield "C8", W.join(W.modl, flipped(g0, 40), g1, W.fend)
    yield "C8", W.join(flipped(raw_chunk(b"xtra", b"abc", 1), 15), W.modl, W.grup, W.fend)
    yield "C9", W.join(W.modl, W.grup)
    yield "C9", W.join(W.modl, g0, g1[:-1])
    yield "C9", W.join(W.modl, g0, g1[:5])
    yield "C10", W.header + W.modl + W.vidi + g0 + g1 + W.fend
    yield "C10", W.header + raw_chunk(b"xtra", b"", 1) + whole[28:]
    yield "C11", W.join(W.vidi, W.modl, W.grup, W.fend)
    yield "C12", W.join(W.modl, W.grup, W.indx, W.indx, W.fend)
    yield "C12", W.join(W.modl, g0, W.indx, g1, W.fend)
    yield "C13", W.join(META(b"{}"), META(b"{}"), W.modl, W.grup, W.fend)
    yield "C14", W.join(W.modl, g0, META(b"{}"), g1, W.fend)
    for text in ("[]", "", "{", '{"a":NaN}', '{"a":1e999}', '{"a":1,"a":2}', '{"a":18446744073709551616}', '"\\ud800"'):
        yield "C15", W.join(META(text.encode()), W.modl, W.grup, W.fend)
    yield "C15", W.join(META(b'{"a":"\xff"}'), W.modl, W.grup, W.fend)
    yield "C15", W.join(META(b'{"a":"\\udc00"}'), W.modl, W.grup, W.fend)
    yield "C16", W.join(META(b'{"a":' + b"[" * 16 + b"]" * 16 + b"}"), W.modl, W.grup, W.fend)
    yield "C17", whole + b"\0"
    yield "C18", W.join(W.modl, W.grup, end(3, 3))
    yield "C18", W.join(W.modl, W.grup, end(2, 4))
    yield "V1", W.with_video(0, 4, 0)
    yield "V1", W.with_video(4, 4, 0)
    yield "V2", W.with_video(0, 4, 2**15 + 1)
    yield "V2", W.with_video(0, 8, 2**14 << 32 | 2**13)
    for depth in (0, 9, 12, 16):
        yield "V3", W.with_video(8, 1, depth)
    for place, size, value in ((9, 1, 4), (10, 1, 3), (14, 1, 7), (16, 2, 360)):
        yield "V4", W.with_video(place, size, value)
    yield "V5", W.with_video(13, 1, 0)
    yield "V6", W.with_video(20, 4, 0)
    yield "V6", W.with_video(20, 8, 0)
    for place in (28, 32):
        yield "V7", W.with_video(place, 4, 0)
    yield "V7", W.with_video(36, 4, 1)
    yield "V8", W.with_video(15, 1, 1)
    yield "V8", W.with_video(18, 2, 1)
    yield "M1", W.with_model(model_bytes(model_id=0))
    yield "M1", W.with_model(model_bytes(model_id=6))
    yield "M2", W.with_model(model_bytes(exactness=2))
    yield "M3", W.with_model(model_bytes(config=W.models[0].config[:-1]))
    yield "M4", W.with_model(model_bytes(tensors=[(2, (1,))]))
    yield "M5", W.with_model(model_bytes(tensors=[(0, (1,) * 5)]))
    yield "M5", W.with_model(model_bytes(tensors=[(0, (1,))] * 1025))
    yield "M5", W.with_model(model_bytes(tensors=[(0, (2**26 + 1,))]))
    yield "M5", W.with_model(model_bytes(tensors=[(0, (2**26,) * 4)]))
    yield "M5", W.with_model(model_bytes(tensors=[(0, (2**25,))] * 3))
    for tensors in ([], [(0, ())], [(0, (3, 0))]):
        yield "M6", W.with_model(model_bytes(tensors=tensors))
    yield "M7", W.join(W.modl, W.modl, W.grup, W.fend)
    for varint in (b"\x80\x00", b"\xff" * 9 + b"\x02", b"\x80" * 10 + b"\x01"):
        yield "M8", W.with_model(model_bytes()[:10] + varint + model_bytes()[11:])
    yield "M9", W.with_model(model_bytes()[:-1])
    yield "M9", W.with_model(model_bytes() + b"\0")
    yield "M10", W.with_model(model_bytes(exactness=Exactness.EXACT))
    for change in (
        {"patch": 0},
        {"patch": 3},
        {"patch": 258},
        {"patch": 8},
        {"group": 0},
        {"group": 4097},
        {"width": 0},
        {"width": 8193},
        {"depth": 0},
        {"depth": 65},
        {"channels": 3},
        {"channels": 0},
        {"channels": 258},
        {"block_channels": 0},
        {"block_channels": 257},
        {"omega": 0},
        {"omega": 1001},
        {"conv_float": 2},
        {"patch": 2**63},
    ):
        yield "M11", W.with_model(config(**change))
    for file, change in framewise_changes():
        yield "M11", file.with_model(config(file, **change))
    large = raw_chunk(b"VIDI", struct.pack("<II", 200, 200) + ENERV.vidi[22:-4])
    yield "M11", ENERV.header + large + raw_chunk(b"MODL", config(ENERV, s1=2)) + b"".join(ENERV.grup) + ENERV.fend
    yield "M12", NERV.with_model(config(NERV, width=2))
    yield "M12", HNERV.with_model(model_bytes(model_id=2, config=NERV.models[0].config, of=HNERV))
    for file in (NERV, HNERV, ENERV):
        large = raw_chunk(b"VIDI", struct.pack("<II", 2**13, 2**13) + file.vidi[22:-4])
        wide = raw_chunk(b"MODL", config(file, width=64, lower=64, s1=8, s2=8, s3=8, s4=1))
        yield "M13", file.header + large + wide + file.grup[0] + end(1, file.groups[0].frame_count)
    yield "M12", W.with_model(config(width=2))
    yield "M12", W.with_model(model_bytes(tensors=TENSORS[:-1]))
    yield "M12", W.with_model(model_bytes(tensors=[*TENSORS[:-1], (1, (3,))]))
    yield "M12", W.with_model(config(patch=256, width=8192, channels=1024))
    for id_ in (3, 255):
        yield "M14", W.with_model(model_bytes(origin=id_))
    yield "G1", W.changed(1, number=2)
    yield "G1", W.join(W.modl, g1, g0, W.fend)
    yield "G2", W.changed(1, first_frame=1)
    yield "G2", W.changed(0, first_frame=1)
    yield "G3", W.changed(0, chain=1)
    yield "G3", W.changed(1, chain=2, inheritance=NONE)
    yield "G4", W.changed(0, inheritance=PREVIOUS)
    yield "G4", W.changed(1, chain=1)
    two = raw_chunk(b"MODL", model_bytes(index=1))
    other = dataclasses.replace(W.groups[1], model=1)
    yield "G5", W.join(W.modl, two, g0, raw_chunk(b"GRUP", pack(other, W.video)), W.fend)
    yield "G6", W.changed(1, model=1)
    yield "G6", W.join(g0, W.modl, g1, W.fend)
    for id_ in (4, 255):
        yield "G7", W.changed(1, inheritance=id_)
    yield "G8", W.changed(1, pts=())
    yield "G9", W.changed(1, pts=tuple(range(2, 2 + 4097)))
    yield "G9", W.changed(1, number=2**22)
    yield "G9", W.changed(1, first_frame=2**32 - 1)
    large = bytearray(W.vidi[14:-4])
    large[:8] = struct.pack("<II", 2**13, 2**13)
    many = raw_chunk(b"GRUP", pack(dataclasses.replace(W.groups[0], pts=tuple(range(9))), W.video))
    yield "G9", W.header + raw_chunk(b"VIDI", bytes(large)) + W.modl + many + W.fend
    yield "G10", W.changed(0, pts=(1, 1))
    yield "G10", W.changed(0, pts=(1, 0))
    yield "G10", W.changed(1, pts=(1,))
    yield "G11", W.changed(1, pts=(2**62,))
    yield "G11", W.changed(0, pts=(-(2**62), 1))
    yield "G12", W.changed(1, means=(16, 4081, 16))
    for id_ in (0, 7, 255):
        yield "G13", W.changed(1, sections=(Section(id_, b""),))
    yield "G14", W.changed(1, sections=W.groups[1].sections[::-1])
    yield "G14", W.changed(1, sections=(W.groups[1].sections[0],) * 2)
    yield "G15", W.changed(1, sections=(Section(1, b""),) * 5)
    yield "G16", W.with_group(1, pack(W.groups[1], W.video) + b"\0")
    yield "G16", W.with_group(1, pack(W.groups[1], W.video)[:-1])
    yield "G16", W.with_group(0, b"")
    yield "G17", W.sections(0, STEPS=None)
    yield "G18", W.sections(0, TABLES=None)
    yield "G18", W.sections(1, SYMBOLS=None)
    yield "G19", FLOATS.sections(0, BLOBS=None)
    yield "G19", W.sections(1, BLOBS=b"\0")
    yield "G20", W.sections(0, STEPS=svarint(257) + bytes(7))
    yield "G20", W.sections(0, STEPS=svarint(-1025) + bytes(7))
    yield "G21", W.sections(0, STEPS=bytes(7))
    yield "G21", W.sections(0, STEPS=bytes(9))
    yield "G22", HNERV.changed(0, pts=tuple(range(5)))
    yield "G23", W.sections(1, MASK=b"\x03" + bytes(3))
    for k_code in (6, 7):
        yield "E1", W.sections(1, TABLES=tables(*zeros(8), k_code=k_code), SYMBOLS=b"")
    yield "E2", W.sections(1, TABLES=tables(*zeros(8), order=24), SYMBOLS=b"")
    for id_ in (6, 7):
        yield "E3", W.sections(1, TABLES=tables((id_, 3), *zeros(7)), SYMBOLS=b"")
    yield "E4", W.sections(0, TABLES=tables((4, 3), (24, 6), (4, 6), *zeros(7)), SYMBOLS=block((2, 2)))
    for d in (48, 63):
        yield "E5", W.sections(1, TABLES=tables((1, 3), (24, 6), (d, 6), *zeros(7)), SYMBOLS=block((2, 2)))
    columns = (3, 3), (4, 4), (0, 2)  # tensor 0 has two columns; Rice order 0
    yield "E6", W.sections(1, TABLES=tables(*columns, (63, 6), (0b110, 3), *zeros(7)), SYMBOLS=block((2, 2)))
    yield "E6", W.sections(1, TABLES=tables(*columns, (0, 6), (0b10, 2), *zeros(7)), SYMBOLS=block((2, 2)))
    yield "E7", W.sections(1, TABLES=tables(*columns, (0, 6), (2**128 - 2, 128), *zeros(7)), SYMBOLS=block((2, 2)))
    yield "E8", W.sections(1, TABLES=tables(*zeros(5)), SYMBOLS=b"")
    yield "E8", W.sections(1, TABLES=b"", SYMBOLS=b"")
    yield "E8", W.sections(1, TABLES=tables(*zeros(8), tail=1), SYMBOLS=b"")
    yield "E8", W.sections(1, TABLES=tables(*ONE_PAIR, (1, 1)), SYMBOLS=block((2, 2)))
    yield "E19", W.sections(1, TABLES=tables(*zeros(9)), SYMBOLS=b"")
    yield "E19", W.sections(1, TABLES=tables(*SINGLE, *zeros(8)), SYMBOLS=block((2, 2)))
    yield "E20", W.sections(1, TABLES=tables((5, 3), *zeros(7)), SYMBOLS=block((2, 2)))
    good = block((1, 3))
    yield "E9", W.sections(1, TABLES=tables(*ONE_PAIR), SYMBOLS=flipped(good, len(good) - 1))
    yield "E9", W.sections(1, TABLES=tables(*ONE_PAIR), SYMBOLS=uvarint(len(good)) + good[1:] + b"\0")
    yield "E9", W.sections(1, TABLES=tables(*ONE_PAIR), SYMBOLS=b"\0")
    yield "E10", W.sections(1, TABLES=tables(*ONE_PAIR), SYMBOLS=good[:-1])
    yield "E10", W.sections(1, TABLES=tables(*ONE_PAIR), SYMBOLS=b"")
    yield "E10", W.sections(1, TABLES=tables(*ONE_PAIR), SYMBOLS=uvarint(2**64 - 1) + good[1:])
    escape = block((4, 2))
    yield "E11", W.sections(1, TABLES=ESCAPED, SYMBOLS=escape)
    yield "E11", W.sections(1, TABLES=ESCAPED, SYMBOLS=escape + exp_golomb(5)[:-1])
    yield "E11", W.sections(1, TABLES=ESCAPED, SYMBOLS=escape + exp_golomb(5) + b"\0")
    yield "E11", W.sections(1, TABLES=tables(*ONE_PAIR, order=0), SYMBOLS=escape + b"\x81")
    yield "E11", W.sections(1, TABLES=tables(*ONE_PAIR, order=0), SYMBOLS=good + b"\0")
    yield "E12", W.sections(1, TABLES=ESCAPED, SYMBOLS=escape + exp_golomb(2**24 - 2))
    yield "E12", W.sections(1, TABLES=tables(*ONE_PAIR, order=0), SYMBOLS=escape + bytes(100) + b"\1")
    last = tables(*zeros(7), *SINGLE, order=23)
    yield "E13", BIG.sections(1, TABLES=last, SYMBOLS=block((4, 2, 2)) + exp_golomb(2**23))  # on top of 2^24 - 1000
    yield "B1", blob(b"")
    yield "B2", blob(b"\3" + NO_FLOATS)
    yield "B3", blob(b"\0" + NO_FLOATS[1:])
    yield "B3", blob(b"\0" + NO_FLOATS + b"\0")
    yield "B3", blob(zstd(NO_FLOATS + b"\0"))
    yield "B3", blob(zstd(NO_FLOATS[1:]))
    yield "B3", blob(zstd(NO_FLOATS, write_content_size=False))
    yield "B3", blob(b"\2" + lzma_raw(NO_FLOATS + b"\0"))
    yield "B3", blob(b"\2" + lzma_raw(NO_FLOATS[1:]))
    yield "B4", blob(zstd(NO_FLOATS) + b"\0")
    yield "B4", blob(zstd(NO_FLOATS)[:-1])
    yield "B4", blob(b"\1" + bytes(20))
    yield "B4", blob(b"\1")
    yield "B4", blob(b"\2\xff" + lzma_raw(NO_FLOATS)[1:])
    yield "B4", blob(b"\2" + lzma_raw(NO_FLOATS) + b"\0")
    yield "B5", blob(b"\2" + END_MARK_LESS)
    yield "B5", blob(b"\2")
    yield "B6", blob(b"\0" + NOT_FINITE)
