"""Neuron models: one per file, each a pair of pure functions `init` and `step` over NamedTuples.

`functools.partial(lif.step, lif.LIFParams(leak=0.9))` is a `lax.scan` body: `(state, current) -> (state, spikes)`.
`check_cell` says whether a cell of your own keeps the contract.
"""

from jaxsnn.cells import integrate_and_fire, leaky_integrator, lif
from jaxsnn.cells.conformance import check_cell

CELLS = {"lif": lif, "integrate_and_fire": integrate_and_fire, "leaky_integrator": leaky_integrator}

__all__ = ["CELLS", "check_cell", "integrate_and_fire", "leaky_integrator", "lif"]
