"""Settings and source to decisions: which network, how many steps, which frames."""

from __future__ import annotations

from dataclasses import dataclass

from nvcodec.bitstream import chunks
from nvcodec.bitstream.records import ModelRecord, TensorSpec, VideoRecord
from nvcodec.bitstream.registry import TensorKind, model_entry, model_named
from nvcodec.encode.settings import EncodeSettings
from nvcodec.errors import MalformedError, UsageError
from nvcodec.models.base import Backbone, create
from nvcodec.models.nirvana import NirvanaConfig, largest_patch, tensor_specs
from nvcodec.planning.groups import chain_ranges, is_random_access
from nvcodec.planning.sizing import OPEN_END_GROUPS, BitCosts, Size, expected_bits, solve_width
from nvcodec.training.fit import FitSettings
from nvcodec.training.presets import Preset, preset_named
from nvcodec.video import VideoInfo

DEFAULT_BPP = 0.3
GROUP_OVERHEAD = chunks.OVERHEAD + 45  # bytes of a group that are not residuals, about
FILE_OVERHEAD = 300  # bytes of a file that are not groups, about
COSTS = BitCosts()


@dataclass(frozen=True)
class Decision:
    """What an encode will do.

    frames, groups, fresh (random-access groups): None where the source does not know its length. bpp: to be met, None
    where a PSNR or a lambda was asked for.
    """

    preset: Preset
    config: NirvanaConfig
    steps_first: int
    steps_next: int
    published: bool
    start: int
    stop: int | None
    frames: int | None
    groups: int | None
    fresh: int | None
    bpp: float | None

    @property
    def parameters(self) -> int:
        """Coded values of a group."""
        return sum(t.size for t in tensor_specs(self.config))

    @property
    def steps(self) -> int | None:
        """Training steps of the whole encode."""
        if self.groups is None or self.fresh is None:
            return None
        return self.fresh * self.steps_first + (self.groups - self.fresh) * self.steps_next

    def expected_bpp(self, pixels: int) -> float:
        """Of the whole file, from the sizing's average costs. pixels: of a frame."""
        groups = self.groups or OPEN_END_GROUPS
        frames = self.frames or groups * self.config.group
        bits = expected_bits(size_of(self.config), groups, self.fresh or 1, COSTS)
        return (bits + 8 * (groups * GROUP_OVERHEAD + FILE_OVERHEAD)) / (frames * pixels)

    def fit_settings(self, fresh: bool, lam: float, target_bits: float | None, seed: int) -> FitSettings:
        """How a group is trained."""
        p = self.preset
        return FitSettings(
            iterations=self.steps_first if fresh else self.steps_next,
            muon=fresh and not self.published,
            proximal=not self.published,
            relative=not self.published,
            rate=p.rate_first if fresh else p.rate_next,
            lam=lam,
            target_bits=target_bits,
            rate_every=p.rate_every,
            learn_steps=fresh,
            seed=seed,
        )


def size_of(config: NirvanaConfig) -> Size:
    """All parameters, and those outside of the last linear layer, the dictionary that groups share."""
    specs = tensor_specs(config)
    total = sum(t.size for t in specs)
    return Size(total, total - sum(t.size for t in specs if t.name == "volume.weight"))


def decide(settings: EncodeSettings, info: VideoInfo, source_frames: int | None, bpp: float | None = None) -> Decision:
    """Fill in what the settings leave open. `bpp` is what to size the network for, the settings' own by default.

    UsageError for settings that make no network, or that need a length that is unknown.
    """
    preset = preset_named(settings.preset)
    model_named(settings.model)
    stop = settings.stop
    if source_frames is not None:
        stop = source_frames if stop is None else min(stop, source_frames)
    frames = None if stop is None else stop - settings.start
    if frames is not None and frames <= 0:
        raise UsageError(f"the video has {source_frames} frames, none from {settings.start} on")
    group = settings.group or preset.group
    if frames is not None:
        group = min(group, frames)
    groups = fresh = None
    if frames is not None:
        assert stop is not None
        lengths = [-(-len(r) // group) for r in chain_ranges(settings.start, stop, settings.chains, group)]
        groups = sum(lengths)
        fresh = sum(is_random_access(n, settings.keyint) for length in lengths for n in range(length))
    elif settings.chains > 1:
        raise UsageError("--chains needs a source that knows its number of frames")

    def config(width: int) -> NirvanaConfig:
        try:
            return NirvanaConfig(
                patch=settings.patch or min(preset.patch, largest_patch(info.height, info.width)),
                group=group,
                width=width,
                depth=settings.depth or preset.depth,
                channels=settings.channels or preset.channels,
                block_channels=settings.block_channels or preset.block_channels,
                omega=preset.omega,
                conv_float=int(preset.conv_float if settings.conv is None else settings.conv == "float"),
            )
        except MalformedError as error:
            raise UsageError(str(error)) from None

    asked = settings.bpp
    if (settings.bpp, settings.psnr, settings.lam) == (None, None, None):
        asked = DEFAULT_BPP
    target = bpp or asked or DEFAULT_BPP
    width = settings.width or preset.width
    if width is None:
        n = groups or OPEN_END_GROUPS
        pixels = (frames or n * group) * info.width * info.height
        bits = target * pixels - 8 * (n * GROUP_OVERHEAD + FILE_OVERHEAD)
        width = solve_width(lambda w: size_of(config(w)), bits, n, fresh or _fresh_of(n, settings.keyint), COSTS)
    return Decision(
        preset=preset,
        config=config(width),
        steps_first=settings.steps_first or preset.steps_first,
        steps_next=settings.steps_next or preset.steps_next,
        published=preset.published,
        start=settings.start,
        stop=stop,
        frames=frames,
        groups=groups,
        fresh=fresh,
        bpp=asked,
    )


def _fresh_of(groups: int, keyint: int) -> int:
    return sum(is_random_access(n, keyint) for n in range(groups))


def build_model(settings: EncodeSettings, decision: Decision, info: VideoInfo) -> tuple[Backbone, ModelRecord]:
    """The network and its record."""
    entry = model_named(settings.model)
    values = decision.config.values
    try:
        model = create(model_entry(entry.id).name, values, info.height, info.width)
    except MalformedError as error:
        raise UsageError(str(error)) from None
    tensors = tuple(TensorSpec(TensorKind(t.kind), t.shape) for t in model.tensors)
    return model, ModelRecord(index=0, model_id=entry.id, seed=settings.seed, config=values, tensors=tensors)


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
