"""A neuron model as a record: parameters, resting state, one time step, membrane, and the ranges of its fields."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsnn.typing import Array, ArrayLike, CellStep, Init


class Bound(NamedTuple):
    """The range of a learned field: training changes any real number, which `into` maps into the range."""

    name: str
    """How the trained number is called behind the field's name: a learned `leak` is the parameter `leak_logit`."""
    into: Callable[[Array], Array]
    """Any real number to a value of the field."""
    out: Callable[[Array], Array]
    """A value of the field to the trained number."""
    range: str
    """The range in words, for messages."""


def _logit(value: ArrayLike) -> Array:
    return jnp.log(value) - jnp.log1p(-jnp.asarray(value))


UNIT = Bound("logit", jax.nn.sigmoid, _logit, "(0, 1)")
"""A sigmoid of the trained number."""
POSITIVE = Bound("log", jnp.exp, jnp.log, "(0, inf)")
"""The exponential of the trained number."""
TIME_CONSTANT = Bound("rate_logit", lambda x: 1 / jax.nn.sigmoid(x), lambda tau: -jnp.log(tau - 1), "(1, inf)")
"""The inverse of a sigmoid of the trained number, as in PLIF (Fang et al. 2021, arXiv 2007.05785)."""
REAL = Bound("value", jnp.asarray, jnp.asarray, "(-inf, inf)")
"""The trained number itself."""


def interval(low: float, high: float) -> Bound:
    """The range (low, high): a sigmoid of the trained number, stretched."""
    return Bound(
        "logit",
        lambda x: low + (high - low) * jax.nn.sigmoid(x),
        lambda value: _logit((value - low) / (high - low)),
        f"({low:g}, {high:g})",
    )


class Cell(NamedTuple):
    """A neuron model. `partial(cell.step, cell.params())` is a `lax.scan` body: `(state, current) -> (state, output)`.

    Verify a cell of your own with `cells.check_cell`; add it to `cells.CELLS` to use it by name.
    """

    params: Callable[..., Any]
    """Makes the parameters, a NamedTuple whose fields have defaults, each a scalar or broadcastable to the neurons."""
    init: Init
    """`(params, shape [B, ...], dtype) -> state` at rest, which is zero everywhere."""
    step: CellStep
    """`(params, state, current [B, ...], *, spike) -> (state, output [B, ...])`; without `spike` if it never fires."""
    membrane: Callable[[Any, Any, Array], Array] | None = None
    """`(params, state, current) -> potential [B, ...]` that the step compares with the threshold; None if unknown."""
    bounds: Mapping[str, Bound] = MappingProxyType({})
    """Field to its range if it is learned; a field without an entry is any real number."""
    fires: bool = True
    """Whether the outputs are spikes; False for a cell that sends its potential, as a readout does."""
    make: Callable[..., "Cell"] | None = None
    """Makes the record with other options, e.g. `CELLS["lif"].make(reset="soft")`; None if it has no options. They are
    keywords with defaults, each a `bool`, a whole number or one of a `Literal`, and values of `--neuron_options`."""
    options: Mapping[str, Any] = MappingProxyType({})
    """The options that it was made with, for those who write the cell down in another format."""
    fire: CellStep | None = None
    """`(params, potential [B, ...], *, spike) -> (state, spikes)`, the rest of a step behind `membrane`, for cells
    whose `membrane` is linear in state and current, and whose state follows from it alone: the backward pass needs
    nothing but the potentials then (`neurons.by_hand`). None: JAX's own derivative of `step`, and no kernel."""
    learned: tuple[str, ...] = ()
    """Fields that are learned where nothing else is asked for, as in the cell's source."""
