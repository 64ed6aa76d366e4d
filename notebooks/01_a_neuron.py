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
# # 1. A neuron
#
# A neuron of an ordinary network adds up its inputs and puts out a number. A *spiking* neuron lives in time: it
# collects input current on its *membrane*, and when the membrane potential exceeds a threshold it sends a *spike*, a
# 1 among zeros, and starts again from rest. In between, the membrane slowly leaks.
#
# This notebook builds one with `jaxsnn`, watches it, and checks it against a formula. You need to know NumPy and
# matplotlib; `jax.numpy` is NumPy with other insides.

# %%
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from jaxsnn import encoding, lif, unroll

plt.rcParams.update({"figure.dpi": 90, "axes.spines.top": False, "axes.spines.right": False})

# %% tags=["parameters"]
steps = 60  # T, the number of time steps that we watch

# %% [markdown]
# ## One time step
#
# In `jaxsnn` a neuron model (a *cell*) is two plain functions. `init` gives the state at rest, and `step` takes
# parameters, state and input current, and returns the next state and the spikes. Nothing is remembered anywhere else.
#
# Here is one neuron of the *leaky integrate-and-fire* kind (LIF). Its membrane keeps 90 % of its potential from step
# to step, and it fires above 1.

# %%
params = lif.LIFParams(leak=0.9, threshold=1.0)
state = lif.init(params, shape=(1,))
state

# %% [markdown]
# A current of 0.6 lifts the potential to 0.6, and 90 % of it, 0.54, is left for the next step. No spike.

# %%
state, spikes = lif.step(params, state, jnp.array([0.6]))
print("potential", state.potential, " spikes", spikes)

# %% [markdown]
# The same current once more makes 0.54 + 0.6 = 1.14. That is above 1: the neuron fires, and its potential is set to
# zero.

# %%
state, spikes = lif.step(params, state, jnp.array([0.6]))
print("potential", state.potential, " spikes", spikes)

# %% [markdown]
# ## Many time steps
#
# `unroll` calls `step` once for each entry of the first axis of its input, which is always time. The neuron gets its
# parameters by `partial`. With `trace` we also ask for what the threshold is compared with, the potential before the
# reset, to draw it.

# %%
key = jax.random.key(0)
currents = 0.35 * jax.random.uniform(key, (steps, 1))  # [time, neurons]
run = unroll(partial(lif.step, params), lif.init(params, (1,)), currents, trace=partial(lif.integrate, params))
run.outputs.shape, run.trace.shape

# %%
figure, (top, middle, bottom) = plt.subplots(
    3, 1, figsize=(8, 4.6), sharex=True, height_ratios=(2, 3, 1), layout="constrained"
)
time = np.arange(steps)
top.bar(time, currents[:, 0], color="0.6")
top.set(ylabel="current\n[threshold]")
middle.plot(time, run.trace[:, 0], "o-", ms=3)
middle.axhline(params.threshold, color="C3", ls=":")
middle.text(0, 1.03, "threshold", color="C3")
middle.set(ylabel="potential\n[threshold]", ylim=(0, 1.25))
bottom.eventplot(np.flatnonzero(run.outputs[:, 0]), lineoffsets=0.5, color="k")
bottom.set(ylabel="spikes", yticks=[], xlabel="time [steps]", xlim=(-1, steps))
plt.show()

# %% [markdown]
# Top: the random current that comes in. Middle: the membrane adds it up, and whenever the sum exceeds the threshold
# (dotted) it starts again from zero. Bottom: the spikes, which are all that other neurons ever see.
#
# ## The leak decides how long a neuron remembers
#
# Parameters may be arrays, one number for each neuron. So three neurons with three leaks are one call: the same two
# short pulses of current go to all of them.

# %%
three = lif.LIFParams(leak=jnp.array([0.7, 0.95, 1.0]), threshold=1.0)
pulses = jnp.zeros((steps, 3)).at[jnp.array([3, 18])].set(0.6)
run = unroll(partial(lif.step, three), lif.init(three, (3,)), pulses, trace=partial(lif.integrate, three))

figure, axes = plt.subplots(figsize=(8, 2.8), layout="constrained")
for neuron in range(3):
    axes.plot(time, run.trace[:, neuron], "o-", ms=3, label=f"leak {three.leak[neuron]:.2f}")
axes.axhline(1.0, color="C3", ls=":")
axes.set(xlabel="time [steps]", ylabel="potential [threshold]")
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# With leak 1.0 nothing is lost, and two pulses of 0.6 make a spike however far they are apart. With 0.95 the first
# pulse has faded to 0.28 when the second comes, which is not enough; with 0.7 it is forgotten after ten steps. A leak
# is often given as a time constant `tau` in steps, `leak = exp(-1 / tau)`; 0.95 is about 20 steps.
#
# ## How often does it fire?
#
# Under a constant current $I$ the potential after $n$ steps is
# $I\,(1 + \lambda + \dots + \lambda^{n-1}) = I\,(1 - \lambda^n) / (1 - \lambda)$ with leak $\lambda$, so the neuron
# fires every $n$ steps with the smallest $n$ that lifts this above the threshold. We compare that with 300 neurons,
# each with a current of its own, in one call.

# %%
strengths = jnp.linspace(0.02, 1.4, 300)
constant = jnp.broadcast_to(strengths, (10 * steps, 300))  # [time, neurons]
rates = unroll(partial(lif.step, params), lif.init(params, (300,)), constant).outputs.mean(0)

n = np.arange(1, 10 * steps + 1)
potential = strengths[:, None] * (1 - params.leak**n) / (1 - params.leak)  # [neurons, n]
above = np.asarray(potential > params.threshold)
expected = np.where(above.any(1), 1 / n[above.argmax(1)], 0)

# %%
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.plot(strengths, rates, ".", ms=4, label="simulated")
axes.plot(strengths, expected, "-", color="C3", lw=1, label="formula")
axes.set(xlabel="current [threshold per step]", ylabel="rate [spikes per step]")
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# The firing rate over the current. Below $1 - \lambda = 0.1$ the leak takes away what comes in, and the neuron is
# silent. Above, the rate climbs in stairs, since a spike comes every whole number of steps. It is the spiking
# neuron's counterpart of the activation function, and looks like a ReLU that has a ceiling.
#
# ## Two kinds of reset
#
# After a spike the potential is set to zero (`reset="hard"`, the default), or the threshold is subtracted (`"soft"`),
# which keeps what was above it. The soft reset loses nothing, so without leak the rate is the current itself.

# %%
no_leak = lif.LIFParams(leak=1.0)
three_currents = jnp.broadcast_to(jnp.array([0.15, 0.4, 0.7]), (1000, 3))
print("currents  ", *(f"{current:.2f}" for current in three_currents[0]))
for reset in ("hard", "soft"):
    spikes = unroll(partial(lif.step, no_leak, reset=reset), lif.init(no_leak, (3,)), three_currents).outputs
    print(f"{reset} reset", *(f"{rate:.2f}" for rate in spikes.mean(0)))

# %% [markdown]
# ## Nothing is hidden
#
# All that a neuron remembers is in the state that `unroll` returns. Stop anywhere, hand it to the next call, and it
# is as if it had never stopped. So nothing has to be reset between two samples: start from `init` again.

# %%
start = lif.init(params, (1,))
step = partial(lif.step, params)
whole = unroll(step, start, currents)
first = unroll(step, start, currents[: steps // 3])
second = unroll(step, first.state, currents[steps // 3 :])
bool((jnp.concatenate([first.outputs, second.outputs]) == whole.outputs).all())

# %% [markdown]
# ## Spikes from an image
#
# A network of such neurons wants spikes as its input too. The usual recipe: in every time step each pixel fires with
# a probability that is its brightness.

# %%
x, y = np.meshgrid(np.linspace(-1, 1, 24), np.linspace(-1, 1, 24))
image = np.exp(-8 * (np.hypot(x, y) - 0.6) ** 2).astype(np.float32)  # a bright ring
spikes = encoding.poisson(key, jnp.array(image)[None], steps=steps)  # [time, batch, height, width]

figure, panels = plt.subplots(1, 4, figsize=(8, 2.2), layout="constrained")
shown = {
    "image": image,
    "spikes of one step": spikes[0, 0],
    "sum of 10 steps": spikes[:10, 0].sum(0),
    "mean of all steps": spikes[:, 0].mean(0),
}
for panel, (title, picture) in zip(panels, shown.items(), strict=True):
    panel.imshow(picture, cmap="gray")
    panel.set_title(title, fontsize=10)
    panel.axis("off")
plt.show()

# %% [markdown]
# From left to right: the image, its spikes in the first step, and their sum and mean, which approach the image. A
# network has to recognise it from the spikes alone.
#
# Next: [how such a network can learn](02_surrogate_gradients.ipynb), though a spike has no derivative.
