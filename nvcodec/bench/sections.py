"""The sections of a report that show what was measured: frame by frame, pictures, bytes, groups."""

from __future__ import annotations

import math

from nvcodec.bench.charts import Bar, Line, areas, dots, lines, stack
from nvcodec.bench.markup import WIDEST, count, data_uri, decimal, figure, key, section, table, text
from nvcodec.bench.picture import Array, color_table, levels, luma_error, rgb8, scale_top
from nvcodec.bench.report import GroupRow, Report, Sample

OPEN_ROWS = 20  # groups of a table that is open from the start
COLOURS = 8  # of kinds of bytes
KINDS = {
    "symbols": "arithmetic coded integers of the networks",
    "tables": "how each tensor is coded, and its probability tables",
    "steps": "quantisation steps",
    "blobs": "values that are not quantised",
    "groups": "heads of groups: frames, time stamps, hashes",
    "window": "parameters that groups share",
    "mask": "which parameters groups share",
    "framing": "type, length and checksum of every chunk",
    "header": "the head of the file",
    "video": "size, timing and colour",
    "metadata": "text for people",
    "models": "the networks' shapes",
    "index": "where each group is",
    "end": "totals",
    "unknown": "chunks that this release does not know",
    "damaged": "what cannot be read",
}
STARTS = ("anew", "from previous", "from window", "from window and previous")
"""What a group's network follows from, by inheritance."""

CHECKS = {
    "exact": "exact",
    "close": "close",
    "wrong": "wrong",
    None: "not decoded",
}


def _bars(report: Report, per_frame: bool) -> list[Bar]:
    """A bar for each group: bits of each of its frames, or bytes of the group."""
    out = []
    for row in report.groups:
        size = row.size
        last = size.first_frame + size.frame_count - 1
        hint = f"group {size.number}, frames {size.first_frame} to {last}: {size.size:,} bytes, {row.bpp:.4f} bpp"
        shown = 8 * size.size / size.frame_count if per_frame else float(size.size)
        out.append(Bar(size.number, size.first_frame, size.frame_count, shown, hint, size.random_access))
    return out


def _end(report: Report) -> int:
    """One more than the number of the last frame."""
    return max((row.size.first_frame + row.size.frame_count for row in report.groups), default=0)


def by_frame_section(report: Report) -> str:
    """PSNR where there is a source, and bits."""
    frames = _end(report)
    if not frames:
        return ""
    out = ""
    if report.quality:
        series, legend = [], []
        for name, style, label in (("psnr_rgb", "rgb", "RGB"), ("psnr_y", "luma", "Y (dashed)")):
            if name in report.quality.per_frame:
                values: list[float | None] = [None] * frames
                for number, value in zip(report.numbers, report.quality.per_frame[name], strict=True):
                    values[number] = value
                series.append(Line(values, style))
                legend.append(key(style, label))
        starts = [row.size.first_frame for row in report.groups if row.size.random_access]
        drawing = lines(series, starts, frames, f"PSNR of {count(len(report.numbers), 'frame')} in dB")
        same = sum(math.isinf(value) for value in report.quality.per_frame["psnr_rgb"])
        more = f" {count(same, 'frame')} without any error cannot be drawn." if same else ""
        if drawing:
            note = f"{' '.join(legend)} Dotted strokes: points of random access.{more}"
            out += f"<h3>PSNR, dB</h3>\n{figure(drawing, note, 'PSNR of each frame')}"
        else:
            out += f"<p>{more}</p>\n"
    note = (
        f"A group is coded as a whole: its bits are shared out evenly among its frames, so that areas are bits.<br>"
        f"{key('luma', 'groups of random access')} {key('rgb', 'groups that go on from the one before')}"
    )
    drawing = areas(_bars(report, True), frames, f"Bits per frame of {count(len(report.groups), 'group')}")
    out += f"<h3>Bits per frame</h3>\n{figure(drawing, note, 'Bits of each frame')}"
    return section("frames", "Frame by frame", out)


def samples_section(report: Report) -> str:
    """A few frames as pictures."""
    if not report.samples:
        return ""
    have = [s for s in report.samples if s.source is not None]
    top, palette = 0, None
    if report.reference and have:
        palette = color_table()
        info = report.reference.info
        top = scale_top(*(luma_error(s.source, s.decoded, info, report.info) for s in have if s.source is not None))
    out = "".join(_sample(report, sample, top, palette) for sample in report.samples)
    if palette is not None and report.reference:
        stops = ",".join(f"#{bytes(palette[i]).hex()}" for i in range(0, 256, 15))
        out += (
            f'<figure><div class="scale" style="background:linear-gradient(90deg,{stops})"></div>'
            f'<div class="ends"><span>0</span><span>{top // 2}</span><span>{top} and more</span></div><figcaption>The '
            "scale of all error maps: absolute difference of luma, in code values of "
            f"{report.reference.info.bit_depth} bit.</figcaption></figure>\n"
        )
    return section("samples", "Pictures", out)


def _sample(report: Report, sample: Sample, top: int, palette: Array | None) -> str:
    """A frame decoded, and beside it the source and the error."""
    name = f"frame {sample.number}"
    level = "" if sample.psnr is None else f", RGB PSNR {decimal(sample.psnr, 2)} dB"
    pictures = [("decoded", rgb8(sample.decoded, report.info), f"Decoded picture of {name}")]
    if sample.source is not None and report.reference is not None and palette is not None:
        info = report.reference.info
        error = luma_error(sample.source, sample.decoded, info, report.info)
        pictures.append(("source", rgb8(sample.source, info), f"Source picture of {name}"))
        pictures.append((f"error, mean {error.mean():.2f}", palette[levels(error, top)], f"Map of the error of {name}"))
    images = "".join(
        f'<figure><img src="{data_uri(picture)}" width="{min(picture.shape[1], WIDEST)}" '
        f'height="{max(1, round(picture.shape[0] * min(1.0, WIDEST / picture.shape[1])))}" alt="{alt}">'
        f"<figcaption>{what}</figcaption></figure>\n"
        for what, picture, alt in pictures
    )
    why = f": {', '.join(sample.why)}" if sample.why else ""
    size = "small" if report.info.width < WIDEST // 2 else "large"
    return (
        f'<h3>Frame {sample.number}{why}</h3>\n<p class="note">At {sample.time:.3f} s{level}</p>\n'
        f'<div class="pictures {size}">\n{images}</div>\n'
    )


def bytes_section(report: Report) -> str:
    """Bytes by kind."""
    survey = report.survey
    total, pixels = survey.size, survey.frames * report.info.width * report.info.height
    ordered = sorted(survey.usage.items(), key=lambda item: (-item[1], item[0]))
    shares = [(kind, size / total) for kind, size in ordered]
    drawn = [
        *shares[: COLOURS - 1],
        *([("others", sum(s for _, s in shares[COLOURS - 1 :]))] if len(shares) >= COLOURS else []),
    ]
    rows = []
    for place, (kind, size) in enumerate(ordered):
        style = f"kind{min(place, COLOURS - 1)}"
        bits = f"{8 * size / pixels:.4f}" if pixels else "–"
        rows.append([key(style, text(kind)), f"{size:,}", f"{100 * size / total:.1f} %", bits, KINDS.get(kind, "")])
    foot = ["total", f"{total:,}", "100.0 %", f"{8 * total / pixels:.4f}" if pixels else "–", ""]
    label = "Every byte of the file, by what it is for"
    drawing = stack(drawn, "Shares of the file's bytes: " + ", ".join(f"{k} {100 * s:.1f} %" for k, s in drawn))
    return section(
        "bytes",
        "Bytes",
        f"<figure>{drawing}</figure>\n"
        + table(["kind", "bytes", "share", "bpp", "what"], rows, "lnnnl", label=label, foot=foot),
    )


def groups_section(report: Report) -> str:
    """Every group's size, and what its hash says."""
    if not report.groups:
        return section("groups", "Groups", "<p>Not one group can be read.</p>\n")
    sizes = dots(_bars(report, False), f"Bytes of {count(len(report.groups), 'group')}, on a log scale")
    note = "Diamonds: groups of random access, which start from scratch. The scale is logarithmic."
    head = ["group", "chain", "frames", "count", "starts", "bytes", "bpp", "pixels"]
    with_psnr = report.quality is not None
    rows = [_group_row(row, with_psnr) for row in report.groups]
    label = "Every group: which frames it has, what it costs, and whether its pixels are those that the encoder saw"
    body = table([*head, *(["RGB PSNR, dB"] if with_psnr else [])], rows, "lnnnlnnl" + "n" * with_psnr, label=label)
    state = " open" if len(rows) <= OPEN_ROWS else ""
    checks = {check: sum(row.check == check for row in report.groups) for check in CHECKS}
    found = ", ".join(f"{groups:,} {CHECKS[check]}" for check, groups in checks.items() if groups)
    return section(
        "groups",
        "Groups",
        f'<h3>Bytes of each group</h3>\n{figure(sizes, note, "Bytes of each group")}<p id="checks">Pixels against the '
        f"hashes in the file, group by group: {found}.</p>\n"
        f"<details{state}><summary>Table of {count(len(rows), 'group')}</summary>\n{body}</details>\n",
    )


def _group_row(row: GroupRow, with_psnr: bool) -> list[str]:
    size = row.size
    last = size.first_frame + size.frame_count - 1
    span = f"{last}" if size.frame_count == 1 else f"{size.first_frame}–{last}"
    starts = STARTS[size.inheritance]
    cells = [f"{size.number}", f"{size.chain}", span, f"{size.frame_count}", starts, f"{size.size:,}", f"{row.bpp:.4f}"]
    return [*cells, CHECKS[row.check], *([decimal(row.psnr, 2)] if with_psnr else [])]
