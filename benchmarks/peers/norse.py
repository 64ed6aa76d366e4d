"""Norse: `SequentialState` stepped through time, as in its tutorials; LIF without synaptic current, SuperSpike.

`compiled=true` puts `torch.compile` around one time step (Norse 1.1 recommends it; needs a C++ compiler; minutes). The
membrane moves by `1 - leak` of its input, so thresholds are scaled by it: the spikes are those of the same weights.
Readout: `LIBoxCell`, its potential at the last step. An image that is the same at every step goes through the first
convolution and norm once, before the loop (`once=false`: at every step). Norms are PyTorch's, of each step by itself.
It has no residual block and no recurrent cell without synaptic current: modules around its cells stand in.
"""

from collections.abc import Callable

import norse.torch as norse
import torch
from norse.torch.functional.lif_box import LIFBoxParameters
from norse.torch.module.lif_box import LIFBoxCell

from benchmarks import workloads
from benchmarks.peers import torch_common

PACKAGES = ("norse", "torch", "numpy")
STEP_SECONDS = 1e-3
INVERSE_TAU = torch.as_tensor((1 - workloads.LEAK) / STEP_SECONDS)
device_peak_mb = torch_common.device_peak_mb


class Block(torch_common.Block):
    """A residual block that hands on the states of its cells."""

    def forward(self, x: torch.Tensor, state: tuple | None = None) -> tuple[torch.Tensor, tuple]:
        inner, outer = state or (None, None)
        spikes, inner = self.inner(self.first(x), inner)
        spikes, outer = self.outer(self.second(spikes) + self.around(x), outer)
        return spikes, (inner, outer)


class Recurrent(torch.nn.Module):
    """A cell that receives its own spikes one step later."""

    def __init__(self, back: torch.nn.Module):
        super().__init__()
        self.cell, self.back = _lif(), back

    def forward(self, x: torch.Tensor, state: tuple | None = None) -> tuple[torch.Tensor, tuple]:
        spikes, state = self.cell(x, None) if state is None else self.cell(x + self.back(state[0]), state[1])
        return spikes, (spikes, state)


def network(workload: workloads.Network, compiled: bool = False, once: bool = True) -> Callable[[], float]:
    pooled = norse.IAFParameters(v_th=torch.as_tensor(workloads.POOL_THRESHOLD))
    kit = torch_common.Kit(
        lif=_lif,
        pool=lambda: norse.IAFCell(pooled),
        readout=lambda: norse.LIBoxCell(norse.LIBoxParameters(tau_mem_inv=INVERSE_TAU), dt=STEP_SECONDS),
        recurrent=Recurrent,
        block=Block,
    )
    first, *others = torch_common.modules(workload, kit)
    static = once and not workload.rate
    net = norse.SequentialState(*others) if static else norse.SequentialState(first, *others)
    torch._dynamo.config.recompile_limit = 64  # the cells of all layers share one `forward`
    step = torch.compile(net) if compiled else net

    def forward(x: torch.Tensor) -> torch.Tensor:
        state, currents = None, first(x[0]) if static else None
        for x_t in x:
            potential, state = step(x_t if currents is None else currents, state)
        return potential

    return torch_common.train(torch.nn.ModuleList([first, net]), forward, workload, unit=1 - workloads.LEAK)


def neurons(workload: workloads.Neurons, compiled: bool = False) -> Callable[[], float]:
    cell = _lif().to(torch_common.DEVICE)
    step = torch.compile(cell) if compiled else cell

    def forward(currents: torch.Tensor) -> torch.Tensor:
        state, outputs = None, []
        for current in currents:
            spikes, state = step(current, state)
            outputs.append(spikes)
        return torch.stack(outputs)

    return torch_common.train_neurons(forward, workload)


def _lif() -> torch.nn.Module:
    threshold = torch.as_tensor((1 - workloads.LEAK) * workloads.THRESHOLD)
    return LIFBoxCell(LIFBoxParameters(tau_mem_inv=INVERSE_TAU, v_th=threshold), dt=STEP_SECONDS)
