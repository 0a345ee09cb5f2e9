"""What the vectors are filled with: pseudo-random changes of tensors, floats, and masks of what a window shares."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nvcodec.decode.state import State
from tools.vector_plans import Change, Floats, Integers, Mask, Sharing


def noise(label: str, shape: tuple[int, ...], radius: int) -> Integers:
    """Uniform integers in [-radius, radius], the same on every machine for ever: SHAKE-128 of the label."""
    count = int(np.prod(shape))
    words = np.frombuffer(hashlib.shake_128(label.encode()).digest(8 * count), "<u8")
    return ((words % np.uint64(2 * radius + 1)).astype(np.int64) - radius).astype(np.int32).reshape(shape)


def sparse(label: str, shape: tuple[int, ...], radius: int, one_in: int) -> Integers:
    """`noise` where one value in `one_in` is not forced to zero."""
    chosen = noise(label + "?", shape, 10**6) % one_in == 0
    return np.where(chosen, noise(label, shape, radius), 0).astype(np.int32)


def everywhere(label: str, radius: int = 3) -> Change:
    """Small changes of all tensors."""
    return lambda number, shape: noise(f"{label}/{number}", shape, radius)


def here_and_there(label: str, radius: int = 4, one_in: int = 6) -> Change:
    """Changes of few values."""
    return lambda number, shape: sparse(f"{label}/{number}", shape, radius, one_in)


def again(mask: str, label: str, radius: int) -> Change:
    """Changes of the same few values each time: what contexts are good for."""

    def change(number: int, shape: tuple[int, ...]) -> Integers:
        chosen = noise(f"{mask}/{number}", shape, 10**6) % 6 == 0
        return np.where(chosen, noise(f"{label}/{number}", shape, radius), 0).astype(np.int32)

    return change


def nothing(_: int, shape: tuple[int, ...]) -> Integers:
    """No change at all."""
    return np.zeros(shape, np.int32)


def plain_floats(label: str) -> Floats:
    """Multiples of 2**-21 in [-1/2, 1/2]."""
    return lambda _, i, shape: (noise(f"{label}/{i}", shape, 2**20) / np.float32(2**21)).astype(np.float32)


def random_floats(label: str) -> Floats:
    """Magnitudes from 2**-126 to 1: bit patterns that no compressor can shrink."""

    def draw(_: State, i: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        word = noise(f"{label}/{i}", shape, 2**31 - 1).view(np.uint32)
        drawn: NDArray[np.float32] = (word & 0x807FFFFF | (word % 126 + 1) << 23).astype(np.uint32).view(np.float32)
        return drawn

    return draw


def float_moves(label: str, radius: int, one_in: int) -> Floats:
    """Bit patterns that differ from those before in the low bits, of few values."""

    def move(base: State, i: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        patterns = base.floats[i].view(np.int32) + sparse(f"{label}/{i}", shape, radius, one_in)
        moved: NDArray[np.float32] = patterns.astype(np.int32).view(np.float32)
        return moved

    return move


def by_rows(number: int, shape: tuple[int, ...]) -> Integers:
    """Each row of a matrix on a scale of its own."""
    radii = [0, 40, 0, 2, 300, 0, 15, 1]
    rows = [noise(f"rows/{number}/{i}", shape[1:], radii[i % 8]) for i in range(shape[0])]
    return np.stack(rows).astype(np.int32)


def by_columns(number: int, shape: tuple[int, ...]) -> Integers:
    """Each column on a scale of its own."""
    turned = by_rows(number, (int(np.prod(shape[1:])), shape[0]))
    return np.ascontiguousarray(turned.T).reshape(shape)


def codings(number: int, shape: tuple[int, ...]) -> Integers:
    """Residuals for which the encoder should choose each of the codings that a fresh group can have."""
    if shape == (16, 12):
        return by_rows(number, shape)
    if shape == (12, 12):
        return by_columns(number, shape)
    return noise(f"codings/{number}", shape, 2) if len(shape) == 4 else nothing(number, shape)


def far(number: int, shape: tuple[int, ...]) -> Integers:
    """Small values, and a bias near the greatest magnitude that the format has, which saturates the picture."""
    values = noise(f"far/{number}", shape, 2)
    return values + (2**24 - 1000) * np.array([1, -1, 1], np.int32) if shape == (3,) else values


def one_value(place: int) -> Change:
    """A single change in the largest tensor: nearly a hundred thousand symbols in a few bytes."""

    def change(_: int, shape: tuple[int, ...]) -> Integers:
        values = np.zeros(int(np.prod(shape)), np.int32)
        if values.size > 60000:
            values[place] = 1
        return values.reshape(shape)

    return change


def some(label: str, one_in: int = 2, tensors: Sequence[int] | None = None) -> Sharing:
    """One element in `one_in` is shared, of all tensors or of some."""

    def shared(number: int, shape: tuple[int, ...]) -> Mask:
        if tensors is not None and number not in tensors:
            return np.zeros(shape, np.bool_)
        chosen: Mask = noise(f"{label}/{number}", shape, 10**6) % one_in == 0
        return chosen

    return shared


MASKS: dict[tuple[int, ...], list[list[int]]] = {  # by shape: 0 nothing, 1 every other element, 2 all; enlarged
    (12,): [[2]],
    (12, 12): [[0, 2]],
    (16, 12): [[0], [2]],
    (16,): [[1]],
    (12, 4, 3, 3): [[0, 1], [1, 2]],
}


def every_mask(_: int, shape: tuple[int, ...]) -> Mask:
    """Masks for which the encoder should choose each of the codings."""
    level = np.array(MASKS.get(shape, [[0]]))
    row, column = np.indices((shape[0], int(np.prod(shape[1:]))))
    level = level[row * level.shape[0] // shape[0], column * level.shape[1] // column.shape[1]]
    shared: Mask = level > (row + column) % 2
    return shared.reshape(shape)
