"""An independent oracle: spiking LeNet under the rule of Lee et al. 2020, in plain NumPy float64.

Written straight from the equations (E2)..(E9) of the method, sharing no code with the package it checks. Everything is
time-major and channels last: spikes [T, B, H, W, C], convolution kernels HWIO, dense weights [in, out], flattening in
the order (h, w, c). Synapses are linear and hold no state, so they take all T steps at once; neurons loop over time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class OracleResult(NamedTuple):
    """Everything the method computes for one batch."""

    logits: Array  # [B, classes], v_T / (threshold * T)
    loss: float  # sum over batch and classes of the squared error
    potentials: Array  # [T, B, classes], readout membrane after every step
    gradients: dict[str, Array]  # conv1, conv2, fc1, fc2: d loss / d weight, shaped like the weight
    counts: dict[str, Array]  # conv1, pool1, conv2, pool2, fc1: spikes per sample and neuron [B, ...]
    filtered: dict[str, Array]  # conv1, conv2, fc1: LF_T of (E8)
    derivative: dict[str, Array]  # conv1, conv2, fc1: the bracket of d in (E8), without 1 / v_th


def pad_images(x: Array, kernel: Array) -> Array:
    """Zero padding of kernel // 2 on each side of H and W."""
    ph, pw = kernel.shape[0] // 2, kernel.shape[1] // 2
    return np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw), (0, 0)))


def conv(x: Array, kernel: Array) -> Array:
    """Synapse of a convolution, stride 1: y[h, w, o] = sum over i, j, c of padded x[h + i, w + j, c] k[i, j, c, o]."""
    padded = pad_images(x, kernel)
    height, width = x.shape[2:4]
    y = np.zeros((*x.shape[:4], kernel.shape[3]))
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            window = padded[:, :, i : i + height, j : j + width, :]
            y += np.einsum("tbhwc,co->tbhwo", window, kernel[i, j], optimize=True)
    return y


def conv_input_gradient(g: Array, kernel: Array) -> Array:
    """Transpose of `conv` in x: every output hands its error back to the inputs its window covered."""
    height, width = g.shape[2:4]
    ph, pw = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.zeros((*g.shape[:2], height + 2 * ph, width + 2 * pw, kernel.shape[2]))
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            padded[:, :, i : i + height, j : j + width, :] += np.einsum(
                "tbhwo,co->tbhwc", g, kernel[i, j], optimize=True
            )
    return padded[:, :, ph : ph + height, pw : pw + width, :]


def conv_weight_gradient(x: Array, g: Array, kernel: Array) -> Array:
    """Gradient of `conv` in the kernel (used for its shape only), summed over time, batch and position."""
    padded = pad_images(x, kernel)
    height, width = g.shape[2:4]
    gradient = np.zeros(kernel.shape)
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            window = padded[:, :, i : i + height, j : j + width, :]
            gradient[i, j] = np.einsum("tbhwc,tbhwo->co", window, g, optimize=True)
    return gradient


def dense(x: Array, weight: Array) -> Array:
    """Synapse of a dense layer."""
    return np.einsum("tbi,io->tbo", x, weight, optimize=True)


def dense_input_gradient(g: Array, weight: Array) -> Array:
    """Gradient of `dense` in x."""
    return np.einsum("tbo,io->tbi", g, weight, optimize=True)


def dense_weight_gradient(x: Array, g: Array) -> Array:
    """Gradient of `dense` in the weight, summed over time and batch."""
    return np.einsum("tbi,tbo->io", x, g, optimize=True)


def pool(x: Array) -> Array:
    """Synapse of (E3): the mean of each 2x2 window."""
    return (x[:, :, 0::2, 0::2] + x[:, :, 0::2, 1::2] + x[:, :, 1::2, 0::2] + x[:, :, 1::2, 1::2]) / 4


def pool_input_gradient(g: Array) -> Array:
    """Gradient of `pool`: a quarter of the error to each of the four inputs."""
    return np.repeat(np.repeat(g, 2, axis=2), 2, axis=3) / 4


def fire(current: Array, threshold: float, leak: float) -> Array:
    """(E2) over all steps; with leak 1 it is the IF neuron of (E3)."""
    v = np.zeros(current.shape[1:])
    spikes = np.zeros(current.shape)
    for t in range(len(current)):
        v = v + current[t]
        spikes[t] = v > threshold
        v = v * (1 - spikes[t])
        v = v * leak
    return spikes


def readout(current: Array, leak: float) -> Array:
    """(E6): the membrane that never fires, after every step."""
    v = np.zeros(current.shape[1:])
    potentials = np.zeros(current.shape)
    for t in range(len(current)):
        v = leak * (v + current[t])
        potentials[t] = v
    return potentials


def low_pass(spikes: Array, leak: float) -> Array:
    """LF_T of (E8), as the sum it is defined by."""
    steps = len(spikes)
    return sum((leak ** (steps - 1 - t) * spikes[t] for t in range(steps)), np.zeros(spikes.shape[1:]))


def derivative_bracket(spikes: Array, leak: float) -> Array:
    """The bracket of d in (E8), one number per neuron and sample."""
    filtered = low_pass(spikes, leak)
    gamma = spikes.sum(axis=0)
    return (filtered > 1e-3) + np.log(leak) * filtered / np.maximum(gamma, 1)


def rule_backward(spikes: Array, g_out: Array, d: Array | float) -> Array:
    """(E9): the error at the input current of a spiking neuron; d = 1 for a pooling neuron."""
    g_current = np.zeros(spikes.shape)
    g_v = np.zeros(spikes.shape[1:])
    for t in reversed(range(len(spikes))):
        g_v = spikes[t] * (g_out[t] * d) + (1 - spikes[t]) * g_v
        g_current[t] = g_v
    return g_current


def lenet(
    weights: dict[str, Array],
    spikes: Array,
    labels: Array,
    *,
    leak: float = 0.99,
    threshold: float = 1.0,
    pool_threshold: float = 0.75,
) -> OracleResult:
    """One forward and backward pass, (E2)..(E9), on given input spikes; odd kernels, H and W divisible by 4."""
    w = {name: np.asarray(weights[name], np.float64) for name in ("conv1", "conv2", "fc1", "fc2")}
    x = np.asarray(spikes, np.float64)
    steps, batch, height, width = x.shape[:4]
    if height % 4 or width % 4:
        raise ValueError(f"H and W must be divisible by 4, got {height}x{width}")
    if any(side % 2 == 0 for name in ("conv1", "conv2") for side in w[name].shape[:2]):
        raise ValueError("kernel sides must be odd")

    s = {"conv1": fire(conv(x, w["conv1"]), threshold, leak)}
    s["pool1"] = fire(pool(s["conv1"]), pool_threshold, 1.0)
    s["conv2"] = fire(conv(s["pool1"], w["conv2"]), threshold, leak)
    s["pool2"] = fire(pool(s["conv2"]), pool_threshold, 1.0)
    flat = s["pool2"].reshape(steps, batch, -1)
    s["fc1"] = fire(dense(flat, w["fc1"]), threshold, leak)
    potentials = readout(dense(s["fc1"], w["fc2"]), leak)
    logits = potentials[-1] / (threshold * steps)
    error = logits - np.eye(logits.shape[1])[np.asarray(labels)]  # (E7)

    bracket = {name: derivative_bracket(s[name], leak) for name in ("conv1", "conv2", "fc1")}
    d = {name: bracket[name] / threshold for name in bracket}  # (E8)

    g_fc2 = np.broadcast_to(2 * error / (threshold * steps), potentials.shape)  # readout: the same for every t
    g_fc1 = rule_backward(s["fc1"], dense_input_gradient(g_fc2, w["fc2"]), d["fc1"])
    g_flat = dense_input_gradient(g_fc1, w["fc1"])
    g_pool2 = rule_backward(s["pool2"], g_flat.reshape(s["pool2"].shape), 1.0)
    g_conv2 = rule_backward(s["conv2"], pool_input_gradient(g_pool2), d["conv2"])
    g_pool1 = rule_backward(s["pool1"], conv_input_gradient(g_conv2, w["conv2"]), 1.0)
    g_conv1 = rule_backward(s["conv1"], pool_input_gradient(g_pool1), d["conv1"])

    gradients = {
        "conv1": conv_weight_gradient(x, g_conv1, w["conv1"]),
        "conv2": conv_weight_gradient(s["pool1"], g_conv2, w["conv2"]),
        "fc1": dense_weight_gradient(flat, g_fc1),
        "fc2": dense_weight_gradient(s["fc1"], g_fc2),
    }
    counts = {name: train.sum(axis=0) for name, train in s.items()}
    filtered = {name: low_pass(s[name], leak) for name in bracket}
    return OracleResult(logits, float(np.sum(error**2)), potentials, gradients, counts, filtered, bracket)
