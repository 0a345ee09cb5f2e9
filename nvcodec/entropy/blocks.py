"""Long sequences of symbols, in blocks: for each 65536 symbols, the last block shorter, a uvarint length and the
arithmetic coded bytes. No symbols, no blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvcodec.bitstream.fields import Cursor, uvarint
from nvcodec.entropy import arithmetic

BLOCK = arithmetic.MAX_SYMBOLS  # symbols in a block


def encode_blocks(symbols: NDArray[np.int16], rows: NDArray[np.int32], row_index: NDArray[np.integer[Any]]) -> bytes:
    """Symbols (N,), each under its table, as for `arithmetic.encode`."""
    out = bytearray()
    for start in range(0, len(symbols), BLOCK):
        block = arithmetic.encode(symbols[start : start + BLOCK], rows, row_index[start : start + BLOCK])
        out += uvarint(len(block)) + block
    return bytes(out)


def decode_blocks(cursor: Cursor, rows: NDArray[np.int32], row_index: NDArray[np.integer[Any]]) -> NDArray[np.int16]:
    """Symbols (N,), N = len(row_index); MalformedError where the blocks are not those of an encoder."""
    symbols = np.empty(len(row_index), np.int16)
    for start in range(0, len(symbols), BLOCK):
        data = cursor.take(cursor.uvarint("block length"), "block")
        symbols[start : start + BLOCK] = arithmetic.decode(data, rows, row_index[start : start + BLOCK])
    return symbols
