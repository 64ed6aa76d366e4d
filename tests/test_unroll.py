from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import lif, unroll

PARAMS = lif.LIFParams(0.9, 0.7)
STEP = partial(lif.step, PARAMS)


def start(x):
    return lif.init(PARAMS, x.shape[1:], x.dtype)


def train(length, seed=0):
    return jax.random.normal(jax.random.key(seed), (length, 2, 5))


@pytest.mark.parametrize(("length", "cut"), [(2, 1), (9, 1), (14, 8)])
def test_two_halves_are_the_whole(length, cut):
    @jax.jit
    def both(x):
        first = unroll(STEP, start(x), x[:cut])
        second = unroll(STEP, first.state, x[cut:])
        return unroll(STEP, start(x), x), second.state, jnp.concatenate([first.outputs, second.outputs])

    whole, state, outputs = both(train(length))
    chex.assert_trees_all_close(whole.state, state, rtol=1e-6)
    np.testing.assert_array_equal(whole.outputs, outputs)


@pytest.mark.parametrize(("length", "chunk", "remat"), [(1, 1, True), (12, 5, True), (9, 3, False), (7, 13, False)])
def test_chunks_and_rematerialisation_change_nothing(length, chunk, remat):
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(1), (length, 2, 5), jnp.float64)

        def loss(x, **options):
            run = unroll(STEP, start(x), x, **options)
            return jnp.sum(run.outputs * jnp.cos(jnp.arange(length, dtype=x.dtype))[:, None, None]) + jnp.sum(
                run.state.potential
            )

        pieces = partial(loss, chunk=chunk, remat=remat)
        both = jax.jit(lambda x: (jax.value_and_grad(pieces)(x), jax.value_and_grad(loss)(x)))
        chex.assert_trees_all_close(*both(x), rtol=1e-12, atol=1e-14)


def test_rematerialisation_stores_less():
    x = train(256)

    def stored(**options):
        loss = lambda x: unroll(STEP, start(x), x, **options).outputs.sum()  # noqa: E731
        return jax.jit(jax.grad(loss)).lower(x).compile().memory_analysis().temp_size_in_bytes

    assert stored(chunk=16, remat=True) < 0.7 * stored()


def test_trace_on_request():
    x = train(7)
    run = unroll(STEP, start(x), x, trace=partial(lif.integrate, PARAMS), chunk=3)
    assert run.trace.shape == x.shape
    np.testing.assert_array_equal(run.outputs, (run.trace > PARAMS.threshold).astype(jnp.float32))
    assert unroll(STEP, start(x), x).trace is None


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (jnp.zeros((0, 2)), {}, "time steps T must be an integer >= 1, got 0"),
        (jnp.zeros(()), {}, "time steps T must be an integer >= 1, got 0"),
        (jnp.zeros((3, 2)), {"chunk": 0}, "chunk must be a number of time steps >= 1 or None, got 0"),
        ((jnp.zeros((3, 2)), jnp.zeros((4, 2))), {}, r"one leading time axis T, got lengths \[3, 4\]"),
    ],
)
def test_bad_input(inputs, options, message):
    with pytest.raises(ValueError, match=message):
        unroll(STEP, lif.init(PARAMS, (2,)), inputs, **options)
