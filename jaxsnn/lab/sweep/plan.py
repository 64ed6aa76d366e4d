"""What a sweep trains: from `--sweep=lr=log:1e-3:1e-1:8` to configurations, their programs, and a worker's share."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar, get_args, get_origin

import numpy as np

from jaxsnn.lab.build import HParams, make_neuron
from jaxsnn.lab.config import ONE_DEVICE, Config

STATE = ("leak", "threshold", "pool_threshold", "init_gain", "dropout", "seed")
"""Fields that only the first state of a network holds (its weights and constants)."""
TOGETHER = (*HParams._fields, *STATE)
"""Fields that are array axes of one program. Every other field that can be swept makes programs of its own."""

_WHERE = "it says where files are, not what is trained"
_SHOWN = "it changes what is shown or kept of a run, not what is trained"
_LIST = "its values are lists, and the comma separates values here: make it a preset, or one sweep for each"
NOT_SWEPT = {
    "seed": "seeds are an axis of every sweep: give --seeds=5, and --seed for the first",
    "seeds": "seeds are an axis of every sweep: give --seeds=5",
    "folds": "a sweep compares on the validation and test set, over seeds",
    "data_parallel": "the networks of a sweep are divided among --data_parallel devices, each is trained on one",
    "multihost": "several processes share a sweep by --worker",
    "steps_per_dispatch": "it changes how fast the steps are dispatched, not what is trained",
    **dict.fromkeys(("data_dir", "cache_dir", "run_dir", "compilation_cache"), _WHERE),
    **dict.fromkeys(("resume", "progress", "activity", "figures", "log_every", "checkpoint_every"), _SHOWN),
}
"""Why a field cannot be swept."""

Item = TypeVar("Item")


class Axis(NamedTuple):
    """The values of one field."""

    name: str
    values: tuple[Any, ...]


def parse(text: str) -> Axis:
    """`lr=log:1e-3:1e-1:8`, `leak=lin:0.5:1:6` or `time_steps=4,8,16`: a field and its values, in that order.

    Raises:
      ValueError: if it is not of this form, there is no such field, it cannot be swept, or a value comes twice.
    """
    name, equals, values = text.partition("=")
    known = {f.name: f.type for f in dataclasses.fields(Config)}
    if not equals or not name or not values:
        raise ValueError(
            "--sweep takes field=values, e.g. --sweep=lr=log:1e-3:1e-1:8, lr=lin:0.1:0.5:5 or leak=0.9,0.99, "
            f"got {text!r}"
        )
    if name not in known:
        raise ValueError(f"--sweep={text}: there is no field {name!r}; known are {', '.join(sorted(known))}")
    kind: Any = known[name]
    if reason := NOT_SWEPT.get(name) or (_LIST if get_origin(kind) is tuple else None):
        raise ValueError(f"--sweep={text}: {name} cannot be swept: {reason}")
    kind = next((k for k in get_args(kind) if k is not type(None)), kind)
    if values.startswith(("log:", "lin:")):
        found = _spaced(text, values, kind)
    else:
        found = tuple(_value(text, value, kind) for value in values.split(","))
    if len(set(found)) < len(found):
        raise ValueError(f"--sweep={text}: a value comes twice, it would be trained twice")
    return Axis(name, found)


def _spaced(text: str, values: str, kind: type) -> tuple[Any, ...]:
    how, *numbers = values.split(":")
    try:
        first, last, count = float(numbers[0]), float(numbers[1]), int(numbers[2])
    except (ValueError, IndexError) as error:
        raise ValueError(f"--sweep={text}: {how} takes first:last:number, e.g. {how}:0.001:0.1:8") from error
    if len(numbers) > 3 or count < 2 or not math.isfinite(first) or not math.isfinite(last) or kind not in (float, int):
        raise ValueError(
            f"--sweep={text}: {how} takes first:last:number with two finite ends and a number of values >= 2, "
            "for a field that is a number"
        )
    if how == "log" and min(first, last) <= 0:
        raise ValueError(f"--sweep={text}: log needs ends above 0; use lin:{':'.join(numbers)}")
    space = np.geomspace(first, last, count) if how == "log" else np.linspace(first, last, count)
    if kind is float:
        return tuple(float(f"{value:.6g}") for value in space)
    if how == "lin" and any(value != round(value) for value in space):
        raise ValueError(f"--sweep={text}: the values would not all be whole: {', '.join(f'{v:g}' for v in space)}")
    return tuple(round(value) for value in space)


def _value(text: str, value: str, kind: type) -> Any:
    if kind is bool and value.lower() in ("true", "false"):
        return value.lower() == "true"
    try:
        found = kind(value) if kind is not bool and value else None
    except ValueError:
        found = None
    if found is None or (kind is float and not math.isfinite(found)):
        what = {int: "whole numbers", float: "finite numbers", bool: "true or false"}.get(kind, "names")
        raise ValueError(f"--sweep={text}: {value!r} is not a value for this field, which takes {what}")
    return found


def members(config: Config, axes: Sequence[Axis]) -> list[Config]:
    """The grid: one configuration per network, seeds fastest, checked.

    Raises:
      ValueError: if a field comes twice, or a combination is out of range, saying which.
    """
    names = [axis.name for axis in axes]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"--sweep names {', '.join(sorted(twice))} more than once: join the values into one list")
    if config.folds > 1:
        raise ValueError(f"folds={config.folds}: a sweep compares over seeds; give --seeds instead")
    if config.multihost:
        raise ValueError(
            "multihost is for one large network; several processes share a sweep by --worker=1/8, 2/8, ..."
        )
    base = dataclasses.replace(config, **ONE_DEVICE, seeds=1, run_dir="", resume=False)
    found = []
    for values in itertools.product(*(axis.values for axis in axes)):
        changes = dict(zip(names, values, strict=True))
        try:
            one = dataclasses.replace(base, **changes)
            _check(one)
        except ValueError as error:
            shown = ", ".join(f"{name}={value}" for name, value in changes.items())
            raise ValueError(f"--sweep, at {shown or 'the preset'}: {error}") from error
        found += [dataclasses.replace(one, seed=config.seed + number) for number in range(config.seeds)]
    return found


def _check(config: Config) -> None:
    """Raises ValueError for numbers that would be found out of range only when a network is built."""
    make_neuron(config)
    ranges = {
        "dropout": (0 <= config.dropout < 1, "in [0, 1)"),
        "weight_decay": (config.weight_decay >= 0, ">= 0"),
        "init_gain": (config.init_gain > 0, "> 0"),
        "gain": (config.gain > 0, "> 0"),
        "width": (config.width > 0, "> 0"),
    }
    for name, (inside, wanted) in ranges.items():
        if not inside:
            raise ValueError(f"{name} must be {wanted}, got {getattr(config, name)}")


def program(config: Config) -> Config:
    """What members of one program share: the configuration without the numbers that are array axes.

    Whether there is dropout or a slope at all changes the program, so that stays.
    """
    default = Config()
    kept = {"dropout": 0.5 if config.dropout else 0.0, "slope": None if config.slope is None else 1.0}
    return dataclasses.replace(config, **{name: getattr(default, name) for name in TOGETHER} | kept)


def programs(configs: Sequence[Config]) -> list[list[Config]]:
    """The members of every program, in the order in which they came."""
    groups: dict[Config, list[Config]] = {}
    for config in configs:
        groups.setdefault(program(config), []).append(config)
    return list(groups.values())


def parse_worker(text: str) -> tuple[int, int] | None:
    """`2/8`, the second of eight workers; empty: None.

    Raises:
      ValueError: for anything else.
    """
    if not text:
        return None
    number, slash, count = text.partition("/")
    if not slash or not number.isdecimal() or not count.isdecimal() or not 1 <= int(number) <= int(count):
        raise ValueError(f"--worker takes i/n with i from 1 to n, e.g. --worker=3/8, got {text!r}")
    return int(number), int(count)


def share(items: Sequence[Item], worker: tuple[int, int] | None) -> Sequence[Item]:
    """A worker's part: every n-th item, so that expensive settings are spread; all without workers."""
    return items if worker is None else items[worker[0] - 1 :: worker[1]]
