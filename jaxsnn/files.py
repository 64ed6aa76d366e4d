"""Files of this machine: written whole or not at all, and lines of JSON that are never read in part by mistake."""

import contextlib
import json
import os
import re
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

TEMPORARY = ".*.tmp"
"""Pattern of the names that files have while they are written; a killed process leaves one behind."""


def local(path: str | os.PathLike[str]) -> Path:
    """The path, checked to be a file or folder of this machine.

    Raises:
      ValueError: for an address such as `gs://bucket/run`, which would become a folder called `gs:`, for a name that
        cannot be written in UTF-8, and for `**` or a backslash in it or above it, which orbax cannot read as a name.
    """
    text = os.fspath(path)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text):
        raise ValueError(
            f"{text} is a remote address, and folders must be on a disk of this machine: mount the bucket and give "
            "the folder where it is mounted, or copy the finished folder there"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the name {text!r} is not written in UTF-8: set PYTHONUTF8=1, or choose a folder of another name"
        ) from error
    whole = str(Path(text).absolute())
    if odd := next((part for part in ("**", "\\") if part in whole and part != os.sep), None):
        raise ValueError(
            f"the name {whole} has {odd!r} in it, with which no checkpoint could be found again: choose "
            "a folder of another name"
        )
    return Path(text)


def write_whole(path: Path, content: str | bytes | Callable[[BinaryIO], object]) -> Path:
    """Writes a file whole or not at all, also if the process is killed or the machine loses its power; returns `path`.

    Args:
      path: the file; its folder is there.
      content: text (written in UTF-8), bytes, or a function that writes to the open file.

    Raises:
      OSError: if the folder cannot be written, or the disk is full; an earlier file is then as it was.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")  # half a surrogate pair has no UTF-8
    # beside the file, because os.replace is atomic only within a file system; a name of its own, because other
    # processes may write the same file, and a short one, because the file's may be as long as names can be
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as stream:
            if isinstance(content, bytes):
                stream.write(content)
            else:
                content(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return path


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder last through a loss of power, where the system can."""
    with contextlib.suppress(OSError):  # not every system opens folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_writable(folder: Path) -> None:
    """Checks that a folder takes a file, before the work whose result is to be written there.

    Raises:
      OSError: if it cannot be written, or the disk is full.
    """
    probe = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        with probe.open("xb") as stream:
            stream.write(bytes(4096))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror or error}: cannot write into {folder}") from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def append_line(path: Path, text: str) -> None:
    """Appends a line at once, in the place of one that was cut short.

    Raises:
      OSError: if it cannot be written; the file is then as it was.
    """
    with path.open("ab+", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(end - 1, 0))
        if end and file.read(1) != b"\n":
            file.seek(0)
            end = file.truncate(file.read().rfind(b"\n") + 1)
        rest = (text + "\n").encode()
        try:
            while rest:
                rest = rest[file.write(rest) or 0 :]
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(end)
            raise


def json_lines(path: Path, is_row: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The rows of a file with a JSON object per line; none if there is no file.

    A last line that was cut short, and so has no newline, is left out: a killed process leaves it.

    Args:
      path: the file.
      is_row: whether an object has the keys of a row.

    Raises:
      ValueError: for any other line that is no row; it names file and line.
    """
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            row = json.loads(line.decode("utf-8"))
            problem = "" if isinstance(row, dict) and is_row(row) else "its content is no row of this file"
        except (ValueError, RecursionError) as error:  # of the encoding too
            problem = str(error)
        if problem:
            raise ValueError(
                f"line {number} of {path} is damaged ({problem}); nothing was changed. Mend or delete that line, or "
                "restore the file from a copy"
            )
        rows.append(row)
    return rows


def to_json_lines(rows: Iterable[dict[str, Any]]) -> str:
    """The text of a file that `json_lines` reads."""
    return "".join(json.dumps(row) + "\n" for row in rows)
