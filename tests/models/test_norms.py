"""Networks with each of the norms: whole trains or chunks, devices, checkpoints, and what each refuses."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxsnn import models, neurons, training
from jaxsnn.layers import NORMS
from tests.models import test_state as toy
from tests.parallel import eight_devices

CHUNKED = [name for name in NORMS if NORMS[name].span == "step"]


def network(norm, dtype=jnp.float32, **options):
    kinds = neurons.lif(leak=0.9)
    net = models.Builder(
        input_shape=toy.SIZE,
        num_classes=toy.CLASSES,
        init_scale=2.0,
        neurons=kinds,
        norm=norm,
        norm_groups=2,
        **{"time_steps": toy.STEPS} | options,
        param_dtype=dtype,
        rngs=nnx.Rngs(0),
    )
    net.conv(4)
    net.pool()
    net.dense(6)
    return net.finish()


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("norm", CHUNKED)
def test_in_chunks_they_are_those_of_the_whole(norm, x64):
    apply, params, state = models.functionalize(network(norm, jnp.float64))
    whole = toy.train(apply, params, state, steps=2, dtype=jnp.float64)
    chunked = toy.train(models.in_chunks(apply, 4, remat=True), params, state, steps=2, dtype=jnp.float64)
    jax.tree.map(close, (chunked.params, chunked.model_state), (whole.params, whole.model_state))


@pytest.mark.parametrize("norm", sorted(NORMS.keys() - CHUNKED))
def test_statistics_of_the_whole_train_are_refused_in_chunks(norm):
    model = network(norm)
    apply, params, state = models.functionalize(model)
    x = jnp.ones((toy.STEPS, 2, *toy.SIZE))
    with pytest.raises(ValueError, match="the norm of conv1 takes its statistics over the whole train"):
        jax.eval_shape(functools.partial(models.in_chunks(apply, 2), train=True), params, state, x)
    assert models.training_chunk(model, toy.STEPS) == toy.STEPS
    with pytest.raises(ValueError, match="norm of conv1, fc1 takes .* whole train of 6 steps, got chunks of 2"):
        models.training_chunk(model, toy.STEPS, 2)
    jax.eval_shape(models.in_chunks(apply, 2), params, state, x)  # evaluation takes running statistics


def test_without_a_need_for_the_whole_train_chunks_are_the_default_or_as_asked():
    model = network("bntt", time_steps=40)
    assert models.training_chunk(model, 40, backward=False) == models.default_chunk(40)
    assert models.training_chunk(model, 40, 2) == 2
    assert models.training_chunk(network("bn"), 6, 6) == 6


@pytest.mark.parametrize("norm", ["tebn", "bntt"])
def test_longer_trains_than_the_network_was_built_for_are_refused_in_chunks_too(norm):
    apply, params, state = models.functionalize(network(norm, time_steps=3))
    x = jnp.ones((toy.STEPS, 2, *toy.SIZE))
    for run in (apply, models.in_chunks(apply, 2)):
        with pytest.raises(ValueError, match="built for trains of 3 steps, got 6: give the network time_steps=6"):
            jax.eval_shape(run, params, state, x)


def test_tdbn_gets_the_threshold_of_its_layer_and_the_number_of_branches():
    options = {"neurons": neurons.lif(threshold=0.5), "per_layer": {"threshold": {"fc1": 0.2}}}
    net = models.Builder(input_shape=(4, 4, 1), num_classes=2, init_scale=2.0, norm="tdbn", rngs=nnx.Rngs(0), **options)
    net.conv(2)
    net.conv(2, neurons=False)
    net.dense(3)
    _, _, state = models.functionalize(net.finish())
    units = {name: float(state[name]["norm"]["unit"]) for name in ("conv1", "conv2", "fc1")}
    assert units == pytest.approx({"conv1": 0.5, "conv2": 0.5 / 2**0.5, "fc1": 0.2})


@pytest.mark.parametrize("norm", NORMS)
def test_an_input_that_stays_is_normed_as_its_train(norm, x64):
    images = jax.random.uniform(jax.random.key(0), (toy.BATCH, *toy.SIZE), jnp.float64)
    x = jnp.broadcast_to(images, (toy.STEPS, *images.shape))
    found = []
    for static in (False, True):
        apply, params, state = models.functionalize(network(norm, jnp.float64, static_input=static))
        params = jax.tree.map(lambda leaf: leaf * (1 + jnp.arange(leaf.size) / leaf.size).reshape(leaf.shape), params)
        output, moved = jax.jit(functools.partial(apply, train=True))(params, state, x)
        found.append((output.potentials, moved))
    jax.tree.map(close, *found)


def test_per_step_statistics_and_numbers_come_back_from_a_checkpoint(tmp_path):
    apply, params, state = models.functionalize(network("bntt"))
    optimizer = optax.sgd(0.05, momentum=0.9)
    step = training.make_train_step(training.backpropagation(apply, toy.loss), optimizer, toy.prepare, toy.BATCH)

    def run(epochs, folder, state):
        kept = training.Checkpoints(folder)
        options = {"batch_size": toy.BATCH, "epochs": epochs, "checkpoints": kept, "progress": False}
        return jax.device_get(training.fit(state, step, toy.data(), **options))

    def start():
        return training.init_state(*jax.tree.map(jnp.copy, (params, state)), optimizer, 0)

    whole = run(2, tmp_path / "whole", start())
    run(1, tmp_path / "cut", start())
    resumed = run(2, tmp_path / "cut", training.Checkpoints(tmp_path / "cut").load(start()))
    jax.tree.map(np.testing.assert_array_equal, resumed, whole)
    assert np.abs(toy.mean_of(whole)).min() > 0


PROGRAM = """
import json
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P
jax.config.update("jax_enable_x64", True)
from jaxsnn import models, parallel
from jaxsnn.layers import NORMS
from tests.layers.test_norms import gradients
from tests.models import test_norms, test_state as toy

def furthest(a, b):
    return max(float(jnp.abs(x - y).max()) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))

mesh = parallel.data_mesh()
x = jax.random.normal(jax.random.key(0), (3, 16, 2, 2, 4)) * 2 + 1
everywhere, parts = P(), P(None, parallel.AXIS)
result = {"devices": jax.device_count()}
for name, make in NORMS.items():
    run, params, state = models.functionalize(make(4, jnp.float64, steps=3, threshold=0.7, groups=2))

    def part(params, state, x):
        y, (by_params, by_x), moved = gradients(run, params, state, x, parallel.AXIS)
        return y, (jax.lax.psum(by_params, parallel.AXIS), by_x), moved

    specs = {"in_specs": (everywhere, everywhere, parts), "out_specs": (parts, (everywhere, parts), everywhere)}
    many = jax.jit(jax.shard_map(part, mesh=mesh, check_vma=False, **specs))(params, state, x)
    one = jax.jit(lambda *given: gradients(run, *given))(params, state, x)
    result[name] = furthest(one, many)
for name, chunk in (("bn", 0), ("bntt", 2)):
    apply, params, state = models.functionalize(test_norms.network(name, jnp.float64))
    how = models.in_chunks(apply, chunk or toy.STEPS)
    one = toy.train(how, params, state, dtype=jnp.float64)
    many = toy.train(how, params, state, dtype=jnp.float64,
                     distribute=lambda gradients: parallel.data_parallel(gradients, mesh, mean=False))
    result[f"network with {name}"] = furthest((one.params, one.model_state), (many.params, many.model_state))
    result[f"{name} learned"] = furthest(params, one.params)
print(json.dumps(result))
"""


@pytest.mark.thorough
def test_eight_devices_have_the_statistics_and_gradients_of_one():
    result = eight_devices.run(PROGRAM)
    assert result.pop("devices") == 8
    assert min(result.pop(f"{name} learned") for name in ("bn", "bntt")) > 1e-3
    assert len(result) == len(NORMS) + 2
    assert max(result.values()) < 1e-10, json.dumps(result)
