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
# # 2. Surrogate gradients, and the derivative of Lee et al.
#
# A network learns by following derivatives. A spike has none that helps: it is 0 below the threshold, 1 above, so its
# slope is zero everywhere, except at the threshold, where it is infinite. This notebook draws the two ways out that
# `jaxsnn` offers: *surrogate gradients*, which put a smooth slope in the place of the step, and the rule of Lee et
# al. (2020), which computes one derivative for each neuron from the spikes that it sent.

# %%
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import nnx

from jaxsnn import SURROGATES, encoding, lif, losses, models, neurons, spikebp, unroll

plt.rcParams.update({"figure.dpi": 90, "axes.spines.top": False, "axes.spines.right": False})

# %% tags=["parameters"]
steps = 40  # T, the number of time steps
updates = 200  # of gradient descent, where one neuron learns
side = 16  # height and width of the images, where a network is asked

# %% [markdown]
# ## A step forward, a slope backward
#
# Each entry of `SURROGATES` is a function. Called, it is the step: 1 where its argument, potential minus threshold,
# is above zero. Differentiated, it is something smooth.

# %%
spike = SURROGATES["arctan"]
x = jnp.linspace(-2, 2, 401)
forward = spike(x)
backward = jax.vmap(jax.grad(spike))(x)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
left.plot(x, forward, color="k")
left.set(xlabel="potential - threshold", ylabel="spike", title="forward: the step")
for name in ("straight_through", "boxcar", "triangle", "fast_sigmoid", "arctan", "sigmoid", "gaussian"):
    right.plot(x, jax.vmap(jax.grad(SURROGATES[name]))(x), label=name)
right.set(xlabel="potential - threshold", ylabel="derivative", title="backward: one of these", ylim=(0, 1.1))
right.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# Left, what every surrogate computes forward. Right, what each of them says when it is asked for its derivative: "you
# are near the threshold, a little more would have changed the spike". They differ in how far from the threshold they
# still say so.
#
# How far is the `slope`. It is an ordinary argument: the same surrogate with three of them:

# %%
figure, axes = plt.subplots(figsize=(5, 2.6), layout="constrained")
for slope in (1.0, 2.0, 8.0):
    axes.plot(x, jax.vmap(jax.grad(partial(spike, slope=slope)))(x), label=f"slope {slope:g}")
axes.set(xlabel="potential - threshold", ylabel="derivative of arctan")
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# The steeper, the closer to the true step, and the fewer neurons get to hear anything.
#
# ## One neuron learns to fire
#
# A neuron receives the same noisy current at all steps, times a weight. It shall fire ten times. The loss is the
# squared distance from ten spikes, and gradient descent changes the weight. Through time, `jax.grad` finds its way on
# its own, since `unroll` is an ordinary function.

# %%
noise = jax.random.uniform(jax.random.key(0), (steps, 1))
params = lif.LIFParams(leak=0.9, threshold=1.0)


def count(weight, spike):
    step = partial(lif.step, params, spike=spike)
    return unroll(step, lif.init(params, (1,)), weight * noise).outputs.sum()


def learn(spike):
    @jax.jit
    def update(weight):
        gradient = jax.grad(lambda weight: (count(weight, spike) - 10) ** 2)(weight)
        return weight - 2e-5 * gradient, count(weight, spike)

    weight, counts = jnp.float32(0.15), []
    for _ in range(updates):
        weight, sent = update(weight)
        counts.append(sent)
    return counts


def hard_step(x):
    return (x > 0).astype(x.dtype)


# %%
figure, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
for name, function in {"the step itself": hard_step, "arctan": spike, "triangle": SURROGATES["triangle"]}.items():
    axes.plot(learn(function), label=name)
axes.axhline(10, color="0.6", ls=":")
axes.set(xlabel="update", ylabel="spikes sent")
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# With the derivative of the step itself, zero, nothing ever changes. With a surrogate the neuron raises its weight
# until it sends the ten spikes (dotted), though no surrogate is "right": their slopes differ, their direction is the
# same.
#
# ## The rule of Lee et al.: one derivative for a whole spike train
#
# The paper looks at a neuron only after its last step. From its own spikes it computes two numbers: how many it sent,
# $\gamma$, and how many it sent *lately*, $F$, a count that leaks like the membrane. A neuron that sent none has
# derivative
# 0. One that fired has
#
# $$d = \frac{1}{V_{th}} \left(1 + \ln(\lambda) \frac{F}{\gamma}\right)$$
#
# where $\lambda$ is the leak: close to 1, minus a correction for what the membrane lost on the way to its spikes.
# ((E8) in [docs/equations.md](../docs/equations.md).) For one neuron over a range of constant currents:

# %%
strengths = jnp.linspace(0.0, 1.2, 240)
constant = jnp.broadcast_to(strengths, (steps, 240))  # [time, neurons]
figure, (top, bottom) = plt.subplots(2, 1, figsize=(6, 4), sharex=True, layout="constrained")
for leak in (0.7, 0.9, 0.99):
    leaky = lif.LIFParams(leak=leak)
    state, spikes = spikebp.lif(leaky, spikebp.init(leaky, (240,)), constant)
    top.plot(strengths, spikes.mean(0), label=f"leak {leak}")
    bottom.plot(strengths, spikebp.derivative(leaky, state))
top.set(ylabel="rate\n[spikes per step]")
top.legend(frameon=False)
bottom.set(xlabel="current [threshold per step]", ylabel="derivative d\n[1 / threshold]", ylim=(-0.05, 1.05))
plt.show()

# %% [markdown]
# Top, the firing rate, as in the first notebook. Bottom, the derivative: 0 for a silent neuron, close to 1 otherwise,
# and the further below 1 the more the membrane leaks. With the paper's leak of 0.99 there is next to no correction.
#
# ## How an error walks back in time
#
# Suppose that the layer behind our neuron wishes for more output at two moments: once when the neuron was silent, and
# once when it fired. What does that say about the input current at the steps before? We ask both rules for the
# gradient with respect to the current at every step.

# %%
currents = jax.random.uniform(jax.random.key(3), (steps, 1), maxval=0.4)


def through_time(currents):
    return unroll(partial(lif.step, params, spike=spike), lif.init(params, (1,)), currents).outputs


def by_the_paper(currents):
    return spikebp.lif(params, spikebp.init(params, (1,)), currents)[1]


sent = np.flatnonzero(through_time(currents)[:, 0])
wished = np.array([sent[0] + 4, sent[-1]])  # four steps after its first spike, and at its last spike
wish = jnp.zeros((steps, 1)).at[wished].set(1.0)
gradients = {
    "surrogate (arctan)": jax.grad(lambda currents: jnp.sum(wish * through_time(currents)))(currents),
    "rule of Lee et al.": jax.grad(lambda currents: jnp.sum(wish * by_the_paper(currents)))(currents),
}

# %%
figure, panels = plt.subplots(3, 1, figsize=(8, 4.2), sharex=True, height_ratios=(1, 2, 2), layout="constrained")
panels[0].eventplot([sent, wished], lineoffsets=[0, 1], linelengths=0.7, colors=["k", "C3"])
panels[0].set(yticks=[0, 1], yticklabels=["sent", "wished for"], ylim=(-0.5, 1.5))
for panel, (name, gradient) in zip(panels[1:], gradients.items(), strict=True):
    panel.bar(np.arange(steps), gradient[:, 0], color="C0")
    panel.set_title(name, fontsize=9, loc="left")
    panel.set(ylabel="gradient")
panels[2].set(xlabel="time [steps]")
plt.show()

# %% [markdown]
# Top: the spikes of the neuron, and when more were wished for. Below: how much each step's current is asked to grow.
# The surrogate answers both wishes, from the moment of the wish back to the spike before it, where the reset cuts the
# history; the answer fades, because of the leak. The paper's rule does not hear a wish that comes when there is no
# spike. A wish at a spike goes back to the spike before it, times $d$, and does not fade.
#
# ## In a network the rule is one argument
#
# A network takes `neurons`, which say what is computed forward and which rule goes backward. Here the same LeNet,
# with the same weights and the same input, is asked for its gradients under both.

# %%
images = jax.random.uniform(jax.random.key(0), (4, side, side, 1))
spikes_in = encoding.poisson(jax.random.key(1), images, steps)  # [time, batch, height, width, 1]
labels = jnp.array([0, 1, 2, 3])


@partial(jax.jit, static_argnums=0)
def differentiate(apply, params, model_state):
    def loss(params):
        output, _ = apply(params, model_state, spikes_in)
        return losses.squared_error(output.logits, labels)

    return jax.value_and_grad(loss)(params)


found = {}
for name, neuron in {"spikebp": neurons.spikebp(leak=0.99), "lif": neurons.lif(leak=0.99, spike=spike)}.items():
    model = models.create("lenet", input_shape=(side, side, 1), num_classes=10, neurons=neuron, rngs=nnx.Rngs(0))
    loss, found[name] = differentiate(*models.functionalize(model))
    print(f"{name}: loss {loss:.4f}")

# %% [markdown]
# Forward, both are the same network: the losses agree. How similar are the directions in which the two rules would
# move the weights? 1 means the same direction, 0 nothing in common.

# %%
figure, axes = plt.subplots(figsize=(5, 2.4), layout="constrained")
pairs = jax.tree.map(lambda a, b: optax.cosine_similarity(a.ravel(), b.ravel()), *found.values())
names = list(pairs)
axes.barh(names, [pairs[name]["kernel"] for name in names])
axes.set(xlabel="cosine between the gradients of both rules", xlim=(0, 1))
axes.invert_yaxis()
plt.show()

# %% [markdown]
# In the layer next to the loss, `fc2`, the two rules nearly agree. The further back, the more they differ, since each
# layer adds its own approximation. Both train: [notebook 4](04_a_spiking_lenet.ipynb) does it with real digits.
#
# Next: [a cell of your own](03_your_own_cell.ipynb).
