"""One row of a benchmark: a clip through a codec at a rate, as files, verified before anything is timed.

    encode -> decode -> verify -> quality -> time

Encoder and decoder are processes of their own. A stream is verified when it decodes to as many frames of the same size
as went in, and, of our own files, when every group's pixels have the hash that the encoder wrote and the encoder's own
PSNR is the file's. Then both are run again for the clock, and have to give the same bytes; what takes longer than
LONG seconds is not repeated, and the time of the run that was verified counts.
"""

from __future__ import annotations

import json
import math
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvcodec.bench import ffmpeg, process
from nvcodec.bench.codecs.base import Codec, Decode, Encode, Job, Rate, StreamInfo
from nvcodec.bench.quality import Quality, measure
from nvcodec.bench.reference import Reference
from nvcodec.bench.search import find_quality
from nvcodec.bench.series import inherited_bpp
from nvcodec.errors import NvcodecError, SelfCheckError, VerifyError
from nvcodec.media.source import open_source
from nvcodec.media.y4m import file_digest
from nvcodec.metrics import bpp

LONG = 120.0  # seconds of all timed runs of a row's encoder, or decoder
AGREEMENT = 1e-3  # dB between our encoder's report and the measured file
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """Of all rows. runs: that a median is taken of. keep: a folder for the streams."""

    intra_period: int | None = None
    threads: int = 2
    seed: int = 0
    runs: int = 3
    ms_ssim: bool = True
    vmaf: bool = True
    keep: Path | None = None


@dataclass(frozen=True)
class _Run:
    """One process that has ended well. report: what it wrote; empty for a foreign program."""

    cost: process.Cost
    report: dict[str, Any]

    @property
    def seconds(self) -> float:
        """From opening the input to closing the output; of a foreign program, of the whole process."""
        return float(self.report.get("seconds", self.cost.wall))

    @property
    def cpu(self) -> float:
        """CPU seconds in that time."""
        return float(self.report.get("cpu_seconds", self.cost.cpu))


def row_key(reference: Reference, codec: Codec, rate: Rate, options: Options) -> str:
    """What makes two rows the same measurement."""
    parts = [
        f"{reference.name} {reference.width}x{reference.height}, {reference.frames} frames, {reference.sha256[:12]}",
        codec.label,
        str(rate),
        f"intra period {options.intra_period or 'free'}",
        f"{options.threads} threads",
    ]
    return " | ".join([*parts, f"seed {options.seed}"] if codec.neural else parts)


class Runner:
    """Measures rows. It remembers the rates that a search has tried, for the next target."""

    def __init__(self, options: Options, tell: Tell = lambda _: None) -> None:
        self._options, self._tell = options, tell
        self._tried: dict[tuple[str, str, float], float] = {}

    def row(self, reference: Reference, codec: Codec, rate: Rate) -> dict[str, Any]:
        """Measure; NvcodecError where any part of it fails."""
        with tempfile.TemporaryDirectory(prefix="nvc-bench-") as folder:
            asked = rate
            if rate.kind not in codec.kinds:
                rate = Rate("quality", self._search(reference, codec, rate, Path(folder)))
            task = self._task(reference, codec, rate, Path(folder))
            self._tell("encoding")
            first = _run(codec.encode(task))
            stream = codec.stream(task, first.report)
            self._tell("decoding")
            decoding = Decode(
                task.target, Path(folder) / "decoded.y4m", str(reference.rate), task.threads, task.scratch
            )
            opened = _run(codec.decode(decoding))
            quality = self._verify(reference, codec, decoding.target, first, stream)
            digests = file_digest(str(task.target)), file_digest(str(decoding.target))
            size = task.target.stat().st_size
            self._keep(task.target, reference, codec, asked)
            self._tell("timing the encoder")
            encodes = self._repeat(first, lambda: codec.encode(task), task.target, digests[0])
            self._tell("timing the decoder")
            decodes = self._repeat(opened, lambda: codec.decode(decoding), decoding.target, digests[1])
        spec = codec.spec
        row: dict[str, Any] = {
            "key": row_key(reference, codec, asked, self._options),
            "clip": reference.describe(),
            "codec": {"name": spec.name, "preset": spec.preset, "options": dict(spec.options), "label": codec.label},
            "intra_period": self._options.intra_period,
            "rate": {"kind": asked.kind, "value": asked.value},
            "quality": rate.value if rate.kind == "quality" else None,
            "bytes": size,
            "bytes_payload": stream.payload,
            "bpp": bpp(size, reference.frames, reference.width, reference.height),
            "stream_sha256": digests[0],
            "decoded_sha256": digests[1],
            **quality.values,
            "missing": quality.missing,
            "usage": stream.usage,
            "groups": stream.groups,
            **stream.extra,
        }
        if stream.groups:
            row["bpp_inherited"] = inherited_bpp(row)
        pixels = reference.frames * reference.width * reference.height
        row["encode"] = _speed(encodes, pixels, "input_seconds")
        row["decode"] = _speed(decodes, pixels, "output_seconds")
        row["device"] = opened.report.get("device", "cpu")
        row["seed"] = self._options.seed if codec.neural else None
        row["threads"] = self._options.threads
        row["versions"] = codec.versions()
        frames = {name: [round(value, 4) for value in values] for name, values in quality.per_frame.items()}
        row["per_frame"] = {**frames, "bytes": list(stream.frame_bytes)}
        return row

    def _task(self, reference: Reference, codec: Codec, rate: Rate, folder: Path) -> Encode:
        options = self._options
        return Encode(
            source=reference.path,
            target=folder / f"stream{codec.suffix}",
            frames=reference.frames,
            rate=rate,
            intra_period=options.intra_period,
            threads=options.threads,
            seed=options.seed,
            scratch=folder,
        )

    def _search(self, reference: Reference, codec: Codec, rate: Rate, folder: Path) -> float:
        """The quality that comes nearest to a bpp."""
        if rate.kind != "bpp":
            raise NvcodecError(f"{codec.label} cannot be asked for {rate.kind}; ask for bpp or quality")

        def size(quality: float) -> float:
            place = (reference.sha256, codec.label, quality)
            if place not in self._tried:
                self._tell(f"looking for {rate}: {codec.scale.name} {quality:g}")
                task = self._task(reference, codec, Rate("quality", quality), folder)
                _run(codec.encode(task))
                stream = task.target.stat().st_size
                self._tried[place] = bpp(stream, reference.frames, reference.width, reference.height)
            return self._tried[place]

        return find_quality(codec.scale, rate.value, size)

    def _verify(self, reference: Reference, codec: Codec, decoded: Path, encode: _Run, stream: StreamInfo) -> Quality:
        """That the stream is the whole video; its quality."""
        options = self._options
        self._tell("measuring")
        with open_source(reference.path) as source, open_source(decoded) as result:
            if result.info.pixel_format != "yuv420p":
                raise VerifyError(f"{codec.label}: decodes to {result.info.pixel_format}, not to yuv420p")
            quality = measure(
                source, result, source.info, result.info, ms_ssim=options.ms_ssim, threads=options.threads
            )
        if quality.frames != reference.frames or len(stream.frame_bytes) != reference.frames:
            raise VerifyError(f"{codec.label}: {quality.frames} of {reference.frames} frames came out")
        told, found = encode.report.get("psnr_rgb"), quality.values["psnr_rgb"]
        if told is not None and found is not None and abs(told - found) > AGREEMENT:
            raise SelfCheckError(f"{codec.label}: the encoder said {told:.3f} dB, the file has {found:.3f} dB")
        for name, number in quality.values.items():
            if number is not None and math.isinf(number):
                quality = quality.without(name, "infinite: a frame, or all of them, is equal to the source's")
        if not options.vmaf:
            return quality.without("vmaf", "not asked for")
        try:
            self._tell("measuring VMAF")
            return quality.with_vmaf(ffmpeg.vmaf(reference.path, decoded, options.threads))
        except NvcodecError as error:
            return quality.without("vmaf", str(error))

    def _repeat(self, first: _Run, job: Callable[[], Job], output: Path, digest: str) -> list[_Run]:
        """Timed runs, each of which has to give the same file."""
        if self._options.runs <= 1 or first.cost.wall * self._options.runs > LONG:
            return [first]
        runs = []
        for _ in range(self._options.runs):
            runs.append(_run(job()))
            if file_digest(str(output)) != digest:
                raise VerifyError(f"{output.name}: a second run gave another file")
        return runs

    def _keep(self, stream: Path, reference: Reference, codec: Codec, rate: Rate) -> None:
        if self._options.keep is not None:
            words = f"{Path(reference.name).stem} {reference.width}x{reference.height} {codec.label} {rate}"
            name = "".join(c if c.isalnum() or c in ".-=" else "_" for c in words)
            shutil.copyfile(stream, self._options.keep / f"{name}{stream.suffix}")


def _run(job: Job) -> _Run:
    """Run a job to its end."""
    cost = process.run(job.command, job.environment)
    return _Run(cost, json.loads(job.report.read_text()) if job.report else {})


def _speed(runs: list[_Run], pixels: int, apart: str) -> dict[str, Any]:
    """Medians over runs; `apart` is the part of the time that was input or output, where it is known."""

    def median(values: Iterable[float]) -> float:
        return float(statistics.median(values))

    told = [run.report for run in runs]
    seconds = median(run.seconds for run in runs)
    return {
        "seconds": seconds,
        "runs": [run.seconds for run in runs],
        "px_per_s": pixels / seconds,
        "cpu_seconds": median(run.cpu for run in runs),
        "peak_MiB": median(run.cost.peak for run in runs) / 2**20,
        "start_MiB": median(report["start_bytes"] for report in told) / 2**20 if "start_bytes" in told[0] else None,
        apart: median(report[apart] for report in told) if apart in told[0] else None,
    }
