"""Settings and source to decisions: which network, how many steps, which frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nvcodec.bitstream import chunks
from nvcodec.bitstream.records import ModelRecord, TensorSpec, VideoRecord
from nvcodec.bitstream.registry import Exactness, Origin, TensorKind, model_named
from nvcodec.encode.layout import Division, Layout, census, division
from nvcodec.encode.networks import NETWORKS, network_for
from nvcodec.encode.networks.base import Network
from nvcodec.encode.networks.mc import PRIOR
from nvcodec.encode.settings import NETWORK_OPTIONS, EncodeSettings, flag
from nvcodec.errors import LimitError, MalformedError, UsageError
from nvcodec.limits import MAX_PARAMETERS
from nvcodec.models.base import Backbone, create, create_frame_model
from nvcodec.models.base import TensorSpec as Coded
from nvcodec.models.mc import Mc, McConfig
from nvcodec.planning.sizing import Census, Size, expected_bits, largest_width
from nvcodec.training.presets import Training, check_preset
from nvcodec.training.settings import FitSettings
from nvcodec.video import VideoInfo

DEFAULT_BPP = 0.3
GROUP_OVERHEAD = chunks.OVERHEAD + 45  # bytes of a group that are not residuals, about
FOR_WEIGHTS = (
    "width",
    "parameters",
    "prune",
    "share",
    "monolithic",
)  # settings that a model of coded frames does not have
FILE_OVERHEAD = 300  # bytes of a file that are not groups, about


@dataclass(frozen=True)
class Decision:
    """What an encode will do.

    values: the network's configuration in wire order; sized: whether its width follows from the rate. division: how the
    video is divided, layout: what that makes of it. census: how many groups there are of each kind. layout and frames
    are None where the length of the source is not known, and the census is a guess. bpp: to be met, None where a PSNR
    or a lambda was asked for.
    """

    network: Network
    training: Training
    values: tuple[int, ...]
    size: Size
    sized: bool
    steps_first: int
    steps_next: int
    steps_network: int
    division: Division
    layout: Layout | None
    census: Census
    prune: float
    bpp: float | None

    @property
    def config(self) -> dict[str, int]:
        """The configuration by name."""
        return dict(zip(model_named(self.network.name).fields, self.values, strict=True))

    @property
    def group(self) -> int:
        """Frames in a group, at most."""
        return self.config["group"]

    @property
    def frames(self) -> int | None:
        """Of the video, as far as it is encoded."""
        return self.layout.frames if self.layout else None

    @property
    def groups(self) -> int | None:
        """Of the video."""
        return self.layout.groups if self.layout else None

    @property
    def width(self) -> int:
        """Of the network."""
        return self.config["width"]

    @property
    def fresh_bits(self) -> float:
        """Expected of a random-access group."""
        return self.size.total * self.network.costs.fresh

    @property
    def steps(self) -> int | None:
        """Training steps of the whole encode."""
        if self.layout is None:
            return None
        census = self.census
        return (census.groups - census.inherited) * self.steps_first + census.inherited * self.steps_next

    def expected_bpp(self, pixels: int) -> float:
        """Of the whole file, from the sizing's average costs. pixels: of a frame."""
        frames = self.frames or self.census.groups * self.group
        bits = expected_bits(self.size, self.census, self.network.costs)
        return (bits + 8 * (self.census.groups * GROUP_OVERHEAD + FILE_OVERHEAD)) / (frames * pixels)

    def fit_settings(self, fresh: bool, lam: float, target_bits: float | None, seed: int) -> FitSettings:
        """How a group, or the groups of a window, are trained. fresh: they do not start from a group before."""
        t = self.training
        return FitSettings(
            iterations=self.steps_first if fresh else self.steps_next,
            frames_per_step=t.frames_per_step,
            muon=fresh and t.muon,
            proximal=not t.published,
            relative=not t.published,
            rate=t.rate_first if fresh else t.rate_next,
            lam=lam,
            target_bits=target_bits,
            rate_every=t.rate_every,
            learn_steps=fresh,
            prune=self.prune if fresh else 0.0,
            seed=seed,
        )

    def with_values(self, values: tuple[int, ...], info: VideoInfo) -> Decision:
        """The same for another configuration."""
        return replace(self, values=values, size=size_of(self.network, values, info))


def size_of(network: Network, values: tuple[int, ...], info: VideoInfo) -> Size:
    """All parameters, those that change from group to group, and those that groups may share.

    MalformedError where there is no such network, LimitError where it is too large.
    """
    make = create_frame_model if network.frames else create
    tensors = make(network.name, values, info.height, info.width).tensors
    size = Size(
        total=sum(t.size for t in tensors),
        moving=sum(t.size for t in tensors if network.moves(t)),
        shareable=sum(t.size for t in tensors if network.shares(t)),
    )
    if size.total > MAX_PARAMETERS:
        raise LimitError(f"{network.name}: {size.total} parameters, over {MAX_PARAMETERS}")
    return size


def divide(settings: EncodeSettings, info: VideoInfo, source_frames: int | None) -> tuple[Division, int | None]:
    """How a source is divided, and how many of its frames are asked for, None where its length is not known.

    UsageError for settings that make no division, or that need a length that is unknown.
    """
    check_preset(settings.preset)
    network = network_for(settings.model, info)
    check_options(network, settings)
    stop = settings.stop
    if source_frames is not None:
        stop = source_frames if stop is None else min(stop, source_frames)
    frames = None if stop is None else stop - settings.start
    if frames is not None and frames <= 0:
        raise UsageError(f"the video has {source_frames} frames, none from {settings.start} on")
    if settings.chains > 1 and frames is None:
        raise UsageError("--chains needs a source that knows its number of frames")
    return division(settings, info, network.group(settings.preset), frames), frames


def decide(
    settings: EncodeSettings, info: VideoInfo, how: Division, layout: Layout | None, bpp: float | None = None
) -> Decision:
    """Fill in what the settings leave open. `bpp` is what to size the network for, the settings' own by default.

    UsageError for settings that make no network.
    """
    network = network_for(settings.model, info)
    training = network.training(settings.preset)
    group = settings.group or (how.group if layout is None else layout.longest)
    counted = census(settings, layout, how)

    def values(width: int) -> tuple[int, ...]:
        return network.values(settings, info, group, width)

    def size(width: int) -> Size:
        return size_of(network, values(width), info)

    def bits(width: int) -> float:
        return expected_bits(size(width), counted, network.costs)

    def possible(width: int) -> bool:
        try:
            return size(width).total > 0
        except (MalformedError, LimitError):
            return False

    asked = settings.bpp
    if (settings.bpp, settings.psnr, settings.lam) == (None, None, None):
        asked = DEFAULT_BPP
    width = settings.width or (None if settings.parameters else network.width(settings.preset))
    try:
        if settings.parameters:
            most = settings.parameters
            width = largest_width(lambda w: possible(w) and size(w).total <= most, network.least_width)
        sized = width is None
        if width is None:
            frames = layout.frames if layout else counted.groups * group
            budget = (bpp or asked or DEFAULT_BPP) * frames * info.width * info.height
            budget -= 8 * (counted.groups * GROUP_OVERHEAD + FILE_OVERHEAD)
            width = largest_width(lambda w: possible(w) and bits(w) <= budget, network.least_width)
        chosen, total = values(width), size(width)
    except (MalformedError, LimitError) as error:
        raise UsageError(str(error)) from None
    return Decision(
        network=network,
        training=training,
        values=chosen,
        size=total,
        sized=sized,
        steps_first=settings.steps_first or training.steps_first,
        steps_next=settings.steps_next or training.steps_next,
        steps_network=training.steps_network if settings.steps_network is None else settings.steps_network,
        division=how,
        layout=layout,
        census=counted,
        prune=settings.prune,
        bpp=asked,
    )


def check_options(network: Network, settings: EncodeSettings) -> None:
    """UsageError for a setting that the network does not have. It names those that have it."""
    for name in (*NETWORK_OPTIONS, *FOR_WEIGHTS):
        if getattr(settings, name) != getattr(EncodeSettings, name) and not _has(network, name):
            *others, last = (other for other in NETWORKS if _has(NETWORKS[other], name))
            who = network.name if settings.model else f"{network.name}, the default for this video,"
            have = f"{', '.join(others)} or {last}" if others else last
            raise UsageError(f"{who} has no option {flag(name)}; choose --model {have} for it")


def _has(network: Network, option: str) -> bool:
    """Whether a network has an option that some do not have."""
    return option in network.options if option in NETWORK_OPTIONS else not network.frames


def build_model(settings: EncodeSettings, decision: Decision, info: VideoInfo) -> tuple[Backbone, ModelRecord]:
    """The network and its record."""
    entry = model_named(decision.network.name)
    values = decision.values
    model = create(entry.name, values, info.height, info.width)
    origin = Origin.ZERO if settings.prune else Origin.RANDOM
    return model, ModelRecord(0, entry.id, settings.seed, values, _declared(model.tensors), origin=origin)


def build_frame_model(settings: EncodeSettings, decision: Decision, info: VideoInfo) -> tuple[Mc, ModelRecord]:
    """The same of a model of coded frames."""
    entry = model_named(decision.network.name)
    model = Mc(McConfig(*decision.values), info.height, info.width)
    return model, ModelRecord(
        0, entry.id, settings.seed, decision.values, (), Exactness.EXACT, Origin.PRIOR, prior=PRIOR
    )


def _declared(tensors: Sequence[Coded]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(TensorKind(t.kind), t.shape) for t in tensors)


def video_record(info: VideoInfo) -> VideoRecord:
    """The video in the terms of the format."""
    return VideoRecord(
        width=info.width,
        height=info.height,
        bit_depth=info.bit_depth,
        chroma=int(info.chroma),
        time_base=info.time_base.as_integer_ratio(),
        range=int(info.color.range),
        primaries=info.color.primaries,
        transfer=info.color.transfer,
        matrix=info.color.matrix,
        chroma_location=info.color.chroma_location,
        rotation=info.rotation,
        rate=info.rate.as_integer_ratio() if info.rate else (0, 0),
        sample_aspect=info.sample_aspect.as_integer_ratio() if info.sample_aspect else (0, 0),
    )
