"""From rows of a results file to plots: their names and numbers, and the tool that writes them."""

import json
import math
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.bench.gallery import interpolated, plots_of
from nvcodec.bench.series import clips_of
from nvcodec.bench.style import LIGHT, MARKERS
from nvcodec.errors import SourceError
from tools import plots

ROOT = Path(__file__).resolve().parents[1]
RATES = (0.1, 0.2, 0.4)


def clip(name, motion=0.001, frames=4, **more):
    reference = {"width": 320, "height": 180, "frames": frames, "sha256": name, "motion": motion, **more}
    return {"name": name, "digest": name, "reference": reference}


def row(where, codec, preset, bpp, psnr, speed, **more):
    """A row of `nvc bench`, with what plots look at."""
    options = more.pop("options", {})
    label = " ".join([codec, preset, *(f"{name}={value}" for name, value in options.items())])
    frames = where["reference"]["frames"]
    ours = codec == "nvcodec"
    size = round(bpp * 320 * 180 * frames / 8)
    return {
        "key": f"{where['name']} {label} {bpp} {more.get('intra_period')} {more.get('quality')}",
        "clip": where,
        "codec": {"name": codec, "preset": preset, "options": options, "label": label},
        "intra_period": None,
        "rate": {"kind": "bpp", "value": bpp},
        "quality": None,
        "bytes": size,
        "bpp": bpp,
        "psnr_rgb": psnr,
        "psnr_y": psnr + 3,
        "ms_ssim_rgb": 0.99 if codec == "x264" else None,
        "vmaf": None,
        "per_frame": {"psnr_rgb": [psnr, psnr + 1] * (frames // 2), "bytes": [size / frames] * frames},
        "usage": {"symbols": size - 100, "header": 28, "end": 72} if ours else None,
        "groups": [
            {"first_frame": 0, "frames": 2, "bytes": 3000, "random_access": True},
            {"first_frame": 2, "frames": 2, "bytes": 720, "random_access": False},
        ] if ours else None,
        "encode": {"px_per_s": speed},
        "device": "cpu",
        "seed": 0 if ours else None,
        "threads": 2,
        **more,
    }  # fmt: skip


def results():
    """Two clips and three codecs; the second clip has not been measured with one of them."""
    rows = []
    for where in (clip("bunny_720p.mp4"), clip("city 1.mpg", 0.004)):
        for n, bpp in enumerate(RATES):
            rows.append(row(where, "nvcodec", "fast", bpp, 22.0 + n, 5e4))
            if where["name"].startswith("bunny"):
                rows.append(row(where, "x265", "slow", 2 * bpp, 33.0 + n, 1e5))
            rows.append(row(where, "x264", "medium", bpp * 0.9, 30.0 + 2 * n, 1e6 * 10**n))
    return {"format": 1, "definitions": {}, "provenance": [], "rows": rows[::-1], "bd": []}


def lines(axes):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@cache
def drawn(name, **how):
    return plots_of(results(), **how)[name](LIGHT)


BUNNY, CITY = "bunny_720p_320x180", "city_1_320x180"


def test_names():
    assert set(plots_of(results())) == {
        *(f"rd_{m}_{c}" for m in ("psnr_rgb", "psnr_y", "ms_ssim_rgb") for c in (BUNNY, CITY)),
        *(f"{kind}_{c}" for kind in ("per_frame_psnr_rgb", "speed_psnr_rgb", "bytes") for c in (BUNNY, CITY)),
    }
    chosen = plots_of(results(), metrics=("psnr_y", "vmaf"))
    assert set(chosen) == {f"{kind}_{c}" for kind in ("rd_psnr_y", "speed_psnr_y", "bytes") for c in (BUNNY, CITY)}


def test_curves_have_the_rows_numbers():
    figure = drawn(f"rd_psnr_rgb_{BUNNY}")
    found = lines(figure.axes[0])
    assert found["nvcodec fast"] == ([0.1, 0.2, 0.4], [22.0, 23.0, 24.0])
    assert found["x265 slow"] == ([0.2, 0.4, 0.8], [33.0, 34.0, 35.0])
    assert found["x264 medium"] == (pytest.approx([0.09, 0.18, 0.36]), [30.0, 32.0, 34.0])
    assert figure.get_suptitle() == "bunny_720p 320x180, 4 frames: RGB PSNR over rate"
    assert set(lines(drawn(f"rd_psnr_rgb_{CITY}").axes[0])) == {"nvcodec fast", "x264 medium"}
    y = lines(drawn(f"rd_psnr_y_{CITY}").axes[0])
    assert y["nvcodec fast"][1] == [25.0, 26.0, 27.0]


def test_a_metric_is_of_the_codecs_that_have_it():
    assert lines(drawn(f"rd_ms_ssim_rgb_{BUNNY}").axes[0]) == {
        "x264 medium": (pytest.approx([0.09, 0.18, 0.36]), pytest.approx([20.0, 20.0, 20.0]))
    }


def test_a_codec_looks_the_same_in_every_plot():
    looks = {}
    for name in (f"rd_psnr_rgb_{BUNNY}", f"rd_psnr_rgb_{CITY}", f"rd_ms_ssim_rgb_{BUNNY}", f"speed_psnr_rgb_{CITY}"):
        for line in drawn(name).axes[0].get_lines():
            looks.setdefault(line.get_label(), set()).add((line.get_color(), line.get_marker()))
    assert set(looks) == {"nvcodec fast", "x264 medium", "x265 slow"}
    assert all(len(look) == 1 for look in looks.values()) and len(set.union(*looks.values())) == 3


def test_frames_of_the_rate_nearest_to_the_median_of_ours():
    figure = drawn(f"per_frame_psnr_rgb_{BUNNY}")
    quality, bits = figure.axes
    assert set(legend(figure)) == {
        "nvcodec fast, 0.200 bpp", "x265 slow, 0.200 bpp", "x264 medium, 0.180 bpp", "random-access point"
    }  # fmt: skip
    found = lines(quality)
    assert found["nvcodec fast, 0.200 bpp"] == ([0, 1, 2, 3], [23.0, 24.0, 23.0, 24.0])
    assert lines(bits)["nvcodec fast, 0.200 bpp"][1] == pytest.approx([0.2 * 320 * 180 / 1000] * 4)
    strokes = [line for line in quality.get_lines() if line.get_marker() == "|"]
    assert [list(line.get_xdata()) for line in strokes] == [[0]]
    assert "nvcodec fast, 0.400 bpp" in legend(drawn(f"per_frame_psnr_rgb_{BUNNY}", bpp=0.35))


def test_bytes_of_our_rows():
    axes = drawn(f"bytes_{BUNNY}").axes[0]
    totals = [round(bpp * 320 * 180 * 4 / 8) for bpp in RATES]
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        f"nvcodec fast, {bpp:.3f} bpp\n{total:,} bytes" for bpp, total in zip(RATES, totals, strict=True)
    ]
    symbols = next(bars for bars in axes.containers if bars.get_label() == "symbols")
    assert [bar.get_width() for bar in symbols] == pytest.approx([100 * (n - 100) / n for n in totals])


def test_speed_is_interpolated_within_what_was_measured():
    figure = drawn(f"speed_psnr_rgb_{BUNNY}")
    found = lines(figure.axes[0])
    assert found["nvcodec fast"] == (pytest.approx([5e4]), [23.0])
    share = math.log(0.2 / 0.18) / math.log(2)
    assert found["x264 medium"] == (pytest.approx([1e7 * 10**share]), pytest.approx([32 + 2 * share]))
    assert found["x265 slow"] == (pytest.approx([1e5]), [33.0])
    assert "at 0.2 bpp" in figure.get_suptitle()


def test_speed_names_codecs_that_do_not_reach_the_rate():
    figure = drawn(f"speed_psnr_rgb_{BUNNY}", bpp=0.1)
    assert set(lines(figure.axes[0])) == {"nvcodec fast", "x264 medium"}
    assert "x265 slow: measured at 0.2 to 0.8\nbpp" in legend(figure)
    rows = [{**r, "encode": {"px_per_s": None}} if r["codec"]["name"] == "x265" else r for r in results()["rows"]]
    assert "x265 slow: not timed" in legend(plots_of({"rows": rows})[f"speed_psnr_rgb_{BUNNY}"](LIGHT))
    far = plots_of(results(), bpp=7.0)
    assert not any(name.startswith("speed") for name in far) and f"rd_psnr_rgb_{BUNNY}" in far


@pytest.mark.parametrize(("rate", "value"), [(1, 10), (2, 12), (4, 14), (8, 20), (0.99, None), (8.01, None)])
def test_interpolated(rate, value):
    assert interpolated([(8.0, 20.0), (1.0, 10.0), (4.0, 14.0)], rate) == (
        None if value is None else pytest.approx(value)
    )


@given(st.dictionaries(st.floats(0.01, 10), st.floats(20, 50), min_size=1), st.floats(0.01, 10))
def test_interpolation_never_leaves_its_neighbours(points, rate):
    found = interpolated(list(points.items()), rate)
    assert (found is None) == (not min(points) <= rate <= max(points))
    if found is not None:
        below, above = max(r for r in points if r <= rate), min(r for r in points if r >= rate)
        low, high = sorted((points[below], points[above]))
        assert low - 1e-9 <= found <= high + 1e-9


def test_clips_of_one_name_are_told_apart():
    bunny = clip("bunny.mp4")
    rows = [
        row(bunny, "x264", "medium", 0.1, 30.0, 1.0),
        row(bunny, "x264", "medium", 0.1, 30.0, 1.0, intra_period=32),
        row(clip("bunny.mp4", frames=8), "x264", "medium", 0.1, 30.0, 1.0),
        row(clip("city_320x180.y4m"), "x264", "medium", 0.1, 30.0, 1.0),
        row(clip("../city/a b$.mp4", sha256="aaaaaaaabb"), "x264", "medium", 0.1, 30.0, 1.0),
        row(clip("../city/a b$.mp4", sha256="ccccccccdd"), "x264", "medium", 0.1, 30.0, 1.0),
    ]
    clips = clips_of(rows)
    assert [found.name for found in clips] == [
        "bunny_320x180_4frames", "bunny_320x180_intra32", "bunny_320x180_8frames", "city_320x180",
        "a_b_320x180_4frames_aaaaaaaa", "a_b_320x180_4frames_cccccccc",
    ]  # fmt: skip
    assert [found.title for found in clips[1:4]] == [
        "bunny 320x180, 4 frames, intra period 32", "bunny 320x180, 8 frames", "city 320x180, 4 frames"
    ]  # fmt: skip


def test_series_of_one_label_are_told_apart():
    where = clip("a.mp4")
    rows = [
        row(where, "nvcodec", "fast", 0.1, 22.0, 5e4),
        row(where, "nvcodec", "fast", 0.1, 22.0, 5e6, device="NVIDIA H100"),
        row(where, "x264", "medium", 0.1, 30.0, 1e6, threads=1),
    ]
    (found,) = clips_of(rows)
    assert list(found.series) == ["nvcodec fast, cpu", "nvcodec fast, NVIDIA H100", "x264 medium"]


BASE = {"patch": "16", "group": "3"}


def figure5():
    """A base at three lambda, and three options varied one at a time at two of them."""
    where = clip("carphone.mp4")
    variants = [
        (BASE, (1e-4, 1e-3, 1e-2)),
        ({**BASE, "patch": "8"}, (1e-4, 1e-3)),
        ({**BASE, "patch": "24"}, (1e-4, 1e-3)),
        ({**BASE, "group": "2"}, (1e-4, 1e-3)),
        ({**BASE, "steps_first": "75", "steps_next": "30"}, (1e-4, 1e-3)),
        ({**BASE, "steps_first": "150", "steps_next": "60"}, (1e-4,)),
    ]
    rows = [
        row(where, "nvcodec", "fast", 1e-4 / lam + n / 1000, 30.0 - 1000 * lam - n, 5e4, options=options, quality=lam,
            rate={"kind": "quality", "value": lam})
        for n, (options, lambdas) in enumerate(variants) for lam in lambdas
    ]  # fmt: skip
    return {"rows": [*rows, row(where, "x264", "medium", 0.1, 30.0, 1e6)]}


def test_knobs():
    panels = plots_of(figure5())["knobs_psnr_rgb_carphone_320x180"](LIGHT).axes
    assert [axes.get_title(loc="left") for axes in panels] == [
        "lambda (group 3, patch 16)", "patch (group 3)", "group (patch 16)", "steps (group 3, patch 16)"
    ]  # fmt: skip
    (base,) = lines(panels[0]).values()
    assert base == (pytest.approx([0.01, 0.1, 1.0]), pytest.approx([20.0, 29.0, 29.9]))
    assert [text.get_text() for text in panels[0].texts] == ["0.01", "0.001", "0.0001"]
    assert list(lines(panels[1])) == ["patch 8", "patch 16", "patch 24"]
    assert lines(panels[1])["patch 8"] == (pytest.approx([0.101, 1.001]), pytest.approx([28.0, 28.9]))
    assert lines(panels[1])["patch 16"] == base
    assert list(lines(panels[2])) == ["group 2", "group 3"]
    assert list(lines(panels[3])) == ["steps of the preset", "steps 75/30", "steps 150/60"]
    assert lines(panels[3])["steps 150/60"] == (pytest.approx([1.005]), pytest.approx([24.9]))


def test_many_files_become_one_bar_for_each_series():
    body = figure5()
    body["rows"] += [row(clip("carphone.mp4"), "nvcodec", "slow", bpp, 30.0, 1.0) for bpp in (0.1, 0.2, 0.3)]
    labels = [text.get_text() for text in plots_of(body)["bytes_carphone_320x180"](LIGHT).axes[0].get_yticklabels()]
    assert len(labels) == 7  # of 15 files


def test_motion_has_bits_of_groups_that_inherit():
    quality = {"quality": 1e-3, "rate": {"kind": "quality", "value": 1e-3}}
    rows = [
        row(clip(name, motion), "nvcodec", "fast", 0.2, psnr, 5e4, options={"width": "64"}, **quality)
        for name, motion, psnr in (("city.mpg", 0.004, 20.42), ("bunny.mp4", 0.001, 24.18))
    ]
    rows[1]["groups"] = rows[1]["groups"] + [{"first_frame": 4, "frames": 1, "bytes": 1440, "random_access": False}]
    found = plots_of({"rows": rows})
    figure = found["motion_nvcodec_fast_width_64_at_0_001"](LIGHT)
    assert lines(figure.axes[0]) == {
        "city: 20.4 dB RGB": ([0.004], [720 * 8 / (2 * 320 * 180)]),
        "bunny: 24.2 dB RGB": ([0.001], [2160 * 8 / (3 * 320 * 180)]),
    }
    assert figure.get_suptitle().replace("\n", " ").endswith("320x180, 4 frames")
    assert not any(name.startswith("motion") for name in plots_of({"rows": rows[:1]}))
    assert not any(name.startswith("motion") for name in plots_of(results()))  # a rate was asked for, not a lambda


def test_infinite_and_missing_numbers():
    body = results()
    for one in body["rows"]:
        one["psnr_rgb"] = math.inf if one["codec"]["name"] == "x264" else one["psnr_rgb"]
        del one["usage"], one["per_frame"], one["encode"], one["groups"], one["psnr_y"], one["ms_ssim_rgb"]
    found = plots_of(body)
    assert set(found) == {f"rd_psnr_rgb_{BUNNY}", f"rd_psnr_rgb_{CITY}"}
    line, *_ = found[f"rd_psnr_rgb_{CITY}"](LIGHT).axes[0].get_lines()
    assert line.get_label() == "nvcodec fast" and line.get_marker() in MARKERS


def test_nothing_is_drawn_before_it_is_asked_for(monkeypatch):
    monkeypatch.setattr("nvcodec.bench.style.need", lambda name: pytest.fail("drawn"))
    assert plots_of(results())
    assert plots_of({"rows": []}) == {}


BROKEN = [
    (lambda one: one.pop("clip"), "clip.reference.width"),
    (lambda one: one["clip"]["reference"].update(height="180"), "clip.reference.height"),
    (lambda one: one["clip"]["reference"].update(frames=0), "clip.reference.frames"),
    (lambda one: one["codec"].pop("label"), "codec.label"),
    (lambda one: one.update(bpp=None), "bpp"),
    (lambda one: one.update(bpp=-0.1), "bpp"),
]


@pytest.mark.parametrize(("breaks", "field"), BROKEN)
def test_a_row_that_is_none_is_named(breaks, field):
    body = json.loads(json.dumps(results()))
    breaks(body["rows"][4])
    with pytest.raises(SourceError, match=f"row 5 has no valid {field};"):
        plots_of(body)


def run(folder, *arguments):
    """tools/plots.py as a user runs it, in a folder."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, ROOT / "tools/plots.py", *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
    )  # fmt: skip


def test_tool_writes_and_names_its_files(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({**results(), "rows": results()["rows"][:3]}))
    (tmp_path / "b.json").write_text(json.dumps({**results(), "rows": results()["rows"][:6]}))
    done = run(tmp_path, "a.json", "b.json", "--out", "plots", "--metric", "psnr_y")
    assert done.returncode == 0 and not done.stderr
    names = [f"plots/{kind}_{CITY}{end}" for kind in ("rd_psnr_y", "speed_psnr_y", "bytes")
             for end in (".png", "_dark.png", ".svg")]  # fmt: skip
    assert done.stdout.split() == names
    assert sorted(f"plots/{path.name}" for path in (tmp_path / "plots").iterdir()) == sorted(names)
    ET.parse(tmp_path / names[2])
    both = run(tmp_path, "a.json", "b.json", "--out", "again", "--metric", "psnr_y", "--format", "svg")
    one = run(tmp_path, "b.json", "--out", "one", "--metric", "psnr_y", "--format", "svg")
    assert both.stdout.split() == [name.replace("plots/", "again/") for name in names[2::3]]
    assert len(one.stdout.split()) == 3
    few = run(tmp_path, "b.json", "--out", "few", "--only", "rd_*", "--only", "bytes_*", "--format", "svg")
    assert {path.name.partition("_")[0] for path in (tmp_path / "few").iterdir()} == {"rd", "bytes"}, few.stderr
    named = run(tmp_path, "b.json", "--out", "named", "--only", "rd_*", "--prefix", "mine_", "--format", "svg")
    assert named.stdout and all(path.name.startswith("mine_rd_") for path in (tmp_path / "named").iterdir())
    for path in (tmp_path / "one").iterdir():  # rows that are in both files count once
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("content", "arguments", "code", "message"),
    [
        (None, [], 3, "r.json: No such file"),
        ("{", [], 3, "r.json: not a results file: not JSON"),
        ('{"about": {}, "rows": {}}', [], 3, "r.json: not a results file of nvc bench"),
        ('{"format": 2, "rows": [], "provenance": [], "bd": []}', [], 3, "r.json: results of format 2, not 1"),
        ('{"format": 1, "rows": [{}], "provenance": [], "bd": []}', [], 3, "r.json: row 1 has no valid clip."),
        ('{"format": 1, "rows": [], "provenance": [], "bd": []}', [], 2, "nothing to plot: there are no rows"),
        (json.dumps(results()), ["--metric", "vmaf"], 2, "no row has a number for vmaf"),
        (json.dumps(results()), ["--metric", "ssim"], 2, "Invalid value for '--metric'"),
        (json.dumps(results()), ["--only", "rd"], 2, "no plot is named rd; there are rd_psnr_rgb"),
        (json.dumps(results()), ["--format", "gif"], 2, "'gif' is not png, svg or png,svg"),
        (json.dumps(results()), ["--format", "svg", "--out", "r.json"], 4, "r.json"),
    ],
)
def test_tool_says_in_one_line_what_is_wrong(tmp_path, monkeypatch, capsys, content, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("r.json").write_text(content)
    assert plots.main(["r.json", "--out", "plots", *arguments]) == code
    output = capsys.readouterr()
    assert message in output.err and output.err.startswith("plots: error: ") and output.err.count("\n") == 1
    assert not output.out and not Path("plots").exists()


def test_tool_without_files():
    done = run(ROOT)
    assert done.returncode == 2 and "RESULTS.json" in done.stderr and done.stderr.count("\n") == 1
