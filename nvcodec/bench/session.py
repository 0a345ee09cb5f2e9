"""A benchmark: clips x codecs x rates, one row after the other, into a results file that it can go on with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nvcodec.bench.codecs.base import Codec, Rate
from nvcodec.bench.reference import Reference, prepare
from nvcodec.bench.results import Results
from nvcodec.bench.runner import Options, Runner, row_key
from nvcodec.errors import NvcodecError, UsageError


@dataclass(frozen=True)
class Preparation:
    """What is done to a clip before any codec gets it; see `bench.reference.prepare`."""

    cache: Path
    size: tuple[int, int] | None = None
    frames: int | None = None
    start: int = 0
    loop: bool = False


class Observer(Protocol):
    """Who is told what happens."""

    def stage(self, text: str) -> None:
        """What is being done now."""

    def row(self, row: dict[str, Any]) -> None:
        """A row, measured now or earlier."""

    def failed(self, what: str) -> None:
        """A row, or a clip, that could not be measured."""


def check(codecs: Sequence[Codec], rates: Sequence[Rate]) -> None:
    """Before any work: UsageError for a codec that is not there, and for rates that one cannot be asked for."""
    for codec in codecs:
        if reason := codec.missing():
            raise UsageError(reason)
    if len({codec.label for codec in codecs}) < len(codecs):
        raise UsageError("a codec is named twice")
    kinds = {rate.kind for rate in rates}
    if "psnr" in kinds and not all("psnr" in codec.kinds for codec in codecs):
        raise UsageError(
            "a PSNR can only be asked of nvcodec; ask other codecs for bits per pixel or their own quality"
        )
    if "quality" in kinds and len({codec.scale for codec in codecs}) > 1:
        raise UsageError("each of these codecs has a quality scale of its own; measure them one after the other")
    for rate in rates:
        for codec in codecs:
            if rate.kind == "quality" and not codec.scale.low <= rate.value <= codec.scale.high:
                raise UsageError(f"{codec.label}: {codec.scale.name} is {codec.scale.low:g}..{codec.scale.high:g}")
        if rate.kind != "quality" and rate.value <= 0:
            raise UsageError(f"{rate} is not above zero")


def measure(
    clips: Sequence[Path],
    codecs: Sequence[Codec],
    rates: Sequence[Rate],
    preparation: Preparation,
    options: Options,
    results: Results,
    observer: Observer,
) -> None:
    """All rows that the results do not have yet. NvcodecError at the end where some could not be measured."""
    check(codecs, rates)
    rows, place, failures = len(clips) * len(codecs) * len(rates), "", []
    runner = Runner(options, lambda what: observer.stage(f"{place}: {what}"))
    number = 0
    for clip in clips:
        observer.stage(f"preparing {clip.name}")
        reference: Reference | None = None
        try:
            reference = prepare(clip, **vars(preparation))
        except NvcodecError as error:
            if len(clips) == 1:
                raise
            failures.append(str(error))
            observer.failed(str(error))
        for codec in codecs:
            for rate in rates:
                number += 1
                if reference is None:
                    continue
                place = f"row {number}/{rows}: {reference.name}, {codec.label}, {rate}"
                row = results.find(row_key(reference, codec, rate, options))
                try:
                    if row is None:
                        row = results.add(runner.row(reference, codec, rate))
                    observer.row(row)
                except NvcodecError as error:
                    failures.append(f"{codec.label}, {rate}: {error}")
                    observer.failed(f"{place}: {error}")
    results.save()
    if failures:
        count = f"{len(failures)} of {rows} rows" if len(failures) > 1 else "a row"
        raise NvcodecError(f"{count} could not be measured: {failures[0]}")
