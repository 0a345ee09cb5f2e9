"""Integers to pictures: sections 12 to 15 and 17 of the specification, in float64."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .container import MC, PRIOR, ZERO, Model, Video, need
from .framewise import Enerv, Hnerv, Nerv
from .layers import Picture, Real, Tensors
from .mc import Mc
from .nirvana import Nirvana

Network = Nirvana | Nerv | Hnerv | Enerv | Mc

NETWORKS: dict[int, type[Network]] = {1: Nirvana, 2: Nerv, 3: Hnerv, 4: Enerv, 5: Mc}
PRIORS = Path(__file__).resolve().parents[2] / "nvcodec" / "models" / "priors"  # files of section 12.5, by digest
SIGNIFICANDS = (
    8388608, 8760003, 9147842, 9552851, 9975792, 10417458, 10878679, 11360319,
    11863283, 12388516, 12937002, 13509772, 14107901, 14732511, 15384775, 16065917,
)  # fmt: skip
KR_KB = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087),
         9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}  # fmt: skip


def network(model: Model, video: Video) -> Network:
    """A model from its record, checked against section 6.3 and its own ranges."""
    n = NETWORKS[model.id](*model.config)
    n.check(video)
    declared = [(kind, shape) for kind, shape, _ in n.tensors(video)]
    need(model.id == MC or model.tensors == declared, "the tensors are not those of the network")
    return n


def initial_integers(tensors: Tensors, model: Model) -> list[NDArray[np.int32]]:
    """Section 12.1, with origin RANDOM one value at a time."""
    if model.origin == ZERO:
        return [np.zeros(shape, np.int32) for kind, shape, _ in tensors if kind == 0]
    if model.origin == PRIOR:
        return prior_integers(tensors, model.prior.hex())
    return random_integers(tensors, model.seed)


def prior_integers(tensors: Tensors, digest: str) -> list[NDArray[np.int32]]:
    """Section 12.5."""
    path = PRIORS / f"{digest}.bin"
    data = path.read_bytes() if path.exists() else b""
    need(hashlib.blake2b(data, digest_size=8).hexdigest() == digest, f"prior {digest}", "feature")
    need(len(data) % 2 == 0, "a prior of an odd size")
    values = np.frombuffer(data, "<i2").astype(np.int32)
    shapes = [shape for kind, shape, _ in tensors if kind == 0]
    sizes = [math.prod(shape) for shape in shapes]
    need(len(values) == sum(sizes), "a prior of another model")
    parts = np.split(values, np.cumsum(sizes)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def random_integers(tensors: Tensors, seed: int) -> list[NDArray[np.int32]]:
    """Section 12.1, origin RANDOM."""
    out: list[NDArray[np.int32]] = []
    i = 0
    for kind, shape, radius in tensors:
        if kind == 0:
            values = []
            for _ in range(math.prod(shape)):
                i += 1
                x = ((seed << 32) + i) * 0x9E3779B97F4A7C15 % 2**64
                x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
                x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
                x ^= x >> 31
                values.append(((x >> 32) * (2 * radius + 1) >> 32) - radius)
            out.append(np.array(values, dtype=np.int32).reshape(shape))
    return out


def step_size(index: int) -> float:
    """Section 12.3."""
    return math.ldexp(SIGNIFICANDS[index % 16], index // 16 - 23)


def color_rows(video: Video) -> list[tuple[float, float, float]]:
    """RGB to luma and two colour differences (section 17.2)."""
    if video.matrix == 8:
        return [(0.25, 0.5, 0.25), (-0.25, 0.5, -0.25), (0.5, 0.0, -0.5)]
    kr, kb = KR_KB.get(video.matrix, KR_KB[6 if video.height < 720 else 1])
    kg = 1 - kr - kb
    u, v = 2 * (1 - kb), 2 * (1 - kr)
    return [(kr, kg, kb), (-kr / u, -kg / u, (1 - kb) / u), ((1 - kr) / v, -kg / v, -kb / v)]


def to_planes(rgb: Real, video: Video) -> Picture:
    """(3, H, W) to planes of code values (section 17)."""
    rgb = np.clip(np.nan_to_num(rgb, nan=0.0), 0, 1)
    peak, unit = 2**video.depth - 1, 2 ** (video.depth - 8)
    full = video.range == 2 or (video.range == 0 and video.matrix == 0)
    luma = (0, peak) if full else (16 * unit, 219 * unit)
    difference = (128 * unit, peak if full else 224 * unit)

    def code(value: Real, offset: int, span: int) -> NDArray[Any]:
        return np.clip(np.floor(value * span + offset + 0.5), 0, peak).astype("<u1" if video.depth == 8 else "<u2")

    if video.matrix == 0:
        return [code(rgb[i], *luma) for i in (1, 2, 0)]
    rows = color_rows(video)
    planes = [code(np.tensordot(rows[0], rgb, 1), *luma)]
    for (h, w), row in zip(video.plane_shapes[1:], rows[1:]):  # noqa: B905  (gray has no differences)
        across, down = video.chroma_steps
        cells = [rgb[:, y * down : (y + 1) * down, x * across : (x + 1) * across] for y in range(h) for x in range(w)]
        means = np.array([cell.mean(axis=(1, 2)) for cell in cells]).T.reshape(3, h, w)
        planes.append(code(np.tensordot(row, means, 1), *difference))
    return planes


def pixel_hash(frames: list[Picture]) -> bytes:
    """Section 18.1."""
    return hashlib.blake2b(b"".join(p.tobytes() for planes in frames for p in planes), digest_size=8).digest()


def plane_means(frames: list[Picture]) -> list[int]:
    """Section 18.2."""
    out = []
    for plane in range(len(frames[0])):
        total = sum(int(planes[plane].sum(dtype=np.int64)) for planes in frames)
        samples = sum(planes[plane].size for planes in frames)
        out.append((32 * total + samples) // (2 * samples))
    return out
