"""Synapses, joins and delays in a network: each against the same network written by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import analysis, models, neurons
from jaxsnn.cells import lif as lif_cell
from jaxsnn.layers import Attend, Conv, DelayedDense, Dense, Identity, Layer, MaxPool, NeuronLayer, SelfAttention
from jaxsnn.storage import storage_of
from tests.analysis.brute import spike_by_spike

LIF = neurons.lif(leak=0.8, leak_first=True)
T, B = 5, 2


def fire(currents):
    """The neurons of `LIF`, alone."""
    step = functools.partial(lif_cell.step, lif_cell.LIFParams(0.8), leak_first=True)
    return jax.lax.scan(step, lif_cell.LIFState(jnp.zeros(currents.shape[1:])), currents)[1]


def build(make, **options):
    defaults = {"input_shape": (6, 6, 4), "num_classes": 3, "init_scale": 6.0, "neurons": LIF, "rngs": nnx.Rngs(0)}
    net = models.Builder(**defaults | options)
    make(net)
    module = net.finish()
    return module, *models.functionalize(module)


def spikes_of(apply, params, state, x, **options):
    return jax.jit(lambda p, s, x: apply(p, s, x, record=True, **options)[0].spikes)(params, state, x)


def spikes(shape=(6, 6, 4), rate=0.5):
    return jax.random.bernoulli(jax.random.key(3), rate, (T, B, *shape)).astype(jnp.float32)


def test_bias_groups_dilation_and_any_padding():
    def make(net):
        net.conv(8, groups=2)
        net.conv(8, groups=0)
        net.conv(4, dilation=2, padding=((1, 0), (2, 3)))
        net.dense(6)

    module, apply, params, state = build(make, bias=True)
    assert [params[name]["bias"].shape for name in ("conv1", "conv2", "conv3", "fc1", "fc2")] == [
        (8,),
        (8,),
        (4,),
        (6,),
        (3,),
    ]
    assert params["conv1"]["kernel"].shape == (3, 3, 2, 8)
    assert params["conv2"]["kernel"].shape == (3, 3, 1, 8)
    params = jax.tree.map(lambda p: p + 0.3 if p.ndim == 1 else p, params)
    trains = spikes_of(apply, params, state, spikes())
    x = trains["input"]
    y = jax.lax.conv_general_dilated(
        x.reshape(T * B, 6, 6, 4),
        params["conv1"]["kernel"],
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=2,
    )
    expected = fire(y.reshape(T, B, 6, 6, 8) + params["conv1"]["bias"].reshape(1, 1, 1, 1, 8))
    np.testing.assert_array_equal(trains["conv1"], expected)
    assert trains["conv3"].shape == (T, B, 3, 7, 4)
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(apply(p, state, x)[0].logits[:, 0])))(params)
    np.testing.assert_allclose(gradient["fc2"]["bias"][1:], 0)
    assert all((gradient[name]["bias"] != 0).any() for name in ("conv1", "conv2", "conv3", "fc1", "fc2"))
    connections = models.connections(module)
    recorded = jax.tree.map(np.asarray, trains)
    found = analysis.synaptic_operations(recorded, connections)
    for c in connections:
        np.testing.assert_array_equal(found[c.name], spike_by_spike(recorded[c.source], c), err_msg=c.name)


def test_an_energy_report_counts_a_bias_as_an_addition_per_neuron_and_step():
    energies = []
    for bias in (False, True):
        module, *_ = build(lambda net: net.dense(6), bias=bias)
        connections = models.connections(module)
        none = {c.name: 0.0 for c in connections}
        quiet = {"input": 0.0, "fc1": 0.0}
        counts = analysis.Counts(T, 1, connections, none, quiet, dict.fromkeys(quiet, False))
        energies.append(analysis.energy(counts, table="float32").synapses)
    assert energies[0].spiking == 0
    np.testing.assert_allclose(energies[1].spiking, 0.9 * T * (6 + 3))
    np.testing.assert_allclose(energies[1].relu - energies[0].relu, 0.9 * (6 + 3))


def test_max_and_global_pools():
    def make(net):
        net.pool()
        net.conv(5)
        net.pool(None)

    module, apply, params, state = build(make, pool="max")
    trains = spikes_of(apply, params, state, spikes())
    assert list(trains) == ["conv1", "input", "pool1"]  # jit sorts; the global average is passed through
    assert module.names == ("pool1", "conv1")
    x = trains["input"].reshape(T, B, 3, 2, 3, 2, 4)
    np.testing.assert_array_equal(trains["pool1"], x.max((3, 5)))
    (last,) = (c for c in models.connections(module) if c.name == "fc1")
    assert (last.source, last.through.kernel, last.input_shape) == ("conv1", (3, 3), (3, 3, 5))
    assert (analysis.operations.fan_out(last) == 3).all()
    rows = {row.name: row for row in module.rows}
    assert rows["pool1"].kind(["spikes"]) == "spikes"
    assert rows["pool2"].through


@pytest.mark.parametrize("how", ["sum", "and", "iand"])
def test_joins_of_spikes(how):
    def make(net):
        net.conv(4)
        start = net.here()
        net.conv(4)
        net.join("join", ("around", start), how)

    module, apply, params, state = build(make)
    trains = spikes_of(apply, params, state, spikes())
    x, y = trains["conv1"], trains["conv2"]
    expected = {"sum": x + y, "and": x * y, "iand": x * (1 - y)}[how]
    assert expected.any()
    np.testing.assert_array_equal(trains["join"], expected)
    kind = next(row for row in module.rows if row.name == "join").kind(["spikes", "spikes"])
    assert kind == {"sum": "counts", "and": "spikes", "iand": "spikes"}[how]
    assert storage_of(kind, pack=True) == {"sum": "bytes", "and": "bits", "iand": "bits"}[how]
    gradient = jax.jit(jax.grad(lambda p: apply(p, state, trains["input"])[0].logits.sum()))(params)
    assert all((gradient[name]["kernel"] != 0).any() for name in ("conv1", "conv2"))


def test_neurons_before_the_weights_receive_a_sum():
    def make(net):
        net.conv(4, neurons=False)
        start = net.here()
        net.neurons()
        net.conv(4, neurons=False)
        net.join("join", ("around", start), neurons=True)

    _, apply, params, state = build(make)
    trains = spikes_of(apply, params, state, spikes())
    np.testing.assert_array_equal(trains["act1"], fire(trains["conv1"]))
    np.testing.assert_array_equal(trains["join"], fire(trains["conv1"] + trains["conv2"]))
    activity = analysis.activity(apply, params, state, trains["input"])
    assert list(activity) == ["input", "act1", "join"]  # convolutions send currents here


def test_an_input_that_stays_is_computed_once(x64):
    """Same output, same statistics, same gradients, a fifth of the first products."""

    def make(net):
        net.conv(4)
        net.conv(4)

    results, flops = [], []
    for static in (False, True):
        _, apply, params, state = build(make, norm="bn", static_input=static, param_dtype=jnp.float64)
        x = jnp.broadcast_to(jax.random.normal(jax.random.key(0), (1, B, 6, 6, 4), jnp.float64), (T, B, 6, 6, 4))

        def run(params, apply=apply, state=state, x=x):
            output, after = apply(params, state, x, train=True)
            return jnp.sum(jnp.sin(output.potentials)), after

        step = jax.jit(jax.value_and_grad(run, has_aux=True))
        results.append(step(params))
        cost = jax.jit(lambda p, apply=apply, state=state, x=x: apply(p, state, x)[0].logits).lower(params)
        flops.append(cost.compile().cost_analysis()["flops"])
    ((value, after), gradient), ((value_once, after_once), gradient_once) = results
    np.testing.assert_allclose(value, value_once, rtol=1e-12)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12), gradient, gradient_once)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-10), after, after_once)
    assert flops[1] < 0.85 * flops[0]  # neurons and the second layer stay


def test_currents_of_an_input_that_stays_are_counted_at_every_step():
    def make(net):
        net.conv(4, neurons=False)
        net.neurons()

    found = []
    for static in (False, True):
        _, apply, params, state = build(make, static_input=static)
        x = jnp.broadcast_to(jax.random.normal(jax.random.key(0), (1, B, 6, 6, 4)), (T, B, 6, 6, 4))
        found.append(apply(params, state, x, count=True)[0].spike_counts)
    jax.tree.map(np.testing.assert_array_equal, *found)
    np.testing.assert_array_equal(found[0]["conv1"], T * 6 * 6 * 4)  # a current is hardly ever zero


def test_attention_is_the_sum_over_tokens():
    q, k, v = (jax.random.bernoulli(jax.random.key(n), 0.5, (T, B, 2, 3, 8)).astype(jnp.float32) for n in range(3))
    expected = np.zeros((T, B, 6, 8))
    flat = [np.asarray(x).reshape(T, B, 6, 2, 4) for x in (q, k, v)]
    for head in range(2):
        score = np.einsum("tbnd,tbmd->tbnm", flat[0][..., head, :], flat[1][..., head, :])
        expected[..., 4 * head : 4 * head + 4] = 0.25 * score @ flat[2][..., head, :]
    mix = SelfAttention(heads=2, scale=0.25)
    np.testing.assert_allclose(jax.jit(mix)([q, k, v]), expected.reshape(q.shape), rtol=1e-6)
    few = [x[:, :, :1] for x in (q, k, v)]  # the other order of the products
    score = np.einsum("tbnhd,tbmhd->tbhnm", *(np.asarray(x).reshape(T, B, 3, 2, 4) for x in few[:2]))
    value = np.asarray(few[2]).reshape(T, B, 3, 2, 4)
    np.testing.assert_allclose(
        jax.jit(mix)(few), 0.25 * np.einsum("tbhnm,tbmhd->tbnhd", score, value).reshape(few[0].shape), rtol=1e-6
    )
    with pytest.raises(ValueError, match="whose 8 channels 3 heads divide"):
        SelfAttention(heads=3)([q, k, v])


def test_delays_by_hand_and_in_chunks():
    layer = DelayedDense(3, 2, 4, rngs=nnx.Rngs(0))
    delay = jnp.asarray([[0.2, 3.6], [2.0, 9.0], [-1.0, 1.4]])
    layer.delay[...] = delay
    x = jax.random.normal(jax.random.key(0), (9, B, 3))
    expected = np.zeros((9, B, 2))
    for i, j in np.ndindex(3, 2):
        late = int(np.clip(np.round(delay[i, j]), 0, 4))
        for t in range(late, 9):
            expected[t, :, j] += layer.kernel[...][i, j] * x[t - late, :, i]
    np.testing.assert_allclose(jax.jit(layer)(x), expected, rtol=1e-5, atol=1e-6)
    shares = layer.taps(train=True) / layer.kernel[...][None]
    np.testing.assert_allclose(shares.sum(0), 1, rtol=1e-5)
    np.testing.assert_allclose(shares[2, 1, 0] / shares[3, 1, 0], np.exp(0.5 / 0.25), rtol=1e-4)

    _, apply, params, state = build(lambda net: net.dense(6), delays=3, input_shape=(5,))
    x = jax.random.normal(jax.random.key(0), (7, B, 5))
    whole, parts = (
        jax.jit(jax.value_and_grad(lambda p, run=run: jnp.sum(jnp.sin(run(p, state, x, train=True)[0].potentials))))
        for run in (apply, models.in_chunks(apply, 2))
    )
    for a, b in zip(jax.tree.leaves(whole(params)), jax.tree.leaves(parts(params)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert (whole(params)[1]["fc1"]["delay"] != 0).any()
    with pytest.raises(ValueError, match="delays need longest >= 1 and sigma > 0 time steps, got 0 and 0.5"):
        DelayedDense(3, 2, 0, rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    "name",
    [
        "fast_cifar",
        *(
            pytest.param(name, marks=pytest.mark.thorough)
            for name in ("spikformer_4_256", "sew_add_resnet20", "plif_mnist", "resnet20", "ms_resnet20", "vgg11")
        ),
    ],
)
def test_the_fields_networks_train(name):
    """Every kernel gets a gradient, and the operations are counted by loops."""
    size = 32 if name == "vgg11" else 8
    module = models.create(
        name,
        input_shape=(size, size, 3),
        num_classes=3,
        norm="bn",
        pool="max",
        width=0.125,
        neurons=neurons.lif(0.5, 0.5, leak_first=True),
        static_input=True,
        rngs=nnx.Rngs(0),
    )
    apply, params, state = models.functionalize(module)
    x = jnp.broadcast_to(jax.random.normal(jax.random.key(0), (1, 4, size, size, 3)), (2, 4, size, size, 3))

    @jax.jit
    def step(params, x):
        def loss(params):
            output, after = apply(params, state, x, train=True, record=True)
            return jnp.sum(jnp.sin(output.logits * 3)), (output.spikes, after)

        return jax.grad(loss, has_aux=True)(params)

    gradient, (trains, after) = step(params, x)
    quiet = [path for path, leaf in jax.tree.leaves_with_path(gradient) if not (leaf != 0).any()]
    assert not quiet
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((gradient, after)))
    trains = jax.tree.map(np.asarray, trains)
    connections = [
        c
        for c in models.connections(module)
        if c.kind != "attention" and c.target != "voting" and np.prod(c.output_shape) < 600
    ]
    found = analysis.synaptic_operations(trains, connections)
    for c in connections[-8:]:
        np.testing.assert_array_equal(found[c.name], spike_by_spike(trains[c.source], c), err_msg=c.name)


def test_parameter_counts():
    """Of the networks as published: see their docstrings."""

    def weights(name, **options):
        shape = {"input_shape": (32, 32, 3), "num_classes": 10, "norm": "bn"}
        module = nnx.eval_shape(lambda: models.create(name, rngs=nnx.Rngs(0), **shape | options))
        return sum(leaf.size for leaf in jax.tree.leaves(nnx.split(module, nnx.Param, ...)[1]))

    counts = {name: weights(name) for name in ("resnet18", "sew_add_resnet18", "resnet19", "ms_resnet20")}
    assert counts == {
        "resnet18": 11_173_952,
        "sew_add_resnet18": 11_173_952,
        "resnet19": 12_631_104,
        "ms_resnet20": 272_464,
    }
    assert weights("spikformer_4_256", pool="max") == 4_145_952
    assert weights("vgg16", norm="") == 14_710_464 + 512 * 10


def plain(name, source, synapse, neuron=None, **options):
    made = None if neuron is None else NeuronLayer(neuron)
    return Layer(name, {name: (source, synapse)}, made, **options)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([plain("a", "input", Identity(), join="or")], "a: join must be one of sum, and, iand or a function, got 'or'"),
        ([plain("a", "input", Identity(), join="iand")], "a joins by iand, which needs two bundles of synapses, got 1"),
        ([plain("a", "input", MaxPool(9))], r"a pools windows of 9x9, but input sends \[4, 4, 2\]"),
        ([plain("fc1", "input", Dense(32, 3, rngs=nnx.Rngs(0))), plain("a", "fc1", Attend())], "a attends to maps"),
        (
            [plain("a", "input", Conv(2, 4, 3, dilation=2, padding=0, rngs=nnx.Rngs(0)))],
            r"a: a kernel that spans \[5, 5\] does not fit maps \[4, 4, 2\] of input",
        ),
        ([plain("a", "input", DelayedDense(9, 3, 2, rngs=nnx.Rngs(0)))], "a has weights for 9 inputs, but input sends"),
    ],
)
def test_layers_that_do_not_fit(layers, message):
    with pytest.raises(ValueError, match=message):
        models.Network(layers, input_shape=(4, 4, 2))


def test_bad_synapses():
    with pytest.raises(ValueError, match="groups=3 does not divide 4 channels and 6 features"):
        Conv(4, 6, 3, groups=3, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="conv1: kernel_size must be odd, .* got 2; or give padding"):
        build(lambda net: net.conv(4, 2))
    with pytest.raises(ValueError, match="join must be one of plain, sew_add, .* got 'sum'"):
        models.cifar_resnet(((4, 1),), join="sum", input_shape=(8, 8, 1), num_classes=2, rngs=nnx.Rngs(0))


def test_parts_of_the_fast_network():
    """A stage pools the currents of its first convolution, then normalises them; its second one is like any other."""
    model = models.fast(
        ((3, 4), (5, 0)),
        input_shape=(8, 8, 3),
        num_classes=2,
        neurons=neurons.lif(),
        norm="bn",
        rngs=nnx.Rngs(0),
    )
    apply, params, state = models.functionalize(model)
    assert list(apply(params, state, jnp.ones((2, 1, 8, 8, 3)), count=True)[0].neuron_counts) == [
        "pool1",
        "conv2",
        "pool2",
    ]
    assert {name for name, layer in params.items() if "norm" in layer} == {"pool1", "conv2", "pool2"}
    assert params.keys() == {"conv1", "pool1", "conv2", "conv3", "pool2", "fc1"}
