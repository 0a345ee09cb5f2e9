"""A second decoder of .nvc files, written from `bitstream_spec.md` alone: Python's standard library and numpy.

It shares no code with the nvcodec package and favours plainness over speed; tests hold the two against each other.
Section numbers in the modules are those of the specification.

    container   bytes -> records, with every rule that can be checked without decoding       (sections 2-7)
    entropy     tables and symbols sections -> integers                                      (sections 8-10)
    masks       mask sections -> which elements a window shares                              (section 9)
    zstd        Zstandard frames, as RFC 8878 has them                                       (section 11)
    nirvana, framewise    weights -> RGB, of each network; layers: what they share           (sections 14, 15)
    network     integers -> weights -> RGB -> planes                                         (sections 12-15, 17)
    rans        Laplace rows and the passes of a stream                                      (sections 8, 10)
    mc, frames  the network of coded frames, and a group of them                             (section 16)
    decoder     a file -> groups of frames                                                   (sections 7, 18)

    python -m tools.refdec FILE.nvc [--frames A:B] [--y4m OUT | --raw OUT]
"""

from .container import Refused
from .decoder import decode

__all__ = ["Refused", "decode"]
