"""Decode files in threads and in processes, in turns, and say how fast: what is measured in one run is compared.

    nvc bench CLIPS ... --size 320x180 --frames 97 -c nvcodec:ultrafast --quality 0.0005 --keep FOLDER -o rows.json
    python tools/decoding_turns.py FOLDER/*.nvc -o docs/results/decoding_in_turns.json

Megapixels are those of frames, a second of wall clock from opening the file to its last frame; medians of the turns
after the first, which loads libraries.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import click
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nvcodec.api import Video  # noqa: E402
from nvcodec.decode.decoder import Check  # noqa: E402
from nvcodec.errors import NvcodecError, VerifyError  # noqa: E402

WAYS = {"threads": False, "processes": True}


def speed(path: Path, processes: bool) -> float:
    """Of one decode on the CPU, megapixels a second. VerifyError where pixels are not those that the encoder saw."""
    frames, began = 0, time.perf_counter()
    with Video(path, device="cpu", processes=processes) as video:
        for group in video.groups():
            if group.check is Check.WRONG:
                raise VerifyError(f"{path}: group {group.record.number} decoded to wrong pixels")
            frames += len(group.frames)
        pixels = frames * video.info.width * video.info.height
    return pixels / (time.perf_counter() - began) / 1e6


@click.command(help=__doc__, context_settings={"max_content_width": 120})
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--turns", default=12, show_default=True, type=click.IntRange(2), help="Of each way.")
@click.option("--threads", default=2, show_default=True, type=click.IntRange(1), help="Or processes.")
@click.option("-o", "--out", required=True, type=click.Path(dir_okay=False, path_type=Path))
def main(files: tuple[Path, ...], turns: int, threads: int, out: Path) -> None:
    torch.set_num_threads(threads)
    found = []
    try:
        for path in files:
            speeds: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(turns):
                for way, processes in WAYS.items():
                    speeds[way].append(speed(path, processes))
            medians = {way: round(statistics.median(all_of[1:]), 2) for way, all_of in speeds.items()}
            found.append({"file": path.name, "bytes": path.stat().st_size, "megapixels_per_second": medians})
            click.echo(f"{path.name}: {medians}")
    except NvcodecError as error:
        raise click.ClickException(str(error)) from None
    processor = torch.backends.cpu.get_cpu_capability()
    about = {"turns": turns, "threads": threads, "torch": torch.__version__, "instructions": processor}
    out.write_text(json.dumps({**about, "files": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
