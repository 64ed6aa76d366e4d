"""The training loop of a population: as `training.fit`, for many networks, in memory."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from jaxsnn.checks import check_labels
from jaxsnn.parallel.data import replicate
from jaxsnn.parallel.population import (
    Make,
    Population,
    create_population,
    make_population_evaluate,
    make_population_step,
    over_members,
)
from jaxsnn.training import (
    Data,
    OnHost,
    TrainState,
    check_batch_size,
    compile_steps,
    copy_state,
    epoch_order,
    no_totals,
)
from jaxsnn.typing import Array

Start = Callable[[Any], TrainState]
"""`member -> state` before the first step."""
Evaluate = Callable[[Population], Mapping[str, np.ndarray]]
"""Named accuracies of every member, each `[M]`."""


class Trained(NamedTuple):
    """A trained population of M members with its history; E evaluations."""

    population: Population
    """After the last step."""
    loss: np.ndarray
    """Mean training loss of every epoch, `[epochs, M]`; NaN once a member has diverged."""
    evaluated: np.ndarray
    """Epochs after which the members were evaluated, `[E]`, from 1."""
    accuracy: dict[str, np.ndarray]
    """Name to accuracies, `[E, M]`; NaN once a member has diverged."""
    diverged: np.ndarray
    """Step at which the loss or gradient of a member was not finite, `[M]`; -1 for never."""
    seconds: float
    """Compilation included."""
    costs: Any
    """The cost of compiling, and the memory of a step (`training.Costs`)."""


def fit_population(
    population: Population,
    step: Callable[..., Population],
    data: Data,
    *,
    batch_size: int,
    epochs: int,
    evaluate: Evaluate,
    evaluate_every: int = 1,
    mesh: Mesh | None = None,
    progress: bool = False,
    description: str = "",
) -> Trained:
    """Trains all members for `epochs`, as `training.fit` trains one: the same batches, evaluated after the same epochs.

    Args:
      population: where to begin; it is copied once and stays as it is.
      step: from `make_population_step`; compiled here.
      data: training set, on all devices of the mesh (`replicate`): integer labels from 0 on, as many as images.
      batch_size: as given to `training.make_train_step`.
      epochs: passes over the training set. Each member visits it in the order of its own seed.
      evaluate: named accuracies.
      evaluate_every: epochs between evaluations; the last epoch is always evaluated.
      mesh: that of `step`.
      progress: show a bar.
      description: shown before the bar.

    Raises:
      ValueError: if the labels are no classes of the networks', or not as many as the images; or `batch_size` is
        another than the step's, or more than there are samples; or the samples are `OnHost`.
    """
    if isinstance(data.images, OnHost):
        raise ValueError(
            "the members of a population visit their samples in orders of their own, so that none can be read for all "
            "of them: put the samples on the device (stream=never), or train the networks one by one"
        )
    labels = jax.device_get(data.labels)
    check_labels(labels, samples=data.images)
    samples = len(labels)
    check_batch_size(step, batch_size, samples)
    population = copy_state(population)
    began, per_epoch = time.perf_counter(), samples // batch_size
    dispatch = costs = None
    loss, evaluated, scores = [], [], []
    bar = tqdm(total=epochs * per_epoch, disable=None if progress else True, unit="step", desc=description, leave=False)
    with bar:
        for epoch in range(1, epochs + 1):
            orders = _orders(samples, mesh, population.states.seed, jnp.int32(epoch - 1))
            if dispatch is None:
                dispatch, costs = compile_steps(step, population, *data, orders, several=False)
                check_labels(labels, getattr(step, "classes", None))
                check_batch_size(step, batch_size, samples)  # known now that the step was traced
            for _ in range(per_epoch):
                population = dispatch(population, *data, orders, 1)
                bar.update()
            totals = jax.device_get(population.states.totals)  # the only place where the host waits
            alive = totals.bad_step < 0
            loss.append(np.where(alive, totals.loss / per_epoch, np.nan))
            if epoch % evaluate_every == 0 or epoch == epochs:
                evaluated.append(epoch)
                evaluation = evaluate(population)
                scores.append({name: np.where(alive, value, np.nan) for name, value in evaluation.items()})
            population = _reset(population)
            shown = "all diverged" if not alive.any() else f"mean loss {np.nanmean(loss[-1]):.4f}"
            bar.set_postfix_str(f"{shown}, {alive.sum()} of {len(alive)} members go on")
    accuracy = {name: np.stack([row[name] for row in scores]) for name in scores[0]}
    seconds = time.perf_counter() - began
    return Trained(population, np.stack(loss), np.array(evaluated), accuracy, totals.bad_step, seconds, costs)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _orders(samples: int, mesh: Mesh | None, seeds: Array, epoch: Array) -> Array:
    """Each member's order of the samples in an epoch, `[M, samples]`."""
    return over_members(lambda seed, epoch: epoch_order(seed, epoch, samples), mesh=mesh)(seeds, epoch)


def _reset(population: Population) -> Population:
    """The totals of a new epoch, members that diverged staying marked."""
    states = population.states
    zero = jax.tree.map(lambda new, old: jnp.broadcast_to(new, old.shape), no_totals(), states.totals)
    zero = jax.device_put(zero, states.seed.sharding)
    return population._replace(states=states._replace(totals=zero._replace(bad_step=states.totals.bad_step)))


def train_population(
    members: Sequence[Any],
    start: Start,
    make: Make,
    data: Data,
    tests: Mapping[str, Data],
    *,
    batch_size: int,
    epochs: int,
    evaluation_batch: int = 250,
    evaluate_every: int = 1,
    mesh: Mesh | None = None,
    vmap_size: int | None = None,
    progress: bool = False,
) -> Trained:
    """Trains a population in one call.

    Args:
      members: of each network its numbers, e.g. from `grid`.
      start: state of a member before its first step.
      make: step and count_batch of a member.
      data: training set.
      tests: name to the sets on which the members are evaluated; each has random numbers of its own.
      batch_size: as given to `training.make_train_step`.
      epochs: passes over the training set.
      evaluation_batch: as given to `training.make_count_batch`.
      evaluate_every, progress: as in `fit_population`.
      mesh, vmap_size: as in `over_members`.

    Raises:
      ValueError: as `create_population` and `fit_population`.

    Example, four networks, two rates by two seeds; each is one neuron per class, shown a digit for three steps:

      >>> import jax.numpy as jnp, optax
      >>> from flax import nnx
      >>> from jaxsnn import encoding, losses, models, parallel, training
      >>> images = jnp.eye(2)[jnp.arange(16) % 2].reshape(16, 1, 2, 1)
      >>> data = training.Data(images, jnp.arange(16) % 2)
      >>> def prepare(key, images):
      ...     return encoding.direct(images, 3)
      >>> def network(member):
      ...     rngs = nnx.Rngs(member["seed"])
      ...     net = models.Builder(input_shape=(1, 2, 1), num_classes=2, init_scale=1.0, rngs=rngs)
      ...     return models.functionalize(net.finish())
      >>> def start(member):
      ...     apply, params, model_state = network(member)
      ...     return training.init_state(params, model_state, optax.sgd(member["lr"]), member["seed"])
      >>> apply, _, _ = network({"seed": 0})
      >>> def make(hparams):
      ...     loss = lambda output, labels: losses.squared_error(output.logits, labels)
      ...     gradients = training.backpropagation(apply, loss)
      ...     step = training.make_train_step(gradients, optax.sgd(hparams["lr"]), prepare, 8)
      ...     return parallel.Member(step, training.make_count_batch(apply, prepare, 16))
      >>> members = parallel.grid(lr=[0.0001, 0.1], seed=range(2))
      >>> trained = parallel.train_population(
      ...     members, start, make, data, {"training": data}, batch_size=8, epochs=8, evaluation_batch=16
      ... )
      >>> trained.loss.shape, trained.accuracy["training"][-1, 2:].tolist(), trained.diverged.tolist()
      ((8, 4), [1.0, 1.0], [-1, -1, -1, -1])
    """
    population = create_population(members, [start(member) for member in members], mesh)
    if mesh is not None:
        data, tests = replicate(mesh, (data, tests))
    accuracy = make_population_evaluate(make, evaluation_batch, mesh=mesh, vmap_size=vmap_size)

    def evaluate(population: Population) -> dict[str, np.ndarray]:
        return {name: accuracy(population, *test, n)[:, -1] for n, (name, test) in enumerate(tests.items())}

    return fit_population(
        population,
        make_population_step(make, mesh=mesh, vmap_size=vmap_size),
        data,
        batch_size=batch_size,
        epochs=epochs,
        evaluate=evaluate,
        evaluate_every=evaluate_every,
        mesh=mesh,
        progress=progress,
        description=f"{len(members)} members",
    )
