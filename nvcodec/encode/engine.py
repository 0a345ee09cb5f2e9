"""What makes the groups of a file: one way for networks whose weights are fitted, one for those of coded frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from nvcodec.bitstream.records import ModelRecord
from nvcodec.encode.output import Output
from nvcodec.encode.report import Observer
from nvcodec.video import Frame


class Engine(Protocol):
    """Encodes one chain of groups."""

    record: ModelRecord  # of its network

    @property
    def steps(self) -> int | None:
        """Of training, in all; None where the length of the video is not known."""

    @property
    def expected_bpp(self) -> float | None:
        """Of the whole file, where a rate is asked for."""

    def pace(self, first: Sequence[Frame]) -> tuple[float, float]:
        """Seconds of a step, and of all else that is done for a group, from a trial on the first group."""

    def encode(self, units: Iterator[list[Sequence[Frame]]], output: Output, observer: Observer) -> None:
        """Encode to `output`, from where it stands. units: the frames of each, by group, from the first one on."""
