"""Gradients written by hand are JAX's own; loops whose outputs do not begin as zeros are those of `lax.scan`."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import SURROGATES, loops, neurons
from jaxsnn.cells import lif
from jaxsnn.compiling import compiler_options
from jaxsnn.surrogate import arctan
from tests.layers.test_kernels import ALL, RESETS

SHAPE = (2, 3, 5)


def gradients(neuron, steps, params=None, dtype=jnp.float64):
    """Spikes, last carry, and the gradients by parameters (if given), currents and first potential."""
    keys = jax.random.split(jax.random.key(3), 4)
    currents, weights = (jax.random.normal(key, (steps, *SHAPE), jnp.float64) for key in keys[:2])
    last, first = (jax.random.normal(key, SHAPE, jnp.float64) for key in keys[2:])

    def loss(currents, first, params):
        params = neuron.params if params is None else params
        carry = neuron.init(params, SHAPE, first.dtype)._replace(potential=0.3 * first)
        carry, spikes = neuron.run(params, carry, (0.5 + currents).astype(dtype))
        return (spikes.astype(weights.dtype) * weights).sum() + (carry.potential * last).sum(), (spikes, carry)

    return jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(currents, first, params)


def same(found, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), found, expected)
    assert all(np.any(x) for x in jax.tree.leaves(expected))


@pytest.mark.parametrize(("name", "reset", "leak_first"), ALL)
def test_gradients_are_those_of_jax(name, reset, leak_first, x64):
    spike = partial(SURROGATES[name], slope=1.7)
    options = {"reset": reset, "leak_first": leak_first, **RESETS[reset]}
    steps = 11 if leak_first else 6  # a loop, or written out
    found, expected = (
        gradients(neurons.lif(0.8, spike=spike, remat=remat, **options).hidden, steps) for remat in (False, True)
    )
    same(found, expected)


@pytest.mark.parametrize(
    "options",
    [
        {"detach_reset": False, "spike": partial(arctan, inclusive=True, height=0.3)},
        {"scale_input": True, "threshold": 0.2, "spike": partial(arctan, slope=np.linspace(1, 3, 15).reshape(1, 3, 5))},
        {"leak": np.linspace(0.5, 0.9, 5).reshape(1, 1, 5), "threshold": np.linspace(0.7, 1.2, 15).reshape(1, 3, 5)},
    ],
    ids=["attached", "slopes", "per neuron"],
)
@pytest.mark.parametrize("steps", [5, 9])
def test_options_are_those_of_jax(options, steps, x64):
    for part in ("hidden", "pool"):
        same(*(gradients(getattr(neurons.lif(remat=remat, **options), part), steps) for remat in (False, True)))


@pytest.mark.parametrize("learned", [("leak",), ("leak", "threshold")])
def test_learned_parameters_have_their_gradients(learned, x64):
    """Nothing but the potentials is kept for constants; what a derivative by a parameter needs is JAX's own."""

    def of(remat):
        neuron = neurons.bptt(lif.CELL, arctan, remat=remat)
        run = lambda params, *rest: neuron.run(lif.LIFParams(0.8, 1.0)._replace(**params), *rest)  # noqa: E731
        params = {name: jnp.asarray(0.9) for name in learned}
        return gradients(neuron._replace(run=run, init=lambda params, *a: neuron.init(neuron.params, *a)), 9, params)

    same(of(False), of(True))


def test_currents_may_be_narrower_than_membranes(x64):
    same(*(gradients(neurons.lif(remat=remat).hidden, 9, dtype=jnp.float32) for remat in (False, True)))


def test_a_surrogate_of_ones_own_is_differentiated_by_jax(x64):
    same(*(gradients(neurons.lif(0.8, spike=spike).hidden, 9) for spike in (lambda x: arctan(x), arctan)))


def test_bad_states_and_trains_are_named():
    neuron = neurons.lif().hidden
    carry = neuron.init(neuron.params, (2, 3), jnp.float32)
    with pytest.raises(ValueError, match=r"input current has shape \(2, 4\), but the neurons' state has \(2, 3\)"):
        neuron.run(neuron.params, carry, jnp.zeros((5, 2, 4)))
    with pytest.raises(ValueError, match="the number of time steps T must be an integer >= 1, got 0"):
        neuron.run(neuron.params, carry, jnp.zeros((0, 2, 3)))


@pytest.mark.parametrize("reverse", [False, True])
def test_a_loop_is_that_of_lax(reverse):
    xs = {"a": jnp.arange(24.0).reshape(6, 4), "b": jnp.arange(6)}

    def step(carry, x):
        carry = 0.5 * carry + x["a"]
        return carry, (carry.astype(jnp.int8), {"sum": carry.sum() + x["b"].astype(carry.dtype)}, x["b"] > 2)

    found, expected = (
        jax.jit(partial(scan, step, reverse=reverse))(jnp.ones(4), xs) for scan in (loops.scan, jax.lax.scan)
    )
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert jax.tree.map(lambda x: x.dtype, found) == jax.tree.map(lambda x: x.dtype, expected)


def test_a_layer_needs_its_currents_potentials_and_error():
    """And neither zeros that wait for the backward pass, nor spikes of four bytes."""
    neuron, steps, size = neurons.lif().hidden, 16, 2**16
    carry = neuron.init(neuron.params, (1, size), jnp.float32)

    def loss(x):
        return (neuron.run(neuron.params, carry, 2 * x)[1] * jnp.sin(x)).sum()

    lowered = jax.jit(jax.grad(loss)).lower(jax.ShapeDtypeStruct((steps, 1, size), jnp.float32))
    needed = lowered.compile(compiler_options=compiler_options()).memory_analysis().temp_size_in_bytes
    assert needed < 2.2 * 4 * steps * size
