"""The frames of a group of model 5: sections 16.4 and 16.5 of the specification."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .container import Cursor, Video, need
from .layers import Picture
from .mc import LEVELS, QUALITIES, Ints, Mc, Weights, layer_of, read_field, read_picture
from .motion import followed, hints_of, midway, predict, to_picture, to_planes
from .rans import Stream


class Place(NamedTuple):
    """A frame in coding order."""

    frame: int
    references: tuple[int, ...]
    depth: int
    piece: int = 0


def between(a: int, b: int, depth: int, piece: int = 0) -> Iterator[Place]:
    """The frames between two."""
    if b - a >= 2:
        m = (a + b) // 2
        yield Place(m, (a, b), depth, piece)
        yield from between(a, m, depth + 1, 2 * piece)
        yield from between(m, b, depth + 1, 2 * piece + 1)


def coding_order(count: int, carried: bool, halves: bool) -> list[Place]:
    """Section 16.5; carried: with inheritance PREVIOUS."""
    first, last = (-1 if carried else 0), count - 1
    start = [] if carried else [Place(0, (), 0)]
    middle = (first + last) // 2
    if halves and last - first >= 2:
        ends = [Place(middle, (first,), 1), Place(last, (middle,), 1)]
        return [*start, *ends, *between(first, middle, 3, 0), *between(middle, last, 3, 1)]
    return [*start, *([Place(last, (first,), 1)] if last > first else []), *between(first, last, 2)]


def part_of(place: Place, split: int) -> int:
    """The part of the section that a frame is in."""
    return 0 if place.depth < 2 + split else place.piece >> place.depth - 2 - split


def guess_of(place: Place, moves: dict[tuple[int, int], Ints]) -> Ints | None:
    """The guess of the first field of a frame (section 16.9)."""
    if len(place.references) < 2:
        return None
    a, b = place.references
    if (b, a) in moves:
        return midway(followed(moves[b, a], b - place.frame, b - a), a, place.frame, b)
    if (a, b) in moves:
        return midway(-followed(moves[a, b], place.frame - a, b - a), a, place.frame, b)
    return None


def decode_frames(
    model: Mc, weights: Weights, data: bytes, count: int, carried: Picture | None, video: Video
) -> list[Picture]:
    """The planes of all frames, by place; carried: the last frame of the group before, with inheritance PREVIOUS."""
    cursor = Cursor(data)
    base = cursor.u8()
    need(base < QUALITIES, "quality")
    layout = cursor.u8()
    need(layout < 8, "reserved bits of the layout")
    split = layout & 3
    need(split <= 2, "split")
    order = coding_order(count, carried is not None, layout >= 4)
    depths = cursor.uvarint()
    need(depths <= 16, "offsets")
    offsets = list(cursor.take(depths))
    heads = []
    for place in order:
        flags = cursor.u8()
        need(flags < 32, "reserved flags of a frame")
        need(bool(flags & 1 or place.references), "a frame without references that is not INTRA")
        offset = offsets[min(place.depth, len(offsets) - 1)] if offsets else 0
        quality = cursor.u8() if flags & 16 else min(QUALITIES - 1, base + offset)
        need(quality < QUALITIES, "own quality")
        network = "intra" if flags & 1 else "inter"
        heads.append(
            (bool(flags & 1), {level for k, level in enumerate(LEVELS[network]) if flags >> k + 1 & 1}, quality)
        )
    lengths = [cursor.uvarint() for _ in range(2**split - 1)]
    parts = [cursor.take(length) for length in lengths]
    parts.append(cursor.take(len(data) - cursor.at))
    used = {part_of(place, split) for place in order}
    need(not any(part for number, part in enumerate(parts) if number not in used), "a part without frames has bytes")
    streams = {number: Stream(parts[number]) for number in sorted(used)}
    nothing = np.zeros((2, -(-video.height // 16), -(-video.width // 16)), np.int64)
    decoded: dict[int, Picture] = {} if carried is None else {-1: carried}
    moves: dict[tuple[int, int], Ints] = {}  # the field of a frame to a reference
    flow = layer_of(weights, "flow")
    pairs = list(zip(order, heads, strict=True))
    for place, (intra, levels, quality) in sorted(pairs, key=lambda pair: pair[0].depth >= 2 + split):
        stream = streams[part_of(place, split)]
        prediction = None
        if not intra:
            pictures = [to_picture(decoded[reference], video) for reference in place.references]
            guess = guess_of(place, moves)
            through = nothing if guess is None else (guess + 4) // 8
            fields = [read_field(stream, flow, guess, hints_of(pictures, through, place.depth, quality, 0))]
            if len(pictures) == 2:
                hints = hints_of(pictures, fields[0], place.depth, quality, 1)
                fields.append(read_field(stream, flow, -8 * fields[0], hints))
            moves |= {(place.frame, r): field for r, field in zip(place.references, fields, strict=True)}
            prediction = predict(pictures, fields)
        picture = read_picture(stream, model, weights, (video.height, video.width), prediction, levels, quality)
        decoded[place.frame] = to_planes(picture, video)
    for stream in streams.values():
        stream.finish()
    return [decoded[t] for t in range(count)]
