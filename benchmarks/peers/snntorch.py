"""snnTorch: a Python loop over time around the whole network, as in its tutorials; hard reset, ATan surrogate.

Readout: `Leaky` without reset, its potential at the last step. There is no neuron without leak: pools use `beta=1`.
"""

from collections.abc import Callable

import snntorch
import torch
from snntorch import surrogate, utils

from benchmarks import workloads
from benchmarks.peers import torch_common

PACKAGES = ("snntorch", "torch", "numpy")
device_peak_mb = torch_common.device_peak_mb


def network(workload: workloads.Network) -> Callable[[], float]:
    def leaky(beta: float = workloads.LEAK, **options) -> torch.nn.Module:
        return snntorch.Leaky(beta=beta, init_hidden=True, spike_grad=surrogate.atan(), **options)

    modules: list[torch.nn.Module] = []
    for spec in workloads.layers(workload):
        if spec.kind == "conv":
            modules += [torch_common.conv(spec), leaky(reset_mechanism="zero")]
        elif spec.kind == "pool":
            pool = leaky(1.0, threshold=workloads.POOL_THRESHOLD, reset_mechanism="zero")
            modules += [torch.nn.AvgPool2d(2), pool]
        elif spec.kind == "flatten":
            modules.append(torch.nn.Flatten())
        elif spec.kind == "dense":
            modules += [torch_common.dense(spec), leaky(reset_mechanism="zero")]
        else:
            modules += [torch_common.dense(spec), leaky(reset_mechanism="none", output=True)]
    net = torch.nn.Sequential(*modules)

    def forward(x: torch.Tensor) -> torch.Tensor:
        utils.reset(net)
        for x_t in x:
            _, potential = net(x_t)
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
