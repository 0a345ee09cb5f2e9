"""Regenerate the conformance vectors: tests/vectors/*.nvc, digests.json, and the worked example of the specification.

    python tools/make_vectors.py            write them
    python tools/make_vectors.py --check    only say which would change

The files are made of pseudo-random integers, no training, so that they are a few KB and need no video: `vector_table`
lists them, `vector_plans` builds them. Hashes and means of pixels come from `tools.refdec`, which computes in float64.
A change of bytes here is a change of the format: it needs a new version number, not a new digest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.annotate import annotate, explain  # noqa: E402
from tools.refdec import decode as reference_decode  # noqa: E402
from tools.refdec.container import Video  # noqa: E402
from tools.vector_plans import build  # noqa: E402
from tools.vector_table import VECTORS_BY_NAME  # noqa: E402

VECTORS = ROOT / "tests" / "vectors"
SPECIFICATION = ROOT / "bitstream_spec.md"
MARKS = ("worked", "<!-- worked example: begin -->\n", "<!-- worked example: end -->\n")
WINDOW_MARKS = ("worked_window", "<!-- worked window: begin -->\n", "<!-- worked window: end -->\n")


def blake(data: bytes) -> str:
    """BLAKE2b of 8 bytes, in hexadecimal."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def digests(data: bytes) -> dict[str, Any]:
    """What a decoder has to find in a file."""
    groups = [item for item in reference_decode(data) if not isinstance(item, Video)]
    windows = [g.window for g in groups if g.window and g.window.record.first_group == g.record.number]
    return {
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "groups": [
            {
                "frames": [g.record.first_frame, len(g.record.pts)],
                "pts": g.record.pts,
                "inheritance": g.record.inheritance,
                "codings": g.state.codings,
                "blob_coding": g.state.blob_coding,
                "integers": g.state.digest(),
                "pixels": g.record.pixel_hash.hex(),
            }
            for g in groups
        ],
        "windows": [
            {
                "groups": [w.record.first_group, w.record.groups],
                "shared": w.record.shared,
                "mask_codings": w.codings,
                "codings": w.state.codings,
                "mask": blake(b"".join(mask.tobytes() for mask in w.shared)),
                "integers": w.state.digest(),
            }
            for w in windows
        ],
    }


def worked_example(data: bytes) -> str:
    """The part of the specification that shows every byte of a file, and what they decode to."""
    return f"```text\n{annotate(data)}```\n\nIt decodes to\n\n```text\n{explain(data)}```\n"


def worked_window(data: bytes) -> str:
    """The same of a file with a window, without the records before it and the end record."""
    listing = annotate(data)
    part = listing[listing.index("; chunk WNDW") : listing.index("; chunk FEND")]
    return f"```text\n{part}```\n\nIt decodes to\n\n```text\n{explain(data)}```\n"


def main() -> int:
    """1 with --check where something would change."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a file would change")
    check = parser.parse_args().check
    wanted: dict[Path, bytes] = {}
    expected = {}
    for name, vector in VECTORS_BY_NAME.items():
        data = build(vector)
        wanted[VECTORS / f"{name}.nvc"] = data
        expected[name] = digests(data)
    wanted[VECTORS / "digests.json"] = (json.dumps(expected, indent=1, sort_keys=True) + "\n").encode()
    if SPECIFICATION.exists():
        text = SPECIFICATION.read_text(encoding="utf-8")
        for (name, begin, end), show in ((MARKS, worked_example), (WINDOW_MARKS, worked_window)):
            before, rest = text.split(begin)
            after = rest.split(end)[1]
            text = before + begin + show(wanted[VECTORS / f"{name}.nvc"]) + end + after
        wanted[SPECIFICATION] = text.encode()
    changed = [path for path, data in wanted.items() if not path.exists() or path.read_bytes() != data]
    for path in changed:
        print(f"{'would change' if check else 'writing'} {path.relative_to(ROOT)}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wanted[path])
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
