"""Rectified linear units: the analog network of the same shape and weights as a spiking one."""

from typing import Any

import jax

from jaxsnn.neurons.neuron import Neuron, Neurons, ReadoutParams
from jaxsnn.typing import Array


def _stateless(params: Any, shape: Any, dtype: Any) -> tuple[()]:
    return ()


def _rectify(params: Any, carry: tuple[()], currents: Array) -> tuple[tuple[()], Array]:
    return carry, jax.nn.relu(currents)


def _pass_on(params: Any, carry: tuple[()], currents: Array) -> tuple[tuple[()], Array]:
    return carry, currents


def relay() -> Neuron:
    """A readout that sends on what it receives: of a ReLU network, or of a network whose output neurons fire."""
    return Neuron(ReadoutParams(1.0, 1.0), _stateless, _pass_on, sends="numbers")


def relu() -> Neurons:
    """Rectified linear units, average pools that send means, a linear readout.

    There is no time in it: every step is computed on its own. Run it with T = 1 on the analog images `[1, B, H, W, C]`;
    the logits then are the readout's currents. `jaxsnn.conversion` makes a spiking network of it.
    """
    return Neurons(
        Neuron((), _stateless, _rectify, sends="numbers"),
        Neuron((), _stateless, _pass_on, sends="numbers"),
        relay(),
    )
