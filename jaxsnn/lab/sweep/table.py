"""The table of a sweep: a row per network in `results.jsonl` and `results.csv`, mean and spread over seeds."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxsnn import files
from jaxsnn.lab.run_folder import read_json
from jaxsnn.lab.sweep.plan import Axis

ROWS, CSV, PLAN = "results.jsonl", "results.csv", "sweep.json"
NEEDED = {"seed", "test_accuracy", "selected_test_accuracy", "validation_accuracy", "diverged_step"}
"""The keys that the table needs of every row."""
Row = dict[str, Any]


def key(row: Row, names: Sequence[str]) -> tuple[Any, ...]:
    """The key that tells the networks of a sweep apart: the swept values and the seed."""
    return (*(row[name] for name in names), row["seed"])


def read(folder: Path) -> list[Row]:
    """The rows in a folder; a last line cut short by a kill is left out.

    Raises:
      ValueError: if another line is damaged, naming file and line.
    """
    return files.json_lines(folder / ROWS, lambda row: row.keys() >= NEEDED)


def write(folder: Path, rows: Sequence[Row]) -> None:
    """Writes both files, each whole or not at all."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    for name, content in ((ROWS, files.to_json_lines(rows)), (CSV, text.getvalue())):
        files.write_whole(folder / name, content)


def merge(parent: Path) -> tuple[list[Row], dict[str, Any]]:
    """The rows of all workers below a folder, and the plan that they share.

    Raises:
      ValueError: if there is no worker's folder, they belong to different sweeps, or a network is in two of them.
    """
    folders = sorted(path for path in parent.glob("worker*of*") if (path / PLAN).exists())
    if not folders:
        raise ValueError(f"nothing to merge: {parent} holds no folder worker<i>of<n> with a {PLAN}; give --run_dir")
    plans = [read_json(folder / PLAN) for folder in folders]
    for folder, plan in zip(folders, plans, strict=True):
        for name in ("preset", "axes", "seeds", "workers"):
            if plan[name] != plans[0][name]:
                raise ValueError(
                    f"{folder} and {folders[0]} are of different sweeps: {name} is {plan[name]} and {plans[0][name]}"
                )
    names = [name for name, _ in plans[0]["axes"]]
    rows = [row for folder in folders for row in read(folder)]
    keys = [key(row, names) for row in rows]
    if len(set(keys)) < len(keys):
        twice = next(k for k in keys if keys.count(k) > 1)
        raise ValueError(f"two workers below {parent} have trained {dict(zip((*names, 'seed'), twice, strict=True))}")
    return rows, plans[0]


def summarise(rows: Sequence[Row], axes: Sequence[Axis]) -> list[Row]:
    """Mean and standard deviation over the seeds of every setting, in the order of the grid.

    Networks that diverged are counted and left out of both.
    """
    names = [axis.name for axis in axes]
    order = {name: {value: n for n, value in enumerate(values)} for name, values in axes}
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    settings = []
    for values, group in sorted(groups.items(), key=lambda g: [order[n][v] for n, v in zip(names, g[0], strict=True)]):
        summary: Row = dict(zip(names, values, strict=True))
        for score in ("test_accuracy", "selected_test_accuracy", "validation_accuracy"):
            scores = np.array([row[score] for row in group if row[score] is not None])
            summary[score] = float(scores.mean()) if len(scores) else None
            summary[f"{score}_std"] = float(scores.std(ddof=1)) if len(scores) > 1 else None
        diverged = sum(row["diverged_step"] is not None for row in group)
        settings.append(summary | {"seeds": len(group), "diverged": diverged})
    return settings


def show(summary: Sequence[Row], axes: Sequence[Axis]) -> str:
    """The summary as text."""
    names = [axis.name for axis in axes]
    widths = {name: max(len(name), *(len(f"{row[name]}") for row in summary)) for name in names}
    lines = [
        "  ".join(f"{name:>{widths[name]}}" for name in names)
        + "  test, last epoch  test, epoch chosen on validation  seeds  diverged"
    ]
    for row in summary:
        last, chosen = (_percent(row, name) for name in ("test_accuracy", "selected_test_accuracy"))
        values = "  ".join(f"{row[name]!s:>{widths[name]}}" for name in names)
        lines.append(f"{values}  {last:>16}  {chosen:>32}  {row['seeds']:5d}  {row['diverged']:8d}")
    return "\n".join(line.strip("\n") for line in lines)


def _percent(row: Row, name: str) -> str:
    if row[name] is None:
        return "all diverged"
    spread = row[f"{name}_std"]
    return f"{100 * row[name]:.2f} %" if spread is None else f"{100 * row[name]:.2f} +- {100 * spread:.2f} %"
