# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. Your own cell in fifteen lines
#
# Neurons get tired: the more they have fired, the harder it is to make them fire again. This notebook writes such a
# neuron, has it checked, trains a small network of them on a task that plain neurons cannot solve, and puts it into a
# LeNet. Nothing is registered, and there is no class to inherit from: a cell is two functions, and a `Cell` is the
# record that holds them.

# %%
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import nnx

from jaxsnn import SURROGATES, encoding, lif, losses, models, neurons, unroll
from jaxsnn.cells import Cell, check_cell

plt.rcParams.update({"figure.dpi": 90, "axes.spines.top": False, "axes.spines.right": False})

# %% tags=["parameters"]
steps = 60  # T, the number of time steps of the task
updates = 300  # of the training
batch = 64  # samples per update
side = 16  # height and width of the images at the end

# %% [markdown]
# ## The cell
#
# A leaky integrate-and-fire neuron whose threshold *adapts*: every spike raises it by `rise`, and from step to step
# `stay` of that is left. Parameters and state are named tuples; the state holds what the next step needs, and nothing
# else does. The reset is not differentiated (`stop_gradient`), as in the cells of `jaxsnn`.


# %%
class Params(NamedTuple):
    leak: float = 0.9  # of the potential, what is left after a step
    threshold: float = 1.0  # of a rested neuron
    rise: float = 0.3  # of the threshold, with every spike
    stay: float = 0.98  # of what it rose by, what is left after a step


class State(NamedTuple):
    potential: jax.Array
    raised: jax.Array


def init(params, shape, dtype=jnp.float32):
    return State(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))


def step(params, state, current, *, spike=SURROGATES["arctan"]):
    potential = params.leak * state.potential + current
    spikes = spike(potential - params.threshold - state.raised)
    raised = params.stay * state.raised + params.rise * spikes
    return State(potential * (1 - jax.lax.stop_gradient(spikes)), raised), spikes


# %% [markdown]
# ## Is it a good cell?
#
# Other parts of `jaxsnn` rely on a few promises: the state keeps its shape, spikes are 0 or 1, samples of a batch do
# not see each other, compiled it gives the same numbers, gradients are finite and arrive, and so on. `check_cell`
# tries them all, and says nothing if they are kept.

# %%
check_cell(Cell(Params, init, step))


# %% [markdown]
# If one is broken, it says which, and what helps. Here is a cell with a mistake that is easily made, spikes from a
# comparison, which have no derivative:


# %%
def mistaken(params, state, current):
    return step(params, state, current, spike=lambda x: (x > 0).astype(x.dtype))


try:
    check_cell(Cell(Params, init, mistaken))
except ValueError as error:
    print(error)

# %% [markdown]
# ## What it does
#
# We give the same constant current to a plain neuron and to ours.

# %%
current = jnp.full((steps, 1), 0.5)
plain = lif.LIFParams(leak=0.9)
plain_spikes = unroll(partial(lif.step, plain), lif.init(plain, (1,)), current).outputs
tired = unroll(
    partial(step, Params()), init(Params(), (1,)), current, trace=lambda state, _: Params().threshold + state.raised
)

# %%
figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 3.2), sharex=True, height_ratios=(1, 2), layout="constrained")
trains = [np.flatnonzero(spikes[:, 0]) for spikes in (plain_spikes, tired.outputs)]
top.eventplot(trains, lineoffsets=[1, 0], linelengths=0.7, colors=["0.5", "C0"])
top.set(yticks=[1, 0], yticklabels=["plain", "adaptive"])
bottom.plot(tired.trace[:, 0], color="C0")
bottom.set(xlabel="time [steps]", ylabel="threshold of the\nadaptive neuron", ylim=(0, None))
plt.show()

# %% [markdown]
# The plain neuron (grey) ticks like a clock. The adaptive one (blue) slows down: each of its spikes raises its
# threshold, which takes many steps to come back. That is a memory of its own past, five times longer than that of its
# membrane.
#
# ## A task that needs memory
#
# Twelve input lines carry random spikes. At the beginning, for ten steps, either lines 0-4 or lines 5-9 are busy.
# After that only the two background lines 10 and 11 speak, and they say nothing about it. The network is asked at the
# very end, over the last ten steps: which was it?


# %%
def make_batch(key):
    label_key, spike_key = jax.random.split(key)
    labels = jax.random.bernoulli(label_key, 0.5, (batch,)).astype(jnp.int32)
    cue = jnp.arange(12) // 5 == labels[:, None]  # [batch, lines]: the lines that are busy first
    early = jnp.arange(steps)[:, None, None] < 10
    rates = jnp.where(jnp.arange(12) >= 10, 0.5, jnp.where(early & cue, 0.4, 0.0))  # [time, batch, lines]
    return jax.random.bernoulli(spike_key, rates).astype(jnp.float32), labels


inputs, labels = make_batch(jax.random.key(1))
figure, panels = plt.subplots(1, 2, figsize=(8, 2.4), sharey=True, layout="constrained")
for label, panel in enumerate(panels):
    panel.imshow(inputs[:, np.argmax(labels == label)].T, aspect="auto", cmap="gray_r", interpolation="nearest")
    panel.axvspan(steps - 10.5, steps - 0.5, color="C1", alpha=0.2, lw=0)
    panel.set(title=f"class {label}", xlabel="time [steps]")
panels[0].set(ylabel="input line")
plt.show()

# %% [markdown]
# Input spikes (black) of one sample of each class. The network answers during the orange steps, long after the
# difference is over.
#
# ## The network, and its training
#
# Twenty cells, and a linear readout of how often they fired in the last ten steps. Synapses are a matrix product. The
# cell is an argument, so that we can compare.


# %%
def network(weights, inputs, cell_init, cell_step):
    currents = inputs @ weights["in"]  # [time, batch, 20]
    spikes = unroll(cell_step, cell_init((batch, 20)), currents).outputs
    return spikes[-10:].mean(0) @ weights["out"]  # [batch, 2]


def train(cell_init, cell_step):
    optimizer = optax.adam(0.01)

    def loss(weights, inputs, labels):
        logits = network(weights, inputs, cell_init, cell_step)
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return cross_entropy, (logits.argmax(-1) == labels).mean()

    @jax.jit
    def update(weights, moments, key):
        (_, accuracy), gradients = jax.value_and_grad(loss, has_aux=True)(weights, *make_batch(key))
        changes, moments = optimizer.update(gradients, moments)
        return optax.apply_updates(weights, changes), moments, accuracy

    first, second = jax.random.split(jax.random.key(0))
    weights = {"in": 0.5 + 0.5 * jax.random.normal(first, (12, 20)), "out": jax.random.normal(second, (20, 2))}
    moments, accuracies = optimizer.init(weights), []
    for number in range(updates):
        weights, moments, accuracy = update(weights, moments, jax.random.key(number))
        accuracies.append(float(accuracy))
    return accuracies


# %%
curves = {
    "plain cell": train(partial(lif.init, plain), partial(lif.step, plain)),
    "adaptive cell": train(partial(init, Params()), partial(step, Params())),
}

# %%
figure, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
for colour, (name, accuracies) in zip(("0.5", "C0"), curves.items(), strict=True):
    smooth = np.convolve(accuracies, np.ones(10) / 10, "valid")  # mean of ten updates
    axes.plot(np.arange(len(smooth)) + 9, 100 * smooth, color=colour, label=name)
axes.axhline(50, color="0.8", ls=":")
axes.set(xlabel="update", ylabel="accuracy [%]", ylim=(40, 101))
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# Accuracy on fresh samples, smoothed over ten updates. The plain cells guess (dotted: chance), since nothing of the
# first ten steps is left in their membranes forty steps later. The adaptive ones remember in their thresholds, and
# the network learns to read it out. Gradients went through the raised threshold on their own.
#
# ## The same cell in a big network
#
# `neurons.of_cell` makes a cell into the neurons of a network of `jaxsnn.models`: a record of what makes the
# parameters and of both functions goes in, and numbers for the parameters. The readout does not fire, and has a leak
# of its own.

# %%
cell = Cell(Params, init, step)
neuron = neurons.of_cell(cell, params=Params(leak=0.95, threshold=0.8), readout_leak=0.95)
model = models.create("lenet", input_shape=(side, side, 1), num_classes=10, neurons=neuron, rngs=nnx.Rngs(0))
apply, params, model_state = models.functionalize(model)

images = jax.random.uniform(jax.random.key(0), (2, side, side, 1))
spikes_in = encoding.poisson(jax.random.key(1), images, steps=20)
output, _ = apply(params, model_state, spikes_in)
{layer: float(spikes.mean()) for layer, spikes in output.spike_counts.items()}

# %% [markdown]
# That was a forward pass through the untrained network: spikes per sample in every layer. Its gradients are as
# available as those of any other network, and [the next notebook](04_a_spiking_lenet.ipynb) trains one.


# %%
def loss(params):
    return losses.squared_error(apply(params, model_state, spikes_in)[0].logits, jnp.array([3, 7]))


gradients = jax.jit(jax.grad(loss))(params)
{layer: f"{jnp.abs(gradient['kernel']).mean():.4f}" for layer, gradient in gradients.items()}
