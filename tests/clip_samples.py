"""Small clips of real video, as files."""

import dataclasses
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from nvcodec.media.sink import open_sink
from nvcodec.media.source import open_source
from nvcodec.video import Frame

DATA = Path(__file__).parent / "data"
BUNNY = DATA / "bunny_320x180.mp4"
CITY = DATA / "city_odd_159x89.mp4"
SHOTS = ((BUNNY, 12, (40, 60)), (CITY, 8, (20, 30)))  # a hard cut between them


def write_clip(path, width, height, shots=((BUNNY, 11, (40, 60)),)):
    """As y4m, the first frames of excerpts, of each plane what begins at (row, column)."""
    cropped = []
    for name, count, (row, column) in shots:
        with open_source(name) as source:
            info = dataclasses.replace(source.info, width=width, height=height, time_base=Fraction(1, 25))
            for frame in islice(source, count):
                cropped.append(
                    tuple(
                        np.ascontiguousarray(p[row : row + h, column : column + w])
                        for p, (h, w) in zip(frame.planes, info.plane_shapes, strict=True)
                    )
                )
    with open_sink(path, info) as sink:
        for number, planes in enumerate(cropped):
            sink.write(Frame(planes, number))
    return path
