"""What the worker process does for our own codec: one file to another, with the time that it took."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from nvcodec.bench.clock import Stopwatch
from nvcodec.bitstream.survey import scan
from nvcodec.decode.decoder import Check, Decoder
from nvcodec.encode.encoder import encode as encode_file
from nvcodec.encode.settings import EncodeSettings
from nvcodec.entropy import arithmetic
from nvcodec.errors import VerifyError
from nvcodec.media.sink import open_sink
from nvcodec.media.source import open_source


def encode(source: str, target: str, settings: dict[str, Any]) -> dict[str, Any]:
    """A y4m file to an .nvc file. Reports where its bytes went and what the encoder said of itself. The entropy coder,
    which compiles itself when it is first used on a machine, is loaded before the clock starts."""
    coder = arithmetic.prepare()
    clock = Stopwatch()
    report = encode_file(source, target, EncodeSettings(**settings), force=True)
    told = clock.report()
    with clock.part("input"), open_source(source) as video:  # once more, to know its part
        for _ in video:
            pass
    with open(target, "rb") as file:
        survey = scan(file)
    return {
        **told,
        "input_seconds": clock.laps["input"],
        "usage": survey.usage,
        "groups": [
            {
                "first_frame": group.first_frame,
                "frames": group.frames,
                "bytes": group.size,
                "inheritance": group.inheritance,
                "window": asdict(group.window) if group.window else None,
                "random_access": group.random_access,
                "lambda": group.lam,
                "steps": group.steps,
            }
            for group in report.groups
        ],
        "coder": coder,
        "psnr_rgb": report.psnr,
        "psnr_training_gap": max(abs(group.psnr - group.psnr_training) for group in report.groups),
        "model": report.plan.model,
        "config": report.plan.config,
        "parameters": report.plan.parameters,
        "settings": asdict(EncodeSettings(**settings)),
        "device": _device(report.plan.device),
    }


def decode(stream: str, target: str, device: str, threads: int) -> dict[str, Any]:
    """An .nvc file to a y4m file. The first group is decoded once before the clock starts: libraries are loaded and a
    GPU has its kernels then. VerifyError where pixels are not those that the encoder saw."""
    torch.set_num_threads(threads)
    with open(stream, "rb") as file:
        next(Decoder(file, device=device, processes=True).groups())
    clock, checks, frames = Stopwatch(), {check.value: 0 for check in Check}, 0
    with open(stream, "rb") as file:
        decoder = Decoder(file, device=device, processes=True)
        with open_sink(target, decoder.info, force=True) as sink:
            for group in decoder.groups():
                checks[group.check.value] += 1
                with clock.part("output"):
                    for frame in group.frames:
                        sink.write(frame)
                        frames += 1
    told = clock.report("output")
    if checks[Check.WRONG.value] or (checks[Check.CLOSE.value] and decoder.device.type == "cpu"):
        raise VerifyError(f"{stream}: decoded pixels are not those that the encoder saw")
    return {
        **told,
        "frames": frames,
        "checks": checks,
        "device": _device(str(decoder.device)),
    }


def _device(device: str) -> str:
    """cpu, or the GPU's own name."""
    return device if device == "cpu" else torch.cuda.get_device_name(torch.device(device))
