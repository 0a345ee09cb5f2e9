"""Small clips for whole encodes, loaded by tests as a plugin."""

import pytest
from clip_samples import SHOTS, write_clip


@pytest.fixture(scope="module")
def small_clip(tmp_path_factory):
    """53 x 31."""
    return write_clip(tmp_path_factory.mktemp("clip") / "small.y4m", 53, 31)


@pytest.fixture(scope="module")
def cut_clip(tmp_path_factory):
    """Two scenes of 12 and 8 frames, 40 x 24."""
    return write_clip(tmp_path_factory.mktemp("clip") / "cut.y4m", 40, 24, SHOTS)
