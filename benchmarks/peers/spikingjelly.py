"""SpikingJelly, multi-step: layers of step mode "m" merge time and batch, neurons loop over time; ATan surrogate.

On a GPU it takes its CUDA or Triton kernels by itself; `implementation` names one (`cuda`, `triton`, `torch`).
Readout: `NonSpikingLIFNode`, its potential at the last step.
"""

import os
from collections.abc import Callable

import torch

from benchmarks import workloads
from benchmarks.peers import torch_common

PACKAGES = ("spikingjelly", "torch", "triton", "numpy")
TAU = 1 / (1 - workloads.LEAK)
device_peak_mb = torch_common.device_peak_mb


def network(workload: workloads.Network, implementation: str = "auto") -> Callable[[], float]:
    functional, layer, neuron, atan = _library(implementation)

    def lif() -> torch.nn.Module:
        return neuron.LIFNode(tau=TAU, decay_input=False, surrogate_function=atan(), step_mode="m")

    modules: list[torch.nn.Module] = []
    for spec in workloads.layers(workload):
        if spec.kind == "conv":
            modules += [torch_common.conv(spec, layer.Conv2d, step_mode="m"), lif()]
        elif spec.kind == "pool":
            pool = neuron.IFNode(v_threshold=workloads.POOL_THRESHOLD, surrogate_function=atan(), step_mode="m")
            modules += [layer.AvgPool2d(2, 2, step_mode="m"), pool]
        elif spec.kind == "flatten":
            modules.append(layer.Flatten(step_mode="m", start_dim=1))
        else:
            readout = spec.kind == "readout"
            modules.append(torch_common.dense(spec, layer.Linear, step_mode="m"))
            modules.append(neuron.NonSpikingLIFNode(TAU, decode="last_mem") if readout else lif())
    net = torch.nn.Sequential(*modules)

    def forward(x: torch.Tensor) -> torch.Tensor:
        functional.reset_net(net)
        return net(x)

    return torch_common.train(net, forward, workload)


def neurons(workload: workloads.Neurons, implementation: str = "auto") -> Callable[[], float]:
    functional, _, neuron, atan = _library(implementation)
    node = neuron.LIFNode(tau=TAU, decay_input=False, surrogate_function=atan(), step_mode="m")

    def forward(currents: torch.Tensor) -> torch.Tensor:
        functional.reset_net(node)
        return node(currents)

    return torch_common.train_neurons(forward, workload)


def _library(implementation: str) -> tuple:
    for operator in ("LIF", "IF"):  # read when the library is imported
        os.environ[f"SJ_{operator}_CUDA_IMPLEMENTATION"] = implementation
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    return functional, layer, neuron, surrogate.ATan
