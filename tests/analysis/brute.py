"""Synaptic operations counted spike by spike, with loops written from the definition, and no code of the package."""

import functools

import numpy as np


def loops_fan_out(connection):
    """For every input neuron, how many pairs (output neuron, tap of its kernel) read it."""
    kind = connection.kind
    stride = connection.kernel[0] if kind == "pool" else connection.stride
    if kind == "dense":
        return np.full(connection.input_shape, connection.kernel[1])
    found = np.zeros(connection.input_shape, np.int64)
    size, taps = connection.input_shape, connection.kernel[:2] if kind == "conv" else (stride, stride)
    if kind == "subsample":
        taps = (1, 1)
    reached = connection.kernel[3] // connection.groups if kind == "conv" else 1
    for row in range(connection.output_shape[0]):
        for column in range(connection.output_shape[1]):
            for i in range(taps[0]):
                for j in range(taps[1]):
                    h = row * stride + i * connection.dilation - connection.pads[0][0]
                    w = column * stride + j * connection.dilation - connection.pads[1][0]
                    if 0 <= h < size[0] and 0 <= w < size[1]:  # else: in the padding
                        found[h, w] += reached
    return found


def spike_by_spike(train, connection):
    """Operations of every sample `[B]` for a train `[T, B, ...]`: each spike looks up whom it reaches."""
    reached = functools.cache(lambda: loops_fan_out(connection))()
    total = [0] * train.shape[1]
    for index in np.argwhere(train):
        total[index[1]] += int(reached[tuple(index[2:])])
    return np.array(total)
