"""Neuron models: one per file, each a pair of pure functions `init` and `step` over NamedTuples, and a record of them.

`functools.partial(lif.step, lif.LIFParams(leak=0.9))` is a `lax.scan` body: `(state, current) -> (state, spikes)`.
`check_cell` verifies the contract of a cell of your own. A cell in the table `CELLS` can be used by its name.
"""

from jaxsnn.cells import (
    adlif,
    alif,
    clif,
    glif,
    integrate_and_fire,
    izhikevich,
    klif,
    leaky_integrator,
    lif,
    plif,
    resonate_and_fire,
    synaptic,
)
from jaxsnn.cells.cell import POSITIVE, REAL, TIME_CONSTANT, UNIT, Bound, Cell, interval
from jaxsnn.cells.conformance import check_cell

CELLS: dict[str, Cell] = {
    "lif": lif.CELL,
    "plif": plif.CELL,
    "synaptic": synaptic.CELL,
    "alif": alif.CELL,
    "adlif": adlif.CELL,
    "klif": klif.CELL,
    "glif": glif.CELL,
    "clif": clif.CELL,
    "izhikevich": izhikevich.CELL,
    "resonate_and_fire": resonate_and_fire.CELL,
    "integrate_and_fire": integrate_and_fire.CELL,
    "leaky_integrator": leaky_integrator.CELL,
}

__all__ = [
    "CELLS",
    "POSITIVE",
    "REAL",
    "TIME_CONSTANT",
    "UNIT",
    "Bound",
    "Cell",
    "adlif",
    "alif",
    "check_cell",
    "clif",
    "glif",
    "integrate_and_fire",
    "interval",
    "izhikevich",
    "klif",
    "leaky_integrator",
    "lif",
    "plif",
    "resonate_and_fire",
    "synaptic",
]
