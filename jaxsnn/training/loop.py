"""The training loop: epochs, progress, metrics, evaluation, checkpoints, and an orderly end."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import jax
from tqdm import tqdm

from jaxsnn.training.checkpoints import Checkpoints
from jaxsnn.training.dispatch import Dispatch, compile_steps
from jaxsnn.training.metrics import START, Metrics, MetricsList
from jaxsnn.training.state import TrainState, no_totals
from jaxsnn.training.step import TrainStep, epoch_order
from jaxsnn.typing import Array


class NonFiniteLoss(FloatingPointError):
    """The loss or its gradient became NaN or infinite."""


class Interrupted(Exception):
    """Training was stopped from outside (Ctrl-C, SIGTERM) after its state had been saved."""


class Data(NamedTuple):
    """A training set on the device."""

    images: Array
    """`[N, H, W, C]`, uint8."""
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

    The step is compiled once; what that took goes to `metrics` as a row of kind `start`. Within an epoch the host waits
    for the device only every `log_every` steps, when it reads three numbers. At the end of every epoch that is
    evaluated a row goes to `metrics` and a checkpoint is written, in that order; a run that resumes from it repeats
    what came after, bit for bit.

    Args:
      state: donated: use the returned one.
      step: from `make_train_step`; compiled here, with the state donated.
      data: training set on the device.
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
      ValueError: if there are fewer samples than one batch, `steps_per_dispatch` is not at least 1, or there is
        `checkpoint_every` without `checkpoints`.
      NonFiniteLoss: if the loss or gradient is NaN or infinite; the last checkpoint from before stays the last.
      Interrupted: after Ctrl-C or SIGTERM, once the state is saved.
    """
    samples = len(data.labels)
    if samples < batch_size:
        raise ValueError(
            f"{samples} training samples are fewer than one batch of {batch_size}; use a smaller --batch_size"
        )
    if steps_per_dispatch < 1:
        raise ValueError(f"steps_per_dispatch must be >= 1, got {steps_per_dispatch}")
    if checkpoint_every and checkpoints is None:
        raise ValueError(f"checkpoint_every={checkpoint_every} needs checkpoints=training.Checkpoints(folder)")
    metrics = MetricsList() if metrics is None else metrics
    per_epoch = samples // batch_size
    dispatch: Dispatch | None = None
    bar = tqdm(total=per_epoch, disable=None if progress else True, unit="step", desc=description, leave=False)

    def report(state: TrainState, kind: str, done: int, since: float, steps: int) -> dict[str, Any]:
        totals, number = jax.device_get((state.totals, state.step))  # the only place where the host waits
        number, seconds = int(number), time.perf_counter() - since
        if totals.bad_step >= 0:
            raise _not_finite(int(totals.bad_step), checkpoints)
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

    def asked_to_stop(*, together: bool) -> bool:
        return stop.is_set() if agree is None else together and agree(stop.is_set())

    def save(number: int, state: TrainState, scores: dict[str, float] | None = None) -> None:
        if checkpoints is not None:
            checkpoints.save(number, state, scores)

    with _stop_requests() if checkpoints is not None else nullcontext(threading.Event()) as stop, bar:
        number = int(jax.device_get(state.step))
        while number < epochs * per_epoch:
            epoch = number // per_epoch
            end = (epoch + 1) * per_epoch
            order = epoch_order(state.seed, epoch, samples)
            bar.reset()
            bar.update(per_epoch - (end - number))
            bar.set_description(f"{description} epoch {epoch + 1}/{epochs}".strip())
            if dispatch is None:
                dispatch, costs = compile_steps(step, state, *data, order, several=steps_per_dispatch > 1)
                metrics.write({"kind": START, "step": number, **costs._asdict()})
                if progress:
                    bar.write(f"{description}: {costs}".removeprefix(": "))
            began = logged = time.perf_counter()
            first = last_logged = number
            while number < end:
                done = number - epoch * per_epoch
                count = min(steps_per_dispatch, end - number, log_every - done % log_every)
                if checkpoint_every:
                    count = min(count, checkpoint_every - number % checkpoint_every)
                state = dispatch(state, data.images, data.labels, order, count)
                number, done = number + count, done + count
                bar.update(count)
                if number == end:
                    break
                if done % log_every == 0:
                    metrics.write(report(state, "train", done, logged, number - last_logged))
                    logged, last_logged = time.perf_counter(), number
                stopping = asked_to_stop(together=done % log_every == 0)
                if stopping or (checkpoint_every and number % checkpoint_every == 0):
                    report(state, "train", done, logged, number - last_logged)  # stops if the loss is not finite
                    save(number, state)
                if stopping:
                    raise _interrupted(number, checkpoints)
            row = report(state, "epoch", per_epoch, began, number - first)
            state = state._replace(totals=no_totals())
            evaluated = (epoch + 1) % evaluate_every == 0 or epoch + 1 == epochs
            if evaluated:
                scores = evaluate(state) if evaluate is not None else {}
                metrics.write(row | scores)
                save(number, state, scores)
                if progress:
                    numbers = {"loss": row["loss"], "accuracy": row["accuracy"], **scores}
                    shown = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in numbers.items())
                    bar.write(f"{description} epoch {epoch + 1}: {shown}".strip())
            else:
                metrics.write(row)
            if asked_to_stop(together=True):
                if not evaluated:
                    save(number, state)
                raise _interrupted(number, checkpoints)
    return state


def _not_finite(step: int, checkpoints: Checkpoints | None) -> NonFiniteLoss:
    way_out = ""
    if checkpoints is not None:
        kept = checkpoints.steps()
        way_out = f"; the last good checkpoint is step {kept[-1]}" if kept else "; no checkpoint had been written yet"
        way_out = f"{way_out} in {checkpoints.folder}"
    return NonFiniteLoss(
        f"loss or gradient became NaN or infinite at step {step}{way_out}. "
        "Usual causes: too large a learning rate (--lr), or NaN in the input"
    )


def _interrupted(step: int, checkpoints: Checkpoints | None) -> Interrupted:
    where = "" if checkpoints is None else f", state saved in {checkpoints.folder}; go on with --resume"
    return Interrupted(f"stopped at step {step}{where}")


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; a second Ctrl-C interrupts at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def ask(number: int, frame: Any) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
