"""Whole files that break one rule of coded frames each, most of them the smallest vector of model 5, changed."""

import dataclasses
import functools
import struct

import numpy as np
import torch
from bitstream_samples import raw_chunk
from reject_cases import File, W, config, end, exp_golomb, model_bytes, pack, tables, zeros
from reject_window_cases import SHARE, pack_sections

from nvcodec.bitstream.fields import uvarint
from nvcodec.bitstream.frames import FramesSection
from nvcodec.bitstream.registry import Exactness, Inheritance, Origin, SectionKind
from nvcodec.decode.state import apply_network, encode_network, initial_state
from nvcodec.encode.symbols import Writer
from nvcodec.entropy import rans
from nvcodec.limits import MAX_MAGNITUDE
from nvcodec.models.base import create_frame_model

STEPS, TABLES, SYMBOLS, BLOBS, MASK, FRAMES = SectionKind
M = File("mc_tiny")  # a group of two frames, then one of one frame that inherits and has no residuals
INTRA, OWN, NO_LEVELS = 1, 16, 0
EMPTY = rans.Encoder().finish(1)  # a stream without symbols
CHANNELS = (
    "flow", "width", "half", "coarse", "middle", "fine", "intra_width", "intra_half", "intra_coarse", "intra_middle",
    "intra_low", "intra_medium", "intra_high",
)  # fmt: skip
LATENTS = (
    "intra.near5", "intra.latent5", "intra.near3b", "intra.near3c", "intra.direct5", "intra.direct4", "intra.direct3",
    "intra.direct2", "inter.latent2", "inter.direct2",
)  # fmt: skip
"""Layers that latents come into."""


@functools.cache
def network():
    """The model of M, its initial state and that of its first group."""
    record = M.models[0]
    model = create_frame_model(record.name, record.config, M.video.height, M.video.width)
    initial = initial_state(model.tensors, record.seed, record.origin)
    return model, initial, apply_network(initial, M.groups[0])


def changed(name, value):
    """The integers after the second group where it sets the first element of a tensor."""
    model, _, state = network()
    number = next(i for i, tensor in enumerate(model.tensors) if tensor.name == name)
    latents = [q.copy() for q in state.latents]
    latents[number].reshape(-1)[0] = value
    return latents


def with_weight(name, value, **sections):
    """The second group sets the first element of a tensor, and has other sections."""
    coded = encode_network(network()[2], changed(name, value), False).sections
    return M.sections(1, **{section.kind.name: section.data for section in coded}, **sections)


def frames(payload):
    """The second group has that section FRAMES."""
    return M.sections(1, FRAMES=payload)


def header(flags=INTRA, quality=0, offsets=b"", own=b"", split=0):
    """What stands before the streams of the second group, or their lengths."""
    return bytes([quality, split]) + uvarint(len(offsets)) + offsets + bytes([flags]) + own


def without_symbols(stream):
    """An intra frame of which nothing is coded."""
    return frames(header() + stream)


BIASED = "intra.first5.bias", 3000  # so that the location of the first latent is not 0


@functools.cache
def one_law():
    """(row, floor) of the only symbol of an intra frame with latents of the coarsest level: its grid is one cell."""
    model, *_ = network()
    latents = changed(*BIASED)
    values = {tensor.name: torch.from_numpy(q).float() for tensor, q in zip(model.tensors, latents, strict=True)}
    writer = Writer({"latent5": torch.zeros(1, 1, 1, 1)})
    model.picture(values, model.tuning(values, True, 0), None, writer, levels=(5,))
    (row, r), *rest = writer.passes
    assert len(row) == 1 and not any(len(rows) for rows, _ in rest)
    return row, -int(r[0])


def one_symbol(r, escapes=None):
    """The file with that symbol, and with other escapes."""
    encoder = rans.Encoder()
    encoder.put(one_law()[0], np.array([r]))
    stream = encoder.finish(1)
    if escapes is not None:
        stream = stream[: 2 + 4 + 2 * stream[1]] + escapes
    return with_weight(*BIASED, FRAMES=header(INTRA | 2) + stream)


def valid_frames():
    """Files that are at the edge of the rules."""
    yield M.data
    yield without_symbols(EMPTY)
    yield frames(header(INTRA | OWN, own=b"\x5f") + EMPTY)
    yield frames(header(INTRA, 95, bytes(range(240, 256))) + EMPTY)
    yield frames(header(split=1) + uvarint(len(EMPTY)) + EMPTY)
    yield frames(header(split=2) + uvarint(len(EMPTY)) + bytes(2) + EMPTY)
    yield frames(header() + uvarint(256) + b"\0" + struct.pack("<I", 2**16) * 256)
    assert one_law()[1] > 0
    yield one_symbol(-MAX_MAGNITUDE)
    yield one_symbol(MAX_MAGNITUDE - one_law()[1])
    for name in ("intra.steps", "inter.steps"):
        yield with_weight(name, 4095)
    for name in LATENTS:
        yield with_weight(f"{name}.weight", 3000)
    count = len(network()[0].tensors)
    yield M.sections(1, TABLES=tables(*zeros(count)), SYMBOLS=b"")


def frame_cases():
    """(row, bytes): model records, groups and windows of model 5."""
    yield "M10", W.with_model(model_bytes(exactness=Exactness.EXACT))
    yield "M10", M.with_model(model_bytes(exactness=Exactness.FLOAT, of=M))
    for name in CHANNELS:
        for value in (0, 257, 2**63):
            yield "M11", M.with_model(config(M, **{name: value}))
    for value in (0, 4097):
        yield "M11", M.with_model(config(M, group=value))
    large = raw_chunk(b"VIDI", struct.pack("<II", 2**13, 2**13) + M.vidi[22:-4])
    for name in ("half", "intra_half"):
        wide = raw_chunk(b"MODL", config(M, **{name: 256}))
        yield "M13", M.header + large + wide + M.grup[0] + end(1, 2)
    for file in (W, M):
        yield "M15", file.with_model(model_bytes(origin=Origin.PRIOR, prior=bytes(8), of=file))
    yield "M9", M.with_model(model_bytes(of=M)[:9])
    listed = [(t.kind, t.shape) for t in network()[0].tensors]
    for tensors in ([], listed[:1], listed):
        yield "M9", M.with_model(model_bytes(tensors=tensors, of=M))
    for chroma in (2, 3):
        yield "M16", M.with_video(9, 1, chroma)
    yield "G18", M.sections(0, TABLES=None)
    yield "G18", M.sections(0, SYMBOLS=None)
    yield "G19", M.sections(1, BLOBS=b"\0")
    yield "G22", M.changed(0, pts=(0, 1, 2))
    yield "G23", M.sections(1, MASK=b"\0")
    yield "G24", M.sections(0, FRAMES=None)
    yield "G24", M.sections(1, FRAMES=None)
    yield "G24", W.sections(1, FRAMES=M.groups[1].section(FRAMES))
    steps = bytes(len(network()[0].tensors))
    yield "G25", M.sections(0, STEPS=steps)
    yield "G25", M.sections(1, STEPS=steps)
    for name in LATENTS:
        parts = 8 if name.startswith("intra.direct") else 1
        yield "G26", with_weight(f"{name}.weight", 4097 * parts)  # by 4095 alone it is 2^24
    for name in ("intra.picture.bias", "intra.first3c.bias", "intra.direct5.bias", "flow.out.bias"):
        yield "G26", with_weight(name, -65536)
    for name in ("flow.near.weight", "intra.mix1.weight", "intra.mid3b.weight"):
        yield "G26", with_weight(name, 8197)  # by 2047
    yield "G26", with_weight("inter.sense2.weight", 2**23)
    for name in ("intra.steps", "inter.steps"):
        for value in (0, -1, 4096):
            yield "G27", with_weight(name, value)
    yield "G27", M.sections(0, TABLES=None, SYMBOLS=None)  # origin ZERO
    payload = uvarint(0) + uvarint(1) + bytes([0]) + uvarint(1) + pack_sections(SHARE)
    shared = dataclasses.replace(M.groups[0], inheritance=Inheritance.WINDOW)
    yield "W18", M.join(M.modl, raw_chunk(b"WNDW", payload), raw_chunk(b"GRUP", pack(shared, M.video)), end(1, 2))
    yield "W8", M.changed(0, inheritance=Inheritance.WINDOW)


def payload_cases():
    """(row, bytes): the section FRAMES."""
    stream = FramesSection.unpack(M.groups[1].section(FRAMES), 1).streams[0]
    for quality in (96, 255):
        yield "F1", frames(header(quality=quality) + EMPTY)
        yield "F1", frames(header(INTRA | OWN, own=bytes([quality])) + EMPTY)
    yield "F2", frames(header(offsets=bytes(17)) + EMPTY)
    yield "F2", frames(b"\0\0" + uvarint(2**64 - 1) + b"\1" + EMPTY)
    for bit in (5, 6, 7):
        yield "F3", frames(header(INTRA | 1 << bit) + EMPTY)
    first = M.groups[0].section(FRAMES)
    flags = 3 + first[2]
    yield "F4", M.sections(0, FRAMES=first[:flags] + bytes([first[flags] & 0xFE]) + first[flags + 1 :])
    for cut in range(4):
        yield "F5", frames(header()[:cut])
    yield "F5", frames(b"\0\0\3\1\1")
    for length in (len(EMPTY) + 1, 2**64 - 1):
        yield "F5", frames(header(split=1) + uvarint(length) + EMPTY)
    yield "F5", frames(header(split=2) + uvarint(len(EMPTY)) + bytes(1))
    yield "F5", frames(header(INTRA | OWN))
    for split in (3, 7):
        yield "F13", frames(header(split=split) + EMPTY)
    for layout in (8, 16, 64, 128, 255):
        yield "F15", frames(header(split=layout) + EMPTY)
    yield "F14", frames(header(split=1) + uvarint(len(EMPTY)) + 2 * EMPTY)
    yield "F14", frames(header(split=2) + uvarint(len(EMPTY)) + bytes([0, 1]) + EMPTY + b"\0")
    for lanes in (0, 257, 2**64 - 1):
        yield "F6", without_symbols(uvarint(lanes) + EMPTY[1:] + bytes(2000))
    for cut in range(len(EMPTY)):
        yield "F7", without_symbols(EMPTY[:cut])
    for words in (1, 2**64 - 1):
        yield "F7", without_symbols(b"\1" + uvarint(words) + EMPTY[2:])
    yield "F7", without_symbols(b"\2" + EMPTY[1:])
    for state in (0, 2**16 - 1):
        yield "F8", without_symbols(b"\1\0" + struct.pack("<I", state))
    lanes, words = stream[0], stream[1]
    start = 2 + 4 * lanes
    assert 0 < words < 127 and lanes < 128
    rest = stream[2:start], stream[start : start + 2 * words], stream[start + 2 * words :]
    inter = M.groups[1].section(FRAMES)[: -len(stream)]
    yield "F9", frames(inter + bytes([lanes, words - 1]) + rest[0] + rest[1][:-2] + rest[2])
    yield "F9", frames(inter + bytes([lanes, words + 1]) + rest[0] + rest[1] + b"\0\0" + rest[2])
    yield "F9", without_symbols(b"\1\1" + EMPTY[2:] + b"\0\0")
    for state in (2**16 + 1, 2**32 - 1):
        yield "F10", without_symbols(b"\1\0" + struct.pack("<I", state))
    yield "F11", one_symbol(200, exp_golomb(2**24, 2))
    yield "F11", one_symbol(200, bytes(60) + b"\1")
    yield "F11", one_symbol(MAX_MAGNITUDE - one_law()[1] + 1)
    yield "F12", one_symbol(200, b"")
    yield "F12", one_symbol(200, exp_golomb(100, 2) + b"\0")
    yield "F12", one_symbol(200, exp_golomb(100, 2)[:-1])
    yield "F12", one_symbol(200, exp_golomb(0, 2)[:-1] + bytes([exp_golomb(0, 2)[-1] | 1]))
    for tail in (b"\0", b"\x80"):
        yield "F12", without_symbols(EMPTY + tail)
