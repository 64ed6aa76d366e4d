"""Dropout over time: fixed and fresh masks, their statistics, and what the layer behind them keeps."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import neurons
from jaxsnn.layers import Dense, Dropout, NeuronLayer


def test_dropout_has_one_mask_for_all_steps_and_keeps_the_mean():
    x = jnp.ones((7, 20, 500))
    y = np.asarray(Dropout(0.25)(x, jax.random.key(0)))
    np.testing.assert_array_equal(y, np.broadcast_to(y[:1], y.shape))
    assert set(np.unique(y)) == {0, np.float32(1) / np.float32(0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02


@pytest.mark.parametrize("masks", ["fixed", "fresh"])
@pytest.mark.parametrize("rate", [0.001, 0.005, 0.25])
def test_small_rates_drop_in_narrow_dtypes_too(rate, masks):
    """Probabilities in bfloat16 dropped nothing at 0.005."""
    dropout = Dropout(rate, masks=masks, param_dtype=jnp.bfloat16)
    y = dropout(jnp.ones((2, 10, 40_000), jnp.bfloat16), jax.random.key(0))
    assert y.dtype == jnp.bfloat16
    assert abs(float((y == 0).mean(dtype=jnp.float32)) - rate) < 5 * np.sqrt(rate / 400_000)


def test_masks_differ_between_samples_and_keys():
    x = jnp.ones((1, 2, 200))
    a, b = Dropout(0.5)(x, jax.random.key(0)), Dropout(0.5)(x, jax.random.key(1))
    assert (a != b).any()
    assert (a[:, 0] != a[:, 1]).any()


def test_fresh_masks_differ_at_every_step_and_keep_the_mean():
    x = jnp.ones((7, 20, 500))
    y = np.asarray(Dropout(0.25, masks="fresh")(x, jax.random.key(0)))
    assert set(np.unique(y)) == {0, np.float32(1) / np.float32(0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.01
    for t in range(1, 7):  # independent from step to step: both dropped with probability 1 / 16
        assert abs(((y[0] == 0) & (y[t] == 0)).mean() - 1 / 16) < 0.01


@pytest.mark.parametrize("masks", ["fixed", "fresh"])
def test_a_train_in_pieces_is_dropped_like_the_whole(masks):
    x, key, dropout = jnp.ones((7, 3, 9)), jax.random.key(4), Dropout(0.5, masks=masks)
    pieces = [dropout(x[start : start + 3], key, start) for start in range(0, 7, 3)]
    np.testing.assert_array_equal(jnp.concatenate(pieces), dropout(x, key))


@pytest.mark.parametrize("masks", ["fixed", "fresh"])
def test_what_is_kept_in_bits_gives_the_gradients_of_the_dropped_spikes(x64, masks):
    """Spikes and mask apart, with spikes in bits, against their product as floats, for kernel and spikes."""
    dropout, key = Dropout(0.4, masks=masks, param_dtype=jnp.float64), jax.random.key(1)
    x = jax.random.bernoulli(jax.random.key(2), 0.5, (9, 2, 30)).astype(jnp.float64)
    neuron = NeuronLayer(neurons.spikebp(0.9, pack_spikes=True).hidden, dtype=jnp.float64)

    def loss(layer, x, apart):
        spikes, mask = dropout.split(x, key) if apart else (dropout(x, key), None)
        currents = layer(spikes, mask=mask, storage="bits" if apart else "floats")
        return jnp.sum(jnp.sin(jnp.cumsum(neuron(currents)[0], 0)))

    found = []
    for apart in (True, False):
        layer = Dense(30, 8, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
        graph, params, rest = nnx.split(layer, nnx.Param, ...)
        gradient = jax.grad(lambda p, x: loss(nnx.merge(graph, p, rest), x, apart), (0, 1))(params, x)  # noqa: B023
        found.append(jax.tree.leaves(gradient))
    chex.assert_trees_all_close(*found, rtol=1e-12, atol=1e-14)
    assert all(np.abs(g).max() > 0 for g in found[0])


def test_unknown_masks():
    with pytest.raises(ValueError, match="dropout masks must be 'fixed' or 'fresh', got 'new'"):
        Dropout(0.5, masks="new")


@pytest.mark.parametrize("masks", ["fixed", "fresh"])
def test_with_a_key_per_sample_nothing_depends_on_the_batch(masks):
    keys, x = jax.random.split(jax.random.key(3), 6), jnp.ones((3, 6, 40))
    dropout = Dropout(0.5, masks=masks)
    y = np.asarray(dropout(x, keys))
    np.testing.assert_array_equal(y[:, 2:4], dropout(x[:, 2:4], keys[2:4]))
    assert len({tuple(row) for row in y[0].tolist()}) == 6
    assert abs(y.mean() - 1) < 0.2
    assert (y[0] == y[1]).all() == (masks == "fixed")
