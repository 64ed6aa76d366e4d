"""Flax layers around the pure functions: synapses, the numbers of neurons, dropout, and a row of a network's table."""

from jaxsnn.layers.dropout import Dropout, Masks
from jaxsnn.layers.layer import Layer, Sent
from jaxsnn.layers.neurons import Constant, NeuronLayer
from jaxsnn.layers.norms import NORMS
from jaxsnn.layers.synapses import AvgPool, Conv, Dense, Subsample, Synapse

__all__ = [
    "NORMS",
    "AvgPool",
    "Constant",
    "Conv",
    "Dense",
    "Dropout",
    "Layer",
    "Masks",
    "NeuronLayer",
    "Sent",
    "Subsample",
    "Synapse",
]
