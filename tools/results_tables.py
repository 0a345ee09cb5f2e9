"""Tables of results files in Markdown: what every section of docs/benchmarks.md is made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from nvcodec.bench import results as files
from nvcodec.bench.bd import bd_of_rows

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs/results"
KINDS = ("symbols", "tables", "steps", "blobs", "groups", "framing")
METRICS = {"psnr_rgb": "RGB PSNR", "psnr_y": "Y PSNR", "ms_ssim_rgb": "MS-SSIM", "vmaf": "VMAF"}
Row = dict[str, Any]
Column = tuple[str, Callable[[Row], str]]


def load(name: str) -> dict[str, Any]:
    """One results file."""
    return files.load(RESULTS / f"{name}.json")


def table(columns: Sequence[Column], rows: Iterable[Row]) -> str:
    """Markdown."""
    lines = [[head for head, _ in columns], ["---"] * len(columns)]
    lines += [[cell(row) for _, cell in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def value(path: str, places: int, scale: float = 1.0) -> Callable[[Row], str]:
    """A cell: the number at a path such as encode.px_per_s, times scale; empty where there is none."""

    def cell(row: Row) -> str:
        found: Any = row
        for part in path.split("."):
            found = (found or {}).get(part)
        return "" if found is None else f"{found * scale:.{places}f}"

    return cell


def label(row: Row) -> str:
    """The codec and what it was asked for."""
    kind, asked = row["rate"]["kind"], row["rate"]["value"]
    number = f"{asked:.6f}".rstrip("0").rstrip(".")  # a lambda is small, and an exponent hard to read
    if kind == "quality" and row["codec"]["name"] == "nvcodec":
        kind = "lambda"
    return f"{row['codec']['label']}, {kind} {number}"


def kinds(row: Row) -> str:
    """Bytes by kind."""
    usage = row["usage"] or {}
    return ", ".join(f"{kind} {usage[kind]}" for kind in KINDS if usage.get(kind))


CODEC: Column = ("codec", lambda row: row["codec"]["label"])
SETTING: Column = ("codec and setting", label)
BPP: Column = ("bpp", value("bpp", 4))
RGB: Column = ("RGB dB", value("psnr_rgb", 2))
SPEED: tuple[Column, ...] = (
    ("encode kpx/s", value("encode.px_per_s", 1, 1e-3)),
    ("decode Mpx/s", value("decode.px_per_s", 1, 1e-6)),
    ("threads", lambda row: str(row["threads"])),
    ("encode CPU s", value("encode.cpu_seconds", 1)),
    ("encode peak MiB", value("encode.peak_MiB", 0)),
)
QUALITY: tuple[Column, ...] = (
    BPP,
    RGB,
    ("Y dB", value("psnr_y", 2)),
    ("U dB", value("psnr_u", 2)),
    ("V dB", value("psnr_v", 2)),
    ("MS-SSIM", value("ms_ssim_rgb", 4)),
    ("VMAF", value("vmaf", 1)),
)


def section(title: str, name: str, *body: str) -> str:
    """A heading, where its numbers come from, and what it shows."""
    results = load(name)
    lines = [f"\n## {title}\n"]
    for source in results["provenance"]:
        machine = source["machine"]
        versions = ", ".join(f"{key} {what}" for key, what in source["versions"].items())
        lines.append(f"`{source['command']}`  \n({machine['cpu']}, {machine['cores']} cores; {versions})\n")
    return "\n".join([*lines, f"Rows: `docs/results/{name}.json`.\n", *body])


def picture(name: str, alt: str) -> str:
    """A plot, in the reader's light or dark."""
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="plots/{name}_dark.png">'
        f'<img src="plots/{name}.png" alt="{alt}"></picture>\n'
    )


def bd_table(results: dict[str, Any]) -> str:
    """BD-rates with their overlap, or why there is none."""

    def overlap(row: Row) -> str:
        if row["overlap"] is None:
            return ""
        places = 4 if row["metric"] == "ms_ssim_rgb" else 2
        low, high = (f"{end:.{places}f}" for end in row["overlap"])
        return f"{low} to {high}"

    rows = [row for row in results["bd"] if row["metric"] in METRICS and any(row["points"])]
    columns: tuple[Column, ...] = (
        ("codec", lambda row: row["test"]),
        ("metric", lambda row: METRICS[row["metric"]]),
        ("BD-rate %", lambda row: value("rate_percent", 1)(row) or row["reason"]),
        ("overlap", overlap),
        ("share of both ranges", value("overlap_share", 2)),
    )
    if len({row["clip"] for row in rows}) > 1:
        columns = (("clip", lambda row: row["clip"]), *columns)
    return f"Against {rows[0]['anchor']}:\n\n" + table(columns, rows) if rows else ""


class Derived:
    """Figures that are computed from rows. They are kept in docs/results/derived.json, with how, for all to see."""

    def __init__(self) -> None:
        self.figures: dict[str, dict[str, Any]] = {}

    def __call__(self, formula: str, what: str, number: float, places: int) -> str:
        """A figure for a table. formula: in words; what: the row that it is of."""
        self.figures.setdefault(formula, {})[what] = round(number, 6)
        return f"{number:.{places}f}"

    def column(self, head: str, formula: str, compute: Callable[[Row], float], places: int) -> Column:
        """A column of figures."""
        return head, lambda row: self(formula, row_name(row), compute(row), places)

    def text(self) -> str:
        """The file."""
        return json.dumps(self.figures, indent=1, sort_keys=True) + "\n"


def second_bd_table(source: Sequence[Row], anchor: str, derived: Derived, tests: tuple[str, ...] = ("nvcodec",)) -> str:
    """BD-rates in PSNR against another anchor than that of the results, of the codecs whose labels begin with one of
    `tests`; nothing where there are none."""
    found = [row for row in bd_of_rows(source, anchor) if row["test"].startswith(tests)]
    rows = [row for row in found if row["metric"].startswith("psnr") and row["rate_percent"] is not None]
    formula = f"BD-rate against {anchor}, percent of its bits (nvcodec.bench.bd), over what both curves cover"

    def rate(row: Row) -> str:
        what = (
            f"{row['clip']} {row['reference'][:12]}, intra period {row['intra_period']}, {row['test']}, {row['metric']}"
        )
        return derived(formula, what, row["rate_percent"], 1)

    columns: tuple[Column, ...] = (
        ("clip", lambda row: row["clip"]),
        ("codec", lambda row: row["test"]),
        ("metric", lambda row: METRICS[row["metric"]]),
        ("BD-rate %", rate),
    )
    return f"Against {anchor}, from `docs/results/derived.json`:\n\n" + table(columns, rows) if rows else ""


def row_name(row: Row) -> str:
    """A row among all of all files."""
    return f"{row['clip']['name']}, {label(row)}, seed {row['seed']}"


def stored(row: Row) -> int:
    """Parameters that a file stores: those of each group, the shared ones of a window once."""
    windows = [group["window"] for group in row["groups"] if group.get("window")]
    return len(row["groups"]) * row["parameters"] - sum(w["shared"] * (w["groups"] - 1) for w in windows)


def mask_bytes(row: Row) -> int:
    """Of all windows."""
    return sum(group["window"]["mask_bytes"] for group in row["groups"] if group.get("window"))


def option(row: Row, name: str, default: str) -> str:
    """An option of a row's codec."""
    return str(row["codec"]["options"].get(name, default))


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation."""
    return mean(values), stdev(values)
