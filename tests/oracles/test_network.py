"""Checks of the oracle itself: against the LeNet oracle, direct loops, finite differences and dense matrices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.oracles.lenet import lenet
from tests.oracles.network import (
    LENET,
    RESNET11,
    VGG9,
    network,
    spiking_names,
    strided_conv,
    strided_conv_input_gradient,
    strided_conv_weight_gradient,
    weight_names,
)


def signed_spikes(rng, shape):
    """Random input spikes in {-1, 0, 1}, a third each."""
    return rng.integers(-1, 2, shape).astype(np.float64)


def make_weights(rng, layers, widths, image, gain=4.0):
    """Random weights of std gain / sqrt(fan_in); `widths` gives the channels or features of each layer but pools."""
    height, width, channels = image
    weights = {}

    def add(name, *shape):
        weights[name] = rng.normal(0, gain / np.sqrt(np.prod(shape[:-1])), shape)

    for layer in layers:
        kind, name = layer[:2]
        if kind == "pool":
            height, width = height // 2, width // 2
            continue
        out = widths[name]
        if kind == "block":
            add(f"{name}/conv1", 3, 3, channels, out)
            add(f"{name}/conv2", 3, 3, out, out)
            if not layer[3]:
                add(f"{name}/shortcut", 1, 1, channels, out)
        elif kind == "conv":
            add(name, 3, 3, channels, out)
        else:
            add(name, height * width * channels, out)
        stride = layer[2] if len(layer) > 2 else 1
        height, width = (-(-height // stride), -(-width // stride)) if kind in ("conv", "block") else (1, 1)
        channels = out
    return weights


def make_masks(rng, result, names):
    """Dropout 0.2 with inverted scaling for the layers named."""
    return {name: (rng.random(result.counts[name].shape) < 0.8) / 0.8 for name in names}


def test_lenet_as_layers_is_the_lenet_oracle():
    rng = np.random.default_rng(0)
    shapes = {"conv1": (5, 5, 1, 4), "conv2": (5, 5, 4, 6), "fc1": (54, 20), "fc2": (20, 10)}
    weights = {name: rng.normal(0, 2 / np.sqrt(np.prod(shape[:-1])), shape) for name, shape in shapes.items()}
    spikes, labels = signed_spikes(rng, (10, 3, 12, 12, 1)), np.array([3, 0, 9])
    constants = {"leak": 0.97, "threshold": 0.9, "pool_threshold": 0.7}
    expected = lenet(weights, spikes, labels, **constants)
    actual = network(LENET, weights, spikes, labels, **constants)
    assert actual.loss == expected.loss
    np.testing.assert_array_equal(actual.logits, expected.logits)
    np.testing.assert_array_equal(actual.potentials, expected.potentials)
    for field in ("gradients", "counts", "filtered", "derivative"):
        have, want = getattr(actual, field), getattr(expected, field)
        assert list(have) == list(want)
        for name in want:
            assert np.any(want[name])
            np.testing.assert_array_equal(have[name], want[name], err_msg=f"{field} {name}")


def conv_taps(height, width, size, stride):
    """The definition: (output row and column, input row and column, kernel row and column) of every synapse."""
    pad = size // 2
    rows, columns = (height + 2 * pad - size) // stride + 1, (width + 2 * pad - size) // stride + 1
    for r, c, i, j in itertools.product(range(rows), range(columns), range(size), range(size)):
        y, x = r * stride - pad + i, c * stride - pad + j
        if 0 <= y < height and 0 <= x < width:
            yield r, c, y, x, i, j


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("image", [(4, 6), (5, 7)])
def test_strided_conv_is_the_direct_loop_with_its_exact_gradients(size, stride, image):
    rng = np.random.default_rng(1)
    x, kernel = rng.normal(size=(2, 1, *image, 2)), rng.normal(size=(size, size, 2, 3))
    y = strided_conv(x, kernel, stride)
    g = rng.normal(size=y.shape)
    expected, g_x, g_kernel = np.zeros(y.shape), np.zeros(x.shape), np.zeros(kernel.shape)
    for r, c, p, q, i, j in conv_taps(*image, size, stride):
        expected[:, :, r, c] += x[:, :, p, q] @ kernel[i, j]
        g_x[:, :, p, q] += g[:, :, r, c] @ kernel[i, j].T
        g_kernel[i, j] += np.tensordot(x[:, :, p, q], g[:, :, r, c], ((0, 1), (0, 1)))
    assert y.shape[2:4] == tuple((side - 1) // stride + 1 for side in image)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(strided_conv_input_gradient(g, kernel, stride, x.shape), g_x, rtol=0, atol=1e-12)
    np.testing.assert_allclose(strided_conv_weight_gradient(x, g, kernel, stride), g_kernel, rtol=0, atol=1e-12)


def test_strided_conv_gradients_are_finite_differences():
    rng = np.random.default_rng(2)
    x, kernel = rng.normal(size=(1, 2, 4, 5, 1)), rng.normal(size=(3, 3, 1, 2))
    g = rng.normal(size=strided_conv(x, kernel, 2).shape)

    def slopes(of, at):
        """Central differences of sum(g * of(at)), exact but for rounding: `of` is linear."""
        steps = np.eye(at.size).reshape(-1, *at.shape)
        return np.array([np.sum(g * (of(at + step) - of(at - step))) / 2 for step in steps]).reshape(at.shape)

    np.testing.assert_allclose(
        strided_conv_input_gradient(g, kernel, 2, x.shape), slopes(lambda a: strided_conv(a, kernel, 2), x), atol=1e-12
    )
    np.testing.assert_allclose(
        strided_conv_weight_gradient(x, g, kernel, 2), slopes(lambda a: strided_conv(x, a, 2), kernel), atol=1e-12
    )


def synapses(layers, weights, image):
    """A network as a list of neurons and synapses, by the definitions alone.

    Returns the slice of neuron numbers and the shape of every layer (the input is "", the readout included) and the
    synapses as tuples (post, pre, weight name or "", index into the flat weight, factor): strength factor * weight.
    """
    slices, shapes, edges = {"": slice(0, int(np.prod(image)))}, {"": image}, []

    def add(name, shape):
        start = max(part.stop for part in slices.values())
        slices[name], shapes[name] = slice(start, start + int(np.prod(shape))), shape

    def number(name, *index):
        return slices[name].start + int(np.ravel_multi_index(index, shapes[name]))

    def connect_conv(post, pre, weight, stride):
        size, _, ins, outs = weights[weight].shape
        for r, c, y, x, i, j in conv_taps(*shapes[pre][:2], size, stride):
            for a, b in itertools.product(range(ins), range(outs)):
                index = int(np.ravel_multi_index((i, j, a, b), weights[weight].shape))
                edges.append((number(post, r, c, b), number(pre, y, x, a), weight, index, 1.0))

    def conv_shape(pre, weight, stride):
        return (*(-(-side // stride) for side in shapes[pre][:2]), weights[weight].shape[3])

    last = ""
    for layer in layers:
        kind, name = layer[:2]
        if kind == "conv":
            add(name, conv_shape(last, name, layer[2]))
            connect_conv(name, last, name, layer[2])
        elif kind == "pool":
            height, width, channels = shapes[last]
            add(name, (height // 2, width // 2, channels))
            for r, c, a in np.ndindex(shapes[name]):
                for i, j in np.ndindex(2, 2):
                    edges.append((number(name, r, c, a), number(last, 2 * r + i, 2 * c + j, a), "", 0, 0.25))
        elif kind == "block":
            first, second, stride = f"{name}/conv1", f"{name}/conv2", layer[2]
            add(first, conv_shape(last, first, 1))
            connect_conv(first, last, first, 1)
            add(second, conv_shape(first, second, stride))
            connect_conv(second, first, second, stride)
            if layer[3]:
                for r, c, a in np.ndindex(shapes[second]):
                    edges.append((number(second, r, c, a), number(last, r * stride, c * stride, a), "", 0, 1.0))
            else:
                connect_conv(second, last, f"{name}/shortcut", stride)
            name = second
        else:
            ins, outs = weights[name].shape
            add(name, (outs,))
            for a, b in np.ndindex(ins, outs):
                edges.append((slices[name].start + b, slices[last].start + a, name, a * outs + b, 1.0))
        last = name
    return slices, shapes, edges


def brute_force(layers, weights, spikes, label, *, leak, threshold, pool_threshold, masks):
    """One sample through one dense matrix; the backward pass is one linear system, not a recursion over time or layers.

    (E9) unrolled: the error at a current of step t is d times the error at the neuron's first spike from t on, zero
    without one. So the errors at all currents of all steps solve e = N (A^T e), with the readout's errors given.
    """
    slices, shapes, edges = synapses(layers, weights, spikes.shape[1:])
    readout = layers[-1][1]
    total, steps = slices[readout].stop, len(spikes)
    sent = np.ones(total)  # the mask of every neuron
    for name, mask in masks.items():
        sent[slices[name]] = mask.ravel()
    matrix = np.zeros((total, total))
    for post, pre, name, index, factor in edges:
        matrix[post, pre] += factor * (weights[name].flat[index] if name else 1.0)
    matrix = matrix * sent  # column by column: what a neuron sends

    limit, keep = np.full(total, threshold), np.full(total, leak)
    for layer in layers:
        if layer[0] == "pool":
            limit[slices[layer[1]]], keep[slices[layer[1]]] = pool_threshold, 1.0
    limit[slices[readout]] = np.inf
    hidden = [name for name in slices if name not in ("", readout)]
    trains, v, potentials = np.zeros((steps, total)), np.zeros(total), []
    for t in range(steps):
        trains[t, slices[""]] = spikes[t].ravel()
        for name in [*hidden, readout]:  # in order, as a spike crosses all layers within a step
            part = slices[name]
            v[part] += matrix[part] @ trains[t]
            trains[t, part] = v[part] > limit[part]
            v[part] = np.where(trains[t, part] > 0, 0.0, v[part]) * keep[part]
        potentials.append(v[slices[readout]].copy())
    logits = potentials[-1] / (threshold * steps)
    error = logits - (np.arange(len(logits)) == label)

    derivative = {}
    operator = np.zeros((total, steps, steps))  # N: by neuron, from the error at its spikes to that at its currents
    for name in hidden:
        d = np.ones(shapes[name]).ravel()
        if not any(layer[:2] == ("pool", name) for layer in layers):
            train = trains[:, slices[name]]
            filtered = leak ** np.arange(steps - 1, -1, -1) @ train
            bracket = np.array(
                [
                    float(low > 1e-3) + np.log(leak) * low / max(n, 1)
                    for low, n in zip(filtered, train.sum(0), strict=True)
                ]
            )
            derivative[name], d = bracket.reshape(shapes[name]), bracket / threshold
        for n, factor in zip(range(slices[name].start, slices[name].stop), d, strict=True):
            for t in range(steps):
                following = [later for later in range(t, steps) if trains[later, n]]
                if following:
                    operator[n, t, following[0]] = factor
    given = np.zeros((total, steps))
    given[slices[readout]] = (2 * error / (threshold * steps))[:, None]
    coupling = np.einsum("ntu,mn->ntmu", operator, matrix).reshape(total * steps, -1)
    errors = np.linalg.solve(np.eye(total * steps) - coupling, given.ravel()).reshape(total, steps)

    gradients = {name: np.zeros(weight.shape) for name, weight in weights.items()}
    for post, pre, name, index, factor in edges:
        if name:
            gradients[name].flat[index] += factor * errors[post] @ (trains[:, pre] * sent[pre])
    counts = {name: trains[:, slices[name]].sum(0).reshape(shapes[name]) for name in hidden}
    return logits, np.sum(error**2), np.array(potentials), gradients, counts, derivative


CASES = {
    "kernel shortcut of stride 1, then subsampling": (
        (
            ("conv", "conv1", 1),
            ("pool", "pool1"),
            ("block", "block1", 1, False),
            ("block", "block2", 2, True),
            ("dense", "fc1"),
            ("readout", "fc2"),
        ),
        {"conv1": 2, "block1": 3, "block2": 3, "fc1": 5, "fc2": 3},
        (7, 5, 1),
    ),
    "kernel shortcut of stride 2, no hidden dense layer": (
        (("conv", "conv1", 2), ("block", "block1", 2, False), ("readout", "fc1")),
        {"conv1": 3, "block1": 2, "fc1": 3},
        (8, 7, 2),
    ),
    "a block on the input, identity shortcut, a pool before the dense layer": (
        (("block", "block1", 1, True), ("pool", "pool1"), ("dense", "fc1"), ("readout", "fc2")),
        {"block1": 2, "fc1": 4, "fc2": 3},
        (4, 5, 2),
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dropout", [False, True])
def test_network_is_its_dense_matrix_formulation(case, dropout):
    layers, widths, image = CASES[case]
    rng = np.random.default_rng(3)
    weights = make_weights(rng, layers, widths, image)
    spikes, labels = signed_spikes(rng, (6, 2, *image)), np.array([2, 0])
    constants = {"leak": 0.9, "threshold": 0.8, "pool_threshold": 0.6}
    actual = network(layers, weights, spikes, labels, **constants)
    masks = make_masks(rng, actual, spiking_names(layers)) if dropout else {}
    if dropout:
        actual = network(layers, weights, spikes, labels, masks=masks, **constants)
    samples = [
        brute_force(
            layers, weights, spikes[:, b], labels[b], masks={name: mask[b] for name, mask in masks.items()}, **constants
        )
        for b in range(2)
    ]
    logits, losses, potentials, gradients, counts, derivative = zip(*samples, strict=True)
    np.testing.assert_allclose(actual.logits, logits, rtol=0, atol=1e-12)
    np.testing.assert_allclose(actual.potentials, np.stack(potentials, axis=1), rtol=0, atol=1e-12)
    assert actual.loss == pytest.approx(sum(losses), rel=1e-12)
    assert set(actual.counts) == set(spiking_names(layers))
    for name, count in actual.counts.items():
        assert 0 < count.mean() < 6
        np.testing.assert_array_equal(count, np.stack([sample[name] for sample in counts]), err_msg=name)
    assert set(actual.derivative) == {name for name in actual.counts if "pool" not in name}
    for name, bracket in actual.derivative.items():
        expected = np.stack([sample[name] for sample in derivative])
        np.testing.assert_allclose(bracket, expected, rtol=0, atol=1e-12, err_msg=name)
    assert list(actual.gradients) == weight_names(layers)
    for name, gradient in actual.gradients.items():
        assert np.any(gradient)
        expected = sum(sample[name] for sample in gradients)
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-12, err_msg=name)


def test_readout_gradient_without_leak_is_a_finite_difference_of_the_loss():
    layers, widths, image = CASES["kernel shortcut of stride 1, then subsampling"]
    rng = np.random.default_rng(4)
    weights = make_weights(rng, layers, widths, image)
    spikes, labels = signed_spikes(rng, (6, 2, *image)), np.array([1, 2])

    def loss(weight):
        return network(layers, weights | {"fc2": weight}, spikes, labels, leak=1.0).loss

    steps = np.eye(15).reshape(15, 5, 3)  # the loss is quadratic in this weight: central differences are exact
    slopes = [(loss(weights["fc2"] + step) - loss(weights["fc2"] - step)) / 2 for step in steps]
    gradient = network(layers, weights, spikes, labels, leak=1.0).gradients["fc2"]
    np.testing.assert_allclose(gradient, np.reshape(slopes, (5, 3)), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("layers", "widths", "features", "parameters"),
    [
        (VGG9, {f"conv{i}": n for i, n in enumerate((4, 4, 8, 8, 12, 12, 12), 1)}, 4 * 4 * 12, 9),
        (RESNET11, {"conv1": 4, "block1": 6, "block2": 8, "block3": 10, "block4": 10}, 4 * 4 * 10, 14),
    ],
    ids=["VGG9", "ResNet11"],
)
def test_thin_vgg9_and_resnet11(layers, widths, features, parameters):
    rng = np.random.default_rng(5)
    weights = make_weights(rng, layers, widths | {"fc1": 16, "fc2": 10}, (32, 32, 3))
    assert weights["fc1"].shape == (features, 16)
    assert len(weights) == parameters
    spikes, labels = signed_spikes(rng, (4, 2, 32, 32, 3)), np.array([7, 1])
    plain = network(layers, weights, spikes, labels)
    masks = make_masks(rng, plain, plain.counts)
    result = network(layers, weights, spikes, labels, masks=masks)
    assert np.any(result.logits != plain.logits)
    for name, count in result.counts.items():
        assert np.any(count), name
    for name, gradient in result.gradients.items():
        assert gradient.shape == weights[name].shape
        assert np.any(gradient), name
    ones = {name: np.ones_like(mask) for name, mask in masks.items()}
    assert network(layers, weights, spikes, labels, masks=ones).loss == plain.loss


def test_what_cannot_be_meant_is_refused():
    rng = np.random.default_rng(6)
    layers, widths, image = CASES["kernel shortcut of stride 2, no hidden dense layer"]
    weights = make_weights(rng, layers, widths, image)
    spikes, labels = signed_spikes(rng, (2, 1, *image)), np.array([0])
    bad = [
        (layers[:-1], weights, {}, "readout"),
        ((("conv", "conv1"), *layers[1:]), weights, {}, "not a layer"),
        ((layers[0], *layers), weights, {}, "share a name"),
        ((layers[0], ("block", "block1", 2, True), layers[2]), weights, {}, "layers that need"),
        (layers, weights | {"conv1": np.zeros((2, 2, 2, 3))}, {}, "odd"),
        (layers, weights, {"fc1": np.ones((1, 3))}, "masks"),
        (layers, weights, {"conv1": np.ones((4, 4, 3))}, "mask conv1"),
    ]
    for wrong, kernels, masks, message in bad:
        with pytest.raises(ValueError, match=message):
            network(wrong, kernels, spikes, labels, masks=masks)
