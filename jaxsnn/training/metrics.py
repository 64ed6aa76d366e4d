"""Metrics as JSON lines: one row per line, appended as they come."""

import json
from pathlib import Path
from typing import Any, Protocol

from jaxsnn import files

TIMES = ("seconds", "images_per_second", "evaluation_seconds")
"""Keys that differ from run to run; all others are repeated exactly by the same command on the same machine."""
START = "start"
"""Kind of the row that the beginning of a run and every resumption write; its content is not repeated either."""


class Metrics(Protocol):
    """Where rows go."""

    def write(self, row: dict[str, Any]) -> None: ...


class MetricsList:
    """Keeps rows in memory: `rows`, in the order in which they came."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, row: dict[str, Any]) -> None:
        """Keeps one row."""
        self.rows.append(row)


class MetricsFile:
    """Appends rows to a file; every row has `kind` and `step`. A single one of several processes has `writes`."""

    def __init__(self, path: Path, *, writes: bool = True):
        self.path, self.writes = files.local(path), writes

    def write(self, row: dict[str, Any]) -> None:
        """Appends one row and flushes it, so that a killed run keeps it.

        Raises:
          OSError: if it cannot be written; earlier rows stay.
        """
        if not self.writes:
            return
        files.append_line(self.path, json.dumps(row))

    def read(self) -> list[dict[str, Any]]:
        """All complete rows; a last line cut short by a kill is left out.

        Raises:
          ValueError: if another line is damaged or no row, naming file and line.
        """
        return files.json_lines(self.path, _is_row)

    def rewind(self, step: int) -> None:
        """Drops the rows after `step`: a resumed run writes them again.

        Raises:
          ValueError: as `read`; the file is then left as it is.
          OSError: if it cannot be written; likewise.
        """
        if not self.writes:
            return
        rows = [row for row in self.read() if row["step"] <= step]
        files.write_whole(self.path, files.to_json_lines(rows))


def _is_row(row: dict[str, Any]) -> bool:
    """Whether a row has the keys that readers need."""
    needed = ("epoch", "loss", "accuracy", "seconds") if row.get("kind") in ("train", "epoch") else ()
    number = row.get("step")
    whole = isinstance(number, int) and not isinstance(number, bool)
    return whole and isinstance(row.get("kind"), str) and row.keys() >= set(needed)
