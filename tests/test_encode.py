"""Whole encodes of small real excerpts: the numbers reported are those of the file, whatever happens on the way."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_samples import write_clip
from encode_samples import assert_same_psnr

from nvcodec.bitstream.container import Reader
from nvcodec.decode.decoder import Check, Decoder
from nvcodec.encode.encoder import encode
from nvcodec.encode.report import EncodeReport, GroupReport, Plan, Progress
from nvcodec.encode.settings import EncodeSettings
from nvcodec.errors import SourceError, TargetError, UsageError
from nvcodec.media.sink import open_sink
from nvcodec.media.source import open_source
from nvcodec.video import Chroma, ColorInfo, Frame, Range, VideoInfo

BUNNY = Path(__file__).parent / "data" / "bunny_320x180.mp4"
QUICK = EncodeSettings(
    model="nirvana", preset="ultrafast", lam=1e-4, width=10, group=3, patch=8, channels=4, block_channels=4,
    steps_first=12, steps_next=6, threads=1,
)  # fmt: skip


DEFAULT = dict.fromkeys(("model", "width", "patch", "channels", "block_channels"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """75 x 43."""
    return write_clip(tmp_path_factory.mktemp("clip") / "small.y4m", 75, 43)


def decode_all(path):
    with open(path, "rb") as file:
        decoder = Decoder(file, device="cpu")
        groups = list(decoder.groups())
    return decoder.info, [frame for group in groups for frame in group.frames], [group.check for group in groups]


def settings(**changes):
    return dataclasses.replace(QUICK, **changes)


def test_the_report_is_what_the_file_decodes_to(clip, tmp_path):
    events = []
    report = encode(clip, tmp_path / "a.nvc", QUICK, observer=events.append)
    info, frames, checks = decode_all(tmp_path / "a.nvc")
    with open_source(clip) as source:
        sources = list(source)
    assert report.bytes == os.path.getsize(tmp_path / "a.nvc")
    assert report.bpp == report.bytes * 8 / (11 * 75 * 43)
    assert sum(report.bytes_by_kind.values()) == report.bytes
    assert set(checks) == {Check.EXACT} and len(frames) == 11
    assert_same_psnr(report, sources, frames, info)
    for group in report.groups:
        assert group.psnr == pytest.approx(group.psnr_training, abs=0.01)
    kinds = [type(e) for e in events]
    assert kinds[0] is Plan and kinds[-1] is EncodeReport
    assert kinds.count(GroupReport) == 4 and kinds.count(Progress) == 12 + 3 * 6
    assert [e.frames for e in events if isinstance(e, GroupReport)] == [3, 3, 3, 2]
    assert sorted(os.listdir(tmp_path)) == ["a.nvc"]


def test_training_pays_off(clip, tmp_path):
    few = encode(clip, tmp_path / "few.nvc", settings(stop=3))
    many = encode(clip, tmp_path / "many.nvc", settings(stop=3, steps_first=150))
    assert many.psnr > few.psnr + 2 and many.psnr > 20


def test_same_settings_same_file(clip, tmp_path):
    for name in ("a.nvc", "b.nvc"):
        encode(clip, tmp_path / name, QUICK)
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "b.nvc").read_bytes()
    encode(clip, tmp_path / "c.nvc", settings(seed=1))
    assert (tmp_path / "a.nvc").read_bytes() != (tmp_path / "c.nvc").read_bytes()


class Stop(Exception):
    pass


@pytest.mark.parametrize("rate", [{"lam": 1e-4}, {"lam": None, "bpp": 2.0}])
@pytest.mark.parametrize("where", [(0, 3), (1, 2), (2, 6), (3, 1)])
def test_a_stopped_encode_goes_on_to_the_same_file(clip, tmp_path, where, rate):
    whole, part = tmp_path / "whole.nvc", tmp_path / "part.nvc"
    how = settings(**rate)
    encode(clip, whole, how)

    def stop(event):
        if isinstance(event, Progress) and (event.group, event.step) == where:
            raise Stop

    with pytest.raises(Stop):
        encode(clip, part, how, observer=stop)
    assert not part.exists()
    if where[0] == 0:
        assert os.listdir(tmp_path) == ["whole.nvc"]
    else:
        with open(tmp_path / "part.nvc.part", "rb") as file:
            assert sum(len(g.frames) for g in some_groups(Decoder(file))) == 3 * where[0]
        with pytest.raises(TargetError, match="--resume"):
            encode(clip, part, how)
        with pytest.raises(UsageError, match="seed"):
            encode(clip, part, dataclasses.replace(how, seed=9), resume=True)
    report = encode(clip, part, how, resume=True)
    assert part.read_bytes() == whole.read_bytes()
    assert len(report.groups) == 4 and report.frames == 11
    assert sorted(os.listdir(tmp_path)) == ["part.nvc", "whole.nvc"]


def some_groups(decoder):
    """Groups before the cut."""
    out = []
    with pytest.raises(Exception, match="cut|ends|trunc"):
        for group in decoder.groups():
            out.append(group)
    return out


@pytest.mark.parametrize("changes", [{}, DEFAULT], ids=["nirvana", "default"])
def test_a_killed_encode_goes_on(clip, tmp_path, changes):
    """SIGKILL at any moment, here after the first group was reported."""
    target, how = tmp_path / "a.nvc", settings(steps_next=60, **changes)
    code = (
        "import sys\nfrom nvcodec.encode.encoder import encode\nfrom nvcodec.encode.settings import EncodeSettings\n"
        f"encode({str(clip)!r}, {str(target)!r}, EncodeSettings(**{dataclasses.asdict(how)!r}),"
        " observer=lambda e: print(type(e).__name__, flush=True))"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == "GroupReport":
            break
    time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with open(tmp_path / "a.nvc.part", "rb") as file:
        assert some_groups(Decoder(file))
    encode(clip, target, how, resume=True)
    encode(clip, tmp_path / "b.nvc", how)
    assert target.read_bytes() == (tmp_path / "b.nvc").read_bytes()


def test_in_place_streaming(clip, tmp_path):
    target = tmp_path / "a.nvc"
    sizes = []

    def watch(event):
        if isinstance(event, GroupReport):
            sizes.append(os.path.getsize(target))

    encode(clip, target, QUICK, in_place=True, observer=watch)
    encode(clip, tmp_path / "b.nvc", QUICK)
    assert sizes == sorted(set(sizes)) and target.read_bytes() == (tmp_path / "b.nvc").read_bytes()


def test_outputs_are_not_overwritten(clip, tmp_path):
    target = tmp_path / "a.nvc"
    target.write_bytes(b"precious")
    with pytest.raises(TargetError, match="--force"):
        encode(clip, target, QUICK)
    assert target.read_bytes() == b"precious"
    encode(clip, target, QUICK, force=True)
    assert target.read_bytes() != b"precious"


def test_keyint_makes_random_access_points(clip, tmp_path):
    encode(clip, tmp_path / "a.nvc", settings(keyint=2))
    _, frames, _ = decode_all(tmp_path / "a.nvc")
    with open(tmp_path / "a.nvc", "rb") as file:
        assert [g.random_access for g in Reader(file).groups()] == [True, False, True, False]
    for start in range(11):
        with open(tmp_path / "a.nvc", "rb") as file:
            some = list(Decoder(file).frames(start, start + 2))
        assert all(a.same_pixels(b) for a, b in zip(some, frames[start : start + 2], strict=True))


def test_chains_in_processes(clip, tmp_path):
    report = encode(clip, tmp_path / "a.nvc", settings(chains=2, jobs=2))
    info, frames, checks = decode_all(tmp_path / "a.nvc")
    assert len(frames) == 11 and set(checks) == {Check.EXACT}
    with open(tmp_path / "a.nvc", "rb") as file:
        rows = [(g.number, g.chain, g.random_access, g.first_frame) for g in Reader(file).groups()]
    assert rows == [(0, 0, True, 0), (1, 0, False, 3), (2, 1, True, 6), (3, 1, False, 9)]
    assert [(g.number, g.chain, g.first_frame) for g in report.groups] == [(0, 0, 0), (1, 0, 3), (2, 1, 6), (3, 1, 9)]
    encode(clip, tmp_path / "b.nvc", settings(chains=2, jobs=1))
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "b.nvc").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.nvc", "b.nvc"]


def test_a_psnr_is_reached_with_fewer_bits_than_without_looking(clip, tmp_path):
    how = settings(lam=None, psnr=22.0, width=16, stop=6, steps_first=80, steps_next=40)
    report = encode(clip, tmp_path / "a.nvc", how)
    assert all(g.psnr >= 22.0 for g in report.groups)
    free = encode(clip, tmp_path / "b.nvc", dataclasses.replace(how, psnr=None, lam=1e-6))
    assert free.bytes > report.bytes


def test_a_psnr_sizes_the_network(clip, tmp_path):
    def width(psnr):
        how = settings(lam=None, psnr=psnr, width=None, stop=3, steps_first=150)
        return encode(clip, tmp_path / "a.nvc", how, force=True).plan.config["width"]

    assert width(14.0) < width(26.0)


@pytest.mark.parametrize("bpp", [1.0, 3.0])
def test_a_bit_rate_is_met(clip, tmp_path, bpp):
    report = encode(clip, tmp_path / "a.nvc", settings(lam=None, bpp=bpp, width=None, steps_first=60, steps_next=40))
    assert 0.6 * bpp < report.bpp < 1.3 * bpp
    assert report.plan.bpp == pytest.approx(bpp, rel=0.15)


def test_unquantised_convolutions(clip, tmp_path):
    report = encode(clip, tmp_path / "a.nvc", settings(conv="float"))
    assert report.bytes_by_kind["blobs"] > 0
    _, frames, checks = decode_all(tmp_path / "a.nvc")
    assert len(frames) == 11 and set(checks) == {Check.EXACT}
    assert all(g.psnr == pytest.approx(g.psnr_training, abs=0.01) for g in report.groups)


@pytest.mark.parametrize(
    ("chroma", "depth", "matrix", "size"),
    [(Chroma.C420, 10, 9, (33, 21)), (Chroma.C422, 8, 1, (31, 20)), (Chroma.C444, 10, 6, (17, 19)),
     (Chroma.GRAY, 8, 2, (16, 9)), (Chroma.C444, 8, 0, (20, 15)), (Chroma.C420, 8, 2, (1, 1))],
)  # fmt: skip
def test_every_kind_of_video(tmp_path, chroma, depth, matrix, size):
    """Odd sizes, depths, samplings, RGB, a variable frame rate, and all that describes them, through mkv and back."""
    color = ColorInfo(primaries=1, transfer=1, matrix=matrix, range=Range.FULL if matrix == 0 else Range.LIMITED,
                      chroma_location=1 if chroma is Chroma.C420 else 0)  # fmt: skip
    info = VideoInfo(*size, bit_depth=depth, chroma=chroma, color=color, time_base=Fraction(1, 1000),
                     rate=Fraction(25), sample_aspect=Fraction(4, 3), rotation=90)  # fmt: skip
    random = np.random.default_rng(0)
    path = tmp_path / "a.mkv"
    with open_sink(path, info) as sink:
        for pts in (0, 40, 90, 130):
            planes = tuple(random.integers(40, 200, shape).astype(info.dtype) for shape in info.plane_shapes)
            sink.write(Frame(planes, pts))
    with open_source(path) as source:
        expected = source.info
        stamps = [frame.pts * source.info.time_base for frame in source]
    encode(path, tmp_path / "a.nvc", settings(patch=8 if min(size) > 8 else None))
    found, frames, checks = decode_all(tmp_path / "a.nvc")
    assert found == expected and set(checks) == {Check.EXACT}
    assert [f.pts * found.time_base for f in frames] == stamps
    assert found.pixel_format == info.pixel_format and found.rotation == 90 and found.sample_aspect == Fraction(4, 3)


def test_sources_that_cannot_be_encoded(tmp_path, clip):
    with pytest.raises(SourceError):
        encode(tmp_path / "missing.mp4", tmp_path / "a.nvc", QUICK)
    with pytest.raises(UsageError):
        encode(clip, tmp_path / "a.nvc", settings(start=50))
    with pytest.raises(UsageError):
        encode(clip, tmp_path / "a.nvc", settings(channels=3))
    with pytest.raises(UsageError, match="larger than a picture"):
        encode(clip, tmp_path / "a.nvc", settings(patch=78))
    with pytest.raises(UsageError):
        EncodeSettings(bpp=0.3, psnr=30.0)
    assert os.listdir(tmp_path) == []


def test_threads_and_range(clip, tmp_path):
    before = torch.get_num_threads()
    try:
        report = encode(clip, tmp_path / "a.nvc", settings(start=2, stop=6))
    finally:
        torch.set_num_threads(before)
    with open_source(clip) as source:
        wanted = [frame.pts for frame in source][2:6]
    _, frames, _ = decode_all(tmp_path / "a.nvc")
    assert report.frames == 4 and [f.pts for f in frames] == wanted


@pytest.mark.parametrize("changes", [{}, DEFAULT], ids=["nirvana", "default"])
def test_stopped_chains_go_on(clip, tmp_path, changes):
    """The first chain is finished and the second is in its last group when the encode stops."""
    how = settings(chains=2, jobs=1, **changes)
    encode(clip, tmp_path / "whole.nvc", how)

    def stop(event):
        if isinstance(event, GroupReport) and event.number == 2:
            raise Stop

    with pytest.raises(Stop):
        encode(clip, tmp_path / "part.nvc", how, observer=stop)
    assert len(list(tmp_path.glob("part.nvc.part*"))) >= 2
    encode(clip, tmp_path / "part.nvc", how, resume=True)
    assert (tmp_path / "part.nvc").read_bytes() == (tmp_path / "whole.nvc").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["part.nvc", "whole.nvc"]


@pytest.mark.parametrize("changes", [{}, DEFAULT], ids=["nirvana", "default"])
def test_chains_on_ray(clip, tmp_path, changes):
    pytest.importorskip("ray", reason="the ray extra is not installed")
    encode(clip, tmp_path / "a.nvc", settings(chains=2, jobs=2, engine="ray", **changes))
    encode(clip, tmp_path / "b.nvc", settings(chains=2, jobs=1, **changes))
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "b.nvc").read_bytes()
