"""A report as one HTML page: no script, no font, no request, nothing outside of the file.

Its style is `report.css`; light or dark is what the reader prefers. All text that comes from files is escaped, and what
cannot be printed (control characters, those that turn the direction of text) is spelled out. The same report gives the
same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from html import escape
from importlib import resources
from pathlib import Path

import nvcodec
from nvcodec.bench.markup import count, decimal, facts, section, table, text
from nvcodec.bench.quality import Quality
from nvcodec.bench.report import Reference, Report
from nvcodec.bench.sections import by_frame_section, bytes_section, groups_section, samples_section
from nvcodec.bitstream.records import ModelRecord
from nvcodec.bitstream.registry import COLOUR_POINTS, colour_point
from nvcodec.metrics import DEFINITIONS

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
LABELS = {
    "psnr_rgb": "RGB PSNR, dB",
    "psnr_y": "Y PSNR, dB",
    "psnr_u": "U PSNR, dB",
    "psnr_v": "V PSNR, dB",
    "ms_ssim_rgb": "RGB MS-SSIM",
    "ms_ssim_y": "Y MS-SSIM",
    "vmaf": "VMAF",
}


def html(report: Report) -> str:
    """The page."""
    style = resources.files("nvcodec.bench").joinpath("report.css").read_text(encoding="utf-8")
    name = Path(report.name).name
    parts = [_header(report), "<main>\n", _notices(report), _tiles(report)]
    parts += [
        _quality(report),
        by_frame_section(report),
        samples_section(report),
        bytes_section(report),
        groups_section(report),
    ]
    parts += [_file(report), _models(report), _footer()]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{text(name)}: nvcodec report</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"{''.join(parts)}</body>\n</html>\n"
    )


def _header(report: Report) -> str:
    survey, info = report.survey, report.info
    about = [f"{info.width}×{info.height}", count(survey.frames, "frame")]
    if info.rate:
        about.append(f"{float(info.rate):.6g} frames per second")
    if report.seconds is not None:
        about.append(f"{report.seconds:.2f} s")
    links = [("quality", "Quality")] if report.quality else []
    links += [("frames", "Frame by frame")] if report.groups else []
    links += [("samples", "Pictures")] if report.samples else []
    links += [("bytes", "Bytes"), ("groups", "Groups"), ("file", "File"), ("models", "Network")]
    menu = "".join(f'<li><a href="#{anchor}">{label}</a></li>' for anchor, label in links)
    return (
        f'<header>\n<h1>{text(Path(report.name).name)}</h1>\n<p class="lede">{", ".join(about)}</p>\n'
        f'<nav aria-label="Sections"><ul>{menu}</ul></nav>\n</header>\n'
    )


def _tiles(report: Report) -> str:
    """The numbers that are asked for first."""
    survey, quality = report.survey, report.quality
    tiles = [("bytes", f"{survey.size:,}", "bytes")]
    pixels = survey.frames * report.info.width * report.info.height
    if pixels:
        what = "whole file" if survey.complete and not report.damage else "over the frames that can be read"
        tiles.append(("bpp", f"{8 * survey.size / pixels:.4f}", f"bits per pixel, {what}"))
    if report.seconds:
        tiles.append(("kbps", f"{8 * survey.size / report.seconds / 1000:.1f}", "kbit per second"))
    access = sum(row.size.random_access for row in report.groups)
    tiles.append(("groups", f"{len(report.groups):,}", f"groups, {access:,} of random access"))
    for name, label, digits in (
        ("psnr_rgb", "dB RGB PSNR, mean over frames", 2),
        ("psnr_y", "dB Y PSNR, mean over frames", 2),
        ("ms_ssim_rgb", "RGB MS-SSIM", 4),
        ("vmaf", "VMAF", 1),
    ):
        if quality and quality.values[name] is not None:
            tiles.append((name.replace("_", "-"), decimal(quality.values[name], digits), label))
    boxes = "".join(f'<li id="tile-{name}"><b>{value}</b><span>{label}</span></li>\n' for name, value, label in tiles)
    return f'<ul class="tiles">\n{boxes}</ul>\n'


def _notices(report: Report) -> str:
    """What a reader has to know before any number."""
    out = ""
    if report.damage or not report.survey.complete:
        what: tuple[object, ...] = report.damage or ("the file ends before its end record",)
        title = "This file is cut or damaged. The report is on what can be read."
        if report.survey.complete and "damaged" not in report.survey.usage:
            title = "Something in this file is not as it should be."
        out += _warning("damage", title, what)
    if report.wrong:
        line = f"{count(report.wrong, 'group')} of {len(report.groups)} decoded to others, on this machine"
        out += _warning("wrong", "Some pixels are not those that the encoder saw.", [line])
    if report.notes:
        out += _warning("notes", "About the source", report.notes)
    return out


def _warning(name: str, title: str, items: Iterable[object]) -> str:
    rows = "".join(f"<li>{text(item)}</li>\n" for item in items)
    return (
        f'<section class="warning" id="warning-{name}" aria-labelledby="warning-{name}-title">'
        f'<h2 id="warning-{name}-title">{title}</h2>\n<ul>\n{rows}</ul></section>\n'
    )


def _quality(report: Report) -> str:
    quality, reference = report.quality, report.reference
    if quality is None or reference is None:
        return ""
    rows = []
    for name, label in LABELS.items():
        if quality.values[name] is None:
            continue
        digits = 4 if name.startswith("ms_ssim") else 2
        values = quality.per_frame[name]
        least, most = (f"{decimal(v, digits)} ({report.numbers[values.index(v)]})" for v in (min(values), max(values)))
        pooled = quality.values.get(f"{name}_of_mean_error")
        rows.append([label, decimal(quality.values[name], digits), decimal(pooled, digits), least, most])
    head = ["", "mean over frames", "of mean error", "lowest (frame)", "highest (frame)"]
    label = f"{count(quality.frames, 'frame')} against {text(Path(reference.path).name)}"
    terms = "".join(
        f"<dt>{LABELS[name].removesuffix(', dB')}</dt><dd>{escape(DEFINITIONS[name])}</dd>"
        for name in LABELS
        if quality.values[name] is not None
    )
    return section(
        "quality",
        "Quality",
        table(head, rows, "lnnnn", label=label)
        + _not_measured(quality)
        + f"<details><summary>What these numbers are</summary><dl>{terms}</dl></details>\n"
        + facts(_source_facts(reference), "The source"),
    )


def _not_measured(quality: Quality) -> str:
    reasons: dict[str, list[str]] = {}
    for name, label in LABELS.items():
        if name in quality.missing:
            reasons.setdefault(quality.missing[name], []).append(label.removesuffix(", dB"))
    told = "; ".join(f"{', '.join(names)} ({text(reason)})" for reason, names in reasons.items())
    return f'<p class="note">Not measured: {told}.</p>\n' if told else ""


def _source_facts(reference: Reference) -> list[tuple[str, str]]:
    info = reference.info
    rows = [("Name", text(Path(reference.path).name)), ("SHA-256", f"<code>{reference.digest}</code>")]
    if reference.bytes is not None:
        rows.append(("Size", count(reference.bytes, "byte")))
    rows.append(("Pixels", f"{info.width}×{info.height} {info.pixel_format}"))
    how = ", found by time stamps" if reference.by_time else ""
    rows.append(("Alignment", f"frame 0 of the file is its frame {reference.offset}{how}"))
    return rows


def _file(report: Report) -> str:
    survey, info = report.survey, report.info
    header, colour = survey.header, info.color
    features = f"incompatible {header.incompatible}, compatible {header.compatible}, advisory {header.advisory}"
    points = ", ".join(f"{kind} {colour_point(kind, getattr(colour, kind))}" for kind in COLOUR_POINTS)
    rows = [
        ("SHA-256", f"<code>{report.digest}</code>"),
        ("Size", count(survey.size, "byte")),
        ("Format", f"{header.major}.{header.minor}"),
        ("Feature bits", features),
        ("Complete", "yes" if survey.complete else "no"),
        ("Pixels", f"{info.width}×{info.height} {info.pixel_format}, {info.bit_depth} bit"),
        ("Frames", f"{survey.frames:,}"),
        ("Rate", f"{info.rate} frames per second" if info.rate else "unknown"),
        ("Time base", f"{info.time_base} s"),
        ("Colour", f"{points}, range {colour.range.name.lower()}"),
    ]
    if info.sample_aspect:
        rows.append(("Sample aspect", f"{info.sample_aspect}, not applied to the pictures here"))
    if info.rotation:
        rows.append(("Rotation", f"{info.rotation}° counter-clockwise, not applied to the pictures here"))
    out = facts(rows, "The file")
    if survey.meta:
        plain = {
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in survey.meta.items()
        }
        out += facts([(text(name), text(value)) for name, value in plain.items()], "Its metadata")
    return section("file", "File", out)


def _models(report: Report) -> str:
    out = "".join(_model(record) for _, record in sorted(report.survey.models.items()))
    return section("models", "Network", out or "<p>No network can be read.</p>\n")


def _model(record: ModelRecord) -> str:
    listed = count(len(record.tensors), "tensor")
    rows = [
        *([("Parameters", f"{record.parameters:,} in {listed}")] if record.tensors else []),
        ("Exactness", "class X: the same pixels on every device" if record.exactness else
         "class F: within one code value on every device"),
        ("Prior", record.prior.hex()) if record.prior else ("Seed", f"{record.seed}"),
        *((text(name.replace("_", " ")), f"{value}") for name, value in record.settings.items()),
    ]  # fmt: skip
    out = facts(rows, f"Model {record.index}: {text(record.name)}")
    if not record.tensors:
        return out
    tensors = [
        [f"{place}", "×".join(map(str, tensor.shape)) or "1", f"{math.prod(tensor.shape):,}", tensor.kind.name.lower()]
        for place, tensor in enumerate(record.tensors)
    ]
    label = f"Tensors of model {record.index}"
    return (
        out
        + f"<details><summary>{label}</summary>\n"
        + table(["tensor", "shape", "values", "kind"], tensors, "llnl", label=label)
        + "</details>\n"
    )


def _footer() -> str:
    return f"</main>\n<footer>nvc report, nvcodec {nvcodec.__version__}</footer>\n"
