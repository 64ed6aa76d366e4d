import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsnn import analysis, models, synapses
from jaxsnn.layers import Layer
from jaxsnn.layers.synapses import NO_PADS
from jaxsnn.synapses import Connection
from jaxsnn.synapses.im2col import output_size
from tests.analysis.brute import loops_fan_out, spike_by_spike


def convolution(height, width, kernel, channels, features, stride, padding):
    pads = synapses.resolve_padding((height, width), kernel, stride, padding)
    reached = (*output_size((height, width), kernel, stride, pads), features)
    shape = (*kernel, channels, features)
    return Connection("conv1", "input", "conv1", "conv", shape, stride, pads, (height, width, channels), reached)


@settings(max_examples=200, deadline=None)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    features=st.integers(1, 3),
    stride=st.integers(1, 4),
    padding=st.sampled_from(["SAME", "VALID", 0, 1, 2]),
)
def test_fan_out_of_any_convolution(size, kernel, features, stride, padding):
    connection = convolution(*size, kernel, 2, features, stride, padding)
    if min(connection.output_shape) < 1:  # the kernel does not fit
        return
    np.testing.assert_array_equal(analysis.fan_out(connection), loops_fan_out(connection))


@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, "SAME")])
def test_fan_out_is_what_the_synapses_do(stride, padding):
    """The derivative of the sum of all currents by the input, by the library's own convolution."""
    connection = convolution(7, 5, (3, 3), 2, 4, stride, padding)
    weights = np.random.default_rng(0).integers(0, 2, connection.kernel)

    @jax.jit
    @jax.grad
    def derivative(x, kernel):
        return synapses.conv(x, kernel, stride=stride, padding=padding, precision="exact").sum()

    for kernel, given_weights in ((weights, weights), (np.ones_like(weights), None)):
        found = derivative(jnp.zeros((1, 1, *connection.input_shape)), jnp.asarray(kernel, jnp.float32))[0, 0]
        np.testing.assert_array_equal(analysis.fan_out(connection, given_weights), found)


def test_a_recurrent_connection_to_the_others_alone():
    """A neuron reaches all but itself, whatever its own weight is."""
    connection = Connection("fc1", "fc1", "fc1", "dense", (4, 4), 1, NO_PADS, (4,), (4,), hollow=True)
    np.testing.assert_array_equal(analysis.fan_out(connection), [3, 3, 3, 3])
    weights = np.ones((4, 4))
    weights[1, 1] = weights[2, 3] = 0
    np.testing.assert_array_equal(analysis.fan_out(connection, weights), [3, 3, 2, 3])
    np.testing.assert_array_equal(analysis.fan_out(connection._replace(hollow=False), weights), [4, 3, 3, 4])


def test_weights_of_another_shape():
    with pytest.raises(ValueError, match=r"conv1 has weights \(3, 3, 2, 4\), got \(3, 3, 4, 2\)"):
        analysis.fan_out(convolution(7, 5, (3, 3), 2, 4, 1, 1), np.ones((3, 3, 4, 2)))


NETWORKS = {
    "vgg, odd size": lambda **o: models.vgg(((4, 3), (5,)), (6,), input_shape=(11, 9, 2), **o),
    "lenet": lambda **o: models.lenet(width=0.2, input_shape=(9, 13, 1), **o),
    "resnet, both shortcuts": lambda **o: models.resnet(
        ((5, 2), (5, 2), (6, 1), (6, 1)), stem=3, hidden=(7,), input_shape=(15, 11, 3), **o
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_spike_by_spike(name):
    """Every connection of whole networks on random trains of the shapes that the network itself sends."""
    model = NETWORKS[name](num_classes=4, rngs=nnx.Rngs(0))
    connections = models.connections(model)
    apply, params, state = models.functionalize(model)
    x = jnp.zeros((3, 2, *model.input_shape))
    output = jax.eval_shape(lambda x: apply(params, state, x, record=True)[0], x)
    generator = np.random.default_rng(1)
    trains = {k: generator.choice([-1, 0, 1], v.shape, p=(0.1, 0.7, 0.2)) for k, v in output.spikes.items()}
    found = analysis.synaptic_operations(trains, connections)
    assert {c.source for c in connections} == set(trains)
    for connection in connections:
        assert connection.input_shape == trains[connection.source].shape[2:], connection
        if connection.target in trains:
            assert connection.output_shape == trains[connection.target].shape[2:], connection
        expected = spike_by_spike(trains[connection.source], connection)
        np.testing.assert_array_equal(found[connection.name], expected, err_msg=connection.name)
        assert expected.min() > 0
        assert analysis.dense_operations(connection) == loops_fan_out(connection).sum()
    if "resnet" in name:
        assert [c.kind for c in connections if c.name.endswith("shortcut")] == [
            "conv",
            "subsample",
            "conv",
            "subsample",
        ]
        assert {c.target for c in connections if c.name.endswith("shortcut")} == {
            f"block{n}/conv2" for n in (1, 2, 3, 4)
        }


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_random_networks_spike_by_spike(data):
    """VGG and residual networks of random depth, widths, strides and odd sizes."""
    size, width = st.integers(8, 13), st.integers(1, 4)
    options = {
        "input_shape": (data.draw(size), data.draw(size), data.draw(st.integers(1, 3))),
        "num_classes": data.draw(st.integers(2, 4)),
        "hidden": data.draw(st.lists(width, max_size=1)),
    }
    if data.draw(st.booleans()):
        parts = data.draw(st.lists(st.lists(width, min_size=1, max_size=2), min_size=1, max_size=2))
        make = models.vgg
    else:
        parts = data.draw(st.lists(st.tuples(width, st.integers(1, 3)), min_size=1, max_size=3))
        options["stem"], make = data.draw(width), models.resnet
    connections = models.connections(nnx.eval_shape(lambda: make(parts, rngs=nnx.Rngs(0), **options)))
    generator = np.random.default_rng(data.draw(st.integers(0, 100)))
    trains = {c.source: generator.choice([-1, 0, 1], (2, 2, *c.input_shape)) for c in connections}
    found = analysis.synaptic_operations(trains, connections)
    assert len(found) == len(connections)
    for c in connections:
        np.testing.assert_array_equal(found[c.name], spike_by_spike(trains[c.source], c), err_msg=str(c))


def test_spikes_pass_a_pool_without_neurons():
    """Each spike counts what its pooled pixel reaches; rows that the pool drops reach nothing."""
    model = NETWORKS["vgg, odd size"](num_classes=4, pool="average", rngs=nnx.Rngs(0))
    plain = {c.name: c for c in models.connections(model)}
    assert {c.name: (c.source, c.input_shape, c.through and c.through.kernel[0]) for c in plain.values()} == {
        "conv1": ("input", (11, 9, 2), None),
        "conv2": ("conv1", (11, 9, 4), None),
        "conv3": ("conv2", (11, 9, 3), 2),
        "fc1": ("conv3", (5, 4, 5), 2),
        "fc2": ("fc1", (6,), None),
    }
    behind = plain["conv3"]._replace(input_shape=(5, 4, 3), through=None)
    assert behind == plain["conv3"].behind._replace(source="conv2")
    expected = np.zeros((11, 9, 3), int)
    for h in range(10):
        for w in range(8):
            expected[h, w] = loops_fan_out(behind)[h // 2, w // 2]
    np.testing.assert_array_equal(analysis.fan_out(plain["conv3"]), expected)
    assert analysis.dense_operations(plain["conv3"]) == loops_fan_out(behind).sum()
    assert analysis.fan_out(plain["fc1"]).sum() == 2 * 2 * 5 * 4 * 6


def test_operations_of_the_papers_networks():
    """VGG9 on CIFAR-10, by hand: 3x3 with padding 1 on n x n maps has (3n - 2)^2 taps inside the map."""
    model = nnx.eval_shape(lambda: models.create("vgg9", input_shape=(32, 32, 3), num_classes=10, rngs=nnx.Rngs(0)))
    found = {c.name: analysis.dense_operations(c) for c in models.connections(model) if c.weighted}
    taps = {n: (3 * n - 2) ** 2 for n in (32, 16, 8)}
    assert found == {
        "conv1": taps[32] * 3 * 64,
        "conv2": taps[32] * 64 * 64,
        "conv3": taps[16] * 64 * 128,
        "conv4": taps[16] * 128 * 128,
        "conv5": taps[8] * 128 * 256,
        "conv6": taps[8] * 256 * 256,
        "conv7": taps[8] * 256 * 256,
        "fc1": 4 * 4 * 256 * 1024,
        "fc2": 1024 * 10,
    }


def test_weights_of_zero_are_no_synapses():
    connection = Connection("fc1", "input", "fc1", "dense", (4, 3), 1, NO_PADS, (2, 2, 1), (3,))
    kernel = np.array([[1, 0, 2], [0, 0, 0], [1, 1, 1], [0, 3, 0]])
    train = np.array([1, 1, 0, -1]).reshape(1, 1, 2, 2, 1)
    assert analysis.synaptic_operations({"input": train}, (connection,))["fc1"] == [9]
    params = {"fc1": {"kernel": kernel}}
    assert analysis.synaptic_operations({"input": train}, (connection,), params)["fc1"] == [3]


def test_a_train_that_is_missing():
    connection = convolution(7, 5, (3, 3), 2, 4, 1, 1)
    with pytest.raises(ValueError, match="conv1 carries input, whose train is missing"):
        analysis.synaptic_operations({}, (connection,))


def test_unknown_layers_are_named():
    layer = Layer("fc1", {"fc1": ("input", nnx.Linear(2, 2, rngs=nnx.Rngs(0)))})
    with pytest.raises(TypeError, match="fc1 is a Linear: synapses need a method `connection`"):
        models.Network([layer], input_shape=(2,))
