"""The file that an encode writes to, so that it can be stopped at any moment and taken up again.

Groups go to `NAME.part` in the target's folder, which is renamed at the end, or to the target itself when streaming in
place. Beside it, `NAME.part.journal` has a JSON line for the settings and one for each group, written before the group
itself: what the file format has no place for, such as PSNRs and lambda. A cut group is cut off when the encode goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

from nvcodec.bitstream.container import Reader, Writer
from nvcodec.bitstream.group_records import GroupRecord, WindowRecord
from nvcodec.encode.report import GroupReport, WindowReport
from nvcodec.errors import FormatError, TargetError, TruncatedError, UsageError


class Output:
    """An output file and its journal. `writer` appends; `reports` are of the groups that are already there."""

    def __init__(self, target: Path, file: BinaryIO, path: Path, journal_path: Path, writer: Writer) -> None:
        self.target, self.path, self.writer = target, path, writer
        self.reports: list[GroupReport] = []
        self._file = file
        self._journal_path = journal_path
        self._journal: Any = None

    @classmethod
    def open(cls, target: Path, fingerprint: dict[str, Any], *, force: bool, resume: bool, in_place: bool) -> Output:
        """Start, or go on with, the output at `target`. The fingerprint says what has to be equal to go on.

        TargetError where something is there and `force` was not given; UsageError where what is there was made with
        other settings.
        """
        path = target if in_place else target.with_name(target.name + ".part")
        journal_path = target.with_name(target.name + ".part.journal")
        unfinished = path.exists() and journal_path.exists()
        if resume and unfinished:
            return cls._resumed(target, path, journal_path, fingerprint)
        if target.is_dir():
            raise TargetError(f"{target} is a folder")
        if target.exists() and not force:
            raise TargetError(f"{target} exists; use --force to replace it")
        if unfinished and not force:
            raise TargetError(f"{path} is an unfinished encode; --resume goes on with it, --force starts again")
        try:
            file = open(path, "wb")
            out = cls(target, file, path, journal_path, Writer(file))
            out._journal = open(journal_path, "w", encoding="utf-8")
        except OSError as error:
            raise TargetError(f"{path} cannot be written: {error.strerror}") from error
        out._note(fingerprint)
        return out

    @classmethod
    def _resumed(cls, target: Path, path: Path, journal_path: Path, fingerprint: dict[str, Any]) -> Output:
        try:
            lines = [json.loads(line) for line in journal_path.read_text(encoding="utf-8").splitlines() if line]
        except ValueError:
            lines = _whole_lines(journal_path)
        before = json.loads(json.dumps(fingerprint))
        if not lines or lines[0] != before:
            differ = [k for k in before if not lines or lines[0].get(k) != before[k]]
            raise UsageError(f"{path} was made with other settings ({', '.join(differ)}); use --force to start again")
        try:
            file = open(path, "r+b")
            writer = Writer.resume(file)
        except TruncatedError:
            file.close()
            return cls.open(target, fingerprint, force=True, resume=False, in_place=path == target)
        except OSError as error:
            raise TargetError(f"{path} cannot be written: {error.strerror}") from error
        out = cls(target, file, path, journal_path, writer)
        out.reports = [read_report(line) for line in lines[1 : 1 + writer.groups]]
        if len(out.reports) < writer.groups:
            raise UsageError(f"{journal_path} does not go with {path}; use --force to start again")
        out._journal = open(journal_path, "w", encoding="utf-8")
        for line in lines[: 1 + writer.groups]:
            out._note(line)
        return out

    def records(self) -> Sequence[GroupRecord]:
        """The groups that are already there, from the last random-access one on."""
        with open(self.path, "rb") as file:
            try:
                kept: list[GroupRecord] = []
                for record in Reader(file).groups():
                    kept = [record] if record.random_access else [*kept, record]
            except TruncatedError:
                pass
            return kept

    def model_config(self) -> tuple[int, ...]:
        """The configuration of the network that the file has already; empty where it has none yet."""
        if not self.writer.bytes_written:
            return ()
        with open(self.path, "rb") as file:
            models = Reader(file).models
        return models[0].config if models else ()

    def write(self, record: GroupRecord, report: GroupReport) -> None:
        """A group: journal first, so that a group in the file always has its line."""
        self._note(asdict(report))
        self.writer.write_group(record)
        self.reports.append(report)

    def write_window(self, record: WindowRecord) -> None:
        """What the groups share that come next."""
        self.writer.write_window(record)

    def finish(self) -> None:
        """Complete the file and give it its name."""
        self.writer.finish()
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._close()
            if self.path != self.target:
                os.replace(self.path, self.target)
            self._journal_path.unlink(missing_ok=True)
        except OSError as error:
            raise TargetError(f"{self.target} cannot be written: {error.strerror}") from error

    def leave(self) -> None:
        """The encode was stopped: keep what decodes, and nothing where no group was finished."""
        self._close()
        if not self.writer.groups:
            self.path.unlink(missing_ok=True)
            self._journal_path.unlink(missing_ok=True)

    def _close(self) -> None:
        self._file.close()
        if self._journal is not None:
            self._journal.close()

    def _note(self, line: dict[str, Any]) -> None:
        try:
            self._journal.write(json.dumps(line) + "\n")
            self._journal.flush()
        except OSError as error:
            raise TargetError(f"{self._journal_path} cannot be written: {error.strerror}") from error


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """The lines before the first that was cut."""
    out = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            out.append(json.loads(line))
        except ValueError:
            break
    return out


def read_report(line: dict[str, Any]) -> GroupReport:
    """A group's report from its JSON."""
    try:
        row = GroupReport(**line)
        window = WindowReport(**line["window"]) if line["window"] else None
    except (TypeError, KeyError) as error:
        raise FormatError(f"the journal has a line that is not a group's: {error}") from error
    return replace(row, psnr_frames=tuple(row.psnr_frames), psnr_planes=tuple(row.psnr_planes), window=window)
