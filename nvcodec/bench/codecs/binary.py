"""VVC (VVenC) and AV1 (libaom) through the ffmpeg binary of imageio-ffmpeg: constant quality, one pass.

VVenC works at 10 bit: ffmpeg widens its input, and what it decodes is rounded back to 8 bit without dither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nvcodec.bench import ffmpeg
from nvcodec.bench.codecs.base import Decode, Encode, Job, Library, LibraryCodec, Scale, Spec, StreamInfo
from nvcodec.bench.codecs.libav import LONGEST
from nvcodec.errors import NvcodecError

LONGEST_VVC = 9984  # a multiple of VVenC's own group of 32


@dataclass(frozen=True)
class Encoder(Library):
    """fixed: options that are always given. pixel_format: that the encoder takes. period: the option of the intra
    period, and how it is spelled there; free: its value where none is asked for."""

    fixed: dict[str, str]
    pixel_format: str
    period: tuple[str, str]
    free: int


ENCODERS = {
    "vvenc": Encoder(
        "libvvenc", "vvc", "preset", ("faster", "fast", "medium", "slow", "slower"), Scale("qp", 0, 63, 1), {},
        "yuv420p10le", ("vvenc-params", "intraperiod={}"), LONGEST_VVC,
    ),
    "aom": Encoder(
        "libaom-av1", "obu", "cpu-used", tuple(map(str, range(9))), Scale("crf", 0, 63, 1),
        {"b:v": "0", "row-mt": "1", "lag-in-frames": "35"}, "yuv420p", ("g", "{}"), LONGEST,
    ),
}  # fmt: skip


class BinaryCodec(LibraryCodec):
    """One of ENCODERS."""

    def __init__(self, spec: Spec) -> None:
        self.encoder = ENCODERS[spec.name]
        super().__init__(spec, self.encoder)

    def missing(self) -> str | None:
        try:
            there = ffmpeg.has_encoder(self.encoder.library)
        except NvcodecError as error:
            return f"{self.spec.name}: {error}"
        return None if there else f"{self.spec.name}: the ffmpeg of imageio-ffmpeg has no {self.encoder.library}"

    def versions(self) -> dict[str, str]:
        return {"ffmpeg": ffmpeg.version()}

    def encode(self, task: Encode) -> Job:
        encoder = self.encoder
        options = {encoder.preset: self.spec.preset, **encoder.fixed, encoder.scale.name: f"{task.rate.value:g}"}
        name, spelled = encoder.period
        options[name] = spelled.format(task.intra_period or encoder.free)
        if task.intra_period and name == "g":
            options["keyint_min"] = str(task.intra_period)
        given = dict(self.spec.options)
        if name in given and name != "g":
            options[name] += f":{given.pop(name)}"
        options.update({"threads": str(task.threads), **given})
        packets = task.scratch / "packets.txt"
        command = [str(ffmpeg.find()), "-v", "error", "-nostdin", "-y", "-i", str(task.source), "-map", "0:v:0"]
        command += ["-pix_fmt", encoder.pixel_format, "-c:v", encoder.library]
        command += [part for name, value in options.items() for part in (f"-{name}", value)]
        command += ["-stats_mux_pre:v", str(packets), "-stats_mux_pre_fmt:v", "{pts} {size}"]
        return Job((*command, "-f", encoder.container, str(task.target)))

    def decode(self, task: Decode) -> Job:
        command = [str(ffmpeg.find()), "-v", "error", "-nostdin", "-y", "-threads", str(task.threads)]
        command += ["-f", self.encoder.container, "-r", task.rate, "-i", str(task.stream)]
        command += ["-sws_dither", "none", "-pix_fmt", "yuv420p", "-fps_mode", "passthrough"]
        return Job((*command, "-f", "yuv4mpegpipe", str(task.target)))

    def stream(self, task: Encode, report: dict[str, Any]) -> StreamInfo:
        lines = (task.scratch / "packets.txt").read_text().split("\n")
        sizes = [size for _, size in sorted(tuple(map(int, line.split())) for line in lines if line.strip())]
        return StreamInfo(sum(sizes), tuple(sizes))
