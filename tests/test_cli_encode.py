"""`nvc encode` as a command, with an encoder that only reports; what the real one does is tested elsewhere."""

import dataclasses
import json
import os
import sys

import pytest
from cli_samples import one_error
from nvc_samples import tiny_nvc

from nvcodec.cli import encode as encode_command
from nvcodec.encode.report import EncodeReport, GroupReport, Plan, Progress, Scan, WindowReport
from nvcodec.encode.settings import EncodeSettings
from nvcodec.errors import DeviceError, SelfCheckError

pytest_plugins = ("cli_fixtures",)

PLAN = Plan(23, 18, 7, 4, 0, "nirvana", {"patch": 8}, 451, 100, 20, 0, 160, 0.3, 75.0, "cpu")
GROUP = GroupReport(
    0, 0, True, "none", 0, 2, 31.5, (31.0, 32.0), (33.0, float("inf"), 40.0), 31.5, 31.4, 211,
    {"symbols": 150, "headers": 61}, {"stem": 9.0}, 2.0, 1e-4, 100, 1.0, 0.1, 0.1,
)  # fmt: skip
SHARED = WindowReport(3, 100, 200, 340, 20, {"stem": 100}, 0.5)
SCAN = Scan(100, 700)
PROGRESS = Progress(0, 4, 50, 100, 30.0, None, 5000.0, 70.0)


class Encoder:
    """Stands in for nvcodec.api.encode: remembers what it was asked for, and says and leaves what it was told to."""

    def __init__(self, notes=(), fails=None, leaves=None, events=(SCAN, PLAN, PROGRESS, GROUP)):
        self.notes, self.fails, self.leaves, self.events = notes, fails, leaves, events
        self.asked = None

    def __call__(self, source, target, settings, *, observer, **options):
        self.asked = (source, target, settings, options)
        for event in self.events:
            observer(event)
        if self.leaves:
            path, content = self.leaves
            with open(path, "wb") as file:
                file.write(content)
        if self.fails:
            raise self.fails
        with open(target, "wb") as file:
            file.write(tiny_nvc()[0])
        report = EncodeReport(
            source, None, target, {}, PLAN, 7, 1000, {"symbols": 600, "framing": 400}, 2.76, 31.5, (33.0, 38.0, 40.0),
            3.0, 966.0, {}, tuple(self.notes), (GROUP,),
        )  # fmt: skip
        observer(report)
        return report


@pytest.fixture
def encoder(monkeypatch):
    def install(**options):
        fake = Encoder(**options)
        monkeypatch.setattr(encode_command.api, "encode", fake)
        return fake

    return install


def test_every_setting_has_a_flag_and_reaches_the_encoder(run, encoder):
    values = {
        "preset": "fast", "bpp": 0.25, "model": "nirvana", "patch": 16, "group": 5, "width": 32, "depth": 2,
        "channels": 6, "block_channels": 7, "conv": "float", "steps_first": 11, "steps_next": 12,
        "prune": 0.25, "share": 0.5, "mask": "layers", "share_training": "sequential", "inherit": "previous",
        "scene_threshold": 0.5, "min_window": 1.5, "max_window": 6,
        "keyint": 3, "chains": 2, "jobs": 2, "engine": "ray", "seed": 9, "device": "cpu", "threads": 1,
    }  # fmt: skip
    fake = encoder()
    flags = [word for name, value in values.items() for word in (encode_command.flag(name), value)]
    assert run("encode", "in.mp4", "out.nvc", *flags, "--frames", "4:9", "--in-place", "--resume")[0] == 0
    _, _, settings, options = fake.asked
    assert settings == EncodeSettings(**values, start=4, stop=9)
    assert options == {"force": False, "resume": True, "in_place": True}
    others = {"psnr": 33.0, "lam": 1e-5, "chunk": 2.5, "parameters": 1000, "steps_network": 13}
    named = {*values, *others, "monolithic", "start", "stop"}
    assert named == {field.name for field in dataclasses.fields(EncodeSettings)}
    for name, value in others.items():
        assert run("encode", "in.mp4", "out.nvc", encode_command.flag(name), value)[0] == 0
        assert fake.asked[2] == EncodeSettings(**{name: value})
    assert run("encode", "in.mp4", "out.nvc", "--monolithic")[0] == 0
    assert fake.asked[2] == EncodeSettings(monolithic=True)


def test_help_names_every_setting(run):
    code, out, _ = run("encode", "--help")
    flags = {encode_command.flag(field.name) for field in dataclasses.fields(EncodeSettings)} - {"--start", "--stop"}
    assert code == 0 and all(f"\n  {name} " in out.replace("-q, ", "") for name in flags)
    assert set(encode_command.HELP) == {f.name for f in dataclasses.fields(EncodeSettings)} - {"start", "stop"}
    assert "[fisher|layers|random|variance|difference]" in out and "[0<=x<=1]" in out


def test_defaults_are_those_of_the_library(run, encoder):
    fake = encoder()
    assert run("encode", "in.mp4", "out.nvc")[0] == 0
    assert fake.asked[2:] == (EncodeSettings(), {"force": False, "resume": False, "in_place": False})


@pytest.mark.parametrize(
    "options",
    [
        ["--patch", "0"], ["--patch", "1.5"], ["--bpp", "0"], ["--bpp", "nan"], ["--psnr", "1000"], ["--seed", "-1"],
        ["--lambda", "2"], ["--preset", "quick"], ["--conv", "int8"], ["--bpp", "1", "--psnr", "30"], ["--nothing"],
        ["--frames", "5:2"], ["--width", "99999"], ["more"], ["--group", "4", "--chunk", "1"],
        ["--width", "8", "--parameters", "100"], ["--model", "nerf"], ["--share", "1.5"], ["--share", "nan"],
        ["--share", "all"], ["--mask", "best"], ["--share-training", "later"], ["--inherit", "window"],
        ["--prune", "1"], ["--prune", "-0.1"], ["--scene-threshold", "0"], ["--min-window", "-1"],
        ["--max-window", "-1"], ["--max-window", "1.5"], ["--monolithic", "--share", "0.5"],
        ["--monolithic", "--group", "4"], ["--monolithic", "--chunk", "2"], ["--monolithic", "--chains", "2"],
        ["--monolithic", "yes"], ["--share", "0", "--inherit", "previous"],
    ],
)  # fmt: skip
def test_settings_that_cannot_be(run, encoder, options):
    fake = encoder()
    code, out, err = run("encode", "in.mp4", "out.nvc", *options)
    assert (code, out, fake.asked) == (2, "", None) and one_error(err)


def test_encode_prints_plan_groups_notes_and_a_summary(run, encoder):
    encoder(notes=["audio is not coded"])
    code, out, err = run("encode", "in.mp4", "out.nvc")
    assert code == 0
    lines = err.splitlines()
    assert any("7 frames in 4 groups" in line for line in lines) and any("about 1:15" in line for line in lines)
    assert lines.count("nvc: note: audio is not coded") == 1
    assert any(line.startswith("group 0 (random access): frames 0..1, 31.50 dB") for line in lines)
    assert "\r" not in err, "the progress line is for terminals"
    for words in (
        "out.nvc: nirvana, 7 frames, 1,000 bytes, 2.7600 bpp",
        "RGB 31.50 dB",
        "U 38.00",
        "symbols 60.0 %",
        "1.0 kpx/s",
    ):
        assert words in out


def test_encode_on_a_terminal_rewrites_one_line(run, encoder, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    encoder()
    code, _, err = run("encode", "in.mp4", "out.nvc")
    assert code == 0 and "\r\x1b[Kgroup 1/4  step 50/100  30.00 dB" in err and err.endswith("\r\x1b[K")
    assert "\r\x1b[Klooking for scene changes: frame 100/700" in err
    assert "group 0 (random access)" not in err


def test_windows_have_a_line(run, encoder):
    plan, group = dataclasses.replace(PLAN, windows=2), dataclasses.replace(GROUP, number=2, window=SHARED)
    encoder(events=[plan, PROGRESS, group])
    lines = run("encode", "in.mp4", "out.nvc")[2].splitlines()
    assert "video: 23x18, 7 frames in 4 groups, 2 windows with shared parameters" in lines
    shown = lines.index("window of groups 2..4: 100 of 200 parameters shared, 340 bytes, 20 of them mask")
    assert lines[shown + 1].startswith("group 2 (random access): ")


def test_quiet(run, encoder):
    encoder(notes=["audio is not coded"])
    assert run("encode", "in.mp4", "out.nvc", "--quiet") == (0, "", "")


def test_encode_json(run, encoder):
    encoder()
    code, out, _ = run("encode", "in.mp4", "out.nvc", "--json", "--quiet")
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [event["event"] for event in events] == ["scan", "plan", "progress", "group", "report"]
    assert events[3]["psnr_planes"] == [33.0, None, 40.0], "JSON has no infinity"
    assert events[4]["bytes"] == 1000
    encoder(events=[dataclasses.replace(GROUP, window=SHARED)])
    _, out, _ = run("encode", "in.mp4", "out.nvc", "--json", "--quiet")
    window = json.loads(out.splitlines()[0])["window"]
    assert window == dataclasses.asdict(SHARED)


def test_report(run, encoder):
    fake = encoder()
    assert run("encode", "in.mp4", "out.nvc", "--report", "r.json", "-q")[0] == 0
    report = json.load(open("r.json"))
    assert report["bytes"] == 1000 and report["groups"][0]["bytes_by_kind"] == {"symbols": 150, "headers": 61}
    fake.asked = None
    for path in ("r.json", "nowhere/r.json"):
        code, _, err = run("encode", "in.mp4", "out.nvc", "--report", path)
        assert code == 4 and path in one_error(err) and fake.asked is None, "found out before the work"
    assert sorted(os.listdir()) == ["out.nvc", "r.json"]


@pytest.mark.parametrize(("error", "code"), [(SelfCheckError("x"), 11), (DeviceError("x"), 12), (KeyError("x"), 1)])
def test_errors_of_the_encoder(run, encoder, error, code):
    encoder(fails=error)
    result, _, err = run("encode", "in.mp4", "out.nvc", "-q")
    assert result == code and one_error(err)
    assert "Traceback" in run("--debug", "encode", "in.mp4", "out.nvc", "-q")[2]


@pytest.mark.parametrize(("options", "path"), [([], "out.nvc.part"), (["--in-place"], "out.nvc")])
def test_interrupted(run, encoder, data, options, path):
    encoder(fails=KeyboardInterrupt(), leaves=(path, data[0][: data[1][2]]))
    with pytest.raises(SystemExit) as stop:
        run("encode", "in.mp4", "out.nvc", *options)
    assert stop.value.code == 130


def test_what_an_interrupted_encode_leaves(tiny):
    assert encode_command._what_is_left("none.nvc", False) == "nothing was written yet"
    os.rename("cut.nvc", "out.nvc.part")
    line = encode_command._what_is_left("out.nvc", False)
    assert "2 groups with 4 frames in out.nvc.part" in line and "--resume" in line


def test_real_sources_that_cannot_be(tiny):
    with open("broken.mp4", "wb") as file:
        file.write(b"\0\0\0\x18ftypmp42" + bytes(100))
    for source in ("none.mp4", "broken.mp4", "tiny.nvc"):
        code, _, err = tiny("encode", source, "out.nvc", "-q")
        assert code == 3 and source in one_error(err)
    assert not os.path.exists("out.nvc")
