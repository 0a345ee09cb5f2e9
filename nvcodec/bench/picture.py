"""What a frame lost, to look at: both pictures, a magnified crop of both, and where the error is.

The error is the absolute difference of luma in code values, on a colour map whose lightness grows with it (inferno),
with a scale. Nothing is enhanced: crops are magnified by repeating pixels, and what is over the scale is said to be.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvcodec.bench.extras import need
from nvcodec.errors import UsageError
from nvcodec.media.color import stack_planes, to_rgb
from nvcodec.video import Frame, Range, VideoInfo

Array = NDArray[Any]
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, the last two exclusive

MAP = "inferno"
TOPS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)  # ends that a scale can have, in code values
WITHIN = 99.9  # percent of all samples that the scale covers
PANEL = (640, 1280)  # least and greatest width that a frame is shown at
CROPS_ACROSS = 4  # times that the crop fits across the frame, unless it is given
GROUND, INK, FAINT, MARK = (22, 23, 26), (236, 236, 238), (160, 163, 170), (255, 255, 255)


@dataclass(frozen=True)
class Crop:
    """A part of a frame, in luma samples."""

    x: int
    y: int
    width: int
    height: int

    def of(self, picture: Array) -> Array:
        """That part of (H, W, ...)."""
        return picture[self.y : self.y + self.height, self.x : self.x + self.width]


@dataclass(frozen=True)
class Shot:
    """One side of the picture: a frame, what it is of, and a line about it."""

    frame: Frame
    info: VideoInfo
    name: str
    about: str


@dataclass(frozen=True)
class Picture:
    """The finished image (PIL), and where its parts are: frames, crops, errors, each (reference, test), and the bar."""

    image: Any
    frames: tuple[Box, Box]
    crops: tuple[Box, Box]
    errors: tuple[Box, Box]
    bar: Box
    crop: Crop
    top: int

    def png(self) -> bytes:
        """As a PNG file."""
        return encode_png(self.image)


def rgb8(frame: Frame, info: VideoInfo) -> Array:
    """(H, W, 3), uint8, by the equations of media.color."""
    rgb = to_rgb(stack_planes([frame]), info)[0].permute(1, 2, 0).numpy()  # (H, W, 3)
    return np.floor(rgb * 255 + 0.5).astype(np.uint8)


def luma_error(reference: Frame, test: Frame, info: VideoInfo, test_info: VideoInfo) -> Array:
    """(H, W), float32: absolute difference of luma in code values of the reference's depth.

    Between videos whose code values do not mean the same, and of RGB, it is BT.709 luma of full range.
    """
    planes = not (info.is_rgb or test_info.is_rgb) and _full(info) == _full(test_info)
    a, b = (_luma(frame, its, planes) for frame, its in ((reference, info), (test, test_info)))
    error: Array = np.abs(a - b) * np.float32(info.peak + planes)
    return error


def _luma(frame: Frame, info: VideoInfo, planes: bool) -> Array:
    """(H, W), float32: the luma plane over one more than its peak, or luma of RGB in [0, 1]."""
    if planes:
        return frame.planes[0].astype(np.float32) / np.float32(info.peak + 1)
    r, g, b = to_rgb(stack_planes([frame]), info)[0].numpy()
    return np.asarray(0.2126 * r + 0.7152 * g + 0.0722 * b)


def _full(info: VideoInfo) -> bool:
    return info.color.range is Range.FULL


def scale_top(*errors: Array) -> int:
    """The end of a scale that covers nearly all of these errors, in code values."""
    covered = max(float(np.percentile(error, WITHIN)) for error in errors)
    return next((top for top in TOPS if top >= covered), TOPS[-1])


def color_table() -> Array:
    """(256, 3), uint8: the colours of the map in order."""
    table = need("matplotlib").colormaps[MAP](np.arange(256))
    return np.floor(np.asarray(table)[:, :3] * 255 + 0.5).astype(np.uint8)


def levels(error: Array, top: int) -> Array:
    """Errors to rows of the colour table: 0 .. top to 0 .. 255, more is 255."""
    return np.minimum(np.floor(error * (255 / top) + 0.5), 255).astype(np.uint8)


def worst_crop(error: Array, width: int, height: int) -> Crop:
    """The part of that size with the greatest sum of squared errors; the first of equals, row by row."""
    height, width = min(height, error.shape[0]), min(width, error.shape[1])
    total = np.zeros((error.shape[0] + 1, error.shape[1] + 1))
    np.cumsum(np.cumsum(np.square(error, dtype=np.float64), 0), 1, out=total[1:, 1:])
    sums = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    y, x = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return Crop(int(x), int(y), width, height)


def check_crop(crop: Crop, info: VideoInfo) -> None:
    """UsageError unless it lies in the frame."""
    inside = crop.width > 0 and crop.height > 0 and crop.x >= 0 and crop.y >= 0
    if not (inside and crop.x + crop.width <= info.width and crop.y + crop.height <= info.height):
        raise UsageError(
            f"the crop {crop.x},{crop.y},{crop.width},{crop.height} is not within the frame of "
            f"{info.width}x{info.height}"
        )


def side_by_side(reference: Shot, test: Shot, crop: Crop | None = None) -> Picture:
    """Two columns: reference and test as frames and as crops, below them the error of the frame and of the crop.

    crop: by default a quarter of the frame's width, where the error is largest. UsageError where it is not within.
    """
    info = reference.info
    error = luma_error(reference.frame, test.frame, info, test.info)
    zoom = max(1, -(-PANEL[0] // info.width))
    width, height = info.width * zoom, info.height * zoom
    if width > PANEL[1]:
        width, height = PANEL[1], max(1, round(info.height * PANEL[1] / info.width))
    if crop is None:
        crop = worst_crop(error, max(1, info.width // CROPS_ACROSS), max(1, info.height // CROPS_ACROSS))
    check_crop(crop, info)
    top = scale_top(error)
    table = color_table()
    pictures = (rgb8(reference.frame, info), rgb8(test.frame, test.info), table[levels(error, top)])
    sheet = _Sheet(width, height)
    factor = min(width / crop.width, height / crop.height)
    times = int(factor) if factor >= 1 else factor
    sheet.heads([(reference.name, reference.about), (test.name, test.about)])
    frames = sheet.row([_fit(pictures[0], width, height), _fit(pictures[1], width, height)])
    sheet.mark(frames, crop, width / info.width, height / info.height)
    at = f"x {crop.x} to {crop.x + crop.width - 1}, y {crop.y} to {crop.y + crop.height - 1}"
    scales = f"{_scale(crop.width, int(crop.width * times))} (the frame {_scale(info.width, width)})"
    sheet.notes([f"crop: {at}", scales])
    crops = sheet.row([_magnify(crop.of(part), times) for part in pictures[:2]])
    sheet.notes(
        [f"difference: mean {float(error.mean()):.2f}", f"of the crop: mean {float(crop.of(error).mean()):.2f}"]
    )
    errors = sheet.row([_fit(pictures[2], width, height), _magnify(crop.of(pictures[2]), times)])
    sheet.mark(errors[:1], crop, width / info.width, height / info.height)
    bar = sheet.bar(table, top, info.bit_depth, float(error.max()))
    return Picture(sheet.finish(), frames, crops, errors, bar, crop, top)


def encode_png(image: Any) -> bytes:
    """A PIL image as PNG."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def font(size: int, bold: bool = False) -> Any:
    """DejaVu Sans, which matplotlib ships and which has the letters of most file names."""
    folder = need("matplotlib").get_data_path()
    return need("PIL.ImageFont").truetype(f"{folder}/fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf", size)


def _scale(before: int, after: int) -> str:
    """How many times larger: 8x, or 67 %."""
    return f"at {after // before}x" if after >= before else f"at {100 * after / before:.0f} %"


def _fit(picture: Array, width: int, height: int) -> Any:
    """Enlarged by repeating pixels, reduced by averaging."""
    pil = need("PIL.Image")
    image = pil.fromarray(picture)
    if (width, height) == image.size:
        return image
    return image.resize((width, height), pil.Resampling.NEAREST if width > image.width else pil.Resampling.BOX)


def _magnify(picture: Array, times: float) -> Any:
    """By a whole number, or reduced where the crop is wider than a panel."""
    height, width = picture.shape[:2]
    return _fit(picture, max(1, int(width * times)), max(1, int(height * times)))


class _Sheet:
    """The page that grows downwards: two columns of panels, `width` x `height` each, with text between."""

    def __init__(self, width: int, height: int) -> None:
        self.size = max(16, round(width / 48))  # of type
        self.gap = self.size
        self.width, self.height = width, height
        self.columns = (self.gap, 2 * self.gap + width)
        text = 8 * self.size + 6 * self.gap
        pil = need("PIL.Image")
        self.image = pil.new("RGB", (3 * self.gap + 2 * width, 3 * height + text + 12 * self.gap), GROUND)
        self.draw = need("PIL.ImageDraw").Draw(self.image)
        self.plain, self.bold = font(self.size), font(round(1.15 * self.size), bold=True)
        self.y = self.gap

    def heads(self, texts: list[tuple[str, str]]) -> None:
        """A name and a line below it, above each column."""
        for x, (name, about) in zip(self.columns, texts, strict=True):
            self.draw.text((x, self.y), self._short(name, self.bold), INK, self.bold)
            self.draw.text((x, self.y + round(1.6 * self.size)), self._short(about, self.plain), FAINT, self.plain)
        self.y += round(3.2 * self.size)

    def notes(self, texts: list[str]) -> None:
        """A line above each column."""
        self.y += self.size
        for x, text in zip(self.columns, texts, strict=True):
            self.draw.text((x, self.y), self._short(text, self.plain), FAINT, self.plain)
        self.y += round(1.6 * self.size)

    def row(self, images: list[Any]) -> tuple[Box, Box]:
        """An image in each column, at its left."""
        boxes = []
        for x, image in zip(self.columns, images, strict=True):
            self.image.paste(image, (x, self.y))
            boxes.append((x, self.y, x + image.width, self.y + image.height))
        self.y += max(image.height for image in images)
        return boxes[0], boxes[1]

    def mark(self, boxes: tuple[Box, ...], crop: Crop, across: float, down: float) -> None:
        """The crop's outline around its pixels, white with a dark edge so that it shows on anything."""
        line = max(1, self.size // 10)
        for left, top, _, _ in boxes:
            x, y = left + round(crop.x * across), top + round(crop.y * down)
            right, bottom = left + round((crop.x + crop.width) * across), top + round((crop.y + crop.height) * down)
            for grow, colour in ((2 * line, (0, 0, 0)), (line, MARK)):
                outer = (x - grow, y - grow, right + grow - 1, bottom + grow - 1)
                self.draw.rectangle(outer, outline=colour, width=line)

    def bar(self, table: Array, top: int, bits: int, greatest: float) -> Box:
        """The scale of the error maps."""
        self.y += self.size
        left, right = self.columns[0], self.columns[1] + self.width
        steps = np.arange(right - left) * 255 // max(1, right - left - 1)
        band = np.repeat(table[steps][None], self.size, 0)
        self.image.paste(need("PIL.Image").fromarray(band), (left, self.y))
        box = (left, self.y, right, self.y + self.size)
        self.y += round(1.4 * self.size)
        more = f" and more, greatest {greatest:.0f}" if greatest > top else ""
        for part in range(5):
            text = f"{top * part // 4}" + (more if part == 4 else "")
            anchor = "la" if part == 0 else "ra" if part == 4 else "ma"
            self.draw.text((left + (right - left) * part // 4, self.y), text, INK, self.plain, anchor)
        self.y += round(1.5 * self.size)
        unit = f"absolute luma difference in code values of {bits} bit"
        self.draw.text((left, self.y), unit, FAINT, self.plain)
        self.y += round(1.4 * self.size)
        return box

    def finish(self) -> Any:
        """Cut below the last line."""
        return self.image.crop((0, 0, self.image.width, self.y + self.gap))

    def _short(self, text: str, kind: Any) -> str:
        """With its middle left out where it is too long, and nothing that would start another line."""
        text = "".join(c if c.isprintable() else "?" for c in text)
        if kind.getlength(text) <= self.width:
            return text
        keep = len(text) // 2
        while keep > 1 and kind.getlength(f"{text[:keep]}…{text[-keep:]}") > self.width:
            keep -= 1
        return f"{text[:keep]}…{text[-keep:]}"
