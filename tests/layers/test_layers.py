import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn.layers import Dropout, SpikeBP, SpikingConv


def test_dropout_has_one_mask_for_all_steps_and_keeps_the_mean():
    x = jnp.ones((7, 20, 500))
    y = np.asarray(Dropout(0.25)(x, jax.random.key(0)))
    np.testing.assert_array_equal(y, np.broadcast_to(y[:1], y.shape))
    assert set(np.unique(y)) == {0, np.float32(1) / np.float32(0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02


def test_masks_differ_between_samples_and_keys():
    x = jnp.ones((1, 2, 200))
    a, b = Dropout(0.5)(x, jax.random.key(0)), Dropout(0.5)(x, jax.random.key(1))
    assert (a != b).any()
    assert (a[:, 0] != a[:, 1]).any()


@pytest.mark.parametrize(("stride", "padding", "size"), [(1, "SAME", 8), (2, "SAME", 4), (1, "VALID", 6), (2, 1, 4)])
def test_convolution_shapes(stride, padding, size):
    layer = SpikingConv(2, 5, 3, neuron=SpikeBP(), rngs=nnx.Rngs(0), stride=stride, padding=padding)
    spikes, carry = layer(jnp.ones((4, 3, 8, 8, 2)))
    assert spikes.shape == (4, 3, size, size, 5)
    assert carry.potential.shape == spikes.shape[1:]
