"""The HDF5 format of the Heidelberg Digits and Speech Commands (SHD, SSC): many labelled recordings in one file.

`spikes/times` (for each recording its times, float16, in seconds), `spikes/units` (its channels, uint16), `labels`.
Times become float64 before they become microseconds: a million is infinite in float16. From 1 s on neighbouring times
of float16 are 0.98 ms apart, so that bins below a millisecond show the rounding, not the sound.

Source: Cramer, Stradmann, Schemmel and Zenke (2022), IEEE Transactions on Neural Networks and Learning Systems 33:2744.
"""

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
    """The recordings of a file with their labels, one after the other; raises as `read`."""
    h5py = _h5py()
    size = path.stat().st_size
    number = -1
    try:
        with h5py.File(path, "r") as file:
            times, units, labels = (file[key] for key in (_TIMES, _UNITS, _LABELS))
            _check(times, units, labels, size)
            for number, label in enumerate(labels[:].tolist()):
                yield _events(times[number], units[number]), label
    except Exception as error:  # damaged bytes make the library raise nearly anything; it does not say at which byte
        place = f"recording {number}" if number >= 0 else f"{_TIMES}, {_UNITS} and {_LABELS}"
        raise damaged(str(path), 0, f"expected HDF5 of {size} bytes with {place}, got {error!r}") from error


def _check(times: Any, units: Any, labels: Any, size: int) -> None:
    """Raises ValueError unless the shapes agree and the file can hold them."""
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not (times.shape == units.shape == labels.shape):
        raise ValueError(f"times {times.shape}, units {units.shape}, labels {labels.dtype} {labels.shape}")
    if labels.shape[0] * labels.dtype.itemsize > size:
        raise ValueError(f"{labels.shape[0]} labels")


def _events(times: np.ndarray, units: np.ndarray) -> np.ndarray:
    if times.shape != units.shape or times.dtype.kind != "f" or units.dtype.kind not in "iu" or times.ndim != 1:
        raise ValueError(f"{times.shape} {times.dtype} times, {units.shape} {units.dtype} units")
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
