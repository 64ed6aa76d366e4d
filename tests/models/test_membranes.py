"""Membrane potentials against what the network itself does: its spikes, and the states it ends with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import encoding, lif, models, neurons


def build(name, **options):
    model = models.create(name, input_shape=(8, 8, 2), num_classes=3, width=0.1, rngs=nnx.Rngs(0), **options)
    apply, params, state = models.functionalize(model)
    x = encoding.poisson(jax.random.key(0), jnp.linspace(0, 1, 256).reshape(2, 8, 8, 2), 7)

    @jax.jit
    def both(params, state, x):
        output, _ = apply(params, state, x, record=True)
        return output, models.membranes(model)(params, state, output.spikes)

    return both(params, state, x)


MORE = {"init_gain": 2.0, "per_layer": {"threshold": {"block2/conv2": 0.7}}}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lenet", {"neurons": neurons.spikebp(leak=0.9)}),
        pytest.param("resnet7", {"neurons": neurons.spikebp(leak=0.9), **MORE}, marks=pytest.mark.thorough),
        ("lenet", {"neurons": neurons.lif(leak=0.8, threshold=0.7, learn=("leak", "threshold")), "pool": "average"}),
    ],
)
def test_hard_reset(name, options):
    """Neurons fire where the potential is above the threshold; what is left of the last one is the network's state."""
    output, found = build(name, **options)
    assert found.keys() == output.spike_counts.keys()
    assert sum(float(count.sum()) for count in output.spike_counts.values()) > 100
    for layer, membrane in found.items():
        spikes = output.spikes[layer]
        np.testing.assert_array_equal(membrane.potentials > membrane.threshold, spikes == 1, err_msg=layer)
        leak = 1.0 if "pool" in layer else options["neurons"].hidden.params.leak
        left = leak * membrane.potentials[-1] * (1 - spikes[-1])
        np.testing.assert_allclose(left, output.carry[layer].potential, rtol=1e-5, atol=1e-6, err_msg=layer)


def test_soft_reset_and_leak_first():
    output, found = build("lenet", neurons=neurons.lif(leak=0.8, reset="soft", leak_first=True))
    for layer, (potentials, threshold) in found.items():
        spikes = output.spikes[layer]
        np.testing.assert_array_equal(potentials > threshold, spikes == 1, err_msg=layer)
        left = potentials[-1] - threshold * spikes[-1]
        np.testing.assert_allclose(left, output.carry[layer].potential, rtol=1e-5, atol=1e-6, err_msg=layer)
    assert float(output.spike_counts["conv1"].sum()) > 100


def test_neurons_without_a_membrane():
    kind = neurons.of_cell(lif.CELL._replace(membrane=None))
    model = models.create("lenet", input_shape=(8, 8, 1), num_classes=3, width=0.1, rngs=nnx.Rngs(0), neurons=kind)
    _, params, state = models.functionalize(model)
    with pytest.raises(TypeError, match="no membrane potential: their cell declares no `membrane`"):
        models.membranes(model)(params, state, {"input": jnp.zeros((2, 1, 8, 8, 1))})
