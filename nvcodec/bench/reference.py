"""What a benchmark gives to every codec: the clip as y4m, 8 bit yuv420p, constant rate, even size.

References are cached. One is taken from the cache only where the clip's bytes, everything that was asked for, the facts
recorded beside it and its own digest agree. y4m has no matrix: RGB measures use `matrix`, what readers take where none
is declared (H.273: 6, BT.601, below 720 lines, else 1, BT.709), whatever the clip's own (`source_matrix`) is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from nvcodec.errors import SourceError, TargetError, UsageError
from nvcodec.media.base import PendingFile, Source
from nvcodec.media.color import stack_planes, to_rgb, working_matrix
from nvcodec.media.convert import Conversion, convert, plan
from nvcodec.media.source import open_source
from nvcodec.media.y4m import DEFAULT_RATE, Y4mSink, file_digest
from nvcodec.metrics import Array, mean, mse
from nvcodec.video import Frame

RECIPE = 1
"""To be raised when the same request gives other pixels."""


@dataclass(frozen=True)
class Reference:
    """A prepared clip.

    path: the y4m file. name: the clip's. digest: SHA-256 of the clip (of a folder of pictures: of their names and
    digests). sha256: of the y4m. frames: in the y4m; the clip's from `start` on, repeated where looped. rate: frames
    per second. scaled: by area averaging. cropped: an odd last column or row was cut off. motion: mean squared
    difference of consecutive frames, RGB in [0, 1]; 0 for one frame.
    """

    path: Path
    name: str
    digest: str
    width: int
    height: int
    frames: int
    rate: Fraction
    pixel_format: str
    sha256: str
    scaled: bool
    cropped: bool
    start: int
    looped: bool
    matrix: int
    source_matrix: int
    motion: float

    def describe(self) -> dict[str, Any]:
        """The "clip" object of a results file."""
        facts = {key: value for key, value in asdict(self).items() if key not in ("path", "name", "digest")}
        facts["rate"] = f"{self.rate.numerator}/{self.rate.denominator}"
        return {"name": self.name, "digest": self.digest, "reference": facts}


def prepare(
    clip: Path,
    *,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    start: int = 0,
    loop: bool = False,
    cache: Path,
) -> Reference:
    """The clip, or frames start .. start + frames - 1 of it, as a reference in the folder `cache`.

    size: (width, height), even; None: the clip's own, cropped to even. loop: repeat what there is until `frames`.
    Memory does not grow with the clip. Time stamps become the clip's nominal rate (25 where it has none).

    Raises SourceError where the clip cannot be read or has too few frames, UsageError for what cannot be asked for,
    TargetError where the cache cannot be written.
    """
    if start < 0 or (frames is not None and frames < 1):
        raise UsageError(f"there are no frames {start}:{'' if frames is None else start + frames}")
    if loop and frames is None:
        raise UsageError("a clip is repeated up to a number of frames; say how many")
    span = _Span(start, frames, loop)
    with open_source(clip) as source:
        digest = source.digest()
        if digest is None:
            raise UsageError("a pipe cannot be measured; save it to a file first")
        how = plan(source.info, size)
        name = Path(os.path.abspath(clip)).name
        request = json.loads(
            json.dumps({"recipe": RECIPE, "digest": digest, **asdict(how), **asdict(span)}, default=str)
        )
        key = hashlib.sha256(_canonical(request)).hexdigest()[:20]
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(name).stem)[:60]
        path = cache / f"{stem}-{how.target.width}x{how.target.height}-{key}.y4m"
        found = _load(path, name, request)
        if found is not None:
            return found
        made = _make(source, name, digest, how, span, path)
    _save(made, request)
    return made


@dataclass(frozen=True)
class _Span:
    """Which frames of a clip."""

    start: int
    frames: int | None
    loop: bool

    def of(self, source: Source, name: str) -> Iterator[Frame]:
        """The frames; SourceError where there are fewer than were asked for."""
        count = 0
        while True:
            before, total = count, 0
            for total, frame in enumerate(source, 1):
                if total <= self.start:
                    continue
                yield frame
                count += 1
                if count == self.frames:
                    return
            if count == before:
                raise SourceError(f"{name}: has {total} frames, none from frame {self.start} on; start earlier")
            if self.frames is None:
                return
            if not self.loop:
                since = f" from frame {self.start} on" if self.start else ""
                raise SourceError(
                    f"{name}: has {count} frames{since}, {self.frames} were asked for; ask for {count}, or loop it"
                )


def _make(source: Source, name: str, digest: str, how: Conversion, span: _Span, path: Path) -> Reference:
    """Write the y4m and measure it."""
    rate = source.info.rate or DEFAULT_RATE
    info = replace(how.target, time_base=1 / rate, rate=rate)
    differences: list[float] = []
    last: Array | None = None
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TargetError(f"{path.parent}: {error.strerror}") from error
    with Y4mSink(str(path), info) as sink:
        for frame in span.of(source, name):
            out = Frame(convert(frame, how).planes, count)
            sink.write(out)
            rgb: Array = to_rgb(stack_planes([out]), info).numpy()
            if last is not None:
                differences.append(mse(rgb, last))
            last = rgb
            count += 1
    return Reference(
        path=path,
        name=name,
        digest=digest,
        width=info.width,
        height=info.height,
        frames=count,
        rate=rate,
        pixel_format=info.pixel_format,
        sha256=file_digest(str(path)),
        scaled=how.scaled,
        cropped=how.cropped,
        start=span.start,
        looped=span.loop,
        matrix=working_matrix(info),
        source_matrix=source.info.color.matrix,
        motion=mean(differences) if differences else 0.0,
    )


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode("ascii")


def _save(reference: Reference, request: dict[str, Any]) -> None:
    """The facts beside the y4m, whole or not at all."""
    facts = reference.describe()
    sheet = {"request": request, "clip": facts, "check": hashlib.sha256(_canonical([request, facts])).hexdigest()}
    pending = PendingFile(reference.path.with_suffix(".json"))
    try:
        pending.path.write_text(json.dumps(sheet, indent=1) + "\n", encoding="ascii")
        pending.commit()
    except OSError as error:
        raise TargetError(f"{pending.target}: {error.strerror}") from error
    finally:
        pending.discard()


def _load(path: Path, name: str, request: dict[str, Any]) -> Reference | None:
    """What the cache has, if every fact about it holds; else None, and it is made again."""
    try:
        sheet = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
        facts = sheet["clip"]
        check = hashlib.sha256(_canonical([sheet["request"], facts])).hexdigest()
        if sheet["check"] != check or sheet["request"] != request or not path.is_file():
            return None
        values = facts["reference"]
        found = Reference(
            **{**values, "path": path, "name": name, "digest": facts["digest"], "rate": Fraction(values["rate"])}
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if file_digest(str(path)) == found.sha256 else None
