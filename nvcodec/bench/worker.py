"""The process that runs a codec as a library: `python -m nvcodec.bench.worker REPORT.json FUNCTION ARGUMENTS.json`.

FUNCTION is `encode` or `decode` of a module in `bench.codecs`, called with the arguments; what it returns becomes the
report. Its clock starts after imports and stops when the output is closed.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from nvcodec.bench.codecs.base import Job, python
from nvcodec.errors import NvcodecError

MODULES = ("libav_work", "own_work")


def job(scratch: Path, function: str, arguments: dict[str, Any]) -> Job:
    """The process that calls `function`, such as libav_work.encode."""
    asked, report = scratch / f"{function}.in.json", scratch / f"{function}.out.json"
    asked.write_text(json.dumps(arguments))
    report.unlink(missing_ok=True)
    return Job(python("nvcodec.bench.worker", str(report), function, str(asked)), report, _same_modules())


def _same_modules() -> dict[str, str]:
    """The variable by which the new process finds the modules that this one has, wherever it was started."""
    return {"PYTHONPATH": os.pathsep.join(os.path.abspath(place) for place in sys.path)}


def main(arguments: list[str]) -> int:
    """Called in the new process."""
    report, function, asked = arguments
    module, _, name = function.partition(".")
    if module not in MODULES or name not in ("encode", "decode"):
        raise SystemExit(f"no such function: {function}")
    call = getattr(importlib.import_module(f"nvcodec.bench.codecs.{module}"), name)
    try:
        result = call(**json.loads(Path(asked).read_text()))
    except NvcodecError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        print(
            f"{type(error).__name__}: {error} in {place.name} (a bug; nvc --debug encode shows where)", file=sys.stderr
        )
        return 1
    Path(report).write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
