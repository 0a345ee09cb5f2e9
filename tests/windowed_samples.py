"""A small file with windows, and where everything in it is."""

from bitstream_samples import WINDOWED, parts, spans, tiny_file

from nvcodec.bitstream.group_records import GroupRecord, WindowRecord

WHOLE = tiny_file(groups=WINDOWED)
SPANS = spans(WHOLE)
PARTS = parts(WHOLE)
HEAD, VIDI, _, MODL, *BODY, INDX, FEND = PARTS
GROUPS = tuple(record for record in WINDOWED if isinstance(record, GroupRecord))
WINDOWS = tuple(record for record in WINDOWED if isinstance(record, WindowRecord))
OF_GROUP = [next((w for w in WINDOWS if g.in_window and w.covers(g.number)), None) for g in GROUPS]
STARTS = {kind: [start for found, start, _ in SPANS if found == kind] for kind in (b"GRUP", b"WNDW")}
VIDEO_END = SPANS[0][2]


def after_model(*chunks):
    """A file with its video and its model, and these chunks after them."""
    return b"".join((HEAD, VIDI, MODL, *chunks))
