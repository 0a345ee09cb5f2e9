"""Small encodes whose groups share parameters, and how tests look at their files."""

import dataclasses

import pytest

from nvcodec.bitstream.container import Reader
from nvcodec.bitstream.group_records import WindowRecord
from nvcodec.bitstream.registry import Inheritance
from nvcodec.decode.decoder import Check, Decoder
from nvcodec.encode.settings import EncodeSettings
from nvcodec.media.color import stack_planes, to_rgb
from nvcodec.metrics import PsnrMeter

NONE, PREVIOUS, WINDOW, WINDOW_PREVIOUS = Inheritance
QUICK = EncodeSettings(
    model="hnerv", preset="ultrafast", lam=1e-5, width=6, group=4, share=0.5, min_window=0.16, max_window=3,
    steps_first=8, threads=1,
)  # fmt: skip
SMALL = {"patch": 8, "channels": 4, "block_channels": 4}
MODELS = {
    "nirvana": {"model": "nirvana", **SMALL},
    "float": {"model": "nirvana", "conv": "float", **SMALL},
    "hnerv": {},
    "nerv": {"model": "nerv", "width": 4},
    "enerv": {"model": "enerv", "width": 4},
}


def settings(**changes):
    return dataclasses.replace(QUICK, **changes)


def records(path):
    with open(path, "rb") as file:
        return list(Reader(file).records())


def shape(path):
    """Of each group its inheritance, and of each window the groups that share it."""
    return [
        (r.first_group, r.groups) if isinstance(r, WindowRecord) else r.inheritance for r in records(path)
    ]  # fmt: skip


def decoded(path):
    """All frames, which are those that the encoder saw."""
    with open(path, "rb") as file:
        groups = list(Decoder(file, device="cpu").groups())
    assert {group.check for group in groups} == {Check.EXACT}
    return [frame for group in groups for frame in group.frames]


def assert_same_psnr(report, sources, frames, info):
    """The report has the PSNR of decoded frames against the source's, and their times."""
    meter = PsnrMeter(info.peak)
    for a, b in zip(sources, frames, strict=True):
        assert a.pts == b.pts
        pair = [to_rgb(stack_planes([f]), info)[0].numpy() for f in (a, b)]
        meter.add((pair[0], pair[1]), (a.planes, b.planes))
    assert report.psnr == pytest.approx(meter.rgb_mean_over_frames(), abs=1e-6)
    assert report.psnr_planes == pytest.approx(meter.planes_mean_over_frames(), abs=1e-6)
