"""Execution in pieces is the whole: outputs, loss and gradients, in less memory."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import encoding, losses, models
from jaxsnn.layers import LIF, SpikeBP


def build(neuron, dtype=jnp.float32):
    model = models.create(
        "lenet",
        input_shape=(8, 8, 1),
        num_classes=3,
        neuron=neuron,
        init_scale=6.0,
        param_dtype=dtype,
        rngs=nnx.Rngs(0),
    )
    return models.functionalize(model)


def spikes(steps, dtype=jnp.float32, batch=2):
    images = jax.random.uniform(jax.random.key(0), (batch, 8, 8, 1), dtype, -1, 1)
    return encoding.poisson(jax.random.key(1), images, steps)


def loss(params, apply, state, x):
    output, _ = apply(params, state, x, train=True, record=True)
    return losses.squared_error(output.logits, jnp.asarray([2, 0])), output


@pytest.mark.parametrize("neuron", [SpikeBP(0.9), LIF(0.9)], ids=["spikebp", "arctan"])
@pytest.mark.parametrize(("chunk", "remat"), [(1, False), (3, True), (3, False), (7, False)])
def test_pieces_are_the_whole(x64, neuron, chunk, remat):
    apply, params, state = build(neuron, jnp.float64)
    x = spikes(7, jnp.float64)
    run = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)
    whole = run(params, apply, state, x)
    pieces = run(params, models.in_chunks(apply, chunk, remat=remat), state, x)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-13), pieces, whole)
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(whole[1]))


def test_float32_agrees_to_rounding():
    apply, params, state = build(SpikeBP(0.9))
    x = spikes(8)
    run = jax.jit(jax.grad(loss, has_aux=True), static_argnums=1)
    whole, pieces = (run(params, a, state, x)[0] for a in (apply, models.in_chunks(apply, 2)))
    for a, b in zip(jax.tree.leaves(pieces), jax.tree.leaves(whole), strict=True):
        assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max()


def test_it_goes_on_from_a_carry():
    apply, params, state = build(SpikeBP(0.9))
    x, chunked = spikes(9), models.in_chunks(apply, 2)
    first, _ = chunked(params, state, x[:4])
    second, _ = chunked(params, state, x[4:], carry=first.carry)
    whole, _ = apply(params, state, x)
    np.testing.assert_allclose(second.logits, whole.logits, rtol=1e-5)
    assert second.carry["steps"] == 9


def test_memory_hardly_grows_with_time():
    apply, params, state = build(SpikeBP())

    def temporaries(apply, steps):
        gradient = jax.jit(lambda p, x: jax.grad(loss, has_aux=True)(p, apply, state, x)[0])
        return gradient.lower(params, spikes(steps)).compile().memory_analysis().temp_size_in_bytes

    chunked = models.in_chunks(apply, 4)
    assert temporaries(chunked, 64) < 0.6 * temporaries(apply, 64)
    assert temporaries(chunked, 64) < 4 * temporaries(chunked, 8)


def test_bad_chunk_and_bad_input():
    apply, params, state = build(SpikeBP())
    with pytest.raises(ValueError, match="chunk must be a number of time steps >= 1, got 0"):
        models.in_chunks(apply, 0)
    with pytest.raises(ValueError, match="time-major spikes"):
        models.in_chunks(apply, 2)(params, state, jnp.zeros((5, 8, 8, 1)))
