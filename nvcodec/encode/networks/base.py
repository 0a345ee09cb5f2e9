"""What the encoder asks of a family of backbones."""

from __future__ import annotations

from typing import Protocol

from nvcodec.encode.settings import EncodeSettings
from nvcodec.models.base import TensorSpec
from nvcodec.planning.sizing import BitCosts
from nvcodec.training.presets import Training
from nvcodec.video import VideoInfo


class Network(Protocol):
    """One model of the registry, as the encoder sees it."""

    @property
    def name(self) -> str:
        """As in the registry."""

    @property
    def frames(self) -> bool:
        """Whether it has coded frames, which make a file differently (encode.frame_chain)."""

    @property
    def options(self) -> frozenset[str]:
        """The settings that it has, of those that only some models have (settings.NETWORK_OPTIONS)."""

    @property
    def least_width(self) -> int:
        """The least that a rate or a number of parameters may lead to."""

    @property
    def costs(self) -> BitCosts:
        """Expected bits per parameter, measured."""

    def codes(self, info: VideoInfo) -> bool:
        """Whether it has the pixel format of a video."""

    def training(self, preset: str) -> Training:
        """How it is trained under a preset."""

    def group(self, preset: str) -> int | None:
        """Frames in a group under a preset; None where a group is a chunk of some seconds."""

    def width(self, preset: str) -> int | None:
        """The width of a preset; None where the rate decides."""

    def values(self, settings: EncodeSettings, info: VideoInfo, group: int, width: int) -> tuple[int, ...]:
        """The configuration in wire order. MalformedError where there is no such network."""

    def moves(self, tensor: TensorSpec) -> bool:
        """Whether a tensor is among those that follow the content from group to group."""

    def shares(self, tensor: TensorSpec) -> bool:
        """Whether the groups of a window may have values of a tensor in common."""
