"""Pieces of a page: text that is only text, tables, figures, pictures as data.

All arguments but those of `text` and `decimal` are HTML already: what comes from a file has to go through `text` first.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Sequence
from html import escape

from nvcodec.bench.extras import need
from nvcodec.bench.picture import Array

WIDEST = 1280  # pixels of an embedded picture
JPEG_QUALITY = 90


def text(value: object) -> str:
    """Anything as text that is only text."""
    plain = str(value)
    return escape("".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in plain))


def data_uri(picture: Array) -> str:
    """(H, W, 3) uint8, at most WIDEST wide, as PNG or JPEG, whichever is smaller."""
    pil = need("PIL.Image")
    image = pil.fromarray(picture)
    if image.width > WIDEST:
        image = image.resize((WIDEST, max(1, round(image.height * WIDEST / image.width))), pil.Resampling.LANCZOS)
    found = []
    for kind, options in (("PNG", {}), ("JPEG", {"quality": JPEG_QUALITY, "subsampling": 0})):
        out = io.BytesIO()
        image.save(out, kind, **options)
        found.append((len(out.getvalue()), kind.lower(), out.getvalue()))
    _, kind, data = min(found)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def decimal(value: float | None, digits: int) -> str:
    """A number of a table."""
    if value is None:
        return "–"
    return "∞" if math.isinf(value) else f"{value:.{digits}f}"


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], align: str, *, label: str, foot: Sequence[str] = ()
) -> str:
    """Cells are HTML; the first of a row is its head. align: a letter for each column, n for numbers, l for text.
    label: the caption."""
    kinds = [' class="n"' if letter == "n" else "" for letter in align]

    def row(cells: Sequence[str]) -> str:
        first, *others = cells
        body = "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds[1:], others, strict=True))
        return f'<tr><th scope="row">{first}</th>{body}</tr>\n'

    heads = "".join(f'<th scope="col"{kind}>{cell}</th>' for kind, cell in zip(kinds, head, strict=True))
    return scroll(
        f'<table class="wide"><caption>{label}</caption>\n<thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{''.join(map(row, rows))}</tbody>\n"
        + (f"<tfoot>{row(foot)}</tfoot>\n" if foot else "")
        + "</table>",
        label,
    )


def facts(rows: Iterable[tuple[str, str]], label: str) -> str:
    """Names and values, which are HTML, below each other."""
    body = "".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>\n' for name, value in rows)
    return f'<table class="wide facts"><caption>{label}</caption>\n<tbody>\n{body}</tbody></table>\n'


def scroll(inner: str, label: str) -> str:
    """A box that scrolls by itself, by keys too."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">{inner}</div>\n'


def section(anchor: str, title: str, inner: str) -> str:
    """A part of the page with its heading."""
    head = f'<h2 id="{anchor}-title">{title}</h2>'
    return f'<section id="{anchor}" aria-labelledby="{anchor}-title">\n{head}\n{inner}</section>\n'


def count(number: int, noun: str) -> str:
    """1 frame, 2 frames."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def key(style: str, label: str) -> str:
    """A square in the colour of a CSS class, and what it stands for."""
    return f'<span class="entry"><span class="key {style}"></span>{label}</span>'


def figure(drawing: str, note: str, label: str) -> str:
    """A chart that scrolls where it is too wide, and a note below it."""
    return f"<figure>{scroll(drawing, label)}<figcaption>{note}</figcaption></figure>\n"
