"""The data of a run as checksums in its folder, so that it is noticed if it is other data later."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from jaxsnn.data import Dataset
from jaxsnn.lab.run_folder import read_json, write_json

FILE = "data.json"
ROWS = 4096
"""Samples that are looked at together: memory grows with it."""
Sums = dict[str, dict[str, Any]]


def sums(data: Dataset) -> Sums:
    """By the name of the set (and how its events were binned): number of samples and checksums of both splits."""
    splits = {"training": data.train, "test": data.test}
    checksums = {name: {"samples": len(y), "images": _sum(x), "labels": _sum(y)} for name, (x, y) in splits.items()}
    return {", ".join(filter(None, (data.name, data.description))): checksums}


def _sum(values: np.ndarray) -> str:
    value = zlib.crc32(f"{values.dtype}{list(values.shape)}".encode())
    for begin in range(0, len(values), ROWS):
        value = zlib.crc32(np.ascontiguousarray(values[begin : begin + ROWS]).data, value)
    return f"{value:08x}"


def check(folder: Path, data: Sums) -> None:
    """Checks that a folder's run was trained on this data; a folder of an earlier version does not say.

    Raises:
      ValueError: if it is not, or the file is damaged.
    """
    if not (folder / FILE).exists():
        return
    stored = read_json(folder / FILE)
    for name, splits in data.items():
        known = stored.get(name, splits)
        if not isinstance(known, dict) or not all(isinstance(entry, dict) for entry in known.values()):
            raise ValueError(f"{folder / FILE} is damaged: move it away, if you are sure of the data")
        if differs := [split for split, now in splits.items() if known.get(split) != now]:
            split = differs[0]
            before, now = known.get(split, {}).get("samples"), splits[split]["samples"]
            raise ValueError(
                f"the {' and '.join(differs)} samples of {name} are not those that {folder} was trained on "
                f"({before} {split} samples then, {now} now): give the folder of the same data with --data_dir, or "
                "start a new run on these"
            )


def remember(folder: Path, data: Sums) -> None:
    """Checks as `check`, and stores the new checksums.

    Raises:
      ValueError: as `check`.
      OSError: if the folder cannot be written.
    """
    check(folder, data)
    stored = read_json(folder / FILE) if (folder / FILE).exists() else {}
    if not data.items() <= stored.items():
        write_json(folder / FILE, stored | data)
