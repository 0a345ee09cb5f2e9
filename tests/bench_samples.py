"""What the tests of the harness share: a prepared excerpt of a real clip."""

from fractions import Fraction
from itertools import islice
from pathlib import Path

from nvcodec.media.sink import open_sink
from nvcodec.media.source import open_source
from nvcodec.video import VideoInfo

CLIP = Path(__file__).parent / "data/bunny_320x180.mp4"
TINY = "nvcodec:ultrafast,model=nirvana,width=8,steps_first=4,steps_next=2,group=4"


def write_y4m(path, frames):
    """The first frames of the clip, as every codec of a benchmark gets them."""
    with open_source(CLIP) as video:
        info = VideoInfo(video.info.width, video.info.height, time_base=Fraction(1, 25), rate=Fraction(25))
        with open_sink(path, info) as sink:
            for number, frame in enumerate(islice(video, frames)):
                sink.write(type(frame)(frame.planes, number))
    return path
