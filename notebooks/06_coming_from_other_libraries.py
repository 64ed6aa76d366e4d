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
# # 6. Coming from snnTorch or SpikingJelly
#
# The same small network three times: a dense layer of spiking neurons, and ten output neurons that are counted. Then
# which name maps to which, and a check that the neurons really are the same. The code of the other two libraries
# (snnTorch 1.0, SpikingJelly 2.0) is shown, not run; nothing here needs PyTorch.

# %%
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

from jaxsnn import SURROGATES, lif, losses, unroll
from jaxsnn.data import load

plt.rcParams.update({"figure.dpi": 90, "axes.spines.top": False, "axes.spines.right": False})

# %% tags=["parameters"]
steps = 10  # T, the number of time steps
updates = 150  # of the training
batch = 64  # samples per update

# %% [markdown]
# ## The network in snnTorch
#
# ```python
# class Net(nn.Module):
#     def __init__(self):
#         super().__init__()
#         self.fc1 = nn.Linear(256, 64, bias=False)
#         self.lif1 = snn.Leaky(beta=0.9, reset_mechanism="zero", spike_grad=surrogate.atan())
#         self.fc2 = nn.Linear(64, 10, bias=False)
#         self.lif2 = snn.Leaky(beta=0.9, reset_mechanism="zero", spike_grad=surrogate.atan())
#
#     def forward(self, x):  # x: [time, batch, 256]
#         mem1, mem2, out = self.lif1.init_leaky(), self.lif2.init_leaky(), []
#         for x_t in x:
#             spk1, mem1 = self.lif1(self.fc1(x_t), mem1)
#             spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
#             out.append(spk2)
#         return torch.stack(out)
# ```
#
# ## In SpikingJelly
#
# ```python
# def neurons():
#     return neuron.LIFNode(tau=10.0, decay_input=False, detach_reset=True, surrogate_function=surrogate.ATan())
#
# net = nn.Sequential(
#     layer.Linear(256, 64, bias=False), neurons(),
#     layer.Linear(64, 10, bias=False), neurons(),
# )
# functional.set_step_mode(net, "m")
#
# out = net(x)               # x: [time, batch, 256]
# functional.reset_net(net)  # before the next batch
# ```
#
# ## Here
#
# Synapses are a matrix product over all steps at once; neurons are unrolled over time. Where the others have a module
# that remembers its membrane, there is a state that goes in and comes out.

# %%
params = lif.LIFParams(leak=0.9, threshold=1.0)
step = partial(lif.step, params, spike=SURROGATES["arctan"], reset="hard", leak_first=True)


def neurons(currents):  # [time, batch, neurons]
    return unroll(step, lif.init(params, currents.shape[1:]), currents).outputs


def net(weights, x):  # x: [time, batch, 256]
    hidden = neurons(x @ weights["fc1"])
    return neurons(hidden @ weights["fc2"])


# %% [markdown]
# For larger networks there are layers and models, as in [notebook 4](04_a_spiking_lenet.ipynb): there the same neuron
# is the argument `neurons=neurons.lif(leak=0.9, leak_first=True)`.
#
# ## It trains
#
# In PyTorch: `loss.backward()`, `optimizer.step()`, `optimizer.zero_grad()`. Here a function returns the gradients,
# and nothing has to be zeroed.

# %%
digits = load("digits")
images = jnp.asarray(digits.train.samples.reshape(-1, 256), jnp.float32) / 255
labels = jnp.asarray(digits.train.labels)
optimizer = optax.adam(2e-3)


@jax.jit
def update(weights, moments, key):
    chosen_key, spike_key = jax.random.split(key)
    chosen = jax.random.randint(chosen_key, (batch,), 0, len(labels))
    x = jax.random.bernoulli(spike_key, images[chosen], (steps, batch, 256)).astype(jnp.float32)
    loss, gradients = jax.value_and_grad(lambda w: losses.rate_cross_entropy(net(w, x), labels[chosen]))(weights)
    changes, moments = optimizer.update(gradients, moments)
    return optax.apply_updates(weights, changes), moments, loss


first, second = jax.random.split(jax.random.key(0))
weights = {"fc1": 0.1 * jax.random.normal(first, (256, 64)), "fc2": 0.2 * jax.random.normal(second, (64, 10))}
moments, history = optimizer.init(weights), []
for number in range(updates):
    weights, moments, loss = update(weights, moments, jax.random.key(number))
    history.append(float(loss))

test_images = jnp.asarray(digits.test.samples.reshape(-1, 256), jnp.float32) / 255
x = jax.random.bernoulli(jax.random.key(9), test_images, (steps, *test_images.shape)).astype(jnp.float32)
answers = net(weights, x).sum(0).argmax(-1)
print(f"test accuracy: {np.mean(answers == digits.test.labels):.1%}")

# %%
figure, axes = plt.subplots(figsize=(5, 2.4), layout="constrained")
axes.plot(history)
axes.set(xlabel="update", ylabel="cross-entropy", ylim=(0, None))
plt.show()

# %% [markdown]
# The training loss falls with the updates.
#
# ## Which name is which
#
# | snnTorch | SpikingJelly | jaxsnn |
# |---|---|---|
# | `snn.Leaky` | `neuron.LIFNode` | `lif` (a cell), `neurons.lif` (in a network) |
# | `snn.Leaky(beta=1.0)` | `neuron.IFNode` | `integrate_and_fire` |
# | no reset: `reset_mechanism="none"` | `NonSpikingLIFNode` | `leaky_integrator` |
# | `beta=0.9` | `tau=10.0`, that is 1 / (1 - 0.9) | `leak=0.9` |
# | input as it is | `decay_input=False`; by default it is divided by `tau` | input as it is; or `scale_input=True` |
# | leak, then input | leak, then input | `leak_first=True`; the default is that of Lee et al.: the leak comes last |
# | `threshold` | `v_threshold` | `threshold` |
# | `reset_mechanism="zero"` | `v_reset=0.0` | `reset="hard"`, the default |
# | `"subtract"`, the default, with `reset_delay=False` | `v_reset=None` | `reset="soft"` |
# | `"subtract"` with `reset_delay=True`, both the defaults | | `reset="delayed"` |
# | `reset_delay=False`: the reset is differentiated | `detach_reset=False`, the default | `detach_reset=False` |
# | fires above the threshold | fires at or above it | above it; or `partial(spike, inclusive=True)` |
# | `surrogate.atan(alpha=2.0)`, the default | `surrogate.ATan(alpha=2.0)` | `SURROGATES["arctan"]`, the default |
# | `surrogate.fast_sigmoid(slope=25)` | | `SURROGATES["fast_sigmoid"]` |
# | `surrogate.sigmoid(slope=25)` | `surrogate.Sigmoid(alpha=4.0)`, the default | `SURROGATES["sigmoid"]`, slope 4 |
# | | `surrogate.PiecewiseQuadratic(alpha=1.0)` | `SURROGATES["triangle"]` |
# | `surrogate.straight_through_estimator()` | | `SURROGATES["straight_through"]` |
# | `learn_beta=True` | `ParametricLIFNode` | `neurons.lif(learn=("leak",))`, `CELLS["plif"]` |
# | `snn.Synaptic` | `neuron.CUBALIFNode` | `CELLS["synaptic"]` |
# | `snn.RLeaky` | | `layers.Recurrent` with any cell |
# | a loop over time | `step_mode="m"` | `unroll`, one compiled loop |
# | `x`: time first, by custom | `x_seq`: time first | `[T, B, ...]`, time first, everywhere |
# | images `[N, C, H, W]` | images `[N, C, H, W]` | images `[N, H, W, C]`, channels last |
# | `utils.reset(net)`, `init_leaky()` | `functional.reset_net(net)` | nothing to reset: start from `init` |
# | detach the membranes for truncated BPTT | `functional.detach_net(net)` | `jax.lax.stop_gradient(run.state)` |
# | `spikegen.rate` | `encoding.PoissonEncoder` | `encoding.poisson` |
# | `spikegen.latency(linear=True)` | `encoding.LatencyEncoder` | `encoding.latency` |
# | `functional.ce_rate_loss()` | | `losses.per_step_cross_entropy` |
# | | cross-entropy of `out.mean(0)` | `losses.rate_cross_entropy` |
# | `net.state_dict()` | `net.state_dict()` | `weights`, a dictionary |
# | | `ann2snn` | `jaxsnn.conversion` |
#
# ## Is it the same neuron?
#
# One step of both libraries' neurons, written in NumPy from their equations, against ours on the same random
# currents.


# %%
def snntorch_leaky(currents, beta=0.9, threshold=1.0):
    """Leaky, reset_mechanism="zero": the reset of a spike happens at the beginning of the next step."""
    potential, spikes = np.zeros(currents.shape[1:], np.float32), []
    for current in currents:
        potential = beta * potential * (potential <= threshold) + current
        spikes.append(potential > threshold)
    return np.array(spikes, np.float32)


def spikingjelly_lif(currents, tau=10.0, v_threshold=1.0):
    """LIFNode, decay_input=False, v_reset=0: the reset happens at once."""
    v, spikes = np.zeros(currents.shape[1:], np.float32), []
    for x in currents:
        v = v - v / tau + x
        spikes.append(v >= v_threshold)
        v = np.where(spikes[-1], 0, v)
    return np.array(spikes, np.float32)


# %%
currents = np.random.default_rng(0).uniform(-0.3, 0.9, (200, 50)).astype(np.float32)
ours = np.asarray(neurons(jnp.asarray(currents)))
print("spikes:", int(ours.sum()))
print("other than snnTorch's:", int((ours != snntorch_leaky(currents)).sum()))
print("other than SpikingJelly's:", int((ours != spikingjelly_lif(currents)).sum()))

# %% [markdown]
# All spikes agree. (A potential that lands exactly on the threshold would tell SpikingJelly from the other two.)
#
# One difference remains to be known: snnTorch's default, `reset_mechanism="subtract"` with a delay of one step,
# subtracts the whole threshold *after* the leak, where `reset="soft"` subtracts it before. Its neurons therefore keep
# `(1 - beta) * threshold` less per spike. If you need exactly that,
# [write it as a cell of your own](03_your_own_cell.ipynb): it is one line.
