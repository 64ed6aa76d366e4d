"""A toy batch normalisation, written through the public API alone: its running statistics move, everywhere."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxsnn import losses, models, neurons, parallel, training
from jaxsnn.layers import Conv
from tests.parallel import eight_devices

STEPS, SIZE, CLASSES, BATCH = 6, (4, 4, 2), 3, 8


class ToyNorm(nnx.Module):
    """Statistics of every channel over the batch and the map, of each step alone or of the whole train."""

    def __init__(self, channels, span="step", dtype=jnp.float32):
        self.span = span
        self.scale = nnx.Param(jnp.ones(channels, dtype))
        self.mean = nnx.BatchStat(jnp.zeros(channels, dtype))

    def __call__(self, currents, *, train, axis_name, **_):
        if not train:
            return (currents - self.mean[...].reshape(1, 1, 1, 1, -1)) * self.scale[...].reshape(1, 1, 1, 1, -1)
        axes = (1, 2, 3) if self.span == "step" else (0, 1, 2, 3)
        mean = jnp.mean(currents, axes, keepdims=True)
        if axis_name is not None:
            mean = jax.lax.pmean(mean, axis_name)
        for step in mean.reshape(-1, mean.shape[-1]):  # in the order of time, so that chunks move it alike
            self.mean[...] = 0.9 * self.mean[...] + 0.1 * step
        return (currents - mean) * self.scale[...].reshape(1, 1, 1, 1, -1)


def network(span="step", dtype=jnp.float32, leak=0.9):
    kinds = neurons.lif(leak=leak)
    net = models.Builder(
        input_shape=SIZE, num_classes=CLASSES, init_scale=6.0, neurons=kinds, param_dtype=dtype, rngs=nnx.Rngs(0)
    )
    synapse = Conv(2, 4, 3, padding=1, init_scale=6.0, param_dtype=dtype, rngs=nnx.Rngs(1))
    net.add("conv1", synapse, kinds.hidden, norm=ToyNorm(4, span, dtype))
    net.pool()
    return models.functionalize(net.finish())


def loss(output, labels):
    return losses.squared_error(output.logits, labels)


def prepare(key, images):
    return jnp.broadcast_to(images, (STEPS, *images.shape)) * jnp.linspace(1, 1.5, STEPS, dtype=images.dtype).reshape(
        -1, 1, 1, 1, 1
    )


def data(dtype=jnp.float32):
    images = jax.random.uniform(jax.random.key(0), (24, *SIZE), dtype)
    return training.Data(images, jnp.arange(24) % CLASSES)


def train(apply, params, model_state, steps=3, distribute=lambda gradients: gradients, dtype=jnp.float32):
    optimizer = optax.sgd(0.05)
    step = training.make_train_step(distribute(training.backpropagation(apply, loss)), optimizer, prepare, BATCH)
    state = training.init_state(params, model_state, optimizer, 0)
    samples, step = data(dtype), jax.jit(step)
    for _ in range(steps):
        state = step(state, *samples, training.epoch_order(state.seed, 0, 24))
    return state


def mean_of(state):
    return np.asarray(state.model_state["conv1"]["norm"]["mean"])


def test_on_one_device_they_move_and_evaluation_leaves_them():
    apply, params, model_state = network()
    assert params["conv1"]["norm"]["scale"].shape == (4,)
    state = train(apply, params, model_state)
    assert (np.abs(mean_of(state)) > 0.01).all()
    x = prepare(None, data().images[:BATCH])
    by_hand = np.zeros(4)
    output, after = apply(params, model_state, x, train=True)
    kernel = params["conv1"]["kernel"]
    for t in range(STEPS):
        current = jax.lax.conv_general_dilated(x[t], kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        by_hand = 0.9 * by_hand + 0.1 * np.asarray(current).mean((0, 1, 2))
    np.testing.assert_allclose(after["conv1"]["norm"]["mean"], by_hand, rtol=1e-4, atol=1e-6)
    _, same = apply(state.params, state.model_state, x, train=False)
    jax.tree.map(np.testing.assert_array_equal, same, state.model_state)
    assert np.isfinite(output.logits).all()


def test_in_chunks_per_step_statistics_are_those_of_the_whole(x64):
    apply, params, model_state = network(dtype=jnp.float64)
    whole = train(apply, params, model_state, dtype=jnp.float64)
    for chunk, remat in ((2, False), (4, True)):
        chunked = train(models.in_chunks(apply, chunk, remat=remat), params, model_state, dtype=jnp.float64)
        for a, b in ((whole.model_state, chunked.model_state), (whole.params, chunked.params)):
            jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12), a, b)


def test_whole_train_statistics_are_refused_in_chunks():
    apply, params, model_state = network(span="train")
    message = "the norm of conv1 takes its statistics over the whole train, which comes in chunks here"
    with pytest.raises(ValueError, match=message):
        train(models.in_chunks(apply, 2), params, model_state)
    state = train(models.in_chunks(apply, STEPS), params, model_state)
    assert (np.abs(mean_of(state)) > 0.01).all()
    x = prepare(None, data().images[:2])
    chunked = models.in_chunks(apply, 2)(state.params, state.model_state, x, train=False)[0]
    np.testing.assert_allclose(  # evaluation takes the running statistics, chunk by chunk
        chunked.logits, apply(state.params, state.model_state, x)[0].logits, rtol=1e-5, atol=1e-6
    )


def test_in_a_population_each_member_moves_its_own():
    leaks = (0.5, 0.9)
    states, optimizer = [], optax.sgd(0.05)
    for leak in leaks:
        apply, params, model_state = network(leak=leak)
        states.append(training.init_state(params, model_state, optimizer, 0))

    def make(hparams):
        gradients = training.backpropagation(apply, loss)
        step = training.make_train_step(gradients, optimizer, prepare, BATCH)
        return parallel.Member(step, training.make_count_batch(apply, prepare, BATCH))

    population = parallel.create_population([{"leak": leak} for leak in leaks], states)
    step = jax.jit(parallel.make_population_step(make))
    orders = jnp.stack([training.epoch_order(0, 0, 24)] * 2)
    for _ in range(3):
        population = step(population, *data(), orders)
    for number, leak in enumerate(leaks):
        alone = train(*network(leak=leak))
        np.testing.assert_allclose(mean_of(population.states)[number], mean_of(alone), rtol=1e-5)
    assert not np.allclose(*mean_of(population.states))


def test_through_checkpoint_and_resume_bit_for_bit(tmp_path):
    apply, params, model_state = network()
    optimizer = optax.sgd(0.05, momentum=0.9)
    step = training.make_train_step(training.backpropagation(apply, loss), optimizer, prepare, BATCH)

    def run(epochs, folder, state):
        checkpoints = training.Checkpoints(folder)
        state = training.fit(
            state, step, data(), batch_size=BATCH, epochs=epochs, checkpoints=checkpoints, progress=False
        )
        return jax.device_get(state)

    def start():
        return training.init_state(*jax.tree.map(jnp.copy, (params, model_state)), optimizer, 0)

    whole = run(2, tmp_path / "whole", start())
    run(1, tmp_path / "cut", start())
    kept = training.Checkpoints(tmp_path / "cut")
    resumed = run(2, tmp_path / "cut", kept.load(start()))
    jax.tree.map(np.testing.assert_array_equal, resumed, whole)
    assert (np.abs(mean_of(whole)) > 0.01).all()


PROGRAM = """
import json
import jax
import jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
from jaxsnn import models, parallel
from tests.models import test_state as toy

mesh = parallel.data_mesh()
apply, params, model_state = toy.network(dtype=jnp.float64)
result = {"devices": jax.device_count()}
for name, how in (("whole", apply), ("chunks", models.in_chunks(apply, 2))):
    one = toy.train(how, params, model_state, dtype=jnp.float64)
    many = toy.train(how, params, model_state, dtype=jnp.float64,
                     distribute=lambda gradients: parallel.data_parallel(gradients, mesh, mean=False))
    pairs = ((one.params, many.params), (one.model_state, many.model_state))
    result[name] = [max(float(jnp.abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, pair))) for pair in pairs]
    result[name + " moved"] = float(jnp.abs(many.model_state["conv1"]["norm"]["mean"]).min())
print(json.dumps(result))
"""


def test_on_eight_devices_they_are_one_devices():
    result = eight_devices.run(PROGRAM)
    assert result["devices"] == 8
    for name in ("whole", "chunks"):
        assert max(result[name]) < 1e-10, json.dumps(result)
        assert result[f"{name} moved"] > 0.01
