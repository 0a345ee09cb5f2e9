"""Float tensors that are not quantised, as compressed differences of their bit patterns.

All tensors of a group are one sequence of N float32. Each bit pattern, less that of the previous group modulo 2**32,
gives four bytes; they are stored plane by plane (N lowest bytes, N second bytes, ...), because sign and exponent hardly
change between groups, then compressed. Layout: coding id u8, payload to the end of the blob.

    STORED  0   the 4N bytes
    ZSTD    1   one Zstandard frame (RFC 8878) that declares its content size, without a dictionary
    LZMA    2   raw LZMA1 with end mark: lc = 3, lp = 0, pb = 0, dictionary 1 MiB
"""

from __future__ import annotations

import lzma
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from nvcodec.errors import FeatureError, MalformedError

STORED, ZSTD, LZMA = 0, 1, 2

_FILTERS: list[dict[str, Any]] = [
    {"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 20, "lc": 3, "lp": 0, "pb": 0}
]


def pack_floats(current: Sequence[NDArray[np.float32]], previous: Sequence[NDArray[np.float32]] | None) -> bytes:
    """Code finite float32 tensors against those of the previous group (same shapes; None: all zero bits).

    The smallest of the codings, the lower id among equals. Exactly reversible, -0.0 included.
    """
    assert all(np.isfinite(tensor).all() for tensor in current)
    difference = _patterns(current)
    if previous is not None:
        assert [tensor.shape for tensor in previous] == [tensor.shape for tensor in current]
        difference = difference - _patterns(previous)
    planes = difference.astype("<u4").view(np.uint8).reshape(-1, 4).T.tobytes()
    candidates = (
        planes,
        zstandard.ZstdCompressor(level=19).compress(planes),
        lzma.compress(planes, format=lzma.FORMAT_RAW, filters=_FILTERS),
    )
    coding = min(range(len(candidates)), key=lambda id_: len(candidates[id_]))
    return bytes([coding]) + candidates[coding]


def unpack_floats(
    data: bytes, shapes: Sequence[tuple[int, ...]], previous: Sequence[NDArray[np.float32]] | None
) -> list[NDArray[np.float32]]:
    """Tensors of the given shapes, against the same `previous` as in `pack_floats`.

    Never decompresses more bytes than the shapes have. Raises FeatureError for an unknown coding, MalformedError where
    the data does not decompress to exactly that size or a float is not finite.
    """
    sizes = [math.prod(shape) for shape in shapes]
    planes = _decompress(data, 4 * sum(sizes))
    patterns = np.frombuffer(planes, np.uint8).reshape(4, -1).T.copy().view("<u4").reshape(-1).astype(np.uint32)
    if previous is not None:
        assert [tensor.shape for tensor in previous] == [tuple(shape) for shape in shapes]
        patterns = patterns + _patterns(previous)
    flat = patterns.view(np.float32)
    if not np.isfinite(flat).all():
        raise MalformedError("float blob: a decoded value is not finite")
    parts = np.split(flat, np.cumsum(sizes)[:-1]) if sizes else []
    return [part.reshape(shape).copy() for part, shape in zip(parts, shapes, strict=True)]


def _patterns(tensors: Sequence[NDArray[np.float32]]) -> NDArray[np.uint32]:
    """Bit patterns of all values, in tensor order, C order."""
    assert all(tensor.dtype == np.float32 for tensor in tensors)
    flat = [np.ascontiguousarray(tensor).reshape(-1).view(np.uint32) for tensor in tensors]
    return np.concatenate(flat) if flat else np.zeros(0, np.uint32)


def _decompress(data: bytes, size: int) -> bytes:
    """Exactly `size` bytes, or MalformedError."""
    if not data:
        raise MalformedError("float blob: empty")
    coding, payload = data[0], data[1:]
    if coding == STORED:
        planes = payload
    elif coding == ZSTD:
        planes = _unzstd(payload, size)
    elif coding == LZMA:
        planes = _unlzma(payload, size)
    else:
        raise FeatureError(f"float blob: coding {coding} is unknown to this release")
    if len(planes) != size:
        raise MalformedError(f"float blob: holds {len(planes)} bytes, the tensors need {size}")
    return planes


def _unzstd(payload: bytes, size: int) -> bytes:
    try:
        # The declared size decides what is allocated, whatever max_output_size says: check it first.
        frame = zstandard.get_frame_parameters(payload)
        if frame.content_size != size or frame.dict_id:
            raise MalformedError(f"float blob: Zstandard declares {frame.content_size} bytes, the tensors need {size}")
        return zstandard.ZstdDecompressor().decompress(payload, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise MalformedError(f"float blob: {error}") from None


def _unlzma(payload: bytes, size: int) -> bytes:
    if not size:
        return payload  # refused unless empty: a decoder must not be asked for 0 bytes at most
    decoder = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=_FILTERS)
    try:
        planes = decoder.decompress(payload, max_length=size)
        if not decoder.eof and not decoder.needs_input and decoder.decompress(b"", max_length=1):
            raise MalformedError(f"float blob: LZMA data of more than {size} bytes")
    except lzma.LZMAError as error:
        raise MalformedError(f"float blob: {error}") from None
    if not decoder.eof or decoder.unused_data:
        raise MalformedError("float blob: LZMA data does not end with its end mark")
    return planes
