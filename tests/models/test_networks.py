"""The paper's deep networks, whole: against the NumPy oracle, in every way of running them, and bad construction."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.traverse_util import flatten_dict

from jaxsnn import losses, models, neurons
from tests.oracles.network import RESNET11, VGG9, network, spiking_names

ORACLES = {"vgg9": VGG9, "resnet11": RESNET11}
LABELS = jnp.asarray([1, 0])


def build(name, size, **options):
    model = models.create(
        name,
        input_shape=(size, size, 3),
        num_classes=options.pop("num_classes", 10),
        param_dtype=jnp.float64 if jax.config.jax_enable_x64 else jnp.float32,
        rngs=nnx.Rngs(0),
        **options,
    )
    return model, *models.functionalize(model)


def signed_spikes(steps, size):
    x = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], (steps, 2, size, size, 3), p=(0.2, 0.5, 0.3))
    return jnp.asarray(x)


def run(apply, params, state, x, key=None):
    @jax.jit
    @partial(jax.value_and_grad, has_aux=True)
    def value_and_grad(params):
        output, _ = apply(params, state, x, train=True, key=key, record=True)
        return losses.squared_error(output.logits, LABELS), output

    (loss, output), gradients = value_and_grad(params)
    return loss, output, kernels(gradients)


def kernels(params):
    return {"/".join(path[:-1]): value for path, value in flatten_dict(params).items()}


def compare(ours, oracle):
    loss, output, gradients = ours
    np.testing.assert_allclose(loss, oracle.loss, rtol=1e-9)
    np.testing.assert_allclose(output.logits, oracle.logits, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(output.potentials, oracle.potentials, rtol=1e-9, atol=1e-10)
    assert output.spike_counts.keys() == oracle.counts.keys()
    for name, count in oracle.counts.items():
        np.testing.assert_array_equal(output.spikes[name].sum(0), count, err_msg=name)
        assert count.sum() > 0, name
    assert gradients.keys() == oracle.gradients.keys()
    for name, expected in oracle.gradients.items():
        assert np.abs(expected).max() > 0, name
        worst = np.abs(gradients[name] - expected).max()
        assert worst <= 1e-9 * np.abs(expected).max(), name


@pytest.mark.parametrize(
    ("name", "gain", "dropout"),
    [
        ("vgg9", 1.5, 0.2),
        pytest.param("resnet11", 2.5, 0.25, marks=pytest.mark.thorough),
        *(
            pytest.param(name, gain, 0.0, marks=pytest.mark.thorough)
            for name, gain in (("vgg9", 1.5), ("resnet11", 2.5))
        ),
    ],
)
def test_narrow_networks_agree_with_the_oracle(x64, name, gain, dropout):
    """Also under dropout: after convolutions and dense layers, also inside blocks and on shortcuts, not after pools."""
    model, apply, params, state = build(name, 18, width=1 / 16, init_gain=gain, dropout=dropout, num_classes=3)
    x, key, masks = signed_spikes(12, 18), jax.random.key(3), {}
    ours = run(apply, params, state, x, key)
    if dropout:
        for number, layer in enumerate(spiking_names(ORACLES[name])):
            if not layer.startswith("pool"):
                shape = ours[1].spikes[layer].shape[1:]
                masks[layer] = model.dropout.mask(jax.random.fold_in(key, number), shape)
    compare(ours, network(ORACLES[name], kernels(params), x, LABELS, masks=masks))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "gain"), [("vgg9", 1.5), ("resnet11", 2.5)])
def test_full_networks_agree_with_the_oracle(x64, name, gain):
    """At full width and size; whole, in pieces, rematerialised, step by step."""
    _, apply, params, state = build(name, 32, init_gain=gain)
    x = signed_spikes(12, 32)
    oracle = network(ORACLES[name], kernels(params), x, LABELS)
    for how in (apply, models.in_chunks(apply, 5), models.in_chunks(apply, 4, remat=True), models.in_chunks(apply, 1)):
        compare(run(how, params, state, x), oracle)


@pytest.mark.parametrize(
    ("neuron", "mask", "ways"),
    [
        (neurons.spikebp(pack_spikes=True), "fixed", [(4, True)]),
        (neurons.lif(pack_spikes=True), "fresh", [(3, False)]),
        (neurons.spikebp(), "fresh", [(3, True), (1, False)]),
        (neurons.lif(), "fixed", [(4, True), (1, False)]),
    ],
)
@pytest.mark.thorough
def test_pieces_of_a_residual_network_are_the_whole(x64, neuron, mask, ways):
    """Chunked with bits, and rematerialised, under dropout: one mask for all pieces, or one for each step."""
    model = models.resnet(
        ((6, 2),),
        stem=4,
        hidden=(),
        input_shape=(8, 8, 3),
        num_classes=3,
        neurons=neuron,
        init_gain=2.5,
        dropout=0.25,
        dropout_mask=mask,
        param_dtype=jnp.float64,
        rngs=nnx.Rngs(0),
    )
    apply, params, state = models.functionalize(model)
    x, key = signed_spikes(7, 8), jax.random.key(1)
    whole = run(apply, params, state, x, key)
    assert all(np.abs(g).max() > 0 for g in whole[2].values())
    for chunk, remat in ways:
        pieces = run(models.in_chunks(apply, chunk, remat=remat), params, state, x, key)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12), pieces, whole)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("vgg9", 5_938_880),
        (
            "resnet7",
            64 * 27 + 9 * (64 * 128 + 128 * 128 + 128 * 256 + 256 * 256) + 64 * 128 + 128 * 256 + 2**24 + 10240,
        ),
        ("resnet9", 64 * 27 + 9 * 3 * (2**13 + 2**15 + 2**17) + 2**13 + 2**15 + 2**17 + 2**23 + 10240),
        ("resnet11", 64 * 27 + 9 * (3 * (2**13 + 2**15 + 2**17) + 2 * 2**18) + 2**13 + 2**15 + 2**17 + 2**23 + 10240),
    ],
)
def test_parameter_counts(name, count):
    """By hand from the widths; convolutions 3x3, shortcuts 1x1, maps of 4x4 (ResNet7: 8x8) before the dense layer."""
    make = partial(models.create, name, input_shape=(32, 32, 3), num_classes=10)
    model = nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0)))
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))) == count


def test_names_of_a_residual_network():
    _, _, params, _ = build("resnet11", 8, width=1 / 32)
    assert list(kernels(params)) == [
        *("block1/conv1", "block1/conv2", "block1/shortcut", "block2/conv1", "block2/conv2", "block2/shortcut"),
        *("block3/conv1", "block3/conv2", "block3/shortcut", "block4/conv1", "block4/conv2", "conv1", "fc1", "fc2"),
    ]


def test_spikes_come_in_network_order_also_from_pieces():
    options = {"input_shape": (4, 4, 1), "num_classes": 3, "rngs": nnx.Rngs(0)}
    apply, params, state = models.functionalize(models.resnet(((3, 1),), stem=2, hidden=(3,), **options))
    found = []

    def names(how):
        output, _ = how(params, state, jnp.zeros((5, 1, 4, 4, 1)), record=True)
        found.append((list(output.spike_counts), list(output.spikes)))  # here: what jit returns, it sorts

    for how in (apply, models.in_chunks(apply, 2)):
        jax.eval_shape(partial(names, how))
    for counts, spikes in found:
        assert counts == ["conv1", "pool1", "block1/conv1", "block1/conv2", "fc1"]
        assert spikes == ["input", *counts]


@pytest.mark.parametrize(("name", "size", "channels"), [("vgg9", 34, 2), ("resnet9", 17, 1), ("lenet", 34, 2)])
def test_any_size_and_channels(name, size, channels):
    model = models.create(name, input_shape=(size, size, channels), num_classes=4, width=1 / 32, rngs=nnx.Rngs(0))
    apply, params, state = models.functionalize(model)
    output, _ = jax.eval_shape(apply, params, state, jnp.ones((2, 3, size, size, channels)))
    assert output.logits.shape == (3, 4)


def test_other_vggs_are_one_line():
    make = {"input_shape": (32, 32, 3), "num_classes": 10, "width": 1 / 32, "rngs": nnx.Rngs(0)}
    vgg16 = models.vgg(((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3), (4096, 4096), **make)
    assert vgg16.names[-3:] == ("pool5", "fc1", "fc2")
    deeper = models.resnet(((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1)), hidden=(), **make)
    blocks = (f"block{n}/conv{k}" for n in range(1, 7) for k in (1, 2))
    assert deeper.names == ("conv1", "pool1", *blocks)


def test_leaks_and_thresholds_of_single_layers():
    *_, state = build(
        "resnet9",
        8,
        width=1 / 16,
        neurons=neurons.spikebp(0.9),
        per_layer={
            "leak": {"block2/conv2": 0.5, "fc2": 0.7},
            "threshold": {"pool1": 0.6, "block1/conv1": 2.0, "fc1": 0.3},
        },
    )
    assert state["block2"]["conv2"]["neurons"]["leak"] == 0.5
    assert state["block2"]["conv1"]["neurons"]["leak"] == pytest.approx(0.9)
    assert state["fc2"]["neurons"]["leak"] == pytest.approx(0.7)
    assert state["pool1"]["neurons"]["threshold"] == pytest.approx(0.6)
    assert state["block1"]["conv1"]["neurons"]["threshold"] == 2.0
    assert state["fc1"]["neurons"]["threshold"] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 4}, "pool3 would halve conv7 of shape .1, 1, 8.: input_shape=.4, 4, 3. is too small"),
        (
            {"per_layer": {"leak": {"conv8": 0.5}}},
            "leak given for conv8: this network has no such layer.* its layers: conv1, conv2, pool1",
        ),
        ({"per_layer": {"leak": {"pool1": 0.5}}}, "leak given for pool1: .* or its neurons have no leak"),
        ({"per_layer": {"threshold": {"fc1": -1.0}}}, "threshold must be > 0, got -1"),
        ({"width": 0.0}, "width and init_gain must be > 0 and finite, got width=0.0"),
        ({"init_gain": -1.0}, "width and init_gain must be > 0 and finite, got init_gain=-1.0"),
        ({"dropout": 1.0}, r"dropout rate must lie in \[0, 1\), got 1.0"),
        ({"num_classes": 0}, "num_classes, all >= 1, got .* and 0"),
    ],
)
def test_bad_construction(options, message):
    with pytest.raises(ValueError, match=message):
        build("vgg9", **({"size": 8, "width": 1 / 32} | options))
