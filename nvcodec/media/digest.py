"""Frames to checksums: a text file of one MD5 per frame, for comparing decoders without storing pixels."""

from __future__ import annotations

import hashlib

from nvcodec.media.base import ByteTarget, Sink, check_frame
from nvcodec.media.y4m import frame_parts
from nvcodec.video import Frame, VideoInfo


class Md5Sink(Sink):
    """Writes "frame NUMBER PTS MD5" for each frame, then "total FRAMES MD5".

    MD5 is taken over the bytes that y4m would hold: planes in order, 16-bit samples little-endian. PTS is in units of
    the video's time base.
    """

    def __init__(self, path: str, info: VideoInfo) -> None:
        super().__init__(info)
        self._count = 0
        self._total = hashlib.md5(usedforsecurity=False)
        self._target = ByteTarget(path)
        self._open = True

    def write(self, frame: Frame) -> None:
        check_frame(frame, self.info)
        one = hashlib.md5(usedforsecurity=False)
        for part in frame_parts(frame):
            one.update(part)
            self._total.update(part)
        self._target.write(f"frame {self._count} {frame.pts} {one.hexdigest()}\n".encode("ascii"))
        self._count += 1

    def close(self) -> None:
        if self._open:
            self._open = False
            self._target.write(f"total {self._count} {self._total.hexdigest()}\n".encode("ascii"))
            self._target.close()

    def abort(self) -> None:
        self._open = False
        self._target.abort()
