"""The documents' figures are those of the results beside them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nvcodec.bench.results import load

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs/results"
FIGURE = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?![\w.])")
SCALES = (1.0, 1e-3, 1e-6)  # kpx/s and Mpx/s are given of px/s
LISTS = ("per_frame", "runs")  # a number a frame would have nearly every figure among them


def test_documents_are_generated_from_results():
    done = subprocess.run(
        [sys.executable, "tools/benchmarks_md.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def leaves(value):
    """Every number of a results file, also those within its words, such as the options of a codec."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in LISTS:
                yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, str):
        yield from map(float, re.findall(r"\d+(?:\.\d+)?", value))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def sections(text):
    """(heading, body, the results files that it names)."""
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        yield heading, body, re.findall(r"docs/results/(\w+)\.json", body)


def unknown(body, names):
    """Figures in the tables that no number of those files gives, as it is or in thousands or millions."""
    numbers = [n for name in names for n in leaves(json.loads((RESULTS / f"{name}.json").read_text()))]
    cells = [cell for line in body.splitlines() if line.startswith("| ") for cell in line.strip("| ").split(" | ")]
    figures = {figure for cell in cells for figure in FIGURE.findall(cell)}
    missing = set()
    for figure in figures:
        places = len(figure.partition(".")[2])
        if not any(f"{n * scale:.{places}f}" == figure.lstrip("+") for n in numbers for scale in SCALES):
            missing.add(figure)
    return missing


BENCHMARKS = list(sections((ROOT / "docs/benchmarks.md").read_text()))


@pytest.mark.parametrize("heading, body, names", BENCHMARKS, ids=[heading for heading, _, _ in BENCHMARKS])
def test_every_figure_is_in_the_results(heading, body, names):
    if "|" in body:
        assert names, "a table without the file that it is from"
        assert not unknown(body, names)


def test_the_readmes_numbers_are_in_the_results():
    (numbers,) = [body for heading, body, _ in sections((ROOT / "README.md").read_text()) if heading == "Numbers"]
    assert len(FIGURE.findall(numbers)) > 20
    assert not unknown(numbers, ["rd_bunny_320x180"])


def test_a_figure_that_is_not_measured_is_noticed():
    heading, body, names = BENCHMARKS[0]
    assert unknown(body + "\n| x264 | 0.12345 |\n", names) == {"0.12345"}


def test_results_are_files_of_the_harness():
    for path in sorted(RESULTS.glob("*.json")):
        if path.stem in ("published", "derived", "decoding_in_turns"):
            continue
        found = load(path)
        assert found["rows"], path
        for row in found["rows"]:
            assert row["psnr_rgb"] and row["bytes"] and found["provenance"][row["provenance"]]["command"]


def test_every_plot_that_is_shown_is_there():
    shown = set(re.findall(r"plots/[\w.]+\.png", (ROOT / "docs/benchmarks.md").read_text()))
    assert shown and all((ROOT / "docs" / name).is_file() for name in shown)
