"""snnTorch: a Python loop over time around the whole network, as in its tutorials; hard reset, ATan surrogate.

Readout: `Leaky` without reset, its potential at the last step. There is no neuron without leak: pools use `beta=1`.
An image that is the same at every step goes through the first convolution and norm once, before the loop
(`once=false`: at every step). Norms are PyTorch's, of each step by itself. Recurrent: `RLeaky`, whose reset to zero
computes the recurrent product twice and loses the current of the step after a spike (`reset=subtract`: once).
"""

from collections.abc import Callable

import snntorch
import torch
from snntorch import surrogate, utils

from benchmarks import workloads
from benchmarks.peers import torch_common

PACKAGES = ("snntorch", "torch", "numpy")
device_peak_mb = torch_common.device_peak_mb


def network(workload: workloads.Network, reset: str = "zero", once: bool = True) -> Callable[[], float]:
    options = {"init_hidden": True, "spike_grad": surrogate.atan()}

    def leaky(beta: float = workloads.LEAK, reset: str = reset, **more) -> torch.nn.Module:
        return snntorch.Leaky(beta=beta, reset_mechanism=reset, **options, **more)

    def recurrent(back: torch.nn.Module) -> torch.nn.Module:
        made = snntorch.RLeaky(beta=workloads.LEAK, linear_features=back.out_features, reset_mechanism=reset, **options)
        made.recurrent = back  # without bias
        return made

    kit = torch_common.Kit(
        lif=leaky,
        pool=lambda: leaky(1.0, threshold=workloads.POOL_THRESHOLD),
        readout=lambda: leaky(reset="none", output=True),
        recurrent=recurrent,
    )
    net = torch.nn.Sequential(*torch_common.modules(workload, kit))
    static = once and not workload.rate

    def forward(x: torch.Tensor) -> torch.Tensor:
        utils.reset(net)
        first = net[0](x[0]) if static else None
        for x_t in x:
            _, potential = net(x_t) if first is None else net[1:](first)
        return potential

    return torch_common.train(net, forward, workload)


def neurons(workload: workloads.Neurons) -> Callable[[], float]:
    node = snntorch.Leaky(beta=workloads.LEAK, reset_mechanism="zero", spike_grad=surrogate.atan())
    node.to(torch_common.DEVICE)

    def forward(currents: torch.Tensor) -> torch.Tensor:
        potential, outputs = torch.zeros_like(currents[0]), []
        for current in currents:
            spikes, potential = node(current, potential)
            outputs.append(spikes)
        return torch.stack(outputs)

    return torch_common.train_neurons(forward, workload)
