"""Ablations that the paper leaves open: each one command and one small table, mean and spread over seeds.

    python -m jaxsnn.lab.ablate --which=leak_correction|backward_leak|pool|dropout_mask [--preset=mnist --data_dir=...]
    python -m jaxsnn.lab.ablate --which=time_constant --preset=plif_mnist|plif_cifar10 --data_dir=...

Every variant is trained with the same seeds (weights, order of samples, input spikes), and differences are taken seed
by seed. A field that a table varies over its rows is held fixed by giving its flag: `--time_steps=32`. Results are
appended to `ablate.jsonl` in the run folder as they come; with `--resume` finished networks are not trained again. The
table is printed as Markdown, and written to `ablate.json`.
"""

import contextlib
import functools
import itertools
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from absl import flags

from jaxsnn import training
from jaxsnn.lab import fingerprints, run_folder
from jaxsnn.lab.ablate import table
from jaxsnn.lab.ablate.questions import ABLATIONS, PRESETS
from jaxsnn.lab.build import Program, build
from jaxsnn.lab.command import command, define_flags, from_flags
from jaxsnn.lab.config import Config
from jaxsnn.lab.locks import hold
from jaxsnn.lab.run import keep_compiled, train
from jaxsnn.lab.splits import Sets, load_data, split


class Job(NamedTuple):
    """One network to train."""

    row: dict[str, Any]
    variant: str
    config: Config
    run: run_folder.Run

    def key(self, which: str) -> dict[str, Any]:
        """The fields by which its result is looked up."""
        return {
            "which": which,
            **self.row,
            "variant": self.variant,
            "epochs": self.config.training.epochs,
            "seed": self.run.seed,
        }


def jobs(config: Config, which: str, fixed: Collection[str] = ()) -> Iterator[Job]:
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
        for (variant, changes), run in itertools.product(ablation.variants.items(), run_folder.runs(config)):
            yield Job(fields, variant, config.replace(**fields, **changes), run)


@functools.lru_cache(maxsize=4)
def _prepared(config: Config) -> tuple[Program, Sets, fingerprints.Sums]:
    data = load_data(config)
    return build(config, data), split(config, data), fingerprints.sums(data)


def _shared(job: Job, config: Config) -> Config:
    """The configuration that the jobs have in common which differ in leak alone: that of their program."""
    if job.config.network.neuron != "lif" or job.config.network.learn:  # the leak may be trained, and is no constant
        return job.config.replace(resume=False)
    return job.config.replace(leak=config.network.leak, resume=False)


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
    """Trains the unfinished networks, prints the table; returns the content of `ablate.json`.

    Raises:
      ValueError, OSError: for arguments as in `jobs`, or a run folder that cannot be used.
    """
    folder = run_folder.choose(config, f"ablate_{which}")
    wanted = list(jobs(config, which, fixed))
    prepared = _prepared(_shared(wanted[0], config))  # a failed build leaves no run folder behind
    with contextlib.ExitStack() as held:
        if config.run.resume:
            held.enter_context(hold(folder))
            fingerprints.check(folder, prepared[2])
        remember = functools.partial(fingerprints.remember, data=prepared[2])
        created = run_folder.create(folder, config, f"ablate_{which}", held, remember)
        return _ablate(created, config, which, wanted)


def _ablate(folder: Path, config: Config, which: str, wanted: list[Job]) -> dict[str, Any]:
    results = training.MetricsFile(folder / "ablate.jsonl")
    done = results.read() if config.run.resume else []
    results.rewind(len(done))  # a line cut short by a kill goes
    print(f"{which}: {len(wanted)} networks, run folder {folder}")
    for number, job in enumerate(wanted, 1):
        key = job.key(which)
        if any(key.items() <= row.items() for row in done):
            continue
        program, sets, sums = _prepared(_shared(job, config))
        fingerprints.remember(folder, sums)
        place = folder / "unfinished" / "_".join(map(str, key.values())).replace(" ", "-")
        place.parent.mkdir(exist_ok=True)
        result = train(
            job.config.replace(resume=True), _with_leak(program, job.config.network.leak), sets, job.run, place
        )
        done.append({"kind": "network", "step": len(done) + 1, **key, **result})
        results.write(done[-1])
        shutil.rmtree(place)
        score = f"{100 * result['test_accuracy']:.2f} %, {result['seconds']:.0f} s"
        print(f"{number}/{len(wanted)} {table.named(key)}: {score}")
    summary = {"which": which, "question": ABLATIONS[which].question, **run_folder.environment()}
    summary["rows"] = table.summarise(wanted, which, done)
    run_folder.write_json(folder / "ablate.json", summary)
    print(f"\n{summary['question']}: test accuracy after the last epoch, {config.run.seeds} seeds\n")
    print(table.show(summary["rows"]))
    return summary


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
