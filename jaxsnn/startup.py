"""The start of a command before large imports: Ctrl-C, SIGTERM and lost output end nothing in a traceback."""

import contextlib
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any

STOPPED = 130
"""Exit status of a command that was stopped."""
MALLOC = (
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:"
    "glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=268435456"
)
"""GLIBC_TUNABLES for train steps: large pages, which stay with the process from one step to the next."""
PATIENCE = 2.0
"""Seconds that Python has to hear of a signal; a compiler may be at work for minutes."""

_message = "stopped"


def is_command(names: tuple[str, ...]) -> bool:
    """Whether Python is just looking for a module below one of `names`, to run it by `python -m`."""
    given = sys.orig_argv[1:]
    module = next((after for option, after in itertools.pairwise(given) if option == "-m"), "")
    return sys.argv[:1] == ["-m"] and any(module == name or module.startswith(f"{name}.") for name in names)


def with_malloc(environment: Mapping[str, str]) -> dict[str, str] | None:
    """The environment with `GLIBC_TUNABLES` of this package; None where it is set, empty too, or glibc is not there."""
    try:
        glibc = (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError):  # not Linux, or another C library
        glibc = False
    return {**environment, "GLIBC_TUNABLES": MALLOC} if glibc and "GLIBC_TUNABLES" not in environment else None


def tune_malloc() -> None:
    """Starts this command once more, in the same process, with `GLIBC_TUNABLES` of this package: glibc reads it only
    then. Nothing happens where the variable is set; set it to nothing (`GLIBC_TUNABLES=`) for glibc's own way."""
    environment = with_malloc(os.environ)
    if environment and sys.executable:
        with contextlib.suppress(OSError):  # then without
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def begin(message: str = "stopped") -> None:
    """Prepares the process for being a command; may be called again.

    Ctrl-C and SIGTERM print a message and end it, with status 130, at any moment; `training.fit` takes them over, to
    save the state first. Output that nobody reads any more is dropped.

    Args:
      message: the text to print then.
    """
    global _message
    _message = message
    if not isinstance(sys.stdout, Steady):
        _open_closed()
        sys.stdout, sys.stderr = Steady(sys.stdout, 1), Steady(sys.stderr, 2)
        threading.Thread(target=_watch, args=(_wake_up(),), daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    """Ends the process without unwinding: an exception might come up anywhere, and threads are at work."""
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        os.write(2, f"\n{_message}\n".encode())
    os._exit(STOPPED)


def _wake_up() -> int:
    """A descriptor from which the numbers of signals can be read at once."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def _watch(signals: int) -> None:
    """Ends the process for a signal that Python did not see, because it waits for a compiler or a device."""
    while number := os.read(signals, 1):
        time.sleep(PATIENCE)
        if number[0] in (signal.SIGINT, signal.SIGTERM) and signal.getsignal(number[0]) is _leave:
            _leave(number[0], None)


def _open_closed() -> None:
    """Opens standard streams that the process was started without, or the next file would get their number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free


class Steady:
    """A standard stream whose loss ends nothing: it drops text that it cannot write, from then on."""

    def __init__(self, stream: Any, number: int):
        self._stream, self._number = stream, number
        if stream is None:
            self._stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  (for the whole process)
        if hasattr(self._stream, "reconfigure"):
            self._stream.reconfigure(errors="backslashreplace")  # of characters that the terminal does not have

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes, or drops, the text."""
        with self._dropping():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes the written text, or drops it."""
        with self._dropping():
            self._stream.flush()

    @contextlib.contextmanager
    def _dropping(self) -> Any:
        try:
            yield
        except (OSError, ValueError):  # a broken pipe, a full disk; a closed file
            with contextlib.suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._number)
                os.close(nowhere)
