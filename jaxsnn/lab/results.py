"""The end of a run: scores per seed, a table, `results.json`, figures."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxsnn import parallel, training
from jaxsnn.data import Dataset
from jaxsnn.encoding import ENCODINGS
from jaxsnn.lab.build import Program, restore
from jaxsnn.lab.config import Config
from jaxsnn.lab.inputs import make_prepare
from jaxsnn.lab.run_folder import Run, environment, runs, write_json
from jaxsnn.training.metrics import START
from jaxsnn.training.state import LOOK


def spent(rows: list[dict[str, Any]]) -> float:
    """Seconds that the parts of a run took whose rows these are: compiling, training, evaluating."""
    total = unfinished = 0.0
    for row in rows:
        if row["kind"] == "train":  # counts only where a stop left the epoch without a row of its own
            unfinished += row["seconds"]
            continue
        total += unfinished if row["kind"] == START else row["seconds"]
        total += sum(row.get(name, 0.0) for name in ("trace_seconds", "compile_seconds", "evaluation_seconds"))
        unfinished = 0.0
    return total + unfinished


def scores(run: Run, rows: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Test accuracy of the last epoch, and of the epoch with the largest validation accuracy (the latest, if tied)."""
    evaluated = [row for row in rows if "test_accuracy" in row]
    last = evaluated[-1]
    chosen = max(evaluated, key=lambda row: (row["validation_accuracy"], row["epoch"]))
    return {
        "run": run.name,
        "seed": run.seed,
        "epoch": last["epoch"],
        "test_accuracy": last["test_accuracy"],
        "validation_accuracy": last["validation_accuracy"],
        "selected_epoch": chosen["epoch"],
        "selected_step": chosen["step"],
        "selected_test_accuracy": chosen["test_accuracy"],
        "seconds": round(seconds, 1),
    }


def restored(
    program: Program, run: Run, folder: Path, which: str = "selected"
) -> tuple[training.TrainState, dict[str, Any]]:
    """A trained network of a run folder, and its `scores`.

    Args:
      program: of the run.
      run: the network in the folder.
      folder: the run folder.
      which: "selected", the epoch with the best validation accuracy, or "last".

    Raises:
      ValueError: if it finished no evaluated epoch.
      CheckpointError: if a checkpoint is missing or damaged.
    """
    rows = training.MetricsFile(folder / run.name / "metrics.jsonl").read()
    if not any("test_accuracy" in row for row in rows):
        raise ValueError(f"{folder / run.name} has no evaluated epoch yet: let the training go on with --resume")
    found = scores(run, rows, 0.0)
    return restore(program, run.seed, folder / run.name, found["selected_step"] if which == "selected" else None), found


def write(
    folder: Path, name: str, config: Config, results: list[dict[str, Any]], description: str = ""
) -> dict[str, Any]:
    """Prints the table and writes `results.json`; returns its content. `description` says how the samples were made."""
    summary: dict[str, Any] = {"preset": name, **environment(), "runs": results}
    network, data = config.network, config.data.dataset
    if description:
        summary["data"] = data = f"{data} ({description})"
    print(f"\n{name}: {network.model} on {data}, {network.rule}, T = {network.time_steps}")
    print("  run  epochs  test, last epoch  test, epoch chosen on validation    time")
    for r in results:
        chosen = f"{100 * r['selected_test_accuracy']:.2f} % (epoch {r['selected_epoch']})"
        print(f"{r['run']:>5}{r['epoch']:8d}{100 * r['test_accuracy']:16.2f} %{chosen:>34}{r['seconds']:7.0f} s")
    for key in ("test_accuracy", "selected_test_accuracy"):
        values = np.array([r[key] for r in results])
        summary[key] = {"mean": values.mean(), "std": values.std(ddof=1) if len(values) > 1 else None, "n": len(values)}
    if len(results) > 1:
        last, chosen = (
            f"{100 * summary[key]['mean']:.2f} +- {100 * summary[key]['std']:.2f} %"
            for key in ("test_accuracy", "selected_test_accuracy")
        )
        what = f"{len(results)} folds of the training set" if config.data.folds > 1 else f"{len(results)} seeds"
        print(f"test accuracy over {what}, mean +- std: {last}; chosen on validation: {chosen}")
    write_json(folder / "results.json", summary)
    return summary


def draw(folder: Path, config: Config, data: Dataset, program: Program) -> list[Path]:
    """Draws the training curves of all seeds and a raster of one test sample; returns the files.

    Raises:
      ImportError: if matplotlib is missing, saying how to install it.
    """
    from jaxsnn import viz

    rows = {run.name: training.MetricsFile(folder / run.name / "metrics.jsonl").read() for run in runs(config)}
    first = runs(config)[0]
    state = parallel.local(restore(program, first.seed, folder / first.name))
    if not parallel.is_first():
        return []
    image = data.test.samples[:1]
    spikes = make_prepare(config)(training.key_for(first.seed, LOOK), jax.device_put(image))
    output, _ = program.apply(*state.weights, spikes, train=False, record=True)
    trains = {name: np.asarray(train[:, 0]) for name, train in output.spikes.items()}
    potentials = np.asarray(output.potentials[:, 0])
    picture = image[0].sum(0) if ENCODINGS[config.network.encoding].frames else image[0]  # where events were
    figures = {
        "training_curve.png": viz.training_curve(rows),
        "raster.png": viz.raster(
            trains,
            potentials,
            image=picture,
            label=int(data.test.labels[0]),
            answer=int(output.logits[0].argmax()),
            names=data.classes,
        ),
    }
    return [viz.save(figure, folder / name) for name, figure in figures.items()]
