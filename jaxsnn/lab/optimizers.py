"""The optimisers and learning-rate schedules that `--optimizer` and `--schedule` name."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import optax

from jaxsnn.typing import ArrayLike

if TYPE_CHECKING:
    from jaxsnn.lab.groups import TrainingConfig  # which reads the names of the tables below


class Schedule(NamedTuple):
    """The learning rate over a run."""

    make: Callable[["TrainingConfig", ArrayLike, int], Any]
    """`(training, lr, steps_per_epoch) -> rate`, as optax takes it; `lr` may be traced."""
    ends: bool
    """Whether the rate at every step depends on how long the run is: then a finished run cannot go on."""


def _after_warmup(schedule: Callable[["TrainingConfig", ArrayLike, int, int], Any]) -> Callable[..., Any]:
    """A schedule of the steps that follow the rise of the rate from `lr / warmup` in the first step to `lr`.

    `schedule` is `(training, lr, steps per epoch, warm-up steps) -> rate`, which counts its steps from its own start.
    """

    def make(training: "TrainingConfig", lr: ArrayLike, steps: int) -> Any:
        warm = round(training.warmup_epochs * steps)
        after = schedule(training, lr, steps, warm)
        if not warm:
            return after
        rise = optax.linear_schedule(lr / warm, lr, warm - 1)
        return optax.join_schedules([rise, after if callable(after) else optax.constant_schedule(after)], [warm])

    return make


def _onecycle(training: "TrainingConfig", lr: ArrayLike, steps: int) -> Any:
    """From `lr / 25` to `lr` in 0.3 of the run, or the warm-up, then to `lr / 250000`, along cosines.

    Source: Smith and Topin (2018), arXiv 1708.07120, with the numbers of PyTorch's `OneCycleLR`.
    """
    rise = training.warmup_epochs / training.epochs if training.warmup_epochs else 0.3
    shape = optax.cosine_onecycle_schedule(max(training.epochs * steps, 1), 1.0, rise)
    return lambda step: lr * shape(step)


def _left(training: "TrainingConfig", steps: int, warm: int) -> int:
    return max(training.epochs * steps - warm, 1)


SCHEDULES: dict[str, Schedule] = {
    "constant": Schedule(_after_warmup(lambda training, lr, steps, warm: lr), ends=False),
    "steps": Schedule(
        _after_warmup(
            lambda training, lr, steps, warm: optax.piecewise_constant_schedule(
                lr,
                {epoch * steps - warm: training.lr_decay for epoch in training.lr_decay_epochs},
            )
        ),
        ends=False,
    ),
    "linear": Schedule(
        _after_warmup(lambda training, lr, steps, warm: optax.linear_schedule(lr, 0.0, _left(training, steps, warm))),
        ends=True,
    ),
    "cosine": Schedule(
        _after_warmup(lambda training, lr, steps, warm: optax.cosine_decay_schedule(lr, _left(training, steps, warm))),
        ends=True,
    ),
    "onecycle": Schedule(_onecycle, ends=True),
}

Make = Callable[["TrainingConfig", Any, ArrayLike], optax.GradientTransformation]


def _kernels(params: Any) -> Any:
    """Which parameters are weights: leaks and thresholds that are learned would be pulled to some number instead."""
    return jax.tree_util.tree_map_with_path(lambda path, _: getattr(path[-1], "key", None) == "kernel", params)


def _added(optimizer: Callable[["TrainingConfig", Any], optax.GradientTransformation]) -> Make:
    """With weight decay added to the gradient."""
    return lambda training, rate, decay: optax.chain(
        optax.add_decayed_weights(decay, _kernels), optimizer(training, rate)
    )


OPTIMIZERS: dict[str, Make] = {
    "sgd": _added(lambda training, rate: optax.sgd(rate, training.momentum or None, training.nesterov)),
    "adam": _added(lambda training, rate: optax.adam(rate)),
    "adamw": lambda training, rate, decay: optax.adamw(rate, weight_decay=decay, mask=_kernels),
}
"""Name to `(training, rate, weight decay) -> optimizer`; the weight decay may be traced. It acts on kernels alone."""
