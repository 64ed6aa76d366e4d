"""A small linear classifier over time: training needs only `apply(params, model_state, x, train=, key=)`."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxsnn import training


class Output(NamedTuple):
    logits: jax.Array
    potentials: jax.Array
    answers: jax.Array


def apply(params, model_state, x, *, train, key=None, axis_name=None):
    potentials = jnp.cumsum(x.reshape(*x.shape[:2], -1) @ params["w"], 0)
    return Output(potentials[-1] / len(x), potentials, potentials), model_state


def prepare(keys, images):
    noise = jax.vmap(lambda key: jax.random.normal(key, (3, *images.shape[1:])), out_axes=1)(keys)
    return images.astype(jnp.float32)[None] + 0.1 * noise


def loss(output, labels):
    return jnp.sum(jnp.square(output.logits - jax.nn.one_hot(labels, 3)))


def data(samples=70):
    labels = jax.random.randint(jax.random.key(0), (samples,), 0, 3)
    images = jax.nn.one_hot(labels, 3)[:, None, :, None] + 0.3 * jax.random.normal(
        jax.random.key(1), (samples, 1, 3, 1)
    )
    return training.Data(images, labels.astype(jnp.int32))


@functools.cache
def functions(lr):
    """Optimiser and train step; cached, so that the runs of a test share one compilation."""
    optimizer = optax.sgd(lr, momentum=0.9)
    return optimizer, training.make_train_step(training.backpropagation(apply, loss), optimizer, prepare, 16)


evaluation = training.make_evaluate(apply, prepare, 32)


def start(lr=0.02, seed=0):
    optimizer, step = functions(lr)
    return training.init_state({"w": jnp.zeros((3, 3))}, {}, optimizer, seed), step


def fit(folder, *, state=None, step=None, epochs=3, resume=False, sets=None, progress=False, **options):
    """Runs `training.fit` in `folder`; returns the last state and the rows, without what no run repeats."""
    first, default = start()
    state, step = first if state is None else state, step or default
    sets = sets or data()
    metrics, checkpoints = training.MetricsFile(folder / "metrics.jsonl"), training.Checkpoints(folder / "checkpoints")
    if resume:
        state = checkpoints.load(state)
        metrics.rewind(int(state.step))
    evaluate = lambda state: {"validation_accuracy": float(evaluation(state, *sets).accuracy[-1])}  # noqa: E731
    state = training.fit(
        state,
        step,
        sets,
        batch_size=16,
        epochs=epochs,
        evaluate=evaluate,
        metrics=metrics,
        checkpoints=checkpoints,
        progress=progress,
        **options,
    )
    rows = [row for row in metrics.read() if row["kind"] != training.metrics.START]
    return state, [{k: v for k, v in row.items() if k not in training.metrics.TIMES} for row in rows]
