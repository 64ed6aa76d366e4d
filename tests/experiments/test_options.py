"""One table of types and ranges: every field refuses what it cannot hold, by flags, stored files and sweeps alike."""

import dataclasses
import json
import math

import pytest

from jaxsnn.lab.config import GROUPS, Config
from jaxsnn.lab.convert.convert import Options
from jaxsnn.lab.options import Bound, describe, kind
from jaxsnn.lab.stored import parse

CLASSES = {**GROUPS, "convert": Options}
FIELDS = [(group, f) for group, options in CLASSES.items() for f in dataclasses.fields(options)]
field = pytest.mark.parametrize(("group", "f"), FIELDS, ids=lambda x: x if isinstance(x, str) else x.name)
OTHERS = [None, True, 1, 1.5, "x", "1", b"1", [], [1.5], {}, (1,), ("x",), (True,), (None,), 1j]
NUMBERS = [math.nan, math.inf, -math.inf, 1e39, -1e39, 10**400]


def outside(bound: Bound):
    """Numbers just outside an interval, and beyond all of them."""
    low = [bound.low] * bound.open_low + [math.nextafter(bound.low, -math.inf), bound.low - 1]
    high = [bound.high] * bound.open_high + [math.nextafter(bound.high, math.inf), bound.high + 1]
    return [*(low if bound.low > -math.inf else []), *(high if bound.high < math.inf else []), *NUMBERS]


def has_type(value, element) -> bool:
    kinds = {bool: bool, int: int, float: int | float, str: str}[element]
    return isinstance(value, kinds) and (element is bool or not isinstance(value, bool))


def refused(f):
    """Values of wrong types, and numbers and names that are not allowed."""
    element, several, optional = kind(f)
    bound, choices = f.metadata["bound"], f.metadata["choices"]
    wrong = [value for value in OTHERS if not has_type(value, element)]
    if element is int:
        wrong += [n for n in (2**31, -(2**31), 10**400, *(int(n) for n in outside(bound)[:-6])) if n not in bound]
        wrong += [float(bound.low) if math.isfinite(bound.low) else 1.0]
    elif element is float:
        wrong += outside(bound)
    elif f.metadata["per_layer"]:
        wrong = [f"conv1:{n}" for n in outside(bound)[:-1]] + ["conv1", "conv1:", ":1", "conv1:a", "conv1=1", ""]
    elif choices:
        wrong += [value for value in ("", "magic", max(choices).upper()) if value not in choices]
    if several:
        valid = () if element is str else (1,)
        twice = [("conv1:0.5", "conv1:0.6")] if f.metadata["per_layer"] else []
        return [(*valid, value) for value in wrong] + twice + [None, 1, "1", 1.5, True, {}, list(valid)]
    return [value for value in wrong if not (optional and value is None)]


@field
def test_what_a_field_cannot_hold_is_refused(group, f):
    for value in refused(f):
        with pytest.raises(ValueError, match="must be") as error:
            CLASSES[group](**{f.name: value})
        assert str(error.value) == f"{f.name} must be {describe(f)}, got {value!r}"


def accepted(f):
    element, several, optional = kind(f)
    bound = f.metadata["bound"]
    numbers = [] if bound.open_low else [element(bound.low)]
    numbers += [] if bound.open_high else [element(bound.high)]
    values = numbers if element in (int, float) else [True, False] if element is bool else [*f.metadata["choices"]]
    return [f.default, *([(), tuple(values)] if several else values), *[None] * optional]


@field
def test_ends_of_ranges_and_all_names_are_accepted(group, f):
    for value in accepted(f):
        said = ""
        try:
            CLASSES[group](**{f.name: value})
        except ValueError as error:
            said = str(error)
        assert "must be" not in said  # at most that fields do not go together
        assert not said or group in ("network", "training", "data")


@field
def test_a_stored_configuration_is_checked_alike(group, f, tmp_path):
    if group == "convert":
        return
    stored = json.loads(json.dumps(dataclasses.asdict(Config())))
    for value in refused(f):
        if isinstance(value, bytes | complex) or (isinstance(value, tuple) and any(map(is_alien, value))):
            continue
        there = json.loads(json.dumps(value))
        several = kind(f)[1]
        if several and isinstance(value, list):
            continue  # how JSON writes a tuple
        with pytest.raises(ValueError, match=f"cannot be used: {f.name} must be "):
            parse(stored | {group: stored[group] | {f.name: there}}, tmp_path)


def is_alien(value) -> bool:
    return isinstance(value, bytes | complex)


@pytest.mark.parametrize(
    ("text", "inside", "out"),
    [
        ("(0, 1]", (1e-30, 0.5, 1, 1.0), (0, 0.0, -1, 1.0000001, 1e-60, math.nan)),
        ("[0, 1)", (0, 0.5, 1 - 1e-7), (1, 1 - 1e-9, -1e-30)),  # as float32 that is 1
        ("[1, inf)", (1, 2**31 - 1, 1e38), (0, 2**31, math.inf, 4e38)),
    ],
)
def test_bounds(text, inside, out):
    bound = Bound.of(text)
    assert all(value in bound for value in inside)
    assert not any(value in bound for value in out)
