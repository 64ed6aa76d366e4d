"""The plan of a sweep: from `--sweep=lr=log:1e-3:1e-1:8` to configurations, their programs, and a worker's share."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from jaxsnn.lab.config import FIELDS, PARAMS, Config
from jaxsnn.lab.groups import RunConfig
from jaxsnn.lab.options import NOTHING, kind

_LIST = "its values are lists, and the comma separates values here: make it a preset, or one sweep for each"

MOST = 100_000
"""Networks of a sweep, and values of an axis."""

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
    if not equals or not name or not values:
        raise ValueError(
            "--sweep takes field=values, e.g. --sweep=lr=log:1e-3:1e-1:8, lr=lin:0.1:0.5:5 or leak=0.9,0.99, "
            f"got {text!r}"
        )
    cell = name.startswith(PARAMS)  # one parameter of a cell
    if name not in FIELDS and not cell:
        raise ValueError(f"--sweep={text}: there is no field {name!r}; known are {', '.join(sorted(FIELDS))}")
    element, several, _ = (float, False, False) if cell else kind(FIELDS[name])
    if reason := "" if cell else FIELDS[name].metadata["not_swept"] or (_LIST if several else ""):
        raise ValueError(f"--sweep={text}: {name} cannot be swept: {reason}")
    if values.startswith(("log:", "lin:")):
        points = _spaced(text, values, element)
    else:
        points = tuple(_value(text, value, element) for value in values.split(","))
    if len(set(points)) < len(points):
        raise ValueError(f"--sweep={text}: a value comes twice, it would be trained twice")
    return Axis(name, points)


def _spaced(text: str, values: str, element: type) -> tuple[Any, ...]:
    how, *numbers = values.split(":")
    try:
        first, last, count = float(numbers[0]), float(numbers[1]), int(numbers[2])
    except (ValueError, IndexError) as error:
        raise ValueError(f"--sweep={text}: {how} takes first:last:number, e.g. {how}:0.001:0.1:8") from error
    finite = math.isfinite(first) and math.isfinite(last)
    if len(numbers) > 3 or not 2 <= count <= MOST or not finite or element not in (float, int):
        raise ValueError(
            f"--sweep={text}: {how} takes first:last:number with two finite ends and a number of values from 2 to "
            f"{MOST:,}, for a field that is a number"
        )
    if how == "log" and min(first, last) <= 0:
        raise ValueError(f"--sweep={text}: log needs ends above 0; use lin:{':'.join(numbers)}")
    space = np.geomspace(first, last, count) if how == "log" else np.linspace(first, last, count)
    if element is float:
        return tuple(float(f"{value:.6g}") for value in space)
    if how == "lin" and any(value != round(value) for value in space):
        raise ValueError(f"--sweep={text}: the values would not all be whole: {', '.join(f'{v:g}' for v in space)}")
    return tuple(round(value) for value in space)


def _value(text: str, value: str, element: type) -> Any:
    if element is bool and value.lower() in ("true", "false"):
        return value.lower() == "true"
    try:
        parsed = element(value) if element is not bool and value else None
    except ValueError:
        parsed = None
    if parsed is None or (element is float and not math.isfinite(parsed)):
        what = {int: "whole numbers", float: "finite numbers", bool: "true or false"}.get(element, "names")
        raise ValueError(f"--sweep={text}: {value!r} is not a value for this field, which takes {what}")
    return parsed


def members(config: Config, axes: Sequence[Axis]) -> list[Config]:
    """The grid: one configuration per network, seeds fastest, checked.

    Raises:
      ValueError: if a field comes twice, or a combination is out of range, saying which.
    """
    names = [axis.name for axis in axes]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"--sweep names {', '.join(sorted(twice))} more than once: join the values into one list")
    if config.data.folds > 1:
        raise ValueError(f"folds={config.data.folds}: a sweep compares over seeds; give --seeds instead")
    if config.run.multihost:
        raise ValueError(
            "multihost is for one large network; several processes share a sweep by --worker=1/8, 2/8, ..."
        )
    count = math.prod(len(axis.values) for axis in axes) * config.run.seeds
    if count > MOST:
        raise ValueError(f"--sweep asks for {count:,} networks, the most are {MOST:,}: give fewer values or seeds")
    base = dataclasses.replace(config, run=RunConfig(progress=config.run.progress, stream=config.run.stream))
    grid = []
    for values in itertools.product(*(axis.values for axis in axes)):
        changes = dict(zip(names, values, strict=True))
        try:
            member = base.replace(**changes)
        except ValueError as error:
            shown = ", ".join(f"{name}={value}" for name, value in changes.items())
            raise ValueError(f"--sweep, at {shown or 'the preset'}: {error}") from error
        grid += [member.replace(seed=config.training.seed + number) for number in range(config.run.seeds)]
    return grid


def program(config: Config) -> dict[str, Any]:
    """The fields that members of one program share: those that are no array axes, and whether each array axis is on.

    Whether there is dropout or a slope at all changes the program.
    """
    shared = {}
    for name, value in config.flat().items():
        metadata = FIELDS[name].metadata
        if not metadata["traced"]:
            shared[name] = value
        elif metadata["off"] is not NOTHING:
            shared[name] = "off" if value == metadata["off"] else "on"
    return shared


def programs(configs: Sequence[Config]) -> list[list[Config]]:
    """The members of every program, in the order in which they came."""
    groups: dict[tuple[Any, ...], list[Config]] = {}
    for config in configs:
        groups.setdefault(tuple(program(config).values()), []).append(config)
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
