import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import lif, models, neurons
from jaxsnn.cells import Cell


def test_lif_as_a_cell_of_ones_own_is_lif():
    """The same outputs and gradients, layers' own constants included; in bfloat16 the membranes stay float32."""
    options = {
        "input_shape": (4, 4, 1),
        "num_classes": 3,
        "per_layer": {"leak": {"fc1": 0.7}},
        "width": 0.2,
        "init_gain": 3.0,
    }
    x = 3 * jax.random.uniform(jax.random.key(0), (4, 2, 4, 4, 1))
    cell = Cell(lif.LIFParams, lif.init, lif.step)
    own = neurons.of_cell(cell, params=lif.LIFParams(0.9, 0.8), readout_leak=0.9, readout_threshold=0.8)

    def run(kind, **more):
        model = models.create("lenet", neurons=kind, rngs=nnx.Rngs(0), **options, **more)
        apply, params, state = models.functionalize(model)
        return jax.jit(jax.value_and_grad(lambda params: jnp.sum(apply(params, state, x)[0].potentials)))(params)

    found, expected = run(own), run(neurons.lif(0.9, 0.8))
    # sums of currents in another order; in float64 neurons agree to 1e-10 (test_by_hand.py)
    chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=1e-5)
    assert all(jnp.abs(leaf).max() > 0.1 for leaf in jax.tree.leaves(found[1]))
    assert np.isfinite(run(own, compute_dtype=jnp.bfloat16)[0])


@pytest.mark.parametrize(("params", "message"), [((0.0, 1.0), "leak must"), ((0.9, -1.0), "threshold must")])
def test_a_cell_checks_its_constants(params, message):
    with pytest.raises(ValueError, match=message):
        neurons.of_cell(lif.CELL, params=lif.LIFParams(*params))
