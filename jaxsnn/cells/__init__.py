"""Neuron models: one per file, each a pair of pure functions `init` and `step` over NamedTuples, and a record of them.

`functools.partial(lif.step, lif.LIFParams(leak=0.9))` is a `lax.scan` body: `(state, current) -> (state, spikes)`.
`check_cell` verifies the contract of a cell of your own. A cell in the table `CELLS` can be used by its name.
"""

from jaxsnn.cells import integrate_and_fire, leaky_integrator, lif
from jaxsnn.cells.cell import POSITIVE, REAL, UNIT, Bound, Cell
from jaxsnn.cells.conformance import check_cell

CELLS: dict[str, Cell] = {
    "lif": lif.CELL,
    "integrate_and_fire": integrate_and_fire.CELL,
    "leaky_integrator": leaky_integrator.CELL,
}

__all__ = [
    "CELLS",
    "POSITIVE",
    "REAL",
    "UNIT",
    "Bound",
    "Cell",
    "check_cell",
    "integrate_and_fire",
    "leaky_integrator",
    "lif",
]
