"""Where displacements start: dense inverse search optical flow (Kroeger et al. 2016), by OpenCV, a median per cell."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nvcodec.models.motion import CELL


def search(target: Tensor, reference: Tensor) -> Tensor:
    """Displacements (1, 2, rows, columns) in whole quarter samples that bring `reference` to `target`, both pictures
    (1, 6, h, w) as in models.mc."""
    return torch.from_numpy(search_luma(_luma(target), _luma(reference)))[None].to(target.device)


def search_luma(target: NDArray[np.uint8], reference: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The same (2, rows, columns) from two luma planes, their sizes multiples of CELL."""
    flow = np.zeros((*target.shape, 2), np.float32)
    cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(target, reference, flow)
    rows, columns = flow.shape[0] // CELL, flow.shape[1] // CELL
    cells = flow.reshape(rows, CELL, columns, CELL, 2).transpose(0, 2, 1, 3, 4).reshape(rows, columns, CELL * CELL, 2)
    median = np.median(cells, axis=2)  # (rows, columns, 2)
    return np.ascontiguousarray(np.round(4 * median).astype(np.float32).transpose(2, 0, 1))


def _luma(picture: Tensor) -> NDArray[np.uint8]:
    """(2 h, 2 w) uint8."""
    luma = functional.pixel_shuffle(picture[:, :4], 2)[0, 0]
    found: NDArray[np.uint8] = ((luma / 4).round() + 128).clamp(0, 255).to(torch.uint8).cpu().numpy()
    return found
