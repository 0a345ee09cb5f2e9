"""Context classes of weights, from what earlier groups changed: exact integer arithmetic on both sides.

A weight that moved in the last groups is likely to move again. Each weight keeps an activity in 0..255, zero at the
start of a chain. After a group, the decoder updates it with the residual that it just decoded; before the next group,
the activity picks the class, hence the table, of the weight's symbol. All that is sent is one (z, d) pair a class.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = (1, 3, 8, 16, 40)  # the least activity of classes 1, 2, ...
N_CLASSES = len(THRESHOLDS) + 1


def update(activity: NDArray[np.uint8], residual: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Activity after a group: min(255, (3 * a + 1) div 4 + 4 * min(|r|, 15)), elementwise, same shape.

    A new array. Activity never falls from 1 to 0, (3 * 1 + 1) div 4 = 1, so that class 0 is: never moved in this chain.
    """
    assert activity.dtype == np.uint8 and activity.shape == residual.shape
    moved = np.minimum(np.abs(residual.astype(np.int64)), 15)
    after: NDArray[np.uint8] = np.minimum(255, (3 * activity.astype(np.int64) + 1) // 4 + 4 * moved).astype(np.uint8)
    return after


def classify(activity: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Class 0..N_CLASSES - 1 of each activity: how many of THRESHOLDS it reaches. Same shape."""
    assert activity.dtype == np.uint8
    lookup = np.searchsorted(np.array(THRESHOLDS), np.arange(256), side="right").astype(np.uint8)
    classes: NDArray[np.uint8] = lookup[activity]
    return classes
