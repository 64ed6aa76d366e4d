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
# # 5. A sweep and its picture
#
# Which leak, which threshold? Instead of one network we train many, each with its own numbers and its own seed, in
# **one** compiled program. Nothing has to be rewritten for it: training is a pure function, leak and threshold are
# arrays that it is given, and JAX can map it over a whole population.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import nnx

from jaxsnn import encoding, losses, models, neurons, parallel, training, viz
from jaxsnn.data import load

plt.rcParams.update({"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False})

# %% tags=["parameters"]
steps = 8  # T, the number of time steps
epochs = 5  # passes over the training set
samples = 720  # training samples
tested = None  # test samples; None for all
leaks = (0.3, 0.6, 0.9, 0.99)
thresholds = (0.25, 0.5, 1.0, 2.0)
seeds = 2  # networks for every pair of numbers

# %%
digits = load("digits")
train = jax.device_put(training.Data(digits.train.samples[:samples], digits.train.labels[:samples]))
test = jax.device_put(training.Data(digits.test.samples[:tested], digits.test.labels[:tested]))

# %% [markdown]
# ## The members
#
# `grid` lists all combinations.

# %%
members = parallel.grid(leak=leaks, threshold=thresholds, seed=range(seeds))
print(len(members), "members, the first:", members[0])

# %% [markdown]
# ## One member
#
# `start` builds the network of a member before its first step: a small one, a convolution, a pool, and a dense layer.
# `Builder` adds layer after layer.


# %%
def network(member):
    neuron = neurons.lif(leak=member["leak"], threshold=member["threshold"])
    builder = models.Builder(
        input_shape=(16, 16, 1), num_classes=10, init_scale=2.0, neurons=neuron, rngs=nnx.Rngs(member["seed"])
    )
    builder.conv(8, kernel_size=5)
    builder.pool()
    builder.dense(32)
    return models.functionalize(builder.finish())


optimizer = optax.adam(3e-3)


def start(member):
    _, params, model_state = network(member)
    return training.init_state(params, model_state, optimizer, member["seed"])


# %% [markdown]
# Leak and threshold are now among the `model_state` of each member's state. So all members share one program, which
# `make` describes: how one of them trains and is tested. (A learning rate, say, would come in by the argument of
# `make`.)

# %%
apply, _, _ = network(members[0])


def prepare(key, images):
    return encoding.poisson(key, images.astype(jnp.float32) / 255, steps)


def loss(output, labels):
    return losses.per_step_cross_entropy(output.potentials, labels)


def make(numbers):
    step = training.make_train_step(training.backpropagation(apply, loss), optimizer, prepare, batch_size=24)
    return parallel.Member(step, training.make_count_batch(apply, prepare, batch_size=120))


# %% [markdown]
# ## All of them
#
# One call trains the population. On an accelerator the members run side by side, on a CPU one after the other, still
# in one program; on several devices each takes its share (`mesh=parallel.population_mesh()`).

# %%
trained = parallel.train_population(
    members, start, make, train, {"test": test}, batch_size=24, epochs=epochs, evaluation_batch=120
)
accuracy = trained.accuracy["test"]  # [epochs, members]
print(f"{len(members)} networks trained, {np.sum(trained.diverged >= 0)} diverged")

# %% [markdown]
# ## The picture
#
# The members are listed in the order of the grid, so a reshape gives leak by threshold by seed.

# %%
final = 100 * accuracy[-1].reshape(len(leaks), len(thresholds), seeds)
viz.heat_map(
    final.mean(-1),
    rows=leaks,
    columns=thresholds,
    row_label="leak (what is left after a step)",
    column_label="threshold",
    label="test accuracy [%]",
    form="{:.1f}",
)

# %% [markdown]
# Test accuracy of every pair of leak and threshold, the mean over the seeds: the darker the better. Neurons that
# forget quickly (top row) do worse. Is a difference between two fields real, or is it chance? The seeds say so: the
# spread of the networks that differ in nothing else.

# %%
spread = (final.max(-1) - final.min(-1)).mean()
print(f"networks that differ in their seed only lie {spread:.1f} percentage points apart on average")

# %% [markdown]
# So it is the leak that counts here; differences between neighbours in the lower rows are no larger than chance.
#
# How did they get there? The networks of the last row, over the epochs:

# %%
figure, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
by_threshold = 100 * accuracy.reshape(epochs, len(leaks), len(thresholds), seeds)
for number, threshold in enumerate(thresholds):
    curves = by_threshold[:, -1, number]  # [epochs, seeds], of the largest leak
    axes.plot(np.arange(1, epochs + 1), curves.mean(-1), "o-", ms=3, label=f"threshold {threshold}")
    axes.fill_between(np.arange(1, epochs + 1), curves.min(-1), curves.max(-1), alpha=0.2, lw=0)
axes.set(xlabel="epoch", ylabel="test accuracy [%]", title=f"leak {leaks[-1]}", xticks=range(1, epochs + 1))
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# A line for each threshold is the mean over seeds, its band reaches from the worst seed to the best.
#
# ## Larger sweeps
#
# From the command line, with results in a table that survives interruption, on many machines, and with members that
# diverge marked and left out of the mean:
# `python -m experiments.sweep --preset=digits --sweep="leak=0.6,0.9,0.99" --seeds=3`.
#
# Next: [coming from snnTorch or SpikingJelly](06_coming_from_other_libraries.ipynb).
