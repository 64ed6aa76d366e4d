"""A cell of your own as the neuron of a network."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from jaxsnn.cells import integrate_and_fire, leaky_integrator, lif
from jaxsnn.checks import check_leak, check_threshold
from jaxsnn.layers.neurons import run_cell
from jaxsnn.typing import Array, DTypeLike, Shape


@dataclass(frozen=True)
class Cell:
    """Any firing cell in the hidden layers, unrolled: backpropagation through time with the surrogate of its `step`.

    Pools are integrate-and-fire neurons, the readout is a leaky integrator, as with `LIF`. Whether a cell keeps the
    contract says `jaxsnn.cells.check_cell(init, step, params())`.

    Attributes:
      init: `(params, shape [B, ...], dtype) -> state`.
      step: `(params, state, current [B, ...]) -> (state, spikes [B, ...])`.
      params: makes the cell's parameters of a layer's constants, `params(leak=..., threshold=...)`: a NamedTuple with
        these two fields and defaults for the others, or a `partial` of it.
      leak: of hidden layers and readout, per time step.
      threshold, pool_threshold: of hidden layers and pools.

    Raises:
      ValueError: for a leak outside (0, 1], or a threshold that is not positive.
    """

    init: Callable[..., Any]
    step: Callable[..., tuple[Any, Array]]
    params: Callable[..., Any]
    leak: float = 0.99
    threshold: float = 1.0
    pool_threshold: float = 0.75
    pack_spikes: bool = False
    learn: ClassVar[tuple[str, ...]] = ()
    analog: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_leak(self.leak)
        check_threshold(self.threshold)
        check_threshold(self.pool_threshold)

    def init_hidden(self, params: lif.LIFParams, shape: Shape, dtype: DTypeLike) -> Any:
        return self.init(self.params(leak=params.leak, threshold=params.threshold), shape, dtype)

    def hidden(self, params, state, currents):
        own = self.params(leak=params.leak, threshold=params.threshold)
        return run_cell(partial(self.step, own), state, currents)

    def pool(self, params, state, currents):
        return run_cell(partial(integrate_and_fire.step, params), state, currents)

    def readout(self, params, state, currents):
        return run_cell(partial(leaky_integrator.step, params), state, currents)
