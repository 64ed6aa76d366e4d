"""Populations: many networks in one program, each with its own numbers (rate, leak, ...) and seed, on many devices.

    members = parallel.grid(lr=[0.1, 0.5], seed=range(3))       # six dicts
    trained = parallel.train_population(members, start, make, data, {"test": test}, batch_size=16, epochs=5)
    trained.accuracy["test"][-1]                                # after the last epoch, [6]

`start(member)` is the state before the first step, a `training.TrainState`; `make(hparams)` returns the step and the
counter of one network, a `Member`, from the same numbers as traced scalars. Every member trains as it would alone: the
same step, the same keys. See `train_population` for a whole example, and docs/decisions/0011.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxsnn.compiling import compiler_options
from jaxsnn.parallel.data import row_of_devices
from jaxsnn.training import CountBatch, TrainState, TrainStep
from jaxsnn.typing import Array, ArrayLike

POPULATION = "population"
"""Name of the mesh axis along which the members are divided."""


class Member(NamedTuple):
    """The functions that train and test one network."""

    step: TrainStep
    """From `training.make_train_step`."""
    count_batch: CountBatch
    """From `training.make_count_batch`."""


class Population(NamedTuple):
    """Networks side by side; every array has a leading axis of M members."""

    hparams: Any
    """The hyperparameters that distinguish members beside their seeds: the argument of `make`."""
    states: TrainState


Make = Callable[[Any], Member]
"""`hparams -> Member`, called while tracing, with a traced scalar for every number of a member."""


def grid(**values: Iterable[Any]) -> list[dict[str, Any]]:
    """All combinations, the last name fastest.

    >>> grid(lr=[0.1, 0.2], seed=range(2))
    [{'lr': 0.1, 'seed': 0}, {'lr': 0.1, 'seed': 1}, {'lr': 0.2, 'seed': 0}, {'lr': 0.2, 'seed': 1}]
    """
    return [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]


def population_mesh(devices: int = 0) -> Mesh:
    """A mesh of the first `devices` devices in a row, for the members of a population; 0 for all.

    Raises:
      ValueError: if there are fewer.
    """
    return row_of_devices(devices, POPULATION)


def create_population(members: Sequence[Any], states: Sequence[TrainState], mesh: Mesh | None = None) -> Population:
    """Networks side by side, each in a state from before its first step.

    Args:
      members: of each network its numbers, all pytrees of one structure, e.g. dicts of floats.
      states: of each network its state.
      mesh: from `population_mesh`; the members are divided among its devices. None for the default device.

    Raises:
      ValueError: if there is no member, their states differ in structure or shape, or they cannot be divided.
    """
    if not members:
        raise ValueError("a population needs at least one member, got none")
    check_members(len(members), mesh)
    like = jax.tree.map(jnp.shape, states[0])
    for number, state in enumerate(states):
        if jax.tree.map(jnp.shape, state) != like:
            raise ValueError(
                f"member {number} ({members[number]}) has another network than member 0 ({members[0]}): one program "
                "trains members of equal structure and shapes; put the others into a population of their own"
            )
    dtype = next(x.dtype for x in jax.tree.leaves(states[0].params))

    def stack(*values: Any) -> np.ndarray:
        column = np.stack([np.asarray(value) for value in values])
        return column.astype(dtype) if np.issubdtype(column.dtype, np.floating) else column

    hparams = jax.tree.map(stack, members[0], *members[1:])
    stacked = jax.tree.map(lambda *leaves: np.stack(jax.device_get(leaves)), states[0], *states[1:])
    return jax.device_put(Population(hparams, stacked), None if mesh is None else NamedSharding(mesh, P(POPULATION)))


def check_members(count: int, mesh: Mesh | None) -> None:
    """Checks that a population can be divided among devices.

    Raises:
      ValueError: if its size is not a multiple of their number.
    """
    if mesh is not None and count % mesh.shape[POPULATION]:
        raise ValueError(
            f"{count} members cannot be divided among {mesh.shape[POPULATION]} devices: "
            "add members (some may be repeated), or use fewer devices"
        )


def default_vmap_size(platform: str | None = None) -> int:
    """Members that a device computes at the same time: 1 on a CPU, elsewhere all (0).

    On a CPU the working set of one member fits the cache and that of many does not: one after the other they take two
    thirds of the time (docs/decisions/0011). Elsewhere batched products fill the device (not measured).

    Args:
      platform: "cpu", "gpu" or "tpu"; None for the one in use.
    """
    return 1 if (platform or jax.default_backend()) == "cpu" else 0


def over_members(
    function: Callable[..., Any], *, mesh: Mesh | None = None, vmap_size: int | None = None
) -> Callable[..., Any]:
    """Makes `function(member, *shared)` one program for all members: `(members, *shared) -> results`.

    No member sees another, so nothing is exchanged between devices.

    Args:
      function: pure, of pytrees.
      mesh: from `population_mesh`: each device takes its part of the members. None for one device.
      vmap_size: members that a device computes together (`vmap`), the groups following one another in a loop on the
        device; 1 one by one, 0 all; None for `default_vmap_size()`. Results are the same up to rounding.

    Returns:
      A function of `members`, a pytree whose arrays have a leading axis M, and of arguments shared by all of them; its
      results have the leading axis M. To be jitted.

    Raises:
      ValueError: if `vmap_size` is negative; from the function returned, if the members cannot be divided.
    """
    together = default_vmap_size() if vmap_size is None else vmap_size
    if together < 0:
        raise ValueError(f"vmap_size must be a number of members, 0 for all, got {vmap_size}")

    def on_device(members: Any, *shared: Any) -> Any:
        def one(member: Any) -> Any:
            return function(member, *shared)

        if together == 1:
            return jax.lax.map(one, members)
        count = len(jax.tree.leaves(members)[0])
        if together == 0 or together >= count:
            return jax.vmap(one)(members)
        return jax.lax.map(one, members, batch_size=together)

    def everywhere(members: Any, *shared: Any) -> Any:
        check_members(len(jax.tree.leaves(members)[0]), mesh)
        if mesh is None:
            return on_device(members, *shared)
        specs = (P(POPULATION), *(P() for _ in shared))
        # check_vma=False: as in data_parallel
        return jax.shard_map(on_device, mesh=mesh, in_specs=specs, out_specs=P(POPULATION), check_vma=False)(
            members, *shared
        )

    return everywhere


def make_population_step(
    make: Make, *, mesh: Mesh | None = None, vmap_size: int | None = None
) -> Callable[..., Population]:
    """The train step of a population: `(population, images, labels, orders [M, N]) -> population`.

    A member whose loss or gradient is not finite keeps the state from before that step, from then on; its
    `totals.bad_step` names the step. The others go on.

    Args:
      make: the member's step is called as it is.
      mesh, vmap_size: as in `over_members`.
    """

    def one(member: tuple[Any, TrainState, Array], images: Array, labels: Array) -> TrainState:
        hparams, state, order = member
        made = make(hparams).step
        after = made(state, images, labels, order)
        vars(step).update({name: getattr(made, name, None) for name in ("batch_size", "classes")})
        bad = after.totals.bad_step
        frozen = state._replace(totals=state.totals._replace(bad_step=bad))
        return jax.tree.map(functools.partial(jnp.where, bad < 0), after, frozen)

    each = over_members(one, mesh=mesh, vmap_size=vmap_size)

    def step(population: Population, images: Array, labels: Array, orders: Array) -> Population:
        return population._replace(states=each((*population, orders), images, labels))

    return step


def make_population_evaluate(
    make: Make, batch_size: int, *, mesh: Mesh | None = None, vmap_size: int | None = None
) -> Callable[..., np.ndarray]:
    """Builds `evaluate(population, images [N, ...], labels [N], number=0) -> accuracy at every time step [M, T]`.

    Args:
      make: the member's count_batch is called as it is.
      batch_size: of that count_batch.
      mesh, vmap_size: as in `over_members`.

    `number` is that of the set among those of a run, as in `training.make_evaluate`.

    Raises (from `evaluate`):
      ValueError: if there is no sample.
    """

    def one(member: Population, images: Array, labels: Array, number: Array, start: Array) -> Array:
        return make(member.hparams).count_batch(member.states, images, labels, number, start)[0]

    each = jax.jit(over_members(one, mesh=mesh, vmap_size=vmap_size), compiler_options=compiler_options())

    def evaluate(population: Population, images: Array, labels: Array, number: ArrayLike = 0) -> np.ndarray:
        if not len(labels):
            raise ValueError("cannot evaluate on an empty set: no samples came")
        population = population._replace(states=population.states._replace(optimizer=None))  # not looked at
        number, starts = jnp.asarray(number, jnp.int32), range(0, len(labels), batch_size)
        hits = [each(population, images, labels, number, jnp.int32(start)) for start in starts]
        return np.sum(jax.device_get(hits), 0) / len(labels)

    return evaluate
