"""A row: what is measured, and what keeps a row from being written."""

import json
import sys
from itertools import islice

import pytest
from bench_samples import CLIP, TINY

from nvcodec.bench.codecs import parse
from nvcodec.bench.codecs.base import Job, Rate, StreamInfo
from nvcodec.bench.reference import prepare
from nvcodec.bench.runner import Options, Runner, row_key
from nvcodec.errors import NvcodecError, SelfCheckError, VerifyError
from nvcodec.media.sink import open_sink
from nvcodec.media.source import open_source
from nvcodec.metrics import bpp, mean, psnr

FRAMES = 9


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return prepare(CLIP, frames=FRAMES, cache=tmp_path_factory.mktemp("cache"))


def options(**given):
    return Options(**{"threads": 1, "runs": 1, "vmaf": False, "ms_ssim": False, **given})


@pytest.fixture(scope="module")
def x264(reference, tmp_path_factory):
    keep = tmp_path_factory.mktemp("keep")
    row = Runner(options(runs=2, vmaf=True, ms_ssim=True, keep=keep)).row(
        reference, parse("x264:veryfast"), Rate("bpp", 0.2)
    )
    return row, next(keep.iterdir())


def test_the_row_is_the_files(x264, reference):
    """Size, digest and PSNR by another way: the stream that was kept, through PyAV and numpy."""
    row, stream = x264
    assert row["bytes"] == stream.stat().st_size
    assert row["bpp"] == bpp(row["bytes"], FRAMES, 320, 180) == pytest.approx(0.2, rel=0.1)
    with open_source(stream) as decoded, open_source(reference.path) as source:
        pairs = list(zip(source, decoded, strict=True))
    for plane, name in enumerate(("psnr_y", "psnr_u", "psnr_v")):
        values = [psnr(a.planes[plane], b.planes[plane], 255) for a, b in pairs]
        assert row[name] == pytest.approx(mean(values), abs=1e-9)
        if name in row["per_frame"]:
            assert row["per_frame"][name] == pytest.approx(values, abs=1e-3)


def test_the_row_says_everything(x264, reference):
    row, _ = x264
    assert row["clip"]["digest"] == reference.digest and row["clip"]["reference"]["sha256"] == reference.sha256
    assert row["codec"] == {"name": "x264", "preset": "veryfast", "options": {}, "label": "x264 veryfast"}
    assert row["rate"] == {"kind": "bpp", "value": 0.2} and 0 <= row["quality"] <= 51
    assert row["per_frame"]["bytes"] and sum(row["per_frame"]["bytes"]) == row["bytes_payload"]
    assert 0.9 < row["ms_ssim_rgb"] < 1
    assert row["vmaf"] is None if row["missing"].get("vmaf") else 50 < row["vmaf"] <= 100
    for part, apart in (("encode", "input_seconds"), ("decode", "output_seconds")):
        cost = row[part]
        assert len(cost["runs"]) == 2 and min(cost["runs"]) <= cost["seconds"] <= max(cost["runs"])
        assert cost["px_per_s"] == pytest.approx(FRAMES * 320 * 180 / cost["seconds"])
        assert 0 < cost["start_MiB"] <= cost["peak_MiB"] < 500 and 0 < cost[apart] < cost["seconds"]
    assert row["device"] == "cpu" and row["threads"] == 1 and row["seed"] is None
    assert json.loads(json.dumps(row)) == row


def test_our_row(reference):
    row = Runner(options()).row(reference, parse(TINY), Rate("quality", 0.001))
    assert row["quality"] == 0.001 and row["seed"] == 0
    assert sum(row["usage"].values()) == row["bytes"]
    assert [group["frames"] for group in row["groups"]] == [4, 4, 1]
    rest = sum(group["bytes"] for group in row["groups"][1:])
    assert row["bpp_inherited"] == pytest.approx(8 * rest / (5 * 320 * 180))
    assert row["psnr_training_gap"] < 1e-3 and row["config"]["width"] == 8


def test_keys_tell_measurements_apart(reference):
    keys = {
        row_key(reference, parse(codec), rate, how)
        for codec in ("x264", "x264:fast", "x264:medium,tune=psnr", "nvcodec")
        for rate in (Rate("bpp", 0.1), Rate("bpp", 0.2), Rate("quality", 0.1))
        for how in (options(), options(intra_period=8), options(threads=2))
    }
    assert len(keys) == 4 * 3 * 3
    x264, ours = parse("x264"), parse("nvcodec")
    rate = Rate("bpp", 0.1)
    assert row_key(reference, x264, rate, options(seed=1)) == row_key(reference, x264, rate, options())
    assert row_key(reference, ours, rate, options(seed=1)) != row_key(reference, ours, rate, options())
    assert row_key(reference, ours, rate, options(runs=9)) == row_key(reference, ours, rate, options())


class Tampered:
    """x264 with something wrong."""

    def __init__(self, **replaced):
        self._codec = parse("x264:ultrafast")
        self._replaced = replaced

    def __getattr__(self, name):
        return self._replaced.get(name) or getattr(self._codec, name)


def python_job(code):
    return Job((sys.executable, "-c", code))


def shorter(reference, frames):
    """A decoder that loses frames."""

    def decode(task):
        with open_source(reference.path) as video, open_sink(task.target, video.info, force=True) as sink:
            for frame in islice(video, frames):
                sink.write(frame)
        return python_job("pass")

    return decode


def test_a_lost_frame_is_no_row(reference):
    codec = Tampered(decode=shorter(reference, FRAMES - 1))
    with pytest.raises(NvcodecError, match=f"{FRAMES - 1}"):
        Runner(options()).row(reference, codec, Rate("quality", 30))


def test_a_stream_of_too_few_packets_is_no_row(reference):
    codec = Tampered(stream=lambda task, report: StreamInfo(10, (5.0, 5.0)))
    with pytest.raises(VerifyError, match="frames came out"):
        Runner(options()).row(reference, codec, Rate("quality", 30))


def test_an_encoder_that_says_too_much_is_no_row(reference):
    class Boasting(Tampered):
        def encode(self, task):
            job = self._codec.encode(task)
            words = (
                "import json, subprocess, sys\n"
                f"subprocess.run({list(job.command)!r}, check=True)\n"
                f"path = {str(job.report)!r}\n"
                "told = json.load(open(path))\n"
                "json.dump({**told, 'psnr_rgb': 99.0}, open(path, 'w'))"
            )
            return Job(python_job(words).command, job.report, job.environment)

    with pytest.raises(SelfCheckError, match="said 99.000 dB"):
        Runner(options()).row(reference, Boasting(), Rate("quality", 30))


def test_a_decoder_that_gives_something_else_the_second_time_is_no_row(reference):
    count = iter(range(100))

    class Moody(Tampered):
        def decode(self, task):
            job = self._codec.decode(task)
            if next(count) == 0:
                return job
            words = f"import subprocess\nsubprocess.run({list(job.command)!r})\n"
            words += f"open({str(task.target)!r}, 'ab').write(b'x')"
            return Job(python_job(words).command, job.report, job.environment)

    with pytest.raises(VerifyError, match="gave another file"):
        Runner(options(runs=2)).row(reference, Moody(), Rate("quality", 30))


def test_nothing_is_timed_before_it_is_verified(reference):
    """Runs are repeated for the clock only after the first one's output was measured and found whole."""
    stages = []
    Runner(options(runs=2), stages.append).row(reference, parse("x264:ultrafast"), Rate("quality", 30))
    assert stages == ["encoding", "decoding", "measuring", "timing the encoder", "timing the decoder"]
    stages.clear()
    with pytest.raises(NvcodecError):
        codec = Tampered(decode=shorter(reference, FRAMES - 1))
        Runner(options(runs=2), stages.append).row(reference, codec, Rate("quality", 30))
    assert stages == ["encoding", "decoding", "measuring"]


def test_a_rate_that_a_codec_cannot_be_asked_for(reference):
    with pytest.raises(NvcodecError, match="cannot be asked for psnr"):
        Runner(options()).row(reference, parse("x264:ultrafast"), Rate("psnr", 30))
