"""What priors are trained on: excerpts of clips and pictures, chosen at random, with displacements between frames.

Clips are decoded once, into 8 bit 4:2:0 frames in a folder, and mapped into memory from there. An excerpt is a square
of the same place in three frames, equally far apart, of one clip. It has a quality, for whose lambda its displacements
are searched.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from itertools import count, islice
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nvcodec.errors import SourceError, UsageError
from nvcodec.media.base import PendingFile
from nvcodec.media.color import from_rgb, to_rgb
from nvcodec.media.source import open_source
from nvcodec.models.motion import CELL, Reference, followed, midway
from nvcodec.training.displacement import search
from nvcodec.training.distortion import plain_rows, weighted
from nvcodec.training.frames import QUALITIES_PER_OCTAVE, lambda_of
from nvcodec.video import Chroma, ColorInfo, Plane, Range, VideoInfo

DISTANCES = (1, 2, 4, 8)  # of the frames of an excerpt
BETWEEN = (0.5, 6.0)  # qualities of the frames between, in octaves from quality 0 on
PICTURES = 0.7  # of single frames that are of pictures, where there are any
SIDES = (220.0, 960.0)  # of the longer side of what single frames are cut from, scaled down; evenly by logarithm
MOVING_SIDES = (240.0, 1280.0)  # the same of what excerpts of three frames are cut from
SHARP = 0.5  # of what is scaled down: by cubic curves, which leave more detail than means do
TONED = 0.5  # of excerpts whose tones are changed: contrast, saturation and hue
CONTRAST, SATURATION, HUE = 0.2, 0.35, 0.3  # deviations of two logarithms, and of an angle
FLIP, TURN = 0.5, 0.2  # how often excerpts are mirrored sideways; upside down, and transposed
GRAY = 128
NOTED = (
    "plain_rows"  # what is noted beside a clip's frames and size; of other notes the key of a cached clip is another
)

Planes8 = tuple[NDArray[np.uint8], ...]


@dataclass(frozen=True, eq=False)
class Clip:
    """frames: an array of records y (h, w), u and v (h / 2, w / 2), h and w even. rows: of training.distortion."""

    name: str
    frames: NDArray[Any]
    rows: NDArray[np.float32]

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)"""
        height, width = self.frames.dtype["y"].shape
        return height, width


def load_clip(path: Path, cache: Path, longest: int, most: int) -> Clip:
    """A clip, or a picture as one of one frame, kept in the folder `cache`. SourceError where it cannot be read.

    longest: the longer side of larger ones, to which they are scaled down. most: frames, from the first on.
    """
    about = path.stat()
    words = f"{path.resolve()}\n{about.st_size}\n{about.st_mtime_ns}\n{longest}\n{most}\n{NOTED}"
    key = hashlib.blake2b(words.encode(), digest_size=16).hexdigest()
    data, note = cache / f"{key}.yuv", cache / f"{key}.json"
    if not note.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        _convert(path, data, note, longest, most)
    found = json.loads(note.read_text(encoding="utf-8"))
    frames = np.memmap(data, _layout(found["height"], found["width"]), mode="r")
    return Clip(path.name, frames, np.array(weighted(found[NOTED]), np.float32))


def _layout(height: int, width: int) -> np.dtype[Any]:
    half = (height // 2, width // 2)
    return np.dtype([("y", np.uint8, (height, width)), ("u", np.uint8, half), ("v", np.uint8, half)])


def _convert(path: Path, data: Path, note: Path, longest: int, most: int) -> None:
    """Write frames, then what they are: the second file says that the first one is whole."""
    pending = PendingFile(data)
    try:
        with open_source(path) as source, open(pending.path, "wb") as file:
            info = source.info
            scale = min(1.0, longest / max(info.height, info.width))
            height, width = (int(n * scale) // 2 * 2 for n in (info.height, info.width))
            if not height or not width:
                raise SourceError(f"{path}: too small")
            for frame in islice(source, most):
                for plane in _planes(frame.planes, info, height, width):
                    file.write(plane.tobytes())
            if not file.tell():
                raise SourceError(f"{path}: no frames")
        pending.commit()
    finally:
        pending.discard()
    seen = _plain(info) if info.is_rgb else replace(info, bit_depth=8)
    whole = {"height": height, "width": width, NOTED: plain_rows(seen)}
    note.write_text(json.dumps(whole), encoding="utf-8")


def _plain(info: VideoInfo) -> VideoInfo:
    """What RGB is turned into."""
    return VideoInfo(info.width, info.height, color=ColorInfo(matrix=1, range=Range.LIMITED))


def _planes(planes: Sequence[Plane], info: VideoInfo, height: int, width: int) -> Planes8:
    """8 bit 4:2:0 of that size, both numbers even; chroma of gray is GRAY."""
    if info.is_rgb:
        rgb = to_rgb([torch.from_numpy(plane.astype(np.int32))[None] for plane in planes], info)
        info = _plain(info)
        planes = [plane[0].numpy() for plane in from_rgb(rgb, info)]
    eight = [plane if info.bit_depth == 8 else np.minimum((plane + 2) >> 2, 255) for plane in planes]
    half = height // 2, width // 2
    if info.chroma is Chroma.GRAY:
        eight += [np.full(half, GRAY, np.uint8)] * 2
    return tuple(shrunk(p.astype(np.uint8), *size) for p, size in zip(eight, ((height, width), half, half)))  # noqa: B905


def shrunk(plane: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A plane of that size: the mean of what lies under each sample; an odd last row or column is cut off."""
    if 0 <= plane.shape[0] - height <= 1 and 0 <= plane.shape[1] - width <= 1:
        return plane[:height, :width]
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _sharply_shrunk(plane: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The same by cubic curves, from means where it is more than twice as large."""
    if plane.shape[0] > 2 * height and plane.shape[1] > 2 * width:
        plane = shrunk(plane, 2 * height, 2 * width)
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _toned(rng: np.random.Generator, frames: Sequence[Planes8]) -> list[Planes8]:
    """With another contrast, saturation and hue, all frames alike."""
    contrast, saturation = (math.exp(rng.normal(0, deviation)) for deviation in (CONTRAST, SATURATION))
    middle = frames[0][0].mean(dtype=np.float32)
    angle = rng.normal(0, HUE)

    def toned(planes: Planes8) -> Planes8:
        luma, *chroma = (plane.astype(np.float32) for plane in planes)
        u, v = (contrast * saturation * (plane - GRAY) for plane in chroma)
        turned = math.cos(angle) * u - math.sin(angle) * v, math.sin(angle) * u + math.cos(angle) * v
        found = middle + contrast * (luma - middle), *(plane + GRAY for plane in turned)
        return tuple(np.rint(plane).clip(0, 255).astype(np.uint8) for plane in found)

    return [toned(planes) for planes in frames]


@dataclass(frozen=True, eq=False)
class Batch:
    """N single frames, and N excerpts of three frames: pictures (N, 6, h, w) as in models.mc; the rows of
    training.distortion (N, 4, 3); the quality of the frames between, in octaves, (N,); and displacements
    (N, 2, rows, columns) that bring the frame named second to the first.
    """

    single: Tensor
    before: Tensor
    between: Tensor
    after: Tensor
    single_rows: Tensor
    rows: Tensor
    octaves: Tensor
    between_before: Tensor
    between_after: Tensor
    after_before: Tensor

    def to(self, device: torch.device) -> Batch:
        """On a device, without waiting where it is pinned."""
        return Batch(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))

    def pinned(self) -> Batch:
        """In memory from which a GPU can copy on its own."""
        return Batch(*(getattr(self, f.name).pin_memory() for f in fields(self)))


@dataclass(frozen=True, eq=False)
class Stills:
    """The single frames of a Batch alone."""

    single: Tensor
    single_rows: Tensor

    def to(self, device: torch.device) -> Stills:
        """As Batch."""
        return Stills(self.single.to(device, non_blocking=True), self.single_rows.to(device, non_blocking=True))

    def pinned(self) -> Stills:
        """As Batch."""
        return Stills(self.single.pin_memory(), self.single_rows.pin_memory())


class Excerpts:
    """Batches of excerpts of some clips, `size` luma samples a side, `number` in a batch.

    Those of a number and a seed are always the same. UsageError where no clip has three frames of that size.
    """

    def __init__(self, clips: Sequence[Clip], size: int, number: int, seed: int) -> None:
        if size <= 0 or size % CELL:
            raise UsageError(f"excerpts of {size} samples a side; it has to be a multiple of {CELL}")
        large = [clip for clip in clips if min(clip.size) >= size]
        self._clips = [clip for clip in large if len(clip.frames) > 2 * DISTANCES[0]]
        self._pictures = [clip for clip in large if len(clip.frames) <= 2 * DISTANCES[0]]
        if not self._clips:
            raise UsageError(f"no clip has three frames of at least {size} samples a side")
        self._size, self._number, self._seed = size, number, seed

    def batch(self, number: int) -> Batch:
        """On the CPU."""
        rng = np.random.default_rng((self._seed, number))
        single, single_rows = zip(*(self._single(rng) for _ in range(self._number)), strict=True)
        triples, rows = zip(*(self._triple(rng) for _ in range(self._number)), strict=True)
        octaves = rng.uniform(*BETWEEN, self._number)
        pictures = [_stack(frames) for frames in zip(*triples, strict=True)]
        searched = [
            _fields([picture[n : n + 1] for picture in pictures], lambda_of(QUALITIES_PER_OCTAVE * float(quality)))
            for n, quality in enumerate(octaves)
        ]
        before, between, after = pictures
        between_before, between_after, after_before = (torch.cat(fields) for fields in zip(*searched, strict=True))
        return Batch(
            _stack(single), before, between, after,
            torch.from_numpy(np.stack(single_rows)), torch.from_numpy(np.stack(rows)),
            torch.from_numpy(octaves.astype(np.float32)), between_before, between_after, after_before,
        )  # fmt: skip

    def stills(self, number: int) -> Stills:
        """Single frames alone, on the CPU."""
        rng = np.random.default_rng((self._seed, number))
        single, rows = zip(*(self._single(rng) for _ in range(self._number)), strict=True)
        return Stills(_stack(single), torch.from_numpy(np.stack(rows)))

    def _single(self, rng: np.random.Generator) -> tuple[Planes8, NDArray[np.float32]]:
        pictures = bool(self._pictures) and rng.random() < PICTURES
        clip = _one(rng, self._pictures if pictures else self._clips)
        return self._seen(rng, clip, [int(rng.integers(len(clip.frames)))], SIDES)[0], clip.rows

    def _triple(self, rng: np.random.Generator) -> tuple[list[Planes8], NDArray[np.float32]]:
        clip = _one(rng, self._clips)
        distance = int(rng.choice([d for d in DISTANCES if 2 * d < len(clip.frames)]))
        middle = int(rng.integers(distance, len(clip.frames) - distance))
        step = distance if rng.random() < 0.5 else -distance  # forwards or backwards
        return self._seen(rng, clip, [middle - step, middle, middle + step], MOVING_SIDES), clip.rows

    def _seen(
        self, rng: np.random.Generator, clip: Clip, places: Sequence[int], sides: tuple[float, float]
    ) -> list[Planes8]:
        """Some frames as videos look: scaled down to a longer side between two, and perhaps in other tones."""
        side = math.exp(rng.uniform(math.log(sides[0]), math.log(sides[1])))
        scale = max(1.0, min(max(clip.size) / side, min(clip.size) / self._size))
        frames = self._cut(rng, clip, places, scale)
        return _toned(rng, frames) if rng.random() < TONED else frames

    def _cut(self, rng: np.random.Generator, clip: Clip, places: Sequence[int], scale: float = 1) -> list[Planes8]:
        """The same place of some frames, perhaps mirrored; what is `scale` times as large, scaled down."""
        whole = int(scale * self._size) // 2 * 2
        sharp = whole > self._size and rng.random() < SHARP
        row, column = (2 * int(rng.integers((n - whole) // 2 + 1)) for n in clip.size)
        sideways, down, across = rng.random() < FLIP, rng.random() < TURN, rng.random() < TURN

        def part(plane: NDArray[np.uint8], shift: int) -> NDArray[np.uint8]:
            found = plane[row >> shift :, column >> shift :][: whole >> shift, : whole >> shift]
            found = (_sharply_shrunk if sharp else shrunk)(found, self._size >> shift, self._size >> shift)
            found = found[:: -1 if down else 1, :: -1 if sideways else 1]
            return np.ascontiguousarray(found.T if across else found)

        return [tuple(part(clip.frames[t][name], name != "y") for name in "yuv") for t in places]


def _one(rng: np.random.Generator, clips: Sequence[Clip]) -> Clip:
    return clips[int(rng.integers(len(clips)))]


def _stack(frames: Sequence[Planes8]) -> Tensor:
    """(N, 6, h, w) in quarters of a code value, less its middle."""
    luma, *chroma = (np.stack(planes) for planes in zip(*frames, strict=True))
    parts = [luma[:, m::2, n::2] for m in (0, 1) for n in (0, 1)]
    return torch.from_numpy(np.stack([*parts, *chroma], 1).astype(np.float32)).sub_(GRAY).mul_(4)


def _fields(excerpt: Sequence[Tensor], lam: float) -> tuple[Tensor, Tensor, Tensor]:
    """Displacements of one excerpt, searched as encoders do, in the order of those of a batch."""
    before, between, after = excerpt
    references = Reference(before), Reference(after)
    (after_before,) = search(after, references[:1], lam)
    between_before, between_after = search(between, references, lam, midway(followed(after_before, 1, 2), 1, 2))
    return between_before, between_after, after_before


_B = TypeVar("_B", Batch, Stills)


def batches(make: Callable[[int], _B], first: int, device: torch.device, workers: int) -> Generator[_B, None, None]:
    """What `make` makes of numbers from `first` on, without end, on a device; ahead in threads, each of which computes
    alone. make: the method `batch` or `stills` of Excerpts."""
    pin = device.type == "cuda"

    def made(number: int) -> _B:
        found = make(number)
        return found.pinned() if pin else found

    ahead: deque[Future[_B]] = deque()
    numbers = count(first)
    with ThreadPoolExecutor(workers, "excerpts", torch.set_num_threads, (1,)) as pool:
        try:
            while True:
                while len(ahead) < 2 * workers:
                    ahead.append(pool.submit(made, next(numbers)))
                yield ahead.popleft().result().to(device)
        finally:
            for future in ahead:
                future.cancel()
