"""Small networks and their ReLU twins for the tests."""

import jax
from flax import nnx

from jaxsnn import models
from jaxsnn.layers import LIF, ReLU
from jaxsnn.models import Builder

INTEGRATE_AND_FIRE = LIF(leak=1.0, reset="soft")


def plain(neuron, **options):
    """`plain_module` as pure functions."""
    return models.functionalize(plain_module(neuron, **options))


def plain_module(neuron, *, pool="average", seed=0, **options):
    """conv1, pool1, fc1, readout fc2, on 6x6 images of two channels."""
    net = Builder(
        input_shape=(6, 6, 2), num_classes=3, init_scale=2.0, neuron=neuron, pool=pool, rngs=nnx.Rngs(seed), **options
    )
    net.conv(4)
    net.pool()
    net.dense(8)
    return net.finish()


def residual(neuron, *, pool="average", seed=0, blocks=((6, 2), (6, 1)), **options):
    """conv1, a block with a 1x1 shortcut, one whose shortcut is the input itself, readout."""
    net = Builder(
        input_shape=(6, 6, 2), num_classes=3, init_scale=2.0, neuron=neuron, pool=pool, rngs=nnx.Rngs(seed), **options
    )
    net.conv(4)
    net.pool()
    for features, stride in blocks:
        net.block(features, stride)
    return models.functionalize(net.finish())


def twin(make, **options):
    """`apply, params, state` of the ReLU network, and `apply, state` of the spiking one."""
    relu_apply, params, relu_state = make(ReLU(), **options)
    apply, _, state = make(INTEGRATE_AND_FIRE, **options)
    return relu_apply, params, relu_state, apply, state


def images(batch=5, seed=1):
    return jax.random.uniform(jax.random.key(seed), (batch, 6, 6, 2), minval=-1)
