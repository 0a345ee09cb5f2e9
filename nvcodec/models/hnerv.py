"""HNeRV (Chen et al., CVPR 2023): a frame from a small embedding of its own.

For each frame t of a group of G, with the stages, channels and canvas of models.framewise:

    e_t   = embedding of the frame, E x h_0 x w_0: a row of a coded tensor
    z_0   = GELU(conv1x1(e_t))                         E -> C_0
    z_i   = GELU(PixelShuffle(conv(z_(i-1))))          i = 1 .. n, kernels 1, 3, then 5              HNeRV blocks
    p     = conv3x3(z_n) + 1/2                         C_n -> 3: RGB                                 head

(section 3.1; the paper ends in a sigmoid.) There, an encoder that is never stored makes e_t from the frame. Here the
embeddings are parameters like all others and trained directly: they start at zero and take what gradients give them.
A group of fewer than G frames leaves the last rows unused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from nvcodec.models.base import LATENT, TensorSpec, register, require
from nvcodec.models.framewise import FrameWise, FrameWiseConfig, convolution_specs, convolve

FIRST_KERNEL, LARGEST_KERNEL = 1, 5  # of the stages: 1, 3, 5, 5, ...
EMBEDDING_BOUND = 1.0  # the scale of embeddings: what training takes for the size of one


@dataclass(frozen=True)
class HnervConfig(FrameWiseConfig):
    """The knobs of the network, in wire order.

    group: G, the most frames in a group. width: C_0. embedding: E. lower, reduction, s1 .. s6: models.framewise.Stages.
    """

    model = "hnerv"
    group: int = 120
    width: int = 26
    embedding: int = 2
    lower: int = 12
    reduction: int = 12
    s1: int = 5
    s2: int = 2
    s3: int = 2
    s4: int = 2
    s5: int = 2
    s6: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(1 <= self.embedding <= 256, f"hnerv: embedding {self.embedding} is not in 1..256")


class Hnerv(FrameWise):
    """The network for frames of height x width samples."""

    def __init__(self, config: HnervConfig, height: int, width: int) -> None:
        super().__init__(config.stages, height, width)
        self.config = config
        self.longest = config.group
        shape = (config.group, config.embedding, self.rows, self.columns)
        kernels = [min(FIRST_KERNEL + 2 * i, LARGEST_KERNEL) for i in range(len(self.stages.used))]
        self.tensors: tuple[TensorSpec, ...] = (
            TensorSpec("embedding", LATENT, shape, 0, EMBEDDING_BOUND),
            *convolution_specs("first", config.width, config.embedding, 1),
            *self.stages.specs(kernels),
            *convolution_specs("head", 3, self.stages.channels[-1], 3),
        )

    def predict(self, weights: Sequence[Tensor], frames: Sequence[int], cells: range) -> Tensor:
        """(1, T, 3, h_n, w_n) at T = len(frames) places in the group."""
        embedding, first, first_bias, *rest = weights
        e = embedding[torch.tensor(list(frames), device=embedding.device)]  # (T, E, h_0, w_0)
        z = functional.gelu(convolve(e, first, first_bias))  # (T, C_0, h_0, w_0)
        return self.enlarged(z, rest)


@register("hnerv")
def create(values: tuple[int, ...], height: int, width: int) -> Hnerv:
    """From configuration values in wire order; MalformedError where they describe no network."""
    return Hnerv(HnervConfig.of(values), height, width)
