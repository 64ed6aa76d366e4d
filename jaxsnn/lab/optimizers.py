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


SCHEDULES: dict[str, Schedule] = {
    "constant": Schedule(lambda training, lr, steps: lr, ends=False),
    "steps": Schedule(
        lambda training, lr, steps: optax.piecewise_constant_schedule(
            lr,
            {epoch * steps: training.lr_decay for epoch in training.lr_decay_epochs},
        ),
        ends=False,
    ),
    "cosine": Schedule(
        lambda training, lr, steps: optax.cosine_decay_schedule(lr, max(training.epochs * steps, 1)),
        ends=True,
    ),
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
    "sgd": _added(lambda training, rate: optax.sgd(rate, training.momentum or None)),
    "adam": _added(lambda training, rate: optax.adam(rate)),
    "adamw": lambda training, rate, decay: optax.adamw(rate, weight_decay=decay, mask=_kernels),
}
"""Name to `(training, rate, weight decay) -> optimizer`; the weight decay may be traced. It acts on kernels alone."""
