"""jaxsnn: spiking neural networks in JAX, as pure functions.

This package's top level is the pure core (jax, numpy): neuron cells, surrogate gradients, the time loop, the rule of
Lee et al. (2020), encodings and losses. Packages with more dependencies are imported by name: `jaxsnn.layers` and
`jaxsnn.models` (flax), `jaxsnn.data` (tensorflow-datasets), `jaxsnn.training` (optax, orbax), `jaxsnn.viz`
(matplotlib).
"""

from jaxsnn import startup as _startup

if _startup.is_command(("jaxsnn.lab", "experiments")):
    _startup.tune_malloc()
    _startup.begin()  # before anything that takes time to import

from jaxsnn import cells, encoding, losses, spikebp, surrogate, synapses
from jaxsnn.cells import integrate_and_fire, leaky_integrator, lif
from jaxsnn.surrogate import SURROGATES
from jaxsnn.unroll import Unrolled, unroll

__version__ = "0.1.0"

__all__ = [
    "SURROGATES",
    "Unrolled",
    "cells",
    "encoding",
    "integrate_and_fire",
    "leaky_integrator",
    "lif",
    "losses",
    "spikebp",
    "surrogate",
    "synapses",
    "unroll",
]
