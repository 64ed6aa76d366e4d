"""Parsers written once more, event by event, from the descriptions of the formats; and slow frames and filters."""

import numpy as np

Event = tuple[int, int, int, int]  # t, x, y, p


def aer(data: bytes) -> list[Event]:
    found, late = [], 0
    for i in range(0, len(data), 5):
        x, y, a, b, c = data[i : i + 5]
        if y == 240:
            late += 8192
        else:
            found.append((a % 128 * 65536 + b * 256 + c + late, x, y, a // 128))
    return found


def aedat2(data: bytes) -> list[Event]:
    lines = data
    while lines[0:1] == b"#":
        lines = lines[lines.index(b"\n") + 1 :]
    found, rounds, before = [], 0, 0
    for i in range(0, len(lines), 8):
        address, time = (int.from_bytes(lines[j : j + 4], "big") for j in (i, i + 4))
        if i and time < before - 2**31:
            rounds += 1
        before = time
        found.append((time + rounds * 2**32, 127 - address // 256 % 128, 127 - address // 2 % 128, 1 - address % 2))
    return found


def aedat3(data: bytes) -> list[Event]:
    rest, found = data.split(b"#!END-HEADER\r\n", 1)[1], []
    while rest:
        kind = int.from_bytes(rest[0:2], "little")
        size, _, overflows, capacity, number, _ = (int.from_bytes(rest[k : k + 4], "little") for k in range(4, 28, 4))
        for n in range(number if kind == 1 else 0):
            event = rest[28 + n * size : 28 + (n + 1) * size]
            bits, time = int.from_bytes(event[:4], "little"), int.from_bytes(event[4:], "little")
            if bits % 2:
                found.append((time + overflows * 2**31, bits // 2**17, bits // 4 % 2**15, bits // 2 % 2))
        rest = rest[28 + capacity * size :]
    return found


def frames(
    events, steps, size, by="time", values="binary", polarity="apart", duration=0, crop=(), downsample=1, start=None
):
    """One event after the other, with fractions compared as whole numbers."""
    top, left, height, width = crop or (0, 0, *size)
    first = min((t for t, *_ in events), default=0) if start is None else start
    last = max((t for t, *_ in events), default=0)
    kept = [(t, x - left, y - top, p) for t, x, y, p in events if 0 <= x - left < width and 0 <= y - top < height]
    shape = (steps, (height + downsample - 1) // downsample, (width + downsample - 1) // downsample, 2)
    found = np.zeros(shape, int)
    for rank, (t, x, y, p) in enumerate(sorted(kept, key=lambda event: event[0])):
        if by == "duration":
            step = (t - first) // duration
        else:
            position, whole = (t - first, last - first) if by == "time" else (rank, len(kept))
            if position < 0:
                continue
            # the last bin whose left edge, k * whole / steps, is not to the right of the position
            step = max(k for k in range(steps) if k * whole <= position * steps) if whole > 0 else 0
        if 0 <= step < steps:
            found[step, y // downsample, x // downsample, p] += 1
    on, off = found[..., 1:], found[..., :1]
    found = {"apart": found, "merged": on + off, "signed": on - off}[polarity]
    most = 1 if values == "binary" else 127 if polarity == "signed" else 255
    return np.clip(found, -most if polarity == "signed" else 0, most)


def denoised(events, window):
    return [
        (t, x, y, p)
        for i, (t, x, y, p) in enumerate(events)
        if any(max(abs(x - u), abs(y - v)) == 1 and t - before <= window for before, u, v, _ in events[:i])
    ]
