"""The data of a run in its folder: checksums, so that it is noticed if it is other data later, and its shape and the
names of its classes, so that a trained network can be used without it."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxsnn.data import Dataset, Split
from jaxsnn.lab.run_folder import read_json, write_json
from jaxsnn.rows import Rows, pieces

FILE = "data.json"
SAMPLE = "sample"
"""The entry of the data set, beside those of its splits, that describes a sample and its classes."""
Sums = dict[str, dict[str, Any]]


def sums(data: Dataset) -> Sums:
    """By the name of the set (and how its events were binned): number of samples and checksums of both splits, and
    `SAMPLE`."""
    splits = {"training": data.train, "test": data.test}
    checksums = {name: {"samples": len(y), "images": _sum(x), "labels": _sum(y)} for name, (x, y) in splits.items()}
    shape, dtype = list(data.train.samples.shape[1:]), str(data.train.samples.dtype)
    sample = {"shape": shape, "dtype": dtype, "num_classes": data.num_classes, "classes": list(data.classes)}
    return {", ".join(filter(None, (data.name, data.description))): checksums | {SAMPLE: sample}}


def outline(folder: Path) -> Dataset:
    """The data set that a run was trained on without its numbers: samples and labels are 0, and take no memory.

    Raises:
      ValueError: if the folder does not say, or the file is damaged.
    """
    if not (folder / FILE).exists():
        raise ValueError(f"{folder} has no {FILE}, which says what samples its networks take: train it again")
    name, entry = next(iter(read_json(folder / FILE).items()))
    try:
        return imagined(name, entry[SAMPLE], *(entry[part]["samples"] for part in ("training", "test")))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder / FILE} does not say what samples the networks take: it is damaged, or of an earlier version; "
            "resume the run once with --resume, which writes it"
        ) from error


def imagined(name: str, sample: Mapping[str, Any], training: int = 1, test: int = 1) -> Dataset:
    """A data set of so many samples as `SAMPLE` describes, all 0 and without memory."""
    zero = np.zeros((), sample["dtype"])
    parts = [
        Split(np.broadcast_to(zero, (count, *sample["shape"])), np.zeros(count, np.int32)) for count in (training, test)
    ]
    return Dataset(name, parts[0], parts[1], sample["num_classes"], classes=tuple(sample["classes"]))


def _sum(values: np.ndarray | Rows) -> str:
    value = zlib.crc32(f"{values.dtype}{list(values.shape)}".encode())
    for _, part in pieces(values):
        value = zlib.crc32(np.ascontiguousarray(part).data, value)
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
        if differs := [split for split, now in splits.items() if split != SAMPLE and known.get(split) != now]:
            split = differs[0]
            before, now = known.get(split, {}).get("samples"), splits[split]["samples"]
            raise ValueError(
                f"the {' and '.join(differs)} samples of {name} are not those that {folder} was trained on "
                f"({before} {split} samples then, {now} now): give the place of the same data with --data_dir "
                "(--data, of your own), or "
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
