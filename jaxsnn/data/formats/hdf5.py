"""The HDF5 format of the Heidelberg Digits and Speech Commands (SHD, SSC): many labelled recordings in one file.

`spikes/times` (for each recording its times, float16, in seconds), `spikes/units` (its channels, uint16), `labels`.
Times become float64 before they become microseconds: a million is infinite in float16. From 1 s on neighbouring times
of float16 are 0.98 ms apart, so that bins below a millisecond show the rounding, not the sound.

Source: Cramer, Stradmann, Schemmel and Zenke (2022), IEEE Transactions on Neural Networks and Learning Systems 33:2744.
"""

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxsnn.data.dataset import DISTRIBUTION
from jaxsnn.data.events import recording
from jaxsnn.data.formats.damage import damaged, refused

CHANNELS = 700
_TIMES, _UNITS, _LABELS = "spikes/times", "spikes/units", "labels"
_LONGEST = 2000.0
"""Seconds; float16 has times up to 65,504 s, in which no word is spoken."""


def read(path: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Reads a file.

    Returns:
      Recordings, `events.EVENT` `[E]` each, with x = channel, y = 0 and p = 1; and labels, int32 `[N]`.

    Raises:
      ValueError: the file is damaged, or not of this layout.
      ImportError: h5py is missing.
    """
    pairs = list(walk(path))
    return [events for events, _ in pairs], np.array([label for _, label in pairs], np.int32)


def walk(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    """The recordings of a file with their labels, one after the other; raises as `read`.

    The library reads in a process of its own (`hdf5_child`): it can crash on a damaged file, or ask for any memory.
    """
    _h5py()
    size = path.stat().st_size
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, _program(), str(path), folder]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        child = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace")
        if child.returncode:
            said = child.stderr.strip().splitlines()[-1:] or [f"a crash of the library ({child.returncode})"]
            wanted = f"{size} bytes of HDF5 with {_TIMES}, {_UNITS} and {_LABELS} of equal length"
            raise damaged(str(path), 0, f"expected {wanted}, got {said[0]}")
        counts, labels = (np.fromfile(Path(folder) / name, "<i8") for name in ("counts", "labels"))
        kinds = child.stdout.split()
        times, units = (
            _mapped(Path(folder) / name, kind) for name, kind in zip(("times", "units"), kinds, strict=True)
        )
        starts = np.cumsum([0, *counts])
        for number, (begin, end) in enumerate(itertools.pairwise(starts.tolist())):
            try:
                yield _events(times[begin:end], units[begin:end]), int(labels[number])
            except ValueError as error:
                raise damaged(
                    str(path), 0, f"expected times and channels in recording {number}, got {error}"
                ) from error


def _program() -> str:
    return str(Path(__file__).with_name("hdf5_child.py"))


def _mapped(path: Path, dtype: str) -> np.ndarray:
    return np.memmap(path, dtype, "r") if path.stat().st_size else np.zeros(0, dtype)  # no empty file can be mapped


def _events(times: np.ndarray, units: np.ndarray) -> np.ndarray:
    seconds = times.astype(np.float64)
    if not (np.abs(seconds) <= _LONGEST).all():  # not a number, too
        raise ValueError(f"a time that is no number below {_LONGEST:g} s")
    zero = np.zeros(len(units), np.uint8)
    return recording(np.rint(seconds * 1e6).astype(np.int64), units, zero, zero + 1)


def write(path: Path, recordings: Sequence[np.ndarray], labels: np.ndarray) -> None:
    """Writes recordings with their labels; times are rounded to float16 seconds, as in the official files.

    Raises:
      ValueError: an event has another row than 0 or polarity than 1, or a time beyond 2,000 s, or labels are not one
        for each recording.
      ImportError: h5py is missing.
    """
    h5py = _h5py()
    if len(labels) != len(recordings):
        raise ValueError(f"{path}: expected a label for each of {len(recordings)} recordings, got {len(labels)}")
    for events in recordings:
        if (bad := (events["y"] != 0) | (events["p"] != 1) | (np.abs(events["t"]) > _LONGEST * 1e6)).any():
            i = int(np.flatnonzero(bad)[0])
            raise refused(str(path), i, f"is {events[i]}, expected y = 0, p = 1, t up to {_LONGEST:g} s")
    with h5py.File(path, "w") as file:
        for key, field, dtype in ((_TIMES, "t", np.float16), (_UNITS, "x", np.uint16)):
            rows = file.create_dataset(key, (len(recordings),), h5py.vlen_dtype(dtype))
            for n, events in enumerate(recordings):
                rows[n] = (events[field] / 1e6 if field == "t" else events[field]).astype(dtype)
        file[_LABELS] = np.asarray(labels, np.uint16)


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError(f'HDF5 files are read with h5py: pip install "{DISTRIBUTION}[events]"') from error
    return h5py
