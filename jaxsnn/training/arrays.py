"""Named arrays in a folder, by orbax: written by all processes together, and without orbax's own words."""

import contextlib
import gc
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from orbax.checkpoint import v1 as orbax


def write(path: Path, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
    """Writes arrays, and JSON beside them, into a new folder that appears when it is whole.

    Raises:
      OSError: if the system does not let it, as on a full disk.
    """
    context = orbax.Context()
    context.array.saving.use_ocdbt = False  # that format looks for its files by a pattern made of the path
    number = None
    with _quietly():
        try:
            with context:
                orbax.save(path, arrays, custom_metadata=facts)
        except Exception as error:
            number = system_error(error)
            if number is None:
                raise
        if number is not None:  # other threads were writing too: their errors come now that the first one is dropped
            gc.collect()
            time.sleep(0.5)
    if number is not None:
        raise OSError(number, os.strerror(number))


def read(path: Path, like: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Reads arrays of the shapes and dtypes of `like`."""
    with _quietly():
        return orbax.load(path, like)


def system_error(error: Exception) -> int | None:
    """The system's number of an error; orbax tells it in the middle of many lines."""
    told = re.search(r"os_error_code='(\d+)'", str(error))
    return getattr(error, "errno", None) or (int(told[1]) if told else None)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keeps orbax from warning of the format that is used here, and its threads from printing raised errors."""
    logs = [logging.getLogger(name) for name in ("absl", "asyncio")]
    hooks, levels = (sys.unraisablehook, threading.excepthook), [log.level for log in logs]
    sys.unraisablehook = lambda args: None  # by which tensorstore's threads print
    threading.excepthook = lambda args: None
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        sys.unraisablehook, threading.excepthook = hooks
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
