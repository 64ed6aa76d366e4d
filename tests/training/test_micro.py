"""Micro-batches: the gradients of the whole batch, in the memory of one micro-batch."""

from functools import cache, partial

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import strategies

from experiments import digits
from jaxsnn import encoding, models, neurons, parallel, training
from jaxsnn.data import load
from jaxsnn.lab import build, splits
from jaxsnn.losses import LOSSES
from tests.training import problem

BATCH = 4
RULES = {"spikebp": neurons.spikebp(0.9), "arctan": neurons.lif(leak=0.9)}


def close(ours, expected):
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-13), ours, expected)


def network(rule, dtype=jnp.float32, **options):
    model = models.create(
        "lenet",
        input_shape=(8, 8, 1),
        num_classes=3,
        neurons=RULES[rule],
        init_gain=3**0.5,
        param_dtype=dtype,
        rngs=nnx.Rngs(0),
        **options,
    )
    return models.functionalize(model)


def batch(dtype=jnp.float32, size=BATCH, steps=4):
    images = jax.random.uniform(jax.random.key(0), (size, 8, 8, 1), dtype, -1, 1)
    keys = jax.random.split(jax.random.key(2), size)
    return encoding.poisson(jax.random.key(1), images, steps), jnp.arange(size) % 3, keys


@cache
def of_the_whole(rule, loss):
    apply, params, state = network(rule, jnp.float64, dropout=0.3)
    gradients = training.backpropagation(apply, LOSSES[loss].function)
    return gradients, (params, state, *batch(jnp.float64)), jax.jit(gradients)(params, state, *batch(jnp.float64))


@pytest.mark.parametrize(
    ("rule", "loss", "size"),
    [
        ("spikebp", "squared_error", 2),
        ("arctan", "rate_cross_entropy", 1),
        pytest.param("spikebp", "rate_cross_entropy", 1, marks=pytest.mark.thorough),
        pytest.param("arctan", "squared_error", 2, marks=pytest.mark.thorough),
    ],
)
def test_gradients_are_those_of_the_whole_batch(x64, rule, loss, size):
    """With dropout, whose masks belong to the samples; loss and hits too."""
    gradients, arguments, whole = of_the_whole(rule, loss)
    assert all(float(jnp.abs(slope).max()) > 1e-3 for slope in jax.tree.leaves(whole[1]))
    parts = training.micro_batches(gradients, size, mean=LOSSES[loss].reduction == "mean")
    close(jax.jit(parts)(*arguments), whole)


@hypothesis.given(
    count=strategies.integers(1, 6),
    size=strategies.integers(1, 5),
    mean=strategies.booleans(),
    seed=strategies.integers(0),
)
@hypothesis.settings(max_examples=30, deadline=None)
def test_any_size(count, size, mean, seed):
    def loss(output, labels):
        return problem.loss(output, labels) / (len(labels) if mean else 1)

    samples, (of_x, of_w, of_labels) = count * size, jax.random.split(jax.random.key(seed % 2**32), 3)
    params = {"w": jax.random.normal(of_w, (3, 3))}
    arguments = (
        *(params, {}, jax.random.normal(of_x, (2, samples, 1, 3, 1))),
        *(jax.random.randint(of_labels, (samples,), 0, 3), None),
    )
    gradients = training.backpropagation(problem.apply, loss)
    (value, (hits, _)), slopes = gradients(*arguments)
    (ours, (found, _)), found_slopes = training.micro_batches(gradients, size, mean=mean)(*arguments)
    assert (int(found), found.dtype) == (int(hits), hits.dtype)
    np.testing.assert_allclose(ours, value, rtol=1e-5)
    np.testing.assert_allclose(found_slopes["w"], slopes["w"], rtol=1e-4, atol=1e-5)


def test_norms_see_micro_batches_one_after_another(x64):
    apply, params, state = network("arctan", jnp.float64, norm="bn")
    gradients = training.backpropagation(apply, LOSSES["squared_error"].function)
    x, labels, keys = batch(jnp.float64)
    (loss, (hits, after)), slopes = jax.jit(training.micro_batches(gradients, 2, mean=False))(
        params, state, x, labels, keys
    )
    first, second = (slice(0, 2), slice(2, 4))
    (a, (b, between)), c = jax.jit(gradients)(params, state, x[:, first], labels[first], keys[first])
    (d, (e, last)), f = jax.jit(gradients)(params, between, x[:, second], labels[second], keys[second])
    close((loss, hits, after, slopes), (a + d, b + e, last, jax.tree.map(jnp.add, c, f)))
    assert any((x != y).any() for x, y in zip(*map(jax.tree.leaves, (between, last)), strict=True))


def test_memory_is_that_of_a_micro_batch():
    apply, params, state = network("arctan")
    gradients = training.backpropagation(apply, LOSSES["squared_error"].function)

    def temporaries(gradients, size):
        memory = jax.jit(gradients).lower(params, state, *batch(size=size, steps=10)).compile().memory_analysis()
        return memory.temp_size_in_bytes

    whole, alone = temporaries(gradients, 64), temporaries(gradients, 8)
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    parts = temporaries(training.micro_batches(gradients, 8, mean=False), 64)
    assert parts <= alone + 2 * weights + 2**20 < whole / 3


def test_labels_are_checked_against_the_classes(tmp_path):
    """`fit` finds the number of classes through the wrapped function."""
    gradients = training.micro_batches(training.backpropagation(problem.apply, problem.loss), 4, mean=False)
    step = training.make_train_step(gradients, problem.functions(0.02)[0], problem.prepare, 16)
    sets = problem.data()
    with pytest.raises(ValueError, match="labels must lie in .0, 3."):
        problem.fit(tmp_path, step=step, sets=sets._replace(labels=sets.labels + 1))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (0, "a micro-batch has at least 1 sample, got 0"),
        (3, "a batch of 4 samples on a device cannot be divided into micro-batches of 3: choose one of 1, 2"),
    ],
)
def test_impossible_sizes(size, message):
    with pytest.raises(ValueError, match=message):
        training.micro_batches(lambda *_: None, size, mean=True)({}, {}, *batch())


def test_a_batch_that_is_not_larger_is_taken_whole():
    gradients = training.micro_batches(lambda *arguments: arguments, 5, mean=True)
    x, labels, keys = batch()
    assert gradients({}, {}, x, labels, keys) == ({}, {}, x, labels, keys)


def small(**fields):
    common = {"model": "mlp", "hidden": (8,), "time_steps": 3, "limit": 32, "limit_test": 20, "validation": 20}
    return digits.digits().replace(
        **common, batch_size=16, epochs=1, optimizer="sgd", schedule="constant", lr=0.01, **fields
    )


def after_an_epoch(config):
    data = load("digits")
    program, sets = build.build(config, data), splits.split(config, data)
    step, state = jax.jit(program.step), program.start(0)
    for _ in range(2):
        state = step(state, *sets.fitting, training.epoch_order(0, 0, 32))
    return state


@pytest.mark.parametrize("loss", ["squared_error", "per_step_cross_entropy"])
def test_a_run_by_micro_batches_is_that_of_whole_batches(loss):
    whole, parts = (after_an_epoch(small(micro_batch=size, loss=loss)) for size in (0, 4))
    assert int(whole.totals.correct) == int(parts.totals.correct)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), parts.params, whole.params)


def test_a_size_that_does_not_divide_the_batch_is_refused_with_the_flags():
    config = small(micro_batch=5)
    with pytest.raises(ValueError, match=r"batch of 16 .* micro-batches of 5: choose .* 8 \(--batch_size, --micro_bat"):
        build.build(config, load("digits"))


@pytest.mark.thorough
def test_members_of_a_population_take_micro_batches():
    data, config = load("digits"), small()
    sets, ends = splits.split(config, data), []
    for size in (0, 4):
        program = build.build(config.replace(micro_batch=size), data)
        population = parallel.create_population([{}, {}], [program.start(seed) for seed in range(2)])
        step = jax.jit(parallel.make_population_step(lambda _, program=program: program, vmap_size=2))
        orders = jnp.stack([training.epoch_order(seed, 0, 32) for seed in range(2)])
        ends.append(step(population, *sets.fitting, orders))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), *(end.states.params for end in ends))
