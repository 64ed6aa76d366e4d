"""One small `training.fit`, replayed in NumPy: every number of its rows, and what a bad gradient does."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxsnn import training
from jaxsnn.training.state import EVALUATE, INPUT, key_for
from tests.training import problem

SEED, BATCH, EPOCHS, STEPS = 3, 16, 3, 4
NAMES = ("kind", "epoch", "step", "loss", "accuracy", "validation_accuracy")


def answer(x, weights):
    """Potentials of every step of a linear network whose readout adds up currents, `[T, B, classes]`."""
    return np.cumsum(x.reshape(*x.shape[:2], -1) @ weights, 0)


def replay(data):
    """Rows and weights after three epochs of momentum SGD on the squared error, logged every three steps."""
    weights, velocity, rows = np.zeros((3, 3)), np.zeros((3, 3)), []
    samples = np.arange(len(data.labels))
    seen = np.asarray(problem.prepare(key_for(SEED, EVALUATE, 0, samples), data.images), np.float64)
    for epoch in range(EPOCHS):
        order = np.asarray(training.epoch_order(SEED, epoch, len(samples)))
        loss = hits = 0.0
        for place in range(STEPS):
            step, chosen = STEPS * epoch + place, order[BATCH * place : BATCH * (place + 1)]
            keys = key_for(SEED, INPUT, step, np.arange(BATCH))
            x = np.asarray(problem.prepare(keys, data.images[chosen]), np.float64)
            logits, target = answer(x, weights)[-1] / 3, np.eye(3)[np.asarray(data.labels)[chosen]]
            loss, hits = loss + np.sum((logits - target) ** 2), hits + np.sum(logits.argmax(1) == target.argmax(1))
            gradient = np.sum(x, 0).reshape(BATCH, -1).T @ (2 * (logits - target) / 3)
            velocity = 0.9 * velocity + gradient
            weights = weights - 0.02 * velocity
            if place == 2:
                rows.append(("train", epoch + 1, step + 1, loss / 3, hits / (3 * BATCH), None))
        hit = answer(seen, weights)[-1].argmax(1) == np.asarray(data.labels)
        score = hit.mean() if epoch in (1, 2) else None  # of every second epoch, and the last
        rows.append(("epoch", epoch + 1, STEPS * (epoch + 1), loss / STEPS, hits / (STEPS * BATCH), score))
    return rows, weights


def test_every_number_of_a_run():
    data, metrics = problem.data(), training.MetricsList()
    expected, weights = replay(data)
    state, step = problem.start(seed=SEED)

    def evaluate(state):
        return {"validation_accuracy": float(problem.evaluation(state, *data).accuracy[-1])}

    options = {"batch_size": BATCH, "epochs": EPOCHS, "evaluate_every": 2, "log_every": 3}
    state = training.fit(state, step, data, evaluate=evaluate, metrics=metrics, progress=False, **options)
    np.testing.assert_allclose(state.params["w"], weights, rtol=1e-5, atol=1e-6)
    rows = [tuple(row.get(name) for name in NAMES) for row in metrics.rows[1:]]
    assert [row[:3] for row in rows] == [row[:3] for row in expected]
    for row, other in zip(rows, expected, strict=True):
        assert row[3] == pytest.approx(other[3], rel=1e-5)
        assert row[4:] == (pytest.approx(other[4]), other[5] if other[5] is None else pytest.approx(other[5]))
    accuracies = [row[4] for row in rows]
    assert len(set(accuracies)) > 3  # they tell steps and epochs apart
    for row, steps in zip(metrics.rows[1:], (3, 4) * EPOCHS, strict=True):
        assert row["images_per_second"] * row["seconds"] == pytest.approx(
            steps * BATCH, abs=0.001 * row["images_per_second"] + 1
        )


def test_the_confusion_is_of_the_last_step():
    """Every sample is answered 0, then 1, then its own class but one."""
    labels = jnp.asarray([0, 1, 2, 1, 2])
    trains = jnp.stack([jnp.zeros(5, int), jnp.ones(5, int), labels.at[2].set(0)])

    def apply(params, model_state, x, *, train):
        evidence = jax.nn.one_hot(x, 3)
        return problem.Output(evidence[-1], evidence, evidence), model_state

    evaluate = training.make_evaluate(apply, lambda keys, images: images.T, 2)
    found = evaluate(problem.start()[0], trains.T, labels)
    np.testing.assert_allclose(found.accuracy, [1 / 5, 2 / 5, 4 / 5])
    assert found.confusion.tolist() == [[1, 0, 0], [0, 2, 0], [1, 0, 1]]


@pytest.mark.parametrize(("value", "at"), [(jnp.nan, 0), (jnp.inf, 2), (-jnp.inf, 5)])
def test_a_bad_gradient_at_a_finite_loss_is_noticed(value, at):
    """One number of the gradient, in step `at` alone; the loss of that step and of all later ones is finite."""
    optimizer = optax.sgd(0.0)

    def gradients(params, model_state, x, labels, keys):
        count = model_state["count"]
        slopes = {"w": jnp.zeros((3, 3)).at[1, 2].set(jnp.where(count == at, value, 0.5))}
        return (jnp.float32(1), (jnp.int32(0), {"count": count + 1})), slopes

    step = training.make_train_step(gradients, optimizer, problem.prepare, BATCH)
    state = training.init_state({"w": jnp.zeros((3, 3))}, {"count": jnp.int32(0)}, optimizer, 0)
    with pytest.raises(training.NonFiniteLoss, match=f"loss or gradient became NaN or infinite at step {at}"):
        training.fit(state, step, problem.data(), batch_size=BATCH, epochs=2, progress=False)
