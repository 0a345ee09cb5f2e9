"""The specification says what the code does: worked example, limits, registry, tables, constants of the model."""

import hashlib
import re
import sys
from dataclasses import fields
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nvcodec import limits  # noqa: E402
from nvcodec.bitstream import chunks, frames, header, registry  # noqa: E402
from nvcodec.bitstream.records import VideoRecord  # noqa: E402
from nvcodec.entropy import blobs, codings, context, laplace, mask_codings, rans, tables  # noqa: E402
from nvcodec.media import color  # noqa: E402
from nvcodec.models import (  # noqa: E402
    enerv,
    framewise,
    hierarchy,
    hints,
    integer,
    latents,
    mc,
    motion,
    nirvana,
    priors,
    weights,
)
from nvcodec.models.base import create_frame_model  # noqa: E402
from tools import make_vectors  # noqa: E402
from tools.annotate import annotate, collect, explain  # noqa: E402
from tools.refdec import network  # noqa: E402
from tools.vector_plans import build  # noqa: E402
from tools.vector_table import VECTORS_BY_NAME  # noqa: E402

TEXT = (ROOT / "bitstream_spec.md").read_text(encoding="utf-8")
NOT_IN_FILES = {"MAX_Y4M_HEADER_BYTES"}
"""Limits of other inputs than .nvc files."""
MC = mc.McConfig(1, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)


def section(number):
    """The text of one numbered section, subsections included."""
    match = re.search(rf"^#+ {re.escape(number)} .*?(?=^#{{1,{2 + number.count('.')}}} |\Z)", TEXT, flags=re.M | re.S)
    assert match, number
    return match.group()


def rows(text):
    """Cells of all table rows."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def integers(text):
    return [int(word) for word in re.findall(r"-?\d+", text)]


def value(text):
    """2^15, 2^32 - 1 or 256."""
    power = re.fullmatch(r"(\d+)\^(\d+)( - 1)?", text)
    return int(power[1]) ** int(power[2]) - bool(power[3]) if power else int(text)


# The worked example ---------------------------------------------------------------------------------------------------


def test_the_worked_example_is_the_file_byte_for_byte():
    listing = section("25").split("```text\n")[1].split("```")[0]
    data = (ROOT / "tests" / "vectors" / "worked.nvc").read_bytes()
    assert collect(listing) == data
    assert listing == annotate(data)


def test_the_worked_example_is_what_the_encoder_writes(monkeypatch):
    monkeypatch.setenv("NVCODEC_CODER", "builtin")
    data = build(VECTORS_BY_NAME["worked"])
    listing = section("25").split("```text\n")[1].split("```")[0]
    assert collect(listing) == data
    assert make_vectors.worked_example(data) in TEXT and explain(data) in TEXT


def test_the_worked_window_is_what_the_encoder_writes(monkeypatch):
    monkeypatch.setenv("NVCODEC_CODER", "builtin")
    data = build(VECTORS_BY_NAME["worked_window"])
    assert data == (ROOT / "tests" / "vectors" / "worked_window.nvc").read_bytes() == collect(annotate(data))
    listing = section("25").split("```text\n")[3].split("```")[0]
    assert collect(listing) in data and listing in annotate(data)
    assert make_vectors.worked_window(data) in TEXT


def test_the_quoted_bytes_are_in_the_worked_examples():
    for quote, listing in (("tables section of the second group", 1), ("header of the mask section", 3)):
        quoted = re.search(f"{quote}, `([0-9a-f ]+)`", TEXT)[1]
        assert quoted in section("25").split("```text\n")[listing]


# Numbers --------------------------------------------------------------------------------------------------------------


def test_limits_are_those_of_the_code():
    written = {name: value(number) for name, number, *_ in rows(section("21")) if name.startswith("MAX_")}
    coded = {name: getattr(limits, name) for name in vars(limits) if name.startswith("MAX_")}
    assert written == {name: number for name, number in coded.items() if name not in NOT_IN_FILES}
    assert set(re.findall(r"MAX_[A-Z_]+", TEXT)) <= set(coded)


def test_registry_ids_are_those_of_the_code():
    written = {}
    for registry_name, id_, name, _ in rows(section("24.3"))[2:]:
        written.setdefault(registry_name, {})[int(id_)] = name
    ids = {
        "exactness": registry.Exactness,
        "origin": registry.Origin,
        "inheritance": registry.Inheritance,
        "tensor kind": registry.TensorKind,
        "section": registry.SectionKind,
        "tensor coding": registry.TensorCoding,
        "mask coding": registry.MaskCoding,
        "blob coding": registry.BlobCoding,
    }
    coded = {name: {int(id_): id_.name for id_ in members} for name, members in ids.items()}
    coded["model"] = {entry.id: entry.name for entry in registry.MODELS.values()}
    assert written == coded


def test_ids_in_the_sections_are_those_of_the_registry():
    for place, members in (("9.3", registry.TensorCoding), ("9.6", registry.MaskCoding), ("11", registry.BlobCoding)):
        assert [(int(r[0]), r[1]) for r in rows(section(place))[2:]] == [(int(m), m.name) for m in members]
    names = {name: getattr(codings, name) for name in registry.TensorCoding.__members__}
    assert names == dict(registry.TensorCoding.__members__)
    names = {name: getattr(mask_codings, name) for name in registry.MaskCoding.__members__}
    assert names == dict(registry.MaskCoding.__members__)
    assert [blobs.STORED, blobs.ZSTD, blobs.LZMA] == list(registry.BlobCoding)


def test_headers_and_chunks():
    written = {r[1]: r for r in rows(section("4.1"))}
    assert bytes.fromhex(written["magic"][3]) == header.MAGIC
    assert (int(written["major"][3]), int(written["minor"][3])) == header.VERSION
    assert f"version {header.VERSION[0]}.{header.VERSION[1]}" in TEXT.splitlines()[0]
    types = {r[0].strip("`").encode(): r[1] == "1" for r in rows(section("4.3"))[2:]}
    assert types == {kind: kind in chunks.ANCILLARY_TYPES for kind in chunks.KNOWN_TYPES}
    last = rows(section("5"))[-1]
    assert int(last[0]) + 8 == VideoRecord.SIZE == chunks.FIXED_LENGTHS[chunks.VIDEO]


def test_tables_and_thresholds():
    assert tuple(integers(re.search(r"Q = \((.*)\)", section("8.2"))[1])) == tables.QUARTER_OCTAVES
    decays = integers(re.search(r"D\[34\.\.63\] = (.*)", section("8.3"))[1])
    assert (0,) * 34 + tuple(decays) == tables._LAPLACE_DECAY
    assert tuple(integers(re.search(r"K = ([\d, ]+) for", section("9.2"))[1])) == tables.K_CHOICES
    thresholds = re.search(r"thresholds that a\s+reaches:\s+([\d, ]+)\.", section("9.5"))[1]
    assert tuple(integers(thresholds)) == context.THRESHOLDS
    numbers = integers(section("12.3").split("M = ")[1].split("\n\n")[0])
    assert tuple(numbers) == weights._SIGNIFICANDS
    low, high = re.search(r"in (-\d+) \.\. (\d+)\.", section("12.2")).groups()
    assert (int(low), int(high)) == (weights.MIN_STEP_INDEX, weights.MAX_STEP_INDEX)
    constants = [int(word, 16) for word in re.findall(r"0x[0-9A-F]{16}", section("12.1"))]
    assert constants == [weights._GOLDEN, *weights._MIX]


def test_model_1():
    names = [r[0] for r in rows(section("14.1"))[2:]]
    assert tuple(names) == registry.MODELS[1].fields
    config = nirvana.NirvanaConfig(depth=3, conv_float=1)
    table = [(r[0], r[1], int(r[3])) for r in rows(section("14.2"))[2:]]
    (first, hidden, rest) = table[:2], table[2:4], table[4:]
    specs = nirvana.tensor_specs(config)
    assert [radius for _, _, radius in first + hidden + hidden + rest] == [spec.radius for spec in specs]
    assert [kind == "conv" for _, kind, _ in first + hidden + hidden + rest] == [spec.kind == 1 for spec in specs]
    assert set(re.findall(r"= ([\d.]+) (?:sin|cos)", section("14.4"))) == {str(nirvana.TIME_AMPLITUDE)}


def test_models_2_to_4():
    table = rows(section("15.1"))[2:]
    for id_ in (2, 3, 4):
        names = [name.strip() for r in table if str(id_) in r[2].split() for name in r[0].split(",")]
        assert tuple(names) == registry.MODELS[id_].fields
    assert f"radius {framewise.RADIUS}" in section("15") and f"1 .. {framewise.MAX_STRIDE}, then" in section("15.1")
    assert f"<= 2^{framewise.MAX_FREQUENCY.bit_length() - 1} |" in section("15.1")
    assert f"at most {enerv.MAX_TOKENS}." in section("15.2") and f"+ {enerv.NORM_FLOOR})" in section("15.6")


def test_laplace_rows():
    text = section("8.5")
    lines = re.findall(r"R\[\d+\.\.\d+\] += (.*)", text)
    assert tuple(n for line in lines for n in integers(line)) == laplace._DECAY
    tables = np.concatenate([laplace.cdf(row) for row in range(laplace.ROWS)]).astype("<u4")
    assert hashlib.sha256(tables.tobytes()).hexdigest() == re.search(r"`([0-9a-f]{64})`", text)[1]
    flat = text.replace("\n", " ")
    for row in (67, 67 + laplace.HEAVY):
        written = re.search(rf"[Rr]ow {row} \(s = 8, f = 3, K = \d+\) is C = \(([\d, ]+)\)", flat)
        assert integers(written[1]) == laplace.cdf(row).tolist()
    short, long = re.search(r"K is 1 for s = 0 \.\. 8, then ([\d ]+) for s = 9 \.\. (29), then 63", flat).groups()
    written = [1] * 9 + integers(short) + [63] * (47 - int(long))
    heavy, last = re.search(r"it is ([\d ]+) for s = 0 \.\. (\d+), then 63", flat).groups()
    written += integers(heavy) + [63] * (47 - int(last))
    assert written == laplace.reach(np.arange(2 * laplace.SCALES) * 8).tolist()
    assert f"min(s + {laplace.TAIL_SCALES}, {laplace.SCALES - 1})" in text and f"div 2^{laplace.TAIL_SHARE} +" in text
    assert f"rows {laplace.HEAVY} .. {laplace.ROWS - 1}" in text


def test_rans():
    text = section("10.5")
    rows_ = [(0, 67, 144, 383), (), (151, 240, 200)]
    values = [(0, 1, -3, 300), (), (12, -70, 5)]
    assert str(rows_[0]) in text and str(rows_[2]) in text and str(values[0]) in text and str(values[2]) in text
    encoder = rans.Encoder()
    for row, value in zip(rows_, values, strict=True):
        encoder.put(np.array(row, dtype=np.int64), np.array(value, dtype=np.int64))
    assert bytes.fromhex(re.search(r"^ {4}(02 02 .*)$", text, flags=re.M)[1]) == encoder.finish(2)
    assert bytes.fromhex(re.search(r"the payload is ([0-9a-f ]+)\.", text)[1]) == rans.Encoder().finish(1)
    assert f"1 .. {rans.MAX_LANES}" in section("10.3") and f"of order {rans.ESCAPE_ORDER}," in section("10.3")


def test_priors():
    table = {r[0].strip("`"): r[1:] for r in rows(section("12.5"))[2:]}
    assert [network.PRIORS] == priors.PATHS and set(table) == {path.stem for path in network.PRIORS.glob("*.bin")}
    for digest, (model, config, size) in table.items():
        tensors = create_frame_model(model, integers(config), 16, 16).tensors
        assert sum(q.size for q in priors.load(bytes.fromhex(digest), tensors)) == int(size) // 2


def test_configuration_of_model_5():
    table = rows(section("16.1"))[2:]
    assert tuple(r[0] for r in table) == registry.MODELS[5].fields == tuple(f.name for f in fields(mc.McConfig))
    assert [r[2] for r in table] == ["1 .. 4096"] + ["1 .. 256"] * 13
    largest = re.search(r"m is the greatest of (\d+) and,.* (\d+) h, (\d+) n\nand (\d+) c_l div 4\^l", section("16.1"))
    least, half, width, laws = map(int, largest.groups())
    for config in (MC, mc.McConfig(), mc.McConfig(1, *[1] * 13)):
        found = [least]
        for one in (config.network(True), config.network(False)):
            found += [half * one.half, width * one.width]
            found += [laws * count // 4**level for level, count in one.latents.items()]
        assert mc.Mc(config, 16, 16).activations == max(found)


def channels(text, level, symbols, group):
    """What a cell of the table of layers says. group: channels of the group."""
    if text == f"f + {hints.HINTS}":
        return symbols["f"] + hints.HINTS
    usual, _, last = text.partition(", but ")
    text = last.removesuffix(" where l is 2") if last and level == 2 else usual
    number, _, name = text.rpartition(" ")
    if text.isdigit():
        return int(text)
    return int(number or 1) * (group if name == "c" else symbols[name.replace("_l", f"_{level}")])


def test_tensors_of_model_5():
    text, table = section("16.2"), rows(section("16.1"))[2:]
    symbols = {"intra": {}, "inter": {}, "flow": {"f": MC.flow}}
    for r, number in zip(table[2:], MC.values[2:], strict=True):
        symbol, net = r[1].split(" of ")
        symbols[net][symbol] = number
    fine = [(letter, symbols["intra"].pop(f"c_3{letter}")) for letter in "abc"]
    symbols["intra"]["c_3"] = sum(count for _, count in fine)
    found = {}
    for net in ("intra", "inter"):
        found |= {f"{net}.steps": (3, mc.QUALITIES), f"{net}.start": (mc.QUALITIES, symbols[net]["n"])}
    repeated = re.search(r"repeated for l = ([\d, ]+) in intra and l = ([\d, ]+) in inter", text)
    levels = {"intra": integers(repeated[1]), "inter": integers(repeated[2]), "flow": []}
    assert "where the level has latents\n(not 2 in intra)" in text
    order = []
    for net in levels:
        mine = [r for r in rows(text)[2:] if net in r[1].split(", ")]
        parts = [(kind, list(part)) for kind, part in groupby(mine, lambda r: r[0].rpartition(": ")[0])]
        start = next((i for i, (kind, _) in enumerate(parts) if kind), 0)
        stop = start + sum(bool(kind) for kind, _ in parts)
        sequence = [(r, 0, "", 0) for _, part in parts[:start] for r in part]
        for level in levels[net]:
            for kind, part in parts[start:stop]:
                has = f"c_{level}" in symbols[net]
                if {"level": has, "group": has, "below": level != levels[net][0], "any": True}[kind]:
                    single = [("a", symbols[net].get(f"c_{level}"))]
                    groups = (fine if (net, level) == ("intra", 3) else single) if kind == "group" else [("a", 0)]
                    sequence += [(r, level, letter.strip("a"), count) for letter, count in groups for r in part]
        sequence += [(r, 0, "", 0) for _, part in parts[stop:] for r in part]
        for r, level, letter, group in sequence:
            name = r[0].rpartition(": ")[2].replace("_l", f"{level}{letter}")
            outputs, inputs = (channels(cell, level, symbols[net], group) for cell in r[2:4])
            found[f"{net}.{name}.weight"] = (outputs, inputs, int(r[4]), int(r[4]))
            found[f"{net}.{name}.bias"] = (outputs,)
            order += [name] if net == "intra" else []
    tensors = mc.Mc(MC, 16, 16).tensors
    assert list(found.items()) == [(t.name, t.shape) for t in tensors]
    listed = re.search(r"So intra has (.*?)\.\n", text, flags=re.S)[1].replace("\n", " ").split(", ")
    places = [None if name == "..." else order.index(name) for name in listed]
    assert places[0] == 0 and places[-1] == len(order) - 1
    for before, after in pairwise(places):
        assert None in (before, after) or after == before + 1


def test_model_5():
    arithmetic = section("16.3")
    assert f"-{integer.BOUND}), {integer.BOUND})" in arithmetic and "< 2^24" in arithmetic
    assert f"A is {latents.LATENT_BOUND} for" in arithmetic.replace("\n  ", " ") and integer.EXACT_SUMS == 2**24
    assert f"1/{integer.UNIT}" in arithmetic and f"1/{integer.FINE}" in arithmetic
    taps = [tuple(integers(line.split("=")[1])) for line in re.findall(r"T\[\d\] = .*", section("16.7"))]
    assert tuple(taps) == motion.TAPS
    assert f"min({frames.QUALITIES - 1}, quality" in section("16.4") and f"shape 3, {mc.QUALITIES}" in section("16.2")
    assert f"With k = {motion.CELL} and e = d for luma, and with k = {motion.CELL // 2}" in section("16.7")
    assert f"0 .. {frames.QUALITIES - 1} |" in section("16.4") and f"0 .. {frames.MAX_OFFSETS} |" in section("16.4")
    levels = [", ".join(map(str, MC.network(intra).levels)) for intra in (True, False)]
    assert f"its levels are {levels[0]} or {levels[1]}." in section("16.4")
    assert f"with l = {levels[0]} in the network intra" in section("16").replace("\n", " ")
    assert f"clip(x) = min(max(x, -{latents.LATENT_BOUND}), {latents.LATENT_BOUND})" in section("16.10")
    told = section("16.9")
    assert f"{hints.HINTS} values" in told and f"m and n in\n0 .. {hints.WINDOW - 1}" in told
    assert f", {hints.DIFFERENCES})" in told and f", {hints.SLOPES})" in told
    assert f"{motion.CELL_QUARTERS} r + {hints.PARTS} (m - {hints.MARGIN})" in told
    assert f"{hints.QUALITY} (q - {hints.MIDDLE_QUALITY})" in told and f"min(depth, {hints.DEPTHS})" in told
    whole, halves = ([str(p.frame) for p in hierarchy.coding_order(5, False, h)] for h in (False, True))
    orders = f"the order is {', '.join(whole)}; with HALVES it is {', '.join(halves)}."
    assert orders in section("16.5").replace("\n", " ")


def test_color():
    written = {}
    for cells in rows(section("17.2"))[2:]:
        written.update({code: (float(cells[1]), float(cells[2])) for code in integers(cells[0])})
    assert written == color._KR_KB
    assert f"height < {color.HD_HEIGHT}" in section("17.2")


# Form -----------------------------------------------------------------------------------------------------------------


def test_references_between_sections_exist():
    numbers = set(re.findall(r"^#+ (\d+(?:\.\d+)?) ", TEXT, flags=re.M))
    assert set(re.findall(r"sections? (\d+(?:\.\d+)?)", TEXT)) <= numbers
    contents = re.search(r"Contents: (.*?)\.\n\n", TEXT, flags=re.S)[1].replace("\n", " ")
    titles = re.findall(r"^## (\d+ .*)$", TEXT, flags=re.M)
    assert [entry.strip() for entry in contents.split(",")] == titles


def test_rows_of_refusals_are_numbered_without_gaps():
    ids = [r[0] for r in rows(section("22"))[2:]]
    for letter in dict.fromkeys(id_[0] for id_ in ids):
        mine = [int(id_[1:]) for id_ in ids if id_[0] == letter]
        assert mine == list(range(1, len(mine) + 1))


def test_the_reference_decoder_imports_nothing_of_ours():
    allowed = {"numpy", *sys.stdlib_module_names}
    for path in (ROOT / "tools" / "refdec").glob("*.py"):
        for line in re.findall(r"^\s*(?:from|import) (\S+)", path.read_text(), flags=re.M):
            assert line.startswith(".") or line.split(".")[0] in allowed, (path.name, line)
