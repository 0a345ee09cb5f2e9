"""Integers to pictures: sections 12 to 15 of the specification, in float64."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .container import Model, Video, need

Real = NDArray[np.float64]
Picture = list[NDArray[Any]]  # planes

STEM_RADIUS, CONV_RADIUS, TIME_AMPLITUDE = 128, 256, 0.3  # of model 1, section 14
SIGNIFICANDS = (
    8388608, 8760003, 9147842, 9552851, 9975792, 10417458, 10878679, 11360319,
    11863283, 12388516, 12937002, 13509772, 14107901, 14732511, 15384775, 16065917,
)  # fmt: skip
KR_KB = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087),
         9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}  # fmt: skip

_erf = np.vectorize(math.erf, otypes=[np.float64])


@dataclass
class Nirvana:
    """Configuration of model 1, in wire order (section 14.1)."""

    patch: int
    group: int
    width: int
    depth: int
    channels: int
    block_channels: int
    omega: int
    conv_float: int

    def tensors(self) -> list[tuple[int, tuple[int, ...], int]]:
        """(kind, shape, radius of the initial integers) in wire order (section 14.2)."""
        out: list[tuple[int, tuple[int, ...], int]] = []
        inputs = 2
        for _ in range(self.depth):
            out += [(0, (self.width, inputs), STEM_RADIUS), (0, (self.width,), STEM_RADIUS)]
            inputs = self.width
        volume = self.channels * (self.patch // 2) ** 2
        out += [(0, (volume, inputs), STEM_RADIUS), (0, (volume,), STEM_RADIUS)]
        kind, c2 = self.conv_float, self.block_channels
        out += [(kind, (4 * c2, self.channels, 3, 3), CONV_RADIUS), (kind, (4 * c2,), CONV_RADIUS)]
        out += [(kind, (3, c2, 3, 3), CONV_RADIUS), (kind, (3,), 0)]
        return out


def network(model: Model, video: Video) -> Nirvana:
    """Model 1 from its record, checked against sections 6.3 and 14.1."""
    need(model.exactness == 0, "exactness class X", "feature")
    n = Nirvana(*model.config)
    need(2 <= n.patch <= min(256, -(-max(video.width, video.height) // 2) * 2) and n.patch % 2 == 0, "patch")
    need(1 <= n.group <= 256 and 1 <= n.width <= 8192 and 1 <= n.depth <= 64, "group, width or depth")
    need(2 <= n.channels <= 256 and n.channels % 2 == 0 and 1 <= n.block_channels <= 256, "channels")
    need(1 <= n.omega <= 1000 and n.conv_float <= 1, "omega or conv_float")
    need(model.tensors == [(kind, shape) for kind, shape, _ in n.tensors()], "the tensors are not those of the network")
    return n


def initial_integers(n: Nirvana, seed: int) -> list[NDArray[np.int32]]:
    """Section 12.1, one value at a time."""
    out, i = [], 0
    for kind, shape, radius in n.tensors():
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


def convolve(x: Real, weight: Real, bias: Real) -> Real:
    """3x3, zeros beyond the border: (N, C, h, w) -> (N, O, h, w)."""
    h, w = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros((x.shape[0], weight.shape[0], h, w)) + bias[:, None, None]
    for i in range(3):
        for j in range(3):
            out += np.einsum("nchw,oc->nohw", padded[:, :, i : i + h, j : j + w], weight[:, :, i, j])
    return out


def time_embedding(n: Nirvana, t: int) -> Real:
    """Section 14.4."""
    count = n.channels // 2
    tau = []
    for i in range(count):
        phase = (t + 0.5) * math.pi * n.group ** (-i / max(count - 1, 1))
        tau += [TIME_AMPLITUDE * math.sin(phase), TIME_AMPLITUDE * math.cos(phase)]
    return np.array(tau)


def render_rgb(n: Nirvana, video: Video, weights: list[Real], t: int) -> Real:
    """Frame t of a group: (3, H, W) (sections 14.3 to 14.6)."""
    rows, columns, half = -(-video.height // n.patch), -(-video.width // n.patch), n.patch // 2
    ys = (np.arange(rows) + 0.5) * 2 * n.patch / video.height - 1
    xs = (np.arange(columns) + 0.5) * 2 * n.patch / video.width - 1
    s = np.array([(x, y) for y in ys for x in xs])
    for layer in range(n.depth):
        s = np.sin(n.omega * (s @ weights[2 * layer].T + weights[2 * layer + 1]))
    volume, volume_bias, block, block_bias, head, head_bias = weights[2 * n.depth :]
    f = (s @ volume.T + volume_bias).reshape(-1, half, half, n.channels).transpose(0, 3, 1, 2)
    z = convolve(f + time_embedding(n, t)[:, None, None], block, block_bias)
    z = z.reshape(-1, n.block_channels, 2, 2, half, half).transpose(0, 1, 4, 2, 5, 3)  # PixelShuffle
    z = z.reshape(-1, n.block_channels, n.patch, n.patch)
    z = z * 0.5 * (1 + _erf(z / math.sqrt(2)))  # GELU
    p = convolve(z, head, head_bias + 0.5)
    grid = p.reshape(rows, columns, 3, n.patch, n.patch).transpose(2, 0, 3, 1, 4)
    return grid.reshape(3, rows * n.patch, columns * n.patch)[:, : video.height, : video.width]


def color_rows(video: Video) -> list[tuple[float, float, float]]:
    """RGB to luma and two colour differences (section 15.2)."""
    if video.matrix == 8:
        return [(0.25, 0.5, 0.25), (-0.25, 0.5, -0.25), (0.5, 0.0, -0.5)]
    kr, kb = KR_KB.get(video.matrix, KR_KB[6 if video.height < 720 else 1])
    kg = 1 - kr - kb
    u, v = 2 * (1 - kb), 2 * (1 - kr)
    return [(kr, kg, kb), (-kr / u, -kg / u, (1 - kb) / u), ((1 - kr) / v, -kg / v, -kb / v)]


def to_planes(rgb: Real, video: Video) -> Picture:
    """(3, H, W) to planes of code values (section 15)."""
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
    """Section 16.1."""
    return hashlib.blake2b(b"".join(p.tobytes() for planes in frames for p in planes), digest_size=8).digest()


def plane_means(frames: list[Picture]) -> list[int]:
    """Section 16.2."""
    out = []
    for plane in range(len(frames[0])):
        total = sum(int(planes[plane].sum(dtype=np.int64)) for planes in frames)
        samples = sum(planes[plane].size for planes in frames)
        out.append((32 * total + samples) // (2 * samples))
    return out
