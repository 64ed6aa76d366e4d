"""The conversion baseline of a run: its ReLU twin, converted to integrate-and-fire neurons, against the run's network.

    python -m jaxsnn.lab.convert --run=runs/mnist_lenet_small [--data_dir=...] [--balance=sengupta] [--reset=hard]

Trains the twin into `<run>/twin` if it is not there (the run's data, shape, dropout and augmentation; see
`twin`), finds thresholds on training images, runs the converted network and the run's own on the same test
images, and prints one table. Writes `convert.json`, `converted.npz` and figures into the folder.
"""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

from jaxsnn import models, training
from jaxsnn.checks import check_percentile
from jaxsnn.lab import fingerprints, run_folder
from jaxsnn.lab.build import Program, build, make_model, restore
from jaxsnn.lab.command import command, define_run_flags
from jaxsnn.lab.config import ONE_DEVICE, Config, option
from jaxsnn.lab.convert import comparison, converted, twin
from jaxsnn.lab.inputs import make_encode
from jaxsnn.lab.results import scores
from jaxsnn.lab.splits import load_data, split
from jaxsnn.streaming import Streamed, stream
from jaxsnn.training.state import EVALUATE


@dataclass(frozen=True)
class Options:
    """How to convert, and how to compare; every field is a flag."""

    balance: str = option("diehl", "Thresholds from activations (diehl) or spiking input.", ("diehl", "sengupta"))
    percentile: float = option(99.9, "Of the activations, or the currents, that set a threshold; 100: the largest.")
    reset: str = option("soft", "Of the converted neurons, by subtraction (soft) or to zero.", ("soft", "hard"))
    pool: str = option("average", "Pools of the converted network, without neurons or with.", ("average", "spiking"))
    steps: int = option(2500, "T of the converted network.")
    samples: int = option(500, "Test images, the first ones.")
    balance_samples: int = option(500, "Training images for diehl; sengupta takes one batch of 100.")
    balance_steps: int = option(100, "Time steps per layer for sengupta.")
    batch: int = option(100, "Test images per batch.")
    margin: float = option(0.005, "Equal accuracy is the smaller of both networks' last accuracies, less this.")
    epochs: int = option(0, "Of the ReLU network's training; 0 for as many as the run.")
    which: str = option("selected", "Epoch with the best validation accuracy, or the last.", ("selected", "last"))
    progress: bool = option(True, "Show progress.")

    def __post_init__(self) -> None:
        for name in ("steps", "samples", "balance_samples", "balance_steps", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.epochs < 0 or not 0 <= self.margin < 1:
            raise ValueError(f"epochs must be >= 0 and margin in [0, 1), got {self.epochs} and {self.margin}")
        check_percentile(self.percentile)


def convert(where: Path, options: Options, *, data_dir: str = "", cache_dir: str = "") -> dict[str, Any]:
    """Converts the twin of a run's first network, compares, prints a table and writes `convert.json`; returns that.

    Args:
      where: the run folder.
      options: how.
      data_dir, cache_dir: where the data is now; empty for what the run used.

    Raises:
      ValueError, OSError: if the folder holds no run, a damaged one, or one that cannot be converted; if the data
        cannot be loaded; if an option is out of range.
      CheckpointError: if a checkpoint is missing or damaged.
    """
    config = _open(where, data_dir, cache_dir)
    data = load_data(config)
    fingerprints.check(where, fingerprints.sums(data))
    sets = split(config, data)
    program = build(config, data)
    direct = _trained(program, config, where, options)  # before the twin, which takes long
    began = time.perf_counter()
    own = twin.configuration(config, where, options.epochs)
    twin.train(own)
    twin_program = build(own, data)
    relu = _trained(twin_program, own, Path(own.run_dir), options)
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
    test = training.Data(sets.test.images[: options.samples], sets.test.labels[: options.samples])
    modules = {"direct": make_model(config, data, config.seed), "converted": module}
    connections = {name: models.connections(one) for name, one in modules.items()}
    runs = {
        "direct": (program.apply, direct.params, direct.model_state, config.time_steps),
        "converted": (models.functionalize(module)[0], net.params, net.state, options.steps),
    }
    curves = {
        name: _run(name, *one, test, config, options, comparison.fan_outs(connections[name]))
        for name, one in runs.items()
    }
    accuracy = float(twin_program.evaluate(relu, *test).accuracy[-1])
    summary = {
        **run_folder.environment(),
        "options": dataclasses.asdict(options),
        "samples": len(test.labels),
        "relu": {"accuracy": accuracy, "epochs": own.epochs},
        **{name: comparison.numbers(curve) for name, curve in curves.items()},
        "equal_accuracy": comparison.compare(
            curves["direct"],
            curves["converted"],
            options.margin,
            macs=comparison.multiplications(connections["converted"]),
            analog=config.encoding == "direct" or (config.encoding == "events" and config.event_values == "counts"),
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
    test: training.Data,
    config: Config,
    options: Options,
    fan_outs: dict[str, np.ndarray],
) -> Streamed:
    with tqdm(total=steps * len(test.labels), desc=name, unit="step", disable=not options.progress or None) as bar:
        return stream(
            apply,
            params,
            state,
            make_encode(config),
            *test,
            key=training.key_for(config.seed, EVALUATE),
            steps=steps,
            chunk=models.default_chunk(steps),
            batch_size=options.batch,
            fan_outs=fan_outs,
            progress=bar.update,
        )


def _open(where: Path, data_dir: str, cache_dir: str) -> Config:
    config = run_folder.read_config(where)
    if config.rule == "relu":
        raise ValueError(f"{where} holds a ReLU network: give the folder of a spiking one, whose twin is trained here")
    if config.encoding == "latency":
        raise ValueError("latency input cannot be converted: it tells intensities by times, and IF neurons read rates")
    if config.folds > 1:
        raise ValueError(f"{where} is a cross-validation, whose test set is left alone: give a run with seeds")
    return dataclasses.replace(
        config, data_dir=data_dir or config.data_dir, cache_dir=cache_dir or config.cache_dir, **ONE_DEVICE
    )


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
    define: dict[type, Any] = {bool: flags.DEFINE_boolean, int: flags.DEFINE_integer, float: flags.DEFINE_float}
    for name, f in Options.__dataclass_fields__.items():
        if f.metadata["choices"]:
            flags.DEFINE_enum(name, str(f.default), list(f.metadata["choices"]), f.metadata["help"])
        else:
            define[type(f.default)](name, f.default, f.metadata["help"])

    def run() -> None:
        given = flags.FLAGS
        values: dict[str, Any] = {name: given[name].value for name in Options.__dataclass_fields__}
        options = Options(**values)
        with run_folder.looking(given.run, figures=given.figures) as where:
            summary = convert(where, options, data_dir=given.data_dir, cache_dir=given.cache_dir)
            if given.figures:
                for figure in comparison.draw(where, summary):
                    print(f"wrote {figure}")

    command(run)
