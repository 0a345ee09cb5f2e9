"""The package as a library."""

import io
import subprocess
import sys

import numpy as np
import pytest
from nvc_samples import FRAMES, FRESH, GROUP_FRAMES, SIZE, tiny_nvc

import nvcodec
from nvcodec.errors import ChecksumError, NotNvcError, SourceError, TruncatedError, UsageError


@pytest.fixture(scope="module")
def data():
    return tiny_nvc(meta={"title": "tiny"})


@pytest.fixture
def path(tmp_path, data):
    path = tmp_path / "tiny.nvc"
    path.write_bytes(data[0])
    return path


def test_everything_named_is_there():
    for name in nvcodec.__all__:
        assert getattr(nvcodec, name) is not None and name in dir(nvcodec)
    with pytest.raises(AttributeError):
        nvcodec.nothing  # noqa: B018


@pytest.mark.parametrize(
    "first", ["from nvcodec.decode.decoder import Decoder", "import nvcodec.decode.decoder as d", "import nvcodec.api"]
)
def test_decode_is_a_function_and_a_package(path, first):
    """In whatever order the two are met."""
    code = f"{first}\nimport sys, nvcodec\nprint(len(list(nvcodec.decode(sys.argv[1]))))\n"
    code += "import nvcodec.decode.render as r\nfrom nvcodec.decode import state\nprint(nvcodec.decode.render is r)"
    result = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert result.stdout.split() == [str(FRAMES), "True"], result.stderr


def test_encode_is_a_function_too():
    from nvcodec.encode import settings

    assert nvcodec.EncodeSettings is settings.EncodeSettings
    with pytest.raises(SourceError):
        nvcodec.encode("there is no such file", "out.nvc")


def test_decode(path, data):
    frames = list(nvcodec.decode(path))
    assert [frame.pts for frame in frames] == list(range(FRAMES))
    assert frames[0].planes[0].shape == SIZE[::-1] and frames[0].planes[0].dtype == np.uint8
    part = list(nvcodec.decode(io.BytesIO(data[0]), start=3, stop=6))
    assert all(a.same_pixels(b) for a, b in zip(part, frames[3:6], strict=True))
    assert [frame.pts for frame in part] == [3, 4, 5]


def test_decode_reports_what_is_wrong_with_the_header_at_once(tmp_path, data):
    with pytest.raises(SourceError):
        nvcodec.decode(tmp_path / "nothing.nvc")
    with pytest.raises(NotNvcError):
        nvcodec.decode(io.BytesIO(b"RIFF and so on, and on"))
    cut = nvcodec.decode(io.BytesIO(data[0][: data[1][3]]))
    with pytest.raises(TruncatedError):
        list(cut)


def test_open(path):
    with nvcodec.open(path, device="cpu") as video:
        assert (video.info.width, video.info.height) == SIZE
        assert (video.frame_count, video.device, video.complete) == (FRAMES, "cpu", True)
        groups = list(video.groups())
        assert [len(group.frames) for group in groups] == list(GROUP_FRAMES)
        assert [g.record.number for g in groups if g.record.random_access] == list(FRESH)
        assert {group.check.value for group in groups} == {"exact"}
        assert len(list(video)) == FRAMES  # a second time
        with pytest.raises(UsageError):
            list(video.frames(FRAMES))
    with pytest.raises(ValueError, match="closed"):
        list(video)


def test_recover(data):
    damaged = bytearray(data[0])
    damaged[data[1][1] + 40] ^= 1
    with pytest.raises(ChecksumError):
        list(nvcodec.decode(io.BytesIO(damaged)))
    assert [frame.pts for frame in nvcodec.decode(io.BytesIO(damaged), recover=True)] == [0, 1, 4, 5, 6]
    video = nvcodec.open(io.BytesIO(damaged), recover=True)
    list(video.frames())
    assert any("lost" in line for line in video.damage)
    assert video.damage == [str(found) for found in video.findings] and isinstance(video.damage[0], str)


def test_info(path, data):
    for file in (path, str(path), io.BytesIO(data[0])):
        info = nvcodec.info(file)
        assert (info.frames, len(info.groups), info.complete, info.damage) == (FRAMES, len(GROUP_FRAMES), True, ())
        assert info.size == len(data[0]) and info.meta == {"title": "tiny"}
        assert info.models[0].settings["patch"] == 8
    assert not nvcodec.info(io.BytesIO(data[0][: data[1][2] + 9])).complete
