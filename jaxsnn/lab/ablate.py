"""Ablations that the paper leaves open: each one command and one small table, mean and spread over seeds.

    python -m jaxsnn.lab.ablate --which=leak_correction|backward_leak|pool|dropout_mask [--preset=mnist --data_dir=...]

Every variant is trained with the same seeds (weights, order of samples, input spikes), and differences are taken seed
by seed. A field that a table varies over its rows is held fixed by giving its flag: `--time_steps=32`. Results are
appended to `ablate.jsonl` in the run folder as they come; with `--resume` finished networks are not trained again. The
table is printed as Markdown, and written to `ablate.json`.
"""

<<<<<<< HEAD
import contextlib
=======
import dataclasses
>>>>>>> h2
import functools
import itertools
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from jaxsnn import training
from jaxsnn.lab import fingerprints, run_folder
from jaxsnn.lab.build import Program, build
from jaxsnn.lab.command import Presets, command, define_flags, from_flags
from jaxsnn.lab.config import Config
from jaxsnn.lab.locks import hold
from jaxsnn.lab.run import keep_compiled, train
from jaxsnn.lab.splits import Sets, load_data, split


class Ablation(NamedTuple):
    """One question: the values of its rows, and the variants that are compared in each, the first the paper's."""

    question: str
    rows: dict[str, tuple[Any, ...]]
    """Field of the configuration to its values; the table has a row for each combination."""
    variants: dict[str, dict[str, Any]]
    """Name of the column to the fields that make it."""


ABLATIONS = {
    "leak_correction": Ablation(
        "the leak correction in the derivative (E8), or none (E12)",
        {"time_steps": (8, 32, 100), "leak": (0.5, 0.8, 0.95, 0.99, 1.0)},
        {"with": {"leak_correction": True}, "without": {"leak_correction": False}},
    ),
    "backward_leak": Ablation(
        "the leak straight through the backward pass (E9), or as it is (E12)",
        {"time_steps": (8, 32), "leak": (0.5, 0.8, 0.95, 0.99)},
        {
            "straight through": {"leak_backward": "straight_through"},
            "true": {"leak_backward": "true"},
            "true, no correction": {"leak_backward": "true", "leak_correction": False},
        },
    ),
    "pool": Ablation(
        "average pools with neurons (E3), or without",
        {"time_steps": (8, 32)},
        {"spiking": {"pool": "spiking"}, "average": {"pool": "average"}},
    ),
    "dropout_mask": Ablation(
        "one dropout mask for all time steps (E5), or a fresh one at every step",
        {"time_steps": (8, 32), "dropout": (0.2, 0.5)},
        {"fixed": {"dropout_mask": "fixed"}, "fresh": {"dropout_mask": "fresh"}},
    ),
}


def digits() -> Config:
    """A LeNet of half width on the embedded digits, the paper's rule, 6 epochs, three seeds."""
    return Config.of(
        dataset="digits",
        width=0.5,
        init_gain=2.0,  # with 1 most networks fall silent at leak 0.5 or T = 8
        epochs=6,
        batch_size=16,
        optimizer="adam",
        lr=0.002,
        schedule="cosine",
        weight_decay=0.0,
        shift=1,
        validation=100,
        evaluate_every=1000,  # the last epoch is always evaluated
        seeds=3,
        progress=False,
    )


def mnist() -> Config:
    """The same on 6,400 images of MNIST, tested on 2,000."""
    return digits().replace(dataset="mnist", gain=0.5, shift=0, limit=6400, limit_test=2000)


PRESETS: Presets = {"digits": digits, "mnist": mnist}


class Cell(NamedTuple):
    """One network to train."""

    row: dict[str, Any]
    variant: str
    config: Config
    one: run_folder.Run

    def key(self, which: str) -> dict[str, Any]:
        """What its result is found by."""
        return {
            "which": which,
            **self.row,
            "variant": self.variant,
            "epochs": self.config.training.epochs,
            "seed": self.one.seed,
        }


def cells(config: Config, which: str, fixed: Collection[str] = ()) -> Iterator[Cell]:
    """The networks of an ablation, row by row.

    Args:
      config: everything that the ablation does not vary.
      which: key of `ABLATIONS`.
      fixed: fields of the rows that keep the value of `config`.

    Raises:
      ValueError: for a value out of range.
    """
    ablation = ABLATIONS[which]
    values = [(config.flat()[name],) if name in fixed else given for name, given in ablation.rows.items()]
    for row in itertools.product(*values):
        fields = dict(zip(ablation.rows, row, strict=True))
        for (variant, changes), one in itertools.product(ablation.variants.items(), run_folder.runs(config)):
            yield Cell(fields, variant, config.replace(**fields, **changes), one)


@functools.lru_cache(maxsize=4)
def _prepared(config: Config, where: Path) -> tuple[Program, Sets]:
    data = load_data(config)
    fingerprints.remember(where, fingerprints.sums(data))
    return build(config, data), split(config, data)


def _shared(cell: Cell, config: Config) -> Config:
    """The configuration that the cells have in common which differ in leak alone: that of their program."""
    return cell.config.replace(leak=config.network.leak, resume=False)


def _with_leak(program: Program, leak: float) -> Program:
    """The same compiled functions, started with another leak: leaks are constants in the state."""

    def start(seed: int) -> training.TrainState:
        state = program.start(seed)
        model_state = jax.tree_util.tree_map_with_path(
            lambda path, value: jnp.full_like(value, leak) if path[-1].key == "leak" else value, state.model_state
        )
        return state._replace(model_state=model_state)

    return program._replace(start=start)


def ablate(config: Config, which: str, fixed: Collection[str] = ()) -> dict[str, Any]:
    """Trains what is not finished, prints the table; returns what `ablate.json` holds.

    Raises:
      ValueError, OSError: for arguments as in `cells`, or a run folder that cannot be used.
    """
    where = run_folder.choose(config, f"ablate_{which}")
    wanted = list(cells(config, which, fixed))
<<<<<<< HEAD
    prepared = _prepared(_shared(wanted[0], config))  # what cannot be built leaves no run folder behind
    with contextlib.ExitStack() as held:
        if config.run.resume:
=======
    with ExitStack() as held:
        if config.resume:
>>>>>>> h2
            held.enter_context(hold(where))
            fingerprints.check(where, prepared[2])
        return _ablate(run_folder.create(where, config, f"ablate_{which}", held), config, which, wanted)


def _ablate(where: Path, config: Config, which: str, wanted: list[Cell]) -> dict[str, Any]:
    results = training.MetricsFile(where / "ablate.jsonl")
    done = results.read() if config.run.resume else []
    results.rewind(len(done))  # a line cut short by a kill goes
    print(f"{which}: {len(wanted)} networks, run folder {where}")
    for number, cell in enumerate(wanted, 1):
        key = cell.key(which)
        if any(key.items() <= row.items() for row in done):
            continue
<<<<<<< HEAD
        program, sets, sums = _prepared(_shared(cell, config))
        fingerprints.remember(where, sums)
=======
        program, sets = _prepared(dataclasses.replace(cell.config, leak=config.leak, resume=False), where)
>>>>>>> h2
        place = where / "unfinished" / "_".join(map(str, key.values())).replace(" ", "-")
        place.parent.mkdir(exist_ok=True)
        result = train(
            cell.config.replace(resume=True), _with_leak(program, cell.config.network.leak), sets, cell.one, place
        )
        done.append({"kind": "network", "step": len(done) + 1, **key, **result})
        results.write(done[-1])
        shutil.rmtree(place)
        print(f"{number}/{len(wanted)} {named(key)}: {100 * result['test_accuracy']:.2f} %, {result['seconds']:.0f} s")
    summary = {"which": which, "question": ABLATIONS[which].question, **run_folder.environment()}
    summary["rows"] = summarise(wanted, which, done)
    run_folder.write_json(where / "ablate.json", summary)
    print(f"\n{summary['question']}: test accuracy after the last epoch, {config.run.seeds} seeds\n")
    print(table(summary["rows"]))
    return summary


def named(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items() if name not in ("which", "epochs"))


def summarise(wanted: list[Cell], which: str, done: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For every row: accuracies by variant and seed, and the differences to the first variant, seed by seed."""
    rows: list[dict[str, Any]] = []
    for cell in wanted:
        key = cell.key(which)
        found = next(row for row in done if key.items() <= row.items())
        if not rows or rows[-1]["row"] != cell.row:
            rows.append({"row": cell.row, "accuracy": {}, "difference": {}})
        rows[-1]["accuracy"].setdefault(cell.variant, []).append(found["test_accuracy"])
    for row in rows:
        (_, reference), *others = row["accuracy"].items()
        row["difference"] = {variant: list(np.subtract(values, reference)) for variant, values in others}
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: mean +- standard deviation over seeds, in per cent and in points."""
    first = next(iter(rows[0]["accuracy"]))
    heads = [*(name.replace("time_steps", "T") for name in rows[0]["row"]), *rows[0]["accuracy"]]
    heads += [f"{variant} - {first}" for variant in rows[0]["difference"]]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        numbers = [spread(v) for v in row["accuracy"].values()] + [spread(v, "+") for v in row["difference"].values()]
        lines.append(f"| {' | '.join([*map(str, row['row'].values()), *numbers])} |")
    return "\n".join(lines)


def spread(values: list[float], sign: str = "") -> str:
    text = f"{100 * np.mean(values):{sign}.2f}"
    return text if len(values) < 2 else f"{text} +- {100 * np.std(values, ddof=1):.2f}"


def main() -> None:
    """Parses flags and runs one ablation."""
    flags.DEFINE_enum("which", None, list(ABLATIONS), "The ablation.", required=True)
    define_flags(PRESETS)

    def run() -> None:
        config, which = from_flags(PRESETS), flags.FLAGS.which
        if config.run.compilation_cache:
            keep_compiled(config.run.compilation_cache)
        ablate(config, which, [name for name in ABLATIONS[which].rows if flags.FLAGS[name].value is not None])

    command(run, stopped="stopped; networks that ended have their rows: go on with --resume")


if __name__ == "__main__":
    main()
