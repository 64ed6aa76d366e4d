"""The 40-bit address-event format of N-MNIST and N-Caltech101, `.bin`.

An event is five bytes: x, y, then polarity in the highest bit of the third byte, and in the other 23 bits, the
highest first, the time in microseconds. An event with y = 240 is not one, but adds 2**13 us to all times that follow.

Source: read_dataset in eventvision.py of gorchard/event-Python, by the authors of Orchard et al. (2015).
"""

import numpy as np

from jaxsnn.data.events import EVENT, check_events
from jaxsnn.data.formats.damage import damaged, refused

SIZE = 5
OVERFLOW_Y = 240
OVERFLOW_TIME = 2**13
_FIELD = 2**23
_LAST = np.iinfo(np.int32).max


def parse(data: bytes, name: str) -> np.ndarray:
    """Reads the bytes of a file.

    Args:
      data: contents of the file.
      name: of the file, for errors.

    Returns:
      `events.EVENT` `[E]`, whose times never fall.

    Raises:
      ValueError: the file is truncated, time goes backwards, or time exceeds int32.
    """
    if extra := len(data) % SIZE:
        raise damaged(name, len(data) - extra, f"expected an event of {SIZE} bytes, got {extra}: the file is truncated")
    raw = np.frombuffer(data, np.uint8).reshape(-1, SIZE)
    is_marker = raw[:, 1] == OVERFLOW_Y
    kept = np.flatnonzero(~is_marker)
    high, middle, low = (raw[:, byte].astype(np.int64) for byte in (2, 3, 4))
    time = ((high & 127) << 16 | middle << 8 | low) + OVERFLOW_TIME * np.cumsum(is_marker)
    events = np.empty(len(kept), EVENT)
    events["t"], events["x"], events["y"], events["p"] = time[kept], raw[kept, 0], raw[kept, 1], raw[kept, 2] >> 7
    t = events["t"]
    if len(backwards := np.flatnonzero(np.diff(t) < 0)):
        i = backwards[0] + 1
        raise damaged(name, SIZE * kept[i], f"time goes backwards, from {t[i - 1]} us to {t[i]} us; it must not fall")
    if len(t) and t[-1] > _LAST:
        raise damaged(
            name, SIZE * kept[-1], f"overflow markers (y = {OVERFLOW_Y}) add up to {t[-1]} us, which exceeds int32"
        )
    return events


def encode(events: np.ndarray, name: str) -> bytes:
    """Writes a recording as bytes, with overflow markers before times of 2**23 us and more.

    Raises:
      ValueError: the format cannot hold an event: x above 255, y above 239, or a time that falls or is not in int32.
    """
    check_events(events)
    t = events["t"]
    for bad, what in (
        ((events["x"] > 255) | (events["y"] >= OVERFLOW_Y), f"is not in 256 columns and {OVERFLOW_Y} rows"),
        ((t < 0) | (t > _LAST), f"is not between 0 and {_LAST} us"),
        (np.diff(t, prepend=t[:1]) < 0, "is earlier than the one before it"),
    ):
        if bad.any():
            raise refused(name, int(np.flatnonzero(bad)[0]), what)
    markers = np.maximum(0, -((_FIELD - 1 - t) // OVERFLOW_TIME))  # that stand before each event
    place = np.arange(len(t)) + markers
    raw = np.zeros((len(t) + (int(markers[-1]) if len(t) else 0), SIZE), np.uint8)
    raw[:, 1] = OVERFLOW_Y
    rest = t - OVERFLOW_TIME * markers
    raw[place] = np.stack(
        [events["x"], events["y"], events["p"] << 7 | rest >> 16, rest >> 8 & 255, rest & 255], 1
    ).astype(np.uint8)
    return raw.tobytes()
