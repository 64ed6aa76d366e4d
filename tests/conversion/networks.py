"""Small networks and their ReLU twins for the tests."""

import jax
from flax import nnx

from jaxsnn import models, neurons
from jaxsnn.models import Builder

INTEGRATE_AND_FIRE = neurons.lif(leak=1.0, reset="soft")


def plain_network(kind, *, pool="average", seed=0, **options):
    """conv1, pool1, fc1, readout fc2, on 6x6 images of two channels."""
    net = Builder(
        input_shape=(6, 6, 2), num_classes=3, init_scale=2.0, neurons=kind, pool=pool, rngs=nnx.Rngs(seed), **options
    )
    net.conv(4)
    net.pool()
    net.dense(8)
    return net.finish()


def residual_network(kind, *, pool="average", seed=0, blocks=((6, 2), (6, 1)), **options):
    """conv1, a block with a 1x1 shortcut, one whose shortcut is the input itself, readout."""
    net = Builder(
        input_shape=(6, 6, 2), num_classes=3, init_scale=2.0, neurons=kind, pool=pool, rngs=nnx.Rngs(seed), **options
    )
    net.conv(4)
    net.pool()
    for features, stride in blocks:
        models.block(net, features, stride)
    return net.finish()


def plain(kind, **options):
    return models.functionalize(plain_network(kind, **options))


def residual(kind, **options):
    return models.functionalize(residual_network(kind, **options))


def connections(make, **options):
    """The synapses of the spiking network."""
    network = {plain: plain_network, residual: residual_network}[make]
    return models.connections(network(INTEGRATE_AND_FIRE, **options))


def twin(make, **options):
    """`apply, params, state` of the ReLU network, and `apply, state` of the spiking one."""
    relu_apply, params, relu_state = make(neurons.relu(), **options)
    apply, _, state = make(INTEGRATE_AND_FIRE, **options)
    return relu_apply, params, relu_state, apply, state


def images(batch=5, seed=1):
    return jax.random.uniform(jax.random.key(seed), (batch, 6, 6, 2), minval=-1)
