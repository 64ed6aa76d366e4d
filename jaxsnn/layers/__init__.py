"""Flax layers around the pure functions: spiking convolution, dense, average pool, residual block, dropout, readout."""

from jaxsnn.layers.cell import Cell
from jaxsnn.layers.dropout import Dropout, Masks
from jaxsnn.layers.neurons import LIF, Constant, Neuron, ReLU, SpikeBP
from jaxsnn.layers.residual import ResidualBlock
from jaxsnn.layers.spiking import AvgPool, Readout, SpikingAvgPool, SpikingConv, SpikingDense

__all__ = [
    "LIF",
    "AvgPool",
    "Cell",
    "Constant",
    "Dropout",
    "Masks",
    "Neuron",
    "ReLU",
    "Readout",
    "ResidualBlock",
    "SpikeBP",
    "SpikingAvgPool",
    "SpikingConv",
    "SpikingDense",
]
