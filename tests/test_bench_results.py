"""The results file."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcodec.bench.results import Results, load, machine, to_text
from nvcodec.errors import SourceError, TargetError
from nvcodec.metrics import DEFINITIONS

FIRST = {"command": "nvc bench a.mp4", "versions": {"av": "1"}, "machine": {}}
SECOND = {**FIRST, "command": "nvc bench b.mp4"}


def row(label, rate, quality):
    return {
        "key": f"{label} {rate}",
        "clip": {"name": "a.mp4", "digest": "00", "reference": {"sha256": "11", "width": 2, "height": 2, "frames": 1}},
        "codec": {"name": label, "preset": "", "options": {}, "label": label},
        "intra_period": None,
        "rate": {"kind": "bpp", "value": rate},
        "bpp": rate,
        "psnr_rgb": quality,
    }


def test_rows_survive_and_name_their_provenance(tmp_path):
    path = tmp_path / "r.json"
    results = Results(path, FIRST, None)
    results.add(row("x265", 0.1, 30.0))
    again = Results(path, SECOND, None)
    again.add(row("x264", 0.1, 29.0))
    found = load(path)
    assert [(r["codec"]["label"], r["provenance"]) for r in found["rows"]] == [("x265", 0), ("x264", 1)]
    assert found["provenance"] == [FIRST, SECOND]
    assert found["definitions"] == DEFINITIONS
    assert Results(path, FIRST, None).find("x264 0.1")["psnr_rgb"] == 29.0
    assert again.find("x264 0.2") is None


def test_ours_name_their_model(tmp_path):
    """Also rows from when another model was the default: labels, keys, BD-rates and commands say what was measured."""
    path = tmp_path / "r.json"
    first = {**FIRST, "command": "nvc bench a.mp4 -c nvcodec:fast -c nvcodec:fast,width=8 -c x264 -o r.json"}
    results = Results(path, first, None)
    for options, label in (({}, "nvcodec fast"), ({"width": "8"}, "nvcodec fast width=8")):
        ours = {**row(label, 0.1, 30.0), "key": f"a.mp4 | {label} | bpp 0.1", "model": "nirvana"}
        results.add({**ours, "codec": {"name": "nvcodec", "preset": "fast", "options": options, "label": label}})
    results.add(row("x264", 0.1, 29.0))
    found = load(path)
    assert [(r["codec"]["label"], r["key"]) for r in found["rows"]] == [
        ("nvcodec fast model=nirvana", "a.mp4 | nvcodec fast model=nirvana | bpp 0.1"),
        ("nvcodec fast model=nirvana width=8", "a.mp4 | nvcodec fast model=nirvana width=8 | bpp 0.1"),
        ("x264", "x264 0.1"),
    ]
    assert found["rows"][1]["codec"]["options"] == {"model": "nirvana", "width": "8"}
    assert {rates["test"] for rates in found["bd"]} == {r["codec"]["label"] for r in found["rows"][:2]}
    words = "nvc bench a.mp4 -c nvcodec:fast,model=nirvana -c nvcodec:fast,model=nirvana,width=8 -c x264 -o r.json"
    assert found["provenance"] == [{**first, "command": words}]
    again = Results(path, SECOND, None)
    now = {**row("nvcodec fast model=mc", 0.1, 34.0), "key": "a.mp4 | nvcodec fast model=mc | bpp 0.1", "model": "mc"}
    codec = {"name": "nvcodec", "preset": "fast", "options": {"model": "mc"}, "label": "nvcodec fast model=mc"}
    again.add({**now, "codec": codec})
    found = load(path)
    assert [r["codec"]["options"].get("model") for r in found["rows"]] == ["nirvana", "nirvana", None, "mc"]
    assert found["provenance"][1] == SECOND


def test_a_command_that_measured_nothing_leaves_no_provenance(tmp_path):
    path = tmp_path / "r.json"
    Results(path, FIRST, None).add(row("x264", 0.1, 29.0))
    Results(path, SECOND, None).save()
    assert load(path)["provenance"] == [FIRST]


@pytest.mark.parametrize("asked, anchor", [(None, "x264 medium"), ("x265", "x265")])
def test_the_anchor(tmp_path, asked, anchor):
    results = Results(tmp_path / "r.json", FIRST, asked)
    for n in range(4):
        for label, factor in (("x265", 0.5), ("x264 medium", 1.0)):
            results.add(row(label, factor * 2.0**n, 30.0 + n))
    (found,) = [bd for bd in results.bd if bd["metric"] == "psnr_rgb"]
    assert found["anchor"] == anchor
    assert found["rate_percent"] == pytest.approx(-50.0 if asked is None else 100.0)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "not JSON"),
        ("[]", "not a results file"),
        ('{"rows": []}', "not a results file"),
        ('{"format": 2, "rows": [], "provenance": [], "bd": []}', "format 2"),
    ],
)
def test_other_files_are_left_alone(tmp_path, text, message):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(SourceError, match=message):
        Results(path, FIRST, None)
    assert path.read_text() == text


def test_no_folder(tmp_path):
    with pytest.raises(TargetError, match="does not exist"):
        Results(tmp_path / "no" / "r.json", FIRST, None)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_the_text_is_json(value):
    assert json.loads(to_text({"value": value}))["value"] == value


def test_what_json_has_no_word_for():
    assert json.loads(to_text({"a": [math.inf, math.nan, 1.5]})) == {"a": [None, None, 1.5]}


def test_the_machine_is_named():
    found = machine()
    assert found["cpu"] and found["cores"] >= 1 and found["python"].startswith("3.")
