"""Pictures of docs/results/*.json: `python tools/plots.py` writes docs/plots/*.png and *.svg.

R-D curves are PSNR (RGB, mean over frames) over bits per pixel of the whole file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

DOCS = Path(__file__).resolve().parents[1] / "docs"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
Rows = dict[str, dict[str, Any]]


def rows_of(path: Path) -> Rows:
    """The rows of a results file."""
    rows: Rows = json.loads(path.read_text())["rows"]
    return rows


def curve(axes: Any, rows: list[dict[str, Any]], label: str, number: int) -> None:
    """One R-D curve, by rate."""
    points = sorted((row["bpp"], row["psnr_rgb"]) for row in rows)
    axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=label, color=COLOURS[number % len(COLOURS)])


def dress(axes: Any, title: str) -> None:
    """Labels that say what is shown."""
    axes.set_title(title)
    axes.set_xlabel("bits per pixel, whole file")
    axes.set_ylabel("RGB PSNR, dB")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def save(figure: Any, name: str) -> None:
    """On an opaque ground, so that it is legible on a dark page too."""
    folder = DOCS / "plots"
    folder.mkdir(exist_ok=True)
    figure.tight_layout()
    for suffix in ("png", "svg"):
        figure.savefig(folder / f"{name}.{suffix}", dpi=110, facecolor="white", metadata={"Date": None} if suffix == "svg" else None)  # fmt: skip # noqa: E501
    plt.close(figure)


def plot_rd(path: Path) -> None:
    """Presets and anchors of one clip."""
    families: dict[str, list[dict[str, Any]]] = {}
    for key, row in rows_of(path).items():
        families.setdefault(key.rsplit(" ", 1)[0], []).append(row)
    figure, axes = plt.subplots(figsize=(6.4, 4.4))
    for number, (family, rows) in enumerate(families.items()):
        curve(axes, rows, family, number)
    axes.set_xscale("log")
    frames = next(iter(rows_of(path).values()))["frames"]
    dress(axes, f"{path.stem.removeprefix('rd_').replace('_', ' ')}, {frames} frames")
    save(figure, path.stem)


def plot_figure5(path: Path) -> None:
    """The four panels of the paper's Figure 5."""
    rows = rows_of(path)
    figure, panels = plt.subplots(2, 2, figsize=(10, 7.4))
    frames = next(iter(rows.values()))["frames"]
    clip = f"{path.stem.removeprefix('figure5_')}, {frames} frames"
    for axes, (axis, title) in zip(
        panels.flat,
        (("lambda", "lambda"), ("patch", "patch size"), ("group", "group size"), ("steps", "iterations")),
        strict=True,
    ):
        mine = {key: row for key, row in rows.items() if key.split()[0] == axis}
        if axis == "lambda":
            curve(axes, list(mine.values()), "lambda 1e-4 .. 1e-2", 0)
        else:
            for number, value in enumerate(dict.fromkeys(key.split()[1] for key in mine)):
                chosen = [row for key, row in mine.items() if key.split()[1] == value]
                curve(axes, chosen, f"{title} {'x ' if axis == 'steps' else ''}{value}", number)
        dress(axes, f"{title}: {clip}")
    save(figure, path.stem)


def plot_adaptive(path: Path) -> None:
    """Figure 3: bits of the inherited groups against motion, with the PSNR beside each clip."""
    rows = sorted(rows_of(path).items(), key=lambda item: item[1]["motion_mse"])
    figure, axes = plt.subplots(figsize=(6.4, 4.0))
    for number, (name, row) in enumerate(rows):
        axes.scatter(row["motion_mse"], row["bpp"], color=COLOURS[number], label=f"{name}: {row['psnr_rgb']:.1f} dB")
    axes.set_xscale("log")
    axes.set_xlabel("mean squared difference of consecutive frames")
    axes.set_ylabel("bits per pixel, whole file")
    axes.set_title("one network, one lambda")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    save(figure, path.stem)


def main() -> None:
    """All results that there are."""
    for start, plot in (("rd_", plot_rd), ("figure5_", plot_figure5), ("adaptive_", plot_adaptive)):
        for path in sorted((DOCS / "results").glob(f"{start}*.json")):
            plot(path)
            print(f"docs/plots/{path.stem}.png")


if __name__ == "__main__":
    main()
