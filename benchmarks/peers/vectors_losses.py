"""Records losses and encodings of snnTorch, SpikingJelly, spyx and PyTorch on fixed inputs: tests/peers/losses.npz.

    .venv-peers/bin/python -m benchmarks.peers.vectors_losses

Run it from the root of the project, in the environment of the peers (`make peers`). A loss `name` has its `value` and
its `slope`, the gradient of the outputs `[T, B, classes]`; an encoding its `spikes` `[T, B, ...]`. Everything is
float64 but where a library casts to float32.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import snntorch.functional as snn
import torch
from snntorch import spikegen
from spikingjelly.activation_based import encoding
from spyx import fn
from torch.nn import functional

STEPS, BATCH, CLASSES, VOTES = 5, 4, 3, 2


def with_torch(x: np.ndarray, labels: np.ndarray, loss: Callable) -> tuple[np.ndarray, np.ndarray]:
    """The value and the gradient of a loss of PyTorch tensors."""
    outputs = torch.tensor(x, requires_grad=True)
    value = loss(outputs, torch.tensor(labels))
    value.sum().backward()
    return value.detach().numpy().reshape(()), outputs.grad.numpy()


def with_spyx(x: np.ndarray, labels: np.ndarray, loss: Callable) -> tuple[np.ndarray, np.ndarray]:
    """The value and the gradient of a loss of spyx, whose time is the second axis."""
    value, slope = jax.value_and_grad(lambda x: loss(jnp.swapaxes(x, 0, 1), jnp.asarray(labels)))(jnp.asarray(x))
    return np.asarray(value), np.asarray(slope)


def tet(x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The formula of the paper, with lambda 0.05 and phi 1."""
    entropy = torch.stack([functional.cross_entropy(step, labels) for step in x]).mean()
    return 0.95 * entropy + 0.05 * functional.mse_loss(x, torch.ones_like(x))


def timed(spikes: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The labelled class at step 0, the others at the last; by default snnTorch 1.0.0 has 0 for all classes."""
    target = (STEPS - 1.0) * (1 - functional.one_hot(labels, CLASSES).double())
    return snn.mse_temporal_loss(target_is_time=True)(spikes, target)


def main() -> None:
    """Writes the file."""
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(0)
    potentials = rng.normal(0, 2, (STEPS, BATCH, CLASSES))
    spikes = (rng.random((STEPS, BATCH, CLASSES)) < 0.25).astype(np.float64)
    votes = (rng.random((STEPS, BATCH, CLASSES * VOTES)) < 0.5).astype(np.float64)
    labels = rng.integers(0, CLASSES, BATCH)
    found: dict[str, Any] = {"potentials": potentials, "spikes": spikes, "votes": votes, "labels": labels}
    losses: dict[str, tuple[np.ndarray, Callable, Callable]] = {
        "ce_rate_loss": (potentials, with_torch, snn.ce_rate_loss()),
        "ce_count_loss": (potentials, with_torch, snn.ce_count_loss()),
        "ce_max_membrane_loss": (potentials, with_torch, snn.ce_max_membrane_loss()),
        "mse_count_loss": (spikes, with_torch, snn.mse_count_loss(correct_rate=0.8, incorrect_rate=0.2)),
        "mse_membrane_loss": (potentials, with_torch, snn.mse_membrane_loss()),
        "ce_temporal_loss": (spikes, with_torch, snn.ce_temporal_loss()),
        "mse_temporal_loss": (spikes, with_torch, timed),
        "ce_count_loss of a population": (votes, with_torch, snn.ce_count_loss(True, CLASSES)),
        "cross_entropy of the mean": (potentials, with_torch, lambda x, y: functional.cross_entropy(x.mean(0), y)),
        "cross_entropy, smoothed": (
            potentials,
            with_torch,
            lambda x, y: functional.cross_entropy(x.mean(0), y, label_smoothing=0.1),
        ),
        "mse_loss of the rate": (
            spikes,
            with_torch,
            lambda x, y: functional.mse_loss(x.mean(0), functional.one_hot(y, CLASSES).double()),
        ),
        "cross_entropy of the sum of softmax": (
            potentials,
            with_torch,
            lambda x, y: functional.cross_entropy(x.softmax(-1).sum(0), y),
        ),
        "tet": (potentials, with_torch, tet),
        "integral_crossentropy": (potentials, with_spyx, fn.integral_crossentropy(0.3)),
        "mse_spikerate": (spikes, with_spyx, fn.mse_spikerate(0.1)),
        "silence_reg of a sample": (
            spikes[:, :1],
            with_spyx,
            lambda x, _: fn.silence_reg(2.0)({"fc1": x.sum(1)}),
        ),
    }
    for name, (x, library, loss) in losses.items():
        found[f"{name}/value"], found[f"{name}/slope"] = library(x, labels[: x.shape[1]], loss)
    intensities = torch.tensor(rng.random((BATCH, 6)))
    phases = encoding.WeightedPhaseEncoder(8, step_mode="m")
    times = encoding.LatencyEncoder(STEPS, step_mode="m")
    options = {"normalize": True, "linear": True, "threshold": 0.2, "clip": True}
    found |= {
        "intensities": intensities.numpy(),
        "latency/spikes": spikegen.latency(intensities, STEPS, **options).numpy(),
        "LatencyEncoder/spikes": encode(times, intensities, STEPS),
        "delta/spikes": spikegen.delta(torch.tensor(potentials), 1.0, off_spike=True).numpy(),
        "WeightedPhaseEncoder/spikes": encode(phases, torch.floor(255 * intensities) / 256, 8),
    }
    np.savez_compressed(Path(__file__).parents[2] / "tests" / "peers" / "losses.npz", **found)
    print({name: float(value) for name, value in found.items() if name.endswith("/value")})


def encode(encoder: encoding.StatefulEncoder, x: torch.Tensor, steps: int) -> np.ndarray:
    """The spikes of all steps, `[T, B, ...]`."""
    encoder.step_mode = "s"
    return torch.stack([encoder(x) for _ in range(steps)]).numpy()


if __name__ == "__main__":
    main()
