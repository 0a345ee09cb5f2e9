"""`nvc plan` on real files: what it prints, and every error."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_samples import one_error
from excerpt_samples import BUNNY
from media_samples import write
from test_planning_scenes import INFO, N, frames_of, three_shots

from nvcodec.cli import plan as plan_command
from nvcodec.planning.scenes import THRESHOLD

pytest_plugins = ("cli_fixtures",)

ROOT = str(Path(__file__).resolve().parents[1])


@pytest.fixture
def cuts(run):
    """cuts.y4m: three shots of N frames."""
    write("cuts.y4m", INFO, frames_of(three_shots()))
    return "cuts.y4m"


def as_json(result):
    code, out, err = result
    assert code == 0, err
    return json.loads(out)


def spans(found):
    return [[(chunk["first_frame"], chunk["frames"]) for chunk in window["chunks"]] for window in found["windows"]]


def test_table(run, cuts):
    code, out, err = run("plan", cuts, "--group", 10, "--min-window", 0.2)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "cuts.y4m: 159x89 at 25 fps"
    assert lines[1].startswith("chunks of at most 10 frames; windows of at least 5 frames and at most 8 chunks; ")
    assert [" ".join(line.split()[:4]) for line in lines[3:-2]] == [
        "0 0 0..6 7", "1 7..13 7", "1 2 14..20 7", "3 21..27 7", "2 4 28..34 7", "5 35..41 7",
    ]  # fmt: skip
    assert lines[3].endswith("  the first frame")
    assert all("  a scene change, score " in line for line in (lines[5], lines[7]))
    assert lines[-2] == "42 frames, 3 windows, 6 chunks"
    assert lines[-1].startswith("2 scene changes; the highest other score is 0.")


def test_json(run, cuts):
    found = as_json(run("plan", cuts, "--json", "--chunk", 0.4, "--min-window", 0.2, "--max-window", 1))
    assert spans(found) == [[(0, 7)], [(7, 7)], [(14, 7)], [(21, 7)], [(28, 7)], [(35, 7)]]
    begins = [window["score"] for window in found["windows"]]
    assert begins[::2][1:] == [change["score"] for change in found["scene_changes"]] and begins[1::2] == [None] * 3
    assert all(not change["passed_over"] and change["score"] >= THRESHOLD for change in found["scene_changes"])
    assert (found["frames"], found["chunk_frames"], found["min_window_frames"], found["rate"]) == (42, 10, 5, [25, 1])
    assert found["next_best"]["score"] < THRESHOLD / 2


def test_defaults(run, cuts):
    found = as_json(run("plan", cuts, "--json"))
    assert spans(found) == [[(0, 42)]], "no shot is as long as a window at least is"
    assert [(c["frame"], c["passed_over"]) for c in found["scene_changes"]] == [(N, True), (2 * N, True)]
    assert (found["scene_threshold"], found["chunk_frames"], found["min_window_frames"]) == (THRESHOLD, 125, 50)
    assert "too near to others or to an end: 14 (" in run("plan", cuts)[1]
    code, out, _ = run("plan", BUNNY)
    assert code == 0 and "\n33 frames, 1 window, 1 chunk\n0 scene changes; the highest other score is 0.0" in out


def test_a_part(run, cuts):
    """Frames keep the numbers that they have in the source."""
    found = as_json(run("plan", cuts, "--frames", "10:40", "--min-window", 0.1, "--json"))
    assert spans(found) == [[(10, 4)], [(14, 14)], [(28, 12)]]
    assert (found["first_frame"], found["frames"]) == (10, 30)
    assert 10 < found["next_best"]["frame"] < 40
    code, out, err = run("plan", cuts, "--frames", "41:99")
    assert code == 0 and "1 frame, 1 window, 1 chunk\n0 scene changes\n" in out
    assert err == "nvc: note: the video has 42 frames, fewer than were asked for\n"
    assert run("plan", cuts, "--frames", "41:99", "-q")[2] == ""


@pytest.mark.parametrize("name", ["shots.mkv", "shots", "shots_159x89_25fps.yuv"])
def test_other_kinds_of_source(run, cuts, name):
    """Also RGB, in a folder of pictures."""
    shots = frames_of(three_shots())
    if name.endswith(".yuv"):
        with open(name, "wb") as file:
            file.writelines(plane.tobytes() for frame in shots for plane in frame.planes)
    else:
        write(name, INFO, shots)
    found = as_json(run("plan", name, "--min-window", 0.2, "--json"))
    assert spans(found) == [[(0, N)], [(N, N)], [(2 * N, N)]]


def test_threshold_and_limits(run, cuts):
    found = as_json(run("plan", cuts, "--scene-threshold", 1, "--group", 20, "--max-window", 0, "--json"))
    assert spans(found) == [[(0, 14), (14, 14), (28, 14)]] and found["max_window_chunks"] == 0
    assert found["next_best"]["frame"] in (N, 2 * N)
    assert "windows of at least 50 frames; scene" in run("plan", cuts, "--max-window", 0)[1]
    code, _, err = run("plan", cuts, "--chunk", 200)
    assert code == 0 and err == "nvc: note: a chunk has at most 4,096 frames of this size\n"


def test_errors(run, cuts):
    def fails(code, *arguments):
        found, out, err = run("plan", *arguments)
        assert (found, out) == (code, "")
        return one_error(err)

    assert "give one of them" in fails(2, cuts, "--chunk", 1, "--group", 5)
    assert "twice the minimum" in fails(2, cuts, "--group", 5, "--max-window", 2, "--min-window", 1)
    assert "no frames from 42 on" in fails(2, cuts, "--frames", "42:")
    assert "--scene-threshold" in fails(2, cuts, "--scene-threshold", 0)
    assert "--chunk" in fails(2, cuts, "--chunk", 0)
    for option in ("--chunk", "--min-window", "--scene-threshold"):
        assert "not a number" in fails(2, cuts, option, "nan")
    assert "no such file" in fails(3, "none.mp4")
    with open("cuts.y4m", "r+b") as file:
        file.truncate(100_000)
    assert "cuts.y4m" in fails(3, cuts, "--json")


def test_a_pipe(run, cuts, monkeypatch):
    """Standard input, read once; nothing that trains or decodes is loaded."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")]))
    code = (
        "import sys\nfrom nvcodec.cli.main import main\ncode = main(['plan', '-', '--json'])\n"
        "assert not {'nvcodec.training', 'nvcodec.encode', 'nvcodec.decode'} & set(sys.modules)\nsys.exit(code)"
    )
    with open(cuts, "rb") as file:
        done = subprocess.run([sys.executable, "-c", code], stdin=file, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == 42


def test_progress(run, cuts, monkeypatch):
    """One line, rewritten, and gone before a result is printed."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    clock = itertools.count()
    monkeypatch.setattr(plan_command.time, "monotonic", lambda: float(next(clock)))
    code, _, err = run("plan", cuts, "--frames", "2:40")
    assert code == 0 and err.startswith("\r\x1b[Kframe 1/38  ") and err.endswith("\r\x1b[K")
    assert run("plan", cuts, "--quiet")[2] == ""
