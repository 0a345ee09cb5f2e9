"""x264, x265, SVT-AV1 and VP9 through PyAV: constant quality, one pass, the libraries' own presets.

Streams are stored with the least container that there is: the elementary stream of H.264, HEVC and AV1, IVF for VP9,
which has no other. x264's and x265's note of their own settings is left out; no decoder needs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import av

from nvcodec.bench import worker
from nvcodec.bench.codecs.base import Decode, Encode, Job, Library, LibraryCodec, Scale, Spec, StreamInfo

LONGEST = 9999  # frames between random-access points where none is asked for
_X26 = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")


@dataclass(frozen=True)
class Encoder(Library):
    """fixed: options that are always given. parameters: the option of colon-separated settings; always, periodic: those
    that are always given, and those for exact intra periods. packets: a bitstream filter on what comes out."""

    fixed: dict[str, str] = field(default_factory=dict)
    parameters: str = ""
    always: str = ""
    periodic: str = ""
    packets: str = ""


ENCODERS = {
    "x264": Encoder(
        "libx264", "h264", "preset", _X26, Scale("crf", 0, 51, 0.1),
        parameters="x264-params", periodic="scenecut=0", packets="filter_units=remove_types=6",
    ),
    "x265": Encoder(
        "libx265", "hevc", "preset", _X26, Scale("crf", 0, 51, 0.1),
        parameters="x265-params", always="info=0:log-level=error", periodic="open-gop=0:scenecut=0",
    ),
    "svtav1": Encoder(
        "libsvtav1", "obu", "preset", tuple(map(str, range(14))), Scale("crf", 1, 63, 1),
        parameters="svtav1-params", periodic="irefresh-type=2:scd=0",
    ),
    "vp9": Encoder(
        "libvpx-vp9", "ivf", "cpu-used", tuple(map(str, range(9))), Scale("crf", 0, 63, 1),
        {"b": "0", "deadline": "good", "row-mt": "1", "auto-alt-ref": "1", "lag-in-frames": "25"},
    ),
}  # fmt: skip


class LibavCodec(LibraryCodec):
    """One of ENCODERS."""

    def __init__(self, spec: Spec) -> None:
        self.encoder = ENCODERS[spec.name]
        super().__init__(spec, self.encoder)

    def missing(self) -> str | None:
        if self.encoder.library in av.codecs_available:
            return None
        return f"{self.spec.name}: this build of PyAV has no {self.encoder.library}; use the one of `pip install av`"

    def versions(self) -> dict[str, str]:
        return {"av": av.__version__, "libavcodec": ".".join(map(str, av.library_versions["libavcodec"]))}

    def options(self, task: Encode) -> dict[str, str]:
        """For libavcodec; the user's own come last and win."""
        encoder, given = self.encoder, dict(self.spec.options)
        options = {encoder.preset: self.spec.preset, **encoder.fixed, encoder.scale.name: f"{task.rate.value:g}"}
        options["g"] = str(task.intra_period or LONGEST)
        if task.intra_period:
            options["keyint_min"] = str(task.intra_period)
        if encoder.parameters:
            own = given.pop(encoder.parameters, "")
            joined = ":".join(filter(None, (encoder.always, encoder.periodic if task.intra_period else "", own)))
            if joined:
                options[encoder.parameters] = joined
        return {**options, **given}

    def encode(self, task: Encode) -> Job:
        arguments = {
            "library": self.encoder.library,
            "container": self.encoder.container,
            "packets": self.encoder.packets,
            "options": self.options(task),
            "source": str(task.source),
            "target": str(task.target),
            "threads": task.threads,
        }
        return worker.job(task.scratch, "libav_work.encode", arguments)

    def decode(self, task: Decode) -> Job:
        arguments = {
            "stream": str(task.stream),
            "container": self.encoder.container,
            "target": str(task.target),
            "rate": task.rate,
            "threads": task.threads,
        }
        return worker.job(task.scratch, "libav_work.decode", arguments)

    def stream(self, task: Encode, report: dict[str, Any]) -> StreamInfo:
        sizes = [size for _, size in sorted(report["packets"])]
        return StreamInfo(sum(sizes), tuple(sizes))
