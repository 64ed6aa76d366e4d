"""spyx: neurons with an arctan, and surrogates."""

from collections.abc import Iterator

import numpy as np

from benchmarks.peers.vectors.case import BATCH, Case, Members, currents, points, recurrent_weights
from benchmarks.peers.vectors.case import NEURONS as COUNT

NEURONS: Members = [
    ("IF", {}),
    ("LIF", {"beta": 0.8}),
    ("ALIF", {"beta": 0.8, "gamma": 0.7}),
    ("CuBaLIF", {"alpha": 0.6, "beta": 0.5}),
    ("RLIF", {"beta": 0.8}),
    ("ResonateFire", {"lambda_init": 0.2, "omega_init": 1.1}),
]
SURROGATES: Members = [
    ("tanh", {"k": 1.2}),
    ("boxcar", {"width": 2.1, "height": 0.5}),
    ("triangular", {"k": 2.0}),
    ("arctan", {"k": 2.0}),
    ("superspike", {"k": 25.0}),
]


def neurons() -> Iterator[Case]:
    import jax
    import jax.numpy as jnp
    import spyx
    from flax import nnx
    from spyx import phasor

    x, g = map(jnp.asarray, currents())
    for name, arguments in NEURONS:
        module = phasor if name == "ResonateFire" else spyx.nn
        made = getattr(module, name)((COUNT,), activation=spyx.axn.arctan(k=1.0), rngs=nnx.Rngs(0), **arguments)
        if name == "RLIF":
            made.recurrent_w[...] = jnp.asarray(recurrent_weights())
        rest = made.initial_state(BATCH)
        graph, params = nnx.split(made, nnx.Param)

        def outputs(params, x, graph=graph, rest=rest):
            return spyx.nn.run(nnx.merge(graph, params), x, rest)[0]

        y, pull = jax.vjp(outputs, params, x)
        d_params, d_x = pull(g.astype(y.dtype))
        arrays = {"y": y, "d_x": d_x}
        for label, value in nnx.to_pure_dict(params).items():
            arrays |= {label: value, f"d_{label}": nnx.to_pure_dict(d_params)[label]}
        yield Case("neuron", name, arguments, {label: np.asarray(array) for label, array in arrays.items()})


def surrogates() -> Iterator[Case]:
    import jax
    from spyx import axn

    for name, arguments in SURROGATES:
        slopes = jax.vmap(jax.grad(getattr(axn, name)(**arguments)))(points())
        yield Case("surrogate", name, arguments, {"d_x": np.asarray(slopes)})
