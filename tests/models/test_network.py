"""The table of layers: storage follows what is sent, sources are checked, learned numbers have the shape asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import integrate_and_fire, models, neurons
from jaxsnn.layers import Conv, Dense, Layer, NeuronLayer, Subsample

KINDS = neurons.lif(leak=0.9, pack_spikes=True)


def builder(**options):
    defaults = {"input_shape": (4, 4, 2), "num_classes": 3, "init_scale": 6.0, "rngs": nnx.Rngs(0)}
    return models.Builder(**defaults | options)


def counting(sends):
    """A neuron that sends how often the current exceeds the threshold, 0, 1, 2, ..."""

    def run(params, carry, currents):
        spikes = jnp.floor(jnp.clip(currents / params.threshold, 0, 3))
        return carry, currents - jax.lax.stop_gradient(currents - spikes)

    return neurons.Neuron(integrate_and_fire.IFParams(0.5), lambda params, shape, dtype: (), run, sends=sends)


@pytest.mark.parametrize("sends", ["counts", "numbers", "spikes"])
def test_storage_follows_what_is_sent(sends):
    """Counts are never stored as bits, though the network packs spikes; called spikes, they would be corrupted."""

    def gradient(sends, pack):
        kinds = KINDS._replace(hidden=counting(sends), pack_spikes=pack)
        net = builder(neurons=kinds, rngs=nnx.Rngs(0))
        net.conv(4)
        net.dense(5)
        apply, params, state = models.functionalize(net.finish())
        x = 2 * jax.random.uniform(jax.random.key(0), (3, 2, 4, 4, 2))
        return jax.jit(jax.grad(lambda p: jnp.sum(jnp.sin(apply(p, state, x)[0].potentials))))(params)

    found, exact = gradient(sends, True), gradient("numbers", False)
    same = [np.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(*map(jax.tree.leaves, (found, exact)), strict=True)]
    assert all(same) == (sends != "spikes")


@pytest.mark.parametrize(("scope", "shape"), [("", ()), (":layer", ()), (":channel", (4,)), (":neuron", (4, 4, 4))])
def test_a_learned_number_per_layer_channel_or_neuron(scope, shape):
    net = builder(neurons=neurons.lif(leak=0.9, learn=(f"leak{scope}", "threshold")))
    net.conv(4)
    apply, params, state = models.functionalize(net.finish())
    raw = params["conv1"]["neurons"]["leak_logit"]
    assert raw.shape == shape
    np.testing.assert_allclose(jax.nn.sigmoid(raw), 0.9, rtol=1e-6)
    np.testing.assert_allclose(jnp.exp(params["conv1"]["neurons"]["threshold_log"]), 1.0, rtol=1e-6)
    x = jax.random.uniform(jax.random.key(0), (5, 2, 4, 4, 2))
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(jnp.sin(apply(p, state, x)[0].potentials))))(params)
    assert (gradient["conv1"]["neurons"]["leak_logit"] != 0).any()
    assert set(params["fc1"]["neurons"]) == {"leak_logit"}


def layer(name, source, synapse, shape=(3,), neuron=KINDS.hidden):
    return Layer(name, {name: (source, synapse)}, NeuronLayer(neuron, shape=shape))


def conv(channels=2, features=4, stride=1):
    return Conv(channels, features, 3, stride=stride, padding=1, rngs=nnx.Rngs(0))


def dense(inputs, features=3):
    return Dense(inputs, features, rngs=nnx.Rngs(0))


READOUT = KINDS.readout


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "the last layer must be a readout"),
        ([layer("conv1", "input", conv())], None),
        ([Layer("conv1", {"conv1": ("input", conv())})], "the last layer must be a readout"),
        ([layer("conv1", "conv0", conv())], "conv1 receives 'conv0', which is no earlier layer; layers so far: input"),
        ([layer("conv1", "input", conv(5))], r"conv1 has a kernel for 5 channels, but input sends \[4, 4, 2\]"),
        ([layer("fc1", "input", dense(8))], r"fc1 has weights for 8 inputs, but input sends \[4, 4, 2\], 32 numbers"),
        ([layer("fc1", "input", dense(32)), layer("conv1", "fc1", conv(3))], r"conv1 .* needs maps .* fc1 sends \[3\]"),
        ([layer("input", "input", conv())], "two layers are called 'input'"),
        ([Layer("fc1", {})], "fc1 has no synapses"),
        (
            [Layer("add", {"a": ("input", conv(stride=2)), "b": ("input", conv())}, NeuronLayer(READOUT))],
            r"the currents of add are joined .sum. and must have one shape, got a \[2, 2, 4\], b \[4, 4, 4\]",
        ),
        (
            [Layer("one", {"a": ("input", conv())}), Layer("two", {"a": ("one", Subsample(2))})],
            "two bundles of synapses are called 'a'",
        ),
    ],
)
def test_tables_that_do_not_fit(layers, message):
    if message is None:
        assert models.Network(layers, input_shape=(4, 4, 2)).names == ()
        return
    with pytest.raises(ValueError, match=message):
        models.Network(layers, input_shape=(4, 4, 2))


def test_a_builder_names_the_layer_that_does_not_fit():
    net = builder()
    with pytest.raises(ValueError, match="conv1: kernel_size must be odd, so that maps keep their size, got 2"):
        net.conv(4, kernel_size=2)
    net = builder()
    net.dense(5)
    with pytest.raises(ValueError, match=r"conv1 is a convolution and needs maps \[H, W, C\], but fc1 has \[5\]"):
        net.conv(4)
    with pytest.raises(ValueError, match="readout must be one of last, mean, .*, got 'first'"):
        builder(readout="first").finish()


def test_a_neuron_that_is_not_causal_is_refused_in_chunks():
    turned = neurons.Neuron((), lambda *_: (), lambda params, carry, x: (carry, x[::-1]), sends="numbers", causal=False)
    net = builder(neurons=KINDS._replace(hidden=turned))
    net.conv(4)
    apply, params, state = models.functionalize(net.finish())
    x = jnp.ones((4, 1, 4, 4, 2))
    assert jax.eval_shape(apply, params, state, x)[0].logits.shape == (1, 3)
    with pytest.raises(ValueError, match="the neurons of conv1 need the whole train at once"):
        models.in_chunks(apply, 2)(params, state, x)


def test_unknown_parameters_are_named():
    net = builder()
    net.conv(4)
    apply, params, state = models.functionalize(net.finish())
    with pytest.raises(ValueError, match="the model has no conv1/bias"):
        apply(params | {"conv1": params["conv1"] | {"bias": jnp.zeros(4)}}, state, jnp.ones((1, 1, 4, 4, 2)))
