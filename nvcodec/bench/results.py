"""A results file: JSON rows with what they mean and where they come from, written after every row.

    {"format": 1, "definitions": {name: sentence}, "provenance": [...], "rows": [...], "bd": [...]}

A row names its provenance by number. `bench.runner` says what a row holds.
"""

from __future__ import annotations

import json
import math
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from nvcodec.bench.bd import bd_of_rows
from nvcodec.bench.codecs.base import Spec
from nvcodec.bench.series import OURS, get
from nvcodec.errors import SourceError, TargetError
from nvcodec.metrics import DEFINITIONS

FORMAT = 1
Row = dict[str, Any]


class Results:
    """The rows of a file, which is read if it is there; anchor: the label that BD-rates are
    against, by default the first x264, else the first row's."""

    def __init__(self, path: Path, provenance: dict[str, Any], anchor: str | None) -> None:
        self._path, self._anchor = path, anchor
        self.rows: list[Row] = []
        self._provenance: list[dict[str, Any]] = []
        self.bd: list[dict[str, Any]] = []
        if path.exists():
            found = load(path)
            self.rows, self._provenance, self.bd = found["rows"], found["provenance"], found["bd"]
        if not path.absolute().parent.is_dir():
            raise TargetError(f"{path}: the folder does not exist")
        if provenance not in self._provenance:
            self._provenance.append(provenance)
        self._number = self._provenance.index(provenance)

    def find(self, key: str) -> Row | None:
        """The row of a key, if it was measured."""
        return next((row for row in self.rows if row["key"] == key), None)

    def add(self, row: Row) -> Row:
        """Append a row and write the file; returns the row."""
        self.rows.append({**row, "provenance": self._number})
        self.save()
        return self.rows[-1]

    def save(self) -> None:
        """Write all, with BD-rates of what there is; the old file stays until the new one is whole."""
        labels = [row["codec"]["label"] for row in self.rows]
        usual = [label for label in labels if label.startswith("x264")] or labels
        self.bd = bd_of_rows(self.rows, self._anchor or usual[0]) if usual else []
        used = sorted({row["provenance"] for row in self.rows})
        body = {
            "format": FORMAT,
            "definitions": DEFINITIONS,
            "provenance": [self._provenance[n] for n in used],
            "rows": [{**row, "provenance": used.index(row["provenance"])} for row in self.rows],
            "bd": self.bd,
        }
        try:
            handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.absolute().parent)
            try:
                with open(handle, "w", encoding="utf-8") as file:
                    file.write(to_text(body))
                os.chmod(name, 0o644)
                os.replace(name, self._path)
            except BaseException:
                os.unlink(name)
                raise
        except OSError as error:
            raise TargetError(f"{self._path}: {error.strerror or error}") from error


def load(path: Path) -> dict[str, Any]:
    """A results file, with the model in the name of every row of ours; SourceError for anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise SourceError(f"{path}: not a results file: not JSON") from error
    if not isinstance(found, dict) or not all(isinstance(found.get(k), list) for k in ("rows", "provenance", "bd")):
        raise SourceError(f"{path}: not a results file of nvc bench")
    if found.get("format") != FORMAT:
        raise SourceError(f"{path}: results of format {found.get('format')}, not {FORMAT}; measure into a new file")
    _name_models(found)
    return found


def _name_models(found: dict[str, Any]) -> None:
    """Name the model where it is not named: the default changes, and what was measured with it does not."""
    labels: dict[str, str] = {}
    for row in found["rows"]:
        model, options = get(row, "model"), get(row, "codec.options")
        if get(row, "codec.name") != OURS or model is None or options is None or "model" in options:
            continue
        before = Spec(OURS, row["codec"]["preset"], options)
        after = Spec(OURS, before.preset, {"model": model, **options})
        labels[before.label] = after.label
        row["codec"] |= {"options": dict(after.options), "label": after.label}
        row["key"] = row["key"].replace(f" | {before.label} | ", f" | {after.label} | ")
        source = found["provenance"][row["provenance"]]
        words = source["command"].split(" ")
        source["command"] = " ".join(after.text if word == before.text else word for word in words)
    for rates in found["bd"]:
        rates |= {side: labels.get(rates[side], rates[side]) for side in ("anchor", "test")}


def to_text(body: dict[str, Any]) -> str:
    """JSON with lists of numbers on one line each; infinite and undefined numbers become null."""
    return _write(body, 0) + "\n"


def _write(value: Any, depth: int) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    inner, outer = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, dict) and value:
        parts = [f"{json.dumps(str(key))}: {_write(item, depth + 1)}" for key, item in value.items()]
        return "{" + inner + f",{inner}".join(parts) + outer + "}"
    if isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value):
        return "[" + inner + f",{inner}".join(_write(item, depth + 1) for item in value) + outer + "]"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_write(item, depth + 1) for item in value) + "]"
    return json.dumps(value)


def machine() -> dict[str, Any]:
    """What the measurements ran on."""
    return {"cpu": _cpu(), "cores": os.cpu_count(), "os": platform.system(), "python": platform.python_version()}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
