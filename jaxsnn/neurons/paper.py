"""The rule of Lee et al. (2020) as the neurons of a network: see `jaxsnn.spikebp`."""

from functools import partial
from typing import Any

from jaxsnn import spikebp as rule
from jaxsnn.cells import integrate_and_fire, leaky_integrator
from jaxsnn.cells import lif as lif_cell
from jaxsnn.cells.leaky_integrator import LeakyIntegratorParams
from jaxsnn.cells.leaky_integrator import init as init_readout
from jaxsnn.checks import check_kernel, check_leak_backward
from jaxsnn.neurons.bptt import bptt
from jaxsnn.neurons.neuron import Neuron, Neurons, ReadoutParams
from jaxsnn.typing import Array, DTypeLike, Kernel, LeakBackward, Shape


def spikebp(
    leak: Any = 0.99,
    threshold: Any = 1.0,
    pool_threshold: Any = 0.75,
    *,
    pack_spikes: bool = False,
    leak_correction: bool = True,
    leak_backward: LeakBackward = "straight_through",
    kernel: Kernel = "scan",
) -> Neurons:
    """Hard reset, leak after firing, leak-corrected derivative; nothing but weights can be learned.

    Args:
      leak, threshold, pool_threshold: the paper's by default.
      pack_spikes: the backward pass stores spikes in one bit each, not one byte.
      leak_correction: the second term of the derivative (E8); off for an ablation (E12).
      leak_backward: "straight_through" (E9) or "true" (E12), of hidden layers and the readout; pools do not leak.
      kernel: of hidden layers and pools: "scan", or "pallas" for one kernel over all steps (`jaxsnn.kernels`).

    Raises:
      ValueError: for a leak outside (0, 1], a threshold that is not positive, or an unknown `leak_backward` or
        `kernel`.
    """
    check_leak_backward(leak_backward)
    check_kernel(kernel)
    options: dict[str, Any] = {"pack_spikes": pack_spikes, "kernel": kernel}
    of_lif = options | {"leak_correction": leak_correction, "leak_backward": leak_backward}
    # forward, the rule's neurons are the cells (a test ties both), so that their membranes are the cells'
    lif = bptt(lif_cell.CELL, params=lif_cell.LIFParams(leak, threshold))
    pool = bptt(integrate_and_fire.CELL, params=integrate_and_fire.IFParams(pool_threshold))
    return Neurons(
        Neuron(
            lif.params,
            rule.init,
            partial(rule.lif, **of_lif),
            _of_rest(lif),
            lean=True,
            cell=lif.cell,
            run_pooled=partial(rule.lif_pooled, **of_lif),
        ),
        Neuron(pool.params, pool.init, partial(rule.pool, **options), pool.membranes, lean=True, cell=pool.cell),
        _readout(leak, threshold, leak_backward),
        pack_spikes=pack_spikes,
    )


def _of_rest(neuron: Neuron) -> Any:
    """Its membranes, from a carry of the rule, of which only the potential counts."""

    def membranes(params: Any, carry: rule.SpikeBPState, currents: Array) -> Array:
        return neuron.membranes(params, lif_cell.LIFState(carry.potential), currents)  # type: ignore[misc]

    return membranes


def _readout(leak: Any, threshold: Any, leak_backward: LeakBackward) -> Neuron:
    def init(params: ReadoutParams, shape: Shape, dtype: DTypeLike) -> Any:
        return init_readout(LeakyIntegratorParams(params.leak), shape, dtype)

    def run(params: ReadoutParams, carry: Any, currents: Array) -> tuple[Any, Array]:
        return rule.readout(LeakyIntegratorParams(params.leak), carry, currents, leak_backward=leak_backward)

    return Neuron(ReadoutParams(leak, threshold), init, run, sends="numbers", cell=leaky_integrator.CELL)
