"""The neuron as one argument of a network: its variants reach every layer."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxsnn import encoding, losses, models, neurons
from jaxsnn.surrogate import Surrogate


def test_both_variants_together_are_backpropagation_through_time(x64):
    """(E12): of a whole network, with the pseudo-derivative 1[u > V_th] / V_th that jax differentiates by itself."""
    step = Surrogate("step", lambda x, k: k * jnp.maximum(x, 0), lambda x, k: k * (x > 0).astype(x.dtype), 1.0)
    images = jax.random.uniform(jax.random.key(0), (2, 8, 8, 1), jnp.float64)
    x = encoding.poisson(jax.random.key(1), images, 9)
    found = []
    for neuron in (neurons.spikebp(0.8, leak_correction=False, leak_backward="true"), neurons.lif(0.8, spike=step)):
        apply, params, state = models.functionalize(
            models.create(
                "lenet",
                input_shape=(8, 8, 1),
                num_classes=3,
                neurons=neuron,
                width=0.4,
                init_gain=3,
                param_dtype=jnp.float64,
                rngs=nnx.Rngs(0),
            )
        )

        def loss(params, apply=apply, state=state):
            return losses.squared_error(apply(params, state, x)[0].logits, jnp.asarray([2, 0]))

        found.append(jax.jit(jax.grad(loss))(params))
    chex.assert_trees_all_close(*found, rtol=1e-10)
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(found))
