"""The frames of a group of model 5: sections 16.4 and 16.5 of the specification."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .container import Cursor, Video, need
from .layers import Picture
from .mc import LEVELS, Mc, Weights, layer_of, predict, read_field, read_picture, to_picture, to_planes
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


def decode_frames(
    model: Mc, weights: Weights, data: bytes, count: int, carried: Picture | None, video: Video
) -> list[Picture]:
    """The planes of all frames, by place; carried: the last frame of the group before, with inheritance PREVIOUS."""
    order = coding_order(count, carried is not None)
    cursor = Cursor(data)
    base = cursor.u8()
    need(base < 64, "quality")
    depths = cursor.uvarint()
    need(depths <= 16, "offsets")
    offsets = list(cursor.take(depths))
    heads = []
    for place in order:
        flags = cursor.u8()
        need(flags < 32, "reserved flags of a frame")
        need(bool(flags & 1 or place.references), "a frame without references that is not INTRA")
        offset = offsets[min(place.depth, len(offsets) - 1)] if offsets else 0
        quality = cursor.u8() if flags & 16 else min(63, base + offset)
        need(quality < 64, "own quality")
        heads.append((bool(flags & 1), {level for level in LEVELS if flags >> 5 - level & 1}, quality))
    stream = Stream(cursor.take(len(data) - cursor.at))
    grid = -(-video.height // 16), -(-video.width // 16)
    decoded: dict[int, Picture] = {} if carried is None else {-1: carried}
    for place, (intra, levels, quality) in zip(order, heads, strict=True):
        prediction = None
        if not intra:
            fields = [read_field(stream, layer_of(weights, "flow"), *grid, None)]
            if len(place.references) == 2:
                fields.append(read_field(stream, layer_of(weights, "flow"), *grid, fields[0]))
            pictures = [to_picture(decoded[reference], video) for reference in place.references]
            prediction = predict(pictures, fields)
        picture = read_picture(stream, model, weights, grid, prediction, levels, quality)
        decoded[place.frame] = to_planes(picture, video)
    stream.finish()
    return [decoded[t] for t in range(count)]
