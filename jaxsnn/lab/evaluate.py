"""Evaluation of a trained network: accuracy at every time step and per class, confusion matrix; and, unless
`--noanalyse`, from the same pass, activity of its layers, operations, energy, early exit.

    python -m jaxsnn.lab.evaluate --run=runs/mnist_lenet_small [--data_dir=...] [--which=last] [--part=validation]
        [--precision=exact]

Needs the run folder (wherever it is now) and the data set; writes `evaluation.json` and figures into the folder.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from absl import flags

from jaxsnn import analysis, training
from jaxsnn.lab import fingerprints, profile, run_folder
from jaxsnn.lab.build import build, restore
from jaxsnn.lab.command import command, define_run_flags
from jaxsnn.lab.results import scores
from jaxsnn.lab.splits import load_data, split
from jaxsnn.lab.stored import opened
from jaxsnn.synapses import Precision


def evaluate(
    folder: Path,
    *,
    which: str,
    part: str,
    precision: str = "",
    data_dir: str = "",
    cache_dir: str = "",
    analyse: bool = True,
) -> dict[str, Any]:
    """Evaluates every network of a run folder, prints the result and writes `evaluation.json`; returns its content.

    Args:
      folder: the run folder.
      which: "selected", the epoch with the best validation accuracy, or "last".
      part: "test" or "validation".
      precision: of the synapses' products, "default" or "exact"; empty for the precision of the training, which gives
        its accuracies again.
      data_dir, cache_dir: where the data is now; empty for your own default.
      analyse: keep activity, operations, energy and early exit too (`jaxsnn.lab.profile`).

    Raises:
      ValueError, OSError: if the folder holds no run, or a damaged one, or the data cannot be loaded.
      CheckpointError: if a checkpoint is missing or damaged.
    """
    config = opened(run_folder.read_config(folder), data_dir=data_dir, cache_dir=cache_dir)
    config = config.replace(precision=precision or config.network.precision)
    data = load_data(config)
    fingerprints.check(folder, fingerprints.sums(data))
    program = build(config, data)
    measure = profile.make_profile(config, data) if analyse and config.network.spiking else None
    networks = []
    for run in run_folder.runs(config):
        rows = training.MetricsFile(folder / run.name / "metrics.jsonl").read()
        if not any("test_accuracy" in row for row in rows):
            print(f"{run.name}: no evaluated epoch yet, left out")
            continue
        step = scores(run, rows, 0.0)["selected_step"] if which == "selected" else None
        state = restore(program, run.seed, folder / run.name, step)
        samples = getattr(split(config, data, run.fold), part)
        observed = None if measure is None else profile.observe(measure, state, samples)
        result = program.evaluate(state, *samples) if observed is None else observed
        networks.append({"run": run.name, "step": int(state.step), **_numbers(result.accuracy, result.confusion)})
        _show(networks[-1], data.classes)
        if observed is not None:
            networks[-1]["analysis"] = profile.numbers(config, observed, state)
            profile.show(config, observed)
    if not networks:
        raise ValueError(f"{folder} has nothing to evaluate: no network finished an evaluated epoch")
    about = {"which": which, "part": part, "precision": config.network.precision, "classes": list(data.classes)}
    summary = {**about, **run_folder.environment(), "networks": networks}
    run_folder.write_json(folder / "evaluation.json", summary)
    print(f"wrote {folder / 'evaluation.json'}")
    return summary


def _numbers(accuracy: np.ndarray, confusion: np.ndarray) -> dict[str, Any]:
    per_class = analysis.accuracy_per_class(confusion)
    return profile.finite(
        {
            "accuracy": float(accuracy[-1]),
            "accuracy_at_step": [round(float(value), 6) for value in accuracy],
            "accuracy_per_class": [round(float(value), 6) for value in per_class],
            "confusion": confusion.tolist(),
        }
    )


def _show(numbers: dict[str, Any], classes: Sequence[str]) -> None:
    accuracy, confusion = numbers["accuracy_at_step"], numbers["confusion"]
    print(f"\n{numbers['run']}, after step {numbers['step']}: accuracy {100 * numbers['accuracy']:.2f} %")
    steps = len(accuracy)
    shown = sorted({max(1, round(steps * part / 8)) for part in range(1, 9)})
    print("time step   " + " ".join(f"{step:6d}" for step in shown))
    print("accuracy    " + " ".join(f"{100 * accuracy[step - 1]:6.2f}" for step in shown))
    print("confusion: rows are true classes, columns answers")
    width = max(4, len(str(np.max(confusion))) + 1)
    print("        " + "".join(f"{c:{width}d}" for c in range(len(confusion))) + "   correct")
    for c, answers in enumerate(confusion):
        row, part = "".join(f"{value:{width}d}" for value in answers), numbers["accuracy_per_class"][c]
        name = f"  {classes[c]}" if classes and classes[c] != str(c) else ""
        print(f"{c:7d} {row}   " + ("no sample" if part is None else f"{100 * part:6.2f} %") + name)


def draw(folder: Path, summary: dict[str, Any]) -> list[Path]:
    """Draws accuracy over time of every network and the confusion matrix over all of them; returns the files."""
    from jaxsnn import viz

    networks = summary["networks"]
    curves = {network["run"]: np.array(network["accuracy_at_step"]) for network in networks}
    confusion = np.sum([network["confusion"] for network in networks], 0)
    figures = {
        "accuracy_over_time.png": viz.accuracy_over_time(curves),
        "confusion.png": viz.confusion(confusion, names=summary["classes"]),
    }
    return [viz.save(figure, folder / name) for name, figure in figures.items()]


def main() -> None:
    """Parses flags, evaluates, draws."""
    define_run_flags()
    flags.DEFINE_enum(
        "which", "selected", ["selected", "last"], "Epoch with the best validation accuracy, or the last."
    )
    flags.DEFINE_enum("part", "test", ["test", "validation"], "Which samples.")
    flags.DEFINE_enum(
        "precision",
        "",
        ["", *get_args(Precision)],
        "Products of synapses: empty as in training; exact, to compare counts and energy with another tool's.",
    )
    flags.DEFINE_boolean("analyse", True, "Activity, operations, energy and early exit too.")
    flags.DEFINE_boolean("figures", True, "Draw figures (needs the extra 'viz').")

    def run() -> None:
        given = flags.FLAGS
        with run_folder.looking(given.run, figures=given.figures) as folder:
            summary = evaluate(
                folder,
                which=given.which,
                part=given.part,
                precision=given.precision,
                data_dir=given.data_dir,
                cache_dir=given.cache_dir,
                analyse=given.analyse,
            )
            if given.figures:
                for figure in draw(folder, summary):
                    print(f"wrote {figure}")

    command(run)


if __name__ == "__main__":
    main()
