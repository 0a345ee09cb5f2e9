"""The frames of a group as they were coded once, played again under other networks with the same symbols.

A network that is fitted to a group changes the frames that others are predicted from: what suits predictions from the
frames of before makes each of a chain of frames worse than the last (docs/experiments.md). So predictions are made
again every few steps.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from nvcodec.bitstream.frames import quality_of_depth
from nvcodec.decode.parts import References
from nvcodec.decode.pictures import Planes, to_picture, to_planes
from nvcodec.encode.frame_fit import CodedFrames
from nvcodec.models.base import Weights
from nvcodec.models.hierarchy import CARRIED, coding_order
from nvcodec.models.integer import EXACT
from nvcodec.models.mc import Mc
from nvcodec.models.motion import predict
from nvcodec.training.adaptation import Example, excerpts_of
from nvcodec.training.frames import Distortion
from nvcodec.video import Frame, VideoInfo


class Replay:
    """One group. carried: the last frame of the group before, if it follows one. chance: where excerpts lie.

    predicted: the places of the frames that are, in coding order.
    """

    def __init__(
        self,
        model: Mc,
        frames: Sequence[Frame],
        carried: Planes | None,
        coded: CodedFrames,
        distortion: Distortion,
        info: VideoInfo,
        device: torch.device,
        chance: random.Random,
    ) -> None:
        self.model, self.distortion = model, distortion
        self._info, self._device = info, device
        self._chance, self._section, self._latents = chance, coded.section, coded.latents
        self._order = coding_order(len(frames), carried is not None, coded.section.halves)
        self.predicted = [p for p in self._order if coded.latents[p.frame].fields]
        self._targets = [frame.planes for frame in frames]
        predicted = {p.frame for p in self.predicted}
        self._known = {n: planes for n, planes in enumerate(coded.planes) if n not in predicted}
        if carried is not None:
            self._known[CARRIED] = carried

    @torch.no_grad()
    def play(self, weights: Weights) -> tuple[float, list[Example]]:
        """What the predicted frames cost, pixels D / lambda + R in bits without those of displacements, and excerpts of
        them, each with its prediction."""
        shown = dict(self._known)
        references = References(lambda frame: to_picture(shown[frame], self._info, self._device), self._info)
        size = self._info.height, self._info.width
        cost, examples = 0.0, []
        for place in self.predicted:
            latents = self._latents[place.frame]
            frame = Example(
                target=to_picture(self._targets[place.frame], self._info, self._device),
                prediction=predict([references[r] for r in place.references], latents.fields),
                latents=latents.latents,
                levels=tuple(level for level, values in latents.latents.items() if bool(values.any())),
                size=size,
                quality=quality_of_depth(self._section.quality, self._section.offsets, place.depth),
                pixels=size[0] * size[1],
            )
            picture, bits = frame.coded(self.model, weights, self.distortion, EXACT)
            cost += float(bits)
            shown[place.frame] = to_planes(picture, self._info)
            examples += excerpts_of(frame, self._chance)
        return cost, examples
