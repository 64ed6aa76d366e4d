"""From a configuration to a trained network, its metrics, its figures and a table, for all experiments."""

import sys
import time
from contextlib import ExitStack, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags
from jax.experimental.compilation_cache import compilation_cache

from jaxsnn import analysis, files, models, parallel, training
from jaxsnn.data.prepare import normalise
from jaxsnn.lab import environment, fingerprints, locks, results, run_folder
from jaxsnn.lab.build import Program, build
from jaxsnn.lab.command import Presets, command, define_flags, from_flags
from jaxsnn.lab.config import Config, fields_with
from jaxsnn.lab.devices import connect, define_process_flags
from jaxsnn.lab.inputs import make_prepare
from jaxsnn.lab.splits import Sets, load_data, split
from jaxsnn.lab.starts import start_from
from jaxsnn.training.state import LOOK

RATE_SAMPLES = 64
"""Training samples on which rates are measured for `init_rate`."""


def main(presets: Presets) -> None:
    """Parses flags, runs the experiment, prints its table; errors of use end with a message, not a traceback."""

    def run_from_flags() -> None:
        config = from_flags(presets)
        connect(config.run.multihost)
        run(config, flags.FLAGS.preset)

    define_flags(presets)
    define_process_flags()
    command(run_from_flags)


def run(config: Config, name: str) -> dict[str, Any]:
    """Trains `config.run.seeds` networks, writes the run folder, prints the table; returns `results.json`.

    With `config.run.multihost` every process calls it; process 0 alone writes and prints, the others return nothing.
    """
    path = run_folder.choose(config, name)
    if config.run.figures:
        environment.check_figures()
    if config.run.multihost:
        fields = config.values(fields_with(per_process=False))
        parallel.check_same(fields | {"run folder": str(path)}, "configuration")
        parallel.check_same(environment.code(), "code", "Install the same on all machines, and start the same program")
    with ExitStack() as held:
        if not parallel.is_first():
            held.enter_context(redirect_stdout(None))
        elif config.run.resume:
            held.enter_context(locks.hold(path))
        return _run(config, name, path, held)


def _run(config: Config, name: str, path: Path, held: ExitStack) -> dict[str, Any]:
    writes = parallel.is_first()
    data = load_data(config)
    sums = fingerprints.sums(data)
    if config.run.resume:
        fingerprints.check(path, sums)
    if config.run.multihost:
        parallel.check_same(sums, "data")
    runs = run_folder.runs(config)
    first = split(config, data, runs[0].fold)
    if config.run.compilation_cache:
        keep_compiled(config.run.compilation_cache)
    program = build(config, data)
    if config.network.init_from and not config.run.resume:
        start_from(config, program.start(runs[0].seed), program.connections)
    if writes:
        remember = partial(fingerprints.remember, data=sums)
        created = run_folder.create(path, config, name, held, remember)  # last: a failed build leaves no folder behind
        if config.run.multihost and created != path:
            raise ValueError(f"{path} was made by another run just now: start all processes again, or give --run_dir")
        path = created
    made = f" ({data.description})" if data.description else ""
    print(
        f"{name}: {len(data.train.labels)} training and {len(data.test.labels)} test samples{made}, run folder {path}"
    )
    look = config.run.activity and writes and config.network.spiking
    finished = []
    for run in runs:
        sets = first if run.fold == runs[0].fold else split(config, data, run.fold)
        finished.append(train(config, program, sets, run, path / run.name, look=look and run == runs[0]))
    summary = results.write(path, name, config, finished, data.description) if writes else {}
    if config.run.figures:
        for figure in results.draw(path, config, data, program):
            print(f"wrote {figure}")
    return summary


def check_parameters(state: training.TrainState) -> None:
    """Checks that all processes hold the same parameters.

    Raises:
      ValueError: on every process, if they do not.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(parallel.local(state.params))
    values = {
        jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf).tobytes() for path, leaf in leaves
    }
    advice = "Their programs, or their devices, compute other numbers: this run cannot be trusted"
    parallel.check_same(values, f"parameters after step {int(parallel.local(state.step))}", advice)


def first_state(config: Config, program: Program, sets: Sets, seed: int) -> training.TrainState:
    """A run before its first step: with the weights of `init_from`, scaled to `init_rate`, where those are given.

    Raises:
      ValueError: if there are no such weights, or no weights give that rate.
    """
    state = start_from(config, program.start(seed), program.connections)
    if not config.network.init_rate:
        return state
    here, images = parallel.local(state), parallel.local(sets.fitting.images)[:RATE_SAMPLES]
    x = make_prepare(config)(training.key_for(seed, LOOK), images)
    *weights, _ = models.scale_to_rate(
        program.apply,
        here.params,
        here.model_state,
        program.connections,
        x,
        config.network.init_rate,
    )
    old = (state.params, state.model_state)
    params, model_state = jax.tree.map(lambda new, old: jax.device_put(new, old.sharding), tuple(weights), old)
    return state._replace(params=params, model_state=model_state)


def check_activity(config: Config, program: Program, sets: Sets, state: training.TrainState) -> None:
    """Prints faults in the firing of the untrained network, in its first state, on a few training samples."""
    images = sets.fitting.images
    images = jax.device_put(images[:8]) if isinstance(images, training.OnHost) else parallel.local(images)[:8]
    if config.network.encoding == "poisson":
        for sentence in check_gain(
            np.asarray(normalise(images, config.data.mean, config.data.std)), config.network.gain
        ):
            print(f"warning, before training: {sentence}", file=sys.stderr)
    x = make_prepare(config)(training.key_for(config.training.seed, LOOK), images)
    state = parallel.local(state)
    normed, key = bool(config.network.norm), training.key_for(config.training.seed, LOOK)
    measured = analysis.activity(program.apply, state.params, state.model_state, x, train=normed, key=key)
    for sentence in analysis.warnings(measured):
        print(f"warning, before training: {sentence}", file=sys.stderr)


def check_gain(intensities: np.ndarray, gain: float) -> list[str]:
    """Faults of the gain of a Poisson input for pixels like these; empty if there is none."""
    saturated = np.mean(np.abs(intensities) * gain > 1)
    if saturated <= 0.01:
        return []
    return [
        f"a gain of {gain:g} saturates {saturated:.0%} of the pixels, which then spike at every step however bright "
        f"they are: use a gain of {1 / np.abs(intensities).max():.3g} or less"
    ]


def keep_compiled(folder: str | Path) -> None:
    """Makes jax store compiled programs in the folder from now on, and look there first.

    Raises:
      ValueError: if it is a remote address.
      OSError: if the folder cannot be made or written.
    """
    path = files.local(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        files.check_writable(path)
    except OSError as error:
        raise OSError(
            f"cannot keep compiled programs in {path} ({error}): choose another folder with --compilation_cache"
        ) from error
    jax.config.update("jax_compilation_cache_dir", str(path.absolute()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # jax's default leaves out small programs
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    compilation_cache.reset_cache()  # jax decides at its first compilation whether there is a cache


def train(
    config: Config, program: Program, sets: Sets, run: run_folder.Run, folder: Path, *, look: bool = False
) -> dict[str, Any]:
    """Trains one network into `folder`, from its last checkpoint if there is one and `config.run.resume`.

    Returns its scores; in processes other than the first, nothing. `look`: check its firing before the first step.
    """
    began = time.perf_counter()
    seed, description = run.seed, run.name.replace("seed", "seed ").replace("fold", "fold ")

    def evaluate(state: training.TrainState) -> dict[str, float]:
        if config.run.multihost:
            check_parameters(state)
        return {
            "validation_accuracy": float(program.evaluate(state, *sets.validation).accuracy[-1]),
            "test_accuracy": float(program.evaluate(state, *sets.test).accuracy[-1]),
        }

    folder.mkdir(parents=True, exist_ok=True)
    writes = parallel.is_first()
    metrics, earlier = training.MetricsFile(folder / "metrics.jsonl", writes=writes), 0.0
    checkpoints = training.Checkpoints(folder / "checkpoints")
    state = program.start(seed)
    if config.run.resume and checkpoints.steps():
        state = checkpoints.load(state)
        print(f"{description}: resuming after step {int(state.step)}")
        metrics.rewind(int(state.step))
        earlier = results.spent(metrics.read())
    else:
        state = first_state(config, program, sets, seed)
        if look:
            check_activity(config, program, sets, state)
        metrics.rewind(-1)
    training.fit(
        state,
        program.step,
        sets.fitting,
        batch_size=config.training.batch_size,
        epochs=config.training.epochs,
        evaluate=evaluate,
        metrics=metrics,
        checkpoints=checkpoints,
        evaluate_every=config.training.evaluate_every,
        log_every=config.training.log_every,
        checkpoint_every=config.run.checkpoint_every or None,
        steps_per_dispatch=config.training.steps_per_dispatch,
        agree=parallel.agree if config.run.multihost else None,
        progress=config.run.progress and writes,
        description=description,
    )
    return results.scores(run, metrics.read(), earlier + time.perf_counter() - began) if writes else {}
