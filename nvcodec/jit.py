"""Loops over integers that numba compiles for the CPU: what is one symbol, or one sample, after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, compiled when it is first called, and kept on disk for later processes where there is a place for it.

    Integers are 64 bits wide, and indices are not checked. Other threads go on while it runs.
    """
    try:
        made: Callable[P, R] = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder to keep it in
        made = numba.njit(nogil=True)(function)
    return made


def _nothing() -> None:
    """What is compiled to have the compiler at hand."""


compiled(_nothing)()  # Loading takes half a second: as part of the import, and not of the first frame.
