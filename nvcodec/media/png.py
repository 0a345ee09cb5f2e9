"""A folder of PNG pictures as a video: 8 or 16 bit, RGB or gray, in natural order of their names.

PNG holds samples only, so timing comes from the caller and is not written. 16-bit samples are the 10-bit ones with
their upper bits repeated below, v << 6 | v >> 4, and are read back by dropping those.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from av.container import InputContainer

from nvcodec.errors import SourceError, TargetError
from nvcodec.media.base import Sink, Source, check_frame, check_size, usual_mode
from nvcodec.media.color import stack_planes, to_rgb
from nvcodec.media.pixels import Layout, fill_plane, layout_of, read_planes
from nvcodec.media.y4m import DEFAULT_RATE, file_digest
from nvcodec.video import MATRIX_IDENTITY, Chroma, ColorInfo, Frame, Plane, Range, VideoInfo

_NAME = "frame_{:06d}.png"
_OURS = re.compile(r"frame_\d{6,}\.png")


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts frame_2 before frame_10: runs of digits compare as numbers."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(p), p) if p[0] in "0123456789" else (1, 0, p) for p in parts]


def _decode(path: Path) -> av.VideoFrame:
    """The picture in a file."""
    try:
        # A file object, because a bare name with a '%' in it would be taken for a pattern.
        with path.open("rb") as file, av.open(file, format="png_pipe") as container:
            assert isinstance(container, InputContainer)
            for picture in container.decode(video=0):
                return picture
    except (av.FFmpegError, OSError, IndexError, ValueError) as exc:
        raise SourceError(f"{path}: not a readable PNG picture ({exc.__class__.__name__})") from exc
    raise SourceError(f"{path}: not a readable PNG picture")


class PngSource(Source):
    """The *.png files of a folder; all of one size and kind."""

    def __init__(self, folder: Path, rate: Fraction | None) -> None:
        super().__init__()
        try:
            names = [p.name for p in folder.iterdir() if p.suffix.lower() == ".png" and not p.name.startswith(".")]
        except OSError as exc:
            raise SourceError(f"{folder}: {exc.strerror}") from exc
        if not names:
            raise SourceError(f"{folder}: the folder has no .png files")
        self._files = [folder / name for name in sorted(names, key=natural_key)]
        self.frame_count = len(self._files)
        picture = _decode(self._files[0])
        check_size(picture.width, picture.height, str(self._files[0]))
        self._layout = layout_of(picture.format)
        if self._layout.lost:
            self.note(self._layout.lost)
        rate = rate or DEFAULT_RATE
        self.info = VideoInfo(
            width=picture.width,
            height=picture.height,
            bit_depth=self._layout.bit_depth,
            chroma=self._layout.chroma,
            color=ColorInfo(matrix=MATRIX_IDENTITY, range=Range.FULL)
            if self._layout.rgb
            else ColorInfo(range=Range.FULL),
            time_base=1 / rate,
            rate=rate,
        )

    def __iter__(self) -> Iterator[Frame]:
        for number, path in enumerate(self._files):
            picture = _decode(path)
            if (picture.width, picture.height) != (self.info.width, self.info.height):
                raise SourceError(
                    f"{path}: {picture.width}x{picture.height}, but the first picture is "
                    f"{self.info.width}x{self.info.height}"
                )
            if not _same_kind(layout_of(picture.format), self._layout):
                raise SourceError(f"{path}: {picture.format.name}, unlike the first picture")
            yield Frame(read_planes(picture, self.info), number)

    def digest(self) -> str | None:
        """SHA-256 over names and digests of the files, in order."""
        total = hashlib.sha256()
        for path in self._files:
            total.update(f"{file_digest(str(path))}  {path.name}\n".encode())
        return total.hexdigest()


def _same_kind(a: Layout, b: Layout) -> bool:
    return (a.rgb, a.chroma, a.bit_depth) == (b.rgb, b.chroma, b.bit_depth)


class PngSink(Sink):
    """A folder of frame_000001.png and so on: RGB (8 bit, or 16 for 10 bit video), or gray for gray video.

    RGB of full range is written as it is; everything else goes through `color.to_rgb` and is rounded. The folder
    appears when the sink is closed; with `force`, frames of an earlier output in it are replaced and nothing else is.
    """

    def __init__(self, folder: Path, info: VideoInfo) -> None:
        super().__init__(info)
        self._folder = folder
        self._count = 0
        self._open = True
        self._exact = info.color.range is not Range.LIMITED and info.is_rgb
        self._exact |= info.color.range is Range.FULL and info.chroma is Chroma.GRAY
        self.notes.append("PNG has no place for time stamps")
        if not self._exact:
            self.notes.append("PNG is full-range RGB: the samples are converted")
        if info.rotation:
            self.notes.append("PNG has no place for rotation")
        gray, deep = info.chroma is Chroma.GRAY, info.bit_depth > 8
        self._format = ("gray16be" if deep else "gray") if gray else ("rgb48be" if deep else "rgb24")
        try:
            self._temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
            self._temporary.chmod(usual_mode(0o777))
        except OSError as exc:
            raise TargetError(f"{folder}: cannot write there: {exc.strerror}") from exc

    def write(self, frame: Frame) -> None:
        check_frame(frame, self.info)
        self._count += 1
        encoder = av.CodecContext.create("png", "w")
        assert isinstance(encoder, av.VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = self.info.width, self.info.height, self._format
        encoder.time_base = Fraction(1, 25)
        picture = av.VideoFrame(self.info.width, self.info.height, self._format)
        samples = self._samples(frame)
        if self.info.bit_depth > 8:
            samples = (samples << 6 | samples >> 4).astype(">u2")
        row = np.ascontiguousarray(samples).reshape(self.info.height, -1).view(np.uint8)
        fill_plane(picture.planes[0], row)
        picture.pts = 0
        path = self._temporary / _NAME.format(self._count)
        try:
            path.write_bytes(b"".join(bytes(p) for p in [*encoder.encode(picture), *encoder.encode(None)]))
        except (OSError, av.FFmpegError) as exc:
            raise TargetError(f"{path.name}: {exc.strerror}") from exc

    def _samples(self, frame: Frame) -> Plane:
        """(H, W, 3) or (H, W) of code values of full range."""
        if self._exact:
            return frame.planes[0] if len(frame.planes) == 1 else np.stack([frame.planes[i] for i in (2, 0, 1)], -1)
        rgb = to_rgb(stack_planes([frame]), self.info)[0].permute(1, 2, 0)  # (H, W, 3)
        if self.info.chroma is Chroma.GRAY:
            rgb = rgb[:, :, 0]
        code: Plane = torch.floor(rgb * self.info.peak + 0.5).numpy().astype(self.info.dtype)
        return code

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        try:
            if self._folder.is_dir():
                for old in self._folder.iterdir():
                    if _OURS.fullmatch(old.name):
                        old.unlink()
                for new in sorted(self._temporary.iterdir()):
                    new.replace(self._folder / new.name)
                self._temporary.rmdir()
            else:
                self._temporary.replace(self._folder)
        except OSError as exc:
            shutil.rmtree(self._temporary, ignore_errors=True)
            raise TargetError(f"{self._folder}: {exc.strerror}") from exc

    def abort(self) -> None:
        if self._open:
            self._open = False
            shutil.rmtree(self._temporary, ignore_errors=True)
