"""How long is a train step of each recipe, and an epoch? Does every recipe run at all on this device?

    python -m benchmarks.presets                                           # a step of every preset
    python -m benchmarks.presets --presets=cifar10_fast --epochs=3         # epochs, on random samples
    python -m benchmarks.presets --presets=cifar10_fast --epochs=3 --data_dir=FOLDER
    python -m benchmarks.presets --presets=cifar10_vgg9 --run_dir=RUN --minutes=10 --data_dir=FOLDER

A step: forward, backward, optimiser, augmentation and encoding, at the preset's size, on random samples of the data
set's shape (no data is needed); of a preset with `short_epochs` a step of the later, longer ones. Median of the steps
after two untimed ones, compiling apart. Epochs: a training run of `--epochs` epochs (with `short_epochs` as many short
ones before), the median of their seconds and of those of the evaluation on the test set. With `--run_dir` the preset is
trained as it is until its end or for `--minutes`, and goes on at the next call.

Prints each row, and appends it, as soon as it is there, to <results>/<device>/presets.jsonl. A preset that fails leaves
a row that says why, and the others go on.
"""

import argparse
import json
import os
import signal
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import experiments
from benchmarks import common, train_step
from jaxsnn import training
from jaxsnn.data import Dataset, Split, cifar10_dvs, dvs128gesture, nmnist, spoken
from jaxsnn.data.arrays import OWN
from jaxsnn.data.events import Binning
from jaxsnn.data.formats import hdf5
from jaxsnn.data.generators import GENERATORS
from jaxsnn.encoding import ENCODINGS
from jaxsnn.lab import run
from jaxsnn.lab.build import build
from jaxsnn.lab.config import Config
from jaxsnn.lab.splits import load_data, split
from jaxsnn.training.dispatch import compile_steps

IMAGES = {
    **dict.fromkeys(("mnist", "fashion_mnist", OWN), (28, 28, 1)),
    **dict.fromkeys(("cifar10", "svhn_cropped"), (32, 32, 3)),
    "digits": (16, 16, 1),
}
"""Data set to the shape of an image; each has ten classes."""
SENSORS: dict[str, tuple[tuple[int, int], int]] = {
    **{name: (made.size, made.num_classes) for name, made in GENERATORS.items()},
    **{name: ((1, hdf5.CHANNELS), words.classes) for name, words in spoken.SETS.items()},
    "nmnist": (nmnist.SENSOR, nmnist.CLASSES),
    "dvs128gesture": (dvs128gesture.SENSOR, dvs128gesture.CLASSES),
    "cifar10_dvs": (cifar10_dvs.SENSOR, len(cifar10_dvs.NAMES)),
}
"""Data set of events to height and width of its sensor (1 and the channels of a cochlea), and the number of classes."""


def made_up(config: Config, samples: int = 24) -> Dataset:
    """Random samples with the shape of the data set; those of the test are those of the training.

    Raises:
      ValueError: if the shape of the data set is not known here.
    """
    name, rng = config.data.dataset, np.random.default_rng(0)
    if name not in IMAGES.keys() | SENSORS.keys():
        raise ValueError(f"the shape of the data set {name!r} is not known: add it to IMAGES or SENSORS in {__name__}")
    size, classes = SENSORS.get(name, ((0, 0), 10))
    shape: tuple[int, ...] = IMAGES.get(name, ())
    if not shape:
        binning = Binning.of(config.network.time_steps, **config.data.event_options(""))
        shape = spoken.raster_shape(binning, size[1]) if size[0] == 1 else binning.shape(size)
    x = rng.integers(0, 256, (samples, *shape), np.uint8)
    x = (x > 200).astype(np.uint8) if ENCODINGS[config.network.encoding].frames else x
    part = Split(x, np.arange(samples, dtype=np.int32) % classes)
    return Dataset(name, part, part, classes)


def shrunk(config: Config, **changes: Any) -> Config:
    """The same recipe, narrow, with two time steps at most and batches of two, for a look whether it runs."""
    small = {"width": 1 / 32, "batch_size": 2, "validation": 4, "limit": 0, "evaluation_batch": 8}
    return config.replace(time_steps=min(2, config.network.time_steps), **small, **changes)


def step_of(config: Config, repeats: int) -> dict[str, Any]:
    """Times train steps of a recipe on random samples, after two untimed ones."""
    batch = config.training.batch_size
    config = config.replace(validation=batch, limit=0, short_epochs=0)
    data = made_up(config, 3 * batch)
    program, sets = build(config, data), split(config, data)
    order = training.epoch_order(0, 0, len(sets.fitting.labels))
    state = program.start(config.training.seed)
    dispatch, costs = compile_steps(program.step, state, *sets.fitting, order, several=False)
    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        state = jax.block_until_ready(dispatch(state, *sets.fitting, order, 1))
        times.append(1e3 * (time.perf_counter() - began))
    if int(state.totals.bad_step) >= 0:
        raise ArithmeticError(f"loss or gradient became NaN or infinite at step {int(state.totals.bad_step)}")
    seen = {"trace_s": costs.trace_seconds, "compile_s": costs.compile_seconds, "temporary_mb": costs.temporary_mb}
    return common.summary(times[2:]) | seen | train_step.peaks_mb()


def epochs_of(config: Config, epochs: int, samples: int) -> dict[str, Any]:
    """Times epochs of a recipe, on its data where there is `data_dir`, else on random samples."""
    short = epochs if config.training.short_epochs else 0
    config = config.replace(short_epochs=short, epochs=short + epochs, warmup_epochs=0.0)
    data = load_data(config) if config.data.data_dir else made_up(config, samples)
    program, sets, metrics = build(config, data), split(config, data), training.MetricsList()
    training.fit(
        program.start(config.training.seed),
        program.step,
        sets.fitting,
        batch_size=config.training.batch_size,
        epochs=config.training.epochs,
        evaluate=lambda state: {"test_accuracy": float(program.evaluate(state, *sets.test).accuracy[-1])},
        metrics=metrics,
        log_every=config.training.log_every,
        steps_per_dispatch=config.training.steps_per_dispatch,
        progress=False,
    )
    return _of_epochs(metrics.rows, short) | train_step.peaks_mb()


def _of_epochs(rows: Sequence[dict[str, Any]], short: int = 0) -> dict[str, Any]:
    """What the rows of a run say: medians over its epochs, the first `short` of them apart; the last accuracies.

    The first evaluation compiles, and is left out where there are others.
    """
    parts = [row for row in rows if row["kind"] == "train" and row["epoch"] > short]
    found = [row for row in rows if row["kind"] == "epoch"]
    *_, start = (row for row in rows if row["kind"] == training.metrics.START)
    results: dict[str, Any] = {"trace_s": start["trace_seconds"], "compile_s": start["compile_seconds"]}
    if parts or found:
        results["images_per_s"] = round(statistics.median(row["images_per_second"] for row in parts or found))
    for name, some in (("short_epoch_s", found[:short]), ("epoch_s", found[short:])):
        if some:
            results[name] = round(statistics.median(row["seconds"] for row in some), 3)
    if found:
        results["n"] = len(found) - short
        results["evaluation_s"] = round(statistics.median(row["evaluation_seconds"] for row in found[1:] or found), 3)
        results["epochs"] = found[-1]["epoch"]
        results |= {name: value for name, value in found[-1].items() if name.endswith("_accuracy")}
    return results | ({"steps": rows[-1]["step"]} if rows else {})


def train(config: Config, name: str, minutes: float, samples: int) -> dict[str, Any]:
    """Trains a preset as it is, from its last checkpoint if there is one, for some minutes or to its end."""
    folder = Path(config.run.run_dir)
    if not config.data.data_dir:
        folder.parent.mkdir(parents=True, exist_ok=True)
        path, (x, y) = folder.with_name(f"{folder.name}.npz"), made_up(config, samples).train
        np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
        config = config.replace(dataset=OWN, data=str(path))
    alarm = threading.Timer(60 * minutes, os.kill, (os.getpid(), signal.SIGTERM))
    alarm.daemon = True
    alarm.start()
    try:
        run.run(config.replace(resume=(folder / "config.json").exists()), name)
    except training.Interrupted as stopped:  # by the alarm, or by whoever started this; the state is saved
        print(stopped)
    finally:
        alarm.cancel()
    rows = training.MetricsFile(folder / f"seed{config.training.seed}" / "metrics.jsonl").read()
    return _of_epochs(rows) | train_step.peaks_mb()


def measure(name: str, flags: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options and results of one preset."""
    config = experiments.presets()[name]()
    config = shrunk(config) if flags.toy else config
    options: dict[str, Any] = {"batch": config.training.batch_size, "time_steps": config.network.time_steps}
    if flags.toy:
        options["toy"] = True
    if not flags.run_dir and not flags.epochs:
        return {"what": "step"} | options, step_of(config, flags.repeats)
    config = config.replace(data_dir=flags.data_dir, cache_dir=flags.cache_dir)
    options["data"] = config.data.dataset if flags.data_dir else "random"
    options["steps_per_dispatch"] = flags.steps_per_dispatch
    config = config.replace(steps_per_dispatch=flags.steps_per_dispatch)
    if flags.epochs:
        return {"what": "epochs"} | options, epochs_of(config, flags.epochs, flags.samples)
    config = config.replace(run_dir=flags.run_dir, checkpoint_every=500, figures=False, progress=False)
    return {"what": "training"} | options, train(config, name, flags.minutes, flags.samples)


def main() -> None:
    """Measures, prints, and appends to the results, preset by preset."""
    presets = experiments.presets()
    parser = common.parser(__doc__)
    parser.add_argument("--presets", default=",".join(presets), help="which, separated by commas; all of them")
    parser.add_argument("--repeats", type=int, default=5, help="timed steps, after two untimed ones")
    parser.add_argument("--epochs", type=int, default=0, help="timed epochs instead of steps")
    parser.add_argument("--samples", type=int, default=50000, help="random training samples, where there is no data")
    parser.add_argument("--run_dir", default="", help="train one preset in this folder, or go on with it")
    parser.add_argument("--minutes", type=float, default=10, help="for so long")
    parser.add_argument("--steps_per_dispatch", type=int, default=1, help="steps that the device does at once")
    parser.add_argument("--data_dir", default="", help="folder of prepared data sets; empty: random samples")
    parser.add_argument("--cache_dir", default="", help="folder of decoded data sets; empty for the user's")
    parser.add_argument("--toy", action="store_true", help="every preset narrow and short: does it run?")
    flags = parser.parse_args()
    names = flags.presets.split(",")
    if strange := [name for name in names if name not in presets]:
        parser.error(f"there is no preset {strange[0]!r}, expected some of {', '.join(presets)}")
    if flags.run_dir and len(names) > 1:
        parser.error(f"--run_dir is the folder of one run: give one preset with it, got {', '.join(names)}")
    for name in names:
        options: dict[str, Any] = {}
        try:
            options, results = measure(name, flags)
        except Exception as error:
            first = str(error).strip().splitlines()[:1]
            results = {"failed": " ".join([f"{type(error).__name__}:", *first])[:300]}
        row = common.row("presets", name, "jaxsnn", options, results)
        print(json.dumps(row), flush=True)
        if flags.write:
            common.append([row], flags.results)
        jax.clear_caches()


if __name__ == "__main__":
    main()
