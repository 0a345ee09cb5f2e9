"""Small networks of model mc with numbers at random, and groups and files coded with them, built without training."""

import io
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np
import torch

from nvcodec.bitstream.container import Writer as FileWriter
from nvcodec.bitstream.frames import CodedFrame, FramesSection
from nvcodec.bitstream.group_records import GroupRecord, Section
from nvcodec.bitstream.records import ModelRecord, VideoRecord
from nvcodec.bitstream.registry import Exactness, Inheritance, Origin, SectionKind
from nvcodec.decode.decoder import video_info
from nvcodec.decode.frames import named_weights
from nvcodec.decode.parts import Motions, References, code_prediction
from nvcodec.decode.pictures import to_picture, to_planes
from nvcodec.decode.render import pixel_hash, plane_means
from nvcodec.decode.state import apply_network, encode_network, initial_state
from nvcodec.encode.networks import mc as network
from nvcodec.encode.symbols import Writer, stream
from nvcodec.models import priors
from nvcodec.models.base import create_frame_model
from nvcodec.models.hierarchy import CARRIED, coding_order, parts
from nvcodec.models.mc import QUALITIES, McConfig
from nvcodec.models.motion import HIGH, LOW
from nvcodec.training import analysis

NONE, PREVIOUS = Inheritance.NONE, Inheritance.PREVIOUS
CONFIG = McConfig(
    group=9, flow=4, width=4, half=4, coarse=3, middle=2, fine=2,
    intra_width=5, intra_half=4, intra_coarse=2, intra_middle=3, intra_low=2, intra_medium=1, intra_high=2,
)  # fmt: skip
CPU = torch.device("cpu")
OFFSETS = (0, 3, 6, 9)
QUALITY = 20
MOST = {f"intra.direct{level}.weight": 320 for level in (5, 4, 3)} | {"intra.direct2.weight": 144}
"""Of weights that are finer than others. The last one has more inputs."""


def model_of(height, width, config=CONFIG):
    return create_frame_model("mc", config.values, height, width)


def integers(tensors, seed=0):
    """int32 arrays that are a network: every sum is exact, every step right."""
    rng = np.random.default_rng(seed)
    steps = np.geomspace(6, 1500, QUALITIES).round()
    out = []
    for t in tensors:
        if t.name.endswith(".steps"):
            values = steps * np.array([[3], [2], [1]]) // 2
        else:
            most = MOST.get(t.name, 40 if t.name.endswith(".weight") else 700)
            values = rng.integers(-most, most + 1, t.shape)
        out.append(values.astype(np.int32))
    return out


def planes_at_random(channels, height, width, seed=0):
    """(1, channels, height, width) of samples."""
    return np.random.default_rng(seed).integers(LOW, HIGH + 1, (1, channels, height, width))


def come_through(field, part, whole):
    """A field (1, 2, rows, columns) after that part of its way, cell by cell (section 16.9 of the specification)."""
    d = field[0].to(torch.int64).tolist()
    rows, columns = field.shape[2:]
    out = torch.empty_like(field)
    for r in range(rows):
        for s in range(columns):
            x, y = (64 * n - (2 * part * d[c][r][s] + whole) // (2 * whole) for c, n in enumerate((s, r)))
            (i, v), (j, u) = (divmod(min(max(at, 0), 64 * (n - 1)), 64) for at, n in ((y, rows), (x, columns)))
            below, right = min(i + 1, rows - 1), min(j + 1, columns - 1)
            for c in (0, 1):
                upper = (64 - u) * d[c][i][j] + u * d[c][i][right]
                lower = (64 - u) * d[c][below][j] + u * d[c][below][right]
                out[0, c, r, s] = ((64 - v) * upper + v * lower + 2048) // 4096
    return out


def weights_of(model, latents):
    return {t.name: torch.from_numpy(q.astype(np.float32)) for t, q in zip(model.tensors, latents, strict=True)}


def groups_of(config, intra):
    """(level, channels) of each group of latents, by name, in the order in which they are coded."""
    c = config
    if not intra:
        return {"latent4": (4, c.coarse), "latent3": (3, c.middle), "latent2": (2, c.fine)}
    fine = {"latent3": (3, c.intra_low), "latent3b": (3, c.intra_medium), "latent3c": (3, c.intra_high)}
    return {"latent5": (5, c.intra_coarse), "latent4": (4, c.intra_middle)} | fine


def grid_of(model, level):
    """(rows, columns) of a level."""
    return tuple(-(-n * 16 // 2**level) for n in (model.rows, model.columns))


def known(model, rng, intra, spread=4):
    """Latents and displacements of a frame at random, by name."""
    sizes = {name: (count, *grid_of(model, level)) for name, (level, count) in groups_of(model.config, intra).items()}
    sizes |= {name: (2, model.rows, model.columns) for name in ("flow0", "flow1")}
    return {name: torch.from_numpy(rng.laplace(0, spread, (1, *size)).round()).float() for name, size in sizes.items()}


@torch.no_grad()
def code_group(model, weights, headers, reference, info, seed=0, offsets=OFFSETS, split=0, halves=False):
    """(FRAMES section, planes of each frame) of latents at random. headers: of each frame, in coding order."""
    rng = np.random.default_rng(seed)
    shown = {} if reference is None else {CARRIED: reference}
    references = References(lambda frame: to_picture(shown[frame], info, CPU), info)
    section = FramesSection(QUALITY, offsets, tuple(headers), (b"",), halves)
    motions, writers = Motions(), []
    order = coding_order(len(headers), reference is not None, halves)
    for number, place in enumerate(order):
        header = headers[number]
        writers.append(Writer(known(model, rng, header.intra)))
        quality = section.quality_of(number, place.depth)
        tuning = model.tuning(weights, header.intra, quality)
        levels = list(compress((5, 4, 3) if header.intra else (4, 3, 2), header.levels))
        prediction = None
        if not header.intra:
            used = [references[frame] for frame in place.references]
            prediction = code_prediction(model, weights, place, used, quality, motions, writers[-1])
        shown[place.frame] = to_planes(model.picture(weights, tuning, prediction, writers[-1], levels=levels), info)
    held = [[writers[number] for number in numbers] for numbers in parts(order, split)]
    streams = tuple(stream(some) if some else b"" for some in held)
    return replace(section, streams=streams), [shown[frame] for frame in range(len(headers))]


def headers_of(count, carried):
    """As few intra frames as there can be."""
    return [CodedFrame(not place.references) for place in coding_order(count, carried)]


@dataclass(frozen=True)
class Grp:
    """A group; network: the seed of the integers that it changes to, None where they stay as they are."""

    inheritance: Inheritance
    frames: int
    network: int | None = None
    chain: int = 0


LAYOUT = (
    Grp(NONE, 3),
    Grp(PREVIOUS, 4),
    Grp(PREVIOUS, 1, 7),
    Grp(NONE, 2),
    Grp(PREVIOUS, 5),
    Grp(PREVIOUS, 2),
    Grp(NONE, 1, 3, 1),
    Grp(PREVIOUS, 2, None, 1),
)
LENGTHS = [part.frames for part in LAYOUT]
STARTS = [sum(LENGTHS[:i]) for i in range(len(LENGTHS))]
FRAMES = sum(LENGTHS)
VIDEO = VideoRecord(37, 50, 8, 1, (1, 25), rate=(25, 1))
PRIOR_SEED = 11


@dataclass
class File:
    """A file, the offsets of its groups, its records, and the planes of all frames."""

    data: bytes
    offsets: list
    groups: list
    planes: list
    model: ModelRecord


def write_prior(folder, config=CONFIG, seed=PRIOR_SEED):
    """A prior in a folder; its name."""
    data = priors.pack(integers(model_of(16, 16, config).tensors, seed))
    (folder / f"{priors.digest(data).hex()}.bin").write_bytes(data)
    return priors.digest(data)


def model_record(model, prior=b"", origin=None):
    origin = (Origin.PRIOR if prior else Origin.ZERO) if origin is None else origin
    return ModelRecord(0, 5, 0, model.config.values, (), Exactness.EXACT, origin, prior)


def build(prior=b"", layout=LAYOUT, video=VIDEO, spoil=None):
    """A file of that layout. Without a prior, random-access groups carry a whole network.

    prior: the name of one that can be loaded. spoil: changes records before they are written, given their number.
    """
    model, info = model_of(video.height, video.width), video_info(video)
    record = model_record(model, prior)
    file = io.BytesIO()
    writer = FileWriter(file)
    writer.write_video(video)
    writer.write_model(record)
    out = File(b"", [], [], [], record)
    initial = initial_state(model.tensors, 0, record.origin, prior)
    state, last, first = None, None, 0
    for number, part in enumerate(layout):
        fresh = part.inheritance == NONE
        base = initial if fresh else state
        seed = part.network if part.network is not None else 5 if fresh and not prior else None
        latents = base.latents if seed is None else integers(model.tensors, seed)
        encoded = encode_network(base, latents, fresh)
        sections = (*(encoded.sections if encoded else ()), Section(SectionKind.FRAMES, b""))
        pts = tuple(range(first, first + part.frames))
        group = GroupRecord(
            number, part.chain, 0, part.inheritance, first, pts, bytes(8), (0,) * video.planes, sections
        )
        state = apply_network(base, group)
        weights = named_weights(model, state, CPU)
        model.check(weights)
        reference = None if fresh else last
        section, planes = code_group(model, weights, headers_of(part.frames, not fresh), reference, info, number)
        last, first = planes[-1], first + part.frames
        sections = (*sections[:-1], Section(SectionKind.FRAMES, section.pack()))
        group = replace(group, sections=sections, pixel_hash=pixel_hash(planes), means=plane_means(planes))
        if spoil:
            group = spoil(number, group)
        out.offsets.append(writer.write_group(group))
        out.groups.append(group)
        out.planes += planes
    writer.finish()
    out.data = file.getvalue()
    return out


def own_package(folder, monkeypatch):
    """Let priors, analysis networks and the name of the prior that encoders take be files of `folder`, none so far."""
    monkeypatch.setattr(priors, "PATHS", [folder / "priors"])
    monkeypatch.setattr(analysis, "FOLDER", folder / "analyses")
    module = folder / "mc.py"
    module.write_text(Path(network.__file__).read_text("utf-8"), "utf-8")
    monkeypatch.setattr(network, "__file__", str(module))
