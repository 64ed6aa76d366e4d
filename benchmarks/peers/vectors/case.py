"""A recorded case, the inputs that all cases share, and how PyTorch members are recorded."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

STEPS, BATCH, NEURONS = 16, 2, 3


Members = list[tuple[str, dict[str, Any]]]
"""Names and arguments."""


class Case(NamedTuple):
    """One member of a library with its arguments, and the arrays that it computed."""

    kind: str
    name: str
    arguments: dict[str, Any]
    arrays: dict[str, np.ndarray]


def currents() -> tuple[np.ndarray, np.ndarray]:
    """Currents that let neurons fire now and then, and the weights of the outputs in the loss, `[T, B, N]`."""
    generator = np.random.default_rng(0)
    shape = (STEPS, BATCH, NEURONS)
    return generator.uniform(-0.6, 2.0, shape), generator.normal(size=shape)


def recurrent_weights() -> np.ndarray:
    """`[N, N]`, from the neuron of the row to that of the column."""
    return np.random.default_rng(1).normal(size=(NEURONS, NEURONS))


def points() -> np.ndarray:
    """Potentials less threshold, none of them at a kink."""
    return np.linspace(-2.03, 1.97, 41)


def torch_case(kind: str, name: str, arguments: dict, forward: Callable, parameters: dict) -> Case:
    """Runs `forward(x) -> y` and backward; `parameters` are tensors by name."""
    import torch

    x, g = map(torch.from_numpy, currents())
    x.requires_grad_()
    y = forward(x)
    (y.reshape(x.shape) * g).sum().backward()
    arrays = {"y": y.detach().reshape(x.shape), "d_x": x.grad}
    for label, tensor in parameters.items():
        arrays |= {label: tensor.detach(), f"d_{label}": tensor.grad}
    return Case(kind, name, arguments, {label: np.asarray(array) for label, array in arrays.items()})


def torch_surrogate(name: str, arguments: dict, spike: Callable) -> Case:
    import torch

    x = torch.from_numpy(points()).requires_grad_()
    spike(x).sum().backward()
    return Case("surrogate", name, arguments, {"d_x": np.asarray(x.grad)})
