"""One process at a time in a folder: a lock that the system takes back when the process ends, however it ends."""

import errno
import os
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jaxsnn import files

TRAINING, LOOKING = "training", "looking"
"""The writer of a folder: a training, or a command that looks at a run, which may go on meanwhile."""

_held: set[Path] = set()  # by this process, which may call one command from another


@contextmanager
def hold(folder: Path, purpose: str = TRAINING) -> Iterator[None]:
    """Keeps other processes from writing into the folder for the same purpose, and checks that it can be written.

    Raises:
      ValueError: if another process holds it, naming process and host.
      OSError: if the folder cannot be written, or the disk is full.
    """
    path = folder.resolve() / f".{purpose}.lock"
    if path in _held:
        yield
        return
    files.check_writable(folder)
    file = path.open("a+b")
    with file:
        if not _lock(file):
            file.seek(0)
            holder = file.read(200).decode("utf-8", "replace").strip() or "another process"
            raise ValueError(
                f"{folder} is in use: {holder} is {purpose} there. Wait for its end, or choose another folder"
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        file.flush()
        _held.add(path)
        try:
            _remove_old(folder)
            yield
        finally:
            _held.discard(path)


def _lock(file: Any) -> bool:
    """Locks an open file until it is closed; whether no other process has."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(1 << 30)  # where nothing is read, since readers of a locked place are refused
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError) as error:
        if getattr(error, "errno", None) in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return False
        warnings.warn(
            f"no lock on {file.name} ({error}): nothing keeps a second process from writing there",
            RuntimeWarning,
            stacklevel=4,
        )
    return True


def _remove_old(folder: Path) -> None:
    """Removes files that killed processes wrote an hour ago or more; newer files may be another command's."""
    for path in folder.glob(files.TEMPORARY):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > 3600:
                path.unlink()
