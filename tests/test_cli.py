"""`nvc` as a program: help, pipes, signals, and how it spells things."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_samples import one_error
from nvc_samples import FRAMES, SIZE

import nvcodec
from nvcodec.cli.console import duration, to_json
from nvcodec.cli.main import COMMANDS

pytest_plugins = ("cli_fixtures",)

FRAME_BYTES = SIZE[0] * SIZE[1] + 2 * 12 * 9

NVC = [sys.executable, "-m", "nvcodec"]
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The package under test, from any folder."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))


def test_help_and_version(run):
    code, out, _ = run("--version")
    assert (code, out) == (0, f"nvc {nvcodec.__version__}\n")
    for command in ([], *([name] for name in COMMANDS)):
        code, out, _ = run(*command, "--help")
        assert code == 0 and "Usage: nvc" in out
    assert run()[0] == 2
    code, _, err = run("transcode")
    assert code == 2 and "transcode" in one_error(err)


def test_pipes(tmp_path, data):
    """A file in by a pipe, y4m out by another."""
    decoder = subprocess.run([*NVC, "decode", "-", "-"], input=data[0], capture_output=True, cwd=tmp_path)
    assert decoder.returncode == 0, decoder.stderr
    header, _, body = decoder.stdout.partition(b"\n")
    assert header.startswith(b"YUV4MPEG2 W23 H18 F25:1")
    assert len(body) == FRAMES * (len(b"FRAME\n") + FRAME_BYTES)
    cut = subprocess.run([*NVC, "decode", "-", "md5:-"], input=data[0][: data[1][3]], capture_output=True, cwd=tmp_path)
    assert cut.returncode == 7 and cut.stdout.splitlines()[-1].startswith(b"total 6 ")
    info = subprocess.run([*NVC, "info", "-", "--json"], input=data[0], capture_output=True, cwd=tmp_path)
    assert info.returncode == 0 and json.loads(info.stdout)["frames"] == FRAMES


@pytest.mark.parametrize("command", [["decode", "-", "-"], ["info", "-"]])
def test_a_reader_that_goes_away(tmp_path, data, command):
    out, into = os.pipe()
    os.close(out)
    done = subprocess.run([*NVC, *command], input=data[0], stdout=into, stderr=subprocess.PIPE, cwd=tmp_path)
    os.close(into)
    assert (done.returncode, done.stderr) == (141, b"")


def test_ctrl_c(tmp_path, data):
    """Between two reads of a pipe that goes silent."""
    process = subprocess.Popen(
        [*NVC, "decode", "-", "out.md5"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell job ignores it
    )  # fmt: skip
    process.stdin.write(data[0][: data[1][2]])
    process.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=4)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=20)  # the pipe stays open
    err = process.stderr.read()
    process.stdin.close()
    process.stderr.close()
    assert process.returncode == 130 and b"interrupted" in err and b"Traceback" not in err
    assert os.listdir(tmp_path) == []


# spelling -------------------------------------------------------------------------------------------------------------


def test_durations():
    assert [duration(s) for s in (0.04, 59.94, 60, 125.4, 3600, 3725)] == [
        "0.0 s", "59.9 s", "1:00", "2:05", "1:00:00", "1:02:05",
    ]  # fmt: skip


def test_json_has_no_nan():
    assert to_json({"a": (float("nan"), float("-inf"), 1.5), "b": "é\x1b"}) == (
        '{"a": [null, null, 1.5], "b": "\\u00e9\\u001b"}'
    )
