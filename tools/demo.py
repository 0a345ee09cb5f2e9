"""`make demo`: a bundled excerpt to .nvc and back by the commands a user has, then numbers and a picture of it.

Writes demo/bunny.nvc, demo/bunny.y4m and demo/bunny.png: source | decoded | difference x 4, of the middle frame.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from nvcodec.media.color import to_rgb
from nvcodec.media.source import open_source
from nvcodec.metrics import PsnrMeter, bpp
from nvcodec.video import Frame, VideoInfo

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "tests/data/bunny_320x180.mp4"
FOLDER = ROOT / "demo"
PRESET = "ultrafast"
GAIN = 4  # of the difference
ZOOM = 2
MARGIN = 12
STRIP = 44  # height of the labels


def run(*arguments: str | Path) -> float:
    """One nvc command, shown as it would be typed; returns the seconds it took."""
    words = [str(a.relative_to(ROOT)) if isinstance(a, Path) else a for a in arguments]
    print(f"\n$ nvc {' '.join(words)}", flush=True)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "nvcodec", *words], cwd=ROOT, check=True)
    return time.perf_counter() - began


def rgb(frame: Frame, info: VideoInfo) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1]."""
    planes = [torch.from_numpy(plane.astype(np.int32))[None] for plane in frame.planes]
    return to_rgb(planes, info)[0].permute(1, 2, 0).numpy()


def draw(panels: list[tuple[str, np.ndarray]], path: Path) -> None:
    """Labelled pictures side by side."""
    height, width = (ZOOM * n for n in panels[0][1].shape[:2])
    sheet = Image.new("RGB", (len(panels) * (width + MARGIN) + MARGIN, height + STRIP + MARGIN), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(22)
    for place, (label, pixels) in enumerate(panels):
        left = MARGIN + place * (width + MARGIN)
        picture = Image.fromarray(np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8))
        sheet.paste(picture.resize((width, height), Image.Resampling.NEAREST), (left, STRIP))
        pen.text((left, STRIP // 2), label, fill="black", font=font, anchor="lm")
    sheet.save(path)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    coded, decoded, picture = FOLDER / "bunny.nvc", FOLDER / "bunny.y4m", FOLDER / "bunny.png"
    encoding = run("encode", SOURCE, coded, "--preset", PRESET, "--force")
    run("info", coded)
    decoding = run("decode", coded, decoded, "--verify", "--force")

    with open_source(SOURCE) as before, open_source(decoded) as after:
        info, pairs = before.info, list(zip(before, after, strict=True))
    meter = PsnrMeter(info.peak)
    psnrs = [meter.add((rgb(a, info), rgb(b, info)), (a.planes, b.planes)).rgb for a, b in pairs]
    size, frames = coded.stat().st_size, len(pairs)
    rate = bpp(size, frames, info.width, info.height)
    planes = " / ".join(f"{value:.2f}" for value in meter.planes_mean_over_frames())
    raw = frames * info.frame_bytes

    middle = frames // 2
    source, result = (rgb(frame, info) for frame in pairs[middle])
    panels = [
        (f"source, frame {middle}", source),
        (f"decoded, {psnrs[middle]:.2f} dB at {rate:.3f} bpp", result),
        (f"difference x {GAIN} (gray is none)", 0.5 + GAIN * (result - source)),
    ]
    draw(panels, picture)

    print(f"""
{info.width}x{info.height}, {frames} frames, measured on the decoded file:
  size    {size:,} bytes = {rate:.4f} bpp, 1 : {raw / size:.0f} of the uncompressed video
  PSNR    RGB {meter.rgb_mean_over_frames():.2f} dB, Y / U / V {planes} dB (means over frames)
  time    encode {encoding:.1f} s, decode {decoding:.1f} s (programs started from cold)
  picture {picture.relative_to(ROOT)}""")


if __name__ == "__main__":
    main()
