"""The ffmpeg program that imageio-ffmpeg brings: what it has, running it, and VMAF, which only it can measure here."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import tempfile
from pathlib import Path

from nvcodec.bench.extras import need
from nvcodec.errors import NvcodecError, SourceError, UsageError
from nvcodec.media.source import open_source
from nvcodec.video import Chroma, VideoInfo

VMAF_MODEL = "vmaf_v0.6.1"


def find() -> Path:
    """The program. IMAGEIO_FFMPEG_EXE in the environment names another one. UsageError where there is none."""
    try:
        return Path(need("imageio_ffmpeg").get_ffmpeg_exe())
    except RuntimeError as error:
        raise UsageError("imageio-ffmpeg has no ffmpeg here; IMAGEIO_FFMPEG_EXE can name one") from error


@functools.cache
def version() -> str:
    """As it names itself, such as n7.1."""
    words = run("-version").split()
    return words[words.index("version") + 1]


def has_encoder(name: str) -> bool:
    """True when it was built with this encoder, such as libvvenc."""
    return name in _listed("-encoders")


def has_filter(name: str) -> bool:
    """True when it was built with this filter, such as libvmaf."""
    return name in _listed("-filters")


@functools.cache
def _listed(option: str) -> frozenset[str]:
    """Names in a list of what is built in: rows of flags, name and description."""
    return frozenset(re.findall(r"^ *[A-Z.|]+ +(\S+) ", run(option), re.MULTILINE))


def run(*arguments: str | Path, folder: Path | None = None) -> str:
    """Run it in `folder` with nothing to read; returns what it prints.

    NvcodecError with the first and last line that it complains in (the first says what, the last to what end) where it
    fails, UsageError where it cannot be started.
    """
    command = [str(find()), "-hide_banner", "-nostdin", "-loglevel", "error", *map(str, arguments)]
    try:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise UsageError(f"{find()}: {error.strerror}; IMAGEIO_FFMPEG_EXE can name another ffmpeg") from error
    if done.returncode:
        told = done.stderr.decode("utf-8", "replace").split("\n")
        lines = [re.sub(r"^\[[^]]* @ [^]]*\] ", "", line).strip() for line in told if line.strip()]
        about = "; ".join(dict.fromkeys((lines[0], lines[-1]))) if lines else f"ended with code {done.returncode}"
        raise NvcodecError(f"ffmpeg: {about}")
    return done.stdout.decode("utf-8", "replace")


def vmaf(reference: Path, decoded: Path, threads: int = 1) -> list[float]:
    """VMAF of each frame, about 0 to 100, by libvmaf's default model.

    reference, decoded: y4m files with the same size, pixel format and number of frames; frame n is compared with frame
    n, whatever their rates. The model sees luma code values as they are: ffmpeg would convert one of two files whose
    headers name different ranges, and gray by its own idea of black and white, so both are given the same range.

    SourceError where the files do not match or cannot be read, UsageError where there is no libvmaf.
    """
    frames, info = _matched(reference, decoded)
    if not has_filter("libvmaf"):
        raise UsageError("this ffmpeg has no libvmaf; pip install imageio-ffmpeg brings one that has")
    same = f"setparams=range=tv,format={info.pixel_format}"
    if info.chroma is Chroma.GRAY:
        depth = "10" if info.bit_depth == 10 else ""
        same = f"setparams=range=pc,scale=in_range=pc:out_range=pc,format=yuv444p{depth}"
    same += ",settb=1/25,setpts=N"
    log = f"log_fmt=json:log_path=vmaf.json:n_threads={max(threads, 1)}"
    graph = f"[0:v]{same}[a];[1:v]{same}[b];[a][b]libvmaf=model=version={VMAF_MODEL}:{log}"
    with tempfile.TemporaryDirectory(prefix="nvc-vmaf-") as name:
        folder = Path(name)  # run there, so that the log's name needs no escaping
        inputs = [part for path in (decoded, reference) for part in ("-i", f"file:{path.absolute()}")]
        run(*inputs, "-lavfi", graph, "-fps_mode", "passthrough", "-f", "null", "-", folder=folder)
        found = json.loads((folder / "vmaf.json").read_text(encoding="utf-8"))["frames"]
    scores = [float(frame["metrics"]["vmaf"]) for frame in sorted(found, key=lambda frame: int(frame["frameNum"]))]
    if len(scores) != frames:
        raise NvcodecError(f"libvmaf measured {len(scores)} of {frames} frames")
    return scores


def _matched(reference: Path, decoded: Path) -> tuple[int, VideoInfo]:
    """Frames and description of two files that can be compared."""
    with open_source(reference) as a, open_source(decoded) as b:
        for what, of_a, of_b in (
            ("size", f"{a.info.width}x{a.info.height}", f"{b.info.width}x{b.info.height}"),
            ("pixel format", a.info.pixel_format, b.info.pixel_format),
            ("number of frames", a.frame_count, b.frame_count),
        ):
            if of_a != of_b:
                raise SourceError(f"VMAF needs two videos of one {what}, not {of_a} and {of_b}")
        if a.frame_count is None or a.info.is_rgb:
            raise SourceError("VMAF needs y4m files")
        return a.frame_count, a.info
