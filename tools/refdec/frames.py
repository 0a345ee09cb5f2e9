"""The frames of a group of model 5: sections 16.4 and 16.5 of the specification."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .container import Cursor, Video, need
from .layers import Picture
from .mc import (
    LEVELS,
    QUALITIES,
    Ints,
    Mc,
    Weights,
    layer_of,
    midway,
    predict,
    read_field,
    read_picture,
    to_picture,
    to_planes,
)
from .rans import Stream


class Place(NamedTuple):
    """A frame in coding order."""

    frame: int
    references: tuple[int, ...]
    depth: int


def between(a: int, b: int, depth: int) -> Iterator[Place]:
    """The frames between two."""
    if b - a >= 2:
        m = (a + b) // 2
        yield Place(m, (a, b), depth)
        yield from between(a, m, depth + 1)
        yield from between(m, b, depth + 1)


def coding_order(count: int, carried: bool) -> list[Place]:
    """Section 16.5; carried: with inheritance PREVIOUS."""
    last = count - 1
    if carried:
        return [Place(last, (-1,), 1), *between(-1, last, 2)]
    return [Place(0, (), 0), *([Place(last, (0,), 1)] if last else []), *between(0, last, 2)]


def guess_of(place: Place, moves: dict[tuple[int, int], Ints]) -> Ints | None:
    """The guess of the first field of a frame (section 16.9)."""
    if len(place.references) < 2:
        return None
    a, b = place.references
    if (b, a) in moves:
        return midway(moves[b, a], a, place.frame, b)
    return midway(-moves[a, b], a, place.frame, b) if (a, b) in moves else None


def decode_frames(
    model: Mc, weights: Weights, data: bytes, count: int, carried: Picture | None, video: Video
) -> list[Picture]:
    """The planes of all frames, by place; carried: the last frame of the group before, with inheritance PREVIOUS."""
    order = coding_order(count, carried is not None)
    cursor = Cursor(data)
    base = cursor.u8()
    need(base < QUALITIES, "quality")
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
        heads.append((bool(flags & 1), {level for level in LEVELS if flags >> 5 - level & 1}, quality))
    stream = Stream(cursor.take(len(data) - cursor.at))
    grid = -(-video.height // 16), -(-video.width // 16)
    decoded: dict[int, Picture] = {} if carried is None else {-1: carried}
    moves: dict[tuple[int, int], Ints] = {}  # the field of a frame to a reference
    flow = layer_of(weights, "flow")
    for place, (intra, levels, quality) in zip(order, heads, strict=True):
        prediction = None
        if not intra:
            fields = [read_field(stream, flow, *grid, guess_of(place, moves))]
            if len(place.references) == 2:
                fields.append(read_field(stream, flow, *grid, -8 * fields[0]))
            moves |= {(place.frame, r): field for r, field in zip(place.references, fields, strict=True)}
            pictures = [to_picture(decoded[reference], video) for reference in place.references]
            prediction = predict(pictures, fields)
        picture = read_picture(stream, model, weights, (video.height, video.width), prediction, levels, quality)
        decoded[place.frame] = to_planes(picture, video)
    stream.finish()
    return [decoded[t] for t in range(count)]
