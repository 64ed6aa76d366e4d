import jax.numpy as jnp
import pytest
from flax import nnx

from jaxsnn import neurons
from jaxsnn.layers import SpikingConv


@pytest.mark.parametrize(("stride", "padding", "size"), [(1, "SAME", 8), (2, "SAME", 4), (1, "VALID", 6), (2, 1, 4)])
def test_convolution_shapes(stride, padding, size):
    layer = SpikingConv(2, 5, 3, neurons=neurons.spikebp(), rngs=nnx.Rngs(0), stride=stride, padding=padding)
    spikes, carry = layer(jnp.ones((4, 3, 8, 8, 2)))
    assert spikes.shape == (4, 3, size, size, 5)
    assert carry.potential.shape == spikes.shape[1:]
