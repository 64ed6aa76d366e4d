"""Whether samples will fit into the memory of this machine, asked before they are made."""

import warnings
from pathlib import Path

COPIES = 2
"""Copies of the samples while a run starts: as they are loaded, and as they are divided and put on the device."""


def available(system: Path = Path("/")) -> int | None:
    """Bytes that programs may still take, by the system and the container they run in; None if it is not known."""
    free = []
    for line in _lines(system / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            free.append(int(line.split()[1]) * 1024)
    limit, used = (_lines(system / f"sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if limit and used and limit[0].isdigit():
        free.append(int(limit[0]) - int(used[0]))
    return min(free, default=None)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def check_room(size: int, what: str, advice: str) -> None:
    """Checks that samples fit into memory, and warns if they do but are copied.

    Args:
      size: their bytes.
      what: the samples' name.
      advice: the way to make them smaller.

    Raises:
      ValueError: if they do not fit.
    """
    free = available()
    if free is None or COPIES * size <= free:
        return
    text = f"{what} take {size / 1e9:.3g} GB, and a second time when they are divided, with {free / 1e9:.3g} GB free"
    if size > free:
        raise ValueError(f"{text}: {advice}")
    warnings.warn(f"{text}: the system may end this program; {advice}", RuntimeWarning, stacklevel=3)
