"""The training loop: epochs, progress, metrics, evaluation, checkpoints, and an orderly end."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from jaxsnn.checks import check_labels
from jaxsnn.training.checkpoints import Checkpoints
from jaxsnn.training.dispatch import Dispatch, compile_steps
from jaxsnn.training.ending import interrupted, named_losses, not_finite
from jaxsnn.training.feed import OnHost, feed, on_host_if_mapped
from jaxsnn.training.metrics import START, Metrics, MetricsList
from jaxsnn.training.state import TrainState, no_totals
from jaxsnn.training.step import TrainStep, epoch_order
from jaxsnn.training.stopping import stop_requests
from jaxsnn.typing import Array


class Data(NamedTuple):
    """A training set on the device, or with its samples on the host."""

    images: Any
    """`[N, H, W, C]`, uint8; on the host `OnHost`, or a map of a file (`np.load(file, mmap_mode="r")`)."""
    labels: Array
    """`[N]`, int32."""


def fit(
    state: TrainState,
    step: TrainStep,
    data: Data,
    *,
    batch_size: int,
    epochs: int,
    evaluate: Callable[[TrainState], dict[str, float]] | None = None,
    metrics: Metrics | None = None,
    checkpoints: Checkpoints | None = None,
    evaluate_every: int = 1,
    log_every: int = 50,
    checkpoint_every: int | None = None,
    steps_per_dispatch: int = 1,
    agree: Callable[[bool], bool] | None = None,
    progress: bool = True,
    description: str = "",
) -> TrainState:
    """Trains until `epochs` are done, from wherever `state` stands.

    The step is compiled once; its costs go to `metrics` as a row of kind `start`. Within an epoch the host waits
    for the device only every `log_every` steps, when it reads three numbers. At the end of every epoch that is
    evaluated a row goes to `metrics` and a checkpoint is written, in that order; a run that resumes from it repeats
    the later steps, bit for bit.

    Args:
      state: where to begin; it is copied once and stays as it is.
      step: from `make_train_step`; compiled here, with the (copied) state donated.
      data: training set on the device: integer labels from 0 on, as many as images. Images that are `OnHost`, or
        mapped from a file, stay on the host; a step gets its own, and computes the same, bit for bit.
      batch_size: as given to `make_train_step`.
      epochs: total number, those of an earlier part of the run included.
      evaluate: named accuracies of a state; `validation_accuracy` among them chooses the best checkpoint. None for no
        evaluation.
      metrics: where rows go: a `MetricsFile`, or a `MetricsList`, which keeps them in memory. None for nowhere.
      checkpoints: where states go; None, as in a notebook, for nowhere: then Ctrl-C ends at once, and all is lost.
      evaluate_every: epochs between evaluations; the last epoch is always evaluated.
      log_every: steps between `train` rows.
      checkpoint_every: steps between checkpoints within an epoch; None for none.
      steps_per_dispatch: train steps that the device takes on its own before the host is heard again; fewer where a
        row, a checkpoint or the end of the epoch comes first. A stop request waits for their end.
      agree: of several processes that train together, whether any of them is asked to stop (`parallel.agree`). It is
        called on all of them every `log_every` steps and at the end of an epoch, and only then they stop; None for one.
      progress: show a bar with loss, accuracy and images/s.
      description: shown before the bar.

    Returns:
      The state after the last step.

    Raises:
      ValueError: if the labels are no classes of the network's, or not as many as the images; `batch_size` is another
        than the step's, or more than there are samples; `steps_per_dispatch` is not at least 1; or there is
        `checkpoint_every` without `checkpoints`.
      NonFiniteLoss: if loss, gradient or weights are NaN or infinite; the last checkpoint from before stays the last.
      OSError: if a row or checkpoint cannot be written; it says which checkpoint is the last whole one. If samples on
        the host cannot be read; it names their file.
      Interrupted: after Ctrl-C or SIGTERM, once the state is saved.
    """
    number, labels = jax.device_get((state.step, data.labels))
    check_labels(labels, samples=next(iter(data)))
    images, samples, number = on_host_if_mapped(next(iter(data))), len(labels), int(number)
    on_host = isinstance(images, OnHost)
    check_batch_size(step, batch_size, samples)
    if steps_per_dispatch < 1:
        raise ValueError(f"steps_per_dispatch must be >= 1, got {steps_per_dispatch}")
    if checkpoint_every and checkpoints is None:
        raise ValueError(f"checkpoint_every={checkpoint_every} needs checkpoints=training.Checkpoints(folder)")
    metrics = MetricsList() if metrics is None else metrics
    per_epoch = samples // batch_size
    most = min(steps_per_dispatch, log_every, per_epoch, checkpoint_every or per_epoch)
    dispatch: Dispatch | None = None
    bar = tqdm(total=per_epoch, disable=None if progress else True, unit="step", desc=description, leave=False)

    def report(state: TrainState, kind: str, done: int, since: float, steps: int) -> dict[str, Any]:
        # the only place where the host waits
        totals, number, finite = jax.device_get((state.totals, state.step, _finite(state.params)))
        number, seconds = int(number), time.perf_counter() - since
        if totals.bad_step >= 0 or not finite:
            bad = ("loss or gradient", int(totals.bad_step)) if totals.bad_step >= 0 else ("weights", number - 1)
            raise not_finite(*bad, checkpoints)
        row = {
            "kind": kind,
            "epoch": (number - 1) // per_epoch + 1,
            "step": number,
            "loss": float(totals.loss) / done,
            "accuracy": int(totals.correct) / (done * batch_size),
            "seconds": round(seconds, 3),
            "images_per_second": round(steps * batch_size / max(seconds, 1e-9), 1),
        }
        bar.set_postfix_str(
            f"loss {row['loss']:.4f}, accuracy {row['accuracy']:.4f}, {row['images_per_second']:.0f} images/s"
        )
        return row

    def count_from(number: int) -> int:
        """Steps of the dispatch that begins at this one."""
        done = number % per_epoch
        count = min(most, per_epoch - done, log_every - done % log_every)
        return min(count, checkpoint_every - number % checkpoint_every) if checkpoint_every else count

    def batches(number: int, order: np.ndarray) -> Iterator[np.ndarray]:
        """The numbers of the samples of each dispatch, from a step to the end of its epoch, `[steps, batch_size]`."""
        places = order[: per_epoch * batch_size].reshape(per_epoch, batch_size)
        done = number % per_epoch
        while done < per_epoch:
            count = count_from(number)
            yield places[done : done + count]
            number, done = number + count, done + count

    def asked_to_stop(*, together: bool) -> bool:
        return stop.is_set() if agree is None else together and agree(stop.is_set())

    def save(number: int, state: TrainState, scores: dict[str, float] | None = None) -> None:
        if checkpoints is not None:
            with named_losses(number, checkpoints):
                checkpoints.save(number, state, scores)

    def write(row: dict[str, Any]) -> None:
        with named_losses(row["step"], checkpoints):
            metrics.write(row)

    with stop_requests() if checkpoints is not None else nullcontext(threading.Event()) as stop, bar:
        state = copy_state(state)
        while number < epochs * per_epoch:
            epoch = number // per_epoch
            end = (epoch + 1) * per_epoch
            order = epoch_order(state.seed, epoch, samples)
            bar.reset()
            bar.update(per_epoch - (end - number))
            bar.set_description(f"{description} epoch {epoch + 1}/{epochs}".strip())
            if dispatch is None:
                shown = images.like(most, batch_size) if on_host else images
                dispatch, costs = compile_steps(step, state, shown, data.labels, order, several=steps_per_dispatch > 1)
                check_labels(labels, getattr(step, "classes", None))
                write({"kind": START, "step": number, **costs._asdict()})
                if progress:
                    bar.write(f"{description}: {costs}".removeprefix(": "))
            began = logged = time.perf_counter()
            first = last_logged = number
            to_come = batches(number, jax.device_get(order)) if on_host else ()
            with feed(images, to_come, most) as windows:
                while number < end:
                    count = count_from(number)
                    state = dispatch(state, next(windows) if on_host else data.images, data.labels, order, count)
                    windows.used(state.step)
                    number, done = number + count, number - epoch * per_epoch + count
                    bar.update(count)
                    if number == end:
                        break
                    if done % log_every == 0:
                        write(report(state, "train", done, logged, number - last_logged))
                        logged, last_logged = time.perf_counter(), number
                    stopping = asked_to_stop(together=done % log_every == 0)
                    if stopping or (checkpoint_every and number % checkpoint_every == 0):
                        report(state, "train", done, logged, number - last_logged)  # stops if the loss is not finite
                        save(number, state)
                    if stopping:
                        raise interrupted(number, checkpoints)
            row = report(state, "epoch", per_epoch, began, number - first)
            state = state._replace(totals=no_totals())
            evaluated = (epoch + 1) % evaluate_every == 0 or epoch + 1 == epochs
            if evaluated:
                began = time.perf_counter()
                scores = evaluate(state) if evaluate is not None else {}
                write(row | {"evaluation_seconds": round(time.perf_counter() - began, 3)} | scores)
                save(number, state, scores)
                if progress:
                    numbers = {"loss": row["loss"], "accuracy": row["accuracy"], **scores}
                    shown = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in numbers.items())
                    bar.write(f"{description} epoch {epoch + 1}: {shown}".strip())
            else:
                write(row)
            if asked_to_stop(together=True):
                if not evaluated:
                    save(number, state)
                raise interrupted(number, checkpoints)
    return state


def check_batch_size(step: Any, batch_size: int, samples: int) -> None:
    """Raises ValueError unless a step was made for this batch size, and there are samples for one batch."""
    made = getattr(step, "batch_size", None)
    if made not in (None, batch_size):
        raise ValueError(
            f"batch_size={batch_size}, but the step trains on batches of {made}: give the batch_size of make_train_step"
        )
    if samples < batch_size:
        raise ValueError(
            f"{samples} training samples are fewer than one batch of {batch_size}; use a smaller batch_size"
        )


def copy_state(state: Any) -> Any:
    """A copy to donate, on the same devices; so that the caller's stays, and no leaf is weakly typed."""
    return jax.tree.map(lambda x: jnp.array(x, dtype=jnp.asarray(x).dtype), state)


@jax.jit
def _finite(params: Any) -> Array:
    parts = [jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(params) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.array(parts)) if parts else jnp.array(True)
