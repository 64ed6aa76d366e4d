"""Average pools without neurons, against the same network with plain synapses under jax's own differentiation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import encoding, losses, models, neurons
from jaxsnn.cells import lif

LABELS = jnp.asarray([2, 0])


def build(neuron, dtype=jnp.float32, **options):
    model = models.create(
        "lenet",
        input_shape=(8, 9, 2),
        num_classes=3,
        neurons=neuron,
        pool="average",
        width=0.4,
        init_gain=2.5,
        param_dtype=dtype,
        rngs=nnx.Rngs(0),
        **options,
    )
    return models.functionalize(model)


def spikes(dtype=jnp.float32):
    images = jax.random.uniform(jax.random.key(0), (2, 8, 9, 2), dtype, -1, 1)
    return encoding.poisson(jax.random.key(1), images, 7)


def loss(params, apply, state, x):
    output, _ = apply(params, state, x, train=True, key=jax.random.key(5), record=True)
    return losses.squared_error(output.logits, LABELS), output


def plain(neuron, params, x):
    """The loss and the spike trains, with synapses that jax differentiates by itself."""

    def conv(x, kernel):
        return jax.vmap(
            lambda x: jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
        )(x)

    def pool(x):
        height, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
        return sum(x[:, :, i:height:2, j:width:2] for i in (0, 1) for j in (0, 1)) / 4

    def fire(currents):
        hidden = neuron.hidden
        constants = lif.LIFParams(*(jnp.asarray(number, x.dtype) for number in hidden.params))
        return hidden.run(constants, hidden.init(constants, currents.shape[1:], x.dtype), currents)[1]

    kernels = {name: layer["kernel"] for name, layer in params.items()}
    trains = {"conv1": fire(conv(x, kernels["conv1"]))}
    trains["conv2"] = fire(conv(pool(trains["conv1"]), kernels["conv2"]))
    flat = pool(trains["conv2"]).reshape(*x.shape[:2], -1)
    trains["fc1"] = fire(flat @ kernels["fc1"])
    constants = neuron.readout.params._replace(leak=jnp.asarray(neuron.readout.params.leak, x.dtype))
    currents = trains["fc1"] @ kernels["fc2"]
    rest = neuron.readout.init(constants, currents.shape[1:], x.dtype)
    logits = neuron.readout.run(constants, rest, currents)[1][-1] / (constants.threshold * len(x))
    return losses.squared_error(logits, LABELS), trains


@pytest.mark.parametrize(
    "neuron",
    [
        pytest.param(neurons.spikebp(0.9, pack_spikes=True), id="spikebp"),
        pytest.param(neurons.lif(0.9, pack_spikes=True), id="lif", marks=pytest.mark.thorough),
    ],
)
def test_gradients_are_those_of_plain_synapses(x64, neuron):
    """Fractions reach the layers behind a pool, so bits or bytes of them would make wrong weight gradients."""
    apply, params, state = build(neuron, jnp.float64)
    x = spikes(jnp.float64)
    reference = jax.jit(jax.value_and_grad(partial(plain, neuron), has_aux=True))
    (expected, trains), gradients = reference(params, x)
    for how in (apply, models.in_chunks(apply, 3)):
        ours = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)(params, how, state, x)
        (value, output), found = ours
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-13), found, gradients)
        for name, train in trains.items():
            np.testing.assert_array_equal(output.spikes[name], train)
            assert 0 < train.mean() < 1, name
        assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(found))


def test_it_sends_no_spikes_and_keeps_nothing():
    apply, params, state = build(neurons.spikebp())
    assert "pool1" not in state
    for how in (apply, models.in_chunks(apply, 2)):
        output, _ = jax.eval_shape(partial(how, record=True), params, state, spikes())
        assert set(output.spike_counts) == {"conv1", "conv2", "fc1"}
        assert set(output.spikes) == {"input", *output.spike_counts}
        assert "pool1" not in output.carry


def test_dropout_masks_do_not_depend_on_the_kind_of_pool():
    """The layers keep their random numbers, so that runs with the two kinds of pool can be compared in pairs."""
    x = jnp.ones((1, 2, 4, 4, 1))
    options = {"input_shape": (4, 4, 1), "num_classes": 3, "dropout": 0.5, "init_gain": 20.0}
    dropped = []
    for pool in ("spiking", "average"):
        net = models.Builder(init_scale=2.0, pool=pool, rngs=nnx.Rngs(0), **options)
        net.pool()
        net.dense(40)
        apply, params, state = models.functionalize(net.finish())
        params["fc1"]["kernel"] = jnp.abs(params["fc1"]["kernel"])  # every neuron of fc1 fires
        gradient = jax.jit(jax.grad(loss, has_aux=True), static_argnums=1)(params, apply, state, x)[0]
        dropped.append(gradient["fc2"]["kernel"] == 0)
    assert dropped[0].any()
    np.testing.assert_array_equal(*dropped)


def test_unknown_pool():
    with pytest.raises(ValueError, match="pool must be one of spiking, average, max, got 'sum'"):
        models.create("lenet", input_shape=(8, 8, 1), num_classes=3, pool="sum", rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="threshold given for pool1: this network has no such layer"):
        build(neurons.spikebp(), per_layer={"threshold": {"pool1": 0.5}})
