"""Data-parallel training: every device takes its part of the batch, gradients are summed, all else is the same.

    mesh = parallel.data_mesh()
    step = training.make_train_step(..., distribute=functools.partial(parallel.data_parallel, mesh=mesh, mean=False))
    state, data = parallel.replicate(mesh, (state, data))

Parameters, optimiser and data set are whole on every device. The input of the whole batch is drawn from one key, each
device making its own part, so augmentation and spikes do not depend on the number of devices. Masks of dropout do: each
device draws its own. Sums over the batch are taken in another order, so numbers agree up to rounding.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxsnn.typing import Array

AXIS = "data"
"""Name of the mesh axis along which the batch is divided."""

Gradients = Callable[[Any, Any, Array, Array, Array], tuple[tuple[Array, Array], Any]]
"""`(params, constants, x [T, B, ...], labels [B], key) -> ((loss, number correct), gradients of params)`."""
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
    found = jax.devices()
    if not 0 <= devices <= len(found):
        raise ValueError(
            f"{devices} devices were asked for, {len(found)} are there ({found[0].platform}): "
            f"choose --devices from 1 to {len(found)}, or 0 for all"
        )
    return jax.make_mesh((devices or len(found),), (axis,), (AxisType.Auto,), devices=found[: devices or None])


def replicate(mesh: Mesh, tree: Tree) -> Tree:
    """Puts a whole copy of every array on every device of the mesh."""
    copies = jax.tree.map(jnp.copy, tree)  # device_put would share memory with `tree`, which a step may then donate
    return jax.device_put(copies, NamedSharding(mesh, P()))


def check_batch(size: int, mesh: Mesh) -> None:
    """Checks that a batch can be divided.

    Raises:
      ValueError: if its size is not a multiple of the number of devices.
    """
    devices = mesh.shape[AXIS]
    if size % devices:
        raise ValueError(
            f"a batch of {size} samples cannot be divided among {devices} devices; "
            f"choose a --batch_size that is a multiple of {devices}, or fewer --devices"
        )


def data_parallel(gradients: Gradients, mesh: Mesh, *, mean: bool) -> Gradients:
    """Makes `gradients` of a batch out of those of its parts, one per device, by one sum over the devices.

    Args:
      gradients: of one device, for any batch size.
      mesh: from `data_mesh`.
      mean: whether the loss is a mean over the batch (the cross-entropies) or a sum over it (`squared_error`).

    Raises (from the function returned, when it is traced):
      ValueError: if the batch cannot be divided by the number of devices.
    """
    devices = mesh.shape[AXIS]

    def part(params: Any, constants: Any, x: Array, labels: Array, key: Array) -> tuple[tuple[Array, Array], Any]:
        if devices > 1:  # or every device would drop the same neurons; on one device the numbers stay as they are
            key = jax.random.fold_in(key, jax.lax.axis_index(AXIS))
        found = gradients(params, constants, x, labels, key)
        (loss, correct), found = jax.lax.psum(found, AXIS)
        if mean:
            loss, found = jax.tree.map(lambda total: total / devices, (loss, found))
        return (loss, correct), found

    # check_vma=False: the scans over time start from zeros, which jax takes for equal on all devices
    batch = (P(None, AXIS), P(AXIS))
    everywhere = jax.shard_map(part, mesh=mesh, in_specs=(P(), P(), *batch, P()), out_specs=P(), check_vma=False)

    def whole(params: Any, constants: Any, x: Array, labels: Array, key: Array) -> tuple[tuple[Array, Array], Any]:
        check_batch(len(labels), mesh)
        return everywhere(params, constants, x, labels, key)

    return whole
