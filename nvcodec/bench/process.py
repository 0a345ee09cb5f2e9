"""Run a command and learn what it cost: wall-clock seconds, CPU seconds and peak memory of it and its children.

The command is started by a small launcher process, as the kernel counts the memory of whoever starts a process into
the peak of what is started; the launcher's own 10 MB are the least that can be measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nvcodec.errors import NvcodecError

_LAUNCHER = """
import json, os, signal, sys, threading, time
out, command = sys.argv[1], sys.argv[2:]
nothing = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
began = time.perf_counter()
try:
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=nothing)
except OSError as error:
    sys.exit(f"{command[0]}: {error.strerror}")
def stop(*_):
    os.kill(pid, signal.SIGTERM)
def watch():  # standard input is a pipe that ends when the one who asked for all this has ended, however it did
    os.read(0, 1)
    stop()
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
threading.Thread(target=watch, daemon=True).start()
_, status, usage = os.wait4(pid, 0)
wall = time.perf_counter() - began
unit = 1 if sys.platform == "darwin" else 1024
with open(out, "w") as file:
    json.dump({"code": os.waitstatus_to_exitcode(status), "wall": wall, "cpu": usage.ru_utime + usage.ru_stime,
               "peak": usage.ru_maxrss * unit}, file)
"""


@dataclass(frozen=True)
class Cost:
    """Of one process. wall, cpu: seconds (cpu: user and system, all threads). peak: bytes resident. log: its output."""

    wall: float
    cpu: float
    peak: int
    log: str


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Cost:
    """Run to its end; NvcodecError with the last line of its output where it fails."""
    with tempfile.TemporaryDirectory(prefix="nvc-bench-") as folder:
        result, log = Path(folder) / "cost.json", Path(folder) / "log"
        with open(log, "wb") as output:
            started = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(result), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},  # lines in their order
            )
            with started as process:
                try:
                    process.wait()
                except BaseException:
                    process.terminate()
                    raise
        text = log.read_text(encoding="utf-8", errors="replace")
        cost = json.loads(result.read_text()) if result.exists() else {"code": 127}
        if cost["code"] != 0:
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            raise NvcodecError(lines[-1] if lines else f"{Path(command[0]).name} failed with code {cost['code']}")
    return Cost(cost["wall"], cost["cpu"], cost["peak"], text)
