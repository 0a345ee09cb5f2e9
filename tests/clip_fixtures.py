"""A small clip for whole encodes, loaded by tests as a plugin."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from nvcodec.media.sink import open_sink
from nvcodec.media.source import open_source
from nvcodec.video import Frame

BUNNY = Path(__file__).parent / "data" / "bunny_320x180.mp4"


def write_clip(path, width, height):
    """Eleven frames of the excerpt, cropped, as y4m."""
    with open_source(BUNNY) as source:
        frames = [frame for frame, _ in zip(source, range(11), strict=False)]
        info = dataclasses.replace(source.info, width=width, height=height)
    with open_sink(path, info) as sink:
        for frame in frames:
            planes = tuple(
                np.ascontiguousarray(p[40 : 40 + h, 60 : 60 + w])
                for p, (h, w) in zip(frame.planes, info.plane_shapes, strict=True)
            )
            sink.write(Frame(planes, frame.pts))
    return path


@pytest.fixture(scope="module")
def small_clip(tmp_path_factory):
    """53 x 31."""
    return write_clip(tmp_path_factory.mktemp("clip") / "small.y4m", 53, 31)
