"""Which device renders."""

from __future__ import annotations

import torch

from nvcodec.errors import DeviceError, UsageError

DEVICES = ("auto", "cpu", "cuda")


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one. TF32 is turned off: it would cost more than one code value.

    Raises UsageError for an unknown name, DeviceError for a GPU that is not there.
    """
    if name not in DEVICES:
        raise UsageError(f"there is no device '{name}'; there are: {', '.join(DEVICES)}")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceError("no CUDA device is available; use --device cpu")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda")
