"""`nvc bench` as a user types it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bench_samples import CLIP, TINY, write_y4m

from nvcodec.bench.runner import Runner
from nvcodec.errors import NvcodecError

pytest_plugins = ["cli_fixtures"]
ROOT = Path(__file__).resolve().parents[1]
QUICK = ("--frames", 9, "--threads", 1, "--runs", 1, "--no-vmaf", "--no-ms-ssim", "--cache", "cache")
X264 = ("-c", "x264:ultrafast")


def results(name="results.json"):
    return json.loads(Path(name).read_text())


def test_a_table_of_files(run):
    code, out, err = run("bench", CLIP, *X264, "-c", TINY, "--bpp", "0.2,0.4", *QUICK, "--keep", "streams")
    assert code == 0, err
    found = results()
    assert [(r["codec"]["name"], r["rate"]["value"]) for r in found["rows"]] == [
        ("x264", 0.2), ("x264", 0.4), ("nvcodec", 0.2), ("nvcodec", 0.4)
    ]  # fmt: skip
    lines = out.splitlines()
    for row, line in zip(found["rows"], lines[:4], strict=True):
        assert f"{row['bpp']:.4f} bpp" in line and f"{row['psnr_rgb']:.2f} dB RGB" in line
    assert any(": none: " in line for line in lines[4:]), "two points are no curve, and it says so"
    streams = sorted(Path("streams").iterdir())
    assert sorted(path.stat().st_size for path in streams) == sorted(row["bytes"] for row in found["rows"])
    (provenance,) = found["provenance"]
    assert provenance["command"].startswith("nvc bench") and provenance["machine"]["cpu"]
    assert {"av", "torch", "nvcodec"} <= set(provenance["versions"])
    assert str(CLIP.parent) not in Path("results.json").read_text()


def test_what_is_there_is_not_measured_again(run, monkeypatch):
    arguments = ("bench", CLIP, *X264, "--quality", "30", *QUICK)
    code, out, _ = run(*arguments)
    assert code == 0
    before = results()
    monkeypatch.setattr(Runner, "row", lambda *_: pytest.fail("measured again"))
    again, out_again, _ = run(*arguments)
    assert (again, out_again) == (0, out) and results() == before


def test_an_interrupt_leaves_the_rows_before_it(run, monkeypatch):
    measure = Runner.row

    def interrupted(self, reference, codec, rate):
        if rate.value == 40:
            raise KeyboardInterrupt
        return measure(self, reference, codec, rate)

    with monkeypatch.context() as patch:
        patch.setattr(Runner, "row", interrupted)
        code, _, err = run("bench", CLIP, *X264, "--quality", "30,40", *QUICK)
    assert code == 130 and "interrupted" in err
    assert [row["quality"] for row in results()["rows"]] == [30]
    assert run("bench", CLIP, *X264, "--quality", "30,40", *QUICK)[0] == 0
    assert [row["quality"] for row in results()["rows"]] == [30, 40]


def test_a_row_that_fails_costs_no_other(run, monkeypatch):
    measure = Runner.row

    def failing(self, reference, codec, rate):
        if rate.value == 30:
            raise NvcodecError("out of paper")
        return measure(self, reference, codec, rate)

    monkeypatch.setattr(Runner, "row", failing)
    code, out, err = run("bench", CLIP, *X264, "--quality", "30,40", *QUICK)
    assert code == 1 and "a row could not be measured: x264 ultrafast, quality 30: out of paper" in err
    assert [row["quality"] for row in results()["rows"]] == [40]


def test_folders_and_clips_that_cannot_be_used(run, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    shutil.copyfile(CLIP, folder / "b.mp4")
    write_y4m(folder / "a.y4m", 5)
    code, out, err = run("bench", folder, *X264, "--quality", "40", *QUICK)
    assert code == 1 and "a.y4m" in err, "it has only 5 of 9 frames"
    assert [row["clip"]["name"] for row in results()["rows"]] == ["b.mp4"]
    assert "1 of" in err or "a row" in err


def test_json_lines(run):
    code, out, _ = run("bench", CLIP, *X264, "--quality", "30,40", *QUICK, "--json", "-o", "r.json")
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == results("r.json")["rows"]


def test_sizes(run):
    assert run("bench", CLIP, *X264, "--quality", "30", *QUICK, "--size", "160x90")[0] == 0
    (row,) = results()["rows"]
    assert (row["clip"]["reference"]["width"], row["clip"]["reference"]["height"]) == (160, 90)


def test_codecs_are_listed(run):
    code, out, _ = run("bench", "--list-codecs")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [
        "nvcodec",
        "x264",
        "x265",
        "svtav1",
        "vp9",
        "vvenc",
        "aom",
    ]


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        ((), 2, "no clip"),
        (("nowhere.mp4",), 3, "nowhere.mp4"),
        ((CLIP, "-c", "x266"), 2, "no codec 'x266'"),
        ((CLIP, *X264, *X264), 2, "named twice"),
        ((CLIP, *X264, "--psnr", "30"), 2, "only be asked of nvcodec"),
        ((CLIP, *X264, "-c", "nvcodec", "--quality", "1"), 2, "scale of its own"),
        ((CLIP, *X264, "--quality", "52"), 2, "crf is 0..51"),
        ((CLIP, *X264, "--bpp", "0"), 2, "not above zero"),
        ((CLIP, *X264, "--bpp", "a"), 2, "not a list of numbers"),
        ((CLIP, *X264, "--bpp", "1,1"), 2, "twice"),
        ((CLIP, *X264, "--size", "161x90"), 2, "even"),
        ((CLIP, *X264, "--size", "big"), 2, "WxH"),
        ((CLIP, *X264, "--loop"), 2, "--loop needs --frames"),
        ((CLIP, *X264, "--frames", "1000"), 3, "33"),
        ((CLIP, *X264, "-o", "no/where.json"), 4, "does not exist"),
        ((CLIP, *X264, "-o", CLIP), 3, "not a results file"),
    ],
)
def test_what_cannot_be_done(run, arguments, code, message):
    found, _, err = run("bench", *arguments, "--cache", "cache")
    assert (found, err.count("\n")) == (code, 1), err
    assert message in err


def test_the_tool_is_the_command(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "tools/rd_bench.py", "--list-codecs"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert done.returncode == 0 and "x264" in done.stdout, done.stderr
