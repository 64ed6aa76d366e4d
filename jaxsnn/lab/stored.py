"""Configurations in run folders: read from `config.json`, compared on resumption, opened on another machine."""

import dataclasses
import functools
import json
import sys
from pathlib import Path
from typing import Any

from jaxsnn.lab.config import FIELDS, GROUPS, Config
from jaxsnn.lab.groups import RunConfig
from jaxsnn.lab.options import kind


def parse(values: Any, folder: Path) -> Config:
    """The configuration that a run folder holds as JSON, a dictionary of groups.

    Args:
      values: the JSON.
      folder: where it lies, for messages.

    Raises:
      ValueError: if a field is missing, not known or has a value that is not allowed.
    """
    known = {f"{name}.{f.name}" for name, group in GROUPS.items() for f in dataclasses.fields(group)}
    for said, strange in (("unknown fields", _paths(values) - known), ("no fields", known - _paths(values))):
        if strange:
            some = ", ".join(sorted(strange)[:4]) + ", ..." * (len(strange) > 4)
            raise ValueError(f"{folder} has {said} {some}: it was written by another version; {_version(folder)}")
    try:
        groups = {
            name: group(**{f.name: _value(f, values[name][f.name]) for f in dataclasses.fields(group)})
            for name, group in GROUPS.items()
        }
        return Config(**groups)
    except ValueError as error:
        raise ValueError(f"the configuration in {folder} cannot be used: {error}") from error


def _paths(values: Any) -> set[str]:
    """The fields of a stored configuration as `group.field`, and the entries outside groups."""
    groups = values if isinstance(values, dict) else {}
    inside = {f"{name}.{field}" for name, group in groups.items() if isinstance(group, dict) for field in group}
    return inside | {name for name, group in groups.items() if not isinstance(group, dict)}


def _version(folder: Path) -> str:
    try:
        starts = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
        commit = (starts if isinstance(starts, dict) else starts[-1])["commit"]
    except (OSError, ValueError, LookupError, TypeError):
        return "its environment.json names no commit that reads it"
    return f"commit {commit} reads it, which its environment.json names"


def _value(f: dataclasses.Field, value: Any) -> Any:
    """JSON has lists and no tuples."""
    _, several, _ = kind(f)
    return tuple(value) if several and isinstance(value, list) else value


def changed(config: Config) -> dict[str, Any]:
    """The fields that decide what a trained network answers, where they differ from the defaults: see `unchanged`.

    Fields with their default are left out, so that a field that a later version adds breaks no file.
    """
    default = Config().flat()
    groups = (*(f.name for g in (config.data, config.network) for f in dataclasses.fields(g)), "loss", "seed")
    values = config.values(name for name in groups if not FIELDS[name].metadata["per_process"])
    return {name: value for name, value in values.items() if value != default[name]}


def unchanged(values: dict[str, Any], file: Path) -> Config:
    """The configuration of `changed`, read from JSON.

    Raises:
      ValueError: if a field is not known, or has a value that is not allowed.
    """
    try:
        if strange := values.keys() - FIELDS.keys():
            raise ValueError(f"there is no field {', '.join(sorted(strange))}")
        return Config.of(**{name: _value(FIELDS[name], value) for name, value in values.items()})
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file} needs another version of jaxsnn: {error}") from error


def check_resume(stored: Config, config: Config) -> None:
    """Compares the configuration of a run with the configuration that resumes it.

    Everything must be the same but the group `run` and the fields that are free (`Option.free`): they do not touch the
    numbers already computed, and those that come are the same, with other devices up to rounding.

    Raises:
      ValueError: naming the fields that differ and must not.
    """
    before, now = stored.flat(), config.flat()
    free = {f.name for f in dataclasses.fields(RunConfig)} | {n for n, f in FIELDS.items() if f.metadata["free"]}
    if not config.training.free_epochs:
        free.discard("epochs")
    changed = [
        f"  {name}: the run has {before[name]!r}, now {value!r}"
        for name, value in now.items()
        if name not in free and before[name] != value
    ]
    if changed:
        raise ValueError(
            "cannot resume with another configuration:\n"
            + "\n".join(changed)
            + "\nResume with the flags of the first run, "
            "or start a new one without --resume"
        )


def opened(config: Config, *, data_dir: str = "", cache_dir: str = "") -> Config:
    """The configuration of a run to look at its networks here: on one device, with the data where it is now.

    The run's own folders are not used: somebody else's run folder would choose the files that are read and written.
    One's own data has no other place: it is read where the run says, unless `data_dir` says another.

    Args:
      config: of the run, wherever it was made.
      data_dir, cache_dir: where the data is now; empty for the user's own folders.
    """
    here = {"data_dir": data_dir, "cache_dir": cache_dir}
    if config.data.data and data_dir:
        here = {"data": data_dir, "cache_dir": cache_dir}
    for name, value in config.values(here).items():
        if value and not here[name]:
            _note(f"note: the run used --{name}={value}, this is your own default: give the flag to use another")
    stream = "always" if config.run.stream == "always" else "auto"  # what had to fit there need not fit here
    return dataclasses.replace(config, run=RunConfig(seeds=config.run.seeds, stream=stream)).replace(**here)


@functools.cache
def _note(text: str) -> None:
    """Says it once."""
    print(text, file=sys.stderr)
