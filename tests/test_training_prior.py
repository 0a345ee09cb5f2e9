"""Priors are trained: excerpts are what they say, networks learn, stay exact, and end up as what encoders use."""

import dataclasses
import itertools
import math
import signal

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from clip_samples import BUNNY, CITY, write_clip
from torch.utils._python_dispatch import TorchDispatchMode

import nvcodec
from nvcodec.decode.pictures import to_picture
from nvcodec.encode import plan
from nvcodec.encode.networks import mc as network
from nvcodec.errors import MalformedError, SourceError, UsageError
from nvcodec.media.color import rgb_differences
from nvcodec.media.sink import open_sink
from nvcodec.media.source import open_source
from nvcodec.models import priors
from nvcodec.models.integer import EXACT_SUMS
from nvcodec.models.mc import Mc, McConfig
from nvcodec.training import analysis
from nvcodec.training.distortion import rgb_error
from nvcodec.training.excerpts import Batch, Excerpts, batches, load_clip
from nvcodec.training.prior import Prior, export
from nvcodec.training.prior_fit import OCTAVES, Frames, PriorTrainer, load_prior
from nvcodec.video import Chroma, ColorInfo, Frame, Range, VideoInfo
from tools import train_prior

CPU = torch.device("cpu")
SMALL = McConfig(width=8, half=8, flow=4, coarse=4, middle=3, fine=2)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return [load_clip(path, cache, 960, 9) for path in (BUNNY, CITY)]


@pytest.fixture(scope="module")
def excerpts(clips):
    return Excerpts(clips, 32, 2, 5)


def weights_of(prior):
    names = [t.name for t in prior.model.tensors]
    return {n: torch.from_numpy(q.astype(np.float32)) for n, q in zip(names, prior.integers(), strict=True)}


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


# Excerpts -------------------------------------------------------------------------------------------------------------


def test_a_clip_is_its_frames(clips):
    with open_source(BUNNY) as source:
        frames = list(itertools.islice(source, 9))
        assert len(clips[0].frames) == 9 and clips[0].size == (180, 320)
        for found, frame in zip(clips[0].frames, frames, strict=True):
            assert all(np.array_equal(found[name], plane) for name, plane in zip("yuv", frame.planes, strict=True))
    assert clips[1].size == (88, 158), "an odd row and column are cut off"


def test_clips_are_decoded_once(tmp_path, monkeypatch):
    first = load_clip(CITY, tmp_path, 960, 3)
    monkeypatch.setattr("nvcodec.training.excerpts.open_source", None)
    again = load_clip(CITY, tmp_path, 960, 3)
    assert np.array_equal(first.frames["y"], again.frames["y"]) and np.array_equal(first.rows, again.rows)
    with pytest.raises(TypeError):
        load_clip(CITY, tmp_path, 960, 4)


def test_a_clip_that_cannot_be_read_leaves_nothing(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("no video")
    with pytest.raises(SourceError):
        load_clip(path, tmp_path / "cache", 960, 3)
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(
    "info",
    [
        VideoInfo(40, 24, 10),
        VideoInfo(40, 24, 8, Chroma.GRAY),
        VideoInfo(40, 24, 8, Chroma.C422),
        VideoInfo(40, 24, 8, Chroma.C444, ColorInfo(matrix=0, range=Range.FULL)),
        VideoInfo(80, 48, 8),
    ],
)
def test_everything_becomes_8_bit_420(tmp_path, info):
    """A plain colour stays what it is."""
    peak = info.peak
    planes = [np.full(shape, value, info.dtype) for shape, value in zip(info.plane_shapes, (peak // 2,) * 3)]  # noqa: B905
    with open_sink(tmp_path / ("png" if info.is_rgb else "a.y4m"), info) as sink:
        sink.write(Frame(tuple(planes), 0))
    clip = load_clip(next(p for p in tmp_path.rglob("*") if p.is_file()), tmp_path / "cache", 40, 3)
    assert len(clip.frames) == 1 and clip.size == (24, 40)
    expected = 16 + 219 * 127 / 255 if info.is_rgb else 127.5
    assert clip.frames["y"][0] == pytest.approx(expected, abs=1)
    assert clip.frames["u"][0] == pytest.approx(128, abs=1) and clip.frames["v"].shape == (1, 12, 20)


def test_a_batch_is_of_the_clips(excerpts, clips):
    batch = excerpts.batch(3)
    shapes = {f.name: tuple(getattr(batch, f.name).shape) for f in dataclasses.fields(Batch)}
    pictures = dict.fromkeys(("single", "before", "between", "after"), (2, 6, 16, 16))
    fields = dict.fromkeys(("between_before", "between_after", "after_before"), (2, 2, 2, 2))
    assert shapes == {**pictures, "single_rows": (2, 3, 3), "rows": (2, 3, 3), **fields}
    assert float(batch.before.min()) >= -512 and float(batch.before.max()) <= 508
    assert all(torch.equal(getattr(excerpts.batch(3), name), getattr(batch, name)) for name in shapes)
    assert not torch.equal(excerpts.batch(4).before, batch.before)


def test_excerpts_are_pictures_as_coded(clips):
    """The same planes through what decoders use."""
    one = Excerpts(clips[:1], 176, 1, 0)
    info = VideoInfo(176, 176)
    found = one.batch(0).single
    wanted = []
    for frame in clips[0].frames:
        for row, column in itertools.product((0, 2, 4), range(0, 146, 2)):
            cut = frame["y"][row : row + 176, column : column + 176]
            for plane in (cut, cut[:, ::-1], cut[::-1], cut[::-1, ::-1]):
                wanted += [plane, plane.T]
    luma = torch.nn.functional.pixel_shuffle(found[:, :4], 2)[0, 0]
    planes = (luma / 4 + 128).numpy().astype(np.uint8)
    assert any(np.array_equal(planes, plane) for plane in wanted)
    chroma = [(part / 4 + 128).numpy().astype(np.uint8) for part in (found[0, 4], found[0, 5])]
    assert torch.equal(found, to_picture((planes, *chroma), info, CPU))


def test_batches_come_in_order(excerpts):
    made = batches(excerpts, 7, CPU, 2)
    for number, batch in zip(range(7, 12), made, strict=False):
        assert torch.equal(batch.after, excerpts.batch(number).after)
    made.close()


def test_excerpts_that_there_are_not(clips):
    with pytest.raises(UsageError, match="multiple of 16"):
        Excerpts(clips, 40, 1, 0)
    with pytest.raises(UsageError, match="no clip has three frames of at least 192"):
        Excerpts(clips, 192, 1, 0)
    still = dataclasses.replace(clips[0], frames=clips[0].frames[:2])
    with pytest.raises(UsageError, match="no clip"):
        Excerpts([still], 32, 1, 0)
    assert Excerpts([still, clips[1]], 32, 1, 0).batch(0)


# Networks -------------------------------------------------------------------------------------------------------------


def test_integers_are_a_network():
    prior = Prior(SMALL)
    found = prior.integers()
    assert [q.shape for q in found] == [t.shape for t in prior.model.tensors]
    prior.model.check(weights_of(prior))
    assert same(prior, Prior(SMALL)) and not same(prior, Prior(SMALL, 1))


@pytest.mark.parametrize("size", [3.0, 1e3])
def test_projection_keeps_sums_exact(size):
    """Whatever training did, and hardly more than that."""
    prior = Prior(SMALL)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in prior.values.values():
            value.copy_(torch.randn(value.shape, generator=generator) * size)
    with pytest.raises(MalformedError, match="not exact"):
        prior.model.check(weights_of(prior))
    prior.project()
    prior.model.check(weights_of(prior))
    priors.pack(prior.integers())
    weights = weights_of(prior)
    name, layer = "intra.mix2", prior.model.layers["intra.mix2"]
    rows = weights[f"{name}.weight"].abs().flatten(1).sum(1) * layer.reach + 256 * weights[f"{name}.bias"].abs()
    assert float(rows.max()) > 0.9 * EXACT_SUMS
    before = prior.integers()
    prior.project()
    assert all(np.abs(a - b).max() <= 1 for a, b in zip(before, prior.integers(), strict=True))


def test_steps_are_those_of_the_table():
    prior = Prior(SMALL)
    with torch.no_grad():
        prior.values["inter_steps"].copy_(torch.tensor([[1.0, 0.2], [0.5, -0.3], [9.0, 0.0]]))
    table = weights_of(prior)["inter.steps"]
    for quality in (0, 16, 63):
        steps = torch.cat(prior.steps(False, torch.tensor([quality / 16]))).flatten()
        assert torch.equal(table[:, quality], steps.round())
    assert float(table[1, 16] / table[1, 0]) == pytest.approx(2**0.7, rel=0.01) and float(table.max()) == 1500


def test_distortion_is_that_of_rgb():
    """Of a change of one sample, by hand: BT.709, limited range."""
    a, b = torch.zeros(2, 6, 8, 8), torch.zeros(2, 6, 8, 8)
    b[0, 0, 0, 0] = 4.0  # one code value of luma
    b[1, 5, 3, 3] = 4.0  # of Cr
    rows = torch.tensor(rgb_differences(VideoInfo(1280, 720))).expand(2, 3, 3)
    found = rgb_error((a - b) / 4, rows)
    assert float(found[0]) == pytest.approx(1 / 219**2 / 256, rel=1e-4)
    red, green = 2 * (1 - 0.2126) / 224, 2 * (1 - 0.2126) * 0.2126 / 0.7152 / 224
    assert float(found[1]) == pytest.approx(4 * (red**2 + green**2) / (3 * 256), rel=1e-4)


# Training -------------------------------------------------------------------------------------------------------------


def cost(prior, batch):
    """Mean logarithm of what is minimised, of single frames and of predicted ones, at fixed qualities."""
    trainer = PriorTrainer(prior, CPU)
    trainer._generator.manual_seed(9)
    octaves = torch.linspace(0, OCTAVES, 2)
    model, weights = Mc(prior.config, 32, 32), prior.weights()
    prediction = torch.cat((batch.before, torch.zeros_like(batch.before)), 1)
    with torch.no_grad():
        single = trainer._coded(model, weights, Frames(batch.single, None, octaves, batch.single_rows))
        moved = trainer._coded(model, weights, Frames(batch.between, prediction, octaves, batch.rows))
    return float(single.cost.log().mean()), float(moved.cost.log().mean())


def test_training_lowers_the_cost(excerpts):
    prior = Prior(SMALL)
    before = cost(prior, excerpts.batch(100))
    trainer = PriorTrainer(prior, CPU, 1e-2, 1e-2)
    for number in range(60):
        trainer.step(excerpts.batch(number), number / 60)
    after = cost(prior, excerpts.batch(100))
    assert after[0] < before[0] - 0.3 and after[1] < before[1] - 0.1
    seen = trainer.meter.take()
    assert {"intra mse", "one bpp", "two cost", "moving"} <= seen.keys() and not trainer.meter.take()
    prior.project()
    prior.model.check(weights_of(prior))


def test_everything_is_trained(excerpts):
    prior = Prior(SMALL)
    with torch.no_grad():
        for name, value in prior.analyses.named_parameters():
            if "leave" in name:  # so that no latents are all 0
                value.mul_(20)
    trainer = PriorTrainer(prior, CPU)
    before = {name: value.detach().clone() for name, value in prior.named_parameters()}
    for number in range(5):
        trainer.step(excerpts.batch(number), 0.0)
    still = [name for name, value in prior.named_parameters() if torch.equal(value, before[name])]
    assert not still


class Waits(TorchDispatchMode):
    """Counts what would make a program wait for its GPU: values that are read, and sizes that depend on them."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        if any(word in name for word in ("_local_scalar_dense", "nonzero", "masked_select", "unique", "item")):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def test_a_step_waits_for_no_device(excerpts):
    trainer = PriorTrainer(Prior(SMALL), CPU)
    with Waits() as waits:
        float(torch.ones(1).sum())
    assert waits.found
    trainer.step(excerpts.batch(0), 0.0)  # what is kept for next time is made
    with Waits() as waits:
        for number in range(1, 21):  # displacements and projection are among them
            trainer.step(excerpts.batch(number), 0.5)
    assert not waits.found


def test_a_checkpoint_goes_on_as_if_nothing_had_happened(excerpts, tmp_path):
    """But for the frames between others, which wait for a step and are not kept."""
    trainer = PriorTrainer(Prior(SMALL), CPU, seed=3)
    for number in range(3):
        trainer.step(excerpts.batch(number), 0.1)
    trainer.seconds = 12.5
    trainer.save(tmp_path / "a.npz")
    again = PriorTrainer(load_prior(tmp_path / "a.npz"), CPU, seed=3)
    again.resume(tmp_path / "a.npz")
    assert same(trainer.prior, again.prior) and again.prior.config == SMALL
    assert (again.done, again.seconds) == (3, 12.5)
    trainer._between = None
    for number in range(3, 6):
        trainer.step(excerpts.batch(number), 0.2)
        again.step(excerpts.batch(number), 0.2)
    assert same(trainer.prior, again.prior)


def test_what_is_no_checkpoint(tmp_path):
    (tmp_path / "text").write_text("x")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.savez(tmp_path / "half.npz", config=np.array(SMALL.values))
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("nowhere", "text", "other.npz", "half.npz", "array.npy"):
        with pytest.raises(SourceError, match="not a checkpoint"):
            load_prior(tmp_path / name)


# What becomes of it ---------------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Folders in place of those of the package, and a module that names the prior."""
    monkeypatch.setattr(priors, "PATHS", [tmp_path / "priors"])
    monkeypatch.setattr(analysis, "FOLDER", tmp_path / "analyses")
    module = tmp_path / "mc.py"
    module.write_text(open(network.__file__, encoding="utf-8").read())
    monkeypatch.setattr(network, "__file__", str(module))
    return tmp_path


def test_an_exported_prior_encodes(package, tmp_path, monkeypatch):
    prior = Prior(McConfig(), 4)
    name = export(prior, priors.PATHS[0], analysis.FOLDER)
    loaded = priors.load(name, prior.model.tensors)
    assert all(np.array_equal(a, b) for a, b in zip(loaded, prior.integers(), strict=True))
    found, target = analysis.load_analyses(name, prior.config), torch.full((1, 6, 16, 16), 300.0)
    with torch.no_grad():
        for level, value in prior.analyses(target, None).items():
            assert torch.allclose(found(target, None)[level], value, rtol=0.01, atol=0.5)
    monkeypatch.setattr(plan, "PRIOR", name)
    clip = write_clip(tmp_path / "a.y4m", 64, 48)
    settings = nvcodec.EncodeSettings(
        model="mc", preset="ultrafast", psnr=20.0, stop=3, steps_first=1, steps_next=1, threads=1
    )
    report = nvcodec.encode(clip, tmp_path / "a.nvc", settings)
    with nvcodec.open(tmp_path / "a.nvc") as video:
        assert len(list(video.frames())) == 3
    assert nvcodec.info(tmp_path / "a.nvc").models[0].prior == name and report is not None


def run(*words):
    return CliRunner().invoke(train_prior.main, [str(word) for word in words])


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Arguments of a short run, of a small network, which leaves signals as they are."""
    monkeypatch.setattr(train_prior, "McConfig", lambda: SMALL)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    threads = torch.get_num_threads()
    yield (
        BUNNY.parent, "--checkpoint", tmp_path / "a.npz", "--cache", tmp_path / "cache", "--crop", 32, "--batch", 1,
        "--device", "cpu", "--frames", 5, "--threads", 1, "--every", 2,
    )  # fmt: skip
    torch.set_num_threads(threads)


def test_the_tool_trains_and_goes_on(quick, package, tmp_path):
    done = run(*quick, "--steps", 4)
    assert done.exit_code == 0, done.output
    assert "left out: " in done.output and "ATTRIBUTION.md" in done.output
    assert "50.0%" not in done.output and "step 4" in done.output and "a.npz: 4 steps in" in done.output
    again = run(*quick, "--steps", 6, "--export")
    assert again.exit_code == 0, again.output
    assert "step 6" in again.output and "step 2" not in again.output
    (path,) = priors.PATHS[0].iterdir()
    assert f'PRIOR = bytes.fromhex("{path.stem}")' in (package / "mc.py").read_text()
    assert f"| `{path.stem}` | mc | 16 8 8 4 4 3 2 | {path.stat().st_size} |" in again.output
    other = run(*(tmp_path / "b.npz" if word == tmp_path / "a.npz" else word for word in quick),
                "--steps", 1, "--from", tmp_path / "a.npz")  # fmt: skip
    assert other.exit_code == 0 and "b.npz: 1 steps in" in other.output


def test_the_tool_stops_at_a_signal(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda number, catch: catch(number, None))
    done = run(*quick, "--minutes", 10)
    assert done.exit_code == 130 and "0 steps" in done.output and (tmp_path / "a.npz").is_file()


def test_what_the_tool_refuses(quick, tmp_path):
    for words, why in (
        (quick, "say how long"),
        (quick[1:3], "no clips to train on"),
        ((*quick[1:3], "--export"), "not a checkpoint"),
        ((*quick, "--steps", 1, "--crop", 33), "multiple of 16"),
    ):
        done = run(*words)
        assert done.exit_code == 1 and why in done.output, done.output


def test_progress_is_told(excerpts):
    trainer = PriorTrainer(Prior(SMALL), CPU)
    trainer.step(excerpts.batch(0), 0.0)
    told = train_prior.line(trainer, 0.25)
    assert (
        told.startswith(" 25.0%  step 1") and "intra" in told and "two" not in told and math.isfinite(trainer.seconds)
    )
