"""What every way of coding a group begins and ends with: its place, its record, and a report of what its bytes gave."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from nvcodec.bitstream import chunks
from nvcodec.bitstream.group_records import GroupRecord, Sections
from nvcodec.bitstream.records import VideoRecord
from nvcodec.bitstream.registry import Inheritance
from nvcodec.decode import render
from nvcodec.encode.report import GroupReport
from nvcodec.media.color import stack_planes, to_rgb
from nvcodec.metrics import PsnrMeter, bpp, psnr_from_mse
from nvcodec.video import Frame, Plane, VideoInfo


@dataclass(frozen=True)
class Place:
    """Where a group stands."""

    number: int
    chain: int
    model: int
    first_frame: int
    inheritance: Inheritance

    @property
    def random_access(self) -> bool:
        """Whether it decodes without the groups before."""
        return self.inheritance in (Inheritance.NONE, Inheritance.WINDOW)


@dataclass(frozen=True)
class Costs:
    """What a group took, beside its bytes; fields as in GroupReport. mse: of the training loss, of RGB in [0, 1].

    psnr_training: None where the decoded frames were found to be those that training saw, sample for sample.
    """

    psnr_training: float | None
    mse: float
    bits_per_tensor: dict[str, float]
    lam: float
    steps: int
    seconds_training: float
    seconds_coding: float


def new_record(place: Place, frames: Sequence[Frame], sections: Sections) -> GroupRecord:
    """The record of a group, without hash and means: those are of decoded samples."""
    return GroupRecord(
        number=place.number,
        chain=place.chain,
        model=place.model,
        inheritance=place.inheritance,
        first_frame=place.first_frame,
        pts=tuple(frame.pts for frame in frames),
        pixel_hash=bytes(8),
        means=(0,) * len(frames[0].planes),
        sections=sections,
    )


def size_of(record: GroupRecord, video: VideoRecord) -> int:
    """Bytes of its chunk."""
    return len(record.pack(video)) + chunks.OVERHEAD


def checked(
    record: GroupRecord,
    planes: Sequence[tuple[Plane, ...]],
    frames: Sequence[Frame],
    video: VideoRecord,
    info: VideoInfo,
    device: torch.device,
    costs: Costs,
    began: float,
) -> tuple[GroupRecord, GroupReport]:
    """The record with hash and means, and the report, of a group that was decoded from its bytes.

    planes: decoded; frames: the source's. began: when the check did, by time.perf_counter.
    """
    record = replace(record, pixel_hash=render.pixel_hash(planes), means=render.plane_means(planes))
    meter = PsnrMeter(info.peak)
    rows = [compare(meter, frame, found, info, device) for frame, found in zip(frames, planes, strict=True)]
    size = size_of(record, video)
    sizes = {section.kind.name.lower(): len(section.data) for section in record.sections}
    psnr = meter.rgb_mean_over_frames()
    report = GroupReport(
        number=record.number,
        chain=record.chain,
        random_access=record.random_access,
        inheritance=record.inheritance.name.lower(),
        first_frame=record.first_frame,
        frames=len(frames),
        psnr=psnr,
        psnr_frames=tuple(rows),
        psnr_planes=meter.planes_mean_over_frames(),
        psnr_training=psnr if costs.psnr_training is None else costs.psnr_training,
        psnr_loss=psnr_from_mse(costs.mse),
        bytes=size,
        bytes_by_kind={**sizes, "headers": size - sum(sizes.values())},
        bits_per_tensor=costs.bits_per_tensor,
        bpp=bpp(size, len(frames), info.width, info.height),
        lam=costs.lam,
        steps=costs.steps,
        seconds_training=costs.seconds_training,
        seconds_coding=costs.seconds_coding,
        seconds_checking=time.perf_counter() - began,
    )
    return record, report


def compare(meter: PsnrMeter, frame: Frame, planes: tuple[Plane, ...], info: VideoInfo, device: torch.device) -> float:
    """RGB PSNR of `planes`, which were decoded, against one frame; both are added to the meter."""
    pair = [to_rgb(stack_planes([f], device), info)[0].cpu().numpy() for f in (frame, Frame(planes, 0))]
    return meter.add((pair[0], pair[1]), (frame.planes, planes)).rgb
