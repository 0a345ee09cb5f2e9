"""The frozen vectors: their digests, and that two decoders that share no code find the same in them."""

import dataclasses
import hashlib
import io
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from absence import absent
from bitstream_samples import raw_chunk, spans

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nvcodec.bitstream.container import Reader  # noqa: E402
from nvcodec.bitstream.group_records import WindowRecord  # noqa: E402
from nvcodec.bitstream.registry import MODELS, BlobCoding, Inheritance, MaskCoding, Origin, TensorCoding  # noqa: E402
from nvcodec.decode.decoder import Check, Decoder  # noqa: E402
from nvcodec.decode.state import apply, apply_network, apply_window, initial_state  # noqa: E402
from nvcodec.entropy import arithmetic, blobs, laplace, mask_codings  # noqa: E402
from nvcodec.entropy import masks as entropy_masks  # noqa: E402
from nvcodec.errors import FeatureError, MalformedError  # noqa: E402
from nvcodec.models import priors  # noqa: E402
from nvcodec.models.base import create, create_frame_model  # noqa: E402
from tools import make_vectors  # noqa: E402
from tools.refdec import Refused, masks, network, zstd  # noqa: E402
from tools.refdec import decode as reference_decode  # noqa: E402
from tools.refdec import rans as reference_rans  # noqa: E402
from tools.refdec.container import Video  # noqa: E402
from tools.refdec.entropy import LAPLACE_DECAY, cumulative  # noqa: E402
from tools.vector_changes import nothing  # noqa: E402
from tools.vector_plans import build  # noqa: E402
from tools.vector_table import VECTORS_BY_NAME  # noqa: E402

FOLDER = Path(__file__).parent / "vectors"
EXPECTED = json.loads((FOLDER / "digests.json").read_text())
NAMES = sorted(EXPECTED)
# Compressed blobs are written by zstd and LZMA, each version of which may choose other bytes for the same values.
OUR_BYTES = [name for name in NAMES if not any(group["blob_coding"] for group in EXPECTED[name]["groups"])]


@pytest.fixture(params=["builtin", "torchac"])
def coder(request, monkeypatch):
    if request.param == "torchac" and arithmetic._load()[0] is None:
        absent("torchac cannot be loaded here: it needs a C++ compiler")
    monkeypatch.setenv("NVCODEC_CODER", request.param)


def bytes_of(name):
    return (FOLDER / f"{name}.nvc").read_bytes()


def reference(data, start=0, stop=None):
    return [item for item in reference_decode(data, start, stop) if not isinstance(item, Video)]


def integers(data):
    """What `digests` says of integers and masks, found by the product: (of each group, of each window)."""
    reader = Reader(io.BytesIO(data))
    groups, windows, state, window, shared = [], [], None, None, None
    for record in reader.records():
        model = reader.models[record.model]
        make = create_frame_model if model.has_frames else create
        specs = make(model.name, model.config, reader.video.height, reader.video.width).tensors
        initial = initial_state(specs, model.seed, model.origin)
        if isinstance(record, WindowRecord):
            window = apply_window(initial, record)
            mask = make_vectors.blake(b"".join(mask.tobytes() for mask in window.shared))
            windows.append((record.shared, mask, digest(window.state)))
            continue
        shared = window.shared if record.in_window else None
        if record.random_access:
            state = window.state if record.in_window else initial
        state = apply_network(state, record) if model.has_frames else apply(state, record, shared)
        groups.append(digest(state))
    return groups, windows


def digest(state):
    """Of the product's integers and floats, made as the reference makes its own."""
    parts = [q.astype("<i4").tobytes() for q in state.latents] + [f.astype("<f4").tobytes() for f in state.floats]
    return make_vectors.blake(b"".join(parts))


def worst(frames, other):
    """The greatest difference of two lists of frames, each a tuple of planes, in code values."""
    pairs = [(a, b) for f, g in zip(frames, other, strict=True) for a, b in zip(f, g, strict=True)]
    assert all(a.shape == b.shape and a.dtype == b.dtype for a, b in pairs)
    return max(int(np.abs(a.astype(int) - b.astype(int)).max()) for a, b in pairs)


def test_every_file_has_a_digest_and_every_digest_a_file():
    assert sorted(path.stem for path in FOLDER.glob("*.nvc")) == NAMES == sorted(VECTORS_BY_NAME)


@pytest.mark.parametrize("name", NAMES)
def test_frozen(name):
    data = bytes_of(name)
    assert len(data) == EXPECTED[name]["bytes"] <= (12288 if name.startswith("mc") else 4096)
    assert hashlib.sha256(data).hexdigest() == EXPECTED[name]["sha256"]


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_decoder_finds_what_is_frozen(name):
    assert make_vectors.digests(bytes_of(name)) == EXPECTED[name]


@pytest.mark.parametrize("name", OUR_BYTES)
def test_the_encoder_still_writes_the_same(name, monkeypatch):
    monkeypatch.setenv("NVCODEC_CODER", "builtin")
    assert build(VECTORS_BY_NAME[name]) == bytes_of(name)


@pytest.mark.parametrize("name", NAMES)
def test_integers_are_the_same(name, coder):
    groups, windows = integers(bytes_of(name))
    assert groups == [group["integers"] for group in EXPECTED[name]["groups"]]
    assert windows == [(w["shared"], w["mask"], w["integers"]) for w in EXPECTED[name]["windows"]]


@pytest.mark.parametrize("name", NAMES)
def test_pixels_are_within_one_code_value_or_those_of_class_x_the_same(name, coder):
    data = bytes_of(name)
    decoder = Decoder(io.BytesIO(data), device="cpu")
    groups, wanted = list(decoder.groups()), reference(data)
    assert [g.record.number for g in groups] == [w.record.number for w in wanted]
    for group, want in zip(groups, wanted, strict=True):
        assert want.hash_matches and group.check is not Check.WRONG
        exact = decoder.reader.models[group.record.model].has_frames
        assert worst([f.planes for f in group.frames], want.frames) <= (0 if exact else 1)
        assert [f.pts for f in group.frames] == want.record.pts


@pytest.mark.parametrize("name", NAMES)
def test_any_range_is_the_part_of_the_whole(name, monkeypatch):
    monkeypatch.setenv("NVCODEC_CODER", "builtin")
    data = bytes_of(name)
    whole = list(Decoder(io.BytesIO(data), device="cpu").frames())
    for start in range(0, len(whole), max(1, len(whole) // 4)):
        part = list(Decoder(io.BytesIO(data), device="cpu").frames(start, start + 2))
        assert [f.pts for f in part] == [f.pts for f in whole[start : start + 2]]
        assert all(a.same_pixels(b) for a, b in zip(part, whole[start:], strict=False))
        numbers = [g.record.number for g in reference(data, start, start + 2)]
        assert numbers == [g.record.number for g in Decoder(io.BytesIO(data), device="cpu").groups(start, start + 2)]


def test_the_vectors_use_every_id_and_every_kind_of_video():
    groups = [group for entry in EXPECTED.values() for group in entry["groups"]]
    windows = [window for entry in EXPECTED.values() for window in entry["windows"]]
    assert {id_ for group in groups for id_ in group["codings"]} == {None, *TensorCoding}
    assert {id_ for window in windows for id_ in window["codings"]} == {None, *TensorCoding} - {TensorCoding.CONTEXT}
    assert {id_ for window in windows for id_ in window["mask_codings"]} == set(MaskCoding)
    assert {group["blob_coding"] for group in groups} == {None, *BlobCoding}
    assert {group["inheritance"] for group in groups} == set(Inheritance)
    infos = [Decoder(io.BytesIO(bytes_of(name)), device="cpu").info for name in NAMES]
    assert {info.chroma for info in infos} == {0, 1, 2, 3} and any(info.is_rgb for info in infos)
    assert {info.bit_depth for info in infos} == {8, 10} and {int(info.color.range) for info in infos} == {0, 1, 2}
    assert any(info.width % 2 and info.height % 2 and info.chroma == 1 for info in infos)
    assert any(info.rotation for info in infos) and any(info.rate is None for info in infos)
    assert any(info.rate and info.time_base != 1 / Fraction(info.rate) for info in infos)
    uneven = [np.diff(entry["groups"][0]["pts"]).tolist() for entry in EXPECTED.values()]
    assert any(len(set(steps)) > 1 for steps in uneven)
    assert any(len({group["frames"][1] for group in entry["groups"]}) > 1 for entry in EXPECTED.values())
    models = [model for name in NAMES for model in Reader(io.BytesIO(bytes_of(name))).models.values()]
    assert {model.model_id for model in models} >= set(MODELS)
    assert {model.origin for model in models} == set(Origin) - {Origin.PRIOR}
    chains = [record.chain for record in Reader(io.BytesIO(bytes_of("yuv422p10_two_chains"))).groups()]
    assert set(chains) == {0, 1}
    assert len(Reader(io.BytesIO(bytes_of("yuv420p10_models"))).index) == 4


def test_the_reference_decoder_as_a_program(tmp_path):
    for name, option in (("yuv422p10_two_chains", "--y4m"), ("rgb8", "--raw")):
        data, out = bytes_of(name), tmp_path / f"{name}.out"
        command = [sys.executable, "-m", "tools.refdec", str(FOLDER / f"{name}.nvc"), option, str(out)]
        done = subprocess.run([*command, "--frames", "1:4"], cwd=ROOT, capture_output=True, text=True, check=True)
        groups = reference(data, 1, 4)
        assert [line.split()[1] for line in done.stdout.splitlines()] == [str(g.record.number) for g in groups]
        assert all(line.endswith(" same") for line in done.stdout.splitlines())
        frames = [planes for group in reference(data) for planes in group.frames][1:4]
        raw = [b"".join(plane.tobytes() for plane in planes) for planes in frames]
        if option == "--raw":
            assert out.read_bytes() == b"".join(raw)
        else:
            head, *rest = out.read_bytes().split(b"FRAME\n")
            assert rest == raw and head.startswith(b"YUV4MPEG2 W9 H7 F30000:1001 Ip A4:3 C422p10")
    damaged = tmp_path / "damaged.nvc"
    damaged.write_bytes(bytes_of("worked")[:-1])
    command = [sys.executable, "-m", "tools.refdec", str(damaged)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "refdec: truncated" in done.stderr and len(done.stdout.splitlines()) == 2


def test_a_prior_is_the_same_to_both(tmp_path, monkeypatch):
    """The smallest vector of model 5 again, with the integers of its first group as a prior."""
    first = next(group for group in reference(bytes_of("mc_tiny")))
    prior = priors.pack(first.state.integers)
    name = priors.digest(prior)
    monkeypatch.setattr(priors, "PATHS", [tmp_path])
    monkeypatch.setattr(network, "PRIORS", tmp_path)
    plan = VECTORS_BY_NAME["mc_tiny"]
    groups = (dataclasses.replace(plan.groups[0], change=nothing), *plan.groups[1:])
    vector = dataclasses.replace(plan, groups=groups, origin=Origin.PRIOR, prior=name)
    with pytest.raises(FeatureError, match=name.hex()):
        build(vector)
    path = tmp_path / f"{name.hex()}.bin"
    path.write_bytes(prior)
    data = build(vector)
    found = reference(data)
    assert len(data) < 1100 and all(not {2, 3} & set(group.record.sections) for group in found)
    assert found[0].state.digest() == first.state.digest()
    assert [p.tobytes() for p in found[0].frames[1]] == [p.tobytes() for p in first.frames[1]]
    decoded = list(Decoder(io.BytesIO(data), device="cpu").groups())
    assert [group.check for group in decoded] == [Check.EXACT] * 2
    for damage, error, kind in ((prior[:-2], MalformedError, "malformed"), (prior[:-1], MalformedError, "malformed")):
        (tmp_path / f"{priors.digest(damage).hex()}.bin").write_bytes(damage)
        other = rename_prior(data, name, priors.digest(damage))
        with pytest.raises(error):
            list(Decoder(io.BytesIO(other), device="cpu").groups())
        with pytest.raises(Refused, match=kind):
            reference(other)
    path.write_bytes(prior[:-1] + b"?")  # of another digest
    with pytest.raises(FeatureError):
        list(Decoder(io.BytesIO(data), device="cpu").groups())
    with pytest.raises(Refused, match="feature"):
        reference(data)


def rename_prior(data, name, new):
    """The file with another name of its prior and a right checksum."""
    start, stop = next((start, stop) for kind, start, stop in spans(data) if kind == b"MODL")
    return data[:start] + raw_chunk(b"MODL", data[start + 14 : stop - 4].replace(name, new)) + data[stop:]


# The reference decoder's own parts ------------------------------------------------------------------------------------


def test_tables_of_both_are_equal():
    from nvcodec.entropy import tables

    assert tuple(LAPLACE_DECAY) == tables._LAPLACE_DECAY
    for k_max in tables.K_CHOICES:
        for z, d in [(z, d) for z in range(0, 64, 3) for d in range(0, 48, 5)] + [(63, 47), (0, 0), (24, 1)]:
            assert cumulative(z, d, k_max) == tables.cdf_row(z, d, k_max).tolist()
    assert [masks.cumulative(d) for d in range(64)] == mask_codings.cumulative().tolist()
    for row in range(laplace.ROWS):
        assert reference_rans.cumulative(row) == laplace.cdf(row).tolist()


@pytest.mark.parametrize("shape", [(1,), (40,), (9, 11), (3, 5, 3, 3), (300, 250)])
def test_masks_of_both_are_equal(shape, monkeypatch):
    monkeypatch.setenv("NVCODEC_CODER", "builtin")
    noise = np.random.default_rng(len(shape))
    odds = noise.random(shape[0])[:, None] ** 3 * noise.random(int(np.prod(shape[1:])))
    for density in (0, 0.01, 0.5, 1, odds.reshape(shape)):
        made = [noise.random(shape) < density, noise.random((7, 2)) < 0.5]
        data = entropy_masks.encode_masks(made)
        for found in (entropy_masks.decode_masks([shape, (7, 2)], data), masks.decode_masks([shape, (7, 2)], data)[0]):
            assert all(np.array_equal(a, b) for a, b in zip(found, made, strict=True))


@pytest.mark.parametrize("level", [1, 19])
@pytest.mark.parametrize("size", [1, 200, 5000, 140000])
def test_the_reference_inflates_zstandard(level, size):
    zstandard = pytest.importorskip("zstandard")
    noise = np.random.default_rng(size)
    for data in (
        noise.integers(0, 256, size, dtype=np.uint8),
        noise.geometric(0.2, size).astype(np.uint8),
        np.cumsum(noise.integers(-1, 2, size)).astype(np.uint8),
        np.where(noise.random(size) < 0.02, noise.integers(0, 9, size), 0).astype(np.uint8),
        np.zeros(size, np.uint8),
    ):
        packed = zstandard.ZstdCompressor(level=level).compress(data.tobytes())
        assert zstd.decompress(packed, size) == data.tobytes()


def test_a_damaged_blob_is_refused_by_both():
    """Or both read the same: Zstandard's library does not check the ends of streams of literals, the reference does."""
    from nvcodec.errors import FormatError
    from tools.refdec.decoder import unpack_blob

    values = np.where(np.arange(60) % 7 == 0, np.arange(60), 0).astype(np.float32)
    data = blobs.pack_floats([values], None)
    assert data[0] != BlobCoding.STORED
    for bit in range(8, 8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        outcomes = []
        try:
            outcomes.append(blobs._decompress(bytes(damaged), 240))
        except FormatError:
            outcomes.append(None)
        try:
            outcomes.append(unpack_blob(bytes(damaged), 240)[0])
        except Refused:
            outcomes.append(None)
        assert outcomes[0] == outcomes[1] or None in outcomes
