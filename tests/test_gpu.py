"""What only a machine with a GPU can show: its pixels are those of the CPU, in class F within one code value.

`make test-gpu` runs them.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from nvcodec.decode.decoder import Check, Decoder
from nvcodec.encode.encoder import encode
from nvcodec.encode.settings import EncodeSettings
from nvcodec.models.motion import HIGH, LOW, Reference, moved

pytestmark = pytest.mark.gpu
BUNNY = Path(__file__).parent / "data" / "bunny_320x180.mp4"


@pytest.fixture(autouse=True)
def needs_cuda():
    if not torch.cuda.is_available():
        pytest.fail("no CUDA device: `make test-gpu` is for machines that have one")


@pytest.mark.parametrize("name", ["mc", "mc_10bit", "mc_gray", "mc_tiny"])
def test_coded_frames_are_the_same_to_the_bit(name):
    with open(Path(__file__).parent / "vectors" / f"{name}.nvc", "rb") as file:
        assert {group.check for group in Decoder(file, device="cuda").groups()} == {Check.EXACT}


def test_moved_references_are_the_same_to_the_bit():
    """Wherever displacements lead."""
    random = np.random.default_rng(0)
    pictures = torch.from_numpy(random.integers(LOW, HIGH + 1, (2, 6, 24, 40))).float()
    fields = torch.from_numpy(random.choice([-4095, -70, -3, 0, 5, 161, 4095], (2, 2, 3, 5))).float()
    cpu, cuda = (moved([Reference(pictures.to(where))], [fields.to(where)])[0].cpu() for where in ("cpu", "cuda"))
    assert torch.equal(cpu, cuda)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_devices_agree_within_one_code_value(tmp_path, device):
    encode(BUNNY, tmp_path / "a.nvc", EncodeSettings(model="nirvana", preset="ultrafast", stop=16, device=device))
    pictures = {}
    for where in ("cpu", "cuda"):
        with open(tmp_path / "a.nvc", "rb") as file:
            groups = list(Decoder(file, device=where).groups())
        assert all(group.check is not Check.WRONG for group in groups)
        pictures[where] = [frame for group in groups for frame in group.frames]
    for a, b in zip(pictures["cpu"], pictures["cuda"], strict=True):
        for p, q in zip(a.planes, b.planes, strict=True):
            assert np.abs(p.astype(int) - q.astype(int)).max() <= 1
