"""Losses on a network's outputs. Labels are class numbers `[B]`, or probabilities `[B, classes]`.

`LOSSES` holds every loss by name; an entry that is added there is found by its name everywhere. Losses are computed in
float32 at least, whatever the dtype of the output.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from jaxsnn.losses.activity import rate_penalty
from jaxsnn.losses.cross_entropies import (
    count_cross_entropy,
    max_cross_entropy,
    per_step_cross_entropy,
    rate_cross_entropy,
    softmax_sum_cross_entropy,
    tet,
)
from jaxsnn.losses.errors import per_step_mse, rate_mse, squared_error
from jaxsnn.losses.targets import smooth
from jaxsnn.losses.times import first_spike_cross_entropy, first_spike_mse, first_spike_times
from jaxsnn.typing import Array

__all__ = [
    "LOSSES",
    "Loss",
    "count_cross_entropy",
    "first_spike_cross_entropy",
    "first_spike_mse",
    "first_spike_times",
    "max_cross_entropy",
    "per_step_cross_entropy",
    "per_step_mse",
    "rate_cross_entropy",
    "rate_mse",
    "rate_penalty",
    "smooth",
    "softmax_sum_cross_entropy",
    "squared_error",
    "tet",
]


class Loss(NamedTuple):
    """A loss, and the facts that its users need."""

    function: Callable[..., Array]
    """`(output, labels, **options) -> scalar`; `output` has `logits` `[B, classes]` and `potentials`
    `[T, B, classes]`."""
    reduction: Literal["sum", "mean"]
    """Over the batch: whether the losses of parts of a batch are added up or averaged."""
    readout: str
    """The answer that belongs to it, a key of `models.READOUTS`: the potential after the last step, say."""
    options: tuple[str, ...] = ()
    """Fields of the training group that `function` takes by keyword."""
    fires: bool = False
    """Whether it asks when output neurons fire, so that the readout must."""


def _of_potentials(function: Callable[..., Array], readout: str = "mean", **facts: Any) -> Loss:
    return Loss(
        lambda output, labels, **options: function(output.potentials, labels, **options), "mean", readout, **facts
    )


LOSSES: dict[str, Loss] = {
    "squared_error": Loss(lambda output, labels: squared_error(output.logits, labels), "sum", "last"),
    "per_step_cross_entropy": _of_potentials(per_step_cross_entropy),
    "tet": _of_potentials(tet, options=("tet_lambda", "tet_target")),
    "rate_cross_entropy": _of_potentials(rate_cross_entropy),
    "count_cross_entropy": _of_potentials(count_cross_entropy),
    "max_cross_entropy": _of_potentials(max_cross_entropy, "max"),
    "softmax_sum_cross_entropy": _of_potentials(softmax_sum_cross_entropy, "softmax_sum"),
    "rate_mse": _of_potentials(rate_mse),
    "per_step_mse": _of_potentials(per_step_mse),
    "first_spike_cross_entropy": _of_potentials(first_spike_cross_entropy, "first_spike", fires=True),
    "first_spike_mse": _of_potentials(first_spike_mse, "first_spike", fires=True),
}
"""Every loss by its name."""
