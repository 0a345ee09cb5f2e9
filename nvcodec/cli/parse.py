"""Kinds of arguments that commands share."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from nvcodec.bitstream.damage import Damage, Kind
from nvcodec.errors import ChecksumError, FormatError, TruncatedError


class FrameRange(click.ParamType):  # type: ignore[type-arg]
    """A:B, frames A .. B - 1 counted from 0; either may be left out. Gives (start, stop), stop None for the end."""

    name = "A:B"

    def convert(
        self, value: str | tuple[int, int | None], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int | None]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{0,10}):(\d{0,10})", value, re.ASCII)
        if not match:
            self.fail(f"'{value}' is not A:B, A: or :B", param, ctx)
        start, stop = int(match[1] or 0), int(match[2]) if match[2] else None
        if stop is not None and stop <= start:
            self.fail(f"there are no frames {value}", param, ctx)
        return start, stop


WHOLE = (0, None)
"""All frames."""


def loss(damage: Sequence[Damage]) -> FormatError:
    """The error that stands for what was lost: a cut where there is nothing worse, else damage."""
    cut = all(found.kind is Kind.CUT for found in damage)
    error = TruncatedError if cut else ChecksumError
    first = str(damage[0]) if damage else "the file ends before its end record"
    return error(first + (f" (and {len(damage) - 1} more)" if len(damage) > 1 else ""))


def last_left_out(damage: Sequence[Damage]) -> int:
    """The number of the last group that is there but cannot be decoded; -1 where there is none."""
    return max((found.group for found in damage if found.kind is Kind.LEFT_OUT and found.group is not None), default=-1)


def totals_disagree(damage: Sequence[Damage]) -> bool:
    """Whether the end record counts groups that were not found."""
    return any(found.kind is Kind.TOTALS for found in damage)
