"""From a configuration to a trained network, its metrics, its figures and a table: what all experiments share."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
from absl import app, flags, logging
from jax.experimental.compilation_cache import compilation_cache

from experiments import folder, results
from experiments.build import Program, Sets, build, load_data, make_prepare, split
from experiments.config import Config, Presets, define_flags, from_flags
from jaxsnn import analysis, training


def main(presets: Presets) -> None:
    """Parses flags, runs the experiment, prints its table; errors of use end with a message, not a traceback."""

    def run_from_flags(argv: list[str]) -> None:
        if len(argv) > 1:
            raise app.UsageError(f"unexpected argument {argv[1]!r}: options are written --name=value")
        logging.set_verbosity(logging.WARNING)  # orbax tells every step of a checkpoint
        with readable_errors():
            run(from_flags(presets), flags.FLAGS.preset)

    define_flags(presets)
    app.run(run_from_flags)


@contextmanager
def readable_errors() -> Iterator[None]:
    """Ends the program with a message, and no traceback, for errors of use."""
    try:
        yield
    except training.Interrupted as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(130)
    except (ValueError, TypeError, OSError, ImportError, training.CheckpointError, training.NonFiniteLoss) as error:
        if isinstance(error, OSError | ImportError) or _ours(error):
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        raise


def _ours(error: BaseException) -> bool:
    """Whether an error was raised by this project's own checks: those are meant to be read without a traceback."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").split(".")[0] in ("jaxsnn", "experiments")


def run(config: Config, name: str) -> dict[str, Any]:
    """Trains `config.seeds` networks, writes the run folder, prints the table; returns what `results.json` holds."""
    path = folder.choose(config, name)
    if config.compilation_cache:
        keep_compiled(Path(config.compilation_cache))
    data = load_data(config)
    runs = folder.runs(config)
    first = split(config, data, runs[0].fold)
    program = build(config, data)
    folder.create(path, config)  # last: what cannot be built leaves no run folder behind
    made = f" ({data.description})" if data.description else ""
    print(
        f"{name}: {len(data.train_labels)} training and {len(data.test_labels)} test samples{made}, run folder {path}"
    )
    if config.activity and not config.resume:
        check_activity(config, program, first)
    found = []
    for one in runs:
        sets = first if one.fold == runs[0].fold else split(config, data, one.fold)
        found.append(train(config, program, sets, one, path / one.name))
    summary = results.write(path, name, config, found)
    if config.figures:
        for figure in results.draw(path, config, data, program):
            print(f"wrote {figure}")
    return summary


def check_activity(config: Config, program: Program, sets: Sets) -> None:
    """Prints what is wrong with the firing of the untrained network on a few training samples, if anything is."""
    x = make_prepare(config, train=False)(jax.random.key(0), sets.fitting.images[:8])
    state = program.start(config.seed)
    for sentence in analysis.warnings(analysis.activity(program.apply, state.params, state.constants, x)):
        print(f"warning, before training: {sentence}", file=sys.stderr)


def keep_compiled(path: Path) -> None:
    """Makes jax keep what it compiles from now on in the folder, and look there first.

    Raises:
      OSError: if the folder cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise OSError(
            f"cannot keep compiled programs in {path} ({error}): choose another folder with --compilation_cache"
        ) from error
    jax.config.update("jax_compilation_cache_dir", str(path.absolute()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # jax's default leaves out small programs
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    compilation_cache.reset_cache()  # jax decides at its first compilation whether there is a cache


def train(config: Config, program: Program, sets: Sets, one: folder.Run, where: Path) -> dict[str, Any]:
    """Trains one network into the folder `where`, from its last checkpoint if there is one and `config.resume`."""
    began = time.perf_counter()
    seed, description = one.seed, one.name.replace("seed", "seed ").replace("fold", "fold ")

    def evaluate(state: training.TrainState) -> dict[str, float]:
        return {
            "validation_accuracy": float(program.evaluate(state, *sets.validation).accuracy[-1]),
            "test_accuracy": float(program.evaluate(state, *sets.test).accuracy[-1]),
        }

    where.mkdir(parents=True, exist_ok=True)
    metrics, checkpoints = training.MetricsFile(where / "metrics.jsonl"), training.Checkpoints(where / "checkpoints")
    try:
        state = program.start(seed)
        if config.resume and checkpoints.steps():
            state = checkpoints.load(state)
            print(f"{description}: resuming after step {int(state.step)}")
            metrics.rewind(int(state.step))
        else:
            metrics.rewind(-1)
        training.fit(
            state,
            program.step,
            sets.fitting,
            batch_size=config.batch_size,
            epochs=config.epochs,
            evaluate=evaluate,
            metrics=metrics,
            checkpoints=checkpoints,
            evaluate_every=config.evaluate_every,
            log_every=config.log_every,
            checkpoint_every=config.checkpoint_every or None,
            steps_per_dispatch=config.steps_per_dispatch,
            progress=config.progress,
            description=description,
        )
    finally:
        checkpoints.close()
    return results.scores(one, metrics.read(), time.perf_counter() - began)
