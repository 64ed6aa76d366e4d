"""Flax layers around the pure functions: spiking convolution, dense, average pool, residual block, dropout, readout."""

from jaxsnn.layers.neurons import LIF, Constant, Neuron, ReLU, SpikeBP
from jaxsnn.layers.residual import ResidualBlock
from jaxsnn.layers.spiking import AvgPool, Dropout, Readout, SpikingAvgPool, SpikingConv, SpikingDense

__all__ = [
    "LIF",
    "AvgPool",
    "Constant",
    "Dropout",
    "Neuron",
    "ReLU",
    "Readout",
    "ResidualBlock",
    "SpikeBP",
    "SpikingAvgPool",
    "SpikingConv",
    "SpikingDense",
]
