"""The backward pass keeps one array per neuron and step, the potential, and gives the gradients of keeping all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import SURROGATES, neurons
from jaxsnn.cells import CELLS, clif, glif, klif, lif
from jaxsnn.unroll import unroll
from tests.test_gradients_arrive import ANY

STEPS, NEURONS = 16, (2, 3)
RESETS = ("hard", "soft", "delayed", "none", "value")
CASES = {
    **{f"lif {reset}": CELLS["lif"].make(reset=reset) for reset in RESETS},
    "lif leak first": CELLS["lif"].make(leak_first=True, detach_reset=False),
    **{name: CELLS[name] for name in ("integrate_and_fire", "plif", "klif", "glif", "clif")},
}
INPUTS = {"lif leak first": 1, "plif": 2, "glif": 1, "klif": 2, "clif": 1}
"""What else is kept where the derivative by a parameter needs it: input and potential before the step."""


def gradients(cell, chunk):
    """Of a loss by every parameter and the currents, a row for each surrogate."""
    params = jax.tree.map(lambda x: jnp.full((1, NEURONS[1]), x, jnp.float64), cell.params())
    currents = 0.9 * jax.random.normal(jax.random.key(0), (STEPS, *NEURONS), jnp.float64) + 0.6
    weights = jax.random.normal(jax.random.key(1), currents.shape, jnp.float64)

    def loss(params, currents, number):
        step = lambda state, x: cell.step(params, state, x, spike=lambda u: ANY(u, number))  # noqa: E731
        run = unroll(step, cell.init(params, NEURONS, jnp.float64), currents, chunk=chunk, remat=chunk is not None)
        return jnp.sum(run.outputs * weights) + sum(jnp.sum(jnp.sin(x)) for x in run.state)

    numbers = jnp.arange(len(SURROGATES), dtype=jnp.float64)
    return jax.jit(jax.vmap(jax.value_and_grad(loss, (0, 1)), (None, None, 0)))(params, currents, numbers)


@pytest.mark.parametrize(("name", "chunk"), [(name, (None, 5)[i % 2]) for i, name in enumerate(CASES)])
def test_gradients_are_those_of_keeping_everything(name, chunk, monkeypatch, x64):
    lean = gradients(CASES[name], chunk)
    for module in (lif, klif, glif, clif):
        monkeypatch.setattr(module, "from_potential", lambda part: part)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), lean, gradients(CASES[name], chunk)
    )
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(lean))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("learned", [False, True])
def test_kept_arrays(name, learned):
    neuron = neurons.bptt(CASES[name])
    params = jax.tree.map(lambda x: jnp.full((1, NEURONS[1]), x, jnp.float32), neuron.params)

    def run(params, currents):
        return neuron.run(params, neuron.init(params, NEURONS, jnp.float32), currents)[1]

    currents = jax.ShapeDtypeStruct((STEPS, *NEURONS), jnp.float32)
    by = run if learned else lambda currents: run(params, currents)
    pull = jax.eval_shape(lambda *args: jax.vjp(by, *args)[1], *([params] if learned else []), currents)
    arrays = [leaf for leaf in jax.tree.leaves(pull) if leaf.shape == currents.shape]
    states = len(neuron.init(params, NEURONS, jnp.float32))
    assert len(arrays) == states + (INPUTS.get(name, 0) if learned else 0)
