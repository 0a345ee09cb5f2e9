"""Whole files that break one rule of windows each; the rest are in reject_cases."""

import dataclasses
import functools

from bitstream_samples import raw_chunk, spans
from reject_cases import (
    BLOBS,
    META,
    File,
    W,
    block,
    config,
    end,
    flipped,
    model_bytes,
    nothing,
    pack,
    pack_sections,
    tables,
    zeros,
)

from nvcodec.bitstream.fields import svarint, uvarint
from nvcodec.bitstream.group_records import Section, WindowRecord
from nvcodec.bitstream.registry import Exactness, Inheritance, SectionKind
from nvcodec.entropy.bits import BitWriter

STEPS, TABLES, SYMBOLS, _, MASK, FRAMES = SectionKind
WINDOW, WINDOW_PREVIOUS = Inheritance.WINDOW, Inheritance.WINDOW_PREVIOUS


@functools.cache
def mask_block(symbols):
    """A right block of a mask at even odds, with its length."""
    from nvcodec.entropy import builtin as coder

    data = coder.encode(list(symbols), [[0, 32768, 65536]], [0] * len(symbols))
    return uvarint(len(data)) + data


def mask(*fields, tail=b"", blocks=b""):
    """A mask section: (value, width) fields of its header, then whole bytes of it, then blocks."""
    bits = BitWriter()
    for value, width in fields:
        bits.fixed(value, width)
    header = bits.getvalue() + tail
    return uvarint(len(header)) + header + blocks


def window(first_group=0, groups=1, model=0, shared=2, sections=None, tail=b""):
    """A window of the worked example's model that shares its first tensor, changed, unchecked."""
    payload = uvarint(first_group) + uvarint(groups) + bytes([model]) + uvarint(shared)
    return raw_chunk(b"WNDW", payload + pack_sections(SHARE if sections is None else sections) + tail)


def grup(number, **change):
    """A group of the worked example that shares the first tensor, changed, unchecked."""
    sections = (Section(TABLES, tables(*zeros(7))), Section(SYMBOLS, b""))
    record = dataclasses.replace(W.groups[number], **{"inheritance": WINDOW, "sections": sections, **change})
    return raw_chunk(b"GRUP", pack(record, W.video))


SHARE = (
    Section(STEPS, W.groups[0].section(STEPS)),
    Section(TABLES, tables(*zeros(1))),
    Section(SYMBOLS, b""),
    Section(MASK, mask((1, 3), *nothing(7))),
)
SHARED = grup(0)


def window_cases():
    """(row, bytes): windows, and groups that share them."""
    (g0, g1), modl, fend = W.grup, W.modl, W.fend
    yield "C14", W.join(modl, window(), META(b"{}"), SHARED, g1, fend)
    yield "G4", W.join(modl, window(), grup(0, inheritance=WINDOW_PREVIOUS), g1, fend)
    two = raw_chunk(b"MODL", model_bytes(index=1))
    yield "W1", W.join(modl, window(1), SHARED, g1, fend)
    yield "W1", W.join(modl, g0, window(0), grup(1), fend)
    yield "W2", W.join(modl, window(groups=2), SHARED, window(1), grup(1), fend)
    yield "W3", W.join(modl, window(groups=3), SHARED, grup(1, inheritance=WINDOW_PREVIOUS), fend)
    yield "W3", W.join(modl, W.grup, window(2), fend)
    for change in ({"groups": 0}, {"shared": 0}):
        yield "W4", W.join(modl, window(**change), SHARED, g1, fend)
    for change in (
        {"first_group": 2**22},
        {"groups": 2**22 + 1},
        {"first_group": 2**22 - 1, "groups": 2},
        {"shared": 2**26 + 1},
        {"shared": 2**64 - 1},
    ):
        yield "W5", W.join(modl, window(**change), SHARED, g1, fend)
    yield "W6", W.join(modl, window(model=1), SHARED, g1, fend)
    yield "W7", W.join(modl, window(), g0, g1, fend)
    yield "W7", W.join(modl, window(groups=2), SHARED, g1, fend)
    for id_ in (WINDOW, WINDOW_PREVIOUS):
        yield "W8", W.join(modl, g0, grup(1, inheritance=id_), fend)
    yield "W8", W.join(modl, window(), SHARED, grup(1), fend)
    yield "W9", W.join(modl, two, window(), grup(0, model=1), g1, fend)
    yield "W9", W.join(modl, two, window(groups=2), SHARED, grup(1, model=1), fend)
    yield "W10", W.join(modl, g0, window(1), grup(1, inheritance=WINDOW_PREVIOUS), fend)
    yield "W11", W.join(modl, window(groups=2), SHARED, grup(1, chain=1), fend)
    for id_ in (0, 7, 255):
        yield "W12", W.join(modl, window(sections=(Section(id_, b""),)), SHARED, g1, fend)
    for sections in (SHARE[::-1], SHARE[:1] * 2):
        yield "W13", W.join(modl, window(sections=sections), SHARED, g1, fend)
    yield "W14", W.join(modl, window(sections=(*SHARE, Section(6, b""))), SHARED, g1, fend)
    yield "W15", W.join(modl, window(tail=b"\0"), SHARED, g1, fend)
    for size in (0, 3, len(window()) - 19):
        yield "W15", W.join(modl, raw_chunk(b"WNDW", window()[14 : 14 + size]), SHARED, g1, fend)
    for place in range(4):
        fewer = (*SHARE[:place], *SHARE[place + 1 :])
        yield "W16", W.join(modl, window(sections=fewer), SHARED, g1, fend)
        if place < 3:
            more = (*fewer[:2], Section(BLOBS, b"\0"), fewer[2])
            yield "W16", W.join(modl, window(sections=more), SHARED, g1, fend)
    yield "W16", W.join(modl, window(sections=(*SHARE[:2], SHARE[3], Section(FRAMES, b""))), SHARED, g1, fend)
    for shared in (1, 3, 2**26):
        yield "W17", W.join(modl, window(shared=shared), SHARED, g1, fend)
    context = Section(TABLES, tables((4, 3), (24, 6), (4, 6)))
    broken = (SHARE[0], context, Section(SYMBOLS, block((2, 2))), SHARE[3])
    yield "E4", W.join(modl, window(sections=broken), SHARED, g1, fend)
    own = (Section(TABLES, tables((4, 3), (24, 6), (4, 6), *zeros(6))), Section(SYMBOLS, block((2, 2))))
    yield "E4", W.join(modl, window(groups=2), SHARED, grup(1, sections=own), fend)


def mask_cases():
    """(row, bytes): masks, of which the first tensor has two columns and the second is of rank 1."""

    def file(data, **change):
        return W.join(W.modl, window(sections=(*SHARE[:3], Section(MASK, data)), **change), SHARED, W.grup[1], W.fend)

    for id_ in (6, 7):
        yield "E14", file(mask((id_, 3), *nothing(7)))
    for id_ in (3, 4, 5):
        yield "E15", file(mask((1, 3), (id_, 3), (0, 2), (32, 6), (0, 2), (32, 6), *nothing(6)))
    columns = (4, 3), (0, 2)  # Rice order 0
    yield "E16", file(mask(*columns, (63, 6), (0b110, 3), *nothing(7)))
    yield "E16", file(mask(*columns, (0, 6), (0b10, 2), *nothing(7)))
    yield "E16", file(mask(*columns, (0, 6), (2**128 - 2, 128), *nothing(7)))
    single = (2, 3), (32, 6), *nothing(7)
    both = mask_block((1, 1))
    yield "E17", file(b"")
    yield "E17", file(b"\x04\x20\x00\x00")
    yield "E17", file(mask((1, 3), *nothing(4)))
    yield "E17", file(mask((1, 3), *nothing(7), tail=b"\0"))
    yield "E17", file(mask(*single, (1, 1), blocks=both))
    yield "E18", file(mask(*single))
    yield "E18", file(mask(*single, blocks=both[:-1]))
    yield "E18", file(mask(*single, blocks=flipped(both, len(both) - 1)))
    yield "E18", file(mask(*single, blocks=both + b"\0"))
    yield "E18", file(mask((1, 3), *nothing(7), blocks=b"\0"))
    yield "W17", file(mask(*single, blocks=mask_block((1, 0))))
    yield "W17", file(mask(*nothing(8)))


# Vectors with windows, changed ----------------------------------------------------------------------------------------

S = File("worked_window")  # one window of two groups: WINDOW, WINDOW_PREVIOUS
V = File("windows")  # group 0 in none, a window of groups 1 and 2, PREVIOUS, NONE, more windows


def edit(file, kind, which, new):
    """The file with one chunk replaced by others."""
    start, stop = [(start, stop) for found, start, stop in spans(file.data) if found == kind][which]
    return file.data[:start] + new + file.data[stop:]


def chunk(file, kind, which=0):
    """One chunk of a type."""
    start, stop = [(start, stop) for found, start, stop in spans(file.data) if found == kind][which]
    return file.data[start:stop]


def edit_group(file, which, **change):
    """One group's record changed."""
    record = dataclasses.replace(file.groups[which], **change)
    return edit(file, b"GRUP", which, raw_chunk(b"GRUP", pack(record, file.video)))


def replaced(sections, **data):
    """Some sections replaced."""
    have = {section.kind.name: section.data for section in sections} | data
    return tuple(Section(kind, have[kind.name]) for kind in SectionKind if kind.name in have)


def vector_cases():
    """(row, bytes): vectors with one fault each."""
    wndw, (g0, g1) = chunk(S, b"WNDW"), S.grup
    record, first = (WindowRecord.unpack(chunk(file, b"WNDW")[14:-4]) for file in (S, V))

    def changed(**change):
        return edit(S, b"WNDW", 0, window(**{**vars(record), **change}))

    def with_sections(**data):
        return changed(sections=replaced(record.sections, **data))

    def group_sections(which, **data):
        return edit_group(S, which, sections=replaced(S.groups[which].sections, **data))

    def model(payload):
        return edit(S, b"MODL", 0, raw_chunk(b"MODL", payload))

    yield "C5", S.join(S.modl, raw_chunk(b"WNDW", wndw[14:-4], 1), S.grup, S.fend)
    yield "C8", edit(S, b"WNDW", 0, flipped(wndw, 40))
    for rest in (wndw, wndw[:-1], wndw + g0):
        yield "C9", S.join(S.modl, rest)
    yield "C10", S.header + wndw + S.vidi + S.modl + g0 + g1 + S.fend
    yield "C12", W.join(W.modl, W.grup, W.indx, window(2), W.fend)
    yield "M10", model(model_bytes(exactness=Exactness.EXACT, of=S))
    yield "M11", model(config(S, patch=3))
    yield "M12", model(config(S, width=2))
    yield "G4", edit_group(S, 0, inheritance=Inheritance.PREVIOUS)
    yield "G20", with_sections(STEPS=svarint(257) + bytes(7))
    yield "G20", group_sections(0, STEPS=svarint(-1025) + bytes(7))
    yield "G21", with_sections(STEPS=bytes(7))
    yield "G21", with_sections(STEPS=bytes(9))
    yield "G23", group_sections(0, MASK=record.section(MASK))
    yield "W1", edit(V, b"WNDW", 0, chunk(V, b"WNDW") + V.grup[1])
    yield "W1", V.join(V.modl, chunk(V, b"WNDW"), V.grup[0])
    yield "W2", S.join(S.modl, wndw, wndw, S.grup, S.fend)
    yield "W3", S.join(S.modl, wndw, end(0, 0))
    yield "W3", S.join(S.modl, wndw, g0, end(1, 1))
    yield "W5", edit(V, b"WNDW", 0, window(**{**vars(first), "groups": 2**22}))
    yield "W6", S.join(wndw, S.modl, S.grup, S.fend)
    yield "W7", edit_group(S, 1, inheritance=Inheritance.PREVIOUS)
    yield "W8", edit_group(V, 3, inheritance=WINDOW_PREVIOUS)
    yield "W8", edit_group(V, 4, inheritance=WINDOW)
    yield "W10", edit_group(V, 1, inheritance=WINDOW_PREVIOUS)
    yield "E4", group_sections(0, TABLES=tables((4, 3), (24, 6), (4, 6), *zeros(6)), SYMBOLS=block((2, 2)))
    yield "E19", with_sections(TABLES=tables(*zeros(8)), SYMBOLS=b"")  # four tensors have shared elements
    section = record.section(MASK)
    header, blocks = section[: 1 + section[0]], section[1 + section[0] :]
    yield "E17", with_sections(MASK=header[:-1])
    yield "E17", with_sections(MASK=uvarint(2**64 - 1) + section[1:])
    yield "E17", with_sections(MASK=flipped(header, len(header) - 1) + blocks)
    yield "E18", with_sections(MASK=header + b"\0")
    yield "E18", with_sections(MASK=header + uvarint(2**64 - 1) + blocks[1:])
