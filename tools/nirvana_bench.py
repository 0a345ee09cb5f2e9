"""The measurements of docs/benchmarks.md: whole encodes to files, decoded again, beside x264, as JSON.

    python tools/nirvana_bench.py rd CLIP --size 320x180            R-D points of presets, and of x264, at four rates
    python tools/nirvana_bench.py equal CLIP --size 320x180         width 128, 800/200 steps, the first 12 frames
    python tools/nirvana_bench.py adaptive CLIP [CLIP ...]          the same settings on each: bits against motion
    python tools/nirvana_bench.py figure5 CLIP                      R-D over lambda, patch, group and iterations
    python tools/nirvana_bench.py speed CLIP --size 320x180         encode and decode rates, medians of several runs
    python tools/nirvana_bench.py memory CLIP --size 160x90         peak memory for 100 and 400 frames

Each writes docs/results/NAME.json (--out), one row at a time, and goes on where it stopped: a row that is there is not
measured again. Every row's PSNR and bytes are those of a file that was decoded by the library from disk; encoders'
own reports are only checked against it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
import torch

import nvcodec
from nvcodec.bitstream.survey import scan
from nvcodec.decode.decoder import Check, Decoder
from nvcodec.encode.encoder import encode
from nvcodec.encode.settings import EncodeSettings
from nvcodec.media.color import stack_planes, to_rgb
from nvcodec.media.sink import open_sink
from nvcodec.media.source import open_source
from nvcodec.metrics import PsnrMeter, bpp
from nvcodec.video import Frame, VideoInfo

RESULTS = Path(__file__).resolve().parents[1] / "docs/results"
Row = dict[str, Any]


def prepare(clip: Path, size: str | None, frames: int | None, folder: Path) -> Path:
    """The clip as y4m: scaled to WxH (area), its first `frames` frames, yuv420p; times become a constant rate."""
    target = folder / f"{clip.stem}-{size or 'full'}-{frames or 'all'}.y4m"
    if target.exists():
        return target
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        sink = None
        for number, picture in enumerate(container.decode(stream)):
            if number == frames:
                break
            width, height = map(int, size.split("x")) if size else (picture.width, picture.height)
            small = picture.reformat(width=width, height=height, format="yuv420p", interpolation="AREA")
            if sink is None:
                rate = Fraction(stream.average_rate or 25)
                info = VideoInfo(width, height, time_base=1 / rate, rate=rate)
                sink = open_sink(target, info, force=True)
            planes = tuple(_plane(plane) for plane in small.planes)
            sink.write(Frame(planes, number))
        assert sink is not None
        sink.close()
    return target


def _plane(plane: Any) -> np.ndarray:
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return np.ascontiguousarray(rows[:, : plane.width])


def compare(source: Path, frames: Iterator[Frame], info: VideoInfo) -> Row:
    """PSNR of decoded frames against the source: RGB and planes, mean over frames and of the mean error."""
    meter = PsnrMeter(info.peak)
    with open_source(source) as video:
        for a, b in zip(video, frames, strict=True):
            x, y = (to_rgb(stack_planes([f]), info)[0].numpy() for f in (a, b))
            meter.add((x, y), (a.planes, b.planes))
    return {
        "frames": meter.frames,
        "psnr_rgb": meter.rgb_mean_over_frames(),
        "psnr_planes": meter.planes_mean_over_frames(),
        "psnr_rgb_of_mean_error": meter.rgb_of_mean_error(),
    }


def ours(source: Path, settings: EncodeSettings) -> Row:
    """Encode, decode from disk, compare."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "a.nvc"
        report = encode(source, target, settings)
        began, decoded = time.perf_counter(), []
        with open(target, "rb") as file:
            decoder = Decoder(file)
            for group in decoder.groups():
                assert group.check is Check.EXACT, "a group does not decode to what the encoder saw"
                decoded += group.frames
        seconds = time.perf_counter() - began
        row = compare(source, iter(decoded), decoder.info)
        with open(target, "rb") as file:
            usage = scan(file).usage
        pixels = decoder.info.width * decoder.info.height
        size = target.stat().st_size
    assert abs(row["psnr_rgb"] - report.psnr) < 1e-3 and size == report.bytes
    return {
        **row,
        "codec": "nvcodec",
        "settings": settings.chosen(),
        "config": report.plan.config,
        "bytes": size,
        "bpp": bpp(size, row["frames"], decoder.info.width, decoder.info.height),
        "usage": usage,
        "psnr_training_gap": max(abs(g.psnr - g.psnr_training) for g in report.groups),
        "encode_kpx_per_s": report.pixels_per_second / 1e3,
        "decode_Mpx_per_s": row["frames"] * pixels / seconds / 1e6,
        "groups": [{"psnr": g.psnr, "bytes": g.bytes, "frames": g.frames} for g in report.groups],
    }


def x264(source: Path, rate: float) -> Row:
    """libx264, preset medium, one pass at an average bit rate; what counts is what came out."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "a.mkv"
        began = time.perf_counter()
        with open_source(source) as video, av.open(str(target), "w") as container:
            info = video.info
            fps = info.rate or Fraction(25)
            stream = container.add_stream("libx264", rate=fps)
            stream.width, stream.height, stream.pix_fmt = info.width, info.height, "yuv420p"
            stream.bit_rate = max(1000, int(rate * info.width * info.height * float(fps)))
            stream.options = {"preset": "medium"}
            for frame in video:
                picture = av.VideoFrame(info.width, info.height, "yuv420p")
                for plane, values in zip(picture.planes, frame.planes, strict=True):
                    rows = np.zeros((plane.height, plane.line_size), np.uint8)
                    rows[:, : plane.width] = values
                    plane.update(rows)
                picture.pts = frame.pts
                picture.time_base = info.time_base
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
        seconds = time.perf_counter() - began
        with open_source(target) as video:
            row = compare(source, iter(list(video)), info)
        with av.open(str(target)) as container:
            size = sum(packet.size for packet in container.demux(video=0))
    pixels = info.width * info.height
    return {
        **row,
        "codec": "x264 medium",
        "settings": {"bpp": rate},
        "bytes": size,
        "bpp": bpp(size, row["frames"], info.width, info.height),
        "encode_kpx_per_s": row["frames"] * pixels / seconds / 1e3,
    }


class Results:
    """A JSON file of rows by key, written after each row."""

    def __init__(self, path: Path, clips: list[Path]) -> None:
        self._path = path
        self.rows: dict[str, Row] = {}
        if path.exists():
            self.rows = json.loads(path.read_text())["rows"]
        self._about = {
            "command": " ".join(["python", "tools/nirvana_bench.py", *(Path(a).name for a in sys.argv[1:])]),
            "definitions": "psnr_rgb: mean over frames, RGB of replicated chroma, peak 1. bpp: all bytes of the .nvc"
            " file (of x264: of its packets, the container not counted) x 8 / pixels of all frames.",
            "clips": {c.name: hashlib.sha256(c.read_bytes()).hexdigest() for c in clips},
            "nvcodec": nvcodec.__version__,
            "torch": torch.__version__,
            "av": av.__version__,
            "threads": torch.get_num_threads(),
            "cpu": _cpu(),
        }

    def add(self, key: str, measure: Callable[[], Row]) -> Row:
        """The row of that key, measured unless it is there."""
        if key not in self.rows:
            self.rows[key] = measure()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps({"about": self._about, "rows": self.rows}, indent=1) + "\n")
        row = self.rows[key]
        if "bpp" in row:
            print(
                f"{key:44} {row['psnr_rgb']:7.3f} dB {row['bpp']:8.4f} bpp {row['encode_kpx_per_s']:8.1f} kpx/s",
                flush=True,
            )
        return row


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor()
    return f"{name}, {os.cpu_count()} cores"


def motion(source: Path) -> float:
    """Mean squared difference between consecutive frames, RGB in [0, 1] (the paper's Figure 3)."""
    errors, last = [], None
    with open_source(source) as video:
        for frame in video:
            rgb = to_rgb(stack_planes([frame]), video.info)[0]
            if last is not None:
                errors.append(float((rgb - last).square().mean()))
            last = rgb
    return statistics.fmean(errors)


@click.group(help=__doc__)
def main() -> None:
    """Entry point."""


clip_option = click.option("--size", help="WxH to scale to.")
frames_option = click.option("--frames", type=int, help="The first N frames only.")
out_option = click.option("--out", type=click.Path(path_type=Path), help="Default: docs/results/COMMAND.json")
CLIP = click.Path(exists=True, path_type=Path)


@main.command()
@click.argument("clip", type=CLIP)
@clip_option
@frames_option
@out_option
@click.option("--presets", default="fast,medium")
@click.option("--rates", default="0.1,0.2,0.45,1.0")
def rd(clip: Path, size: str | None, frames: int | None, out: Path | None, presets: str, rates: str) -> None:
    """Four rates of each preset, and of x264 medium."""
    results = Results(out or RESULTS / "rd.json", [clip])
    with tempfile.TemporaryDirectory() as folder:
        source = prepare(clip, size, frames, Path(folder))
        for rate in map(float, rates.split(",")):
            results.add(f"x264 medium {rate}", lambda rate=rate: x264(source, rate))
        for preset in presets.split(","):
            for rate in map(float, rates.split(",")):
                how = EncodeSettings(preset=preset, bpp=rate)
                results.add(f"nvcodec {preset} {rate}", lambda how=how: ours(source, how))


@main.command()
@click.argument("clip", type=CLIP)
@clip_option
@out_option
def equal(clip: Path, size: str | None, out: Path | None) -> None:
    """The width and steps at which the published code was measured (docs/benchmarks.md)."""
    results = Results(out or RESULTS / "equal.json", [clip])
    base = EncodeSettings(preset="fast", lam=1e-4, width=128, group=3, depth=3, steps_first=800, steps_next=200)
    with tempfile.TemporaryDirectory() as folder:
        source = prepare(clip, size, 12, Path(folder))
        for name, change in (
            ("patch 16, 8 channels, lambda 1e-3", {"lam": 1e-3}),
            ("patch 16, 8 channels, lambda 1e-2", {"lam": 1e-2}),
            ("patch 8, 8 channels, lambda 1e-3", {"patch": 8, "lam": 1e-3}),
        ):
            how = dataclasses.replace(base, **change)
            results.add(f"width 128, {name}", lambda how=how: ours(source, how))


@main.command()
@click.argument("clips", nargs=-1, required=True, type=CLIP)
@clip_option
@frames_option
@out_option
def adaptive(clips: tuple[Path, ...], size: str | None, frames: int | None, out: Path | None) -> None:
    """Figure 3: one network and lambda for every clip; bits follow motion."""
    results = Results(out or RESULTS / "adaptive.json", list(clips))
    how = EncodeSettings(preset="fast", lam=1e-3, width=64)
    with tempfile.TemporaryDirectory() as folder:
        for clip in clips:
            source = prepare(clip, size, frames, Path(folder))
            row = results.add(clip.stem, lambda source=source: {**ours(source, how), "motion_mse": motion(source)})
            print(f"    motion {row['motion_mse']:.2e}")


@main.command()
@click.argument("clip", type=CLIP)
@clip_option
@frames_option
@out_option
def figure5(clip: Path, size: str | None, frames: int | None, out: Path | None) -> None:
    """Figure 5: lambda, patch size, group size and iterations, each over several lambda."""
    results = Results(out or RESULTS / "figure5.json", [clip])
    base = EncodeSettings(preset="fast", lam=1e-3, width=32, group=3, patch=16)
    axes: dict[str, list[Any]] = {"patch": [8, 16, 24, 32], "group": [2, 3, 5, 8], "steps": [0.5, 1, 2, 4]}
    with tempfile.TemporaryDirectory() as folder:
        source = prepare(clip, size, frames, Path(folder))
        for lam in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2):
            how = dataclasses.replace(base, lam=lam)
            results.add(f"lambda {lam}", lambda how=how: ours(source, how))
        for axis, values in axes.items():
            for value in values:
                for lam in (3e-4, 3e-3):
                    change = {axis: value} if axis != "steps" else {
                        "steps_first": int(150 * value), "steps_next": int(60 * value)}  # fmt: skip
                    how = dataclasses.replace(base, lam=lam, **change)
                    results.add(f"{axis} {value} lambda {lam}", lambda how=how: ours(source, how))


@main.command()
@click.argument("clip", type=CLIP)
@clip_option
@frames_option
@out_option
@click.option("--presets", default="ultrafast,fast")
@click.option("--runs", default=3)
def speed(clip: Path, size: str | None, frames: int | None, out: Path | None, presets: str, runs: int) -> None:
    """Encode and decode rates, whole files, medians; input and output of the decoder are not files but arrays."""
    results = Results(out or RESULTS / "speed.json", [clip])
    with tempfile.TemporaryDirectory() as folder:
        source = prepare(clip, size, frames, Path(folder))
        for preset in presets.split(","):
            rows = [
                results.add(f"{preset} run {n}", lambda preset=preset: ours(source, EncodeSettings(preset=preset)))
                for n in range(runs)
            ]
            for what in ("encode_kpx_per_s", "decode_Mpx_per_s"):
                print(f"{preset} median {what}: {statistics.median(row[what] for row in rows):.2f}", flush=True)


@main.command()
@click.argument("clip", type=CLIP)
@clip_option
@out_option
def memory(clip: Path, size: str | None, out: Path | None) -> None:
    """Peak resident memory of encode and decode processes, for 100 and for 400 frames (the clip repeated)."""
    results = Results(out or RESULTS / "memory.json", [clip])
    with tempfile.TemporaryDirectory() as folder:
        source = prepare(clip, size, 100, Path(folder))
        for frames in (100, 400):
            long, coded, raw = (Path(folder) / f"{frames}.{suffix}" for suffix in ("y4m", "nvc", "md5"))
            _repeat(source, long, frames)
            encoding = ["encode", str(long), str(coded), "--preset", "ultrafast", "--quiet", "--lambda", "1e-3"]
            row = results.add(
                f"{frames} frames",
                lambda e=encoding, d=["decode", str(coded), str(raw), "--quiet"]: {
                    "encode_peak_KiB": _peak([*e, "--width", "16"]),
                    "decode_peak_KiB": _peak(d),
                },
            )
            print(frames, row, flush=True)


def _repeat(source: Path, target: Path, frames: int) -> None:
    """`source` again and again, until there are that many frames."""
    with open_source(source) as video, open_sink(target, video.info) as sink:
        number = 0
        while number < frames:
            for frame in video:
                if number == frames:
                    break
                sink.write(Frame(frame.planes, number))
                number += 1


def _peak(arguments: list[str]) -> int:
    """Peak resident set of `nvc ARGUMENTS`, KiB."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-c", code, sys.executable, "-m", "nvcodec", *arguments]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


if __name__ == "__main__":
    main()
