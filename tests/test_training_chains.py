"""Training the network of predicted frames on chains of frames, and the tool that does it."""

import signal

import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing
from click.testing import CliRunner
from clip_samples import BUNNY, CITY
from mc_samples import own_package
from torch import distributed

from nvcodec.encode.networks import mc as network
from nvcodec.models import priors
from nvcodec.models.mc import McConfig
from nvcodec.training import analysis
from nvcodec.training.excerpts import load_clip
from nvcodec.training.prior import Prior, export, restore
from tools import prior_runs, train_chains

SMALL = McConfig(
    flow=4, width=6, half=4, coarse=3, middle=2, fine=4, intra_width=6, intra_half=4, intra_coarse=3, intra_middle=2,
    intra_low=2, intra_medium=1, intra_high=2,
)  # fmt: skip


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of its own with a small prior that has learned nothing."""
    own_package(tmp_path, monkeypatch)
    monkeypatch.setattr(network, "PRIOR", export(Prior(SMALL, 5), priors.PATHS[0], analysis.FOLDER))
    monkeypatch.setattr(train_chains, "McConfig", lambda: SMALL)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


def gathered(package):
    clip = load_clip(BUNNY, package / "cache", 160, 20)
    return train_chains.gather([clip], 1, 0, prior_runs.Interrupt())


def test_groups_of_chains(package, monkeypatch):
    """Two in a row, the second one carried on; some of them are held back."""
    monkeypatch.setattr(train_chains, "HELD_BACK", 2)
    (first,), (second,) = gathered(package)
    assert (first.model.rows, first.model.columns) == (6, 10)
    used = [{r for place in group.predicted for r in place.references} for group in (first, second)]
    assert -1 not in used[0] and -1 in used[1] and all(place.depth > 0 for place in first.predicted)


def test_training_makes_chains_cheaper(package):
    learned, _ = gathered(package)
    prior = restore(network.PRIOR, SMALL)
    before = {name: value.detach().clone() for name, value in prior.named_parameters()}
    trainer = train_chains.ChainTrainer(prior, learned, 2.0)
    costs = [trainer.cost(group) for group in learned]
    for n in range(60):
        trainer.step(n / 60)
    assert sum(trainer.cost(group) for group in learned) < 0.98 * sum(costs)
    moved = {name for name, value in prior.named_parameters() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith("values.inter_") for name in moved)
    assert not any(name.endswith(("_steps", "_start")) for name in moved)


def one_of_two(number, folder):
    """A process that learns from one of two clips."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=number, world_size=2)
    own = folder / str(number)
    own.mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch:
        own_package(own, monkeypatch)
        monkeypatch.setattr(network, "PRIOR", export(Prior(SMALL, 5), priors.PATHS[0], analysis.FOLDER))
        monkeypatch.setattr(train_chains, "McConfig", lambda: SMALL)
        clips = [load_clip(path, folder / "cache", 160, 20) for path in (BUNNY, CITY)]
        learned, _ = train_chains.gather(clips, 1, 0, prior_runs.Interrupt())
        trainer = train_chains.ChainTrainer(restore(network.PRIOR, SMALL), learned, 2.0)
        costs = [trainer.step(0.0) for _ in range(3)]
    weights = {name: value.detach().numpy() for name, value in trainer.prior.named_parameters()}
    np.savez(folder / f"{number}.npz", costs=costs, **weights)
    distributed.destroy_process_group()


def test_processes_learn_from_their_own_clips_and_stay_alike(tmp_path):
    for path in (BUNNY, CITY):
        load_clip(path, tmp_path / "cache", 160, 20)
    multiprocessing.spawn(one_of_two, (tmp_path,), 2)
    first, second = (dict(np.load(tmp_path / f"{number}.npz")) for number in range(2))
    assert not np.any(first.pop("costs") == second.pop("costs")), "of other groups"
    assert all(np.array_equal(first[name], second[name]) for name in first)
    began = dict(Prior(SMALL, 5).named_parameters())
    assert any(not np.array_equal(first[name], value.detach().numpy()) for name, value in began.items())


def run(package, *words):
    words = BUNNY, "--cache", package / "cache", "--frames", 20, "--longest", 160, "--threads", 1, "--rounds", 1, *words
    return CliRunner().invoke(train_chains.main, [str(word) for word in words])


def test_the_tool_trains_and_releases(package):
    before = priors.load(network.PRIOR, Prior(SMALL).model.tensors)
    done = run(package, "--minutes", 0.1, "--every", 5, "--rate", 2)
    assert done.exit_code == 0, done.output
    assert "held back" in done.output and "12.5" in done.output and "step 5 " in done.output
    name = (package / "mc.py").read_text().split('PRIOR = bytes.fromhex("')[1][:16]
    assert name != network.PRIOR.hex()
    tensors = Prior(SMALL).model.tensors
    after = priors.load(bytes.fromhex(name), tensors)
    changed = {t.name for t, a, b in zip(tensors, before, after, strict=True) if not np.array_equal(a, b)}
    assert changed and all(name.startswith("inter.") and not name.endswith((".steps", ".start")) for name in changed)
    analysis.load_analyses(bytes.fromhex(name), SMALL)


def test_an_interrupted_run_changes_nothing(package, monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda number, catch: catch(number, None))
    done = run(package, "--minutes", 1)
    assert done.exit_code != 0 and len(list(priors.PATHS[0].iterdir())) == 1
