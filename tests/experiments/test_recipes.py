"""What a recipe is made of reaches the weights: weight decay, schedule, dropout; every preset takes a step."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks.presets import made_up, shrunk
from experiments import cifar10, events, mnist, nmnist, svhn
from jaxsnn import models, training
from jaxsnn.lab import build, optimizers
from jaxsnn.lab.config import Config
from jaxsnn.lab.optimizers import OPTIMIZERS
from jaxsnn.lab.splits import split

PRESETS = cifar10.PRESETS | mnist.PRESETS | nmnist.PRESETS | svhn.PRESETS
PRESETS |= {"saccade_digits": events.saccade_digits}


def updates(config, gradients, params, steps, per_epoch=10):
    """The updates of constant gradients, step by step."""
    optimizer = build.make_optimizer(config, per_epoch)
    state, found = optimizer.init({"kernel": params}), []
    for _ in range(steps):
        update, state = optimizer.update({"kernel": gradients}, state, {"kernel": params})
        found.append(np.asarray(update["kernel"]))
    return found


def test_weight_decay_is_added_to_the_gradient():
    config = Config.of(lr=0.5, weight_decay=0.1, schedule="constant")
    weights, gradients = jnp.asarray([2.0, -4.0]), jnp.asarray([1.0, 1.0])
    np.testing.assert_allclose(updates(config, gradients, weights, 1)[0], [-0.5 * 1.2, -0.5 * 0.6], rtol=1e-6)


def test_weight_decay_of_adamw_is_not():
    config = Config.of(lr=0.5, weight_decay=0.1, schedule="constant", optimizer="adamw")
    update = updates(config, jnp.zeros(1), jnp.asarray([2.0]), 1)[0]
    np.testing.assert_allclose(update, [-0.5 * 0.1 * 2.0], rtol=1e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weight_decay_acts_on_weights_alone(optimizer):
    """Without any gradient every kernel shrinks, and learned leaks and thresholds stay as they are."""
    config = Config.of(
        gradient="bptt", learn=("leak", "threshold"), width=0.05, optimizer=optimizer, weight_decay=0.1, lr=0.1
    )
    _, params, _ = models.functionalize(build.make_model(config, made_up(config), 0))
    optimizer = build.make_optimizer(config, 10)
    zero = jax.tree.map(jnp.zeros_like, params)
    after = optax.apply_updates(params, optimizer.update(zero, optimizer.init(params), params)[0])
    changed = jax.tree_util.tree_map_with_path(
        lambda path, old, new: (path[-1].key == "kernel", bool((old != new).any())), params, after
    )
    found = collections.Counter(jax.tree.leaves(changed, is_leaf=lambda x: isinstance(x, tuple)))
    assert set(found) == {(True, True), (False, False)}


def test_an_optimiser_and_a_schedule_are_added_by_their_tables(monkeypatch):
    monkeypatch.setitem(optimizers.OPTIMIZERS, "sign", lambda training, rate, decay: optax.sign_sgd(rate))
    halved = optimizers.Schedule(lambda training, lr, steps: optax.exponential_decay(lr, steps, 0.5), ends=False)
    monkeypatch.setitem(optimizers.SCHEDULES, "halved", halved)
    config = Config.of(optimizer="sign", schedule="halved", lr=0.5)
    rates = [u[0] for u in updates(config, jnp.full(1, 3.0), jnp.ones(1), 11)]
    np.testing.assert_allclose([rates[0], rates[10]], [-0.5, -0.25])


def test_the_papers_presets_decay_their_rate_at_the_papers_epochs():
    config = cifar10.cifar10_vgg9().replace(weight_decay=0.0)
    rates = [-u[0] for u in updates(config, jnp.ones(1), jnp.ones(1), 1301)]
    for step, factor in ((0, 1), (699, 1), (700, 0.2), (999, 0.2), (1000, 0.04), (1249, 0.04), (1250, 0.008)):
        assert rates[step] == pytest.approx(0.0033 * factor, rel=1e-5), step


def test_cosine_falls_to_zero():
    config = Config.of(lr=1.0, weight_decay=0.0, schedule="cosine", epochs=2)
    rates = [-u[0] for u in updates(config, jnp.ones(1), jnp.ones(1), 21)]
    np.testing.assert_allclose([rates[0], rates[10], rates[20]], [1, 0.5, 0], atol=1e-6)


def test_dropout_acts_in_training_and_not_in_evaluation():
    config = mnist.mnist_lenet().replace(time_steps=4, dropout=0.5, init_gain=3.0)
    program = build.build(config.replace(validation=4, batch_size=4), made_up(config))
    state = program.start(0)
    x = jax.random.bernoulli(jax.random.key(0), 0.5, (4, 2, 28, 28, 1)).astype(jnp.float32)
    run = jax.jit(program.apply, static_argnames="train")
    quiet = run(state.params, state.model_state, x, train=False)[0].logits
    first, second = (
        run(state.params, state.model_state, x, train=True, key=jax.random.key(n))[0].logits for n in (1, 2)
    )
    assert (first != quiet).any()
    assert (first != second).any()
    np.testing.assert_array_equal(
        quiet, run(state.params, state.model_state, x, train=False, key=jax.random.key(1))[0][0]
    )


@pytest.mark.parametrize("name", PRESETS)
def test_presets_build_and_trace(name):
    config = shrunk(PRESETS[name]())
    data = made_up(config)
    program, sets = build.build(config, data), split(config, data)
    order = training.epoch_order(0, 0, len(sets.fitting.labels))
    state = jax.eval_shape(lambda: program.step(program.start(0), *sets.fitting, order))
    assert state.step.shape == ()


@pytest.mark.parametrize(
    "name",
    [
        *("svhn_resnet7", "nmnist_lenet"),
        *(pytest.param(name, marks=pytest.mark.thorough) for name in ("cifar10_vgg9", "cifar10_resnet11")),
    ],
)
def test_presets_take_steps(name):
    """Narrow, but otherwise as published: dropout, augmentation or events, packed spikes; the weights move."""
    config = shrunk(PRESETS[name](), init_gain=4.0)
    data = made_up(config)
    program, sets = build.build(config, data), split(config, data)
    order = training.epoch_order(0, 0, len(sets.fitting.labels))
    state, step = program.start(0), jax.jit(program.step)
    for _ in range(2):
        after = step(state, *sets.fitting, order)
        assert np.isfinite(after.totals.loss)
        moved = [bool((a != b).any()) for a, b in zip(*map(jax.tree.leaves, (state.params, after.params)), strict=True)]
        assert all(moved)
        state = after


def test_folds_part_the_training_set():
    config = Config.of(folds=3, validation=4, batch_size=4, dataset="mnist", limit=0)
    data = made_up(config, 32)
    numbered = np.arange(32, dtype=np.uint8)[:, None, None, None] * np.ones((28, 28, 1), np.uint8)
    data = data._replace(train=data.train._replace(samples=numbered))
    tested = []
    for fold in range(3):
        sets = split(config, data, fold)
        ids = [set(np.asarray(part.images)[:, 0, 0, 0].tolist()) for part in sets]
        assert [len(part) for part in ids] == [18, 4, 10]
        assert len(ids[0] | ids[1] | ids[2]) == 32
        tested += ids[2]
    assert len(set(tested)) == 30  # equal parts: two of the 32 are never tested on
