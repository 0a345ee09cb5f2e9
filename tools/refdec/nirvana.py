"""Model 1: section 14 of the specification."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .container import Video, need
from .layers import Real, Tensors, convolve, gelu, pixel_shuffle

STEM_RADIUS, CONV_RADIUS, TIME_AMPLITUDE = 128, 256, 0.3


@dataclass
class Nirvana:
    """Configuration in wire order (section 14.1)."""

    patch: int
    group: int
    width: int
    depth: int
    channels: int
    block_channels: int
    omega: int
    conv_float: int
    longest = 4096

    def check(self, video: Video) -> None:
        """Section 14.1."""
        most = min(256, -(-max(video.width, video.height) // 2) * 2)
        need(2 <= self.patch <= most and self.patch % 2 == 0, "patch")
        need(1 <= self.group <= 4096 and 1 <= self.width <= 8192 and 1 <= self.depth <= 64, "group, width or depth")
        need(2 <= self.channels <= 256 and self.channels % 2 == 0 and 1 <= self.block_channels <= 256, "channels")
        need(1 <= self.omega <= 1000 and self.conv_float <= 1, "omega or conv_float")

    def tensors(self, video: Video) -> Tensors:
        """Section 14.2."""
        out: Tensors = []
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

    def time_embedding(self, t: int) -> Real:
        """Section 14.4."""
        count = self.channels // 2
        tau = []
        for i in range(count):
            phase = (t + 0.5) * math.pi * self.group ** (-i / max(count - 1, 1))
            tau += [TIME_AMPLITUDE * math.sin(phase), TIME_AMPLITUDE * math.cos(phase)]
        return np.array(tau)

    def rgb(self, video: Video, weights: list[Real], t: int) -> Real:
        """Frame t of a group: (3, H, W) (sections 14.3 to 14.6)."""
        patch, half = self.patch, self.patch // 2
        rows, columns = -(-video.height // patch), -(-video.width // patch)
        ys = (np.arange(rows) + 0.5) * 2 * patch / video.height - 1
        xs = (np.arange(columns) + 0.5) * 2 * patch / video.width - 1
        s = np.array([(x, y) for y in ys for x in xs])
        for layer in range(self.depth):
            s = np.sin(self.omega * (s @ weights[2 * layer].T + weights[2 * layer + 1]))
        volume, volume_bias, block, block_bias, head, head_bias = weights[2 * self.depth :]
        f = (s @ volume.T + volume_bias).reshape(-1, half, half, self.channels).transpose(0, 3, 1, 2)
        z = convolve(f + self.time_embedding(t)[:, None, None], block, block_bias)
        p = convolve(gelu(pixel_shuffle(z, 2)), head, head_bias + 0.5)
        grid = p.reshape(rows, columns, 3, patch, patch).transpose(2, 0, 3, 1, 4)
        return grid.reshape(3, rows * patch, columns * patch)[:, : video.height, : video.width]
