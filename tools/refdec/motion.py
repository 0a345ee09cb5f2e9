"""Pictures of model 5 and what moves between them: sections 16.6, 16.7, guesses and hints of 16.9, in int64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .container import Video
from .mc import Ints, bound, shuffle

TAPS = np.array(
    [
        [0, 0, 0, 64, 0, 0, 0, 0],
        [-1, 4, -10, 58, 17, -5, 1, 0],
        [-1, 4, -11, 40, 40, -11, 4, -1],
        [0, 1, -5, 17, 58, -10, 4, -1],
    ],
    dtype=np.int64,
)


def to_picture(planes: list[NDArray[np.integer]], video: Video) -> list[Ints]:
    """Planes of samples -> luma (16 R, 16 C) and two of chroma (8 R, 8 C)."""
    rows, columns = -(-video.height // 16), -(-video.width // 16)
    out = []
    for plane, cell in zip(planes, (16, 8, 8)):  # noqa: B905  (gray has one plane)
        p = plane.astype(np.int64)
        p = 4 * (p - 128) if video.depth == 8 else p - 512
        down, right = rows * cell - p.shape[0], columns * cell - p.shape[1]
        out.append(np.pad(p, ((0, down), (0, right)), mode="edge"))
    return out if video.chroma else [*out, *(np.zeros((8 * rows, 8 * columns), np.int64) for _ in range(2))]


def to_planes(picture: Ints, video: Video) -> list[NDArray[np.integer]]:
    """(6, 8 R, 8 C) -> planes of samples."""
    out = []
    for p, (h, w) in zip((shuffle(picture[:4])[0], *picture[4:]), video.plane_shapes):  # noqa: B905
        s = (p + 2) // 4 + 128 if video.depth == 8 else p + 512
        out.append(np.clip(s, 0, 2**video.depth - 1).astype("<u1" if video.depth == 8 else "<u2")[:h, :w])
    return out


def interpolate(plane: Ints) -> Ints:
    """Q of a plane (H, W), for places from 4 samples before the first one to 4 behind the last one: further away there
    is nothing but repeated samples."""
    h, w = plane.shape
    padded = np.pad(plane, ((7, 8), (7, 8)), mode="edge")
    wide = np.zeros((h + 15, w + 8, 4), np.int64)
    for j in range(8):
        wide += padded[:, j : j + w + 8, None] * TAPS[:, j]
    wide = wide.reshape(h + 15, 4 * (w + 8))
    tall = np.zeros((h + 8, 4, 4 * (w + 8)), np.int64)
    for i in range(8):
        tall += wide[i : i + h + 8, None, :] * TAPS[:, i, None]
    return np.clip((tall.reshape(4 * (h + 8), 4 * (w + 8)) + 2048) // 4096, -512, 511)


def moved_plane(plane: Ints, e: Ints, k: int) -> Ints:
    """(H, W) of a plane of cells of k x k samples, displaced by e (2, R, C)."""
    fine = interpolate(plane)
    rows, columns = e.shape[1:]
    i, j = np.arange(k * rows)[:, None], np.arange(k * columns)
    (a, u), (b, v) = (np.divmod(2 * n - k + 1, 2 * k) for n in (i, j))
    total = np.full((k * rows, k * columns), 2 * k * k)
    for r, down in ((a, 2 * k - u), (a + 1, u)):
        for s, right in ((b, 2 * k - v), (b + 1, v)):
            x, y = e[:, np.clip(r, 0, rows - 1), np.clip(s, 0, columns - 1)]
            at_row = np.clip(4 * i + y + 16, 0, fine.shape[0] - 1)
            at_column = np.clip(4 * j + x + 16, 0, fine.shape[1] - 1)
            total += down * right * fine[at_row, at_column]
    return total // (4 * k * k)


def moved(picture: list[Ints], field: Ints) -> Ints:
    """(6, 8 R, 8 C): a reference displaced by a field (2, R, C)."""
    luma = moved_plane(picture[0], field, 16)
    cells = [luma[m::2, n::2] for m in range(2) for n in range(2)]
    return np.stack([*cells, *(moved_plane(chroma, (field + 1) // 2, 8) for chroma in picture[1:])])


def predict(pictures: list[list[Ints]], fields: list[Ints]) -> Ints:
    """(12, 8 R, 8 C) of one or two references."""
    parts = [moved(picture, field) for picture, field in zip(pictures, fields, strict=True)]
    if len(parts) == 1:
        return np.concatenate([parts[0], np.zeros_like(parts[0])])
    return np.concatenate([(parts[0] + parts[1] + 1) // 2, (parts[0] - parts[1] + 1) // 2])


def followed(field: Ints, w: int, whole: int) -> Ints:
    """F' of the frame that lies w of the way from the frame of a field to its reference."""
    rows, columns = field.shape[1:]
    e = (2 * w * field + whole) // (2 * whole)
    y = np.clip(64 * np.arange(rows)[:, None] - e[1], 0, 64 * (rows - 1))
    x = np.clip(64 * np.arange(columns) - e[0], 0, 64 * (columns - 1))
    (i, v), (j, u) = np.divmod(y, 64), np.divmod(x, 64)
    below, right = np.minimum(i + 1, rows - 1), np.minimum(j + 1, columns - 1)
    total = (64 - v) * ((64 - u) * field[:, i, j] + u * field[:, i, right])
    total += v * ((64 - u) * field[:, below, j] + u * field[:, below, right])
    return (total + 2048) // 4096


def midway(field: Ints, a: int, t: int, b: int) -> Ints:
    """The guess of the field of frame t to its reference a, from what moves through it from b to a."""
    return (16 * (t - a) * field + (b - a)) // (2 * (b - a))


def hints_of(pictures: list[list[Ints]], e: Ints, depth: int, quality: int, number: int) -> Ints:
    """The hints of a field, (9, R, C); e: (2, R, C), whole quarter samples."""
    out = np.zeros((9, *e.shape[1:]), np.int64)
    out[0], out[1], out[1 + min(depth, 5)] = 16 * (quality - 48), 512 * number, 512
    windows = [windows_of(picture[0], way) for picture, way in zip(pictures, (e, -e))]  # noqa: B905
    a = windows[0]
    slopes = np.abs(np.diff(a, axis=2)).sum((2, 3)) + np.abs(np.diff(a, axis=3)).sum((2, 3))
    out[8] = level(slopes, 67584)
    if len(windows) == 2:
        out[7] = level(np.abs(a - windows[1]).sum((2, 3)), 36864)
    return out


def windows_of(luma: Ints, e: Ints) -> Ints:
    """W, (R, C, 12, 12)."""
    half = luma[::2, ::2] + luma[::2, 1::2] + luma[1::2, ::2] + luma[1::2, 1::2]
    h, w = half.shape
    k = np.arange(12)
    y = 64 * np.arange(e.shape[1])[:, None, None] + 8 * (k - 2) + e[1][..., None]
    x = 64 * np.arange(e.shape[2])[:, None] + 8 * (k - 2) + e[0][..., None]
    (i, v), (j, u) = np.divmod(y[..., :, None], 8), np.divmod(x[..., None, :], 8)
    i, below = np.clip(i, 0, h - 1), np.clip(i + 1, 0, h - 1)
    j, right = np.clip(j, 0, w - 1), np.clip(j + 1, 0, w - 1)
    upper = (8 - u) * half[i, j] + u * half[i, right]
    return (8 - v) * upper + v * ((8 - u) * half[below, j] + u * half[below, right])


def level(totals: Ints, one: int) -> Ints:
    """L of sums."""

    def log(n: int) -> int:
        t = n.bit_length() - 1
        return 256 * t + 256 * n // 2**t - 256

    found = [log(total + one) - log(one) - 512 for total in totals.ravel().tolist()]
    return bound(np.array(found, np.int64).reshape(totals.shape))
