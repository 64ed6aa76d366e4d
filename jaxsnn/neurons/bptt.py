"""Backpropagation through time: any cell unrolled with `lax.scan`, its spikes differentiated by a surrogate."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxsnn.cells import integrate_and_fire, leaky_integrator
from jaxsnn.cells import lif as lif_cell
from jaxsnn.cells.cell import UNIT, Cell
from jaxsnn.checks import check_kernel
from jaxsnn.neurons.by_hand import Run, by_hand, refusal
from jaxsnn.neurons.neuron import Neuron, Neurons, ReadoutParams
from jaxsnn.surrogate import arctan
from jaxsnn.typing import Array, DTypeLike, Kernel, Shape, SpikeFunction, Step
from jaxsnn.unroll import unroll


def bptt(
    cell: Cell,
    spike: SpikeFunction | None = None,
    *,
    params: Any = None,
    remat: bool = False,
    kernel: Kernel = "scan",
) -> Neuron:
    """A cell over time, with its ordinary gradients.

    Args:
      cell: e.g. `lif.cell(reset="soft")`, or a cell of your own.
      spike: surrogate that `cell.step` gets, e.g. `partial(surrogate.arctan, slope=4.0)`; None for the cell's own.
      params: starting values; None for `cell.params()`.
      remat: recompute the cell's inner values in the backward pass instead of storing them.
      kernel: "scan", or "pallas" for one kernel over all steps (`neurons.by_hand` says for which cells and surrogates;
        nothing but currents and carry have gradients then). Under recurrent synapses it is always a scan.

    Raises:
      ValueError: for parameters that the cell refuses, and for those of the kernel.
    """
    check_kernel(kernel)
    params = cell.params() if params is None else params
    cell.init(params, (1,), jnp.float32)  # checks the values
    step = cell.step if spike is None or not cell.fires else partial(cell.step, spike=spike)
    membrane = cell.membrane

    def scan(spike: SpikeFunction | None) -> Run:
        step = cell.step if spike is None or not cell.fires else partial(cell.step, spike=spike)
        return lambda params, carry, currents: run_cell(partial(step, params), carry, currents, remat=remat)

    remat_alone = "stores the potentials, nothing inside: remat goes with kernel='scan'"
    refused = remat_alone if remat else refusal(cell, spike, kernel)
    if refused and kernel == "pallas":
        raise ValueError(f"kernel='pallas' {refused}")
    run, run_pooled = (scan(spike), None) if refused else by_hand(cell, spike, kernel, scan)

    def membranes(params: Any, carry: Any, currents: Array) -> Array:
        wide = currents.astype(jnp.result_type(*jax.tree.leaves(carry)))
        trace = partial(membrane, params) if membrane else None
        potentials: Array = unroll(partial(step, params), carry, wide, trace=trace).trace
        return potentials

    return Neuron(
        params,
        cell.init,
        run,
        None if membrane is None else membranes,
        "spikes" if cell.fires else "numbers",
        bounds=cell.bounds,
        cell=cell,
        step=jax.checkpoint(step) if remat else step,
        run_pooled=run_pooled,
    )


def run_cell(step: Step, state: Any, currents: Array, *, remat: bool = False) -> tuple[Any, Array]:
    """A cell over `currents` `[T, B, ...]`, in the dtype of its state, which may be wider."""
    wide = jnp.result_type(*jax.tree.leaves(state))

    def body(state: Any, current: Array) -> tuple[Any, Array]:
        state, output = step(state, current.astype(wide))
        return state, output.astype(current.dtype)

    run = unroll(body, state, currents, remat=remat)
    return run.state, run.outputs


def _readout(leak: Any, threshold: Any, *, leak_first: bool, remat: bool) -> Neuron:
    cell = leaky_integrator.cell(leak_first=leak_first)

    def init(params: ReadoutParams, shape: Shape, dtype: DTypeLike) -> Any:
        return cell.init(leaky_integrator.LeakyIntegratorParams(params.leak), shape, dtype)

    def run(params: ReadoutParams, carry: Any, currents: Array) -> tuple[Any, Array]:
        step = partial(cell.step, leaky_integrator.LeakyIntegratorParams(params.leak))
        return run_cell(step, carry, currents, remat=remat)

    params = ReadoutParams(leak, threshold)
    return Neuron(params, init, run, sends="numbers", bounds={"leak": UNIT}, cell=cell)


def lif(
    leak: Any = 0.99,
    threshold: Any = 1.0,
    pool_threshold: Any = 0.75,
    *,
    spike: SpikeFunction = arctan,
    reset: lif_cell.Reset = "hard",
    leak_first: bool = False,
    detach_reset: bool = True,
    scale_input: bool = False,
    v_reset: Any = None,
    learn: tuple[str, ...] | None = None,
    remat: bool = False,
    pack_spikes: bool = False,
    kernel: Kernel = "scan",
) -> Neurons:
    """LIF neurons under a surrogate gradient; pools are integrate-and-fire neurons, the readout integrates and leaks.

    Args:
      leak, threshold, pool_threshold: the paper's by default; starting values where learned.
      spike: surrogate, e.g. `surrogate.arctan` or `partial(surrogate.arctan, slope=4.0)`.
      reset, leak_first, detach_reset, scale_input: as in `cells.lif.step`. Pools reset alike: softly if `reset` is
        "delayed", to zero if it is "value".
      v_reset: potential after a spike, for `reset="value"`.
      learn: learned fields of hidden layers and readout, see `Neurons.learn`.
      remat: recompute the cells' inner values in the backward pass instead of storing them.
      pack_spikes: the backward pass stores spikes in one bit each, not one byte.
      kernel: of hidden layers and pools, as in `bptt`.

    Raises:
      ValueError: for a leak outside (0, 1], a threshold that is not positive, or options that do not go together.
    """
    if (v_reset is not None) != (reset == "value"):
        raise ValueError(f"v_reset and reset='value' go together, got v_reset={v_reset} with reset={reset!r}")
    cell = lif_cell.cell(reset=reset, leak_first=leak_first, detach_reset=detach_reset, scale_input=scale_input)
    return of_cell(
        cell,
        spike,
        params=cell.params(leak, threshold, *(() if v_reset is None else (v_reset,))),
        pool=integrate_and_fire.cell(reset=lif_cell.plain(reset), detach_reset=detach_reset),
        pool_threshold=pool_threshold,
        readout_leak=leak,
        readout_threshold=threshold,
        leak_first=leak_first,
        learn=learn,
        remat=remat,
        pack_spikes=pack_spikes,
        kernel=kernel,
    )


def of_cell(
    cell: Cell,
    spike: SpikeFunction | None = None,
    *,
    params: Any = None,
    learn: tuple[str, ...] | None = None,
    remat: bool = False,
    kernel: Kernel = "scan",
    **more: Any,
) -> Neurons:
    """Any cell in the hidden layers of a network; pools are integrate-and-fire neurons, the readout a leaky integrator.

    Args:
      cell, spike, params, remat, kernel: as in `bptt`.
      learn: learned fields, see `Neurons.learn`; the readout learns those that it has. None for `cell.learned`.
      more: as in `of_neuron`.

    Raises:
      ValueError: for parameters that a cell refuses.
    """
    hidden = bptt(cell, spike, params=params, remat=remat, kernel=kernel)
    learn = cell.learned if learn is None else learn
    return of_neuron(hidden, spike, learn=learn, remat=remat, kernel=kernel, **more)


def of_neuron(
    neuron: Neuron,
    spike: SpikeFunction | None = None,
    *,
    pool: Cell = integrate_and_fire.CELL,
    pool_threshold: Any = 0.75,
    readout_leak: Any = 0.99,
    readout_threshold: Any = 1.0,
    leak_first: bool = False,
    learn: tuple[str, ...] = (),
    remat: bool = False,
    pack_spikes: bool = False,
    kernel: Kernel = "scan",
) -> Neurons:
    """Any neuron in the hidden layers of a network, e.g. `sliding_psn(4)`; pools and readout as in `of_cell`.

    Args:
      neuron: of the hidden layers.
      spike: surrogate of the pools; None for arctan.
      pool, pool_threshold: of the pools.
      readout_leak, readout_threshold, leak_first: of the readout.
      learn: learned fields, see `Neurons.learn`; the readout learns those that it has.
      remat: as in `bptt`, of pools and readout.
      pack_spikes: the backward pass stores spikes in one bit each, not one byte.
      kernel: of the pools, as in `bptt`.

    Raises:
      ValueError: for parameters that a cell refuses.
    """
    pool_params = integrate_and_fire.IFParams(pool_threshold)
    return Neurons(
        neuron,
        bptt(pool, arctan if spike is None else spike, params=pool_params, remat=remat, kernel=kernel),
        _readout(readout_leak, readout_threshold, leak_first=leak_first, remat=remat),
        learn,
        pack_spikes,
    )
