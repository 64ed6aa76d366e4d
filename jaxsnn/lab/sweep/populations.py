"""From the configurations of one program to trained networks and their scores."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxsnn import parallel, training
from jaxsnn.data import Dataset
from jaxsnn.lab import fingerprints
from jaxsnn.lab.build import HParams, build, hparams_of
from jaxsnn.lab.config import Config
from jaxsnn.lab.devices import streams
from jaxsnn.lab.results import scores
from jaxsnn.lab.run_folder import Run
from jaxsnn.lab.splits import load_data, split
from jaxsnn.lab.starts import start_from
from jaxsnn.typing import ArrayLike, DTypeLike


def check(config: Config) -> fingerprints.Sums:
    """Builds the program before anything is written; returns the checksums of the data set.

    Raises:
      ValueError, OSError, ImportError: if the data cannot be loaded, or the network or step cannot be built.
    """
    data = load_data(config)
    if streams(config, data):
        size = sum(part.samples.nbytes for part in (data.train, data.test))
        raise ValueError(
            f"a sweep holds its samples on the device, {size / 1e9:.3g} GB, for its networks visit them in orders of "
            "their own: give --stream=never, with smaller samples if they do not fit (--size, --event_downsample, "
            "--time_steps of event data), or train the networks one by one"
        )
    program = build(config, data)
    if config.network.init_from:
        start_from(config, program.start(config.training.seed), program.connections)
    return fingerprints.sums(data)


def functions(
    first: Config,
    data: Dataset,
    mesh: Mesh | None = None,
    *,
    vmap_size: int | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> Any:
    """Train step and evaluation of a population: `parallel.make_population_step`, `make_population_evaluate`.

    Args:
      first: any of its members.
      data: their data set.
      mesh: from `parallel.population_mesh`; None for one device.
      vmap_size: as in `parallel.over_members`.
      param_dtype: of weights, membranes and input.
    """
    options: dict[str, Any] = {"mesh": mesh, "vmap_size": vmap_size}

    def member(hparams: HParams, *, batch: int = first.training.evaluation_batch) -> parallel.Member:
        program = build(first.replace(evaluation_batch=batch), data, hparams=hparams, param_dtype=param_dtype)
        return parallel.Member(program.step, program.count_batch)

    @functools.cache
    def evaluate_by(batch: int) -> Callable[..., np.ndarray]:
        return parallel.make_population_evaluate(functools.partial(member, batch=batch), batch, **options)

    def evaluate(
        population: parallel.Population, images: jax.Array, labels: jax.Array, number: ArrayLike = 0
    ) -> np.ndarray:
        size = max(min(first.training.evaluation_batch, len(labels)), 1)  # as a single run evaluates
        return evaluate_by(size)(population, images, labels, number)

    return parallel.make_population_step(member, **options), evaluate


def create(
    configs: Sequence[Config], data: Dataset, mesh: Mesh | None = None, *, param_dtype: DTypeLike = jnp.float32
) -> parallel.Population:
    """The members before their first step, each as it starts alone."""
    programs = [build(config, data, param_dtype=param_dtype) for config in configs]
    states = [
        start_from(config, program.start(config.training.seed), program.connections)
        for config, program in zip(configs, programs, strict=True)
    ]
    return parallel.create_population([hparams_of(config) for config in configs], states, mesh)


class Result(NamedTuple):
    """One population of a program."""

    configs: list[Config]
    trained: parallel.Trained
    """Its first members are those of `configs`; more were added to fill the program."""
    steps_per_epoch: int
    costs: training.Costs
    """The cost of compiling the program, once for all of its populations."""


def train(group: list[Config], mesh: Mesh, *, most: int = 0, progress: bool = True) -> Iterator[Result]:
    """Trains the members of one program, in as few populations as fit into memory, one after another.

    Args:
      group: from `plan.programs`.
      mesh: from `parallel.population_mesh`.
      most: members of a population at most; 0 for as many as fit.
      progress: show a bar.

    Raises:
      ValueError: if not even one member per device fits.
    """
    first, devices = group[0], mesh.size
    data = load_data(first)
    sets = parallel.replicate(mesh, split(first, data))
    compiled: list[training.Costs] = []

    step, accuracy = functions(first, data, mesh)

    def evaluate(population: parallel.Population) -> dict[str, np.ndarray]:
        parts = {"validation_accuracy": sets.validation, "test_accuracy": sets.test}
        return {name: accuracy(population, *part)[:, -1] for name, part in parts.items()}

    def measure(count: int) -> training.Costs:
        like = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((count, *x.shape[1:]), x.dtype, sharding=x.sharding),
            create(group[:1] * devices, data, mesh),
        )
        orders: Any = jax.ShapeDtypeStruct(
            (count, len(sets.fitting.labels)), np.int32, sharding=like.states.seed.sharding
        )
        compiled.append(training.compile_steps(step, like, *sets.fitting, orders, several=False)[1])
        return compiled[-1]

    wanted = min(len(group), most or len(group))
    size = parallel.members_that_fit(measure, wanted, parallel.memory_limit(devices), devices=devices)
    for begin in range(0, len(group), size):
        chunk = group[begin : begin + size]
        padded = chunk + chunk[-1:] * (size - len(chunk))  # the same program for the last ones
        trained = parallel.fit_population(
            create(padded, data, mesh),
            step,
            sets.fitting,
            batch_size=first.training.batch_size,
            epochs=first.training.epochs,
            evaluate=evaluate,
            evaluate_every=first.training.evaluate_every,
            mesh=mesh,
            progress=progress,
            description=f"{len(chunk)} networks",
        )
        yield Result(chunk, trained, len(sets.fitting.labels) // first.training.batch_size, compiled[-1])


def rows_of(result: Result, names: Sequence[str]) -> list[dict[str, Any]]:
    """A row per network: the fields `names`, its accuracies as a single run states them, and where it diverged."""
    chunk, trained = result.configs, result.trained
    rows = []
    for number, config in enumerate(chunk):
        evaluated = [
            {"epoch": int(epoch), "step": int(epoch) * result.steps_per_epoch}
            | {name: float(values[row, number]) for name, values in trained.accuracy.items()}
            for row, epoch in enumerate(trained.evaluated)
        ]
        score = scores(Run("", config.training.seed, None), evaluated, trained.seconds / len(chunk))
        bad = int(trained.diverged[number])
        if bad >= 0:
            score |= {name: None for name in score if name.startswith(("test_", "validation_", "selected_"))}
        values = config.values(names)
        score = {name: value for name, value in score.items() if name != "run"}
        rows.append({**values, **score, "diverged_step": None if bad < 0 else bad})
    return rows
