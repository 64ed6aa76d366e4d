"""Devices and processes of a configuration: the devices that share a batch, and the places of state and data."""

import functools
import math
import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from absl import flags
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxsnn import parallel, training
from jaxsnn.data import Dataset, memory
from jaxsnn.data.prepare import check_set, to_device
from jaxsnn.lab.config import Config
from jaxsnn.losses import LOSSES
from jaxsnn.rows import Rows
from jaxsnn.typing import Apply, Gradients


def define_process_flags() -> None:
    """Defines the flags that differ between the processes of a run, and so are no part of its configuration."""
    options: dict[str, Any] = {"module_name": sys.argv[0]}
    text = "With multihost, where TPU, Slurm and Open MPI do not say it: "
    flags.DEFINE_string("coordinator", None, f"{text}host:port of process 0, the same for all.", **options)
    flags.DEFINE_integer("num_processes", None, f"{text}how many processes there are.", **options)
    flags.DEFINE_integer("process_id", None, f"{text}which one this is, from 0.", **options)


@contextmanager
def naming(*names: str) -> Iterator[None]:
    """Adds the flags of these names to the message of a library's error, which names arguments."""
    try:
        yield
    except (ValueError, ConnectionError) as error:
        raise type(error)(f"{error} ({', '.join(f'--{name}' for name in names)})") from error


def connect(multihost: bool) -> None:
    """Connects this process with the others of the run, if there are others.

    Raises:
      ValueError: if flags do not go together, or no cluster is found.
      ConnectionError: if the others cannot be reached.
    """
    given = {name: flags.FLAGS[name].value for name in ("coordinator", "num_processes", "process_id")}
    if multihost:
        with naming(*given):
            parallel.start(**given)
        here = f"process {jax.process_index()} of {jax.process_count()}"
        print(
            f"{here}, {jax.local_device_count()} of {jax.device_count()} devices; if a process is lost, the others end "
            f"within {parallel.HEARTBEAT_SECONDS} s: go on with --resume"
        )
    elif names := [f"--{name}" for name, value in given.items() if value is not None]:
        raise ValueError(f"{' and '.join(names)} only with --multihost: add it, or train in one process without them")


def make_mesh(config: Config) -> Mesh | None:
    """The devices that share every batch; None for one device.

    Raises:
      ValueError: if there are fewer than `data_parallel`; or with `multihost` other than all were asked for, or this
        process is not connected.
    """
    if not config.run.multihost:
        with naming("data_parallel"):
            return None if config.run.data_parallel == 1 else parallel.data_mesh(config.run.data_parallel)
    if not jax.distributed.is_initialized():
        raise ValueError("multihost: this process is not connected with others; call jaxsnn.parallel.start() first")
    asked = config.run.data_parallel
    if asked not in (0, 1, count := jax.device_count()):
        raise ValueError(
            f"--multihost uses all devices of all processes, {count} here, got data_parallel={asked}: "
            "leave --data_parallel out"
        )
    return parallel.data_mesh()


def spread_gradients(config: Config, gradients: Gradients) -> Gradients:
    """The gradients of a batch as the step computes them: by micro-batches, and spread over devices, as is asked for.

    Raises:
      ValueError: as `make_mesh`, or if the batch cannot be divided by the number of devices, or a device's part of it
        by the size of a micro-batch.
    """
    mesh, size, mean = make_mesh(config), config.training.batch_size, LOSSES[config.training.loss].reduction == "mean"
    if mesh is not None:
        with naming("batch_size", "data_parallel"):
            parallel.check_batch(size, mesh)
        size //= mesh.shape[parallel.AXIS]
    if micro := config.training.micro_batch:
        with naming("batch_size", "micro_batch"):
            training.check_micro_batch(size, micro)
        gradients = training.micro_batches(gradients, micro, mean=mean)
    return gradients if mesh is None else parallel.data_parallel(gradients, mesh, mean=mean)


def place(config: Config, tree: Any) -> Any:
    """Puts state or data where the train step wants them: as they are on one device, or on each of several."""
    mesh = make_mesh(config)
    return tree if mesh is None else parallel.replicate(mesh, tree)


def spread_evaluation(config: Config, apply: Apply) -> Apply:
    """The model as evaluation runs it: spread over several devices, or as it is on one."""
    mesh = make_mesh(config)
    return apply if mesh is None else parallel.evaluate_parallel(apply, mesh)


def make_fetch(config: Config) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The function that fetches a batch's images: from the devices of all processes, or from the set on this device."""
    mesh = make_mesh(config)
    return parallel.fetch_rows(mesh) if mesh is not None and config.run.multihost else operator.getitem


def fits(config: Config, size: int) -> bool:
    """Whether samples of so many bytes are held in memory: there is twice as much on the host, and on each device that
    has a memory of its own, of which every process of `multihost` holds a part."""
    limits = [memory.available() or size * memory.COPIES]
    if jax.default_backend() != "cpu":
        limits.append(int(1e6 * parallel.memory_limit()) * (jax.device_count() if config.run.multihost else 1))
    return config.run.stream == "never" or all(memory.COPIES * size <= limit for limit in limits if limit < math.inf)


def streams(config: Config, data: Dataset) -> bool:
    """Whether the samples stay on the host: by `stream`, or since they stayed in their files, or fit on no device.

    The processes of a run agree: where one of them has to, all do.
    """
    parts = [part.samples for part in (data.train, data.test)]
    large = any(isinstance(samples, Rows) for samples in parts) or not (
        jax.default_backend() == "cpu" or fits(config, sum(samples.nbytes for samples in parts))
    )
    wanted = config.run.stream == "always" or (config.run.stream == "auto" and large)
    return parallel.agree(wanted) if config.run.multihost else wanted


def put_samples(
    config: Config,
    images: np.ndarray | Rows,
    labels: np.ndarray,
    chosen: np.ndarray,
    *,
    num_classes: int,
    stream: bool = False,
) -> training.Data:
    """Puts the samples `chosen` on the device, on each of several, or with `multihost` on all of them in parts.

    With `stream` they stay on the host; each device gets its part of a batch when a step needs it.

    Raises:
      ValueError: as `check_set`.
    """
    mesh = make_mesh(config)
    if stream:
        kept = training.OnHost(images, chosen, sharding=None if mesh is None else functools.partial(_of_batch, mesh))
        check_set(kept, labels[chosen], num_classes=num_classes)
        return training.Data(kept, place(config, jax.device_put(labels[chosen].astype(np.int32))))
    if mesh is None or not config.run.multihost:
        return place(config, training.Data(*to_device(images[chosen], labels[chosen], num_classes=num_classes)))
    check_set(images, labels, num_classes=num_classes)
    numbers = jax.device_put(labels[chosen].astype(np.int32))  # whole in every process: four bytes a sample
    return training.Data(parallel.divide(mesh, images, chosen), parallel.replicate(mesh, numbers))


def _of_batch(mesh: Mesh, batch_size: int) -> NamedSharding:
    """The places of samples `[steps, B, ...]`: each device has a part of the batch, or all if it is not divisible."""
    divided = batch_size % mesh.shape[parallel.AXIS] == 0
    return NamedSharding(mesh, P(None, parallel.AXIS) if divided else P())
