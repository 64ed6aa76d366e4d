"""The number of members that a program can take, by the memory that the compiler reports."""

import math
import os
from collections.abc import Callable

import jax

from jaxsnn.training import Costs


def memory_limit(devices: int = 1) -> float:
    """Memory that a program may use on each of `devices`, in 10^6 bytes: of an accelerator 0.9 of its free memory, of a
    CPU its part of half of the machine's; infinity where the system does not say how much that is.
    """
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return 0.9 * (stats["bytes_limit"] - stats.get("bytes_in_use", 0)) / 1e6
    try:
        pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # no such function (Windows), or it does not know these names
        return math.inf
    return pages * page_bytes / 2 / devices / 1e6 if min(pages, page_bytes) > 0 else math.inf  # -1: not known


def members_that_fit(measure: Callable[[int], Costs], most: int, limit: float, *, devices: int = 1) -> int:
    """Members per program, a multiple of the number of devices, so that programs of this size stay below the limit.

    Args:
      measure: compiles the program for this many members and returns its needs (nothing is run).
      most: members that are wanted; tried first, so that a population that fits is compiled once.
      limit: 10^6 bytes per device.
      devices: among which the members are divided.

    Returns:
      The parts are about equal: 100 members become two programs of 50 if 60 fit.

    Raises:
      ValueError: if one member per device is too large already.
    """
    count = -(-most // devices) * devices
    while True:
        costs = measure(count)
        if costs.temporary_mb is None or costs.argument_mb is None:
            return count
        needed = costs.temporary_mb + costs.argument_mb
        if needed <= limit:
            programs = -(-most // count)
            return -(-most // (programs * devices)) * devices
        if count == devices:
            raise ValueError(
                f"one member needs {needed:.0f} MB and there are {limit:.0f} MB per device: use a smaller batch_size, "
                "a micro_batch, or time_chunk and remat"
            )
        fitting = int(0.95 * count * limit / needed) // devices * devices
        count = max(devices, min(fitting, count - devices))
