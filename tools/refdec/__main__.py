"""python -m tools.refdec FILE.nvc [--frames A:B] [--y4m OUT | --raw OUT]: decode, and print a line for each group."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from .container import Refused, Video
from .decoder import decode


def y4m_header(video: Video) -> bytes:
    """The header line; the rate is the nominal one, or one frame per unit of the time base."""
    if video.matrix == 0:
        raise SystemExit("refdec: y4m has no RGB; use --raw")
    n, d = video.rate if video.rate[0] else (video.time_base[1], video.time_base[0])
    name = ("mono", "420", "422", "444")[video.chroma]
    tag = name if video.depth == 8 else name + ("10" if video.chroma == 0 else "p10")
    aspect = f"A{video.aspect[0]}:{video.aspect[1]}"
    extra = ("", " XCOLORRANGE=LIMITED", " XCOLORRANGE=FULL")[video.range]
    return f"YUV4MPEG2 W{video.width} H{video.height} F{n}:{d} Ip {aspect} C{tag}{extra}\n".encode("ascii")


def main() -> int:
    """0 when the file was whole, valid and its pixels near those of its encoder."""
    parser = argparse.ArgumentParser(prog="refdec", description="Decode an .nvc file, slowly and by the book.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--frames", default="0:", help="A:B, the frames A .. B - 1 (default: all)")
    parser.add_argument("--y4m", type=Path, help="write a y4m file")
    parser.add_argument("--raw", type=Path, help="write the planes one after the other, 10 bit as 16 bit little-endian")
    options = parser.parse_args()
    start, _, stop = options.frames.partition(":")
    first, end = int(start or 0), int(stop) if stop else None
    target = options.y4m or options.raw
    good = True
    with open(target, "wb") if target else open(os.devnull, "wb") as out:
        try:
            for item in decode(options.file.read_bytes(), first, end):
                if isinstance(item, Video):
                    if options.y4m:
                        out.write(y4m_header(item))
                    continue
                record = item.record
                near = item.means_match and record.model.exactness == 0
                verdict = "same" if item.hash_matches else "near" if near else "WRONG"
                good &= verdict != "WRONG"
                print(
                    f"group {record.number} chain {record.chain} inherits {record.inheritance} frames "
                    f"{record.first_frame}+{len(record.pts)} integers {item.state.digest()} pixels "
                    f"{record.pixel_hash.hex()} {verdict}"
                )
                for t, planes in enumerate(item.frames):
                    if first <= record.first_frame + t and (end is None or record.first_frame + t < end):
                        out.write((b"FRAME\n" if options.y4m else b"") + b"".join(p.tobytes() for p in planes))
        except Refused as error:
            print(f"refdec: {error}", file=sys.stderr)
            good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
