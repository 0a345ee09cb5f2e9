"""`nvc info` of files with windows."""

import json
import re

import pytest
from bitstream_samples import MODEL, VIDEO, WINDOWED, group, parts, raw_chunk, spans, tiny_file, window

from nvcodec.bitstream.group_records import WindowRecord
from nvcodec.bitstream.registry import Inheritance
from nvcodec.cli.info import SHOWN

pytest_plugins = ("cli_fixtures",)

WHOLE = tiny_file(groups=WINDOWED)
BYTES = [end - start for kind, start, end in spans(WHOLE) if kind == b"WNDW"]


@pytest.fixture
def windowed(run):
    with open("windows.nvc", "wb") as file:
        file.write(WHOLE)
    return run


def test_windows_are_listed(windowed):
    code, out, _ = windowed("info", "windows.nvc")
    assert code == 0
    lines = out.splitlines()
    place = lines.index("windows    2")
    assert [line.split() for line in lines[place + 1 : place + 4]] == [
        ["groups", "model", "shared", "of", "model", "mask", "bytes"],
        ["1..2", "0", "5", f"{500 / MODEL.parameters:.1f}%", "4", f"{BYTES[0]}"],
        ["4..6", "0", "5", f"{500 / MODEL.parameters:.1f}%", "4", f"{BYTES[1]}"],
    ]
    assert [len(line) for line in lines[place + 1 : place + 4]] == [len(lines[place + 1])] * 3
    for kind in ("window", "mask"):
        assert re.search(rf"^ +{kind} +\d+ ", out, flags=re.M)


def test_groups_say_what_they_follow_from(windowed):
    out = windowed("info", "windows.nvc")[1]
    starts = re.findall(r"^ +\d+ +\d +([a-z, ]+?) +\d+\.\.\d+ ", out, flags=re.M)
    both, window_, anew = "window, previous", "window", "anew"
    assert starts == [anew, window_, both, "previous", window_, both, window_, anew]
    assert "groups     8 in 3 chains, 5 of random access" in out


def test_json(windowed):
    info = json.loads(windowed("info", "windows.nvc", "--json")[1])
    records = [record for record in WINDOWED if isinstance(record, WindowRecord)]
    assert info["windows"] == [
        {
            "first_group": record.first_group, "groups": record.groups, "model": 0, "shared": 5,
            "share_of_parameters": 5 / MODEL.parameters, "bytes": size, "mask_bytes": 4,
        }
        for record, size in zip(records, BYTES, strict=True)
    ]  # fmt: skip
    kinds = ["none", "window", "window_previous", "previous", "window", "window_previous", "window", "none"]
    assert [found["inheritance"] for found in info["groups"]] == kinds
    assert [found["random_access"] for found in info["groups"]] == [k in ("none", "window") for k in kinds]
    assert info["models"][0]["origin"] == "random" and info["version"] == "0.12"
    assert info["bytes"] == len(WHOLE) == sum(info["bytes_by_kind"].values())


def test_origin_is_told(run):
    head, vidi, _, modl, *rest = parts()
    zero = bytearray(modl[14:-4])
    zero[4] = 1
    with open("zero.nvc", "wb") as file:
        file.write(b"".join((head, vidi, raw_chunk(b"MODL", bytes(zero)), *rest)))
    assert "initial integers 0\n" in run("info", "zero.nvc")[1]
    assert json.loads(run("info", "zero.nvc", "--json")[1])["models"][0]["origin"] == "zero"


def test_a_lost_window_is_told(run):
    start, end = next((start, end) for kind, start, end in spans(WHOLE) if kind == b"WNDW")
    with open("lost.nvc", "wb") as file:
        file.write(WHOLE[: start + 20] + b"?" + WHOLE[start + 21 :])
    code, out, _ = run("info", "lost.nvc")
    assert code == 8 and "windows    1" in out and "damage     the window that group 1 shares is lost" in out
    with open("gone.nvc", "wb") as file:
        file.write(WHOLE[:start] + WHOLE[end:])
    assert "damage     the window that group 1 shares is lost" in run("info", "gone.nvc")[1]


def test_a_window_without_its_groups_is_shown(run):
    with open("cut.nvc", "wb") as file:
        file.write(tiny_file(finish=False, groups=WINDOWED[:2]))
    code, out, _ = run("info", "cut.nvc")
    assert code == 7 and "windows    1" in out and "groups     1 in" in out


def test_long_tables_are_shortened(run):
    head, vidi, _, modl, *_ = parts()
    pairs = (
        raw_chunk(b"WNDW", window(n, 1).pack())
        + raw_chunk(b"GRUP", group(n, n, 1, inheritance=Inheritance.WINDOW).pack(VIDEO))
        for n in range(SHOWN + 3)
    )
    with open("many.nvc", "wb") as file:
        file.write(head + vidi + modl + b"".join(pairs))
    short, long = run("info", "many.nvc")[1], run("info", "many.nvc", "--all")[1]
    assert short.count("... 3 more; --all lists them") == 2 and "more;" not in long
    assert len(long.splitlines()) == len(short.splitlines()) + 4
