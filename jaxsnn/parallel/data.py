"""Data-parallel training: every device takes its part of the batch, gradients are summed, all else is the same.

    mesh = parallel.data_mesh()
    gradients = parallel.data_parallel(training.backpropagation(apply, loss), mesh, mean=False)
    step = training.make_train_step(gradients, ...)
    evaluate = training.make_evaluate(parallel.evaluate_parallel(apply, mesh), ...)
    state, data = parallel.replicate(mesh, (state, data))

Parameters and optimiser are whole on every device, and so is the data set, unless its rows are divided (`rows`). The
input and dropout have a key per sample, and each device draws for its own part of the batch, so that no random number
depends on the number of devices. Sums over the batch are taken in another order, so numbers agree
up to rounding.
"""

import functools
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxsnn.typing import Apply, Array, Gradients

AXIS = "data"
"""Name of the mesh axis along which the batch is divided."""

Tree = TypeVar("Tree")


def data_mesh(devices: int = 0) -> Mesh:
    """A mesh of the first `devices` devices in a row; 0 for all.

    Raises:
      ValueError: if there are fewer.
    """
    return row_of_devices(devices, AXIS)


def row_of_devices(devices: int, axis: str) -> Mesh:
    """A mesh of the first `devices` devices along one axis of this name; 0 for all.

    Raises:
      ValueError: if there are fewer.
    """
    available = jax.devices()
    if not 0 <= devices <= len(available):
        raise ValueError(
            f"{devices} devices were asked for, {len(available)} are there ({available[0].platform}): "
            f"choose devices from 1 to {len(available)}, or 0 for all"
        )
    return jax.make_mesh((devices or len(available),), (axis,), (AxisType.Auto,), devices=available[: devices or None])


def replicate(mesh: Mesh, tree: Tree) -> Tree:
    """Puts a whole copy of every array on every device of the mesh; all processes must hold the same numbers."""
    everywhere = NamedSharding(mesh, P())
    if everywhere.is_fully_addressable:
        copies = jax.tree.map(jnp.copy, tree)  # device_put would share memory with `tree`, which a step may then donate
        return jax.device_put(copies, everywhere)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(everywhere, jax.device_get(x)), tree)


def check_batch(size: int, mesh: Mesh) -> None:
    """Checks that a batch can be divided.

    Raises:
      ValueError: if its size is not a multiple of the number of devices.
    """
    devices = mesh.shape[AXIS]
    if size % devices:
        raise ValueError(
            f"a batch of {size} samples cannot be divided among {devices} devices; "
            f"choose a batch size that is a multiple of {devices}, or fewer devices"
        )


def data_parallel(gradients: Gradients, mesh: Mesh, *, mean: bool) -> Gradients:
    """Makes `gradients` of a batch out of those of its parts, one per device, by one sum over the devices.

    Args:
      gradients: of one device, for any batch size. Its new model state must be the same on all devices: a norm
        averages its statistics over `axis_name`.
      mesh: from `data_mesh`.
      mean: whether the loss is a mean over the batch (the cross-entropies) or a sum over it (`squared_error`).

    Raises (from the function returned, when it is traced):
      ValueError: if the batch cannot be divided by the number of devices.
    """
    devices = mesh.shape[AXIS]

    def part(params: Any, model_state: Any, x: Array, labels: Array, keys: Array) -> Any:
        (loss, (correct, state)), slopes = gradients(params, model_state, x, labels, keys, axis_name=AXIS)
        loss, correct, slopes = jax.lax.psum((loss, correct, slopes), AXIS)
        if mean:
            loss, slopes = jax.tree.map(lambda total: total / devices, (loss, slopes))
        return (loss, (correct, state)), slopes

    # check_vma=False: the scans over time start from zeros, which jax takes for equal on all devices
    batch = (P(None, AXIS), P(AXIS), P(AXIS))
    everywhere = jax.shard_map(part, mesh=mesh, in_specs=(P(), P(), *batch), out_specs=P(), check_vma=False)

    @functools.wraps(gradients)
    def whole(
        params: Any, model_state: Any, x: Array, labels: Array, keys: Array, axis_name: str | None = None
    ) -> tuple[tuple[Array, tuple[Array, Any]], Any]:
        check_batch(len(labels), mesh)
        return everywhere(params, model_state, x, labels, keys)

    return whole


class Readouts(NamedTuple):
    """The part of a model's output that `evaluate_parallel` keeps, whole on every device."""

    logits: Array
    """`[B, classes]`"""
    answers: Array
    """`[T, B, classes]`"""


def evaluate_parallel(apply: Apply, mesh: Mesh) -> Apply:
    """Makes `apply` run a batch in parts, one per device; for evaluation, which has no random numbers.

    Args:
      apply: a model, `(params, model_state, x [T, B, ...], train=False) -> (output, model_state)`.
      mesh: from `data_mesh`.

    Returns:
      A function like `apply`, whose batches may have any size: the devices fill up theirs with zeros.
    """

    def part(params: Any, model_state: Any, x: Array) -> Readouts:
        output, _ = apply(params, model_state, x, train=False)
        return Readouts(
            jax.lax.all_gather(output.logits, AXIS, axis=0, tiled=True),
            jax.lax.all_gather(output.answers, AXIS, axis=1, tiled=True),
        )

    everywhere = jax.shard_map(part, mesh=mesh, in_specs=(P(), P(), P(None, AXIS)), out_specs=P(), check_vma=False)

    def whole(params: Any, model_state: Any, x: Array, *, train: bool = False) -> tuple[Readouts, Any]:
        if train:
            raise ValueError("evaluate_parallel is for evaluation; for training use data_parallel")
        size = x.shape[1]
        missing = -size % mesh.shape[AXIS]
        if missing:  # then every device makes the whole input: parts of unequal size would have to be passed around
            x = jax.lax.with_sharding_constraint(x, NamedSharding(mesh, P()))
            x = jnp.pad(x, ((0, 0), (0, missing), *((0, 0),) * (x.ndim - 2)))
        logits, answers = everywhere(params, model_state, x)
        return Readouts(logits[:size], answers[:, :size]), model_state

    return whole
