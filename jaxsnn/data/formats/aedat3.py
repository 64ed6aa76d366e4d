"""AEDAT 3.1, `.aedat`: the format of DVS128 Gesture.

Lines that begin with # up to `#!END-HEADER`, each ended by CR LF, then packets: a header of 28 bytes (little-endian:
type and source, 16 bits each; size of an event, offset of its time, overflows of the time, capacity, number and number
of valid events, 32 bits each), and room for as many events as its capacity says. A polarity event (type 1) has 8 bytes:
bit 0 valid, bit 1 polarity, bits 2 to 16 y, bits 17 to 31 x; then the time in microseconds, 31 bits, to which every
overflow adds 2**31. Packets of other types, and events that are not valid, are left out.

Source: the file format of AEDAT 3.1, iniVation; Amir et al. (2017), "A low power, fully event-based gesture
recognition system", CVPR.
"""

import itertools
import struct

import numpy as np

from jaxsnn.data.events import EVENT, check_events
from jaxsnn.data.formats.damage import damaged, refused

VERSION = b"#!AER-DAT3.1"
POLARITY = 1
_END = b"#!END-HEADER\r\n"
_HEADER = struct.Struct("<HHIIIIII")
_PAIR = np.dtype([("data", "<u4"), ("time", "<u4")])
_PACKET = 4096
"""Events of a packet that is written here."""
_SIDE = 2**15


def parse(data: bytes, name: str) -> np.ndarray:
    """Reads the bytes of a file.

    Returns:
      `events.EVENT` `[E]`, in the order of the file.

    Raises:
      ValueError: there is no header of this version, or a packet announces more than the file holds or what cannot be.
    """
    if not data.startswith(VERSION):
        raise damaged(name, 0, f"expected {VERSION.decode()}, got {data[: len(VERSION)]!r}")
    if (end := data.find(_END)) < 0:
        raise damaged(name, len(data), "expected the end of the header, #!END-HEADER, got the end of the file")
    begin, packets = end + len(_END), []
    while begin < len(data):
        if len(data) - begin < _HEADER.size:
            got = len(data) - begin
            raise damaged(name, begin, f"expected the {_HEADER.size} bytes of a packet's header, got {got}")
        kind, _, size, offset, overflows, capacity, number, _ = _HEADER.unpack_from(data, begin)
        first, left = begin + _HEADER.size, len(data) - begin - _HEADER.size
        if capacity * size > left:
            raise damaged(name, begin, f"expected a packet of {capacity} events of {size} bytes, got {left} bytes")
        if number > capacity:
            raise damaged(name, begin, f"expected at most {capacity} events, a packet's capacity, got {number}")
        if kind == POLARITY:
            if (size, offset) != (8, 4):
                raise damaged(name, begin, f"expected events of 8 bytes with the time at 4, got {size} and {offset}")
            pairs = np.frombuffer(data, _PAIR, number, first)
            if len(strange := np.flatnonzero(pairs["time"] >> 31)):
                i = strange[0]
                raise damaged(name, first + 8 * i, f"expected a time of 31 bits, got {pairs['time'][i]}")
            pairs = pairs[pairs["data"] & 1 == 1]
            events = np.empty(len(pairs), EVENT)
            events["t"] = pairs["time"].astype(np.int64) | overflows << 31
            events["x"], events["y"] = pairs["data"] >> 17, pairs["data"] >> 2 & (_SIDE - 1)
            events["p"] = pairs["data"] >> 1 & 1
            packets.append(events)
        begin = first + capacity * size
    return np.concatenate([np.empty(0, EVENT), *packets])


def encode(events: np.ndarray, name: str) -> bytes:
    """Writes a recording as bytes.

    Raises:
      ValueError: an event lies outside 2**15 columns and rows, or its time is not in [0, 2**63).
    """
    check_events(events)
    for bad, what in (
        ((events["x"] >= _SIDE) | (events["y"] >= _SIDE), f"is not in {_SIDE} columns and rows"),
        (events["t"] >> 31 != np.clip(events["t"] >> 31, 0, 2**32 - 1), "has a time that is negative or too late"),
    ):
        if bad.any():
            raise refused(name, int(np.flatnonzero(bad)[0]), what)
    parts = [VERSION + b"\r\n#Format: RAW\r\n#Source 1: DVS128\r\n" + _END]
    overflows = events["t"] >> 31
    ends = {0, len(events), *(np.flatnonzero(np.diff(overflows)) + 1).tolist(), *range(0, len(events), _PACKET)}
    edges = sorted(ends)
    x, y, p = (events[field].astype(np.uint32) for field in "xyp")
    pairs = np.empty(len(events), _PAIR)
    pairs["data"], pairs["time"] = x << 17 | y << 2 | p << 1 | 1, events["t"] & (2**31 - 1)
    for begin, end in itertools.pairwise(edges):
        number = end - begin
        parts.append(_HEADER.pack(POLARITY, 1, 8, 4, int(overflows[begin]), number, number, number))
        parts.append(pairs[begin:end].tobytes())
    return b"".join(parts)
