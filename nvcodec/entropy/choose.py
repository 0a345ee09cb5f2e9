"""The encoder's choice of codings: exact costs from histograms, no trial encoding.

Any choice decodes; this module is free to change without touching the format.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nvcodec.entropy import tables
from nvcodec.entropy.codings import (
    COLUMNS,
    CONTEXT,
    MAX_ESCAPE_ORDER,
    MAX_RICE_ORDER,
    ROWS,
    SINGLE,
    ZERO,
    Classes,
    Plan,
    TensorPlan,
    classes_present,
    zigzag,
)
from nvcodec.entropy.tables import FloatArray, IntArray

_WIDEST = tables.K_CHOICES[-1]
_ID_BITS, _PAIR_BITS, _SCALE_HEAD_BITS = 3, 12, 12
_SHORTEST_LINE = 4  # elements that a scale of their own may pay for; shorter lines are not tried
_STEPS = np.array([[zigzag(after - before) for after in range(tables.SCALES)] for before in range(tables.SCALES)])


def choose(values: Sequence[NDArray[np.int32]], contexts: Sequence[Classes | None]) -> tuple[Plan, list[float]]:
    """The plan with the fewest bits, and the bits of each tensor under it: parameters, symbols and escapes."""
    magnitudes = [np.abs(tensor) for tensor in values]
    wide = [tables.histogram(tensor, _WIDEST) for tensor in magnitudes]
    beyond_one = np.concatenate([np.zeros(0, np.int32), *(m[m > 1] for m in magnitudes)])
    large, counts = np.unique(beyond_one, return_counts=True)
    options = []
    for k_code, k_max in enumerate(tables.K_CHOICES):
        order, escape_bits = _best_order(large[large > k_max].astype(np.int64) - k_max - 1, counts[large > k_max])
        narrow = [_fold(h, k_max) for h in wide if h[0] < h.sum()]
        options.append((escape_bits + sum(float(tables.cost(h, *tables.fit(h))) for h in narrow), k_code, order))
    _, k_code, order = min(options)
    k_max = tables.K_CHOICES[k_code]
    plans, totals = [], []
    for tensor, magnitude, classes in zip(values, magnitudes, contexts, strict=True):
        plan, cost = _choose_tensor(magnitude, classes, k_max)
        escaped = magnitude[magnitude > k_max].astype(np.int64) - k_max - 1
        plans.append(plan)
        totals.append(cost + float(_exp_golomb_bits(escaped, order).sum()))
        assert plan.coding != ZERO or not tensor.any()
    return Plan(k_code, order, tuple(plans)), totals


def _choose_tensor(magnitude: NDArray[np.int32], classes: Classes | None, k_max: int) -> tuple[TensorPlan, float]:
    """The cheapest plan of one tensor and its bits, escapes' remainders excluded."""
    if not magnitude.any():
        return TensorPlan(ZERO), _ID_BITS
    flat = magnitude.reshape(magnitude.shape[0], -1) if magnitude.ndim else magnitude.reshape(1, 1)
    whole = tables.histogram(flat, k_max)
    pair = tables.fit(whole)
    best = TensorPlan(SINGLE, pairs=(pair,)), _ID_BITS + _PAIR_BITS + float(tables.cost(whole, *pair))
    if classes is not None:
        parts = [tables.histogram(magnitude[classes == c], k_max) for c in classes_present(classes)]
        pairs = tuple(tables.fit(part) for part in parts)
        cost = sum(float(tables.cost(part, *pair)) for part, pair in zip(parts, pairs, strict=True))
        best = _cheaper(best, (TensorPlan(CONTEXT, pairs=pairs), _ID_BITS + _PAIR_BITS * len(pairs) + cost))
    if magnitude.ndim:
        best = _cheaper(best, _choose_scales(ROWS, _line_histograms(flat, k_max), best[1]))
        best = _cheaper(best, _choose_scales(COLUMNS, _line_histograms(flat.T, k_max), best[1]))
    return best


def _cheaper(a: tuple[TensorPlan, float], b: tuple[TensorPlan, float] | None) -> tuple[TensorPlan, float]:
    return a if b is None or a[1] <= b[1] else b


def _line_histograms(flat: NDArray[np.int32], k_max: int) -> IntArray:
    """Histogram of each row of magnitudes (R, C): (R, K + 2)."""
    width = k_max + 2
    cells = np.minimum(flat, k_max + 1) + np.arange(flat.shape[0])[:, None] * width
    return np.bincount(cells.reshape(-1), minlength=flat.shape[0] * width).astype(np.int64).reshape(-1, width)


def _fold(wide: IntArray, k_max: int) -> IntArray:
    """A histogram for K = 63 as one for a smaller K: what lies beyond becomes escapes."""
    return np.append(wide[: k_max + 1], wide[k_max + 1 :].sum())


def _choose_scales(coding: int, lines: IntArray, bound: float) -> tuple[TensorPlan, float] | None:
    """ROWS or COLUMNS for histograms (R, K + 2), or None where it cannot cost less than `bound`."""
    least = _ID_BITS + _SCALE_HEAD_BITS + len(lines) - 1
    if least >= bound or lines[0].sum() < _SHORTEST_LINE:
        return None
    scales = np.arange(tables.SCALES)
    k_max = lines.shape[1] - 2
    tails = (
        lines @ tables.bits(*tables.scale_pair(scales, tail), k_max).T  # (R, SCALES)
        for tail in range(tables.TAILS)
    )
    tail, costs = min(enumerate(tails), key=lambda entry: float(entry[1].min(axis=1).sum()))
    if least + float(costs.min(axis=1).sum()) >= bound:
        return None
    _, rice = _best_rice(costs.argmin(axis=1))
    path = _cheapest_path(costs, rice)
    step_bits, rice = _best_rice(path)
    total = _ID_BITS + _SCALE_HEAD_BITS + step_bits + float(costs[np.arange(len(path)), path].sum())
    return TensorPlan(coding, scales=tuple(path.tolist()), tail=tail, rice=rice), total


def _best_rice(path: IntArray) -> tuple[int, int]:
    """(bits, order) of the cheapest Golomb-Rice order for the steps between scales."""
    steps = _STEPS[path[:-1], path[1:]]
    return min((int(((steps >> order) + 1 + order).sum()), order) for order in range(MAX_RICE_ORDER + 1))


def _cheapest_path(costs: FloatArray, rice: int) -> IntArray:
    """Viterbi: scale indices (R,) that minimise the costs (R, SCALES) plus the bits of the steps between them."""
    step_bits = (_STEPS >> rice) + 1.0 + rice  # (before, after)
    came_from = np.zeros(costs.shape, dtype=np.int64)
    total = costs[0]
    after = np.arange(tables.SCALES)
    for row in range(1, len(costs)):
        through = total[:, None] + step_bits
        came_from[row] = through.argmin(axis=0)
        total = through[came_from[row], after] + costs[row]
    path = np.empty(len(costs), dtype=np.int64)
    path[-1] = total.argmin()
    for row in range(len(costs) - 1, 0, -1):
        path[row - 1] = came_from[row, path[row]]
    return path


def _exp_golomb_bits(values: IntArray, order: int) -> IntArray:
    """Length of the Exp-Golomb code of each value."""
    bit_lengths = np.frexp((values + (1 << order)).astype(np.float64))[1].astype(np.int64)  # exact below 2**53
    return 2 * bit_lengths - 1 - order


def _best_order(values: IntArray, counts: IntArray) -> tuple[int, float]:
    """(order, bits) of the cheapest Exp-Golomb order for values that occur `counts` times."""
    if not len(values):
        return 0, 0.0
    bits, order = min((int((_exp_golomb_bits(values, k) * counts).sum()), k) for k in range(MAX_ESCAPE_ORDER + 1))
    return order, float(bits)
