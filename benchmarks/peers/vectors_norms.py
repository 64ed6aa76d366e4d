"""Records what the norms of PyTorch, SpikingJelly and snnTorch make of the same currents: tests/layers/norms.npz.

    .venv-peers/bin/python -m benchmarks.peers.vectors_norms

Two batches in training, gradients of the second, then evaluation of the second; float64; our layout, channels last.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import snntorch
import torch
from spikingjelly.activation_based import layer

STEPS, BATCH, HEIGHT, WIDTH, FEATURES = 3, 2, 2, 3, 4
ALPHA, THRESHOLD = 2**-0.5, 0.7
Norm = tuple[torch.nn.Module, Callable[[torch.Tensor], torch.Tensor]]


def flat(module: torch.nn.Module) -> Norm:
    """A norm of `[N, C, H, W]`, with time in the batch."""
    return module, lambda x: module(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def looped(module: torch.nn.Module) -> Norm:
    """A norm of single steps."""
    return module, lambda x: torch.stack([module(step) for step in x])


def through_time() -> Norm:
    """A norm for each step."""
    norms = snntorch.BatchNormTT2d(FEATURES, STEPS, eps=1e-4)
    return norms, lambda x: torch.stack([norm(step) for norm, step in zip(norms, x, strict=True)])


def last(module: torch.nn.Module) -> Norm:
    """A norm of the last axis."""
    return module, lambda x: module(x.movedim(2, -1)).movedim(-1, 2)


def main() -> None:
    """Writes the file."""
    torch.set_default_dtype(torch.float64)
    temporal = layer.TemporalEffectiveBatchNorm2d(STEPS, FEATURES)
    threshold = layer.ThresholdDependentBatchNorm2d(ALPHA, THRESHOLD, FEATURES)
    norms: dict[str, Norm] = {
        "bn": flat(torch.nn.BatchNorm2d(FEATURES)),
        "bn_step": looped(layer.BatchNorm2d(FEATURES, step_mode="s")),
        "tdbn": (threshold, threshold),
        "tebn": (temporal, temporal),
        "bntt": through_time(),
        "gn": flat(torch.nn.GroupNorm(2, FEATURES)),
        "ln": last(torch.nn.LayerNorm(FEATURES)),
    }
    rng = np.random.default_rng(0)
    first, second, slope = rng.normal(1, 2, (3, STEPS, BATCH, HEIGHT, WIDTH, FEATURES))
    found = {"first": first, "second": second, "slope": slope}
    for name, (module, run) in norms.items():
        for key, parameter in module.named_parameters():
            value = rng.uniform(0.5, 1.5, tuple(parameter.shape))
            parameter.data = torch.as_tensor(value)
            found[f"{name}/param/{key}"] = value
        with torch.no_grad():
            run(channels_first(first))
        x = channels_first(second).requires_grad_()
        y = run(x)
        y.backward(channels_first(slope))
        found[f"{name}/train"], found[f"{name}/slope"] = channels_last(y), channels_last(x.grad)
        for key, parameter in module.named_parameters():
            found[f"{name}/slope/{key}"] = parameter.grad.numpy()
        for key, buffer in module.named_buffers():
            if "running" in key:
                found[f"{name}/state/{key}"] = buffer.numpy()
        module.eval()
        found[f"{name}/eval"] = channels_last(run(x))
    for name, module in (("conv", layer.WSConv2d(FEATURES, 3, 2)), ("dense", layer.WSLinear(FEATURES, 3))):
        for key, parameter in module.named_parameters():
            parameter.data = torch.as_tensor(rng.normal(0.5, 1, tuple(parameter.shape)))
            found[f"sws/{name}/{key}"] = parameter.detach().numpy()
        y = module(channels_first(first[0]) if name == "conv" else torch.as_tensor(first[0, :, 0, 0]))
        y.sin().sum().backward()
        found[f"sws/{name}"] = y.detach().numpy()
        for key, parameter in module.named_parameters():
            found[f"sws/{name}/slope/{key}"] = parameter.grad.numpy()
    path = Path(__file__).parents[2] / "tests" / "layers" / "norms.npz"
    np.savez_compressed(path, **found)


def channels_first(x: np.ndarray) -> torch.Tensor:
    """`[..., H, W, C]` to `[..., C, H, W]`."""
    return torch.as_tensor(np.moveaxis(x, -1, -3).copy())


def channels_last(x: torch.Tensor) -> np.ndarray:
    """`[T, B, C, H, W]` to `[T, B, H, W, C]`."""
    return np.moveaxis(x.detach().numpy(), 2, -1)


if __name__ == "__main__":
    main()
