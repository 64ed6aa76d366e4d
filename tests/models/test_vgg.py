import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jaxsnn import encoding, losses, models, neurons


def test_vgg9_has_the_papers_shape():
    model = models.create("vgg9", input_shape=(32, 32, 3), num_classes=10, rngs=nnx.Rngs(0))
    _, params, _ = models.functionalize(model)
    kernels = {name: layer["kernel"].shape for name, layer in params.items()}
    assert list(kernels) == ["conv1", "conv2", "conv3", "conv4", "conv5", "conv6", "conv7", "fc1", "fc2"]
    assert [shape[-1] for shape in kernels.values()] == [64, 64, 128, 128, 256, 256, 256, 1024, 10]
    assert sum(layer["kernel"].size for layer in params.values()) == 5_938_880
    assert model.names[2] == "pool1"


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_small_one_has_gradients_everywhere(dropout):
    model = models.vgg(
        ((4, 4), (8,)),
        (16,),
        input_shape=(8, 8, 2),
        num_classes=3,
        neurons=neurons.spikebp(),
        rngs=nnx.Rngs(0),
        init_gain=2.0,
        dropout=dropout,
    )
    apply, params, state = models.functionalize(model)
    x = encoding.poisson(jax.random.key(0), jnp.full((2, 8, 8, 2), 0.6), 10)

    def loss(params):
        output, _ = apply(params, state, x, train=True, key=jax.random.key(1))
        return losses.squared_error(output.logits, jnp.asarray([0, 2]))

    gradients = jax.jit(jax.grad(loss))(params)
    assert all(jnp.abs(g).max() > 0 for g in jax.tree.leaves(gradients))
