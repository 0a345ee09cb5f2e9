"""`nvc decode` and `nvc info`: what is printed where, and every exit code."""

import json
import math
import os

import pytest
from bitstream_samples import parts, raw_chunk
from cli_samples import frames_of, one_error
from nvc_samples import FRAMES, GROUP_FRAMES, SIZE, tiny_nvc

import nvcodec
from nvcodec.bitstream.header import FileHeader

pytest_plugins = ("cli_fixtures",)

# decode ---------------------------------------------------------------------------------------------------------------


def test_decode_writes_what_the_library_gives(tiny):
    code, out, err = tiny("decode", "tiny.nvc", "out.y4m")
    assert code == 0 and err == ""
    assert out.startswith(f"out.y4m: {FRAMES} frames, ") and "Mpx/s" in out
    expected = list(nvcodec.decode("tiny.nvc"))
    assert all(a.same_pixels(b) for a, b in zip(frames_of("out.y4m"), expected, strict=True))


@pytest.mark.parametrize("name", ["a.mkv", "folder/", "a.md5"])
def test_decode_kinds_of_output(tiny, name):
    code, out, _ = tiny("decode", "tiny.nvc", name, "--quiet")
    assert (code, out) == (0, "")
    if name.endswith(".md5"):
        assert open(name).read().splitlines()[-1].startswith(f"total {FRAMES} ")
    else:
        assert len(frames_of(name)) == FRAMES


def test_decode_checksums_on_stdout_keep_the_summary_out(tiny):
    code, out, err = tiny("decode", "tiny.nvc", "md5:-")
    assert code == 0 and len(out.splitlines()) == FRAMES + 1
    assert f"md5:-: {FRAMES} frames" in err


@pytest.mark.parametrize(
    ("asked", "first", "last"), [("0:1", 0, 1), ("3:6", 3, 6), ("5:", 5, FRAMES), (":2", 0, 2), (":", 0, FRAMES)]
)
def test_decode_frames(tiny, asked, first, last):
    code, out, _ = tiny("decode", "tiny.nvc", "md5:-", "--frames", asked, "-q")
    whole = tiny("decode", "tiny.nvc", "md5:-", "-q")[1].splitlines()
    assert code == 0
    assert [line.split()[2:] for line in out.splitlines()[:-1]] == [line.split()[2:] for line in whole[first:last]]


def test_decode_more_frames_than_there_are(tiny):
    code, _, err = tiny("decode", "tiny.nvc", "out.y4m", "--frames", "4:100")
    assert code == 0 and f"the video has {FRAMES} frames" in err
    code, _, err = tiny("decode", "tiny.nvc", "more.y4m", "--frames", "100:")
    assert code == 2 and "frame 100" in one_error(err) and not os.path.exists("more.y4m")


@pytest.mark.parametrize("asked", ["1", "a:b", "2:1", "3:3", "-1:4", "1:2:3", "١:٣"])
def test_decode_bad_frames(tiny, asked):
    code, _, err = tiny("decode", "tiny.nvc", "out.y4m", "--frames", asked)
    assert code == 2 and asked in one_error(err)


def test_decode_needs_force_to_replace(tiny):
    with open("out.y4m", "w") as file:
        file.write("mine")
    code, _, err = tiny("decode", "tiny.nvc", "out.y4m")
    assert code == 4 and "--force" in one_error(err)
    assert open("out.y4m").read() == "mine"
    assert tiny("decode", "tiny.nvc", "out.y4m", "--force")[0] == 0
    assert len(frames_of("out.y4m")) == FRAMES


def test_decode_without_an_output_says_what_to_do(tiny):
    code, _, err = tiny("decode", "tiny.nvc")
    assert code == 2 and "--verify" in one_error(err)


def test_verify(tiny):
    code, out, err = tiny("decode", "tiny.nvc", "--verify")
    groups = len(GROUP_FRAMES)
    assert (code, err) == (0, "")
    assert f"{groups} of {groups} groups bit-exact, 0 close, 0 wrong" in out


def test_verify_close_is_fine_and_wrong_is_not(run):
    for name, options in (("close", {"off": (1, 2)}), ("wrong", {"wrong": (3,)})):
        with open(f"{name}.nvc", "wb") as file:
            file.write(tiny_nvc(**options)[0])
    code, out, _ = run("decode", "close.nvc", "--verify")
    assert code == 0 and "2 of 4 groups bit-exact, 2 close, 0 wrong" in out
    code, out, err = run("decode", "wrong.nvc", "out.y4m", "--verify")
    assert code == 10 and "3 of 4 groups bit-exact, 0 close, 1 wrong" in out and "1 group of 4" in one_error(err)
    assert len(frames_of("out.y4m")) == FRAMES, "what was decoded can be looked at"
    code, _, err = run("decode", "wrong.nvc", "again.y4m")
    assert code == 0 and "wrong pixels" in err
    assert run("decode", "wrong.nvc", "--verify", "--frames", "0:2")[0] == 0, "only what was asked for is checked"


@pytest.mark.parametrize("options", [[], ["--recover"], ["--frames", "1:"], ["--frames", "0:6", "--verify"]])
def test_a_cut_file_keeps_its_whole_groups(tiny, options):
    code, _, err = tiny("decode", "cut.nvc", "out.y4m", *options)
    assert code == 7 and "nvc: error: " in err
    first = 1 if "1:" in options else 0
    expected = list(nvcodec.decode("tiny.nvc"))[first:4]
    assert all(a.same_pixels(b) for a, b in zip(frames_of("out.y4m"), expected, strict=True))


@pytest.mark.parametrize("options", [[], ["--recover"]])
def test_frames_before_the_cut_are_no_error(tiny, options):
    assert tiny("decode", "cut.nvc", "out.y4m", "--frames", "1:4", *options)[0] == 0


def test_a_damaged_file_names_the_fix(tiny):
    code, _, err = tiny("decode", "damaged.nvc", "out.y4m")
    assert code == 8 and "--recover" in one_error(err)
    assert not os.path.exists("out.y4m")


def test_recover(tiny):
    code, _, err = tiny("decode", "damaged.nvc", "out.mkv", "--recover")
    assert code == 8 and "nvc: damage: " in err
    whole = list(nvcodec.decode("tiny.nvc"))
    kept = [whole[n] for n in (0, 1, 4, 5, 6)]
    assert all(a.same_pixels(b) for a, b in zip(frames_of("out.mkv"), kept, strict=True))
    assert tiny("decode", "damaged.nvc", "late.y4m", "--recover", "--frames", "4:7")[0] == 0


@pytest.mark.parametrize("place", [0, 15])
def test_recover_without_a_loss_is_a_success(tiny, data, place):
    """Where only the index is damaged, its header or its payload, every frame is there."""
    content = bytearray(data[0])
    content[content.index(b"INDX") + place] ^= 1
    with open("index.nvc", "wb") as file:
        file.write(content)
    code, _, err = tiny("decode", "index.nvc", "out.y4m", "--recover")
    assert (code, len(frames_of("out.y4m"))) == (0, FRAMES)
    assert "nvc: damage: " in err


def test_recover_tells_that_the_last_group_is_lost(tiny, data):
    content = bytearray(data[0])
    content[data[1][3] + 50] ^= 1
    with open("last.nvc", "wb") as file:
        file.write(content)
    assert tiny("decode", "last.nvc", "out.y4m", "--recover")[0] == 8
    assert len(frames_of("out.y4m")) == FRAMES - 1


def test_recover_tells_that_the_last_groups_miss_their_predecessor(tiny, data):
    """The last group is whole, but what it inherits from is not: no frame comes after the gap to show it."""
    content = bytearray(data[0])
    content[data[1][2] + 50] ^= 1
    with open("base.nvc", "wb") as file:
        file.write(content)
    code, _, err = tiny("decode", "base.nvc", "out.y4m", "--recover")
    assert code == 8 and "group 3 is left out" in err
    assert len(frames_of("out.y4m")) == 4


def test_other_files(tiny):
    for name, content in (
        ("empty", b""),
        ("text", b"hello, this is not a video"),
        ("text mode", b"\x9dNVC\n\x1a\nxxxx"),
    ):
        with open(name, "wb") as file:
            file.write(content)
    for name, code, words in (
        ("none.nvc", 3, "No such file"),
        (".", 3, "directory"),
        ("empty", 7, "empty"),
        ("text", 5, "not an .nvc file"),
        ("text mode", 5, "text-mode"),
    ):
        for command in (["info", name], ["decode", name, "out.y4m"]):
            result, out, err = tiny(*command)
            assert (result, out) == (code, "") and words.lower() in one_error(err).lower(), command
    assert not os.path.exists("out.y4m")


def test_newer_files_and_features_and_limits(tiny, data):
    pieces = parts(data[0])
    newer = FileHeader(minor=13).pack() + data[0][28:]
    feature = FileHeader(incompatible=4).pack() + data[0][28:]
    unknown = b"".join([*pieces[:2], raw_chunk(b"NEXT", b"?"), *pieces[2:]])
    video = pieces[1][14:-4]
    huge = pieces[0] + raw_chunk(b"VIDI", b"\xff\xff\xff\x7f" + video[4:]) + b"".join(pieces[2:])
    malformed = pieces[0] + raw_chunk(b"VIDI", bytes(4) + video[4:]) + b"".join(pieces[2:])
    for content, code in ((newer, 6), (feature, 6), (unknown, 6), (huge, 9), (malformed, 5)):
        with open("other.nvc", "wb") as file:
            file.write(content)
        result, _, err = tiny("decode", "other.nvc", "--verify")
        assert result == code and one_error(err)


def test_outputs_that_cannot_be(tiny):
    for output in ("out.avi", "nowhere/out.y4m", "tiny.nvc"):
        code, _, err = tiny("decode", "tiny.nvc", output, "--force")
        assert code == 4 and output in one_error(err)


def test_unknown_device(tiny):
    code, _, err = tiny("decode", "tiny.nvc", "out.y4m", "--device", "abacus")
    assert code == 2 and "abacus" in one_error(err)


# info -----------------------------------------------------------------------------------------------------------------


def test_info(tiny, data):
    code, out, err = tiny("info", "tiny.nvc")
    assert (code, err) == (0, "")
    for words in (f"{len(data[0]):,} bytes", "23x18", "7 frames", "25/1 fps", "nirvana", "patch 8", "4 in 2 chains"):
        assert words in out
    assert "\x1b" not in out, "metadata cannot steer a terminal"
    table = [line.split() for line in out.splitlines() if line.split()[:1] in (["symbols"], ["framing"], ["total"])]
    assert {row[0] for row in table} == {"symbols", "framing", "total"}


def test_info_json(tiny, data):
    code, out, _ = tiny("info", "tiny.nvc", "--json")
    info = json.loads(out)
    assert code == 0 and info["complete"] and info["damage"] == []
    assert info["bytes"] == len(data[0]) == sum(info["bytes_by_kind"].values())
    assert [group["frames"] for group in info["groups"]] == list(GROUP_FRAMES)
    assert [group["random_access"] for group in info["groups"]] == [True, False, True, False]
    assert info["models"][0]["settings"]["width"] == 6
    assert info["models"][0]["parameters"] == sum(math.prod(tensor["shape"]) for tensor in info["models"][0]["tensors"])
    assert info["video"]["rate"] == "25/1" and info["video"]["sample_aspect"] is None
    assert info["bpp"] == pytest.approx(8 * len(data[0]) / (FRAMES * SIZE[0] * SIZE[1]))


@pytest.mark.parametrize(("name", "code", "frames"), [("cut", 7, 4), ("damaged", 8, 5)])
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_info_shows_what_is_left(tiny, name, code, frames, options):
    result, out, err = tiny("info", f"{name}.nvc", *options)
    assert result == code and one_error(err)
    if options:
        info = json.loads(out)
        assert info["frames"] == frames and info["damage"]
    else:
        assert f"{frames} frames" in out and "\ndamage " in out


def test_info_of_a_file_that_stopped_before_its_first_group(tiny, data):
    with open("begun.nvc", "wb") as file:
        file.write(data[0][: data[1][0]])
    code, out, _ = tiny("info", "begun.nvc")
    assert code == 7 and "0 frames" in out


def test_info_shortens_long_tables():
    from nvcodec.bitstream.survey import GroupSize
    from nvcodec.cli.info import SHOWN, _group_lines

    groups = tuple(GroupSize(n, 0, 0, 0 if n == 0 else 1, n, 1, 20, {}) for n in range(SHOWN + 10))
    short, long = _group_lines(groups, False), _group_lines(groups, True)
    assert len(long) == len(groups) + 2 and len(short) == SHOWN + 3
    assert any("10 more; --all" in line for line in short)


def test_totals_are_of_the_range(tiny):
    """The summary counts frames that were asked for, not those of the groups around them."""
    assert tiny("decode", "tiny.nvc", "out.y4m", "--frames", "1:3")[1].startswith("out.y4m: 2 frames")
