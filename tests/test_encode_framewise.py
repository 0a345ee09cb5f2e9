"""Whole encodes with the frame-wise networks: what is reported is what the file decodes to, chunk after chunk."""

import dataclasses
import os

import pytest
import torch

from nvcodec.bitstream.container import Reader
from nvcodec.decode.decoder import Check, Decoder
from nvcodec.encode.encoder import encode
from nvcodec.encode.report import Progress
from nvcodec.encode.settings import EncodeSettings
from nvcodec.errors import MalformedError
from nvcodec.media.color import stack_planes, to_rgb
from nvcodec.media.source import open_source
from nvcodec.metrics import psnr_from_mse

pytest_plugins = ("clip_fixtures",)

NAMES = ("enerv", "hnerv", "nerv")
QUICK = EncodeSettings(
    preset="ultrafast", lam=1e-5, width=8, group=4, steps_first=12, steps_next=8, threads=1
)  # fmt: skip


def settings(name, **changes):
    return dataclasses.replace(QUICK, model=name, **changes)


def decode_all(path):
    with open(path, "rb") as file:
        groups = list(Decoder(file, device="cpu").groups())
    return [frame for group in groups for frame in group.frames], {group.check for group in groups}


class Stop(Exception):
    pass


@pytest.mark.parametrize("name", NAMES)
def test_from_pixels_to_bytes_and_back(small_clip, tmp_path, name):
    """Chunks inherit from one another; a stopped encode goes on to the same file; any range decodes."""
    report = encode(small_clip, tmp_path / "a.nvc", settings(name, keyint=2))
    frames, checks = decode_all(tmp_path / "a.nvc")
    assert report.bytes == os.path.getsize(tmp_path / "a.nvc") and len(frames) == 11 and checks == {Check.EXACT}
    assert all(group.psnr == pytest.approx(group.psnr_training, abs=0.01) for group in report.groups)
    with open(tmp_path / "a.nvc", "rb") as file:
        records = list(Reader(file).groups())
    assert [(r.random_access, r.frame_count) for r in records] == [(True, 4), (False, 4), (True, 3)]
    for start in (0, 5, 9):
        with open(tmp_path / "a.nvc", "rb") as file:
            some = list(Decoder(file, device="cpu").frames(start, start + 2))
        assert all(a.same_pixels(b) for a, b in zip(some, frames[start : start + 2], strict=True))

    def stop(event):
        if isinstance(event, Progress) and (event.group, event.step) == (1, 5):
            raise Stop

    with pytest.raises(Stop):
        encode(small_clip, tmp_path / "b.nvc", settings(name, keyint=2), observer=stop)
    encode(small_clip, tmp_path / "b.nvc", settings(name, keyint=2), resume=True)
    assert (tmp_path / "b.nvc").read_bytes() == (tmp_path / "a.nvc").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.nvc", "b.nvc"]


@pytest.mark.parametrize("name", NAMES)
def test_training_is_better_than_the_mean_colour(small_clip, tmp_path, name):
    report = encode(small_clip, tmp_path / "a.nvc", settings(name, width=16, stop=6, group=6, steps_first=150))
    with open_source(small_clip) as source:
        rgb = torch.cat([to_rgb(stack_planes([f]), source.info) for f, _ in zip(source, range(6), strict=False)])
    flat = psnr_from_mse(float((rgb - rgb.mean((0, 2, 3), keepdim=True)).square().mean()))
    assert report.psnr > flat + 1.5


def test_more_frames_than_embeddings(small_clip, tmp_path):
    encode(small_clip, tmp_path / "a.nvc", settings("hnerv", stop=2, steps_first=1))
    with open(tmp_path / "a.nvc", "rb") as file:
        decoder = Decoder(file, device="cpu")
        decoder._model(0).longest = 1
        with pytest.raises(MalformedError, match="more than the 1 frames"):
            list(decoder.groups())
