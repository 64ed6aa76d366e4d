"""Program: copies the recordings of an HDF5 file into plain arrays. Run by `hdf5.walk` in a process of its own.

The HDF5 library can crash on a damaged file, which would end the program that reads it. This one imports no part of
jaxsnn, so that it starts at once. Arguments: the file, and a folder, into which it writes `times`, `units`, `counts`
and `labels`; it prints the types of the first two.
"""

import sys
from pathlib import Path

import h5py
import numpy as np

SPARE = 2**30
"""Bytes that this process may take beside those that the file accounts for; a header may ask for more."""
_AT_ONCE = 64


def main(source: Path, folder: Path) -> None:
    """Copies; raises anything where the file is damaged."""
    size = source.stat().st_size
    _limit(SPARE + 64 * size)
    with h5py.File(source, "r") as file, (folder / "times").open("wb") as times, (folder / "units").open("wb") as units:
        data = [file["spikes/times"], file["spikes/units"]]
        labels = file["labels"]
        shapes = [array.shape for array in (*data, labels)]
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(set(shapes)) > 1:
            raise ValueError(f"times, units and labels of shapes {shapes}, labels {labels.dtype}")
        if labels.shape[0] > size:
            raise ValueError(f"{labels.shape[0]} labels")
        kinds: set[tuple[str, str]] = set()
        counts: list[int] = []
        for begin in range(0, labels.shape[0], _AT_ONCE):
            for t, x in zip(*(array[begin : begin + _AT_ONCE] for array in data), strict=True):
                if t.shape != x.shape or t.ndim != 1 or t.dtype.kind != "f" or x.dtype.kind not in "iu":
                    raise ValueError(f"recording {len(counts)}: times {t.dtype} {t.shape}, units {x.dtype} {x.shape}")
                kinds.add((t.dtype.str, x.dtype.str))
                t.tofile(times)
                x.tofile(units)
                counts.append(len(t))
        np.array(counts, "<i8").tofile(folder / "counts")
        labels[:].astype("<i8").tofile(folder / "labels")
    if len(kinds) > 1:
        raise ValueError(f"times and units of several types: {sorted(kinds)}")
    print(*next(iter(kinds), ("<f2", "<u2")))


def _limit(more: int) -> None:
    """Refuses this process more memory than `more` bytes beside what it has, where the system can."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):
        return
    size = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except Exception as error:  # damaged bytes make the library raise nearly anything
        sys.exit(f"{type(error).__name__}: {error}")
