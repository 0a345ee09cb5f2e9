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
    LIKE,
    MAX_ESCAPE_ORDER,
    ROWS,
    SINGLE,
    ZERO,
    Plan,
    TensorPlan,
    classes_present,
    lines,
)
from nvcodec.entropy.elements import Elements
from nvcodec.entropy.indices import HEAD_BITS, cheapest_list
from nvcodec.entropy.tables import IntArray

_WIDEST = tables.K_CHOICES[-1]
_ID_BITS, _PAIR_BITS, _TAIL_BITS = 3, 12, 4
_SHORTEST_LINE = 4  # elements on average that a scale of their own may pay for; shorter lines are not tried


def choose(values: Sequence[NDArray[np.int32]], tensors: Sequence[Elements]) -> tuple[Plan, list[float]]:
    """The plan with the fewest bits for the coded elements' values, (count,) each; and the bits of each tensor under
    it: parameters, symbols and escapes."""
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
    found = [_choose_tensor(m, elements, k_max) for m, elements in zip(magnitudes, tensors, strict=True)]
    plans, totals = _alike(found, [_fold(h, k_max) for h in wide])
    for number, magnitude in enumerate(magnitudes):
        escaped = magnitude[magnitude > k_max].astype(np.int64) - k_max - 1
        totals[number] += float(_exp_golomb_bits(escaped, order).sum())
    return Plan(k_code, order, tuple(plans)), totals


def _alike(
    found: Sequence[tuple[TensorPlan, float]], histograms: Sequence[IntArray]
) -> tuple[list[TensorPlan], list[float]]:
    """Tensors of a few values each share a pair where that is cheaper. found: each tensor's plan and bits on its own.

    Of the tensors that are not ZERO each may join the run of those before it under the pair that suits all of them.
    """
    plans, totals = [plan for plan, _ in found], [cost for _, cost in found]
    run: list[int] = []  # the numbers of a SINGLE tensor and those LIKE it
    for number, (plan, cost) in enumerate(found):
        if plan.coding == ZERO:
            first = number == 0 or plans[number - 1].coding != ZERO
            length = next((n for n, p in enumerate(plans[number:]) if p.coding != ZERO), len(plans) - number)
            totals[number] = float(_ID_BITS + _exp_golomb_bits(np.array([length - 1]), 0)[0]) if first else 0.0
            continue
        if run:
            joined = [*run, number]
            pair = tables.fit(sum(histograms[n] for n in joined))
            bits = [float(tables.cost(histograms[n], *pair)) + _ID_BITS for n in joined]
            bits[0] += _PAIR_BITS
            if sum(bits) <= sum(totals[n] for n in run) + cost:
                run = joined
                for n, b in zip(run, bits, strict=True):
                    plans[n], totals[n] = TensorPlan(LIKE, pairs=(pair,)), b
                plans[run[0]] = TensorPlan(SINGLE, pairs=(pair,))
                continue
        if plan.coding == SINGLE:
            run = [number]
    return plans, totals


def _choose_tensor(magnitude: NDArray[np.int32], elements: Elements, k_max: int) -> tuple[TensorPlan, float]:
    """The cheapest plan of one tensor and its bits, escapes' remainders excluded."""
    if not magnitude.any():
        return TensorPlan(ZERO), _ID_BITS
    whole = tables.histogram(magnitude, k_max)
    pair = tables.fit(whole)
    best = TensorPlan(SINGLE, pairs=(pair,)), _ID_BITS + _PAIR_BITS + float(tables.cost(whole, *pair))
    classes = elements.classes
    if classes is not None:
        parts = [tables.histogram(magnitude[classes == c], k_max) for c in classes_present(classes)]
        pairs = tuple(tables.fit(part) for part in parts)
        cost = sum(float(tables.cost(part, *pair)) for part, pair in zip(parts, pairs, strict=True))
        best = _cheaper(best, (TensorPlan(CONTEXT, pairs=pairs), _ID_BITS + _PAIR_BITS * len(pairs) + cost))
    for coding in (ROWS, COLUMNS):
        histograms = _line_histograms(magnitude, *lines(coding, elements), k_max)
        best = _cheaper(best, _choose_scales(coding, histograms, best[1]))
    return best


def _cheaper(a: tuple[TensorPlan, float], b: tuple[TensorPlan, float] | None) -> tuple[TensorPlan, float]:
    return a if b is None or a[1] <= b[1] else b


def _line_histograms(magnitude: NDArray[np.int32], line: NDArray[np.int64], count: int, k_max: int) -> IntArray:
    """Histogram of the magnitudes (N,) of each of `count` lines: (count, K + 2)."""
    width = k_max + 2
    cells = line * width + np.minimum(magnitude, k_max + 1)
    return np.bincount(cells, minlength=count * width).astype(np.int64).reshape(count, width)


def _fold(wide: IntArray, k_max: int) -> IntArray:
    """A histogram for K = 63 as one for a smaller K: what lies beyond becomes escapes."""
    return np.append(wide[: k_max + 1], wide[k_max + 1 :].sum())


def _choose_scales(coding: int, histograms: IntArray, bound: float) -> tuple[TensorPlan, float] | None:
    """ROWS or COLUMNS for histograms (R, K + 2), or None where it cannot cost less than `bound`."""
    least = _ID_BITS + _TAIL_BITS + HEAD_BITS + len(histograms) - 1
    if least >= bound or histograms.sum() < _SHORTEST_LINE * len(histograms):
        return None
    scales = np.arange(tables.SCALES)
    k_max = histograms.shape[1] - 2
    tails = (
        histograms @ tables.bits(*tables.scale_pair(scales, tail), k_max).T  # (R, SCALES)
        for tail in range(tables.TAILS)
    )
    tail, costs = min(enumerate(tails), key=lambda entry: float(entry[1].min(axis=1).sum()))
    if least + float(costs.min(axis=1).sum()) >= bound:
        return None
    path, rice, list_bits = cheapest_list(costs)
    total = _ID_BITS + _TAIL_BITS + list_bits + float(costs[np.arange(len(path)), path].sum())
    return TensorPlan(coding, scales=tuple(path.tolist()), tail=tail, rice=rice), total


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
