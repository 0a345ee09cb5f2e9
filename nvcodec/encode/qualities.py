"""The quality of a group of coded frames: from one number to that of the frames of each depth.

A group has one quality, FINEST..QUALITIES - 1, and so do the frames of its depth 0. Below 0, where there is no finer
index for these, the others come nearer to them.
"""

from __future__ import annotations

from nvcodec.bitstream.frames import QUALITIES

DEEPER = (0, 6, 11, 16)  # quality of depths 1, 2, ... over that of depth 1
LEAD = (8, 15)  # of depth 0 over depth 1, in indices, where quality is fine and where it is coarse
LEAD_FROM, LEAD_TO = 12, 44  # qualities between which it grows
FINEST = -(LEAD[0] + DEEPER[-1])  # all frames have index 0


def indices_of(quality: int, halves: bool = False) -> tuple[int, tuple[int, ...]]:
    """(quality index of depth 0, offsets of all depths): what others refer to is worth more, most so at low rates.

    halves: of a group of two, in which no frame has depth 2, and deeper ones count as a depth less.
    """
    assert FINEST <= quality < QUALITIES
    part = min(max((quality - LEAD_FROM) / (LEAD_TO - LEAD_FROM), 0.0), 1.0)
    lead = round(LEAD[0] + part * (LEAD[1] - LEAD[0]))
    index = max(quality, 0)
    offsets = [0, *(max(quality + lead + deeper, 0) - index for deeper in DEEPER)]
    return index, tuple(offsets[:2] + offsets[1:] if halves else offsets)


def clamped(quality: float) -> int:
    """The nearest quality that there is."""
    return min(max(round(quality), FINEST), QUALITIES - 1)
