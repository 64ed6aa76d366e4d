"""Norse: `SequentialState` stepped through time, as in its tutorials; LIF without synaptic current, SuperSpike.

`compiled=true` puts `torch.compile` around one time step (Norse 1.1 recommends it; needs a C++ compiler; minutes). The
membrane moves by `1 - leak` of its input, so thresholds are scaled by it: the spikes are those of the same weights.
Readout: `LIBoxCell`, its potential at the last step.
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


def network(workload: workloads.Network, compiled: bool = False) -> Callable[[], float]:
    modules: list[torch.nn.Module] = []
    for spec in workloads.layers(workload):
        if spec.kind == "conv":
            modules += [torch_common.conv(spec), _lif()]
        elif spec.kind == "pool":
            threshold = norse.IAFParameters(v_th=torch.as_tensor(workloads.POOL_THRESHOLD))
            modules += [torch.nn.AvgPool2d(2), norse.IAFCell(threshold)]
        elif spec.kind == "flatten":
            modules.append(torch.nn.Flatten())
        elif spec.kind == "dense":
            modules += [torch_common.dense(spec), _lif()]
        else:
            readout = norse.LIBoxCell(norse.LIBoxParameters(tau_mem_inv=INVERSE_TAU), dt=STEP_SECONDS)
            modules += [torch_common.dense(spec), readout]
    net = norse.SequentialState(*modules)
    torch._dynamo.config.recompile_limit = 64  # the cells of all layers share one `forward`
    step = torch.compile(net) if compiled else net

    def forward(x: torch.Tensor) -> torch.Tensor:
        state = None
        for x_t in x:
            potential, state = step(x_t, state)
        return potential

    return torch_common.train(net, forward, workload)


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
