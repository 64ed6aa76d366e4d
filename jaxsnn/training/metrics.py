"""Metrics as JSON lines: one row per line, appended as they come."""

import json
from pathlib import Path
from typing import Any, Protocol

TIMES = ("seconds", "images_per_second")
"""Keys that differ from run to run; all others are repeated exactly by the same command on the same machine."""
START = "start"
"""Kind of the row that the beginning of a run and every resumption write; what it holds is not repeated either."""


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
    """Appends rows to a file; every row has `kind` and `step`. Of several processes, one alone has `writes`."""

    def __init__(self, path: Path, *, writes: bool = True):
        self.path, self.writes = Path(path), writes

    def write(self, row: dict[str, Any]) -> None:
        """Appends one row and flushes it, so that a killed run keeps it."""
        if not self.writes:
            return
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """All complete rows; a last line cut short by a kill is left out."""
        if not self.path.exists():
            return []
        rows = []
        for line in self.path.read_text(errors="replace").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return rows

    def rewind(self, step: int) -> None:
        """Drops the rows after `step`: a resumed run writes them again."""
        if not self.writes:
            return
        rows = [row for row in self.read() if row["step"] <= step]
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
        temporary.replace(self.path)
