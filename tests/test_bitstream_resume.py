"""Going on with a file that was cut, at every byte."""

import io

import pytest
from bitstream_samples import (
    GROUPS,
    META,
    MODEL,
    spans,
    tiny_file,
)

from nvcodec.bitstream.container import Writer
from nvcodec.errors import (
    ChecksumError,
    TruncatedError,
)


def test_resume_at_every_cut_gives_the_same_file(tmp_path):
    whole = tiny_file()
    least = spans(whole)[0][2]
    path = tmp_path / "cut.nvc"
    for cut in range(least, len(whole) + 1):
        path.write_bytes(whole[:cut])
        with open(path, "r+b") as file:
            writer = Writer.resume(file)
            assert writer.bytes_written <= cut and writer.bytes_written == path.stat().st_size
            if cut < spans(whole)[1][2]:
                writer.write_meta(META)
            if cut < spans(whole)[2][2]:
                writer.write_model(MODEL)
            for record in GROUPS[writer.groups :]:
                writer.write_group(record)
            assert (writer.groups, writer.frames) == (4, 7)
            writer.finish()
        assert path.read_bytes() == whole, cut


def test_resume_refuses_what_it_cannot_go_on_with():
    whole = tiny_file()
    for cut in range(spans(whole)[0][2]):
        file = io.BytesIO(whole[:cut])
        with pytest.raises(TruncatedError):
            Writer.resume(file)
        assert file.getvalue() == whole[:cut]
    damaged = bytearray(whole)
    damaged[spans(whole)[4][1] + 20] ^= 1
    file = io.BytesIO(damaged)
    with pytest.raises(ChecksumError):
        Writer.resume(file)
    assert file.getvalue() == damaged
