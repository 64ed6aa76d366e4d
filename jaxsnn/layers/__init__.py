"""Flax layers around the pure functions: synapses, the numbers of neurons, dropout, and a row of a network's table."""

from jaxsnn.layers.attention import Attend, SelfAttention
from jaxsnn.layers.delays import DelayedDense
from jaxsnn.layers.dropout import Dropout, Masks
from jaxsnn.layers.layer import Join, Layer, Sent
from jaxsnn.layers.neurons import Constant, NeuronLayer
from jaxsnn.layers.norms import NORMS
from jaxsnn.layers.pools import AvgPool, Identity, MaxPool, Subsample, Voting
from jaxsnn.layers.recurrent import Recurrence, Recurrent
from jaxsnn.layers.synapses import Conv, Dense, Synapse

__all__ = [
    "NORMS",
    "Attend",
    "AvgPool",
    "Constant",
    "Conv",
    "DelayedDense",
    "Dense",
    "Dropout",
    "Identity",
    "Join",
    "Layer",
    "Masks",
    "MaxPool",
    "NeuronLayer",
    "Recurrence",
    "Recurrent",
    "SelfAttention",
    "Sent",
    "Subsample",
    "Synapse",
    "Voting",
]
