"""The sections of docs/benchmarks.md about sharing parameters (NerVast): what its paper shows, in bytes of files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from tools.results_tables import (
    BPP,
    QUALITY,
    RGB,
    Column,
    Derived,
    Row,
    bd_table,
    load,
    mask_bytes,
    option,
    picture,
    section,
    spread,
    stored,
    table,
    value,
)

DERIVED_FROM = "Figures that are computed from these rows: `docs/results/derived.json`.\n"

Group = Callable[[Row], str]


def kappa(row: Row) -> str:
    """The share that was asked for."""
    return option(row, "share", "")


KAPPA: Column = ("kappa", kappa)
BYTES: Column = ("bytes", lambda row: str(row["bytes"]))
MASK: Column = ("of these masks", lambda row: str(mask_bytes(row)))
ASKED: Column = ("asked", lambda row: f"{row['rate']['value']:g}")


def sections(derived: Derived) -> list[str]:
    """All that there are results for."""
    return [
        *(_rates(model) for model in ("hnerv", "nerv")),
        *(_kappas(model, derived) for model in ("hnerv", "nerv")),
        _masks(derived),
        _schedules(),
        _windows(),
        _cost(derived),
        _published(),
    ]


def _rates(model: str) -> str:
    """Against naive split."""
    name = f"sharing_{model}_bunny_320x180"
    rows = sorted(load(name)["rows"], key=lambda row: (float(kappa(row)), row["rate"]["value"]))
    columns = (KAPPA, ASKED, ("parameters of a group", lambda row: str(row["parameters"])), BYTES, MASK, *QUALITY[:5])
    parts = [table(columns, rows), bd_table(load(name))]
    if model == "hnerv":
        longer = "longer_hnerv_bunny_320x180"
        parts += [
            f"With 1000 steps a chunk (`fast`) in place of 400, `docs/results/{longer}.json`:\n",
            table(columns, load(longer)["rows"]),
        ]
    plot = f"sharing_{model}_rd_psnr_rgb_bunny_720p_320x180"
    parts.append(picture(plot, f"RGB PSNR over rate, {model} with and without sharing"))
    return section(f"Sharing against naive split: {model}, bunny at 320x180, four chunks in a window", name, *parts)


def _kappas(model: str, derived: Derived) -> str:
    """The paper's Table 2 and Figure 9."""
    name = f"kappa_{model}_bunny_320x180"
    rows = sorted(load(name)["rows"], key=lambda row: float(kappa(row)))
    naive = stored(rows[0])
    columns: tuple[Column, ...] = (
        KAPPA,
        derived.column("parameters stored", "shared parameters of a window count once", stored, 0),
        derived.column(
            "saved %", "100 (1 - stored / stored by kappa 0)", lambda row: 100 - 100 * stored(row) / naive, 1
        ),
        BYTES,
        MASK,
        BPP,
        RGB,
        QUALITY[2],
    )
    title = f"One network, more or less of it shared (the paper's Table 2): {model}, bunny at 320x180"
    return section(title, name, table(columns, rows), DERIVED_FROM)


def _seeds(rows: Sequence[Row], key: Group) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def _masks(derived: Derived) -> str:
    """The paper's Table 4."""
    name = "masks_carphone"

    def mask(row: Row) -> str:
        return "none" if float(kappa(row)) == 0 else option(row, "mask", "layers")

    lines = ["| mask | RGB dB, mean | standard deviation | bytes, mean | standard deviation | mask bytes, mean |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for kind, rows in _seeds(load(name)["rows"], mask).items():
        where = f"masks_carphone, {kind}, {len(rows)} seeds"
        quality, size = spread([row["psnr_rgb"] for row in rows]), spread([row["bytes"] for row in rows])
        cells = [
            kind,
            derived("mean of RGB dB over seeds", where, quality[0], 2),
            derived("standard deviation of RGB dB over seeds", where, quality[1], 2),
            derived("mean of bytes over seeds", where, size[0], 0),
            derived("standard deviation of bytes over seeds", where, size[1], 0),
            derived("mean of mask bytes over seeds", where, spread([mask_bytes(row) for row in rows])[0], 0),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    title = "Which parameters are shared (the paper's Table 4): carphone, 96 frames, kappa 0.5, three seeds"
    return section(title, name, "\n".join(lines) + "\n", DERIVED_FROM)


def _schedules() -> str:
    """The paper's Figure 10."""
    columns: tuple[Column, ...] = (
        ("steps of a group", lambda row: option(row, "steps_first", "")),
        ("training", lambda row: option(row, "share_training", "turns")),
        BYTES,
        BPP,
        RGB,
    )
    name = "schedules_carphone"
    title = "How shared parameters are trained (the paper's Figure 10): carphone, 96 frames, kappa 0.5"
    return section(title, name, table(columns, load(name)["rows"]))


def _windows() -> str:
    """The paper's section 4.5."""

    def windows(row: Row) -> str:
        return str(sum(1 for group in row["groups"] if group["window"]))

    columns: tuple[Column, ...] = (KAPPA, ("windows", windows), BYTES, MASK, BPP, RGB, QUALITY[2])
    name = "windows_city_320x180"
    title = "Windows against one mask for all: city at 320x180, 120 frames with a cut in the middle"
    return section(title, name, table(columns, load(name)["rows"]))


def _cost(derived: Derived) -> str:
    """What sharing costs in time."""
    name = "cost_bunny_320x180"
    rows = load(name)["rows"]
    naive = rows[0]

    def ratio(part: str) -> Callable[[Row], float]:
        return lambda row: float(row[part]["seconds"] / naive[part]["seconds"])

    columns: tuple[Column, ...] = (
        KAPPA,
        ("training", lambda row: option(row, "share_training", "turns") if float(kappa(row)) else ""),
        ("mask", lambda row: option(row, "mask", "layers") if float(kappa(row)) else ""),
        ("encode s", value("encode.seconds", 2)),
        derived.column("of kappa 0", "encode seconds / those of kappa 0", ratio("encode"), 3),
        ("decode s", value("decode.seconds", 3)),
        derived.column("decode of kappa 0", "decode seconds / those of kappa 0", ratio("decode"), 3),
    )
    title = "What sharing costs (the paper: 7 % of encoding, nothing of decoding): bunny at 320x180, 48 frames"
    return section(title, name, table(columns, rows), DERIVED_FROM)


def _published() -> str:
    """The papers' networks, as far as the machine comes."""
    columns: tuple[Column, ...] = (
        ("model", lambda row: row["model"]),
        ("parameters", lambda row: str(row["parameters"])),
        ("steps", lambda row: str(row["groups"][0]["steps"])),
        BYTES,
        BPP,
        RGB,
        QUALITY[2],
        ("encode s", value("encode.seconds", 0)),
        ("decode Mpx/s", value("decode.px_per_s", 2, 1e-6)),
    )
    note = (
        "One thread of a shared machine. The papers, with 300 epochs of 132 steps on a GPU and without quantisation: "
        "NeRV has 32.21 dB with 3.2 million parameters, HNeRV 35.57 dB with 1.5 million. A step of that HNeRV takes 5 "
        "seconds or more here, so that an hour is 4 or 5 of its 300 epochs: its row, which had to share its core, "
        "says how far that is, not what HNeRV can do.\n"
    )
    return section(
        "The papers' networks, 3.2 and 1.5 million parameters: bunny at 720p, 132 frames in one group",
        "papers_bunny_720p",
        table(columns, load("papers_bunny_720p")["rows"]),
        note,
    )
