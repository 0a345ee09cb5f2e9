"""Planes of code values to RGB in [0, 1] and back: the networks' own space.

The equations are those of ITU-T H.273 section 8.3. Transfer function and primaries do not enter: RGB here is the
non-linear R'G'B' of the source. Chroma goes up by replication and down by the mean over the same samples, so that

    from_rgb(to_rgb(planes)) == planes

for every picture whose RGB lies in [0, 1], whatever its siting; nothing is lost to resampling. Only elementwise
operations are used, so results do not depend on how a device multiplies matrices.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from nvcodec.video import Chroma, Frame, Plane, Range, VideoInfo

Rows = tuple[tuple[float, float, float], ...]

# Kr and Kb of H.273 Table 4. 10 is constant luminance, worked on here as if it were not: the mapping is undone with the
# same numbers, so this affects what the network sees, not what is decoded.
_KR_KB = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
_YCGCO = 8
HD_HEIGHT = 720  # from here on, unspecified colour is taken as BT.709, below as BT.601: what players do


def working_matrix(info: VideoInfo) -> int:
    """The H.273 matrix that is computed with: the one declared where it is known here, else BT.601 or BT.709 by height.

    Codes without a plain linear matrix (2 unspecified, 3, 11 and above) count as unspecified.
    """
    matrix = info.color.matrix
    if matrix == 0 or matrix == _YCGCO or matrix in _KR_KB:
        return matrix
    return 6 if info.height < HD_HEIGHT else 1


def _forward(matrix: int) -> Rows:
    """Rows that turn R, G, B in [0, 1] into Y in [0, 1] and two differences in [-0.5, 0.5]."""
    if matrix == _YCGCO:
        return ((0.25, 0.5, 0.25), (-0.25, 0.5, -0.25), (0.5, 0.0, -0.5))
    kr, kb = _KR_KB[matrix]
    kg = 1.0 - kr - kb
    u, v = 2.0 * (1.0 - kb), 2.0 * (1.0 - kr)
    return ((kr, kg, kb), (-kr / u, -kg / u, (1.0 - kb) / u), ((1.0 - kr) / v, -kg / v, -kb / v))


def _inverse(matrix: int) -> Rows:
    """Rows that turn Y and the two differences into R, G, B: the exact inverse, in closed form."""
    if matrix == _YCGCO:
        return ((1.0, -1.0, 1.0), (1.0, 1.0, 0.0), (1.0, -1.0, -1.0))
    kr, kb = _KR_KB[matrix]
    kg = 1.0 - kr - kb
    u, v = 2.0 * (1.0 - kb), 2.0 * (1.0 - kr)
    return ((1.0, 0.0, v), (1.0, -u * kb / kg, -v * kr / kg), (1.0, u, 0.0))


def _scales(info: VideoInfo) -> tuple[tuple[float, float], tuple[float, float]]:
    """((offset, span) of luma and RGB, (offset, span) of colour differences) in code values (H.273 equations 20-31)."""
    unit = 1 << (info.bit_depth - 8)
    full = info.is_rgb if info.color.range is Range.UNSPECIFIED else info.color.range is Range.FULL
    if full:
        return (0.0, float(info.peak)), (128.0 * unit, float(info.peak))
    return (16.0 * unit, 219.0 * unit), (128.0 * unit, 224.0 * unit)


def _mix(row: tuple[float, float, float], parts: Sequence[Tensor]) -> Tensor:
    """One row times a vector of pictures."""
    return row[0] * parts[0] + row[1] * parts[1] + row[2] * parts[2]


def to_rgb(planes: Sequence[Tensor], info: VideoInfo) -> Tensor:
    """Planes of code values, each (N, h, w) of any integer or float type, to RGB (N, 3, H, W).

    The result is float32, clamped to [0, 1]. Gray gives three equal channels.
    """
    (offset, span), (c_offset, c_span) = _scales(info)
    luma = (planes[0].to(torch.float32) - offset) / span
    if info.chroma is Chroma.GRAY:
        return luma.clamp(0.0, 1.0).unsqueeze(1).repeat(1, 3, 1, 1)
    if info.is_rgb:
        g, b, r = luma, *((p.to(torch.float32) - offset) / span for p in planes[1:])
        return torch.stack((r, g, b), 1).clamp_(0.0, 1.0)
    x, y = info.chroma.subsampling
    parts = [luma]
    for plane in planes[1:]:
        wide = (plane.to(torch.float32) - c_offset) / c_span
        if x:
            wide = wide.repeat_interleave(2, 2)[:, :, : info.width]
        if y:
            wide = wide.repeat_interleave(2, 1)[:, : info.height]
        parts.append(wide)
    return torch.stack([_mix(row, parts) for row in _inverse(working_matrix(info))], 1).clamp_(0.0, 1.0)


def from_rgb(rgb: Tensor, info: VideoInfo) -> list[Tensor]:
    """RGB (N, 3, H, W) to planes of code values, each (N, h, w): uint8 for 8 bit, int16 for 10 bit.

    RGB is first clamped to [0, 1] (NaN counts as 0), code values are rounded half up and clamped to 0..peak.
    """
    r, g, b = torch.nan_to_num(rgb.to(torch.float32), nan=0.0).clamp_(0.0, 1.0).unbind(1)
    (offset, span), (c_offset, c_span) = _scales(info)
    if info.is_rgb:
        return [_code(part, offset, span, info) for part in (g, b, r)]
    rows = _forward(working_matrix(info))
    luma = _code(_mix(rows[0], (r, g, b)), offset, span, info)
    if info.chroma is Chroma.GRAY:
        return [luma]
    small = [_shrink(part, info) for part in (r, g, b)]
    return [luma, *(_code(_mix(row, small), c_offset, c_span, info) for row in rows[1:])]


def rgb_differences(info: VideoInfo) -> Rows:
    """Rows that turn small differences of the three planes, in code values, into those of R, G and B in [0, 1].

    Of gray only the first column is of use.
    """
    (_, span), (_, c_span) = _scales(info)
    if info.chroma is Chroma.GRAY:
        return ((1 / span, 0.0, 0.0),) * 3
    if info.is_rgb:
        return ((0.0, 0.0, 1 / span), (1 / span, 0.0, 0.0), (0.0, 1 / span, 0.0))
    return tuple((y / span, u / c_span, v / c_span) for y, u, v in _inverse(working_matrix(info)))


def _code(value: Tensor, offset: float, span: float, info: VideoInfo) -> Tensor:
    """Real values to code values."""
    code = torch.floor(value * span + (offset + 0.5)).clamp_(0.0, float(info.peak))
    return code.to(torch.uint8 if info.bit_depth == 8 else torch.int16)


def _shrink(x: Tensor, info: VideoInfo) -> Tensor:
    """(N, H, W) to chroma size: the mean over each chroma sample's cell; a cell at an odd edge has only what exists."""
    across, down = info.chroma.subsampling
    # Doubling the last column of an odd width leaves the mean of its cell as it is.
    odd = (0, across & info.width, 0, down & info.height)
    if any(odd):
        x = functional.pad(x.unsqueeze(1), odd, mode="replicate").squeeze(1)
    if across:
        x = 0.5 * (x[:, :, 0::2] + x[:, :, 1::2])
    if down:
        x = 0.5 * (x[:, 0::2] + x[:, 1::2])
    return x


def stack_planes(frames: Sequence[Frame], device: torch.device | str = "cpu") -> list[Tensor]:
    """Frames to what `to_rgb` takes: one (N, h, w) tensor per plane, uint8 or int16."""
    stacked = []
    for parts in zip(*(frame.planes for frame in frames), strict=True):
        batch = torch.stack([torch.tensor(p if p.itemsize == 1 else p.astype("int16")) for p in parts])
        stacked.append(batch.to(device))
    return stacked


def split_planes(planes: Sequence[Tensor], info: VideoInfo) -> list[tuple[Plane, ...]]:
    """What `from_rgb` gives to the planes of N Frames, on the CPU."""
    arrays = [p.cpu().numpy().astype(info.dtype, copy=False) for p in planes]
    return [tuple(a[n] for a in arrays) for n in range(arrays[0].shape[0])]
