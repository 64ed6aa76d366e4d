"""The conversion baseline of a run: its ReLU twin, converted to integrate-and-fire neurons, against the run's network.

The run may be of a ReLU network itself (`--neuron=relu`), which is then the one that is converted.

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

from absl import flags
from tqdm import tqdm

from jaxsnn import models, training
from jaxsnn.encoding import ENCODINGS
from jaxsnn.lab import fingerprints, profile, run_folder
from jaxsnn.lab.build import build, make_model
from jaxsnn.lab.command import command, define_flag, define_run_flags
from jaxsnn.lab.config import Config
from jaxsnn.lab.convert import comparison, converted, twin
from jaxsnn.lab.inputs import make_encode
from jaxsnn.lab.options import check, option
from jaxsnn.lab.results import restored
from jaxsnn.lab.splits import load_data, split
from jaxsnn.lab.stored import opened
from jaxsnn.streaming import Streamed, stream
from jaxsnn.training.state import EVALUATE


@dataclass(frozen=True)
class Options:
    """How to convert, and how to compare; every field is a flag."""

    balance: str = option(
        "diehl", "Thresholds from activations (diehl) or spiking input.", choices=("diehl", "sengupta")
    )
    percentile: float = option(
        99.9, "Percentile of the activations or currents that set a threshold; 100: the largest.", bound="(0, 100]"
    )
    reset: str = option(
        "soft", "Reset of the converted neurons: by subtraction (soft) or to zero.", choices=("soft", "hard")
    )
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
    epochs: int = option(
        0, "Epochs of the ReLU twin, which a ReLU run has not; 0: as many as the run.", bound="[0, inf)"
    )
    which: str = option(
        "selected", "Epoch with the best validation accuracy, or the last.", choices=("selected", "last")
    )
    progress: bool = option(True, "Show progress.")

    def __post_init__(self) -> None:
        check(self)


def convert(folder: Path, options: Options, *, data_dir: str = "", cache_dir: str = "") -> dict[str, Any]:
    """Converts the twin of a run's first network, compares, prints a table and writes `convert.json`; returns that.

    Args:
      folder: the run folder.
      options: how.
      data_dir, cache_dir: where the data is now; empty for your own default.

    Raises:
      ValueError, OSError: if the folder holds no run, a damaged one, or one that cannot be converted; if the data
        cannot be loaded; if an option is out of range.
      CheckpointError: if a checkpoint is missing or damaged.
    """
    config = _open(folder, data_dir, cache_dir, options.progress)
    data = load_data(config)
    fingerprints.check(folder, fingerprints.sums(data))
    sets = split(config, data)
    program = build(config, data)
    own, _ = restored(program, run_folder.runs(config)[0], folder, options.which)  # before the twin, which takes long
    began = time.perf_counter()
    twin_config, twin_program, relu = config, program, own
    if config.network.spiking:
        twin_config = twin.configuration(config, folder, options.epochs)
        twin.train(twin_config)
        twin_program = build(twin_config, data)
        relu, _ = restored(twin_program, run_folder.runs(twin_config)[0], Path(twin_config.run.run_dir), options.which)
    trained = time.perf_counter()

    net, module = converted.make(
        config,
        twin_config,
        data,
        relu.weights[0],
        sets.fitting.images,
        balance=options.balance,
        percentile=options.percentile,
        reset=options.reset,
        pool=options.pool,
        samples=options.balance_samples,
        steps=options.balance_steps,
    )
    path = converted.write(folder, net)
    scales = ", ".join(f"{name} {scale:.3g}" for name, scale in net.scales.items())
    print(f"a spike stands for an activation of: {scales}; wrote {path}")
    test = sets.test._replace(**{name: getattr(sets.test, name)[: options.samples] for name in ("images", "labels")})
    modules = {"converted": module}
    runs: dict[str, Any] = {"converted": (models.functionalize(module)[0], net.params, net.state, options.steps)}
    if config.network.spiking:
        modules = {"direct": make_model(config, data, config.training.seed), **modules}
        runs = {"direct": (program.apply, *own.weights, config.network.time_steps), **runs}
    curves = {name: _run(name, run, test, config, options, modules[name]) for name, run in runs.items()}
    accuracy = float(twin_program.evaluate(relu, *test).accuracy[-1])
    summary = {
        **run_folder.environment(),
        "options": dataclasses.asdict(options),
        "samples": len(test.labels),
        "relu": {"accuracy": accuracy, "epochs": twin_config.training.epochs},
        **{name: comparison.numbers(curve) for name, curve in curves.items()},
        "equal_accuracy": comparison.compare(curves, options.margin, leaky=profile.leaky(config)),
        "scales": net.scales,
        "seconds": {"twin": round(trained - began, 1), "rest": round(time.perf_counter() - trained, 1)},
    }
    run_folder.write_json(folder / "convert.json", summary)
    print(comparison.table(summary))
    print(f"wrote {folder / 'convert.json'}")
    return summary


def _run(
    name: str,
    run: tuple[models.Apply, Any, Any, int],
    test: training.Tested,
    config: Config,
    options: Options,
    module: models.Network,
) -> Streamed:
    apply, params, state, steps = run
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
            connections=models.connections(module),
            progress=bar.update,
        )


def _open(folder: Path, data_dir: str, cache_dir: str, progress: bool) -> Config:
    config = run_folder.read_config(folder)
    if not ENCODINGS[config.network.encoding].rates:
        raise ValueError(
            f"{config.network.encoding} input cannot be converted: it tells intensities by times, and IF neurons read "
            "rates"
        )
    if config.network.votes:
        raise ValueError(f"output neurons that fire (votes={config.network.votes}) cannot be converted: no ReLU votes")
    if config.data.folds > 1:
        raise ValueError(f"{folder} is a cross-validation, whose test set is left alone: give a run with seeds")
    return opened(config, data_dir=data_dir, cache_dir=cache_dir).replace(progress=progress)


def main() -> None:
    """Parses flags, converts, compares, draws."""
    define_run_flags()
    flags.DEFINE_boolean("figures", True, "Draw figures (needs the extra 'viz').")
    for f in dataclasses.fields(Options):
        define_flag(f, f.default, f.metadata["help"])

    def run() -> None:
        given = flags.FLAGS
        values: dict[str, Any] = {f.name: given[f.name].value for f in dataclasses.fields(Options)}
        options = Options(**values)
        with run_folder.looking(given.run, figures=given.figures) as folder:
            summary = convert(folder, options, data_dir=given.data_dir, cache_dir=given.cache_dir)
            if given.figures:
                for figure in comparison.draw(folder, summary):
                    print(f"wrote {figure}")

    command(run)
