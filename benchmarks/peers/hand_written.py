"""The paper's LIF rule written by hand for PyTorch: how fast it can be there without a compiler.

The loop over time updates the membrane, the filter and the count in place, for `block` neurons at a time (0: all; small
blocks stay in the cache, but pay for more calls). Kept for the backward pass are the spikes, one byte each, and one
derivative per neuron (`jaxsnn.spikebp`, E8 and E9).
"""

import math
from collections.abc import Callable

import torch

from benchmarks import workloads
from benchmarks.peers import torch_common

PACKAGES = ("torch", "numpy")
FIRED = 1e-3
device_peak_mb = torch_common.device_peak_mb


class SpikeBP(torch.autograd.Function):
    """Currents `[T, neurons]` to spikes `[T, neurons]`."""

    @staticmethod
    def forward(ctx, currents: torch.Tensor, leak: float, threshold: float, block: int) -> torch.Tensor:
        spikes = torch.empty_like(currents)
        fired = torch.empty_like(currents, dtype=torch.bool)
        derivative = torch.empty_like(currents[0])
        for first in range(0, currents.shape[1], block):
            part = slice(first, first + block)
            inputs, outputs, kept = currents[:, part], spikes[:, part], fired[:, part]
            potential, filtered, count = torch.zeros(3, *inputs.shape[1:], device=currents.device)
            for current, spike, crossed in zip(inputs, outputs, kept, strict=True):
                torch.add(current, potential, alpha=leak, out=potential)
                torch.gt(potential, threshold, out=crossed)
                potential.masked_fill_(crossed, 0)
                spike.copy_(crossed)
                torch.add(spike, filtered, alpha=leak, out=filtered)
                count.add_(spike)
            scaled = filtered * math.log(leak) / count.clamp_(min=1)
            derivative[part] = ((filtered > FIRED) + scaled) / threshold
        ctx.save_for_backward(fired, derivative)
        ctx.block = block
        return spikes

    @staticmethod
    def backward(ctx, cotangent: torch.Tensor):
        fired, derivative = ctx.saved_tensors
        gradient = torch.empty_like(cotangent)
        for first in range(0, cotangent.shape[1], ctx.block):
            part = slice(first, first + ctx.block)
            d = derivative[part]
            later, scaled = torch.zeros_like(d), torch.empty_like(d)
            for t in reversed(range(len(cotangent))):
                torch.mul(cotangent[t, part], d, out=scaled)
                later = torch.where(fired[t, part], scaled, later, out=gradient[t, part])
        return gradient, None, None, None


def neurons(workload: workloads.Neurons, block: int = 0) -> Callable[[], float]:
    def forward(currents: torch.Tensor) -> torch.Tensor:
        flat = currents.flatten(1)
        return SpikeBP.apply(flat, workloads.LEAK, workloads.THRESHOLD, block or flat.shape[1]).view_as(currents)

    return torch_common.train_neurons(forward, workload)
