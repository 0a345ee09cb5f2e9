"""The table of vectors, each planned group by group; between them they use every id of the format."""

from __future__ import annotations

import dataclasses

import numpy as np

from nvcodec.bitstream.frames import CodedFrame
from nvcodec.bitstream.records import VideoRecord
from nvcodec.bitstream.registry import Origin
from nvcodec.models.enerv import EnervConfig
from nvcodec.models.hnerv import HnervConfig
from nvcodec.models.mc import McConfig
from nvcodec.models.nerv import NervConfig
from nvcodec.models.nirvana import NirvanaConfig
from tools.vector_changes import (
    again,
    codings,
    every_mask,
    everywhere,
    far,
    float_moves,
    here_and_there,
    nothing,
    one_value,
    plain_floats,
    random_floats,
    some,
)
from tools.vector_frames import changes_again, coded, random_network, some_changes
from tools.vector_plans import Plan, Vector, WindowPlan

VIDEO = VideoRecord(4, 2, 8, 1, (1, 25), rate=(25, 1))
TINY = NirvanaConfig(patch=2, group=2, width=1, depth=1, channels=2, block_channels=1, omega=30, conv_float=0)
SMALL = NirvanaConfig(patch=4, group=3, width=6, depth=2, channels=2, block_channels=2, omega=30, conv_float=0)
MC = McConfig(5, 4, 4, 4, 3, 2, 2, 4, 3, 2, 2, 2, 1, 1)


def ticks(start: int, count: int, step: int = 1) -> tuple[int, ...]:
    """Timestamps of a constant rate."""
    return tuple(range(start, start + count * step, step))


VECTORS_BY_NAME: dict[str, Vector] = {
    "worked": Vector(
        VIDEO, ((TINY, 7),),
        (Plan(ticks(0, 2), here_and_there("worked/0", 40, 3)), Plan(ticks(2, 1), here_and_there("worked/1", 2, 9))),
    ),
    "gray8_chain": Vector(
        dataclasses.replace(VIDEO, width=7, height=5, chroma=0),
        ((SMALL, 1),),
        (
            Plan(ticks(0, 3), everywhere("gray/0", 9)),
            Plan(ticks(3, 3), here_and_there("gray/1")),
            Plan(ticks(6, 3), here_and_there("gray/2"), steps=-1),
            Plan(ticks(9, 1), nothing),
        ),
    ),
    "yuv422p10_two_chains": Vector(
        dataclasses.replace(
            VIDEO, width=9, height=7, bit_depth=10, chroma=2, matrix=1, primaries=1, transfer=1, range=1,
            chroma_location=1, time_base=(1, 90000), rate=(30000, 1001), rotation=90, sample_aspect=(4, 3),
        ),
        ((SMALL, 2**32 - 1),),
        (
            Plan((-6000, -2997, 4), everywhere("422/0", 20)),
            Plan((3007, 7000, 9000), here_and_there("422/1"), steps=3),
            Plan((9001, 12004), everywhere("422/2", 20), new_chain=True),
            Plan((15007, 18010, 90000), here_and_there("422/3")),
            Plan((90001,), everywhere("422/4"), fresh=True),
        ),
    ),
    "yuv444p8_floats": Vector(
        dataclasses.replace(VIDEO, width=8, height=8, chroma=3, matrix=9, range=2),
        ((dataclasses.replace(SMALL, conv_float=1), 3),),
        (
            Plan(ticks(0, 2), here_and_there("444/0", 9), floats=plain_floats("444/0")),
            Plan(ticks(2, 2), here_and_there("444/1"), floats=float_moves("444/1", 1, 1)),
            Plan(ticks(4, 2), here_and_there("444/2"), floats=float_moves("444/2", 3, 20)),
            Plan(ticks(6, 2), here_and_there("444/3"), floats=random_floats("444/3")),
        ),
    ),
    "rgb8": Vector(
        dataclasses.replace(VIDEO, width=5, height=6, chroma=3, matrix=0),
        ((SMALL, 4),),
        (Plan(ticks(0, 3), everywhere("rgb/0", 12)), Plan(ticks(3, 2), here_and_there("rgb/1"))),
    ),
    "yuv420p10_models": Vector(
        dataclasses.replace(VIDEO, width=5, height=3, bit_depth=10, rate=(0, 0), matrix=8),
        ((SMALL, 5), (dataclasses.replace(TINY, patch=6, group=1), 6)),
        (
            Plan((0, 1, 2), everywhere("models/0")),
            Plan((10,), everywhere("models/1"), model=1, fresh=True),
            Plan((11,), here_and_there("models/2"), model=1),
            Plan((12, 20), everywhere("models/3"), fresh=True),
        ),
        meta={"title": "two networks", "vector": True},
        late_models=True,
    ),
    "codings": Vector(
        dataclasses.replace(VIDEO, chroma=0),
        ((NirvanaConfig(4, 1, 12, 2, 4, 3, 30, 0), 8),),
        (Plan((0,), codings), Plan((1,), again("mask", "codings/1", 30)), Plan((2,), again("mask", "codings/2", 30))),
    ),
    "escapes": Vector(
        dataclasses.replace(VIDEO, chroma=0, range=2), ((TINY, 9),),
        (Plan((0,), far), Plan((1,), everywhere("far/1", 900))),
    ),
    "blocks": Vector(
        dataclasses.replace(VIDEO, chroma=0), ((dataclasses.replace(TINY, width=260, depth=2), 10),),
        (Plan((0, 1), one_value(-5)),),
    ),
    "nerv": Vector(
        dataclasses.replace(VIDEO, width=13, height=7), ((NervConfig(3, 3, 4, 5, 125, 2, 20, 3, 2, 0, 0, 0, 0), 11),),
        (
            Plan(ticks(0, 3), everywhere("nerv/0", 20)),
            Plan(ticks(3, 3), here_and_there("nerv/1"), steps=1),
            Plan(ticks(6, 2), here_and_there("nerv/2", 9, 20)),
        ),
    ),
    "hnerv": Vector(
        dataclasses.replace(VIDEO, width=11, height=9, chroma=3),
        ((HnervConfig(4, 4, 2, 3, 12, 2, 2, 1, 0, 0, 0), 12),),
        (
            Plan(ticks(0, 4), everywhere("hnerv/0", 90)),
            Plan(ticks(4, 3), here_and_there("hnerv/1")),
            Plan(ticks(7, 1), everywhere("hnerv/2", 90), fresh=True),
        ),
    ),
    "enerv": Vector(
        dataclasses.replace(VIDEO, width=12, height=5, bit_depth=10, matrix=1),
        ((EnervConfig(2, 4, 3, 4, 150, 2, 2, 20, 3, 1, 0, 0, 0, 0), 13),),
        (Plan(ticks(0, 2), everywhere("enerv/0", 20)), Plan(ticks(2, 2), here_and_there("enerv/1"))),
    ),
    "worked_window": Vector(
        VIDEO, ((dataclasses.replace(TINY, group=1), 0),),
        (
            Plan(ticks(0, 1), here_and_there("shared/1", 200, 2),
                 window=WindowPlan(2, some("shared", 2, (0, 3, 4, 5, 6)), here_and_there("shared/0", 250, 2))),
            Plan(ticks(1, 1), here_and_there("shared/2", 3, 9)),
        ),
        origin=Origin.ZERO,
    ),
    "window_masks": Vector(
        dataclasses.replace(VIDEO, chroma=0),
        ((NirvanaConfig(4, 3, 12, 2, 4, 3, 30, 0), 14),),
        (
            Plan(ticks(0, 2), codings, window=WindowPlan(3, every_mask, codings)),
            Plan(ticks(2, 1), again("mask", "masks/1", 30)),
            Plan(ticks(3, 3), again("mask", "masks/2", 30), steps=1),
        ),
    ),
    "window_hnerv": Vector(
        dataclasses.replace(VIDEO, width=11, height=9, chroma=3),
        ((HnervConfig(3, 4, 2, 3, 12, 2, 2, 1, 0, 0, 0), 15),),
        (
            Plan(ticks(0, 3), here_and_there("shared/hnerv/1", 60),
                 window=WindowPlan(3, some("shared/hnerv", 3, range(1, 9)), everywhere("shared/hnerv/0", 20))),
            Plan(ticks(3, 3), here_and_there("shared/hnerv/2", 60), fresh=True, steps=-1),
            Plan(ticks(6, 2), here_and_there("shared/hnerv/3", 9, 20)),
            Plan(ticks(8, 1), here_and_there("shared/hnerv/4", 60), fresh=True),
        ),
        origin=Origin.ZERO,
    ),
    "window_floats": Vector(
        dataclasses.replace(VIDEO, width=8, height=8, chroma=3, matrix=9, range=2),
        ((dataclasses.replace(SMALL, conv_float=1), 16),),
        (
            Plan(ticks(0, 2), here_and_there("shared/f/1", 9), floats=plain_floats("shared/f/1"),
                 window=WindowPlan(2, some("shared/f", 3), here_and_there("shared/f/0", 9))),
            Plan(ticks(2, 2), here_and_there("shared/f/2"), floats=float_moves("shared/f/2", 3, 20)),
        ),
    ),
    "window_blocks": Vector(
        dataclasses.replace(VIDEO, chroma=0), ((dataclasses.replace(TINY, width=260, depth=2), 10),),
        (
            Plan((0,), one_value(7),
                 window=WindowPlan(1, lambda number, shape: one_value(-5)(number, shape) == 1, one_value(-5))),
        ),
    ),
    "windows": Vector(
        dataclasses.replace(VIDEO, width=7, height=5, chroma=0),
        ((SMALL, 17), (dataclasses.replace(TINY, patch=6, group=1), 18)),
        (
            Plan(ticks(0, 1), everywhere("windows/0", 9)),
            Plan(ticks(1, 2), here_and_there("windows/1"),
                 window=WindowPlan(2, some("windows"), everywhere("windows/shared", 9))),
            Plan(ticks(3, 2), here_and_there("windows/2")),
            Plan(ticks(5, 2), here_and_there("windows/3")),
            Plan(ticks(7, 1), everywhere("windows/4", 9), fresh=True),
            Plan(ticks(8, 1), here_and_there("windows/5"), model=1, new_chain=True,
                 window=WindowPlan(1, lambda _, shape: np.ones(shape, np.bool_), everywhere("windows/all", 9))),
            Plan(ticks(9, 1), here_and_there("windows/6"), model=1,
                 window=WindowPlan(2, some("windows/last"), everywhere("windows/more", 9))),
            Plan(ticks(10, 3), here_and_there("windows/7"), model=1, fresh=True),
        ),
        late_models=True,
    ),
    "mc": Vector(
        dataclasses.replace(VIDEO, width=61, height=45), ((MC, 0),),
        (
            Plan(ticks(0, 5), random_network("mc/0"), frames=coded("mc/0", 20, (0, 4, 9), split=2)),
            Plan(ticks(5, 4), some_changes("mc/1"), frames=coded(
                "mc/1", 30, (0, 80), {1: CodedFrame(True), 0: CodedFrame(False, (True, False, False), 63)}, 3, 1)),
            Plan(ticks(9, 1), nothing, frames=coded("mc/2", 95)),
            Plan(ticks(10, 5), nothing, frames=coded("mc/3", 40, (0, 3, 3, 9), split=1, halves=True)),
            Plan(ticks(15, 1), nothing, frames=coded("mc/4", 50, halves=True)),
        ),
        origin=Origin.ZERO,
    ),
    "mc_10bit": Vector(
        dataclasses.replace(VIDEO, width=130, height=10, bit_depth=10, range=2), ((MC, 0),),
        (
            Plan(ticks(0, 3), random_network("mc/10"), frames=coded(
                "mc/10/0", 0, (3,), {1: CodedFrame(False, (False, True, False))}, 256)),
            Plan(ticks(3, 4), nothing, frames=coded("mc/10/1", 10, (0, 0, 1, 2))),
            Plan(ticks(7, 1), changes_again("mc/10/2", "mc/10"), frames=coded("mc/10/2", 10)),
        ),
        origin=Origin.ZERO,
    ),
    "mc_gray": Vector(
        dataclasses.replace(VIDEO, width=17, height=66, chroma=0), ((MC, 0),),
        (
            Plan(ticks(0, 2), random_network("mc/gray"), frames=coded("mc/gray/0", 5, (7, 1))),
            Plan(ticks(2, 3), some_changes("mc/gray"), frames=coded(
                "mc/gray/1", 5, (), {2: CodedFrame(False, (False, False, False))})),
            Plan(ticks(5, 2), random_network("mc/gray/2"), new_chain=True, frames=coded("mc/gray/2", 5)),
        ),
        origin=Origin.ZERO,
    ),
    "mc_tiny": Vector(
        VIDEO, ((McConfig(2, *[1] * 13), 0),),
        (
            Plan(ticks(0, 2), random_network("mc/tiny"), frames=coded("mc/tiny/0", 9, (1, 2))),
            Plan(ticks(2, 1), nothing, frames=coded("mc/tiny/1")),
        ),
        origin=Origin.ZERO,
    ),
}  # fmt: skip
