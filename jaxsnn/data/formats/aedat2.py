"""AEDAT 2.0 of the DVS128, `.aedat`: the format of CIFAR10-DVS.

Lines that begin with # and end with a line feed, then pairs of big-endian 32-bit numbers: address, time in
microseconds. In the address, bit 0 is set where it became darker, bits 1 to 7 and 8 to 14 are counted from the far
corner, and the first of the two is the row of the picture: x = 127 - (bits 8 to 14), y = 127 - (bits 1 to 7).

Times are unfolded where they wrap around: one that falls by more than half of 2**32 us begins the next round.

Source: Li et al. (2017), "CIFAR10-DVS", Frontiers in Neuroscience 11:309, whose reader turns the axes so.
"""

import numpy as np

from jaxsnn.data.events import EVENT, check_events
from jaxsnn.data.formats.damage import damaged, refused

VERSION = b"#!AER-DAT2.0"
SIDE = 128
_PAIR = np.dtype([("address", ">u4"), ("time", ">u4")])
_ROUND = 2**32


def parse(data: bytes, name: str) -> np.ndarray:
    """Reads the bytes of a file; events of other kinds (bits above the 14th) are refused.

    Returns:
      `events.EVENT` `[E]`, in the order of the file.

    Raises:
      ValueError: there is no header of this version, the last event is truncated, or an address is not a DVS128's.
    """
    if not data.startswith(VERSION):
        raise damaged(name, 0, f"expected {VERSION.decode()}, got {data[: len(VERSION)]!r}")
    begin = 0
    while data[begin : begin + 1] == b"#":
        end = data.find(b"\n", begin)
        if end < 0:
            raise damaged(name, begin, "expected a line of the header that ends, got the end of the file")
        begin = end + 1
    if extra := (len(data) - begin) % _PAIR.itemsize:
        raise damaged(
            name, len(data) - extra, f"expected an event of {_PAIR.itemsize} bytes, got {extra}: the file is truncated"
        )
    pairs = np.frombuffer(data, _PAIR, offset=begin)
    address = pairs["address"].astype(np.int64)
    if len(strange := np.flatnonzero(address >> 15)):
        i = strange[0]
        raise damaged(
            name, begin + _PAIR.itemsize * i, f"expected an address of 15 bits, a DVS128's, got {address[i]:#x}"
        )
    events = np.empty(len(pairs), EVENT)
    events["t"] = unfolded(pairs["time"].astype(np.int64))
    events["x"], events["y"] = SIDE - 1 - (address >> 8 & 127), SIDE - 1 - (address >> 1 & 127)
    events["p"] = 1 - (address & 1)
    return events


def unfolded(time: np.ndarray) -> np.ndarray:
    """Times in [0, 2**32), which wrap around, as times that go on."""
    return time + _ROUND * np.cumsum(np.diff(time, prepend=time[:1]) < -_ROUND // 2)


def encode(events: np.ndarray, name: str) -> bytes:
    """Writes a recording as bytes.

    Raises:
      ValueError: an event lies outside 128 x 128 pixels, or its time would be read as another.
    """
    check_events(events)
    if (bad := (events["x"] >= SIDE) | (events["y"] >= SIDE)).any():
        raise refused(name, int(np.flatnonzero(bad)[0]), f"is not in {SIDE} x {SIDE} pixels")
    folded = events["t"] % _ROUND
    if (bad := unfolded(folded) != events["t"]).any():
        raise refused(name, int(np.flatnonzero(bad)[0]), "has a time that 32 bits and the event before cannot tell")
    pairs = np.empty(len(events), _PAIR)
    x, y, p = (events[field].astype(np.uint32) for field in "xyp")
    pairs["address"], pairs["time"] = (SIDE - 1 - x) << 8 | (SIDE - 1 - y) << 1 | (1 - p), folded
    return VERSION + b"\r\n# This is a raw AE data file - do not edit\r\n" + pairs.tobytes()
