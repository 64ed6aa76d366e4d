"""Options do what they say: start values, order of the readout, initial weights, widths, storage, rematerialisation."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import SURROGATES, losses, models, neurons, spikebp, unroll
from jaxsnn.cells import Cell, lif
from jaxsnn.layers import NeuronLayer

VALUES = [(0.05, 0.01), (0.5, 0.3), (0.9, 1.0), (0.999, 40.0)]


@pytest.mark.parametrize(("leak", "threshold"), VALUES)
@pytest.mark.parametrize("scope", ["", ":layer", ":channel", ":neuron"])
def test_learned_numbers_start_where_they_were_asked_to(leak, threshold, scope):
    learn = (f"leak{scope}", f"threshold{scope}")
    layer = NeuronLayer(neurons.lif(leak, threshold).hidden, learn=learn, shape=(2, 3, 4))
    shape = {":channel": (1, 1, 1, 4), ":neuron": (1, 2, 3, 4)}.get(scope, ())
    found, expected = layer.params(4), (np.full(shape, leak), np.full(shape, threshold))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), tuple(found), expected)
    assert set(nnx.to_pure_dict(nnx.state(layer, nnx.Param))) == {"leak_logit", "threshold_log"}


def test_learned_numbers_of_single_layers_and_of_the_readout():
    per_layer = {"leak": {"conv1": 0.6, "fc2": 0.8}, "threshold": {"fc1": 0.25, "pool2": 0.5}}
    options = {"input_shape": (8, 8, 1), "num_classes": 3, "width": 0.1, "rngs": nnx.Rngs(0)}
    kind = neurons.lif(0.95, 1.5, learn=("leak", "threshold"))
    model = models.create("lenet", neurons=kind, per_layer=per_layer, **options)
    found = {name: getattr(model, f"{name}/neurons").params(2) for name in (*model.names, "fc2")}
    expected = {"conv1": (0.6, 1.5), "conv2": (0.95, 1.5), "fc1": (0.95, 0.25), "fc2": (0.8, 1.5)}
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6, err_msg=name)
    np.testing.assert_allclose([found["pool1"], found["pool2"]], [[0.75], [0.5]])


@pytest.mark.parametrize(
    "make",
    [lambda **how: neurons.lif(0.5, **how), lambda **how: neurons.of_cell(lif.CELL, readout_leak=0.5, **how)],
)
def test_the_readout_leaks_in_the_order_that_was_asked_for(make):
    for leak_first, expected in ((False, [0.5, 0.75, 2.375]), (True, [1, 1.5, 4.75])):
        readout = make(leak_first=leak_first).readout
        carry = readout.init(readout.params, (1, 1), jnp.float32)
        carry, potentials = readout.run(readout.params, carry, jnp.asarray([1.0, 1.0, 4.0])[:, None, None])
        np.testing.assert_array_equal(np.ravel(potentials), expected)
        np.testing.assert_array_equal(np.ravel(carry.potential), expected[-1:])


@pytest.mark.parametrize(("name", "scale", "gain"), [("lenet", 2, 0.5), ("lenet", 2, 3.0), ("resnet7", 1, 3.0)])
def test_the_spread_of_initial_weights(name, scale, gain):
    options = {"input_shape": (8, 8, 2), "num_classes": 10, "width": 0.2, "init_gain": gain, "rngs": nnx.Rngs(1)}
    params = nnx.to_pure_dict(nnx.state(models.create(name, **options), nnx.Param))
    kernels = [np.asarray(kernel) for kernel in jax.tree.leaves(params)]
    for kernel in kernels:
        spread = gain * np.sqrt(scale / np.prod(kernel.shape[:-1]))
        assert kernel.std() == pytest.approx(spread, rel=5 / np.sqrt(2 * kernel.size)), kernel.shape
        assert abs(kernel.mean()) < 5 * spread / np.sqrt(kernel.size)
    assert len(kernels) >= 4


@pytest.mark.parametrize(
    ("width", "features"), [(1.0, [20, 50, 200]), (0.38, [8, 19, 76]), (0.36, [7, 18, 72]), (0.01, [1, 1, 2])]
)
def test_widths_are_rounded_to_the_nearest(width, features):
    options = {"input_shape": (8, 8, 1), "num_classes": 10, "width": width}
    model = nnx.eval_shape(lambda: models.create("lenet", rngs=nnx.Rngs(0), **options))
    assert [getattr(model, name).kernel.shape[-1] for name in ("conv1", "conv2", "fc1", "fc2")] == [*features, 10]


@pytest.mark.parametrize("leak_correction", [True, False])
def test_a_neuron_has_fired_above_a_thousandth(x64, leak_correction):
    """(E8): by hand at LF just below and above, and of neurons that fired once, 5 and 6 steps before the end."""
    params, filtered = lif.LIFParams(0.3, 0.5), jnp.asarray([0.0, 0.9999e-3, 1.0001e-3, 0.5])
    correction = np.log(0.3) * np.asarray(filtered) if leak_correction else 0
    state = spikebp.SpikeBPState(filtered, filtered, jnp.ones(4))
    found = spikebp.derivative(params, state, leak_correction=leak_correction)
    np.testing.assert_allclose(found, (np.array([0, 0, 1, 1]) + correction) / 0.5, rtol=1e-12)

    currents = jnp.zeros((8, 1, 2)).at[2, 0, 0].set(1.0).at[1, 0, 1].set(1.0)  # 0.3^5 = 2.4e-3, 0.3^6 = 7.3e-4

    def total(currents):
        start = spikebp.init(params, (1, 2), currents.dtype)
        return jnp.sum(spikebp.lif(params, start, currents, leak_correction=leak_correction)[1])

    slopes = jax.grad(total)(currents)
    correction = np.log(0.3) * 0.3 ** np.array([5, 6]) if leak_correction else 0
    np.testing.assert_allclose([slopes[2, 0, 0], slopes[1, 0, 1]], (np.array([1, 0]) + correction) / 0.5, rtol=1e-9)


def spikes(steps, shape, dtype=jnp.float32):
    return jax.random.bernoulli(jax.random.key(2), 0.4, (steps, 2, *shape)).astype(dtype)


@pytest.mark.parametrize(
    ("neuron", "readout", "remat"),
    [(neurons.spikebp(0.9), "last", False), (neurons.spikebp(0.9, pack_spikes=True), "mean", True)],
)
def test_any_loss_has_the_gradients_of_the_whole_in_pieces(x64, neuron, readout, remat):
    """One that asks every step, every layer's spikes, and the carry; not the last potential alone."""
    options = {"input_shape": (6,), "num_classes": 3, "param_dtype": jnp.float64, "readout": readout}
    net = models.Builder(neurons=neuron, init_scale=4.0, rngs=nnx.Rngs(0), **options)
    net.dense(8)
    net.dense(7)
    apply, params, state = models.functionalize(net.finish())
    x, labels = spikes(7, (6,), jnp.float64), jnp.asarray([2, 0])

    def loss(params, x, apply):
        output, _ = apply(params, state, x, record=True)
        asked = losses.per_step_cross_entropy(output.potentials, labels) + jnp.sum(jnp.cos(output.answers))
        for name in ("fc1", "fc2"):
            fired = output.spikes[name]
            weights = jnp.sin(jnp.arange(fired.size, dtype=fired.dtype)).reshape(fired.shape)
            asked = asked + jnp.sum(weights * fired) + jnp.sum(jnp.square(output.carry[name].potential))
        return asked

    run = jax.jit(jax.value_and_grad(loss, (0, 1)), static_argnums=2)
    whole, pieces = (run(params, x, how) for how in (apply, models.in_chunks(apply, 3, remat=remat)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11), pieces, whole)
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(whole[1]))


def kept(function, *args):
    """Bytes that the backward pass of a function keeps."""
    pull = jax.eval_shape(lambda *args: jax.vjp(function, *args)[1], *args)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(pull))


def kept_by_network(neuron, steps=64, chunk=None, remat=False):
    """A convolution of 3 channels, a pool and 8 dense neurons, on two samples of 6 x 6."""
    options = {"input_shape": (6, 6, 1), "num_classes": 3, "rngs": nnx.Rngs(0)}
    apply, params, state = models.functionalize(models.vgg(((3,),), (8,), neurons=neuron, **options))
    how = apply if chunk is None else models.in_chunks(apply, chunk, remat=remat)
    return kept(lambda params: how(params, state, spikes(steps, (6, 6, 1)))[0].logits, params)


@pytest.mark.parametrize("chunk", [None, 8])
def test_packed_spikes_take_an_eighth(chunk):
    """By the rule each neuron's own spikes are kept, and, as by `lif`, what the dense layers receive."""
    own, received = 108 + 27 + 8, 27 + 8
    for kind, count in ((neurons.spikebp, own + received), (neurons.lif, received)):
        saved = kept_by_network(kind(), chunk=chunk) - kept_by_network(kind(pack_spikes=True), chunk=chunk)
        assert saved == 64 * 2 * count * 7 // 8


def test_rematerialised_pieces_keep_nothing_but_the_states_between_them():
    """Twice the steps in as many pieces keep more input, and hardly more; also of a shorter last piece."""
    for steps, chunk in ((64, 8), (63, 32)):
        less = kept_by_network(neurons.spikebp(), steps=steps, chunk=chunk, remat=True)
        more = kept_by_network(neurons.spikebp(), steps=2 * steps, chunk=2 * chunk, remat=True)
        assert abs(more - less - steps * 2 * 36 * 4) < 100
        assert kept_by_network(neurons.spikebp(), steps=steps, chunk=chunk) > less + steps * 2 * 100


class Deep(NamedTuple):
    """A cell with inner values that its backward pass needs."""

    threshold: Any = 1.0


def deep(params, state, current, *, spike):
    inner = state.potential + current
    for _ in range(8):
        inner = jnp.tanh(2 * inner)
    fired = spike(inner - params.threshold)
    return lif.LIFState(inner * (1 - jax.lax.stop_gradient(fired))), fired


def test_rematerialised_cells_keep_no_inner_values():
    cell = Cell(Deep, lambda params, shape, dtype: lif.LIFState(jnp.zeros(shape, dtype)), deep)
    x, sizes = jnp.ones((32, 2, 5)), []
    for remat in (False, True):
        neuron = neurons.of_cell(cell, SURROGATES["arctan"], remat=remat).hidden
        rest = neuron.init(neuron.params, x.shape[1:], x.dtype)
        sizes.append(kept(lambda x, run=neuron.run, params=neuron.params, rest=rest: run(params, rest, x)[1], x))
    assert sizes[0] >= 8 * x.nbytes
    assert sizes[1] <= 3 * x.nbytes  # states and currents


def test_an_unroll_in_rematerialised_pieces_keeps_the_states_between_them():
    x, rest, step = jnp.ones((64, 2, 5)), lif.init(lif.LIFParams(), (2, 5)), partial(lif.step, lif.LIFParams())
    for chunk, most in ((None, 64), (8, 8), (16, 4)):
        size = kept(lambda x, chunk=chunk: unroll(step, rest, x, chunk=chunk, remat=True).outputs, x)
        assert x.nbytes < size <= x.nbytes + most * 2 * 5 * 4 + 100


@pytest.mark.parametrize("precision", ["exact", "default"])
def test_neurons_at_the_threshold_stay_silent_where_products_are_exact(precision):
    """Whole weights make whole currents, and one that is V_th does not fire; the fastest products miss that."""
    generator, threshold = np.random.default_rng(0), 20.0
    options = {"input_shape": (16, 16, 2), "num_classes": 4, "width": 0.25, "neurons": neurons.lif(1.0, threshold)}
    model = models.create("vgg9", precision=precision, rngs=nnx.Rngs(0), **options)
    apply, params, state = models.functionalize(model)
    params = jax.tree.map(lambda p: jnp.asarray(generator.integers(-31, 32, p.shape), p.dtype), params)
    x = generator.integers(0, 2, (1, 16, 16, 16, 2))
    spikes = jax.jit(partial(apply, record=True))(params, state, jnp.asarray(x, jnp.float32))[0].spikes
    spikes = {name: np.asarray(train, np.int64) for name, train in {"input": x, **spikes}.items()}
    same = []
    for connection in models.connections(model):
        if connection.kind != "conv":
            continue
        padded = np.pad(spikes[connection.source][0], ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
        kernel = np.asarray(params[connection.target]["kernel"], np.int64)
        currents = np.einsum("bhwcij,ijcf->bhwf", windows, kernel)
        assert np.sum(currents == threshold) > 5
        same.append(np.array_equal(spikes[connection.target][0], currents > threshold))
    assert len(same) == 7
    # the inexact ones are the CPU's; an accelerator multiplies such small numbers exactly
    assert all(same) == (precision == "exact" or jax.default_backend() != "cpu")
