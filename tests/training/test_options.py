"""Options of the train step: augmentation that knows epoch and sample, running means, schedules, optimisers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxsnn import training
from jaxsnn.lab.build import make_optimizer
from jaxsnn.lab.config import Config
from jaxsnn.training.state import SAMPLE, key_for
from tests.training import problem


def test_augmentation_knows_epoch_and_sample():
    """Every visit is seen by the gradients, as `(number in the set, epoch)`, with the sample's own key and label."""
    seen, samples, batch = [], 10, 4

    def augment(visit):
        lasting = jax.random.key_data(visit.lasting).astype(jnp.int32)
        rows = jnp.concatenate([visit.samples, jnp.broadcast_to(visit.epoch, (batch, 1)), lasting], 1)
        jax.debug.callback(lambda rows: seen.append(np.asarray(rows)), rows)
        return visit.samples * 2, jax.nn.one_hot(visit.labels, samples)

    def gradients(params, model_state, x, labels, keys):
        same = jnp.all(x[0, :, 0] == 2 * jnp.argmax(labels, -1))
        return (jnp.float32(0), (same.astype(jnp.int32), model_state)), params

    optimizer = optax.sgd(0.0)
    step = training.make_train_step(gradients, optimizer, lambda keys, x: x[None], batch, augment=augment)
    state = training.init_state({"w": jnp.zeros(())}, {}, optimizer, 3)
    data = training.Data(jnp.arange(samples, dtype=jnp.int32)[:, None], jnp.arange(samples, dtype=jnp.int32))
    rows = training.MetricsList()
    training.fit(state, step, data, batch_size=batch, epochs=2, progress=False, metrics=rows)
    jax.effects_barrier()
    assert [row["accuracy"] * batch for row in rows.rows[1:]] == [1, 1]
    visits = np.concatenate(seen)
    assert sorted(visits[:, 1]) == [0] * 8 + [1] * 8
    own = jax.random.key_data(key_for(3, SAMPLE, np.arange(samples))).astype(jnp.int32)
    np.testing.assert_array_equal(visits[:, 2:], np.asarray(own)[visits[:, 0]])


def test_running_means_are_evaluated_and_survive_a_checkpoint(tmp_path):
    """The means of every step, replayed; accuracy is theirs; a resumed run has the same, bit for bit."""
    optimizer = optax.sgd(0.02)

    def apply(params, model_state, x, *, train, key=None, axis_name=None):
        output, _ = problem.apply(params, {}, x, train=train)
        return output, {"seen": model_state["seen"] + int(train), "mean": x.mean() if train else model_state["mean"]}

    step = training.make_train_step(
        training.backpropagation(apply, problem.loss), optimizer, problem.prepare, 16, ema=0.5
    )
    first = {"w": 9 + jnp.zeros((3, 3))}, {"seen": jnp.int32(0), "mean": jnp.float32(0)}
    state = training.init_state(*first, optimizer, 0, ema=0.5)
    data, run, kept = problem.data(), jax.jit(step), []
    order = training.epoch_order(0, 0, 70)
    after, expected = state, None
    for number in range(4):
        after = run(after, *data, order)
        kept.append(jax.tree.map(np.float64, (after.params["w"], after.model_state["mean"])))
        decay = min(0.5, number / (number + 10))
        expected = (
            kept[-1]
            if expected is None
            else jax.tree.map(lambda m, w, d=decay: d * m + (1 - d) * w, expected, kept[-1])
        )
    np.testing.assert_allclose(after.weights[0]["w"], expected[0], rtol=1e-6)
    np.testing.assert_allclose(after.weights[1]["mean"], expected[1], rtol=1e-6)
    assert int(after.weights[1]["seen"]) == 4
    checkpoints = training.Checkpoints(tmp_path)
    checkpoints.save(4, after)
    resumed = checkpoints.load(state)
    for a, b in zip(
        jax.tree.leaves(run(resumed, *data, order)), jax.tree.leaves(run(after, *data, order)), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    evaluate = training.make_evaluate(apply, problem.prepare, 32)
    other = after._replace(average=(jax.tree.map(jnp.negative, after.params), after.model_state))
    scores = [float(evaluate(s, *data).accuracy[-1]) for s in (other, after._replace(params=other.average[0]))]
    assert scores[0] < 0.5 < scores[1]


def rates(**fields):
    """The learning rate of every step, five to an epoch: what SGD takes from a weight whose gradient is 1."""
    config = Config.of(optimizer="sgd", lr=0.5, weight_decay=0.0, **fields)
    optimizer = make_optimizer(config, 5)

    def body(state, _):
        updates, state = optimizer.update({"w": jnp.float32(1)}, state, {"w": jnp.float32(0)})
        return state, -updates["w"]

    with jax.numpy_dtype_promotion("standard"):  # optax mixes the step's number with floats
        return np.asarray(
            jax.lax.scan(body, optimizer.init({"w": jnp.float32(0)}), None, 5 * config.training.epochs)[1]
        )


def test_schedules():
    n, warm = np.arange(50), np.arange(1, 11) / 10
    expected = {
        "constant": np.ones(40),
        "linear": 1 - n[:40] / 40,
        "cosine": (1 + np.cos(np.pi * n[:40] / 40)) / 2,
        "steps": np.where(n[10:] < 20, 1, 0.2),
    }
    for name, after in expected.items():
        found = rates(schedule=name, epochs=10, warmup_epochs=2.0, lr_decay_epochs=(4,))
        np.testing.assert_allclose(found, 0.5 * np.concatenate([warm, after]), rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(rates(schedule="linear", epochs=10), 0.5 * (1 - n / 50), rtol=1e-5)
    cycle = rates(schedule="onecycle", epochs=10, warmup_epochs=2.0)
    np.testing.assert_allclose(
        cycle[[0, 5, 10, 30]], 0.5 * np.array([1 / 25, (1 + 1 / 25) / 2, 1, 0.500002]), rtol=1e-4
    )
    assert rates(schedule="onecycle", epochs=10).argmax() == 15


def updates(gradients, params, steps=2, **fields):
    optimizer = make_optimizer(Config.of(lr=0.1, schedule="constant", **fields), 5)
    state = optimizer.init(params)
    for _ in range(steps):
        update, state = optimizer.update(gradients, state, params)
    return update


def test_nesterov_clip_and_decay():
    params = {"fc": {"kernel": jnp.full(2, 3.0)}, "norm": {"scale": jnp.full(2, 3.0), "bias": jnp.ones(2)}}
    gradient = jax.tree.map(jnp.ones_like, params)
    plain = updates(gradient, params, weight_decay=0.0, momentum=0.5)
    ahead = updates(gradient, params, weight_decay=0.0, momentum=0.5, nesterov=True)
    np.testing.assert_allclose([plain["fc"]["kernel"][0], ahead["fc"]["kernel"][0]], [-0.15, -0.175], rtol=1e-6)
    cut = updates(gradient, params, steps=1, weight_decay=0.0, clip=0.5)
    assert float(optax.tree.norm(cut)) == pytest.approx(0.05, rel=1e-5)
    whole = updates(gradient, params, steps=1, weight_decay=0.0, clip=50.0)
    assert float(optax.tree.norm(whole)) == pytest.approx(0.1 * np.sqrt(6), rel=1e-5)
    decayed = updates(jax.tree.map(jnp.zeros_like, params), params, steps=1, weight_decay=0.5, clip=0.001)
    np.testing.assert_allclose(decayed["fc"]["kernel"], -0.15, rtol=1e-6)  # not cut
    assert not np.any(jax.tree.leaves(decayed["norm"]))
