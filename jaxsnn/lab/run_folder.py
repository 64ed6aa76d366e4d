"""Run folders: where a run lives, what it was, and how an earlier one is found again.

runs/<preset>/            config.json, environment.json, results.json, figures
runs/<preset>/seed<n>/    metrics.jsonl, checkpoints/ (fold<n>/ in cross-validation)
"""

import dataclasses
import importlib.metadata
import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxsnn.lab import stored
from jaxsnn.lab.config import Config

RUNS = Path("runs")


class Run(NamedTuple):
    """One training of an experiment."""

    name: str
    """Of its folder."""
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
        configuration) and it is on.
    """
    path = _find(config, name)
    if config.run.resume:
        stored.check_resume(read_config(path), config)
    elif (path / "config.json").exists():
        raise ValueError(f"{path} already holds a run: add --resume to go on with it, or choose another --run_dir")
    return path


def create(path: Path, config: Config) -> None:
    """Makes the folder and writes what the run is and where it runs.

    Raises:
      OSError: if the folder cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        write_json(path / "config.json", dataclasses.asdict(config))
        write_json(path / "environment.json", environment())
    except OSError as error:
        raise OSError(f"cannot write the run folder {path} ({error}): choose another with --run_dir") from error


def _find(config: Config, name: str) -> Path:
    if config.run.run_dir:
        path = Path(config.run.run_dir)
        if config.run.resume and not (path / "config.json").exists():
            raise ValueError(f"nothing to resume: {path} holds no run (no config.json)")
        return path
    numbers = [1] + [int(n) for p in RUNS.glob(f"{name}-*") if (n := p.name.removeprefix(f"{name}-")).isdigit()]
    exists = (RUNS / name / "config.json").exists() or len(numbers) > 1
    if config.run.resume:
        if not exists:
            raise ValueError(
                f"nothing to resume: no run of {name} below {RUNS}/; give --run_dir, or leave --resume out"
            )
        return _numbered(name, max(numbers))
    return _numbered(name, max(numbers) + 1 if exists else 1)


def _numbered(name: str, number: int) -> Path:
    return RUNS / (name if number == 1 else f"{name}-{number}")


def environment() -> dict[str, Any]:
    """Device, versions, commit, date and command: what a number must be stated with."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
    return {
        "command": "python -m " + " ".join([_program(), *sys.argv[1:]]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown",
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind} ({jax.default_backend()})",
        "python": platform.python_version(),
        "versions": {package: importlib.metadata.version(package) for package in packages},
    }


def _program() -> str:
    """The module that `python -m` runs, as it is named on the command line."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return Path(sys.argv[0]).stem if spec is None else spec.name.removesuffix(".__main__")


def write_text(path: Path, text: str) -> None:
    """Writes the file whole or not at all."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Writes the file whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object of a run folder.

    Raises:
      ValueError: if the file is damaged.
    """
    try:
        value = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}): the run folder cannot be used") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} is damaged (no JSON object): the run folder cannot be used")
    return value


def read_config(where: Path) -> Config:
    """The configuration of the run in a folder.

    Raises:
      ValueError: if the folder holds no run, a damaged one, or one of another version.
    """
    if not (where / "config.json").exists():
        raise ValueError(f"{where} holds no run (no config.json): give the folder that the training printed")
    return stored.parse(read_json(where / "config.json"), where)
