"""Encodes with the frame-wise networks by all the ways to ask: seconds, rates, parameters, a PSNR, chains, commands."""

import dataclasses
import json
import os

import pytest
from cli_samples import one_error

from nvcodec.decode.decoder import Check, Decoder
from nvcodec.encode.encoder import encode
from nvcodec.encode.settings import EncodeSettings

pytest_plugins = ("cli_fixtures", "clip_fixtures")

NAMES = ("enerv", "hnerv", "nerv")


def settings(name, **changes):
    quick = EncodeSettings(
        model=name, preset="ultrafast", lam=1e-5, width=8, group=4, steps_first=12, steps_next=8, threads=1
    )
    return dataclasses.replace(quick, **changes)


@pytest.mark.parametrize("name", NAMES)
def test_chunks_rates_and_parameters(small_clip, tmp_path, name):
    """A chunk is some seconds; a rate sizes the network and is met; or parameters are counted."""
    how = settings(name, group=None, chunk=0.25, width=None, lam=None, bpp=3.0, steps_first=60, steps_next=40)
    report = encode(small_clip, tmp_path / "a.nvc", how)
    assert [group.frames for group in report.groups] == [6, 5]
    assert 0.45 * 3.0 < report.bpp < 1.3 * 3.0
    counted = encode(small_clip, tmp_path / "b.nvc", settings(name, width=None, parameters=9000, stop=2, steps_first=2))
    assert 4500 < counted.plan.parameters <= 9000


def test_chains_have_one_network(small_clip, tmp_path):
    """The last chain has fewer frames than a group; its network is the others' all the same."""
    report = encode(small_clip, tmp_path / "a.nvc", settings("hnerv", group=6, chains=2, jobs=2, steps_first=4))
    with open(tmp_path / "a.nvc", "rb") as file:
        groups = list(Decoder(file, device="cpu").groups())
    assert [len(group.frames) for group in groups] == [6, 5] and {group.check for group in groups} == {Check.EXACT}
    assert [g.chain for g in report.groups] == [0, 1]


def test_a_psnr_is_reached(small_clip, tmp_path):
    report = encode(small_clip, tmp_path / "a.nvc", settings("nerv", lam=None, psnr=15.0, stop=4, steps_first=60))
    assert report.psnr >= 15.0


@pytest.mark.parametrize(
    "options",
    [["--model", "nerv", "--patch", "8"], ["--model", "hnerv", "--depth", "2"], ["--model", "enerv", "--conv", "float"],
     ["--chunk", "2"], ["--model", "nerv", "--group", "4", "--chunk", "2"], ["--width", "4", "--parameters", "99"]],
)  # fmt: skip
def test_options_of_other_models_are_one_line(run, small_clip, options):
    code, out, err = run("encode", small_clip, "a.nvc", "-q", *options)
    assert (code, out) == (2, "") and options[-2] in one_error(err) and os.listdir() == []


@pytest.mark.parametrize(
    "options, words",
    [("--share 0.5 --group 4 --max-window 2 --min-window 1", "windows of at least 25 frames do not fit"),
     ("--monolithic --share 0.5", "--share"), ("--monolithic --group 4", "--group"),
     ("--share 0 --inherit previous", "--inherit previous")],
)  # fmt: skip
def test_windows_that_cannot_be_are_one_line(run, small_clip, options, words):
    code, out, err = run("encode", small_clip, "a.nvc", "-q", "--model", "nerv", *options.split())
    assert (code, out) == (2, "") and words in one_error(err) and os.listdir() == []


def test_windows_as_commands(run, small_clip):
    asked = "--model nerv --preset ultrafast --width 4 --steps-first 3 --group 4 --share 0.5 --min-window 0.1 --json"
    code, out, _ = run("encode", small_clip, "a.nvc", *asked.split())
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [e["event"] for e in events if e["event"] != "progress"] == [
        "scan", "plan", "group", "group", "group", "report",
    ]  # fmt: skip
    assert events[1]["windows"] == 1 and events[0]["of"] == 11
    assert [e["inheritance"] for e in events if e["event"] == "group"] == ["window"] * 3
    assert "window" in run("info", "a.nvc")[1]
    assert run("decode", "a.nvc", "md5:-", "--verify", "--frames", "5:9")[0] == 0


def test_as_commands(run, small_clip):
    asked = "--model hnerv --preset ultrafast --steps-first 3 --chunk 0.2 --parameters 3000".split()
    assert run("encode", small_clip, "a.nvc", "-q", *asked) == (0, "", "")
    code, out, _ = run("info", "a.nvc")
    assert code == 0 and "hnerv" in out and "embedding 4" in out
    assert run("decode", "a.nvc", "md5:-", "--verify", "--frames", "6:9")[0] == 0
