"""A real .nvc file of a few frames, encoded in a second or two, that tests of measuring share."""

import functools
from pathlib import Path

import nvcodec

BUNNY = Path(__file__).parent / "data" / "bunny_320x180.mp4"
CITY = Path(__file__).parent / "data" / "city_odd_159x89.mp4"


@functools.cache
def excerpt(folder, start=8, stop=12, name="excerpt.nvc"):
    """The path of an .nvc file of frames start .. stop - 1 of BUNNY, each group of two frames from scratch."""
    path = Path(folder) / name
    settings = nvcodec.EncodeSettings(
        preset="ultrafast", bpp=0.3, start=start, stop=stop, group=2, keyint=1, steps_first=6, steps_next=3, threads=1,
    )  # fmt: skip
    nvcodec.encode(BUNNY, path, settings)
    return path
