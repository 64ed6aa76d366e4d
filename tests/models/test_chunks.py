"""Execution in pieces is the whole: outputs, loss and gradients, in less memory."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import encoding, losses, models, neurons


def build(neuron, dtype=jnp.float32):
    model = models.create(
        "lenet",
        input_shape=(8, 8, 1),
        num_classes=3,
        neurons=neuron,
        init_gain=3**0.5,
        param_dtype=dtype,
        rngs=nnx.Rngs(0),
    )
    return models.functionalize(model)


def spikes(steps, dtype=jnp.float32, batch=2):
    images = jax.random.uniform(jax.random.key(0), (batch, 8, 8, 1), dtype, -1, 1)
    return encoding.poisson(jax.random.key(1), images, steps)


def loss(params, apply, state, x):
    output, _ = apply(params, state, x, train=True, record=True, count=True)
    penalty = jnp.sum(losses.rate_penalty(output.neuron_counts, len(x), lower=0.4, upper=0.4))
    return losses.squared_error(output.logits, jnp.asarray([2, 0])) + penalty, output


def thorough(*values):
    return pytest.param(*values, marks=pytest.mark.thorough)


@pytest.mark.parametrize(
    ("make", "pack", "chunk", "remat"),
    [
        thorough(neurons.spikebp, False, 1, False),
        thorough(neurons.spikebp, False, 3, True),
        thorough(neurons.spikebp, True, 1, True),
        (neurons.spikebp, True, 3, False),
        thorough(neurons.spikebp, True, 7, False),
        thorough(neurons.lif, False, 1, False),
        (neurons.lif, False, 3, True),
        thorough(neurons.lif, True, 3, False),
    ],
)
def test_pieces_are_the_whole(x64, make, pack, chunk, remat):
    whole = of_the_whole(make)
    apply, params, state = build(make(0.9, pack_spikes=pack), jnp.float64)
    run = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)
    pieces = run(params, models.in_chunks(apply, chunk, remat=remat), state, spikes(7, jnp.float64))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-13), pieces, whole)
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(whole[1]))


@cache
def of_the_whole(kind):
    """Loss, outputs and gradients of one piece that keeps spikes in bytes."""
    apply, params, state = build(kind(0.9), jnp.float64)
    run = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)
    return jax.device_get(run(params, apply, state, spikes(7, jnp.float64)))


@pytest.mark.thorough
def test_float32_agrees_to_rounding():
    apply, params, state = build(neurons.spikebp(0.9))
    x = spikes(8)
    run = jax.jit(jax.grad(loss, has_aux=True), static_argnums=1)
    whole, pieces = (run(params, a, state, x)[0] for a in (apply, models.in_chunks(apply, 2)))
    for a, b in zip(jax.tree.leaves(pieces), jax.tree.leaves(whole), strict=True):
        assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max()


@pytest.mark.parametrize("make", [neurons.spikebp, neurons.lif])
@pytest.mark.parametrize("readout", ["last", "mean"])
def test_truncated_backpropagation_stops_at_the_start_of_a_chunk(x64, make, readout):
    """Chunks of 4 and 3 steps, the second from a carry without a way back; outputs are those of the whole."""
    options = {"input_shape": (8, 8, 1), "num_classes": 3, "neurons": make(0.9), "param_dtype": jnp.float64}
    options["readout"] = readout
    net = models.Builder(init_scale=6.0, rngs=nnx.Rngs(0), **options)
    net.dense(16)
    apply, params, state = models.functionalize(net.finish())
    x = spikes(7, jnp.float64)

    def by_hand(params):
        first, _ = apply(params, state, x[:4])
        carry = jax.lax.stop_gradient(first.carry)
        if readout == "mean":  # the sum so far is no memory of neurons
            carry["answers"] = first.carry["answers"]
        second, _ = apply(params, state, x[4:], carry=carry)
        potentials = jnp.concatenate([first.potentials, second.potentials])
        return jnp.sum(jnp.square(second.logits)) + jnp.sum(jnp.square(potentials))

    def truncated(params):
        output, _ = models.in_chunks(apply, 4, truncate=True)(params, state, x)
        return jnp.sum(jnp.square(output.logits)) + jnp.sum(jnp.square(output.potentials)), output

    (loss, output), gradient = jax.jit(jax.value_and_grad(truncated, has_aux=True))(params)
    expected, slopes = jax.jit(jax.value_and_grad(by_hand))(params)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-13), (loss, gradient), (expected, slopes))
    np.testing.assert_allclose(output.potentials, jax.jit(apply)(params, state, x)[0].potentials, rtol=1e-10)
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(gradient))


def test_it_goes_on_from_a_carry():
    apply, params, state = build(neurons.spikebp(0.9))
    x, chunked = spikes(9), models.in_chunks(apply, 2)

    @jax.jit
    def both(x):
        first, _ = chunked(params, state, x[:4])
        return chunked(params, state, x[4:], carry=first.carry)[0], apply(params, state, x)[0]

    second, whole = both(x)
    np.testing.assert_allclose(second.logits, whole.logits, rtol=1e-5)
    assert second.carry["steps"] == 9


@pytest.mark.thorough
def test_memory_hardly_grows_with_time():
    apply, params, state = build(neurons.spikebp())

    def temporaries(apply, steps):
        gradient = jax.jit(lambda p, x: jax.grad(loss, has_aux=True)(p, apply, state, x)[0])
        return gradient.lower(params, spikes(steps)).compile().memory_analysis().temp_size_in_bytes

    chunked = models.in_chunks(apply, 4)
    assert temporaries(chunked, 64) < 0.6 * temporaries(apply, 64)
    assert temporaries(chunked, 64) < 4 * temporaries(chunked, 8)


def test_bad_chunk_and_bad_input():
    apply, params, state = build(neurons.spikebp())
    with pytest.raises(ValueError, match="chunk must be a number of time steps >= 1, got 0"):
        models.in_chunks(apply, 0)
    assert callable(models.in_chunks(apply, 1))  # its numbers: test_pieces_are_the_whole
    with pytest.raises(ValueError, match="time-major spikes"):
        models.in_chunks(apply, 2)(params, state, jnp.zeros((5, 8, 8, 1)))


@pytest.mark.parametrize(
    ("steps", "platform", "chunk"),
    [(1, "cpu", 1), (8, "cpu", 8), (16, "cpu", 4), (50, "cpu", 5), (100, "cpu", 5), (97, "cpu", 5), (100, "gpu", 20)],
)
def test_default_chunk(steps, platform, chunk):
    assert models.default_chunk(steps, platform) == chunk


@pytest.mark.parametrize(("make", "cpu", "gpu"), [(neurons.spikebp, 5, 20), (neurons.lif, 40, 20)])
def test_chunks_of_a_training_follow_what_the_backward_pass_keeps(make, cpu, gpu, monkeypatch):
    network = models.create("lenet", input_shape=(8, 8, 1), num_classes=3, neurons=make(), rngs=nnx.Rngs(0))
    for platform, chunk in (("cpu", cpu), ("gpu", gpu)):
        monkeypatch.setattr(jax, "default_backend", lambda platform=platform: platform)
        assert models.training_chunk(network, 40) == chunk
        assert models.training_chunk(network, 40, 8) == 8
        assert models.training_chunk(network, 40, backward=False) == models.default_chunk(40, platform)


def test_bfloat16_between_layers_float32_inside():
    """Membranes, weights and their gradients stay float32; the loss is near that of float32."""
    x = spikes(6)
    results = []
    for dtype in (None, jnp.bfloat16):
        model = models.create(
            "lenet", input_shape=(8, 8, 1), num_classes=3, init_gain=3**0.5, compute_dtype=dtype, rngs=nnx.Rngs(0)
        )
        apply, params, state = models.functionalize(model)
        results.append(jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)(params, apply, state, x))
    (_, exact), (_, output) = results[0][0], results[1][0]
    assert output.spikes["conv1"].dtype == jnp.bfloat16
    kept = jax.tree.leaves((output.carry, output.logits, output.potentials, output.spike_counts, results[1][1]))
    assert {leaf.dtype for leaf in kept} == {jnp.dtype("float32"), jnp.dtype("int32")}
    for name, count in exact.spike_counts.items():
        np.testing.assert_allclose(output.spike_counts[name], count, rtol=0.1, atol=3)
