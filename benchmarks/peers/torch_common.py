"""What the PyTorch libraries share: inputs, loss, SGD, weights of the same size as ours, and waiting for the device."""

from collections.abc import Callable

import torch

from benchmarks import common, workloads

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(net: torch.nn.Module, forward: Callable, workload: workloads.Network) -> Callable[[], float]:
    """A step: `forward(input [T, B, C, H, W])` to the readout at the last step, squared error, backward, SGD."""
    net.to(DEVICE)
    x = torch.from_numpy(workloads.inputs(workload)).permute(0, 1, 4, 2, 3).contiguous().to(DEVICE)
    labels = torch.from_numpy(workloads.labels(workload)).long()
    target = torch.nn.functional.one_hot(labels, workload.classes).float().to(DEVICE)
    optimizer = torch.optim.SGD(net.parameters(), lr=workloads.LEARNING_RATE)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = ((forward(x) / workload.steps - target) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def train_neurons(forward: Callable, workload: workloads.Neurons) -> Callable[[], float]:
    """A step: `forward(currents [T, B, neurons])` to spikes, and the gradient of the currents."""
    currents, cotangent = (torch.from_numpy(array).to(DEVICE) for array in workloads.currents(workload))
    currents.requires_grad_()

    def step() -> float:
        currents.grad = None
        forward(currents).backward(cotangent)
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        return 0.0

    return step


def conv(layer: workloads.Layer, kind: type[torch.nn.Conv2d] = torch.nn.Conv2d, **options) -> torch.nn.Module:
    """Convolution without bias that keeps height and width."""
    made = kind(layer.inputs, layer.features, layer.kernel, padding=layer.kernel // 2, bias=False, **options)
    return _initialised(made)


def dense(layer: workloads.Layer, kind: type[torch.nn.Linear] = torch.nn.Linear, **options) -> torch.nn.Module:
    """Dense synapses without bias."""
    return _initialised(kind(layer.inputs, layer.features, bias=False, **options))


def _initialised(module: torch.nn.Module) -> torch.nn.Module:
    torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return module


def device_peak_mb() -> int | None:
    """Largest device memory so far."""
    return round(torch.cuda.max_memory_allocated() / 1e6) if DEVICE.type == "cuda" else None
