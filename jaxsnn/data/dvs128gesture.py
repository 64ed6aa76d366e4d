"""DVS128 Gesture from its official files: eleven gestures of 29 people under three to five lights.

Amir et al., "A low power, fully event-based gesture recognition system", CVPR 2017. A file holds all gestures of a
person under a light; a table beside it says from when to when each lasts. `trials_to_train.txt` (people 1 to 23) and
`trials_to_test.txt` (24 to 29) are the official split: 1,176 and 288 gestures. Tables overlap here and there (user 22
under LED light): an event in two gestures belongs to both.
"""

import csv
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from jaxsnn.data import events, recordings
from jaxsnn.data.dataset import DataNotFoundError, Dataset
from jaxsnn.data.events import Binning
from jaxsnn.data.formats import aedat3

SENSOR = (128, 128)
CLASSES = 11
LISTS = ("trials_to_train.txt", "trials_to_test.txt")
COLUMNS = ["class", "startTime_usec", "endTime_usec"]
_ORIGIN = (
    "DVS128 Gesture is published by IBM Research (Amir et al. 2017): unpack DvsGesture.tar.gz and point data_dir at "
    "the folder DvsGesture, or at the one around it"
)


def load(data_dir: Path, cache_dir: Path, *, binning: Binning) -> Dataset:
    """Loads both splits as frames, gestures in the order of the lists and tables.

    Args:
      data_dir: folder with `trials_to_train.txt`, `trials_to_test.txt`, and the `.aedat` and `_labels.csv` files that
        they name, or the one around it if it is called DvsGesture or dvs128gesture.
      cache_dir: folder of parsed recordings.
      binning: see `events.frames`.

    Returns:
      Samples `[N, T, 128, 128, 2]`; labels int32 `[N]`, the official class less one.

    Raises:
      ValueError: a recording or a table is damaged, or the binning is none that `events.frames` takes.
      DataNotFoundError: a file is missing.
      OSError: a file cannot be read.
    """
    events.check_binning(binning, SENSOR)
    root = recordings.find("dvs128gesture", data_dir, (".", "DvsGesture", "dvs128gesture"), LISTS, _ORIGIN)
    splits = []
    for trials in LISTS:
        files = [root / name for name in (root / trials).read_text(encoding="utf-8").split()]
        tables = [file.with_name(f"{file.stem}_labels.csv") for file in files]
        if missing := [file.name for file in (*files, *tables) if not file.is_file()]:
            raise DataNotFoundError(f"{root / trials} names files that are not in {root}: {missing[0]}. {_ORIGIN}.")
        name = f"dvs128gesture-{trials.removesuffix('.txt')}"
        # tables are part of the fingerprint, and yield no recordings themselves
        splits.append(recordings.fetch(cache_dir, name, root, [*files, *tables], partial(_parse, set(files))))
    return recordings.dataset("dvs128gesture", splits[0], splits[1], CLASSES, binning, SENSOR)


def _parse(files: set[Path], file: Path) -> Iterator[tuple[np.ndarray, int]]:
    if file not in files:
        return
    whole = recordings.on_sensor(aedat3.parse(file.read_bytes(), str(file)), str(file), SENSOR)
    table = file.with_name(f"{file.stem}_labels.csv")
    for label, start, end in rows(table.read_text(encoding="utf-8"), str(table)):
        yield whole[(whole["t"] >= start) & (whole["t"] < end)], label - 1


def rows(text: str, name: str) -> list[tuple[int, int, int]]:
    """The rows of a table of labels: class from 1 to 11, start and end in microseconds.

    Raises:
      ValueError: naming the file, the line and what was expected.
    """
    lines = csv.reader(io.StringIO(text))
    if (head := [word.strip() for word in next(lines, [])]) != COLUMNS:
        raise ValueError(f"{name}: line 1: expected {','.join(COLUMNS)}, got {','.join(head)}")
    found = []
    for number, line in enumerate(lines, 2):
        if not line:
            continue
        try:
            label, start, end = map(int, line)
        except ValueError as error:
            raise ValueError(f"{name}: line {number}: expected three whole numbers, got {','.join(line)}") from error
        if not 1 <= label <= CLASSES or end < start:
            raise ValueError(
                f"{name}: line {number}: expected a class from 1 to {CLASSES} and an end after the start, got "
                f"{label}, {start} to {end}"
            )
        found.append((label, start, end))
    return found
