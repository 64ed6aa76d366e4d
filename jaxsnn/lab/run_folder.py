"""Run folders: the place and the configuration of a run, and the search for an earlier run.

runs/<preset>/            config.json, environment.json, data.json, results.json, figures
runs/<preset>/seed<n>/    metrics.jsonl, checkpoints/ (fold<n>/ in cross-validation)
"""

import dataclasses
import glob
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from jaxsnn import files
from jaxsnn.lab import stored
from jaxsnn.lab.config import Config
from jaxsnn.lab.environment import check_figures, environment
from jaxsnn.lab.locks import LOOKING, hold

RUNS = Path("runs")


class Run(NamedTuple):
    """One training of an experiment."""

    name: str
    """Name of its folder."""
    seed: int
    fold: int | None
    """Which part of the training set it is tested on, from 0; None: on the test set."""


def runs(config: Config) -> list[Run]:
    """The trainings of an experiment: one per seed, or one per fold."""
    if config.data.folds > 1:
        return [Run(f"fold{fold + 1}", config.training.seed, fold) for fold in range(config.data.folds)]
    return [
        Run(f"seed{seed}", seed, None) for seed in range(config.training.seed, config.training.seed + config.run.seeds)
    ]


def choose(config: Config, name: str) -> Path:
    """The folder of a new run, or of the run to resume, checked; nothing is written.

    Raises:
      ValueError: if the folder already holds a run and `resume` is off, or holds none (or one of another
        configuration) and it is on; or if it is on no disk of this machine.
    """
    path = _find(config, name)
    if config.run.resume:
        stored.check_resume(read_config(path), config)
    else:
        _check_new(path)
    return path


def _check_new(path: Path) -> None:
    if (path / "config.json").exists():
        raise ValueError(f"{path} already holds a run: add --resume to go on with it, or choose another --run_dir")


def create(
    path: Path, config: Config, name: str, held: ExitStack, also: Callable[[Path], None] = lambda path: None
) -> Path:
    """Makes the folder, holds it, and writes the configuration and the environment.

    Args:
      path: from `choose`; if another process has made it since, the next number is taken.
      config: of the run.
      name: as for `choose`.
      held: the stack that holds the folder until the end of the run.
      also: writes into it what else belongs to its start.

    Returns:
      The folder.

    Raises:
      OSError: if the folder cannot be written; nothing is left behind then.
      ValueError: if another process is writing there, or has made a run of it.
    """

    def fill(path: Path) -> None:
        if not config.run.resume:
            _check_new(path)
        write_json(path / "config.json", dataclasses.asdict(config))
        add_environment(path)
        also(path)

    return make(path, fill, held, name="" if config.run.run_dir or config.run.resume else name)


def make(path: Path, fill: Callable[[Path], None], held: ExitStack, *, name: str = "") -> Path:
    """Makes a folder if need be, holds it and fills it; leaves no folder or file behind if it could not fill it.

    Args:
      path: the folder.
      fill: writes into it.
      held: the stack that holds it.
      name: of a numbered folder, which must be a new one: the next number is taken until it is; none for `path` alone.

    Returns:
      The folder.

    Raises:
      OSError: if it cannot be written.
      ValueError: if another process holds it.
    """
    made: list[Path] = []
    before: set[Path] | None = None
    try:
        if name:
            path = _claim(path, name)
            made = [path]
        else:
            made = [folder for folder in (path, *path.parents) if not folder.exists()]
            path.mkdir(parents=True, exist_ok=True)
        held.enter_context(hold(path))
        before = set(path.iterdir())
        fill(path)
    except OSError as error:
        if before is not None:
            for written in {file for file in path.iterdir() if file.is_file()} - before:
                written.unlink()
        held.close()
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(
            error.errno, f"cannot write the run folder {path} ({reason}): choose another with --run_dir"
        ) from error
    return path


def _claim(path: Path, name: str) -> Path:
    """Makes a new numbered folder: of several processes that start at once, each gets one of its own."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.mkdir()
            return path
        except FileExistsError:
            path = _numbered(name, max(_numbers(name)) + 1)


def _find(config: Config, name: str) -> Path:
    if config.run.run_dir:
        path = files.local(config.run.run_dir)
        if config.run.resume and not (path / "config.json").exists():
            raise ValueError(f"nothing to resume: {path} holds no run (no config.json)")
        return path
    numbers = _numbers(name)
    if not config.run.resume:
        return files.local(_numbered(name, max(numbers, default=0) + 1))
    runs = [number for number in numbers if (_numbered(name, number) / "config.json").exists()]
    if not runs:
        raise ValueError(f"nothing to resume: no run of {name} below {RUNS}/; give --run_dir, or leave --resume out")
    return _numbered(name, max(runs))


def _numbers(name: str) -> list[int]:
    """Numbers of the folders of that name that are there."""
    first = [1] if (RUNS / name).exists() else []
    there = (path.name.removeprefix(f"{name}-") for path in RUNS.glob(f"{glob.escape(name)}-*"))
    return first + [int(number) for number in there if number.isdecimal() and int(number) > 1]


def _numbered(name: str, number: int) -> Path:
    return RUNS / (name if number == 1 else f"{name}-{number}")


def add_environment(path: Path) -> None:
    """Adds this start to the `environment.json` of a folder, which has one entry per start.

    Raises:
      ValueError: if the file is damaged.
    """
    write_json(path / "environment.json", [*environments(path), environment()])


def environments(path: Path) -> list[dict[str, Any]]:
    """Where and how a run was started, one entry per start; none if there is no file.

    Raises:
      ValueError: if the file is damaged.
    """
    file = path / "environment.json"
    if not file.exists():
        return []
    value = _read(file)
    entries = [value] if isinstance(value, dict) else value  # once it was the last start alone
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{file} is damaged (no list of JSON objects): move it away")
    return entries


def write_json(path: Path, value: Any) -> None:
    """Writes the file whole or not at all."""
    files.write_whole(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object of a run folder.

    Raises:
      ValueError: if the file is damaged.
    """
    value = _read(path)
    if not isinstance(value, dict):
        raise ValueError(f"{path} is damaged (no JSON object): the run folder cannot be used")
    return value


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}): the run folder cannot be used") from error


@contextmanager
def looking(run: str, *, figures: bool = True) -> Iterator[Path]:
    """Holds the folder of a run for a command that reads it and writes its results there, and checks both.

    Raises:
      ValueError: if it is no run's, or another process holds it.
      OSError: if it cannot be written.
      ImportError: if there are to be figures, and matplotlib is missing.
    """
    folder = files.local(run)
    read_config(folder)
    if figures:
        check_figures()
    with hold(folder, LOOKING):
        yield folder


def read_config(folder: Path) -> Config:
    """The configuration of the run in a folder.

    Raises:
      ValueError: if the folder holds no run, a damaged one, or one of another version.
    """
    if not (files.local(folder) / "config.json").exists():
        raise ValueError(f"{folder} holds no run (no config.json): give the folder that the training printed")
    return stored.parse(read_json(folder / "config.json"), folder)
