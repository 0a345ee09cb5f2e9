"""The fewest bits that hold a PSNR: train until it is reached or the budget is spent, then squeeze.

    reach     the usual schedule; then up to REACH_ROUNDS more of half as many iterations, until the target is met
    squeeze   rounds with lambda doubled each time, for as long as the target holds
    refine    bisection of log lambda, between the last round that held it and the first that did not

Each round starts from the cheapest parameters that met the target. The result is the cheapest of all that met it or,
where none did, the best in PSNR.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nvcodec.training.fit import LAMBDA_CEILING, FitResult
from nvcodec.training.settings import FitSettings
from nvcodec.training.trainee import Parameters

REACH_ROUNDS = 4
SQUEEZE_ROUNDS = 6
REFINE_ROUNDS = 2
TYPICAL_COST = 3.0  # of all rounds, in runs of the usual schedule
ROUND_RATE = 0.4  # learning rate of a further round, as a part of the first one's
LEAST_LAMBDA = 1e-6  # to double from, where training started with less


Run = Callable[[Sequence[Parameters], FitSettings], FitResult]
"""Trains the groups that are trained together from these parameters, one for each group."""

Measure = Callable[[FitResult], float]
"""The PSNR that a target is about, dB."""


@dataclass(frozen=True, eq=False)
class _Round:
    result: FitResult
    psnr: float


def fit_to_psnr(
    run: Run,
    measure: Measure,
    start: Sequence[Parameters],
    settings: FitSettings,
    target: float,
) -> FitResult:
    """target: in dB. start: where training of each group begins.

    `seconds` and `iterations` of the result are those of all rounds together.
    """
    rounds: list[_Round] = []

    def attempt(origin: Sequence[Parameters], how: FitSettings) -> _Round:
        result = run(origin, replace(how, seed=settings.seed + len(rounds)))
        rounds.append(_Round(result, measure(result)))
        return rounds[-1]

    further = replace(
        settings, iterations=max(1, settings.iterations // 2), rate=settings.rate * ROUND_RATE, learn_steps=False
    )
    last = attempt(start, settings)
    while last.psnr < target and len(rounds) <= REACH_ROUNDS:
        last = attempt(last.result.parameters, replace(further, lam=last.result.lam / 2))
    if last.psnr >= target:
        held, low, high = last, max(last.result.lam, LEAST_LAMBDA), math.inf
        for _ in range(SQUEEZE_ROUNDS + REFINE_ROUNDS):
            lam = low * 2 if math.isinf(high) else math.sqrt(low * high)
            if lam > LAMBDA_CEILING or (math.isinf(high) and len(rounds) > REACH_ROUNDS + SQUEEZE_ROUNDS):
                break
            tried = attempt(held.result.parameters, replace(further, lam=lam))
            if tried.psnr < target:
                high = lam
            else:
                low = lam
                held = min(held, tried, key=lambda r: r.result.bits)
            if high / low < 1.3:
                break
        best = held
    else:
        best = max(rounds, key=lambda r: r.psnr)
    return replace(
        best.result,
        seconds=sum(r.result.seconds for r in rounds),
        iterations=sum(r.result.iterations for r in rounds),
    )
