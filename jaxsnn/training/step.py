"""The jitted train step and evaluation: gather, prepare, forward, backward, update, all on the device."""

import inspect
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxsnn.checks import check_labels
from jaxsnn.compiling import compiler_options
from jaxsnn.training.feed import feed, on_host_if_mapped
from jaxsnn.training.state import DROPOUT, EVALUATE, INPUT, ORDER, SAMPLE, Totals, TrainState, key_for, moved
from jaxsnn.typing import Apply, Array, ArrayLike, Gradients

Loss = Callable[[Any, Array], Array]
"""`(output, labels [B] or probabilities [B, classes]) -> scalar`."""
Prepare = Callable[[Array, Array], Array]
"""`(keys [B], images [B, H, W, C] uint8) -> input spikes [T, B, H, W, C]`: normalisation, augmentation, encoding."""


class Visit(NamedTuple):
    """The samples of a batch, as a train step comes to them."""

    samples: Array
    """`[B, ...]`, as they are stored."""
    labels: Array
    """Class numbers `[B]`."""
    keys: Array
    """For this visit alone, one per sample, `[B]`."""
    lasting: Array
    """The key of each sample, the same at all visits of a run, `[B]`."""
    epoch: Array
    """The number of the epoch, from 0, int32."""


Augment = Callable[[Visit], tuple[Array, Array]]
"""`visit -> (samples [B, ...], labels)`; labels are `[B]`, or `[B, classes]` where classes are mixed."""
Fetch = Callable[[Array, Array], Array]
"""`(images [N, ...], numbers [B]) -> images [B, ...]`: fetches samples from where they are kept."""
TrainStep = Callable[[TrainState, Array, Array, Array], TrainState]
CountBatch = Callable[[TrainState, Array, Array, ArrayLike, ArrayLike], tuple[Array, Array]]
"""`(state, images [N, ...], labels [N], number, start) -> (hits [T], confusion [classes, classes])` of one batch."""


class Tested(NamedTuple):
    """A set on which a run is evaluated."""

    images: Any
    """`[N, ...]`, or `OnHost`."""
    labels: Array
    """`[N]`, int32."""
    number: ArrayLike
    """The set's number among the sets of the run: each has random numbers of its own."""


def epoch_order(seed: ArrayLike, epoch: ArrayLike, samples: int) -> Array:
    """The order in which an epoch visits its samples: a permutation of `[0, samples)`, on the device."""
    return jax.random.permutation(key_for(seed, ORDER, epoch), samples)


def backpropagation(apply: Apply, loss: Loss) -> Gradients:
    """The gradients of a loss by reverse-mode differentiation; another learning rule is another maker of `Gradients`.

    Args:
      apply: the model; its output has `logits [B, classes]`.
      loss: of the model's output.
    """

    def gradients(
        params: Any, model_state: Any, x: Array, labels: Array, keys: Array, axis_name: str | None = None
    ) -> tuple[tuple[Array, tuple[Array, Any]], Any]:
        options = {} if axis_name is None else {"axis_name": axis_name}

        def objective(params: Any) -> tuple[Array, tuple[Array, Any]]:
            output, state = apply(params, model_state, x, train=True, key=keys, **options)
            vars(gradients)["classes"] = output.logits.shape[-1]  # for `fit`, which checks the labels
            classes = labels if labels.ndim == 1 else jnp.argmax(labels, -1)
            return loss(output, labels), (jnp.sum(jnp.argmax(output.logits, -1) == classes), state)

        return jax.value_and_grad(objective, has_aux=True)(params)

    return gradients


def make_train_step(
    gradients: Gradients,
    optimizer: optax.GradientTransformation,
    prepare: Prepare,
    batch_size: int,
    *,
    fetch: Fetch = operator.getitem,
    augment: Augment | None = None,
    ema: float = 0.0,
) -> TrainStep:
    """Builds the train step; jit it with the state donated (`jax.jit(step, donate_argnums=0)`).

    The step takes `(state, images [N, ...], labels [N], order [N])` and trains on the batch of `order` that its step
    number names; the incomplete batch at the end of an order is left out. Everything random comes from the run's seed
    and the step number.

    Args:
      gradients: from `backpropagation`, spread over devices by `parallel.data_parallel` where there are several.
      optimizer: from optax.
      prepare: samples to input spikes; called on the whole batch, with a key for each sample.
      batch_size: samples per step, of all devices together.
      fetch: fetches the samples of a batch (`parallel.fetch_rows` where each process holds its own).
      augment: changes samples before `prepare`, and labels where it mixes them; it knows epoch and sample. None to
        leave them as they are.
      ema: decay per step of running means of the weights and the model state (`state.average`), with which a network is
        evaluated; 0 for none. The state needs them from `init_state`.
    """

    def step(state: TrainState, images: Array, labels: Array, order: Array) -> TrainState:
        per_epoch = order.shape[0] // batch_size
        position = state.step % per_epoch * batch_size
        chosen = jax.lax.dynamic_slice_in_dim(order, position, batch_size)
        places = jnp.arange(batch_size, dtype=jnp.int32)  # a key per sample: numbers are the same on any device
        of_input, of_dropout = (key_for(state.seed, purpose, state.step, places) for purpose in (INPUT, DROPOUT))
        samples, answers = fetch(images, chosen), labels[chosen]
        if augment is not None:
            lasting, epoch = key_for(state.seed, SAMPLE, chosen), state.step // per_epoch
            samples, answers = augment(Visit(samples, answers, of_input, lasting, epoch))
        x = prepare(of_input, samples)
        (value, (correct, model_state)), found = gradients(state.params, state.model_state, x, answers, of_dropout)
        vars(step)["classes"] = getattr(inspect.unwrap(gradients), "classes", None)
        updates, optimizer_state = optimizer.update(found, state.optimizer, state.params)
        finite = jnp.isfinite(value) & jnp.isfinite(optax.tree.norm(found))
        totals = Totals(
            state.totals.loss + value.astype(jnp.float32),
            state.totals.correct + correct.astype(jnp.int32),
            jnp.where((state.totals.bad_step < 0) & ~finite, state.step, state.totals.bad_step),
        )
        params = optax.apply_updates(state.params, updates)
        average = moved(state.average, (params, model_state), ema, state.step) if ema else state.average
        return TrainState(state.step + 1, state.seed, params, model_state, optimizer_state, totals, average)

    vars(step)["batch_size"] = batch_size
    return step


def switch_step(first: TrainStep, then: TrainStep, number: int) -> TrainStep:
    """The train step `first` before step `number`, `then` from it on: one program, which holds both.

    Args:
      first, then: from `make_train_step`, for one batch size and one optimiser; the numbers of time steps, say, differ.
      number: of steps that `first` takes.
    """

    def step(state: TrainState, images: Array, labels: Array, order: Array) -> TrainState:
        after = jax.lax.cond(state.step < number, first, then, state, images, labels, order)
        vars(step)["classes"] = getattr(then, "classes", None)
        return after

    vars(step)["batch_size"] = getattr(then, "batch_size", None)
    return step


class Evaluation(NamedTuple):
    """How well a network does on a set."""

    accuracy: np.ndarray
    """Fraction classified correctly by the readout of every time step, `[T]`."""
    confusion: np.ndarray
    """Samples by true class (row) and answer after the last step (column), `[classes, classes]`, int."""


def make_count_batch(apply: Apply, prepare: Prepare, batch_size: int, *, fetch: Fetch = operator.getitem) -> CountBatch:
    """Builds `count_batch(state, images [N, ...], labels [N], number, start) -> (hits, confusion)`, a `CountBatch`.

    It counts over the `batch_size` samples from `start` on, as many as there are. The input's random numbers come from
    the seed, the `number` of the set and that of the sample: they are the same at every evaluation, for any batch size.
    """

    def count_batch(
        state: TrainState, images: Array, labels: Array, number: ArrayLike, start: ArrayLike
    ) -> tuple[Array, Array]:
        index = start + jnp.arange(batch_size, dtype=jnp.int32)
        inside = index < labels.shape[0]
        index = jnp.where(inside, index, 0)
        x = prepare(key_for(state.seed, EVALUATE, number, index), fetch(images, index))
        output, _ = apply(*state.weights, x, train=False)
        answers = jnp.argmax(output.answers, -1)
        hits = jnp.sum((answers == labels[index][None]) & inside[None], 1)
        classes = output.answers.shape[-1]
        return hits, jnp.zeros((classes, classes), jnp.int32).at[labels[index], answers[-1]].add(
            inside.astype(jnp.int32)
        )

    return count_batch


def make_evaluate(
    apply: Apply, prepare: Prepare, batch_size: int, *, fetch: Fetch = operator.getitem
) -> Callable[..., Evaluation]:
    """Builds `evaluate(state, images [N, ...], labels [N], number=0) -> Evaluation`.

    Batches are padded to one size (one compilation). The input's random numbers are the same at every evaluation, and
    others for another set: `number` is that of the set among those of the run (see `Tested`). Images may be `OnHost`.

    Raises (from `evaluate`):
      ValueError: if there is no sample, or the labels are no classes of the model's or not as many as the images.
    """
    count_batch = jax.jit(
        make_count_batch(apply, prepare, batch_size, fetch=fetch), compiler_options=compiler_options()
    )

    def evaluate(state: TrainState, images: Array, labels: Array, number: ArrayLike = 0) -> Evaluation:
        if not len(labels):
            raise ValueError("cannot evaluate on an empty set: no samples came")
        state = state._replace(optimizer=None)  # not looked at
        images, number, starts = (
            on_host_if_mapped(images),
            jnp.asarray(number, jnp.int32),
            range(0, len(labels), batch_size),
        )
        each = (np.arange(start, start + batch_size)[None] for start in starts)
        counts = []
        with feed(images, (np.where(index < len(labels), index, 0) for index in each)) as windows:
            for start in starts:
                counts.append(count_batch(state, next(windows), labels, number, jnp.int32(start)))
                windows.used(counts[-1][0])
        hits, confusion = (np.sum(jax.device_get(part), 0) for part in zip(*counts, strict=True))
        check_labels(jax.device_get(labels), len(confusion), images)
        return Evaluation(hits / len(labels), confusion)

    return evaluate
