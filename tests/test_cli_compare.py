"""`nvc compare` on real files: its numbers, which frames it takes, its picture, and every error."""

import io
import json
import math
import os
import sys
import types

import numpy as np
import pytest
from cli_samples import frames_of, one_error
from excerpt_samples import BUNNY, CITY, excerpt
from hypothesis import given
from hypothesis import strategies as st
from media_samples import noise, read, write
from nvc_samples import FRAMES
from PIL import Image

import nvcodec
from nvcodec.cli.compare import CropType
from nvcodec.metrics import DEFINITIONS
from nvcodec.video import Chroma, ColorInfo, Range, VideoInfo

pytest_plugins = ("cli_fixtures",)


@pytest.fixture(scope="module")
def nvc(tmp_path_factory):
    return excerpt(tmp_path_factory.mktemp("compare"))


def as_json(result):
    code, out, err = result
    assert code == 0, err
    return json.loads(out)


# numbers --------------------------------------------------------------------------------------------------------------


def rgb_of(frame):
    """BT.601, limited range, chroma replicated, float64: written from H.273, not from the package."""
    luma, cb, cr = (plane.astype(np.float64) for plane in frame.planes)
    y = (luma - 16) / 219
    cb, cr = ((c.repeat(2, 0).repeat(2, 1)[: y.shape[0], : y.shape[1]] - 128) / 224 for c in (cb, cr))
    r, b = y + 1.402 * cr, y + 1.772 * cb
    return np.clip([r, (y - 0.299 * r - 0.114 * b) / 0.587, b], 0, 1)


def decibels(error, peak):
    return 10 * math.log10(peak**2 / error)


def test_numbers_are_those_of_a_plain_computation(run, nvc):
    found = as_json(run("compare", BUNNY, nvc, "--frames", ":3", "--json"))
    source, test = frames_of(BUNNY)[8:11], list(nvcodec.decode(nvc))[:3]
    errors = {
        "psnr_rgb": [np.mean((rgb_of(a) - rgb_of(b)) ** 2) for a, b in zip(source, test, strict=True)],
        **{
            f"psnr_{name}": [
                np.mean((a.planes[n].astype(float) - b.planes[n]) ** 2) for a, b in zip(source, test, strict=True)
            ]
            for n, name in enumerate("yuv")
        },
    }
    for name, values in errors.items():
        peak = 1 if name == "psnr_rgb" else 255
        assert found["per_frame"][name] == pytest.approx([decibels(e, peak) for e in values], abs=1e-4)
        assert found[name] == pytest.approx(np.mean([decibels(e, peak) for e in values]), abs=1e-4)
        assert found[f"{name}_of_mean_error"] == pytest.approx(decibels(np.mean(values), peak), abs=1e-4)
    size = os.path.getsize(nvc)
    assert found["bytes"] == size and found["bpp"] == 8 * size / (4 * 320 * 180), "of the whole file"
    assert found["worst_frame"] == int(np.argmax(errors["psnr_rgb"]))
    assert found["test"]["matrix"] == 6 and found["test"]["pixel_format"] == "yuv420p"
    assert found["missing"] == {"vmaf": "not asked for: --vmaf measures it"} and found["vmaf"] is None
    assert 0 < found["ms_ssim_rgb"] < 1 and len(found["per_frame"]["ms_ssim_y"]) == 3
    assert set(found["definitions"]) <= set(DEFINITIONS)


def test_the_table(run, nvc):
    code, out, err = run("compare", BUNNY, nvc, "--shortest", "--no-ms-ssim")
    assert (code, err) == (0, "")
    found = as_json(run("compare", BUNNY, nvc, "--shortest", "--no-ms-ssim", "--json"))
    lines = {line.split("  ")[0]: line.split() for line in out.splitlines()}
    assert lines["PSNR RGB, dB"][3:5] == [f"{found['psnr_rgb']:.2f}", f"{found['psnr_rgb_of_mean_error']:.2f}"]
    assert "8 to 11 of the reference, offset 8 (found by time)" in out
    assert f"{found['bpp']:.4f} bpp" in out and "BT.601 (6), not declared" in out
    assert "not measured: MS-SSIM RGB, MS-SSIM Y: not asked for" in out


def test_identical(run):
    code, out, _ = run("compare", CITY, CITY)
    assert code == 0 and "; all identical" in out and "inf" in out
    found = as_json(run("compare", CITY, CITY, "--json"))
    assert found["identical_frames"] == found["frames"] > 1
    assert found["psnr_rgb"] is None and "psnr_rgb" not in found["missing"], "infinite, not missing"
    assert found["missing"]["ms_ssim_rgb"] == "a side of 89 is shorter than 161 samples"


def test_what_differs_in_kind_is_told(run):
    gray = VideoInfo(64, 48, chroma=Chroma.GRAY, color=ColorInfo(range=Range.FULL))
    write("a.mkv", VideoInfo(64, 48), noise(VideoInfo(64, 48), range(2)))
    write("b", gray, noise(gray, range(2)))
    found = as_json(run("compare", "a.mkv", "b/", "--json", "--vmaf"))
    assert found["psnr_rgb"] and found["psnr_y"] is None
    assert "yuv420p and gray" in found["missing"]["psnr_y"] and "yuv420p and gray" in found["missing"]["vmaf"]
    assert found["bytes"] == sum(os.path.getsize(f"b/{name}") for name in os.listdir("b"))


def test_vmaf(run, nvc):
    pytest.importorskip("imageio_ffmpeg")
    found = as_json(run("compare", BUNNY, nvc, "--frames", ":2", "--vmaf", "--threads", "1", "--json"))
    assert len(found["per_frame"]["vmaf"]) == 2 and found["vmaf"] == pytest.approx(np.mean(found["per_frame"]["vmaf"]))
    same = as_json(run("compare", BUNNY, BUNNY, "--frames", ":2", "--vmaf", "--threads", "1", "--json"))
    assert same["vmaf"] > 90 > found["vmaf"]


# which frames ---------------------------------------------------------------------------------------------------------


def test_the_offset_is_found_by_time(run, nvc):
    found = as_json(run("compare", BUNNY, nvc, "--shortest", "--json", "--no-ms-ssim"))
    assert (found["offset"], found["offset_by_time"], found["frames"]) == (8, True, 4)
    given_ = as_json(run("compare", BUNNY, nvc, "--shortest", "--json", "--no-ms-ssim", "--offset", 8))
    assert given_.pop("offset_by_time") is False and found.pop("offset_by_time")
    assert given_ == found
    other = as_json(run("compare", BUNNY, nvc, "--shortest", "--json", "--no-ms-ssim", "--offset", 0))
    assert other["psnr_rgb"] != found["psnr_rgb"]


def test_time_that_the_reference_does_not_have_is_no_offset(run, nvc):
    frames = frames_of(BUNNY)
    write("early.y4m", VideoInfo(320, 180), frames[:4])  # ends before the test begins
    assert as_json(run("compare", "early.y4m", nvc, "--json", "--no-ms-ssim"))["offset"] == 0


def test_a_range_of_frames(run, nvc):
    whole = as_json(run("compare", BUNNY, nvc, "--shortest", "--json", "--no-ms-ssim"))
    part = as_json(run("compare", BUNNY, nvc, "--frames", "1:3", "--json", "--no-ms-ssim"))
    assert part["first_frame"] == 1 and part["per_frame"]["psnr_y"] == whole["per_frame"]["psnr_y"][1:3]
    assert part["bpp"] == whole["bpp"]


def test_standard_input(run, monkeypatch):
    info = VideoInfo(64, 48)
    write("a.y4m", info, noise(info, range(3)))
    content = open("a.y4m", "rb").read()
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(content)))
    found = as_json(run("compare", "a.y4m", "-", "--json"))
    assert found["identical_frames"] == 3 and found["bytes"] is None and found["bpp"] is None


# errors ---------------------------------------------------------------------------------------------------------------


def test_sizes_that_differ(run):
    code, out, err = run("compare", BUNNY, CITY)
    assert (code, out) == (3, "") and "320x180" in one_error(err) and "159x89" in err and "nothing is scaled" in err


def test_lengths_that_differ(run, nvc):
    code, out, err = run("compare", BUNNY, nvc)
    assert (code, out) == (3, "") and "--shortest" in one_error(err) and "found by time" in err
    assert "excerpt.nvc has 4 frames" in err and BUNNY.name in err
    info, frames = read(BUNNY)
    write("short.mkv", info, frames[:-1])  # neither container is sure: only reading tells
    for pair, first in (((BUNNY, "short.mkv"), "short.mkv has 32"), (("short.mkv", BUNNY), "short.mkv has 32")):
        code, _, err = run("compare", *pair, "--no-ms-ssim")
        assert code == 3 and first in one_error(err) and "--shortest compares the first 32" in err
    write("short.y4m", info, frames[:-1])
    code, _, err = run("compare", BUNNY, "short.y4m")
    assert code == 3 and "short.y4m has 32" in one_error(err)
    found = as_json(run("compare", BUNNY, "short.mkv", "--shortest", "--no-ms-ssim", "--json"))
    assert found["frames"] == 32 and found["identical_frames"] == 32


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["none.mp4", "tiny.nvc"], 3, "none.mp4"),
        (["tiny.nvc", "none.nvc"], 3, "none.nvc"),
        (["-", "-"], 2, "standard input"),
        (["tiny.nvc", "tiny.nvc", "--frames", "9:"], 2, "frame 9"),
        (["tiny.nvc", "tiny.nvc", "--offset", "30", "--shortest"], 2, "frame 30"),
        (["tiny.nvc", "tiny.nvc", "--device", "abacus"], 2, "abacus"),
        (["tiny.nvc", "cut.nvc"], 7, "cut.nvc"),
        (["tiny.nvc", "damaged.nvc"], 8, "damaged.nvc"),
        (["tiny.nvc", "tiny.nvc", "--crop", "0,0,4,4"], 2, "--picture"),
        (["-", "tiny.nvc", "--picture", "a.png"], 2, "standard input"),
        (["tiny.nvc", "tiny.nvc", "--picture", "a.jpg"], 2, "a.png"),
        (["tiny.nvc", "tiny.nvc", "--picture", "no/a.png"], 4, "no/a.png"),
        (["tiny.nvc", "tiny.nvc", "--picture", "there.png"], 4, "--force"),
        (["tiny.nvc", "tiny.nvc", "--picture", "a.png", "--frame", "7"], 2, "0 to 6"),
        (["tiny.nvc", "tiny.nvc", "--picture", "a.png", "--crop", "20,0,4,4"], 2, "23x18"),
        (["tiny.nvc", "tiny.nvc", "--picture", "a.png", "--crop", "1,2,3"], 2, "X,Y,W,H"),
    ],
)
def test_what_cannot_be(tiny, arguments, code, words):
    with open("there.png", "wb") as file:
        file.write(b"mine")
    result, _, err = tiny("compare", *arguments)
    assert result == code and words in one_error(err)
    assert not os.path.exists("a.png") and open("there.png", "rb").read() == b"mine"


def test_a_missing_package_is_told_before_the_work(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    for command in (["compare", "tiny.nvc", "tiny.nvc", "--picture", "a.png"], ["report", "tiny.nvc"]):
        code, out, err = tiny(*command)
        assert (code, out) == (2, "") and "pip install 'nvcodec[bench]'" in one_error(err)


def test_frames_before_a_cut_can_be_compared(tiny):
    assert as_json(tiny("compare", "tiny.nvc", "cut.nvc", "--frames", ":4", "--json"))["identical_frames"] == 4
    assert FRAMES > 4


@given(st.text(alphabet="0123456789,- x", max_size=24))
def test_crops_are_four_numbers_or_refused(text):
    import click

    try:
        crop = CropType().convert(text, None, None)
    except click.BadParameter:
        return
    assert ",".join(part.lstrip("0") or "0" for part in text.split(",")) == ",".join(map(str, crop)) and len(crop) == 4


# the picture ----------------------------------------------------------------------------------------------------------


def test_picture_of_the_worst_frame(run, nvc):
    found = as_json(run("compare", BUNNY, nvc, "--shortest", "--json", "--no-ms-ssim", "--picture", "p.png"))
    default = open("p.png", "rb").read()
    assert Image.open("p.png").size[0] > 2 * 640
    again = ["compare", BUNNY, nvc, "--shortest", "-q", "--no-ms-ssim", "--picture", "p.png"]
    assert run(*again, "--force", "--frame", found["worst_frame"])[0] == 0
    assert open("p.png", "rb").read() == default
    assert run(*again, "--force", "--frame", (found["worst_frame"] + 1) % 4)[0] == 0
    assert open("p.png", "rb").read() != default
    assert run(*again, "--force", "--crop", "0,0,64,36")[0] == 0
    assert open("p.png", "rb").read() != default
