"""Neuron models: one per file, each a pair of pure functions `init` and `step` over NamedTuples.

`functools.partial(lif.step, lif.LIFParams(leak=0.9))` is a `lax.scan` body: `(state, current) -> (state, spikes)`.
"""

from jaxsnn.cells import integrate_and_fire, leaky_integrator, lif

CELLS = {"lif": lif, "integrate_and_fire": integrate_and_fire, "leaky_integrator": leaky_integrator}

__all__ = ["CELLS", "integrate_and_fire", "leaky_integrator", "lif"]
