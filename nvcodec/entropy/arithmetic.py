"""Arithmetic coding of symbols under 16 bit cumulative tables; the only module that knows torchac.

torchac (https://github.com/fab-jul/torchac, GPL-3.0) is used when it can be had, `entropy.builtin` writes the same bits
when it cannot. The environment variable NVCODEC_CODER chooses: auto (default), torchac, builtin.

A payload has no length and no end mark of its own. It is valid only if it is, byte for byte, what the encoder writes
for the symbols that it decodes to: a cut, an appended byte or a changed padding bit is refused by either coder.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvcodec.entropy import builtin
from nvcodec.errors import MalformedError, UsageError

MAX_SYMBOLS = 1 << 16  # of one call, so that the table of every symbol (which torchac wants) stays a few megabytes
_STALE_SECONDS = 300  # a build lock older than this was left by a process that died
_loading = threading.Lock()


def encode(symbols: NDArray[np.int16], rows: NDArray[np.int32], row_index: NDArray[np.integer[Any]]) -> bytes:
    """Code symbols (N,) in 0..L-1, symbol i under table rows[row_index[i]] of rows (R, L + 1). N <= MAX_SYMBOLS."""
    _check_tables(rows, row_index)
    assert symbols.shape == row_index.shape
    if not len(symbols):
        return b""
    assert 0 <= symbols.min() and symbols.max() < rows.shape[1] - 1
    backend = _backend()
    if backend is None:
        return builtin.encode(symbols.tolist(), rows.tolist(), row_index.tolist())
    return _torchac_encode(backend, _expand(rows, row_index), symbols)


def decode(data: bytes, rows: NDArray[np.int32], row_index: NDArray[np.integer[Any]]) -> NDArray[np.int16]:
    """Symbols (N,), N = len(row_index) <= MAX_SYMBOLS, that `encode` coded under the same tables.

    Raises MalformedError where `data` is not exactly what `encode` writes.
    """
    _check_tables(rows, row_index)
    if not len(row_index):
        symbols, canonical = np.zeros(0, np.int16), not data
    elif (backend := _backend()) is None:
        decoded, canonical = builtin.decode(data, rows.tolist(), row_index.tolist())
        symbols = np.array(decoded, dtype=np.int16)
    else:
        cdf = _expand(rows, row_index)
        symbols = backend.decode_cdf(cdf, data).numpy()
        canonical = _torchac_encode(backend, cdf, symbols) == data
    if not canonical:
        raise MalformedError(f"a block of {len(data)} bytes is not the coding of its {len(symbols)} symbols")
    return symbols


def prepare() -> str:
    """Load the coder now (torchac compiles itself once per machine, about 30 s); its name, torchac or builtin.

    Raises UsageError where NVCODEC_CODER is not a coder, or asks for a torchac that cannot be loaded.
    """
    return "builtin" if _backend() is None else "torchac"


def _check_tables(rows: NDArray[np.int32], row_index: NDArray[np.integer[Any]]) -> None:
    assert rows.ndim == 2 and rows.shape[1] >= 3 and row_index.ndim == 1 and len(row_index) <= MAX_SYMBOLS
    assert (rows[:, 0] == 0).all() and (rows[:, -1] == 1 << 16).all() and (np.diff(rows, axis=1) > 0).all()


def _expand(rows: NDArray[np.int32], row_index: NDArray[np.integer[Any]]) -> Any:
    """One contiguous table a symbol, (N, L + 1) torch int16, modulo 2**16 as torchac wants it (65536 becomes 0)."""
    import torch

    wrapped = rows.astype(np.uint16).view(np.int16)
    return torch.from_numpy(np.ascontiguousarray(wrapped[row_index]))


def _torchac_encode(backend: Any, cdf: Any, symbols: NDArray[np.int16]) -> bytes:
    import torch

    data: bytes = backend.encode_cdf(cdf, torch.from_numpy(np.ascontiguousarray(symbols, dtype=np.int16)))
    return data


def _backend() -> Any:
    """torchac's compiled module, or None for the built-in coder."""
    choice = os.environ.get("NVCODEC_CODER", "auto") or "auto"
    if choice == "builtin":
        return None
    if choice not in ("auto", "torchac"):
        raise UsageError(f"NVCODEC_CODER={choice}: must be auto, torchac or builtin")
    with _loading:
        backend, reason = _load()
    if backend is None and choice == "torchac":
        raise UsageError(f"NVCODEC_CODER=torchac, but it cannot be loaded: {reason}")
    return backend


@lru_cache(maxsize=1)
def _load() -> tuple[Any, str]:
    """(module, '') or (None, why not); says so on stderr, once a process."""
    try:
        return _build(), ""
    except Exception as error:  # no package, compiler or ninja, a read-only cache: nothing of this may stop a decode
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    if os.environ.get("NVCODEC_CODER", "auto") != "torchac":
        print(f"nvcodec: using the slower built-in coder, torchac cannot be loaded ({reason})", file=sys.stderr)
    return None, reason


def _build() -> Any:
    """Compile or find torchac's extension as `import torchac` does, but without its output on stdout."""
    if "torchac.torchac" in sys.modules:
        return sys.modules["torchac.torchac"].torchac_backend
    spec = importlib.util.find_spec("torchac")
    if spec is None or spec.origin is None:
        raise ImportError("torchac is not installed")
    source = Path(spec.origin).parent / "backend" / "torchac_backend.cpp"
    from torch.utils import cpp_extension

    path = os.environ.get("PATH", "")
    os.environ["PATH"] = sysconfig.get_path("scripts") + os.pathsep + path  # where pip puts ninja
    try:
        name = "torchac_backend"
        folder = Path(cpp_extension._get_build_directory(name, False))
        if not (folder / f"{name}.so").exists():
            print("nvcodec: compiling torchac, once on this machine, about half a minute", file=sys.stderr)
        _wait_for_other_build(folder / "lock")
        return cpp_extension.load(name=name, sources=[str(source)], verbose=False)
    finally:
        os.environ["PATH"] = path


def _wait_for_other_build(lock: Path) -> None:
    """Wait while another process builds; torch would wait for ever on the lock of one that was killed."""
    while lock.exists():
        try:
            age = time.time() - lock.stat().st_mtime
            if age > _STALE_SECONDS:
                lock.unlink()
                return
        except FileNotFoundError:
            return
        time.sleep(0.2)
