"""Priors: initial integers that come with a release, each named by the digest of its bytes.

A prior is the values of all LATENT tensors of a model in wire order, C order, as little-endian 16 bit integers, in a
file called by its name in hexadecimal and `.bin`. It never changes: better ones are other priors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nvcodec.errors import FeatureError, MalformedError
from nvcodec.models.base import LATENT, TensorSpec

PATHS: list[Path] = [Path(__file__).parent / "priors"]
"""The folders that are searched, in order. Tests add theirs."""


def digest(data: bytes) -> bytes:
    """The name of a prior of these bytes: BLAKE2b of 8 bytes."""
    return hashlib.blake2b(data, digest_size=8).digest()


def load(name: bytes, tensors: Sequence[TensorSpec]) -> list[NDArray[np.int32]]:
    """The integers of the LATENT tensors, in wire order.

    FeatureError where no folder has that prior, whole; MalformedError where it is not one of these tensors.
    """
    data = _find(name)
    latents = [t for t in tensors if t.kind == LATENT]
    due = 2 * sum(t.size for t in latents)
    if len(data) != due:
        raise MalformedError(f"prior {name.hex()} is of {len(data)} bytes where the model needs {due}")
    values = np.frombuffer(data, "<i2").astype(np.int32)
    ends = np.cumsum([t.size for t in latents])
    return [part.reshape(t.shape) for part, t in zip(np.split(values, ends[:-1]), latents, strict=True)]


def pack(latents: Sequence[NDArray[np.int32]]) -> bytes:
    """The bytes of a prior of these integers, each in 16 bits."""
    assert all(not q.size or (q.min() >= -(1 << 15) and q.max() < 1 << 15) for q in latents)
    return b"".join(q.astype("<i2").tobytes() for q in latents)


def _find(name: bytes) -> bytes:
    for folder in PATHS:
        path = folder / f"{name.hex()}.bin"
        if path.is_file():
            data = path.read_bytes()
            if digest(data) == name:
                return data
    raise FeatureError(f"the file needs prior {name.hex()}, which this release does not have")
