"""What the PyTorch libraries share: the modules of a plan, inputs, loss, SGD, and waiting for the device."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch.nn import Module

from benchmarks import workloads

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
if DEVICE.type == "cuda":  # as XLA does: products of float32 by TF32, the fastest of the convolutions that there are
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True


class Block(Module):
    """A residual block: currents of the block and of its input meet before the last neurons."""

    def __init__(self, first: Module, inner: Module, second: Module, around: Module, outer: Module):
        super().__init__()
        self.first, self.inner, self.second, self.around, self.outer = first, inner, second, around, outer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.outer(self.second(self.inner(self.first(x))) + self.around(x))


class Kit(NamedTuple):
    """How a library builds the layers of a plan."""

    lif: Callable[[], Module]
    pool: Callable[[], Module]
    """Neurons behind a pool."""
    readout: Callable[[], Module]
    recurrent: Callable[[Module], Module]
    """Neurons whose spikes come back through these synapses."""
    layers: Any = torch.nn
    """Has `Conv2d` and so on."""
    options: Mapping[str, Any] = {}
    """Of each of these."""
    block: Callable[..., Module] = Block


def modules(workload: workloads.Network, kit: Kit) -> list[Module]:
    """The modules of the workload's plan, in order, with the first weights; the first one is synapses (and norm)."""
    weights, layers, options = workloads.weights(workload), kit.layers, kit.options
    found: list[Module] = []
    for spec in workloads.layers(workload):
        if spec.kind == "pool":
            found += [layers.AvgPool2d(2, 2, **options), kit.pool()]
        elif spec.kind == "global":
            found += [layers.AdaptiveAvgPool2d(1, **options), layers.Flatten(start_dim=1, **options)]
        elif spec.kind == "flatten":
            found.append(layers.Flatten(start_dim=1, **options))
        elif spec.kind == "block":
            first, second, *around = (synapses(part, weights, kit) for part in spec.parts)
            found.append(kit.block(first, kit.lif(), second, *(around or [torch.nn.Identity()]), kit.lif()))
        elif spec.kind == "recurrent":
            own, back = (synapses(part, weights, kit) for part in spec.parts)
            found += [own, kit.recurrent(back)]
        else:
            found += [synapses(spec, weights, kit), kit.readout() if spec.kind == "readout" else kit.lif()]
    return found


def synapses(layer: workloads.Layer, weights: Iterator[Any], kit: Kit) -> Module:
    """Convolution (that keeps height and width at stride 1) or dense synapses without bias, and the norm behind."""
    sizes: tuple[int, ...] = (layer.inputs, layer.features)
    if layer.kind != "conv":
        made = kit.layers.Linear(*sizes, bias=False, **kit.options)
        made.weight.data = torch.from_numpy(next(weights).T.copy())
        return made
    shape = {"stride": layer.stride, "padding": layer.kernel // 2}
    made = kit.layers.Conv2d(*sizes, layer.kernel, bias=False, **shape, **kit.options)
    made.weight.data = torch.from_numpy(next(weights).transpose(3, 2, 0, 1).copy())
    return torch.nn.Sequential(made, kit.layers.BatchNorm2d(layer.features, **kit.options)) if layer.norm else made


def train(
    net: Module, forward: Callable, workload: workloads.Network, unit: float = 1.0, dtype: str = "float32"
) -> Callable[[], float]:
    """A step: `forward(input)` to the readout at the last step, squared error, backward, SGD.

    Args:
      net: what is trained.
      forward: gets the input `[T, B, C, H, W]` or `[T, B, inputs]`.
      workload: what is measured.
      unit: of the readout's potentials: `1 - leak` where the input is scaled by it.
      dtype: of what autocast rounds, the products, if it is not float32.
    """
    net.to(DEVICE)
    x = torch.from_numpy(workloads.inputs(workload))
    x = (x.permute(0, 1, 4, 2, 3).contiguous() if x.dim() == 5 else x).to(DEVICE)
    labels = torch.from_numpy(workloads.labels(workload)).long()
    target = torch.nn.functional.one_hot(labels, workload.classes).float().to(DEVICE)
    optimizer = torch.optim.SGD(net.parameters(), lr=workloads.LEARNING_RATE)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(DEVICE.type, getattr(torch, dtype), enabled=dtype != "float32"):
            output = forward(x)
        loss = ((output.float() / (workload.steps * unit) - target) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def train_neurons(forward: Callable, workload: workloads.Neurons, dtype: str = "float32") -> Callable[[], float]:
    """A step: `forward(currents [T, B, neurons])` to spikes, and the gradient of the currents."""
    arrays = workloads.currents(workload)
    currents, cotangent = (torch.from_numpy(array).to(DEVICE, getattr(torch, dtype)) for array in arrays)
    currents.requires_grad_()

    def step() -> float:
        currents.grad = None
        forward(currents).backward(cotangent)
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        return 0.0

    return step


def device_peak_mb() -> int | None:
    """Largest device memory so far."""
    return round(torch.cuda.max_memory_allocated() / 1e6) if DEVICE.type == "cuda" else None
