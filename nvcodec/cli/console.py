"""What people read: one line that is rewritten on a terminal, lines, and how numbers are spelled.

Progress, notes and errors go to standard error; results go to standard output, unless the video itself goes there.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any


class Console:
    """Standard error of one command. quiet: nothing but errors and damage."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.live = not quiet and sys.stderr.isatty()
        self._status = False

    def status(self, text: str) -> None:
        """Rewrite the progress line; nothing where standard error is no terminal."""
        if self.live:
            columns = shutil.get_terminal_size().columns
            sys.stderr.write(f"\r\x1b[K{text[: columns - 1]}")
            sys.stderr.flush()
            self._status = True

    def frame_counter(self) -> Callable[[int], None]:
        """What is called with the number of frames done; shows it ten times a second at most."""
        shown = 0.0

        def report(done: int) -> None:
            nonlocal shown
            if self.live and time.monotonic() - shown >= 0.1:
                self.status(f"frame {done:,}")
                shown = time.monotonic()

        return report

    def clear(self) -> None:
        """Remove the progress line."""
        if self._status:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._status = False

    def line(self, text: str) -> None:
        """A line of progress."""
        if not self.quiet:
            self.warn(text)

    def note(self, text: str) -> None:
        """A line on what is not as it might be expected."""
        self.line(f"nvc: note: {text}")

    def warn(self, text: str) -> None:
        """A line that --quiet does not hide."""
        self.clear()
        print(text, file=sys.stderr, flush=True)


def print_json(value: Any, indent: int | None = None) -> None:
    """To standard output; an infinite or undefined number becomes null, as JSON has no such thing."""
    print(to_json(value, indent), flush=True)


def to_json(value: Any, indent: int | None = None) -> str:
    """ASCII text, so that nothing in it is obeyed by a terminal."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def duration(seconds: float) -> str:
    """9.4 s, 2:05, 1:02:05."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def decibels(value: float) -> str:
    """Two places, as papers have them."""
    return f"{value:.2f}"


def count(number: int, noun: str) -> str:
    """1 frame, 2 frames."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shares(sizes: dict[str, int]) -> str:
    """symbols 61.0 %, tables 20.1 %, ... largest first."""
    total = sum(sizes.values()) or 1
    ordered = sorted(sizes.items(), key=lambda item: -item[1])
    return ", ".join(f"{kind} {100 * size / total:.1f} %" for kind, size in ordered if size)
