"""Readers and writers of recordings, one module per format; each turns bytes into `events.EVENT` arrays and back.

`hdf5`, whose files hold many recordings with labels, stands beside the table.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxsnn.data.formats import aedat2, aedat3, aer, arrays, hdf5
from jaxsnn.files import write_whole

__all__ = ["FORMATS", "Format", "aedat2", "aedat3", "aer", "arrays", "hdf5", "read", "write"]


class Format(NamedTuple):
    """A format that holds one recording in a file."""

    parse: Callable[[bytes, str], np.ndarray]
    """`(contents, name of the file) -> events [E]`; raises ValueError alone."""
    encode: Callable[[np.ndarray, str], bytes]
    suffix: str
    signature: bytes = b""
    """The first bytes, where the suffix does not tell."""


FORMATS: dict[str, Format] = {
    "nmnist": Format(aer.parse, aer.encode, ".bin"),
    "aedat2": Format(aedat2.parse, aedat2.encode, ".aedat", aedat2.VERSION),
    "aedat3": Format(aedat3.parse, aedat3.encode, ".aedat", aedat3.VERSION),
    "npy": Format(arrays.parse, arrays.encode, ".npy"),
    "npz": Format(arrays.parse_zip, arrays.encode_zip, ".npz"),
}
"""Every format of one recording by its name; an entry that is added is read by its suffix."""


def suffixes() -> tuple[str, ...]:
    """The suffixes of files that `read` takes."""
    return tuple(dict.fromkeys(format.suffix for format in FORMATS.values()))


def read(path: str | Path) -> np.ndarray:
    """Reads a recording, `events.EVENT` `[E]`, in the format of the file's suffix and first bytes.

    Raises:
      ValueError: the file is damaged, or of no format here; it names the file, the byte and what was expected.
      OSError: the file cannot be read.
    """
    path = Path(path)
    data = path.read_bytes()
    for format in FORMATS.values():
        if path.suffix.lower() == format.suffix and data.startswith(format.signature):
            return format.parse(data, str(path))
    known = ", ".join(f"{format.suffix} ({name})" for name, format in FORMATS.items())
    raise ValueError(f"{path}: expected a recording in one of {known}, got the first bytes {data[:12]!r}")


def write(path: str | Path, events: np.ndarray, format: str | None = None) -> None:
    """Writes a recording.

    Args:
      path: the file, written as a whole or not at all.
      events: `events.EVENT` `[E]`.
      format: key of `FORMATS`; by default the one of the file's suffix, the newest if there are several.

    Raises:
      ValueError: no such format, or it cannot hold an event.
      OSError: the file cannot be written.
    """
    path = Path(path)
    fitting = [name for name, member in FORMATS.items() if member.suffix == path.suffix.lower()]
    name = format or (fitting[-1] if fitting else path.suffix)
    if name not in FORMATS:
        raise ValueError(f"{path}: expected a format of {', '.join(FORMATS)}, by suffix or name, got {name!r}")
    write_whole(path, FORMATS[name].encode(events, str(path)))
