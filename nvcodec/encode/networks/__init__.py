"""What the encoder knows of each backbone and a decoder need not: options, costs, training. One file a family."""

from __future__ import annotations

from nvcodec.encode.networks.base import Network
from nvcodec.encode.networks.framewise import FAMILY
from nvcodec.encode.networks.mc import McNetwork
from nvcodec.encode.networks.nirvana import NirvanaNetwork
from nvcodec.errors import UsageError
from nvcodec.video import VideoInfo

NETWORKS: dict[str, Network] = {network.name: network for network in (NirvanaNetwork(), *FAMILY, McNetwork())}
DEFAULTS = ("mc", "nirvana")  # the first that has the pixel format


def network_named(name: str) -> Network:
    """The entry of the model called `name`; UsageError where there is none."""
    if name not in NETWORKS:
        raise UsageError(f"there is no model '{name}'; there are: {', '.join(NETWORKS)}")
    return NETWORKS[name]


def network_for(name: str | None, info: VideoInfo) -> Network:
    """The entry that codes a video: the model called `name`, for None the default for its pixel format."""
    if name is not None:
        return network_named(name)
    return next(NETWORKS[default] for default in DEFAULTS if NETWORKS[default].codes(info))
