"""Flax layers around the pure functions: spiking convolution, dense, average pool, dropout over time, readout."""

from jaxsnn.layers.neurons import LIF, Constant, Neuron, SpikeBP
from jaxsnn.layers.spiking import Dropout, Readout, SpikingAvgPool, SpikingConv, SpikingDense

__all__ = [
    "LIF",
    "Constant",
    "Dropout",
    "Neuron",
    "Readout",
    "SpikeBP",
    "SpikingAvgPool",
    "SpikingConv",
    "SpikingDense",
]
