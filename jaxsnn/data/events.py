"""Recordings of event cameras: the 40-bit address-event format, and binning into frames. NumPy only, no files."""

import itertools
from typing import NamedTuple

import numpy as np

BINS = ("time", "count")
VALUES = ("binary", "counts")
EVENT_BYTES = 5
OVERFLOW_Y = 240  # an "event" in this row is no event: the sensor's clock has wrapped around
OVERFLOW_TIME = 2**13  # microseconds by which everything from that one on is late


class Recordings(NamedTuple):
    """All events of a split, recording after recording; E events of N recordings."""

    x: np.ndarray  # uint8 [E], column
    y: np.ndarray  # uint8 [E], row
    polarity: np.ndarray  # uint8 [E], 1 where it became brighter, 0 where darker
    time: np.ndarray  # int32 [E], microseconds since the recording's start, never falling within a recording
    starts: np.ndarray  # int64 [N + 1]; recording n is events starts[n]:starts[n + 1]
    labels: np.ndarray  # int32 [N]


def parse_aer(
    data: bytes | np.ndarray, name: str, sensor: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Reads one recording in the 40-bit address-event format of N-MNIST and N-Caltech101.

    An event is five bytes: x, y, then polarity in the highest bit of the third byte, and in the other 23 bits, the
    highest first, the time in microseconds. As in the authors' reader (read_dataset in eventvision.py of
    gorchard/event-Python), an event with y = 240 is not one, but adds 2**13 us to all times that follow it.

    Args:
      data: contents of the file, as bytes or uint8 `[bytes]`.
      name: of the file, for errors.
      sensor: height and width in pixels, at most 240 and 256.

    Returns:
      x, y and polarity, uint8 `[E]`, and time, int32 `[E]`, as the fields of `Recordings`; never empty.

    Raises:
      ValueError: the recording is truncated or empty, an event lies outside the sensor, time goes backwards, or time
        exceeds int32.
    """
    height, width = sensor
    if not (1 <= height <= OVERFLOW_Y and 1 <= width <= 256):
        raise ValueError(f"the format holds sensors of 1 to {OVERFLOW_Y} rows and 1 to 256 columns, got {sensor}")
    raw = data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
    if raw.dtype != np.uint8 or raw.ndim != 1:
        raise ValueError(f"{name}: expected the bytes of a file, uint8 [bytes], got {raw.dtype} {list(raw.shape)}")
    if extra := len(raw) % EVENT_BYTES:
        raise _error(
            name,
            f"the event at byte {len(raw) - extra} has {extra} of its {EVENT_BYTES} bytes: the file, of {len(raw)} "
            "bytes, is truncated",
        )
    is_marker = raw[1::EVENT_BYTES] == OVERFLOW_Y
    kept = np.flatnonzero(~is_marker)
    if not len(kept):
        raise _error(name, f"expected at least one event, got none in {len(raw)} bytes")
    x, y = raw[0::EVENT_BYTES][kept], raw[1::EVENT_BYTES][kept]
    if len(outside := np.flatnonzero((x >= width) | (y >= height))):
        i = outside[0]
        raise _error(
            name,
            f"the event at byte {EVENT_BYTES * kept[i]} is at x = {x[i]}, y = {y[i]}, outside the sensor of {width} "
            f"columns and {height} rows",
        )
    high, middle, low = (raw[byte::EVENT_BYTES].astype(np.int64) for byte in (2, 3, 4))
    time = ((high & 127) << 16 | middle << 8 | low) + OVERFLOW_TIME * np.cumsum(is_marker)
    time = time[kept]
    if len(backwards := np.flatnonzero(np.diff(time) < 0)):
        i = backwards[0] + 1
        raise _error(
            name,
            f"time goes backwards at the event at byte {EVENT_BYTES * kept[i]}, from {time[i - 1]} us to {time[i]} us; "
            "times must not fall",
        )
    if time[-1] > np.iinfo(np.int32).max:  # the last time is the largest
        raise _error(name, f"its overflow markers (y = {OVERFLOW_Y}) add up to {time[-1]} us, which exceeds int32")
    return x, y, raw[2::EVENT_BYTES][kept] >> 7, time.astype(np.int32)


def _error(name: str, what: str) -> ValueError:
    return ValueError(f"{name}: {what}. Copy the file anew from the original archive, or remove it")


def check_bins(steps: int, by: str, values: str) -> None:
    """Raises ValueError unless these are arguments that `frames` takes; cheap, to be called before reading data."""
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise ValueError(f"the number of time steps must be an integer of at least 1, got {steps!r}")
    if by not in BINS:
        raise ValueError(f"events are binned by one of {', '.join(BINS)}, got {by!r}")
    if values not in VALUES:
        raise ValueError(f"values of event frames are one of {', '.join(VALUES)}, got {values!r}")


def frames(recordings: Recordings, steps: int, *, by: str, values: str, sensor: tuple[int, int]) -> np.ndarray:
    """Bins every recording into frames; each event falls in exactly one bin.

    Bins of equal time divide a recording from its own first event to its last, which falls in the last bin (events that
    are all at one time fall in the first). Bins of equal count differ by one event at most; with fewer events than
    steps, some are empty.

    Args:
      recordings: N recordings; one without events gives zeros.
      steps: number T of bins.
      by: the quantity that the bins share equally, "time" or "count" (of events).
      values: "binary", 1 where a pixel has events of a polarity in a bin; or "counts", how many, where counts above
        255 saturate at 255.
      sensor: height and width in pixels.

    Returns:
      uint8 `[N, T, H, W, 2]`, channel = polarity; of `N T H W 2` bytes.

    Raises:
      ValueError: an argument is none of these, or an event lies outside the sensor.
    """
    check_bins(steps, by, values)
    height, width = sensor
    x, y, polarity, time, starts, labels = recordings
    for field, array, limit in (("x", x, width), ("y", y, height), ("polarity", polarity, 2)):
        if len(array) and array.max() >= limit:
            raise ValueError(
                f"{field} of every event must be below {limit}, got {array.max()}; is the sensor not {sensor}?"
            )
    most = 1 if values == "binary" else 255
    size = steps * height * width * 2
    result = np.zeros((len(labels), size), np.uint8)
    for n, (begin, end) in enumerate(itertools.pairwise(starts)):
        if begin == end:
            continue
        step = _bin_by_time(time[begin:end], steps) if by == "time" else np.arange(end - begin) * steps // (end - begin)
        cell = ((step * height + y[begin:end]) * width + x[begin:end]) * 2 + polarity[begin:end]
        result[n] = np.minimum(np.bincount(cell, minlength=size), most)
    return result.reshape(-1, steps, height, width, 2)


def _bin_by_time(time: np.ndarray, steps: int) -> np.ndarray:
    """The bin, int64 `[E]` in `[0, steps)`, of each event of one recording. In integers, so that no edge is rounded."""
    elapsed = time.astype(np.int64) - time[0]
    return np.minimum(elapsed * steps // max(elapsed[-1], 1), steps - 1)
