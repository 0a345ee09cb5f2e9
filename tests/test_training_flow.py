"""The flow network is trained on displacements that an encoder chose, and nothing else changes."""

import signal

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from clip_samples import BUNNY
from mc_samples import own_package, weights_of

from nvcodec.encode.networks import mc as network
from nvcodec.encode.symbols import Writer
from nvcodec.models import priors
from nvcodec.models.hints import HINTS
from nvcodec.models.mc import Mc, McConfig
from nvcodec.models.motion import CELL
from nvcodec.training import analysis
from nvcodec.training.excerpts import load_clip
from nvcodec.training.flow_fit import CodedField, FlowTrainer
from nvcodec.training.prior import Prior, export
from tools import prior_runs, train_flow

SMALL = McConfig(
    flow=6, width=8, half=8, coarse=4, middle=3, fine=2,
    intra_width=9, intra_half=7, intra_coarse=4, intra_middle=13, intra_low=5, intra_medium=6, intra_high=7,
)  # fmt: skip


def fields_of(number, seed=0):
    """Fields that are what is guessed where the hints say so, and noise elsewhere."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(number):
        guess = rng.integers(-40, 41, (1, 2, 1, 1)) * np.ones((1, 2, 5, 7), int)
        sure = rng.random((1, 1, 5, 7)) < 0.5
        values = np.where(sure, guess, guess + rng.integers(-30, 31, guess.shape))
        told = np.zeros((1, HINTS, 5, 7))
        told[:, -2] = np.where(sure, -512, 512)[:, 0]
        out.append(CodedField(*(torch.from_numpy(x).float() for x in (values, 8 * guess, told))))
    return out


def test_bits_are_nearly_those_of_a_file():
    prior = Prior(SMALL, 3)
    (field,) = fields_of(1)
    with torch.no_grad():
        computed = float(FlowTrainer(prior, [field]).bits(field))
    writer = Writer({"flow0": field.values})
    model = Mc(SMALL, 5 * CELL, 7 * CELL)
    with torch.no_grad():
        weights = weights_of(prior.model, prior.integers())
        found = model.field(weights, "flow0", field.guess, field.told, writer)
    assert torch.equal(found, field.values)
    assert computed == pytest.approx(writer.bits["flow0"], rel=0.03)


def test_hints_are_learned_and_nothing_else_moves():
    """Whether a guess holds is known from the hints alone."""
    prior, fields = Prior(SMALL, 3), fields_of(30)
    before = {name: value.detach().clone() for name, value in prior.named_parameters()}
    trainer = FlowTrainer(prior, fields, 5e-2)
    held = fields_of(8, 1)

    def bits():
        with torch.no_grad():
            return sum(float(trainer.bits(field)) for field in held)

    first = bits()
    for n in range(80):
        loss = trainer.step(n / 80)
    assert loss < 0.9 and bits() < 0.75 * first
    misled = [CodedField(f.values, f.guess, -f.told) for f in held]
    with torch.no_grad():
        assert sum(float(trainer.bits(field)) for field in misled) > 1.2 * bits()
    moved = {name for name, value in prior.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {f"values.flow_{layer}_{part}" for layer in ("near", "mid", "out") for part in ("weight", "bias")}
    prior.project()
    prior.model.check(weights_of(prior.model, prior.integers()))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of its own with a small prior that has learned nothing."""
    own_package(tmp_path, monkeypatch)
    monkeypatch.setattr(network, "PRIOR", export(Prior(SMALL, 5), priors.PATHS[0], analysis.FOLDER))
    monkeypatch.setattr(train_flow, "McConfig", lambda: SMALL)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


def run(package, *words):
    words = BUNNY, "--cache", package / "cache", "--frames", 20, "--threads", 1, "--rounds", 1, *words
    return CliRunner().invoke(train_flow.main, [str(word) for word in words])


def test_the_tool_trains_and_releases(package):
    before = priors.load(network.PRIOR, Prior(SMALL).model.tensors)
    done = run(package, "--minutes", 0.05, "--every", 5)
    assert done.exit_code == 0, done.output
    assert "held back" in done.output and "12.5" in done.output and "step 5 " in done.output
    name = (package / "mc.py").read_text().split('PRIOR = bytes.fromhex("')[1][:16]
    assert name != network.PRIOR.hex() and f"| `{name}` | mc | 16 6 8" in done.output
    tensors = Prior(SMALL).model.tensors
    after = priors.load(bytes.fromhex(name), tensors)
    changed = {t.name for t, a, b in zip(tensors, before, after, strict=True) if not np.array_equal(a, b)}
    assert changed and all(name.startswith("flow.") for name in changed)
    analysis.load_analyses(bytes.fromhex(name), SMALL)


def test_an_interrupted_run_changes_nothing(package, monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda number, catch: catch(number, None))
    done = run(package, "--minutes", 1)
    assert done.exit_code != 0 and len(list(priors.PATHS[0].iterdir())) == 1


def test_fields_are_those_of_both_groups(package, monkeypatch):
    """Of frames with a guess and without; some of them are held back."""
    monkeypatch.setattr(train_flow, "HELD_BACK", 2)
    clip = load_clip(BUNNY, package / "cache", 960, 20)
    learned, judged = train_flow.gather([clip], 1, 0, prior_runs.Interrupt())
    for field in learned + judged:
        assert field.values.shape == (1, 2, 12, 20) and field.told.shape == (1, HINTS, 12, 20)
    assert {field.guess is None for field in learned} == {True, False} and judged
    assert any(bool(field.values.any()) for field in learned)
