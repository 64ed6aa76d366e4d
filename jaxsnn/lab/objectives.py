"""The losses that `--loss` names."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax

from jaxsnn import losses, models


class Loss(NamedTuple):
    """A loss of a network's output and the labels."""

    function: Callable[[models.Output, jax.Array], jax.Array]
    """`(output, labels [B]) -> scalar`."""
    reduction: Literal["sum", "mean"]
    """Over the batch: what parts of a batch on several devices are put together by."""


LOSSES: dict[str, Loss] = {
    "squared_error": Loss(lambda output, labels: losses.squared_error(output.logits, labels), "sum"),
    "potential_cross_entropy": Loss(
        lambda output, labels: losses.potential_cross_entropy(output.potentials, labels), "mean"
    ),
    "rate_cross_entropy": Loss(lambda output, labels: losses.rate_cross_entropy(output.potentials, labels), "mean"),
}
