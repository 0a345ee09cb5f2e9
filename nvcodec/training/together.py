"""Training in several processes: each has a part of the data, all have the same weights. One alone needs none of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, distributed

STOPPED = 2.0  # in place of how far a training is


def begin() -> None:
    """Meet the others, where `torchrun` has begun this process."""
    if distributed.is_available() and distributed.is_torchelastic_launched():
        distributed.init_process_group("gloo")


def end() -> None:
    """Leave them."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def processes() -> int:
    """That train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Of this process among them."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def share(gradients: Sequence[Tensor]) -> None:
    """Make each the mean of those of all processes."""
    if processes() == 1:
        return
    together = torch.cat([g.flatten() for g in gradients])
    distributed.all_reduce(together)
    parts = torch.split(together / processes(), [g.numel() for g in gradients])
    for g, part in zip(gradients, parts, strict=True):
        g.copy_(part.view_as(g))


def furthest(progress: float) -> float:
    """That of the process which is furthest."""
    return _reduced([progress], distributed.ReduceOp.MAX)[0] if processes() > 1 else progress


def mean(values: Sequence[float]) -> float:
    """Of those of all processes together, which may have different numbers of them; 0 of none."""
    total, number = sum(values), float(len(values))
    if processes() > 1:
        total, number = _reduced([total, number], distributed.ReduceOp.SUM)
    return total / max(1.0, number)


def _reduced(values: Sequence[float], way: distributed.ReduceOp.RedOpType) -> list[float]:
    found = torch.tensor(values, dtype=torch.float64)
    distributed.all_reduce(found, way)
    return list(found.tolist())
