"""Codecs behind one interface: `parse("x264:medium,tune=psnr")` gives one; `NAMES` says which there are."""

from __future__ import annotations

import re
from collections.abc import Callable

from nvcodec.bench.codecs.base import Codec, Spec
from nvcodec.errors import UsageError

NAMES = {
    "nvcodec": "medium",
    "x264": "medium",
    "x265": "medium",
    "svtav1": "6",
    "vp9": "2",
    "vvenc": "medium",
    "aom": "4",
}
"""Every codec with its preset where none is named."""


def parse(text: str) -> Codec:
    """NAME[:PRESET][,OPTION=VALUE...]: presets and options are the encoder's own. UsageError where there is no such."""
    head, *pairs = text.split(",")
    name, _, preset = head.partition(":")
    if name not in NAMES:
        raise UsageError(f"no codec '{name}'; there are {', '.join(NAMES)}")
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9_:-]+", key) or not value or key in options:
            raise UsageError(f"{text}: '{pair}' is not OPTION=VALUE")
        options[key] = value
    return _factory(name)(Spec(name, preset or NAMES[name], options))


def _factory(name: str) -> Callable[[Spec], Codec]:
    if name == "nvcodec":
        from nvcodec.bench.codecs.own import OwnCodec

        return OwnCodec
    if name in ("vvenc", "aom"):
        from nvcodec.bench.codecs.binary import BinaryCodec

        return BinaryCodec
    from nvcodec.bench.codecs.libav import LibavCodec

    return LibavCodec
