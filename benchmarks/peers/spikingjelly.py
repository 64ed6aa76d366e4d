"""SpikingJelly, multi-step: layers of step mode "m" merge time and batch, neurons loop over time; ATan surrogate.

On a GPU it takes its CUDA or Triton kernels by itself; `implementation` names one (`cuda`, `triton`, `torch`).
`dtype=bfloat16`: under autocast, or, of a layer alone, currents of this type.
Readout: `NonSpikingLIFNode`, its potential at the last step. An image that is the same at every step goes through the
first convolution and norm once (`once=false`: at every step, as its examples have it). Norms take T and B together, as
ours. Recurrent: `ElementWiseRecurrentContainer` with a linear layer in its function, which loops over steps; the input
product is outside of the loop (`LinearRecurrentContainer` would multiply the input by weights that we do not have).
"""

import os
from collections.abc import Callable

import torch

from benchmarks import workloads
from benchmarks.peers import torch_common

PACKAGES = ("spikingjelly", "torch", "triton", "numpy")
TAU = 1 / (1 - workloads.LEAK)
device_peak_mb = torch_common.device_peak_mb


class Feedback(torch.nn.Module):
    """The spikes of the step before, through synapses, and the input of this step."""

    def __init__(self, back: torch.nn.Module):
        super().__init__()
        self.back = back

    def forward(self, spikes: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return x + self.back(spikes)


def network(
    workload: workloads.Network, implementation: str = "auto", once: bool = True, dtype: str = "float32"
) -> Callable[[], float]:
    functional, layer, neuron, atan = _library(implementation)

    def lif(step_mode: str = "m") -> torch.nn.Module:
        return neuron.LIFNode(tau=TAU, decay_input=False, surrogate_function=atan(), step_mode=step_mode)

    def recurrent(back: torch.nn.Module) -> torch.nn.Module:
        functional.set_step_mode(back, "s")
        return layer.ElementWiseRecurrentContainer(lif("s"), Feedback(back), step_mode="m")

    kit = torch_common.Kit(
        lif=lif,
        pool=lambda: neuron.IFNode(v_threshold=workloads.POOL_THRESHOLD, surrogate_function=atan(), step_mode="m"),
        readout=lambda: neuron.NonSpikingLIFNode(TAU, decode="last_mem"),
        recurrent=recurrent,
        layers=layer,
        options={"step_mode": "m"},
    )
    net = torch.nn.Sequential(*torch_common.modules(workload, kit))
    static = once and not workload.rate
    if static:
        functional.set_step_mode(net[0], "s")

    def forward(x: torch.Tensor) -> torch.Tensor:
        functional.reset_net(net)
        return net[1:](net[0](x[0]).expand(len(x), -1, -1, -1, -1)) if static else net(x)

    return torch_common.train(net, forward, workload, 1 - workloads.LEAK, dtype)


def neurons(workload: workloads.Neurons, implementation: str = "auto", dtype: str = "float32") -> Callable[[], float]:
    functional, _, neuron, atan = _library(implementation)
    node = neuron.LIFNode(tau=TAU, decay_input=False, surrogate_function=atan(), step_mode="m")

    def forward(currents: torch.Tensor) -> torch.Tensor:
        functional.reset_net(node)
        return node(currents)

    return torch_common.train_neurons(forward, workload, dtype)


def _library(implementation: str) -> tuple:
    for operator in ("LIF", "IF"):  # read when the library is imported
        os.environ[f"SJ_{operator}_CUDA_IMPLEMENTATION"] = implementation
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    return functional, layer, neuron, surrogate.ATan
