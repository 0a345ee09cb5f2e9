"""Several processes that train the same weights."""

import pytest
import torch
import torch.multiprocessing as multiprocessing
from torch import distributed

from nvcodec.training import together


def one_of_two(number, folder):
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=number, world_size=2)
    assert (together.processes(), together.rank()) == (2, number)
    gradients = [torch.full((2, 3), float(number)), torch.full((4,), 2.0 - number)]
    together.share(gradients)
    assert [g.unique().item() for g in gradients] == [0.5, 1.5]
    assert together.furthest(0.25 + number / 2) == 0.75
    assert together.furthest((together.STOPPED, 0.1)[number]) == together.STOPPED
    assert together.mean([[1.0, 2.0, 6.0], [7.0]][number]) == 4
    assert together.mean([[], [3.0]][number]) == 3 and together.mean([]) == 0
    together.end()
    assert together.processes() == 1


def test_what_two_processes_share(tmp_path):
    multiprocessing.spawn(one_of_two, (tmp_path,), 2)


def test_one_alone():
    together.begin()
    assert (together.processes(), together.rank()) == (1, 0)
    gradient = torch.arange(4.0)
    together.share([gradient])
    assert torch.equal(gradient, torch.arange(4.0))
    assert together.furthest(0.3) == 0.3
    assert together.mean([1.0, 2.0]) == pytest.approx(1.5) and together.mean([]) == 0
    together.end()
