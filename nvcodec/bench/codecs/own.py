"""Our own codec: any preset and model, with the encoder's settings as options."""

from __future__ import annotations

import dataclasses
from typing import Any

import nvcodec
from nvcodec.bench import worker
from nvcodec.bench.codecs.base import Codec, Decode, Encode, Job, Scale, Spec, StreamInfo, check_preset
from nvcodec.encode.networks import network_for
from nvcodec.encode.plan import check_options
from nvcodec.encode.settings import EncodeSettings
from nvcodec.errors import UsageError
from nvcodec.training.presets import PRESETS
from nvcodec.video import VideoInfo

_NOT_OPTIONS = ("preset", "bpp", "psnr", "lam", "keyint", "start", "stop", "threads", "seed")  # the harness sets them
OPTIONS = {field.name: field for field in dataclasses.fields(EncodeSettings) if field.name not in _NOT_OPTIONS}
SOURCE = VideoInfo(2, 2)  # 8 bit yuv420p, as every clip of a benchmark; no size matters here


class OwnCodec(Codec):
    """`nvcodec`; its own quality scale is the paper's lambda. The label names the model, the default one too."""

    kinds = ("bpp", "psnr", "quality")
    neural = True
    suffix = ".nvc"
    scale = Scale("lambda", 0.0, 1.0, 0.0)

    def __init__(self, spec: Spec) -> None:
        check_preset(spec, tuple(PRESETS))
        options: dict[str, Any] = {name: _value(name, text) for name, text in spec.options.items()}
        settings = EncodeSettings(preset=spec.preset, **options)  # wrong values are told here, before any work
        self._network = network_for(settings.model, SOURCE)
        check_options(self._network, settings)
        named = {} if settings.model else {"model": self._network.name}
        self._options = named | options
        super().__init__(dataclasses.replace(spec, options={**named, **spec.options}))

    def missing(self) -> str | None:
        return None

    def versions(self) -> dict[str, str]:
        import torch

        return {"nvcodec": nvcodec.__version__, "torch": torch.__version__}

    def settings(self, task: Encode) -> EncodeSettings:
        """Of the encoder."""
        keyint = 0
        if task.intra_period:
            group = self._options.get("group") or self._network.group(self.spec.preset)
            if group is None:
                raise UsageError(f"{self.label}: an intra period needs the option group=")
            keyint, rest = divmod(task.intra_period, group)
            if rest:
                raise UsageError(
                    f"{self.label}: an intra period of {task.intra_period} frames is not a whole number of groups of "
                    f"{group}; set the option group="
                )
        asked: dict[str, Any] = {"lam" if task.rate.kind == "quality" else task.rate.kind: task.rate.value}
        asked |= {"preset": self.spec.preset, "keyint": keyint, "threads": task.threads, "seed": task.seed}
        return EncodeSettings(**asked, **self._options)

    def encode(self, task: Encode) -> Job:
        arguments = {
            "source": str(task.source),
            "target": str(task.target),
            "settings": dataclasses.asdict(self.settings(task)),
        }
        return worker.job(task.scratch, "own_work.encode", arguments)

    def decode(self, task: Decode) -> Job:
        arguments = {
            "stream": str(task.stream),
            "target": str(task.target),
            "device": self._options.get("device", "auto"),
            "threads": task.threads,
        }
        return worker.job(task.scratch, "own_work.decode", arguments)

    def stream(self, task: Encode, report: dict[str, Any]) -> StreamInfo:
        groups = report["groups"]
        sizes = [group["bytes"] / group["frames"] for group in groups for _ in range(group["frames"])]
        told = ("model", "config", "parameters", "settings", "psnr_training_gap", "coder")
        return StreamInfo(
            payload=sum(group["bytes"] for group in groups),
            frame_bytes=tuple(sizes),
            usage=report["usage"],
            groups=groups,
            extra={name: report[name] for name in told},
        )


def _value(name: str, text: str) -> bool | int | float | str:
    """An option's value in the type of the setting."""
    if name not in OPTIONS:
        raise UsageError(f"nvcodec has no option {name}; it has {', '.join(OPTIONS)}")
    kind = str(OPTIONS[name].type)
    try:
        if "bool" in kind:
            return bool(int(text))
        return int(text) if "int" in kind else float(text) if "float" in kind else text
    except ValueError:
        raise UsageError(f"nvcodec: {name}={text} is not a number") from None
