"""What the encoder says while it works, and in the end. Plain frozen dataclasses: `dataclasses.asdict` gives JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Plan:
    """Before it starts: what will be done and what it is expected to cost.

    frames, groups, windows (whose groups share parameters), steps (of training, in all): None where the source does not
    know its length; with a PSNR to reach, steps and seconds are typical ones. parameters: coded values of a group.
    config: the network's, by name. bpp: expected of the whole file, None where --lambda or --psnr leaves it open.
    seconds: estimated from a few timed steps. notes: a line for whatever of the source is not carried over, as far as
    it is known then, and for what will not work as asked.
    """

    width: int
    height: int
    frames: int | None
    groups: int | None
    windows: int | None
    model: str
    config: dict[str, int]
    parameters: int
    steps_first: int
    steps_next: int
    steps_network: int
    steps: int | None
    bpp: float | None
    seconds: float | None
    device: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scan:
    """Before the plan, where groups follow scene changes: frames that were looked at, of how many, as far as known."""

    frames: int
    of: int | None


@dataclass(frozen=True)
class Progress:
    """During a group. loss_psnr: of the last training step, dB. bpp: of the file so far, None in the first group.

    pixels_per_second: encoded so far over time so far. seconds_left: None where the length is unknown.
    """

    group: int
    groups: int | None
    step: int
    steps: int
    loss_psnr: float
    bpp: float | None
    pixels_per_second: float
    seconds_left: float | None


@dataclass(frozen=True)
class WindowReport:
    """What the groups of a window have in common.

    groups: how many they are. shared: parameters that they share, of the shared_of that they may; shared_by_tensor: the
    same by tensor. bytes: of the chunk, mask_bytes of them for the mask. seconds_choosing: time that the choice took.
    """

    groups: int
    shared: int
    shared_of: int
    bytes: int
    mask_bytes: int
    shared_by_tensor: dict[str, int]
    seconds_choosing: float


@dataclass(frozen=True)
class GroupReport:
    """After a group, all from the bytes that were written and decoded again.

    inheritance: none, previous, window or window_previous. window: in the first group of a window, what its groups
    share, which is not in the group's own bytes.

    psnr: RGB, mean over its frames, dB; psnr_frames: of each; psnr_y, psnr_u, psnr_v: of the planes (u, v absent for
    gray). psnr_training: RGB PSNR of the training network's own output, brought to the video's pixel format: it equals
    psnr, or something is broken. psnr_loss: of the training loss, before that.
    bytes: of the chunk; bytes_by_kind: the same by kind (symbols, tables, steps, blobs, headers).
    lam: lambda of Eq. 2 in use at the end. steps: training steps done. seconds: of training, coding and checking.
    """

    number: int
    chain: int
    random_access: bool
    inheritance: str
    first_frame: int
    frames: int
    psnr: float
    psnr_frames: tuple[float, ...]
    psnr_planes: tuple[float, ...]
    psnr_training: float
    psnr_loss: float
    bytes: int
    bytes_by_kind: dict[str, int]
    bits_per_tensor: dict[str, float]
    bpp: float
    lam: float
    steps: int
    seconds_training: float
    seconds_coding: float
    seconds_checking: float
    window: WindowReport | None = None

    @property
    def size(self) -> int:
        """Bytes of the group, and of the window where it is the first one of it."""
        return self.bytes + (self.window.bytes if self.window else 0)


@dataclass(frozen=True)
class EncodeReport:
    """At the end. psnr: RGB, mean over all frames; psnr_planes: Y, U, V, likewise; bpp: file bytes x 8 / pixels.

    bytes_by_kind: of groups as in their reports, `shared` and `mask` of windows, and `file`, the rest.
    seconds and pixels_per_second are of this run, which may have gone on with an earlier one.
    """

    source: str
    source_digest: str | None
    target: str
    settings: dict[str, Any]
    plan: Plan
    frames: int
    bytes: int
    bytes_by_kind: dict[str, int]
    bpp: float
    psnr: float
    psnr_planes: tuple[float, ...]
    seconds: float
    pixels_per_second: float
    versions: dict[str, str]
    notes: tuple[str, ...] = ()
    groups: tuple[GroupReport, ...] = field(default=(), repr=False)


Event = Scan | Plan | Progress | GroupReport | EncodeReport
Observer = Callable[[Event], None]


def silent(event: Event) -> None:
    """The observer that looks away."""
