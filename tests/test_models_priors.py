"""Priors: found by name, checked, and cut into the tensors of a model."""

import numpy as np
import pytest

from nvcodec.bitstream.registry import Origin
from nvcodec.decode.state import initial_state
from nvcodec.errors import FeatureError, MalformedError
from nvcodec.models import priors
from nvcodec.models.base import FLOAT32, LATENT, TensorSpec

TENSORS = (
    TensorSpec("a", LATENT, (2, 3), 0, 1.0),
    TensorSpec("float", FLOAT32, (4,), 0, 1.0),
    TensorSpec("b", LATENT, (2,), 0, 1.0),
)
VALUES = np.array([1, -2, 3, 32767, -32768, 0, 258, -1], "<i2")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(priors, "PATHS", [tmp_path / "nowhere", tmp_path])
    return tmp_path


def store(folder, data):
    name = priors.digest(data)
    (folder / f"{name.hex()}.bin").write_bytes(data)
    return name


def test_the_name_is_blake2b():
    assert priors.digest(b"").hex() == "e4a6a0577479b2b4"
    assert len(priors.digest(b"x")) == 8


def test_values_go_to_tensors_in_wire_order(folder):
    name = store(folder, VALUES.tobytes())
    a, b = priors.load(name, TENSORS)
    assert a.dtype == b.dtype == np.int32
    assert a.tolist() == [[1, -2, 3], [32767, -32768, 0]] and b.tolist() == [258, -1]
    assert priors.pack([a, b]) == VALUES.tobytes()
    state = initial_state(TENSORS, 9, Origin.PRIOR, name)
    assert state.latents[0].tolist() == a.tolist() and state.steps == (0, 0) and not state.floats[0].any()
    assert not any(x.any() for x in state.activity)


def test_one_that_is_not_there(folder):
    with pytest.raises(FeatureError, match="needs prior 0102030405060708, which this release does not have"):
        priors.load(bytes(range(1, 9)), TENSORS)


def test_one_that_was_damaged_is_not_there(folder):
    name = store(folder, VALUES.tobytes())
    path = folder / f"{name.hex()}.bin"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(FeatureError, match=name.hex()):
        priors.load(name, TENSORS)


@pytest.mark.parametrize("size", [0, 2, 14, 15, 17, 18])
def test_one_of_another_model(folder, size):
    name = store(folder, bytes(size))
    with pytest.raises(MalformedError, match=f"prior {name.hex()} is of {size} bytes where the model needs 16"):
        priors.load(name, TENSORS)


def test_those_of_the_release_are_whole():
    (home,) = priors.PATHS
    for path in home.glob("*"):
        assert path.name == f"{priors.digest(path.read_bytes()).hex()}.bin"
