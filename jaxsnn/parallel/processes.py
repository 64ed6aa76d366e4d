"""Several processes, each with its own devices, as one machine: start, agreement and end.

    parallel.start("10.0.0.1:1234", 2, process_id)     # or parallel.start() on a TPU pod, under Slurm or Open MPI
    mesh = parallel.data_mesh()                        # the devices of all processes
    ...
    parallel.leave(1)                                  # after an error

Every process runs the same program on the same configuration and takes part in every step; process 0 alone writes the
results. jax's runtime connects them, watches over them by heartbeats, and ends those left when one is lost.
"""

import os
import socket
import sys
import time
import zlib
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

HEARTBEAT_SECONDS = 30
"""A process that is not heard of for so long is lost, and the others end."""
START_SECONDS = 120
"""How long a process waits for the others at the start."""
LOOPBACK = ("127.0.0.1", "localhost")

Tree = TypeVar("Tree")


def check_start(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Checks the arguments of `start`.

    Raises:
      ValueError: if one of the three is given without the others, or is malformed or out of range.
    """
    given = {"coordinator": coordinator, "num_processes": num_processes, "process_id": process_id}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 3:
        return
    if missing or coordinator is None or num_processes is None or process_id is None:
        raise ValueError(
            f"{' and '.join(missing)} missing: give coordinator (host:port), num_processes and process_id "
            "together, or none of them where TPU, Slurm or Open MPI provide them"
        )
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise ValueError(
            f"coordinator must be host:port of process 0, e.g. 10.0.0.1:1234, the same for all, got {coordinator!r}"
        )
    if num_processes < 1:
        raise ValueError(f"num_processes must be >= 1, got {num_processes}")
    if not 0 <= process_id < num_processes:
        raise ValueError(f"process_id must lie in [0, {num_processes}), each process having its own, got {process_id}")


def start(coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None) -> None:
    """Connects this process with the others; before anything else is done with jax.

    Args:
      coordinator: `host:port` where process 0 can be reached by all; None to find all three out (TPU, Slurm, Open MPI).
      num_processes: how many there are.
      process_id: number of this one, from 0.

    Raises:
      ValueError: as `check_start`, or if nothing is given and no cluster is found.
      ConnectionError: if process 0 cannot be reached within `START_SECONDS`, or cannot listen. If processes are missing
        after that time, jax ends this one.
    """
    check_start(coordinator, num_processes, process_id)
    bind = None
    if coordinator is not None:
        print(f"process {process_id} of {num_processes} waits for the others at {coordinator}", file=sys.stderr)
        if coordinator.rpartition(":")[0] in LOOPBACK:
            bind = coordinator  # jax listens on all interfaces if not told
        if process_id:
            _reach(coordinator)
        else:
            _check_free(coordinator)
    # jax would take SIGTERM for itself; our loop handles it, and Ctrl-C, and all processes agree on the step (`agree`)
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            cluster_detection_method=None if coordinator is None else "deactivate",
            coordinator_bind_address=bind,
            initialization_timeout=START_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except ValueError as error:  # jax's own: something is not defined
        raise ValueError(
            "no TPU pod, Slurm or Open MPI says how many processes there are: start each process with "
            "coordinator (host:port), num_processes, and process_id 0, 1, 2, ..."
        ) from error


def _check_free(coordinator: str) -> None:
    """Checks that process 0 can listen: jax itself would crash."""
    host, _, port = coordinator.rpartition(":")
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host if host in LOOPBACK else "", int(port)))
        except OSError as error:
            raise ConnectionError(
                f"process 0 cannot listen at {coordinator} ({error}): choose a free port for coordinator"
            ) from error


def _reach(coordinator: str) -> None:
    """Waits until process 0 listens: jax itself would end the process, without saying where it had looked."""
    host, _, port = coordinator.rpartition(":")
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise ConnectionError(
                    f"process 0 was not found at {coordinator} within {START_SECONDS} s ({error}): start all processes "
                    "with the same coordinator, an address of process 0 that all of them can reach"
                ) from error
        time.sleep(0.2)


def is_first() -> bool:
    """Whether this is process 0, which writes; so is a process that is alone."""
    return jax.process_index() == 0


def agree(flag: bool) -> bool:
    """Whether any process says so; every process must ask at the same point of the program."""
    return bool(np.any(multihost_utils.process_allgather(np.array(flag))))


SEE_THE_SAME = "Give all of them the same flags, and folders in which they see the same"


def check_same(values: Mapping[str, Any], what: str, advice: str = SEE_THE_SAME) -> None:
    """Checks that every process has the same values, e.g. the same configuration; every process must take part.

    Args:
      values: by name; compared by checksum.
      what: the name of the values.
      advice: how to mend it.

    Raises:
      ValueError: on every process, if one of them has others than process 0; it says which.
    """
    sums = [zlib.crc32(value if isinstance(value, bytes) else repr(value).encode()) for value in values.values()]
    every = multihost_utils.process_allgather(np.array(sums, np.uint32))
    differences = []
    for process, row in enumerate(every):
        if names := [name for name, mine, first in zip(values, row, every[0], strict=True) if mine != first]:
            differences.append(f"process {process} has another {', '.join(names)}")
    if differences:
        raise ValueError(f"the processes differ from process 0 in their {what}: {'; '.join(differences)}. {advice}")


def local(tree: Tree) -> Tree:
    """This process's part of every array, on its first device; of arrays that every device holds whole, the whole."""
    return jax.tree.map(lambda x: x.addressable_shards[0].data, tree)


def is_loss(error: BaseException) -> bool:
    """Whether an error that a computation of several processes ended with may come from the loss of one of them."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error)


def describe_loss(error: BaseException) -> str:
    """The message for a person after such an error."""
    return (
        f"process {jax.process_index()} lost another process of this run, or the connection to it "
        f"({_first_line(error)}). Checkpoints that were complete are whole: see the other processes' output, then "
        "start all processes again and resume the run"
    )


def leave(code: int) -> NoReturn:
    """Ends this process at once: at its normal end jax waits for the others, who may be waiting for this one."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:200]
