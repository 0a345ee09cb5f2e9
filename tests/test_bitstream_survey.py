"""Where the bytes went: every one is attributed."""

import io

import pytest
from bitstream_samples import (
    GROUPS,
    META,
    MODEL,
    VIDEO,
    Pipe,
    parts,
    raw_chunk,
    spans,
    tiny_file,
)

from nvcodec.bitstream.registry import Inheritance, SectionKind
from nvcodec.bitstream.survey import scan

PREVIOUS = Inheritance.PREVIOUS


def join(*pieces):
    return b"".join(pieces)


def test_survey_of_a_whole_file():
    data = tiny_file()
    survey = scan(io.BytesIO(data))
    assert survey.size == len(data) and survey.complete and not survey.damage
    assert survey.frames == 7 and survey.meta == META and survey.models == {0: MODEL}
    assert survey.usage == {
        "header": 28,
        "framing": 18 * 9,
        "video": 44,
        "metadata": len(b'{"title":"tiny"}'),
        "models": len(MODEL.pack()),
        "groups": sum(len(g.pack(VIDEO)) - 4 for g in GROUPS),
        "steps": 4,
        "symbols": 12,
        "index": len(parts()[-2]) - 18,
        "end": 16,
    }
    sizes = [stop - start for kind, start, stop in spans(data) if kind == b"GRUP"]
    assert [g.size for g in survey.groups] == sizes
    assert survey.groups[1].sections == {SectionKind.STEPS: 1, SectionKind.SYMBOLS: 3}
    assert survey.groups[3].inheritance == PREVIOUS and survey.groups[3].chain == 1


@pytest.mark.parametrize("pipe", [False, True])
def test_every_byte_of_any_file_is_accounted_for(pipe):
    pieces = parts()
    whole = join(*pieces[:3], raw_chunk(b"xtra", b"12345", 1), *pieces[3:]) + b"tail"
    files = [whole, *(whole[:cut] for cut in range(spans(tiny_file())[0][2], len(whole)))]
    for place in range(spans(tiny_file())[0][2], len(whole)):
        files.append(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
    for data in files:
        survey = scan(Pipe(data, 64) if pipe else io.BytesIO(data))
        assert survey.size == len(data), survey.usage
        assert bool(survey.damage) or data == whole[:-4]
        assert survey.damage == tuple(found.text for found in survey.findings)
