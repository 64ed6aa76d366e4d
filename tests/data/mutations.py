"""Files with random bytes changed, cut or repeated: read as another recording, or refused with the documented error.

`python -m tests.data.mutations 1000000` tries so many in all, divided among the formats.
"""

import re
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np

from jaxsnn.data.events import EVENT, check_events, recording
from jaxsnn.data.formats import FORMATS, hdf5


def sample(count=40, seed=0):
    """A recording that every format can hold."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, 9_000_000, count))
    return recording(t, rng.integers(0, 128, count), rng.integers(0, 128, count), rng.integers(0, 2, count))


def words(count, seed=0):
    """A recording of a cochlea."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, 1_400_000, count))
    return recording(t, rng.integers(0, 700, count), t * 0, t * 0 + 1)


def mutated(data, rng):
    """A few bytes changed (often to extremes), and sometimes the end cut, a part repeated or left out."""
    changed = bytearray(data)
    for _ in range(rng.integers(0, 4)):
        place = rng.integers(0, len(changed))
        changed[place] = rng.choice([rng.integers(0, 256), changed[place] ^ 1 << rng.integers(0, 8), 0, 255])
    kind, a, b = rng.integers(0, 8), *sorted(rng.integers(0, len(changed) + 1, 2))
    if kind == 0:
        del changed[a:]
    elif kind == 1:
        del changed[a:b]
    elif kind == 2:
        changed[a:a] = changed[a:b]
    return bytes(changed)


def attempt(name, data):
    """Reads bytes in a format; returns whether they were refused, having checked how."""
    format = FORMATS[name]
    try:
        events = format.parse(data, "file")
    except ValueError as error:
        if not re.match(r"file: at byte \d+: (expected|time goes backwards|overflow markers)", str(error)):
            raise AssertionError(f"{name}: another error than the documented one") from error
        return True
    assert events.dtype == EVENT
    check_events(events)
    return False


def run(name, count, seed=0):
    """Tries mutations of a format; returns how many were refused, and the most memory that reading took."""
    rng = np.random.default_rng(seed)
    data, refused, most = FORMATS[name].encode(sample(), "file"), 0, 0
    for i in range(count):
        changed = mutated(data, rng)
        if i % 50 == 0:
            tracemalloc.start()
        refused += attempt(name, changed)
        if tracemalloc.is_tracing():
            most = max(most, tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    return refused, most


def run_hdf5(folder, count, seed=0):
    """As `run`, for HDF5, whose every file takes a process."""
    rng = np.random.default_rng(seed)
    path = folder / "file.h5"
    hdf5.write(path, [words(n) for n in (0, 1, 20)], np.arange(3))
    data, refused = path.read_bytes(), 0
    for _ in range(count):
        path.write_bytes(mutated(data, rng))
        try:
            hdf5.read(path)
        except ValueError as error:
            if not str(error).startswith(f"{path}: at byte 0: expected "):
                raise AssertionError("another error than the documented one") from error
            refused += 1
    return refused


if __name__ == "__main__":
    total, began, counts = int(sys.argv[1]), time.perf_counter(), Counter()
    for name in FORMATS:
        counts[name], memory = run(name, total // len(FORMATS), seed=1)
        print(
            f"{name}: {counts[name]} of {total // len(FORMATS)} refused, at most {memory} bytes, "
            f"{time.perf_counter() - began:.0f} s",
            flush=True,
        )
    with tempfile.TemporaryDirectory() as place:
        refused = run_hdf5(Path(place), total // 1000, seed=1)
    print(f"hdf5: {refused} of {total // 1000} refused, {time.perf_counter() - began:.0f} s")
