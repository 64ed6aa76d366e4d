"""The neuron of a network as one argument: which rule, surrogate, leak and threshold its layers use.

A neuron is a frozen specification; layers hold its constants. `SpikeBP` is the paper's rule, `LIF`
any cell order and reset unrolled under a surrogate gradient (backpropagation through time), `ReLU` no spiking neuron
at all.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from jaxsnn import spikebp
from jaxsnn.cells import integrate_and_fire, leaky_integrator, lif
from jaxsnn.checks import check_leak, check_leak_backward, check_threshold
from jaxsnn.surrogate import arctan
from jaxsnn.typing import Array, DTypeLike, LeakBackward, Shape, SpikeFunction, Step
from jaxsnn.unroll import unroll


class Neuron(Protocol):
    """What layers need of a neuron; methods map `(params, state, currents [T, B, ...])` to `(state, [T, B, ...])`."""

    @property
    def leak(self) -> float:
        """Membrane decay per time step."""

    @property
    def threshold(self) -> float:
        """Firing threshold of convolutional and dense layers."""

    @property
    def pool_threshold(self) -> float:
        """Firing threshold of pooling layers."""

    @property
    def pack_spikes(self) -> bool:
        """Whether the backward pass keeps spikes in one bit each, not one byte."""

    @property
    def learn(self) -> tuple[str, ...]:
        """Which of `leak` and `threshold` are trained, one number per layer."""

    @property
    def analog(self) -> bool:
        """Whether what its layers send are any numbers, not zeros and ones."""

    def init_hidden(self, params: lif.LIFParams, shape: Shape, dtype: DTypeLike) -> Any: ...
    def hidden(self, params: lif.LIFParams, state: Any, currents: Array) -> tuple[Any, Array]: ...
    def pool(self, params: integrate_and_fire.IFParams, state: Any, currents: Array) -> tuple[Any, Array]: ...
    def readout(
        self, params: leaky_integrator.LeakyIntegratorParams, state: Any, currents: Array
    ) -> tuple[Any, Array]: ...


@dataclass(frozen=True)
class SpikeBP:
    """Lee et al. (2020): hard reset, leak after firing, leak-corrected derivative (see `jaxsnn.spikebp`).

    Attributes:
      leak, threshold, pool_threshold: the paper's by default.
      learn: nothing: the rule has no gradient of leak or threshold.
      pack_spikes: the backward pass keeps spikes in one bit each, not one byte.
      leak_correction: the second term of the derivative (E8); off for an ablation (E12).
      leak_backward: "straight_through" (E9) or "true" (E12), of hidden layers and the readout; pools do not leak.

    Raises:
      ValueError: for a leak outside (0, 1], a threshold that is not positive, or an unknown `leak_backward`.
    """

    leak: float = 0.99
    threshold: float = 1.0
    pool_threshold: float = 0.75
    learn: tuple[str, ...] = ()
    pack_spikes: bool = False
    leak_correction: bool = True
    leak_backward: LeakBackward = "straight_through"
    analog: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check(self)
        check_leak_backward(self.leak_backward)
        if self.learn:
            raise ValueError(f"SpikeBP has no gradient for {self.learn}: use LIF(learn={self.learn}), or learn=()")

    def init_hidden(self, params: lif.LIFParams, shape: Shape, dtype: DTypeLike) -> spikebp.SpikeBPState:
        return spikebp.init(params, shape, dtype)

    def hidden(self, params, state, currents):
        return spikebp.lif(
            params,
            state,
            currents,
            pack_spikes=self.pack_spikes,
            leak_correction=self.leak_correction,
            leak_backward=self.leak_backward,
        )

    def pool(self, params, state, currents):
        return spikebp.pool(params, state, currents, pack_spikes=self.pack_spikes)

    def readout(self, params, state, currents):
        return spikebp.readout(params, state, currents, leak_backward=self.leak_backward)


@dataclass(frozen=True)
class LIF:
    """LIF cells unrolled with a surrogate gradient (backpropagation through time); pooling and readout likewise.

    Attributes:
      leak, threshold, pool_threshold: as in the paper by default; starting values where learned.
      spike: surrogate, e.g. `surrogate.arctan` or `partial(surrogate.arctan, slope=4.0)`.
      reset: "hard" or "soft".
      leak_first: leak before integrating, the order of most libraries; the paper leaks last.
      learn: `("leak",)`, `("threshold",)` or both: one trained number per layer, kept in range by a sigmoid or exp.
      pack_spikes: synapses keep spikes in one bit each for the backward pass, not one byte.
      remat: recompute the cells' inner values in the backward pass instead of storing them.

    Raises:
      ValueError: for a leak outside (0, 1] (outside (0, 1) if learned), or a threshold that is not positive.
    """

    leak: float = 0.99
    threshold: float = 1.0
    pool_threshold: float = 0.75
    spike: SpikeFunction = arctan
    reset: lif.Reset = "hard"
    leak_first: bool = False
    learn: tuple[str, ...] = ()
    remat: bool = False
    pack_spikes: bool = False
    analog: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check(self)
        if not set(self.learn) <= {"leak", "threshold"}:
            raise ValueError(f"learn may name 'leak' and 'threshold', got {self.learn}")
        if "leak" in self.learn and self.leak == 1:
            raise ValueError("a learned leak is the sigmoid of a trained number and cannot start at 1; use e.g. 0.99")

    def init_hidden(self, params: lif.LIFParams, shape: Shape, dtype: DTypeLike) -> lif.LIFState:
        return lif.init(params, shape, dtype)

    def hidden(self, params, state, currents):
        return self._run(lif, params, state, currents, spike=self.spike, reset=self.reset, leak_first=self.leak_first)

    def pool(self, params, state, currents):
        return self._run(integrate_and_fire, params, state, currents, spike=self.spike, reset=self.reset)

    def readout(self, params, state, currents):
        return self._run(leaky_integrator, params, state, currents, leak_first=self.leak_first)

    def _run(self, cell, params, state, currents, **options):
        return run_cell(partial(cell.step, params, **options), state, currents, remat=self.remat)


def run_cell(step: Step, state: Any, currents: Array, *, remat: bool = False) -> tuple[Any, Array]:
    """A cell over `currents` `[T, B, ...]`, in the dtype of its state, which may be wider."""
    wide = jnp.result_type(*jax.tree.leaves(state))

    def body(state: Any, current: Array) -> tuple[Any, Array]:
        state, output = step(state, current.astype(wide))
        return state, output.astype(current.dtype)

    run = unroll(body, state, currents, remat=remat)
    return run.state, run.outputs


@dataclass(frozen=True)
class ReLU:
    """Rectified linear units, plain average pools, a linear readout: the analog network of the same shape and weights.

    There is no time in it: every step is computed on its own. Run it with T = 1 on the analog images `[1, B, H, W, C]`;
    the logits then are the readout's currents. `jaxsnn.conversion` makes a spiking network of it.
    """

    leak: ClassVar[float] = 1.0
    threshold: ClassVar[float] = 1.0
    pool_threshold: ClassVar[float] = 1.0
    learn: ClassVar[tuple[str, ...]] = ()
    pack_spikes: ClassVar[bool] = False
    analog: ClassVar[bool] = True

    def init_hidden(self, params: lif.LIFParams, shape: Shape, dtype: DTypeLike) -> tuple[()]:
        return ()

    def hidden(self, params, state, currents):
        return state, jax.nn.relu(currents)

    def pool(self, params, state, currents):
        return state, currents

    def readout(self, params, state, currents):
        return state, currents


def _check(neuron: Neuron) -> None:
    check_leak(neuron.leak)
    check_threshold(neuron.threshold)
    check_threshold(neuron.pool_threshold)


class Constant(nnx.Variable):
    """A number of the model that training does not change; lives in `state`, so that a sweep can map over it."""


class NeuronConstants(nnx.Module):
    """Leak and threshold of one layer: in `state`; if learned, as `leak_logit`, `log_threshold` among `params`."""

    def __init__(self, neuron: Neuron, dtype: DTypeLike = jnp.float32):
        self.learn = tuple(neuron.learn)
        leak = jnp.asarray(neuron.leak, dtype)
        limit = jnp.asarray(neuron.threshold, dtype)
        if "leak" in self.learn:
            self.leak_logit = nnx.Param(jnp.log(leak) - jnp.log1p(-leak))
        else:
            self.leak = Constant(leak)
        if "threshold" in self.learn:
            self.log_threshold = nnx.Param(jnp.log(limit))
        else:
            self.threshold = Constant(limit)

    def __call__(self) -> lif.LIFParams:
        leak = jax.nn.sigmoid(self.leak_logit[...]) if "leak" in self.learn else self.leak[...]
        limit = jnp.exp(self.log_threshold[...]) if "threshold" in self.learn else self.threshold[...]
        return lif.LIFParams(leak, limit)
