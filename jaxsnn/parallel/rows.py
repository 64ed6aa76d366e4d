"""A data set divided among devices, so that each process holds its own samples only; a batch is fetched from them all.

    images = parallel.divide(mesh, images, chosen)           # chosen [N]: which samples, in which order
    step = training.make_train_step(..., fetch=parallel.fetch_rows(mesh))

Batches are the same as with the whole data set on every device: `fetch_rows` gives sample `i` of the set, wherever it
is. The price is one reduce-scatter of the batch's bytes per step (docs/scaling.md).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxsnn.parallel.data import AXIS
from jaxsnn.training import Window
from jaxsnn.typing import Array


def divide(mesh: Mesh, images: Any, chosen: np.ndarray) -> Array:
    """Puts samples on the devices, each device holding its part; a process reads those of its own devices.

    Args:
      mesh: from `data_mesh`.
      images: all samples, `[..., H, W, C]`; every process has the same, in memory or mapped from a file.
      chosen: numbers of the samples that the set consists of, `[N]`.

    Returns:
      `images[chosen]`, divided along its first axis and filled up with zeros to a multiple of the number of devices.
    """
    devices = mesh.shape[AXIS]
    size = len(chosen) + -len(chosen) % devices

    def part(index: tuple[slice, ...] | None) -> np.ndarray:
        start, stop, _ = (index[0] if index else slice(None)).indices(size)
        mine = images[chosen[start:stop]]
        return np.pad(mine, ((0, stop - start - len(mine)), *((0, 0),) * (mine.ndim - 1)))

    return jax.make_array_from_callback((size, *images.shape[1:]), NamedSharding(mesh, P(AXIS)), part)


def fetch_rows(mesh: Mesh) -> Callable[[Array, Array], Array]:
    """Makes `fetch(images, numbers [B]) -> images [B, ...]` for a set that `divide` has put on the mesh.

    Every device looks up its own samples, and the sum over the devices has all of them: each device keeps its part of
    the batch or, of a batch that cannot be divided, the whole.
    """
    devices = mesh.shape[AXIS]

    def part(rows: Array, numbers: Array) -> Array:
        here = numbers - jax.lax.axis_index(AXIS) * len(rows)
        inside = (here >= 0) & (here < len(rows))
        local = rows[jnp.where(inside, here, 0)]
        local = jnp.where(inside.reshape(-1, *(1,) * (rows.ndim - 1)), local, jnp.zeros_like(local))
        if len(numbers) % devices:
            return jax.lax.psum(local, AXIS)
        return jax.lax.psum_scatter(local, AXIS, scatter_dimension=0, tiled=True)

    def fetch(images: Array | Window, numbers: Array) -> Array:
        if isinstance(images, Window):  # each device has its own already
            return images[numbers]
        out = P() if len(numbers) % devices else P(AXIS)
        return jax.shard_map(part, mesh=mesh, in_specs=(P(AXIS), P()), out_specs=out)(images, numbers)

    return fetch
