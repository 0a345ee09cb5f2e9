"""`nvc`: finds the command, and turns errors into one line and an exit code."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import click

import nvcodec
from nvcodec.errors import NvcodecError

COMMANDS = ("encode", "decode", "info", "plan", "compare", "report", "bench")
INTERRUPTED = 130
READER_GONE = 141  # as if SIGPIPE had ended the command


class _ReaderGone(Exception):
    """Nobody reads standard output any more."""


@dataclass
class Globals:
    """Options before the command."""

    debug: bool = False


class _Commands(click.Group):
    """Imports a command when it is asked for, so that each costs only what it needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"nvcodec.cli.{name}").command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """As it is, but a reader of standard output that has gone is not hidden by click."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGone from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(nvcodec.__version__, prog_name="nvc", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_obj
def nvc(options: Globals, debug: bool) -> None:
    """A neural video codec: any video to an .nvc file and back.

    \b
    Exit codes: 0 done, 2 usage, 3 input, 4 output, 5 not a valid .nvc file, 6 a newer version or feature,
    7 the file is cut, 8 damaged, 9 over a limit, 10 --verify found wrong pixels, 11 the encoder's own check failed,
    12 device, 130 interrupted, 141 the reader of a pipe has gone.
    """
    options.debug = debug


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    options = Globals()
    try:
        code = nvc.main(args=args, prog_name="nvc", obj=options, standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code, options)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", INTERRUPTED, options)
    except (_ReaderGone, BrokenPipeError):
        return _reader_gone()
    except NvcodecError as error:
        if isinstance(error.__cause__, BrokenPipeError):
            return _reader_gone()
        return _fail(str(error), error.exit_code, options)
    except Exception as error:
        hint = "" if options.debug else " (a bug; nvc --debug shows where)"
        return _fail(f"{type(error).__name__}: {error}{hint}", 1, options)


def _fail(message: str, code: int, options: Globals) -> int:
    if options.debug:
        traceback.print_exc()
    print(f"nvc: error: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return code


def _reader_gone() -> int:
    """End without a word, and without one when Python flushes standard output at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return READER_GONE


def run() -> None:
    """The program: `main`, and out. A failed one leaves at once, whatever a thread still does or waits for on a pipe.

    A thread that is in compiled code while Python is taken down would abort the process.
    """
    code = main()
    if code:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    run()
