"""The recorded cases of other libraries (`benchmarks/peers/vectors`)."""

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

LIBRARIES = ("spikingjelly", "snntorch", "norse", "spyx")


class Recorded(NamedTuple):
    """One case; arrays that all cases of the library share are among `arrays`."""

    library: str
    kind: str
    name: str
    arguments: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def __str__(self) -> str:
        arguments = ",".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.library}-{self.name}-{arguments}"


@cache
def of_library(library: str) -> tuple[Recorded, ...]:
    with np.load(Path(__file__).with_name(f"{library}.npz")) as stored:
        arrays = dict(stored)
    cases = json.loads(str(arrays.pop("cases")))
    shared = {label: array for label, array in arrays.items() if "." not in label}

    def own(number: int) -> dict[str, np.ndarray]:
        return {label.partition(".")[2]: array for label, array in arrays.items() if label.startswith(f"{number}.")}

    return tuple(Recorded(library, *case, shared | own(number)) for number, case in enumerate(cases))


def cases(kind: str) -> list[Recorded]:
    return [case for library in LIBRARIES for case in of_library(library) if case.kind == kind]
