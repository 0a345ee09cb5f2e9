"""Rows of a results file by what a plot shows: a clip, and in it the series that become curves.

A clip is a reference at one intra period, named with its size: bunny_720p_320x180, bunny_720p_320x180_intra32. Where
two still have one name, the number of frames is added, then the start of the digest. A series is all rows of one label,
on one device, with one number of threads and one seed.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, NamedTuple

from nvcodec.errors import SourceError

Row = Mapping[str, Any]
OURS = "nvcodec"  # our codec's name in rows
_SIZES = ("width", "height", "frames")
NEEDED: dict[str, Callable[[Any], bool]] = {
    **{f"clip.reference.{size}": lambda value: isinstance(value, int) and value > 0 for size in _SIZES},
    **{name: lambda value: isinstance(value, str) for name in ("clip.name", "codec.name", "codec.label")},
    "bpp": lambda value: (number(value) or 0) > 0,
}
"""What a row has to have. Everything else may be missing, and what would need it is not drawn."""


@dataclass(frozen=True)
class Clip:
    """Rows of one reference at one intra period. name: safe for files. title: for people. series: by rate, the rows of
    every series of the file, none where this clip has not been measured."""

    name: str
    title: str
    series: Mapping[str, Sequence[Row]]

    @property
    def rows(self) -> list[Row]:
        """Of all series."""
        return [row for rows in self.series.values() for row in rows]

    def median_rate(self) -> float:
        """A bpp that was measured: the median of our rows, or of all where there are none of ours."""
        rates = [row["bpp"] for row in self.rows if ours(row)] or [row["bpp"] for row in self.rows]
        return float(statistics.median_low(rates))


def check(rows: Sequence[Any]) -> None:
    """SourceError that names the first row, counted from 1, and the field that it lacks."""
    for place, row in enumerate(rows, 1):
        for path, valid in NEEDED.items():
            if not valid(get(row, path)):
                raise SourceError(f"row {place} has no valid {path}; nvc bench writes rows that have one")


def clips_of(rows: Sequence[Row]) -> list[Clip]:
    """Rows by reference and intra period, in the order in which they first come."""
    names = _series_names(rows)
    found: dict[Reference, dict[str, list[Row]]] = {}
    for row in rows:
        found.setdefault(reference_of(row), {name: [] for name in names})
    for name, row in sorted(zip(names, rows, strict=True), key=lambda pair: pair[1]["bpp"]):
        found[reference_of(row)][name].append(row)
    return [
        Clip(name, reference.title, series)
        for name, (reference, series) in zip(_clip_names(list(found)), found.items(), strict=True)
    ]


class Reference(NamedTuple):
    """What rows have to share to be in one plot."""

    stem: str
    width: int
    height: int
    frames: int
    intra_period: int | None
    digest: str

    @property
    def size(self) -> str:
        """320x180, 132 frames, intra period 32."""
        ending = f", intra period {self.intra_period}" if self.intra_period else ""
        return f"{self.width}x{self.height}, {self.frames} frames{ending}"

    @property
    def title(self) -> str:
        """The same, with the clip's name before it."""
        return f"{self.stem.removesuffix(f'_{self.width}x{self.height}')} {self.size}"


def reference_of(row: Row) -> Reference:
    """That of a row."""
    found = row["clip"]["reference"]
    width, height, frames = (found[size] for size in _SIZES)
    stem, digest = PurePath(row["clip"]["name"]).stem, str(found.get("sha256", ""))
    return Reference(stem, width, height, frames, row.get("intra_period"), digest)


def _clip_names(references: Sequence[Reference]) -> list[str]:
    """A name for each: the shortest of its names that no other has."""
    levels = []
    for one in references:
        size = f"{one.width}x{one.height}"
        name = f"{safe(one.stem).removesuffix(f'_{size}')}_{size}"
        name += f"_intra{one.intra_period}" if one.intra_period else ""
        levels.append((name, f"{name}_{one.frames}frames", f"{name}_{one.frames}frames_{one.digest[:8]}"))
    taken = Counter(name for names in levels for name in names)
    return [
        next((name for name in names if taken[name] == 1), f"{names[-1]}_{place}") for place, names in enumerate(levels)
    ]


def _series_names(rows: Sequence[Row]) -> list[str]:
    """The label of each row, and whatever else tells its series from others of that label."""
    how = [(str(row.get("device")), f"{row.get('threads')} threads", f"seed {row.get('seed')}") for row in rows]
    values: dict[tuple[str, int], set[str]] = {}
    for row, parts in zip(rows, how, strict=True):
        for place, part in enumerate(parts):
            values.setdefault((row["codec"]["label"], place), set()).add(part)
    names = []
    for row, parts in zip(rows, how, strict=True):
        label = row["codec"]["label"]
        names.append(", ".join([label, *(part for n, part in enumerate(parts) if len(values[label, n]) > 1)]))
    return names


def nearest(rows: Sequence[Row], rate: float) -> Row | None:
    """The row whose rate is nearest, as a ratio; None of none."""
    return min(rows, key=lambda row: abs(math.log(row["bpp"] / rate)), default=None)


def ours(row: Row) -> bool:
    """Whether our codec made it."""
    return bool(row["codec"]["name"] == OURS)


def safe(text: str) -> str:
    """Letters, digits, - and _ only, for file names and ids."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", text).strip("_") or "_"


def number(value: Any) -> float | None:
    """A finite number, or None."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def get(row: Any, path: str) -> Any:
    """What stands at a dotted path; None where it ends early."""
    for name in path.split("."):
        row = row.get(name) if isinstance(row, Mapping) else None
    return row


def inherited_bpp(row: Row) -> float | None:
    """Bits per pixel of the groups that start from the group before; None where there are none."""
    groups = [group for group in row.get("groups") or () if not group["random_access"]]
    frames = sum(group["frames"] for group in groups)
    side = row["clip"]["reference"]
    return sum(group["bytes"] for group in groups) * 8 / (frames * side["width"] * side["height"]) if frames else None
