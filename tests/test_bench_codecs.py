"""Every codec: a real excerpt to a file and back, by the same interface."""

import json
from fractions import Fraction

import av
import numpy as np
import pytest
from absence import absent
from bench_samples import TINY, write_y4m
from bitstream_samples import spans

from nvcodec.bench import process
from nvcodec.bench.codecs import NAMES, parse
from nvcodec.bench.codecs.base import Decode, Encode, Rate
from nvcodec.errors import NvcodecError, UsageError
from nvcodec.media.source import open_source
from nvcodec.metrics import psnr

FRAMES = 17
FAST = {
    "nvcodec": TINY,
    "x264": "x264:veryfast",
    "x265": "x265:ultrafast",
    "svtav1": "svtav1:12",
    "vp9": "vp9:8",
    "vvenc": "vvenc:faster",
    "aom": "aom:8",
}
MIDDLE = {"nvcodec": ("bpp", 0.1), "vp9": ("quality", 40), "svtav1": ("quality", 40), "aom": ("quality", 45)}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_y4m(tmp_path_factory.mktemp("codecs") / "source.y4m", FRAMES)


def there(text):
    codec = parse(text)
    if reason := codec.missing():
        absent(reason)
    return codec


def encode(codec, source, folder, rate=None, intra_period=None):
    """(the task, what is known of the stream)."""
    kind, value = MIDDLE.get(codec.spec.name, ("quality", 32)) if rate is None else rate
    target = folder / f"stream{codec.suffix}"
    task = Encode(source, target, FRAMES, Rate(kind, value), intra_period, 1, 0, folder)
    job = codec.encode(task)
    process.run(job.command, job.environment)
    report = json.loads(job.report.read_text()) if job.report else {}
    return task, codec.stream(task, report)


def decode(codec, task, folder):
    """Frames of the decoded file, and the report."""
    job = codec.decode(Decode(task.target, folder / "decoded.y4m", "25/1", 1, folder))
    process.run(job.command, job.environment)
    with open_source(folder / "decoded.y4m") as video:
        assert video.info.pixel_format == "yuv420p" and video.info.rate == Fraction(25)
        return list(video), json.loads(job.report.read_text()) if job.report else {}


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(name, source, tmp_path):
    codec = there(FAST[name])
    task, stream = encode(codec, source, tmp_path)
    frames, report = decode(codec, task, tmp_path)
    size = task.target.stat().st_size
    assert 0 < stream.payload <= size and len(stream.frame_bytes) == FRAMES
    assert sum(stream.frame_bytes) == pytest.approx(stream.payload)
    with open_source(source) as video:
        quality = [psnr(a.planes[0], b.planes[0], 255) for a, b in zip(video, frames, strict=True)]
    assert min(quality) > (12 if name == "nvcodec" else 24), "frames are those of the source, in their order"
    assert codec.versions()
    if codec.neural:
        assert report["checks"] == {"exact": 5, "close": 0, "wrong": 0}
        assert sum(stream.usage.values()) == size and len(stream.groups) == 5
    else:
        assert size - stream.payload <= 32 + 12 * FRAMES, "a container of next to nothing"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "nvcodec"])
def test_quality_is_a_scale_of_bits(name, source, tmp_path):
    codec = there(FAST[name])
    sizes = [encode(codec, source, tmp_path, ("quality", q))[1].payload for q in (30, 38, 46)]
    assert sizes[0] > 1.3 * sizes[1] > 1.3 * 1.3 * sizes[2]


def key_frames(path):
    with av.open(str(path)) as container:
        return sum(packet.is_keyframe for packet in container.demux(video=0) if packet.size)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "nvcodec"])
def test_intra_period(name, source, tmp_path):
    codec = there(FAST[name])
    frames, period = FRAMES, 8
    if name == "vvenc":  # has its intra frame at the end of each period, and none shorter than its group of 16
        source, frames, period = write_y4m(tmp_path / "longer.y4m", 33), 33, 16
    task, _ = encode(codec, source, tmp_path)
    assert key_frames(task.target) == 1
    task, _ = encode(codec, source, tmp_path, intra_period=period)
    assert key_frames(task.target) == (2 if name == "vvenc" else 3)
    assert len(decode(codec, task, tmp_path)[0]) == frames


def test_our_intra_period_is_whole_groups(source, tmp_path):
    codec = parse(TINY)
    _, stream = encode(codec, source, tmp_path, intra_period=8)
    assert [group["random_access"] for group in stream.groups] == [True, False, True, False, True]
    with pytest.raises(UsageError, match="groups of 4"):
        encode(codec, source, tmp_path, intra_period=6)


def test_our_settings_reach_the_encoder(source, tmp_path):
    codec = parse(TINY + ",patch=8,conv=float")
    task, stream = encode(codec, source, tmp_path, ("quality", 0.001))
    assert stream.extra["config"]["patch"] == 8 and stream.extra["config"]["width"] == 8
    settings = stream.extra["settings"]
    assert (settings["lam"], settings["conv"], settings["threads"], settings["bpp"]) == (0.001, "float", 1, None)


def test_our_default_is_the_encoders(source, tmp_path):
    """The same codec whether the model is named or not; label and row name it."""
    codec = parse("nvcodec:ultrafast,steps_first=1,steps_next=1")
    assert codec.label == "nvcodec ultrafast model=mc steps_first=1 steps_next=1"
    assert parse("nvcodec:fast").label == parse("nvcodec:fast,model=mc").label == "nvcodec fast model=mc"
    task, stream = encode(codec, source, tmp_path, ("quality", 0.01), intra_period=16)
    assert stream.extra["model"] == stream.extra["settings"]["model"] == "mc"
    assert [group["random_access"] for group in stream.groups] == [True, True]
    frames, report = decode(codec, task, tmp_path)
    assert len(frames) == FRAMES and report["checks"] == {"exact": 2, "close": 0, "wrong": 0}


def test_our_windows_are_part_of_their_first_group(source, tmp_path):
    task, stream = encode(parse(TINY + ",share=0.5,inherit=previous,min_window=0.16"), source, tmp_path)
    sizes = {
        kind: sum(e - s for k, s, e in spans(task.target.read_bytes()) if k == kind) for kind in (b"GRUP", b"WNDW")
    }
    assert stream.payload == sum(sizes.values()) and sizes[b"WNDW"] > 0
    assert [group["inheritance"] for group in stream.groups] == ["window"] + ["window_previous"] * 4
    assert [group["window"] is None for group in stream.groups] == [False] + [True] * 4
    assert stream.groups[0]["window"]["bytes"] == sizes[b"WNDW"]
    assert parse("nvcodec:fast,model=nerv,monolithic=1")._options["monolithic"] is True


def test_x264_leaves_no_note_of_itself(source, tmp_path):
    task, _ = encode(there("x264:veryfast"), source, tmp_path)
    assert b"x264" not in task.target.read_bytes()
    task, _ = encode(there("x265:ultrafast"), source, tmp_path)
    assert b"x265" not in task.target.read_bytes()


def test_options_reach_the_encoder(source, tmp_path):
    plain, tuned = (
        encode(there(text), source, tmp_path)[1].frame_bytes
        for text in ("x264:veryfast", "x264:veryfast,tune=psnr,x264-params=bframes=0")
    )
    assert plain != tuned


def test_an_option_that_an_encoder_does_not_have(source, tmp_path):
    with pytest.raises(NvcodecError, match="libx264 has no option nonsense"):
        encode(parse("x264:veryfast,nonsense=1"), source, tmp_path)


def test_a_worker_that_imports_torch_would_charge_it_to_others(source, tmp_path):
    """The process of a codec through PyAV has no more than Python, numpy and PyAV in it."""
    codec = there("x264:veryfast")
    task, _ = encode(codec, source, tmp_path)
    job = codec.encode(task)
    cost = process.run([job.command[0], "-X", "importtime", *job.command[1:]], job.environment)
    modules = {line.rpartition("|")[2].strip() for line in cost.log.splitlines() if line.startswith("import time:")}
    assert "av" in modules and not {"torch", "matplotlib", "scipy"} & modules


@pytest.mark.parametrize(
    "text, message",
    [
        ("x266", "no codec 'x266'; there are nvcodec, x264"),
        ("x264:quick", "x264 has no preset 'quick'; it has ultrafast"),
        ("x264:fast,tune", "'tune' is not OPTION=VALUE"),
        ("x264:fast,tune=psnr,tune=ssim", "not OPTION=VALUE"),
        ("nvcodec:quick", "no preset 'quick'"),
        ("nvcodec:fast,colour=red", "nvcodec has no option colour; it has model, patch"),
        ("nvcodec:fast,bpp=1", "no option bpp"),
        ("nvcodec:fast,model=nerf", "no model 'nerf'"),
        ("nvcodec:fast,width=64", "mc, the default for this video, has no option --width; choose --model nirvana"),
        ("nvcodec:fast,model=nerv,patch=8", "nerv has no option --patch; choose --model nirvana for it"),
        ("nvcodec:fast,width=wide", "width=wide is not a number"),
        ("nvcodec:fast,width=0", "--width 0 is not in"),
        ("nvcodec:fast,monolithic=yes", "monolithic=yes is not a number"),
        ("nvcodec:fast,mask=best", "--mask best is none of: fisher, layers"),
    ],
)
def test_what_is_no_codec(text, message):
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        parse(text)


def test_labels():
    assert parse("x264").label == "x264 medium"
    assert parse("x264:slow,tune=psnr").label == "x264 slow tune=psnr"
    assert parse("nvcodec:fast,width=64,model=nirvana").label == "nvcodec fast width=64 model=nirvana"


def test_the_source_is_not_changed_by_the_way_in(source, tmp_path):
    """Lossless x264 gives every sample back."""
    codec = there("x264:ultrafast")
    task, _ = encode(codec, source, tmp_path, ("quality", 0))
    frames, _ = decode(codec, task, tmp_path)
    with open_source(source) as video:
        for a, b in zip(video, frames, strict=True):
            assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))
