"""Hints for the laws of displacements: the same from every way of working them out, and what they should say."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nvcodec.models import hints as module  # noqa: E402
from nvcodec.models.hints import DEPTHS, HINTS, hints  # noqa: E402
from nvcodec.models.integer import BOUND, UNIT  # noqa: E402
from nvcodec.models.motion import CELL, Reference  # noqa: E402
from tools.refdec.motion import hints_of  # noqa: E402


def reference(seed, rows, columns, most=512):
    rng = np.random.default_rng(seed)
    return Reference(torch.from_numpy(rng.integers(-most, most, (1, 6, rows * 8, columns * 8))).float())


@given(
    st.integers(1, 4), st.integers(1, 4), st.integers(1, 2), st.integers(0, 2**32 - 1), st.sampled_from([5, 90, 4095]),
    st.integers(1, 8), st.integers(0, 95), st.integers(0, 1),
)  # fmt: skip
def test_all_ways_agree(rows, columns, number, seed, most, depth, quality, second):
    """The loop, tensors, and the independent decoder; far beyond the edges too."""
    references = [reference(seed + n, rows, columns) for n in range(number)]
    through = np.random.default_rng(seed).integers(-most, most + 1, (1, 2, rows, columns))
    field = torch.from_numpy(through).float()
    found = hints(references, field, depth, quality, second)
    assert found.shape == (1, HINTS, rows, columns) and found.dtype == torch.float32
    pictures = [[r.planes[0][0, 0].numpy().astype(np.int64)] for r in references]
    assert np.array_equal(found[0].numpy(), hints_of(pictures, through[0], depth, quality, second))
    differences, slopes = module._measured([r.half for r in references], field.long())
    levels = [module._level(slopes, module.SLOPES)]
    if number == 2:
        levels.insert(0, module._level(differences, module.DIFFERENCES))
    assert torch.equal(found[:, -len(levels) :], torch.stack(levels, 1).clamp(-BOUND, BOUND))


@pytest.mark.parametrize("depth", [1, 2, 5, 9])
def test_what_they_say(depth):
    """Of a motion that a guess hits, and of one that it misses; of depth, quality and number."""
    rng = np.random.default_rng(0)
    rows, columns, shift = 4, 5, 8  # luma samples, from the frame to each side
    wide = np.kron(rng.integers(-500, 500, (rows * 8, columns * 8 + 2 * shift)), np.ones((2, 1)))  # (2 h, w)
    luma = [wide[:, n : n + columns * CELL // 2] for n in (0, 2 * shift)]
    pictures = []
    for plane in luma:
        whole = np.repeat(plane, 2, 1)
        cells = [whole[m::2, n::2] for m in range(2) for n in range(2)]
        pictures.append(Reference(torch.from_numpy(np.stack([*cells, *cells[:2]]))[None].float()))
    right = torch.zeros(1, 2, rows, columns)
    right[:, 0] = 4 * 2 * shift  # quarter samples: the first reference shows what is 2 * shift to the right here
    hit, missed = (hints(pictures, field, depth, 60, 1) for field in (right, torch.zeros_like(right)))
    assert (hit[0, -2, 1:-1, 2:-2] == -UNIT).all() and (missed[0, -2] > 2 * UNIT).all()
    assert (hit[0, 0] == 12 * 16).all() and (hit[0, 1] == UNIT).all()
    which = torch.zeros(DEPTHS)
    which[min(depth, DEPTHS) - 1] = UNIT
    assert torch.equal(hit[0, 2 : 2 + DEPTHS, 0, 0], which)


def test_flat_pictures_have_no_slopes():
    flat = [Reference(torch.full((1, 6, 16, 16), 100.0 * n)) for n in (1, 2)]
    found = hints(flat, torch.zeros(1, 2, 2, 2), 2, 48, 0)
    assert (found[0, -1] == -UNIT).all(), "log2(1 + 0), less one"
    # 400 between sums of four samples is a mean difference of 100.
    assert (found[0, -2] - (256 * np.log2(101) - UNIT)).abs().max() < 24
    alone = hints(flat[:1], torch.zeros(1, 2, 2, 2), 2, 48, 0)
    assert not alone[0, -2].any()
