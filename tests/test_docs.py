"""The benchmarks' figures are those of the JSON beside them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_benchmarks_are_generated_from_results():
    done = subprocess.run(
        [sys.executable, "tools/benchmarks_md.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
