"""Sweeps: a grid of configurations and seeds of any preset, as populations trained by few programs.

    python -m jaxsnn.lab.sweep --preset=digits --sweep=lr=log:1e-3:1e-1:8 --sweep=leak=0.9,0.99 --seeds=4

Writes `results.jsonl` and `results.csv` (a row per network, as programs end), `summary.json` and a figure into
`--run_dir`. `--resume` goes on with the missing networks; `--worker=2/8` does the second of eight parts, in a folder
of its own below `--run_dir`, and `--merge` joins them.
"""

import dataclasses
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from jax.sharding import Mesh

from jaxsnn import files, parallel
from jaxsnn.lab import fingerprints
from jaxsnn.lab.command import Presets, command, define_flags, from_flags
from jaxsnn.lab.config import FIELDS, Config
from jaxsnn.lab.devices import naming
from jaxsnn.lab.environment import check_figures, environment
from jaxsnn.lab.locks import hold
from jaxsnn.lab.run import keep_compiled
from jaxsnn.lab.run_folder import RUNS, add_environment, make, read_json, write_json
from jaxsnn.lab.stored import check_resume, parse
from jaxsnn.lab.sweep import plan, populations, table


def sweep(
    config: Config, name: str, texts: Sequence[str], *, worker: tuple[int, int] | None = None, members: int = 0
) -> list[table.Row]:
    """Trains every network of a sweep that has no row yet; returns the summary.

    Args:
      config: the fields that are not swept.
      name: of its preset.
      texts: `field=values`, as `plan.parse`.
      worker: which part to do.
      members: most networks of one program; 0 for as many as fit into memory.

    Raises:
      ValueError, OSError: if the sweep cannot be planned, built or written; nothing has been written then.
    """
    if members < 0:
        raise ValueError(f"--members must be >= 0 (0: as many as fit into memory), got {members}")
    if not texts:
        raise ValueError("nothing is swept: give --sweep=field=values, e.g. --sweep=lr=log:1e-3:1e-1:8")
    axes = [plan.parse(text) for text in texts]
    networks = plan.members(config, axes)
    with naming("data_parallel"):
        mesh = parallel.population_mesh(config.run.data_parallel)
    folder = _folder(config, name, worker)
    if config.run.figures:
        check_figures()
    with ExitStack() as held:
        if config.run.resume and folder.is_dir():
            held.enter_context(hold(folder))
        return _sweep(config, name, axes, networks, mesh, folder, worker, members, held)


def _sweep(
    config: Config,
    name: str,
    axes: list[plan.Axis],
    networks: list[Config],
    mesh: Mesh,
    folder: Path,
    worker: tuple[int, int] | None,
    members: int,
    held: ExitStack,
) -> list[table.Row]:
    facts = {
        "preset": name,
        "axes": [[axis.name, list(axis.values)] for axis in axes],
        "seeds": config.run.seeds,
        "workers": worker and worker[1],
        "config": json.loads(json.dumps(dataclasses.asdict(config))),
    }
    rows = _earlier(folder, config, facts)
    names = [axis.name for axis in axes]
    done = {table.key(row, names) for row in rows}
    part = [net for net in plan.share(networks, worker) if table.key(net.values([*names, "seed"]), names) not in done]
    groups = plan.programs(part)
    sums: fingerprints.Sums = {}
    for group in groups:
        sums |= populations.check(group[0])
    fingerprints.check(folder, sums)
    if config.run.compilation_cache:
        keep_compiled(config.run.compilation_cache)
    _create(folder, facts, rows, held, sums, new=not config.run.resume)
    print(f"{name}: {len(part)} networks to train ({len(rows)} are there), programs: {len(groups)}, folder {folder}")
    for number, group in enumerate(groups, 1):
        for result in populations.train(group, mesh, most=members, progress=config.run.progress):
            rows += populations.rows_of(result, names)
            table.write(folder, rows)
            print(
                f"program {number} of {len(groups)}: {len(result.configs)} networks, {_differs(group[0], config)}"
                f"{result.trained.seconds:.0f} s ({result.costs})",
                flush=True,
            )
    return _finish(folder, config, facts, rows, axes)


def _differs(config: Config, base: Config) -> str:
    """The fields that make this program another one than that of the preset."""
    other = plan.program(base)
    swept = {name: value for name, value in plan.program(config).items() if not FIELDS[name].metadata["not_swept"]}
    return "".join(f"{name}={value}, " for name, value in swept.items() if value != other[name])


def _folder(config: Config, name: str, worker: tuple[int, int] | None) -> Path:
    if worker is None:
        return files.local(config.run.run_dir) if config.run.run_dir else RUNS / f"sweep_{name}"
    if not config.run.run_dir:
        raise ValueError("--worker needs --run_dir: a folder that all workers share, or to which theirs are copied")
    return files.local(config.run.run_dir) / f"worker{worker[0]}of{worker[1]}"


def _earlier(folder: Path, config: Config, facts: dict[str, Any]) -> list[table.Row]:
    """The rows of a sweep to resume, checked; none for a new one."""
    there = (folder / table.PLAN).exists()
    if not config.run.resume:
        if there:
            raise ValueError(
                f"{folder} already holds a sweep: add --resume to go on with it, or give another --run_dir"
            )
        return []
    if not there:
        raise ValueError(f"nothing to resume: {folder} holds no sweep (no {table.PLAN})")
    stored = read_json(folder / table.PLAN)
    before = parse(stored.get("config"), folder)
    check_resume(before, config)
    for name in ("preset", "axes", "seeds", "workers"):
        if stored[name] != facts[name]:
            raise ValueError(f"cannot resume: {name} of the sweep is {stored[name]}, now {facts[name]}")
    if before.training.epochs != config.training.epochs:
        raise ValueError(
            f"cannot resume: epochs of the sweep is {before.training.epochs}, now {config.training.epochs}"
        )
    return table.read(folder)


def _create(
    folder: Path, facts: dict[str, Any], rows: list[table.Row], held: ExitStack, sums: fingerprints.Sums, *, new: bool
) -> None:
    def fill(folder: Path) -> None:
        if new and (folder / table.PLAN).exists():
            raise ValueError(f"{folder} already holds a sweep, which another process began just now")
        write_json(folder / table.PLAN, facts)
        add_environment(folder)
        table.write(folder, rows)
        fingerprints.remember(folder, sums)

    make(folder, fill, held)


def _finish(
    folder: Path, config: Config, facts: dict[str, Any], rows: list[table.Row], axes: Sequence[plan.Axis]
) -> list[table.Row]:
    summary = table.summarise(rows, axes)
    print(f"\n{facts['preset']}: {len(rows)} networks; mean +- standard deviation over seeds")
    print(table.show(summary, axes))
    write_json(folder / "summary.json", {**environment(), "axes": facts["axes"], "settings": summary})
    if config.run.figures:
        _draw(folder, summary, axes)
    return summary


def _draw(folder: Path, summary: list[table.Row], axes: Sequence[plan.Axis]) -> None:
    """A heat map of two swept fields, a line of one; nothing for other numbers of fields."""
    if len(axes) not in (1, 2) or not summary:
        return
    from jaxsnn import viz

    label = f"test accuracy [%], last epoch, {max(row['seeds'] for row in summary)} seeds"
    mean, spread = np.full((2, *(len(axis.values) for axis in axes)), np.nan)
    for row in summary:
        place = tuple(axis.values.index(row[axis.name]) for axis in axes)
        for array, name in ((mean, "test_accuracy"), (spread, "test_accuracy_std")):
            array[place] = np.nan if row[name] is None else 100 * row[name]
    first = axes[0]
    if len(axes) == 1:
        spread = np.nan_to_num(spread)
        figure = viz.mean_and_spread(mean, spread, settings=first.values, setting_label=first.name, label=label)
    else:
        second = axes[1]
        figure = viz.heat_map(
            mean,
            rows=first.values,
            columns=second.values,
            row_label=first.name,
            column_label=second.name,
            label=label,
            form="{:.1f}",
            spread=None if np.isnan(spread).all() else spread,
        )
    print(f"wrote {viz.save(figure, folder / 'sweep.png')}")


def merge(config: Config) -> list[table.Row]:
    """Joins the tables of all workers below `run_dir`; returns the summary.

    Raises:
      ValueError: as `table.merge`.
    """
    folder = files.local(config.run.run_dir)
    rows, facts = table.merge(folder)
    axes = [plan.Axis(name, tuple(values)) for name, values in facts["axes"]]
    missing = int(np.prod([len(axis.values) for axis in axes])) * facts["seeds"] - len(rows)
    if missing:
        print(f"{missing} networks have no row yet", file=sys.stderr)
    with ExitStack() as held:
        _create(folder, facts, rows, held, {}, new=False)
        return _finish(folder, config, facts, rows, axes)


def check_given(names: Sequence[str]) -> None:
    """Raises ValueError for fields that were given and that a sweep does not look at."""
    if single := [f"--{name}" for name in names if FIELDS[name].metadata["single"]]:
        raise ValueError(f"{' and '.join(single)} only for single runs: a sweep keeps one row for each network")


def main(presets: Presets) -> None:
    """Parses flags and sweeps; errors of use end with a message, not a traceback."""
    options: dict[str, Any] = {"module_name": sys.argv[0]}
    flags.DEFINE_multi_string(
        "sweep", [], "field=values, once per field: lr=log:1e-3:1e-1:8, lr=lin:0.1:0.5:5, leak=0.9,0.99.", **options
    )
    flags.DEFINE_string("worker", "", "i/n: do the i-th of n parts, in a folder of its own below --run_dir.", **options)
    flags.DEFINE_boolean("merge", False, "Join the tables of the workers below --run_dir; train nothing.", **options)
    flags.DEFINE_integer("members", 0, "Most networks of one program; 0 for as many as fit into memory.", **options)
    define_flags(presets)

    def run() -> None:
        given, config = flags.FLAGS, from_flags(presets)
        check_given([name for name in FIELDS if given[name].value is not None])
        if given.merge:
            merge(config)
        else:
            worker = plan.parse_worker(given.worker)
            sweep(config, given.preset, given.sweep, worker=worker, members=given.members)

    command(run, stopped="stopped; what ended has its rows: go on with --resume")
