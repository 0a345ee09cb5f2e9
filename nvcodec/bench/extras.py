"""Packages that only measuring needs: imported when they are first used, or a line that says how to get them."""

from __future__ import annotations

import importlib
from types import ModuleType

from nvcodec.errors import UsageError

_PACKAGES = {"PIL": "pillow", "pytorch_msssim": "pytorch-msssim", "imageio_ffmpeg": "imageio-ffmpeg"}


def need(module: str) -> ModuleType:
    """The imported module; UsageError where its package is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        top = module.partition(".")[0]
        package = _PACKAGES.get(top, top)
        raise UsageError(f"this needs {package}, which is not installed: pip install 'nvcodec[bench]'") from error
