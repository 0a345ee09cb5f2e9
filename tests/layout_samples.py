"""How a video of known length is divided, without a file."""

from nvcodec.encode.layout import Layout, division, find_layout
from nvcodec.encode.networks import network_for
from nvcodec.planning.windows import plan_windows


def planned(settings, info, frames, cuts=()):
    """(Division, Layout) of a video of `frames` frames with scene changes at `cuts`, in one chain."""
    how = division(settings, info, network_for(settings.model, info).group(settings.preset), frames)
    if how.rule is None:
        return how, find_layout("", settings, info, how, frames, lambda _: None)
    windows = plan_windows(frames, dict.fromkeys(cuts, 1.0), how.rule)
    units = [tuple(chunk.frames for chunk in window.chunks) for window in windows]
    if not how.shares:
        units = [(length,) for unit in units for length in unit]
    return how, Layout((tuple(units),))
