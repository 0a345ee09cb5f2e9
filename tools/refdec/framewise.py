"""Models 2, 3 and 4: section 15 of the specification."""

from __future__ import annotations

import math

import numpy as np

from .container import Video, cap, need
from .layers import Real, Tensors, convolve, gelu, pixel_shuffle

RADIUS = 32
RANGES = {"group": 4096, "width": 8192, "stem": 8192, "embedding": 256, "levels": 128, "space": 16, "lower": 8192}


def matrix(outputs: int, inputs: int) -> Tensors:
    """Weight and bias of a linear layer."""
    return [(0, (outputs, inputs), RADIUS), (0, (outputs,), 0)]


def kernel(outputs: int, inputs: int, size: int) -> Tensors:
    """Weight and bias of a convolution."""
    return [(0, (outputs, inputs, size, size), RADIUS), (0, (outputs,), 0)]


def encoding(u: float, base: float, levels: int) -> list[float]:
    """Section 15.3."""
    out = []
    for k in range(levels):
        out += [math.sin(base**k * math.pi * u), math.cos(base**k * math.pi * u)]
    return out


class FrameWise:
    """What the three share: values of the configuration before `lower`, then the stages."""

    fields: tuple[str, ...]  # names of the values before `lower`, for checks
    longest = 4096

    def __init__(self, *config: int) -> None:
        self.config = dict(zip((*self.fields, "lower", "reduction"), config))  # noqa: B905  (strides follow)
        self.strides = config[-6:]

    def check(self, video: Video) -> None:
        """Section 15.1."""
        c = self.config
        for name, most in RANGES.items():
            need(1 <= c.get(name, 1) <= most, name)
        if "base" in c:
            need(101 <= c["base"] <= 400, "base")
            need(c["base"] ** (c["levels"] - 1) <= 2**26 * 100 ** (c["levels"] - 1), "base and levels")
        need(10 <= c["reduction"] <= 100, "reduction")
        count = (*self.strides, 0).index(0)
        need(count >= 1 and not any(self.strides[count:]) and max(self.strides) <= 8, "strides")
        need(math.prod(self.strides[:count]) <= max(video.width, video.height), "strides longer than the picture")
        self.lay_out(video)
        scale, area = math.prod(self.strides), self.rows * self.columns
        cap(3 * scale**2 * area, 2**31, "the canvas")
        for channels, stride in zip(self.channels, (*self.strides, 1), strict=True):
            cap(channels * area, 2**31, "a layer")
            area *= stride**2

    def lay_out(self, video: Video) -> None:
        """Section 15.2: used strides, channels, grid."""
        self.strides = tuple(s for s in self.strides if s)
        scale = math.prod(self.strides)
        self.rows, self.columns = -(-video.height // scale), -(-video.width // scale)
        width = self.config["width"]
        self.channels = [width]
        for _ in self.strides:
            least = min(self.config["lower"], width)
            self.channels.append(max(least, 10 * self.channels[-1] // self.config["reduction"]))

    def stages(self, kernels: list[int]) -> Tensors:
        """Tensors of all stages."""
        out: Tensors = []
        for i, (s, size) in enumerate(zip(self.strides, kernels, strict=True)):
            out += kernel(self.channels[i + 1] * s**2, self.channels[i], size)
        return out

    def place(self, t: int) -> float:
        """The place of a frame in its group, in (0, 1)."""
        return (t + 0.5) / self.config["group"]

    def time(self, t: int) -> Real:
        """The encoding of time."""
        return np.array(encoding(self.place(t), self.config["base"] / 100, self.config["levels"]))

    def enlarge(self, z: Real, weights: list[Real]) -> Real:
        """Plain stages and the head, then the corner that is shown: (1, C_0, h_0, w_0) to (3, h_n, w_n)."""
        *stages, head, head_bias = weights
        for i, s in enumerate(self.strides):
            z = gelu(pixel_shuffle(convolve(z, stages[2 * i], stages[2 * i + 1]), s))
        return convolve(z, head, head_bias + 0.5)[0]


class Nerv(FrameWise):
    """Model 2 (section 15.4)."""

    fields = ("group", "width", "stem", "levels", "base")

    def tensors(self, video: Video) -> Tensors:
        c = self.config
        out = matrix(c["stem"], 2 * c["levels"]) + matrix(c["width"] * self.rows * self.columns, c["stem"])
        return out + self.stages([3] * len(self.strides)) + kernel(3, self.channels[-1], 1)

    def rgb(self, video: Video, weights: list[Real], t: int) -> Real:
        v = gelu(weights[0] @ self.time(t) + weights[1])
        v = gelu(weights[2] @ v + weights[3])
        z = v.reshape(1, self.config["width"], self.rows, self.columns)
        return self.enlarge(z, weights[4:])[:, : video.height, : video.width]


class Hnerv(FrameWise):
    """Model 3 (section 15.5)."""

    fields = ("group", "width", "embedding")

    @property
    def longest(self) -> int:
        """Frames of a group, at most."""
        return self.config["group"]

    def tensors(self, video: Video) -> Tensors:
        c = self.config
        out: Tensors = [(0, (c["group"], c["embedding"], self.rows, self.columns), 0)]
        out += kernel(c["width"], c["embedding"], 1)
        kernels = [min(2 * i + 1, 5) for i in range(len(self.strides))]
        return out + self.stages(kernels) + kernel(3, self.channels[-1], 3)

    def rgb(self, video: Video, weights: list[Real], t: int) -> Real:
        z = gelu(convolve(weights[0][t : t + 1], weights[1], weights[2]))
        return self.enlarge(z, weights[3:])[:, : video.height, : video.width]


class Enerv(FrameWise):
    """Model 4 (section 15.6)."""

    fields = ("group", "width", "stem", "levels", "base", "space")

    def check(self, video: Video) -> None:
        super().check(video)
        need(self.rows * self.columns <= 4096, "tokens")

    def tensors(self, video: Video) -> Tensors:
        c = self.config
        d, stem = c["width"], c["stem"]
        out = matrix(d, 4 * c["space"]) + 4 * matrix(d, d) + matrix(2 * d, d) + matrix(d, 2 * d)
        out += matrix(stem, 2 * c["levels"]) + matrix(stem, stem)
        for channels in self.channels:
            out += matrix(2 * channels, stem)
        return out + self.stages([3] * len(self.strides)) + kernel(3, self.channels[-1], 1)

    def rgb(self, video: Video, weights: list[Real], t: int) -> Real:
        c = self.config
        pairs = list(zip(weights[0::2], weights[1::2], strict=True))
        space, query, key, value, out, wide, narrow, time1, time2, *rest = pairs
        affines, stages, head = rest[: len(self.channels)], rest[len(self.channels) : -1], rest[-1]

        def linear(x: Real, pair: tuple[Real, Real]) -> Real:
            return x @ pair[0].T + pair[1]

        def norm(x: Real) -> Real:
            centred = x - x.mean(axis=1, keepdims=True)
            return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-3)

        def affine(z: Real, pair: tuple[Real, Real]) -> Real:
            alpha, beta = np.split(linear(latent, pair), 2)
            return (1 + alpha[:, None, None]) * z + beta[:, None, None]

        a = []
        for i in range(self.rows):
            for j in range(self.columns):
                x, y = (j + 0.5) / self.columns, (i + 0.5) / self.rows
                a.append(encoding(x, 2.0, c["space"]) + encoding(y, 2.0, c["space"]))
        tokens = linear(np.array(a), space)
        n = norm(tokens)
        scores = np.exp(linear(n, query) @ linear(n, key).T / math.sqrt(c["width"]))
        tokens = tokens + linear(scores / scores.sum(axis=1, keepdims=True) @ linear(n, value), out)
        tokens = tokens + linear(gelu(linear(norm(tokens), wide)), narrow)
        latent = gelu(linear(gelu(linear(self.time(t), time1)), time2))
        z = gelu(affine(tokens.T.reshape(1, -1, self.rows, self.columns), affines[0]))
        for s, stage, pair in zip(self.strides, stages, affines[1:], strict=True):
            z = gelu(affine(pixel_shuffle(convolve(z, *stage), s), pair))
        return convolve(z, head[0], head[1] + 0.5)[0][:, : video.height, : video.width]
