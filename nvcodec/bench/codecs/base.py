"""What a codec is to the harness: a name with a preset and options, and two command lines that turn files into files.

Encoding and decoding are processes of their own, so that all codecs' times, CPU seconds and memory are taken in one
way (`bench.process`), and one codec's crash is not another's.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nvcodec.errors import UsageError


@dataclass(frozen=True)
class Spec:
    """A codec as a user names it: NAME[:PRESET][,OPTION=VALUE...]."""

    name: str
    preset: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What tables and plots call it."""
        return " ".join([self.name, self.preset, *(f"{key}={value}" for key, value in self.options.items())])

    @property
    def text(self) -> str:
        """What a user types."""
        return ",".join([f"{self.name}:{self.preset}", *(f"{key}={value}" for key, value in self.options.items())])


@dataclass(frozen=True)
class Rate:
    """What is asked for. kind: bpp, psnr (RGB, dB) or quality (the codec's own scale: crf, qp, lambda)."""

    kind: str
    value: float

    def __str__(self) -> str:
        return f"{self.kind} {self.value:g}"


@dataclass(frozen=True)
class Scale:
    """A codec's own quality scale: more is fewer bits. step: the distance of two settings that differ."""

    name: str
    low: float
    high: float
    step: float


@dataclass(frozen=True)
class Job:
    """One process: its command line; report: the JSON file that it writes, None where it is a foreign program."""

    command: tuple[str, ...]
    report: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Encode:
    """What to encode: a y4m file to `target`. rate: of a kind that the codec takes. intra_period: frames from one
    random-access point to the next, None for one at the start and others only where the encoder wants them."""

    source: Path
    target: Path
    frames: int
    rate: Rate
    intra_period: int | None
    threads: int
    seed: int
    scratch: Path


@dataclass(frozen=True)
class Decode:
    """What to decode: `stream` to a y4m file like the source, whose frame rate is `rate`, such as 30000/1001."""

    stream: Path
    target: Path
    rate: str
    threads: int
    scratch: Path


@dataclass(frozen=True)
class StreamInfo:
    """payload: bytes without the container's own. frame_bytes: of each frame, in order of presentation. Of ours also
    usage: bytes by kind; groups; extra: whatever else a row should say."""

    payload: int
    frame_bytes: tuple[float, ...]
    usage: dict[str, int] | None = None
    groups: list[dict[str, Any]] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


class Codec(ABC):
    """One codec with its preset and options.

    kinds: of Rate that `encode` takes; a bpp is searched for on `scale` where it is not among them. suffix: of streams.
    """

    kinds: tuple[str, ...] = ("quality",)
    neural = False
    suffix: str
    scale: Scale

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    @property
    def label(self) -> str:
        """What tables and plots call it."""
        return self.spec.label

    @abstractmethod
    def missing(self) -> str | None:
        """Why it cannot run here, one line that names the fix; None where it can."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Of the libraries that do the work."""

    @abstractmethod
    def encode(self, task: Encode) -> Job:
        """The process that encodes; UsageError for what this codec cannot do."""

    @abstractmethod
    def decode(self, task: Decode) -> Job:
        """The process that decodes."""

    @abstractmethod
    def stream(self, task: Encode, report: dict[str, Any]) -> StreamInfo:
        """What is known of the stream after `encode` ended. report: what the process wrote, if it writes one."""


@dataclass(frozen=True)
class Library:
    """An encoder of libavcodec. library: its name there. container: of the stream. preset: the option that takes one of
    presets."""

    library: str
    container: str
    preset: str
    presets: tuple[str, ...]
    scale: Scale


class LibraryCodec(Codec):
    """A codec that is one encoder of libavcodec."""

    def __init__(self, spec: Spec, encoder: Library) -> None:
        super().__init__(spec)
        check_preset(spec, encoder.presets)
        self.scale = encoder.scale
        self.suffix = f".{encoder.container}"


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """A command line of this interpreter."""
    return (sys.executable, "-m", module, *arguments)


def check_preset(spec: Spec, presets: tuple[str, ...]) -> None:
    """UsageError unless there is such a preset."""
    if spec.preset not in presets:
        raise UsageError(f"{spec.name} has no preset '{spec.preset}'; it has {', '.join(presets)}")
