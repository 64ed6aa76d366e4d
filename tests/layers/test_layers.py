import jax.numpy as jnp
import pytest
from flax import nnx

from jaxsnn import neurons
from jaxsnn.layers import Conv, NeuronLayer


@pytest.mark.parametrize(("stride", "padding", "size"), [(1, "SAME", 8), (2, "SAME", 4), (1, "VALID", 6), (2, 1, 4)])
def test_convolution_shapes(stride, padding, size):
    synapse = Conv(2, 5, 3, rngs=nnx.Rngs(0), stride=stride, padding=padding)
    spikes, carry = NeuronLayer(neurons.spikebp().hidden)(synapse(jnp.ones((4, 3, 8, 8, 2))))
    assert spikes.shape == (4, 3, size, size, 5)
    assert carry.potential.shape == spikes.shape[1:]
    assert synapse.connection("conv1", "input", "conv1", (8, 8, 2)).output_shape == spikes.shape[2:]
