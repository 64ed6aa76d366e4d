import jax.numpy as jnp
import pytest
from flax import nnx

from jaxsnn import neurons
from jaxsnn.layers import Attend, Conv, NeuronLayer


@pytest.mark.parametrize(("stride", "padding", "size"), [(1, "SAME", 8), (2, "SAME", 4), (1, "VALID", 6), (2, 1, 4)])
def test_convolution_shapes(stride, padding, size):
    synapse = Conv(2, 5, 3, rngs=nnx.Rngs(0), stride=stride, padding=padding)
    spikes, carry = NeuronLayer(neurons.spikebp().hidden)(synapse(jnp.ones((4, 3, 8, 8, 2))))
    assert spikes.shape == (4, 3, size, size, 5)
    assert carry.potential.shape == spikes.shape[1:]
    assert synapse.connection("conv1", "input", "conv1", (8, 8, 2)).output_shape == spikes.shape[2:]


@pytest.mark.parametrize(("options", "reach"), [({}, 12), ({"keys": True}, 0)])
def test_operations_of_attention(options, reach):
    """A spike of a query, or of a value, meets all tokens of the map; a spike of a key is met by them."""
    found = Attend(**options).connection("q", "source", "target", (3, 4, 2))
    assert (found.kind, found.kernel, found.input_shape) == ("attention", (reach,), (3, 4, 2))
    with pytest.raises(ValueError, match=r"q attends to maps \[H, W, C\], but source sends \[12\]"):
        Attend(**options).connection("q", "source", "target", (12,))
