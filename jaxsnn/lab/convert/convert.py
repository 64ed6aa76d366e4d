"""The conversion baseline of a run: its ReLU twin, converted to integrate-and-fire neurons, against the run's network.

    python -m jaxsnn.lab.convert --run=runs/mnist_lenet_small [--data_dir=...] [--balance=sengupta] [--reset=hard]

Trains the twin into `<run>/twin` if it is not there (the run's data, shape, dropout and augmentation; see
`twin`), finds thresholds on training images, runs the converted network and the run's own on the same test
images, and prints one table. Writes `convert.json`, `converted.npz` and figures into the folder.
"""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from jaxsnn import models, training
from jaxsnn.lab import profile, run_folder
from jaxsnn.lab.build import Program, build, make_model, restore
from jaxsnn.lab.command import command, define_flag, define_run_flags
from jaxsnn.lab.config import Config
from jaxsnn.lab.convert import comparison, converted, twin
from jaxsnn.lab.inputs import make_encode
from jaxsnn.lab.options import check, option
from jaxsnn.lab.results import scores
from jaxsnn.lab.splits import load_data, split
from jaxsnn.lab.stored import opened
from jaxsnn.streaming import Streamed, stream
from jaxsnn.synapses import Connection
from jaxsnn.training.state import EVALUATE


@dataclass(frozen=True)
class Options:
    """How to convert, and how to compare; every field is a flag."""

    balance: str = option(
        "diehl", "Thresholds from activations (diehl) or spiking input.", choices=("diehl", "sengupta")
    )
    percentile: float = option(
        99.9, "Of the activations, or the currents, that set a threshold; 100: the largest.", bound="(0, 100]"
    )
    reset: str = option("soft", "Of the converted neurons, by subtraction (soft) or to zero.", choices=("soft", "hard"))
    pool: str = option(
        "average", "Pools of the converted network, without neurons or with.", choices=("average", "spiking")
    )
    steps: int = option(2500, "T of the converted network.", bound="[1, 1000000]")
    samples: int = option(500, "Test images, the first ones.", bound="[1, inf)")
    balance_samples: int = option(500, "Training images for diehl; sengupta takes one batch of 100.", bound="[1, inf)")
    balance_steps: int = option(100, "Time steps per layer for sengupta.", bound="[1, 1000000]")
    batch: int = option(100, "Test images per batch.", bound="[1, inf)")
    margin: float = option(
        0.005, "Equal accuracy is the smaller of both networks' last accuracies, less this.", bound="[0, 1)"
    )
    epochs: int = option(0, "Of the ReLU network's training; 0 for as many as the run.", bound="[0, inf)")
    which: str = option(
        "selected", "Epoch with the best validation accuracy, or the last.", choices=("selected", "last")
    )
    progress: bool = option(True, "Show progress.")

    def __post_init__(self) -> None:
        check(self)


def convert(where: Path, options: Options, *, data_dir: str = "", cache_dir: str = "") -> dict[str, Any]:
    """Converts the twin of a run's first network, compares, prints a table and writes `convert.json`; returns that.

    Args:
      where: the run folder.
      options: how.
      data_dir, cache_dir: where the data is now; empty for your own default.

    Raises:
      ValueError, OSError: if the folder holds no run, a damaged one, or one that cannot be converted; if the data
        cannot be loaded; if an option is out of range.
      CheckpointError: if a checkpoint is missing or damaged.
    """
    config = _open(where, data_dir, cache_dir, options.progress)
    data = load_data(config)
    sets = split(config, data)
    program = build(config, data)
    direct = _trained(program, config, where, options)  # before the twin, which takes long
    began = time.perf_counter()
    own = twin.configuration(config, where, options.epochs)
    twin.train(own)
    twin_program = build(own, data)
    relu = _trained(twin_program, own, Path(own.run.run_dir), options)
    trained = time.perf_counter()

    net, module = converted.make(
        config,
        own,
        data,
        relu.params,
        sets.fitting.images,
        balance=options.balance,
        percentile=options.percentile,
        reset=options.reset,
        pool=options.pool,
        samples=options.balance_samples,
        steps=options.balance_steps,
    )
    path = converted.write(where, net)
    scales = ", ".join(f"{name} {scale:.3g}" for name, scale in net.scales.items())
    print(f"a spike stands for an activation of: {scales}; wrote {path}")
    test = sets.test._replace(**{name: getattr(sets.test, name)[: options.samples] for name in ("images", "labels")})
    modules = {"direct": make_model(config, data, config.training.seed), "converted": module}
    runs = {
        "direct": (program.apply, direct.params, direct.model_state, config.network.time_steps),
        "converted": (models.functionalize(module)[0], net.params, net.state, options.steps),
    }
    curves = {
        name: _run(name, *one, test, config, options, models.connections(modules[name])) for name, one in runs.items()
    }
    accuracy = float(twin_program.evaluate(relu, *test).accuracy[-1])
    summary = {
        **run_folder.environment(),
        "options": dataclasses.asdict(options),
        "samples": len(test.labels),
        "relu": {"accuracy": accuracy, "epochs": own.training.epochs},
        **{name: comparison.numbers(curve) for name, curve in curves.items()},
        "equal_accuracy": comparison.compare(
            curves["direct"],
            curves["converted"],
            options.margin,
            leaky=profile.leaky(config),
        ),
        "scales": net.scales,
        "seconds": {"twin": round(trained - began, 1), "rest": round(time.perf_counter() - trained, 1)},
    }
    run_folder.write_json(where / "convert.json", summary)
    print(comparison.table(summary))
    print(f"wrote {where / 'convert.json'}")
    return summary


def _run(
    name: str,
    apply: models.Apply,
    params: Any,
    state: Any,
    steps: int,
    test: training.Tested,
    config: Config,
    options: Options,
    connections: Sequence[Connection],
) -> Streamed:
    with tqdm(total=steps * len(test.labels), desc=name, unit="step", disable=not options.progress or None) as bar:
        return stream(
            apply,
            params,
            state,
            make_encode(config),
            test.images,
            test.labels,
            key=training.key_for(config.training.seed, EVALUATE, test.number),
            steps=steps,
            chunk=models.default_chunk(steps),
            batch_size=options.batch,
            connections=connections,
            progress=bar.update,
        )


def _open(where: Path, data_dir: str, cache_dir: str, progress: bool) -> Config:
    config = run_folder.read_config(where)
    if not config.network.spiking:
        raise ValueError(f"{where} holds a ReLU network: give the folder of a spiking one, whose twin is trained here")
    if config.network.encoding == "latency":
        raise ValueError("latency input cannot be converted: it tells intensities by times, and IF neurons read rates")
    if config.data.folds > 1:
        raise ValueError(f"{where} is a cross-validation, whose test set is left alone: give a run with seeds")
    return opened(config, data_dir=data_dir, cache_dir=cache_dir).replace(progress=progress)


def _trained(program: Program, config: Config, where: Path, options: Options) -> training.TrainState:
    """The first network of a run folder."""
    one = run_folder.runs(config)[0]
    rows = training.MetricsFile(where / one.name / "metrics.jsonl").read()
    if not any("test_accuracy" in row for row in rows):
        raise ValueError(f"{where / one.name} has no trained network: it finished no evaluated epoch")
    step = scores(one, rows, 0.0)["selected_step"] if options.which == "selected" else None
    return restore(program, one.seed, where / one.name, step)


def main() -> None:
    """Parses flags, converts, compares, draws."""
    define_run_flags()
    flags.DEFINE_boolean("figures", True, "Draw figures (needs the extra 'viz').")
    for f in dataclasses.fields(Options):
        define_flag(f, f.default, f.metadata["help"])

    def run() -> None:
        given, where = flags.FLAGS, Path(flags.FLAGS.run)
        values: dict[str, Any] = {f.name: given[f.name].value for f in dataclasses.fields(Options)}
        options = Options(**values)
        summary = convert(where, options, data_dir=given.data_dir, cache_dir=given.cache_dir)
        if given.figures:
            for figure in comparison.draw(where, summary):
                print(f"wrote {figure}")

    command(run)
