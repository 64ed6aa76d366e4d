"""Options: fields of frozen dataclasses that are flags too, with their help text, the values that they may have, and
what resumptions and sweeps may do with them. Flags, stored files and sweeps are checked here alike."""

import dataclasses
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_args, get_origin

import numpy as np

NOTHING: Any = object()
"""The absence of a value; None is a value."""
LARGEST = 2**31 - 1
"""The largest whole number: steps and seeds are 32-bit integers in the train step."""


@dataclass(frozen=True)
class Bound:
    """An interval of numbers. Numbers are finite, also as float32, in which the networks are computed."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = True
    open_high: bool = True

    @classmethod
    def of(cls, text: str) -> "Bound":
        """From the usual notation, e.g. `(0, 1]` or `[1, inf)`."""
        low, high = text[1:-1].split(",")
        return cls(float(low), float(high), text[0] == "(", text[-1] == ")")

    def __contains__(self, value: float) -> bool:
        if isinstance(value, int):
            return abs(value) <= LARGEST and self._holds(value)
        with np.errstate(over="ignore"):
            rounded = float(np.float32(value))
        return math.isfinite(rounded) and self._holds(value) and self._holds(rounded)

    def _holds(self, value: float) -> bool:
        above = self.low < value if self.open_low else self.low <= value
        return above and (value < self.high if self.open_high else value <= self.high)

    def __str__(self) -> str:
        """The words after the noun in messages: ` > 0`, ` in (0, 1]`; empty for any finite number."""
        if self.high < math.inf:
            return (
                f" in {'(' if self.open_low else '['}{self.low:.10g}, {self.high:.10g}{')' if self.open_high else ']'}"
            )
        return f" {'>' if self.open_low else '>='} {self.low:g}" if self.low > -math.inf else ""


class Option(NamedTuple):
    """The metadata of a field."""

    help: str
    choices: Collection[str] = ()
    """The values that a name may have, often the keys of a table, to which members can be added; none: any."""
    bound: Bound = Bound()
    """The range of a number, of every number of a list, and of the numbers in `layer:number`."""
    per_layer: bool = False
    """The entries are `layer:number`."""
    common: bool = False
    """Listed by --help; all others are by --helpfull."""
    analog: bool = False
    """Analog networks have it too: the ReLU twin of a run takes it over."""
    free: bool = False
    """May change between a run and its resumption: the numbers already computed do not depend on it."""
    per_process: bool = False
    """May differ between the processes of a run."""
    not_swept: str = ""
    """Why it cannot be swept."""
    single: bool = False
    """Has no meaning but in a run of its own: the command that sweeps refuses the flag."""
    traced: str = ""
    """In a sweep an array axis of one program: of the numbers that the step computes with (`step`), or of the first
    state (`state`). Every other field makes programs of its own."""
    off: Any = NOTHING
    """The value of a traced field that leaves its code out, and so makes another program."""


def option(default: Any, text: str, *, bound: str = "", **more: Any) -> Any:
    """A field with its help text; see `Option` for the rest. `bound` is an interval, e.g. `(0, 1]`."""
    metadata = Option(text, bound=Bound.of(bound) if bound else Bound(), **more)
    return field(default=default, metadata=metadata._asdict())


def check(options: Any) -> None:
    """Checks every field of a dataclass of options.

    Raises:
      ValueError: naming the field, its value and the allowed values.
    """
    for f in dataclasses.fields(options):
        value = getattr(options, f.name)
        if not _allowed(f, value):
            raise ValueError(f"{f.name} must be {describe(f)}, got {value!r}")


def check_used(options: Any, table: Mapping[str, Any], chosen: str) -> None:
    """Checks that no option belongs to another member of a table, whose members name theirs in `options`.

    Args:
      options: a dataclass of options, with one of the name `chosen`.
      table: the members by name.
      chosen: the option that holds the name of the member.

    Raises:
      ValueError: if an option of another member has not its default value.
    """
    name, defaults = getattr(options, chosen), {f.name: f.default for f in dataclasses.fields(options)}
    for member, record in table.items():
        for other in record.options:
            if other not in table[name].options and getattr(options, other) != defaults[other]:
                raise ValueError(f"{other} belongs to {chosen}={member}, got it with {chosen}={name}: leave it out")


def kind(f: dataclasses.Field) -> tuple[type, bool, bool]:
    """The type of a field's value or of its elements, whether it is a tuple of them, and whether it may be None."""
    if get_origin(f.type) is tuple:
        return get_args(f.type)[0], True, False
    some = [k for k in get_args(f.type) if k is not type(None)]
    return (some[0], False, True) if some else (f.type, False, False)  # type: ignore[return-value]


def describe(f: dataclasses.Field) -> str:
    """The values that a field may have, in words."""
    element, several, optional = kind(f)
    if f.metadata["per_layer"]:
        return f"a tuple of layer:number, e.g. conv1:0.9, each layer once, each a finite number{f.metadata['bound']}"
    if element is bool:
        return "True or False"
    if element is str:
        what = f"one of {', '.join(f.metadata['choices'])}" if f.metadata["choices"] else "a string"
    else:
        what = f"a {'whole' if element is int else 'finite'} number{f.metadata['bound']}"
    return f"a tuple, each {what}" if several else what + " or None" * optional


def _allowed(f: dataclasses.Field, value: Any) -> bool:
    element, several, optional = kind(f)
    if several:
        if not isinstance(value, tuple) or not all(_element_allowed(f, element, item) for item in value):
            return False
        return not f.metadata["per_layer"] or len(per_layer(value)) == len(value)
    return (optional and value is None) or _element_allowed(f, element, value)


def _element_allowed(f: dataclasses.Field, element: type, value: Any) -> bool:
    if element is bool:
        return isinstance(value, bool)
    if element is str:
        if f.metadata["per_layer"]:
            return isinstance(value, str) and _number(value) in f.metadata["bound"]
        return isinstance(value, str) and (not f.metadata["choices"] or value in f.metadata["choices"])
    kinds = int if element is int else int | float
    return isinstance(value, kinds) and not isinstance(value, bool) and value in f.metadata["bound"]


def _number(entry: str) -> float:
    layer, _, number = entry.partition(":")
    try:
        return float(number) if layer else math.nan
    except ValueError:
        return math.nan


def per_layer(entries: tuple[str, ...]) -> dict[str, float]:
    """`layer:number` as layer name to number."""
    return {layer: float(number) for layer, _, number in (entry.partition(":") for entry in entries)}
