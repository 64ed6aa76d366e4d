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
# # 4. A spiking LeNet, looked into
#
# A convolutional network of spiking neurons learns to read handwritten digits, with the rule of Lee et al. (2020), in
# a minute or two on a CPU. Then we open it: what fires where, how soon it knows the answer, which digits it confuses,
# and how much energy spikes would save.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import nnx

from jaxsnn import analysis, encoding, losses, models, neurons, training, viz
from jaxsnn.data import load

plt.rcParams.update({"figure.dpi": 72, "axes.spines.top": False, "axes.spines.right": False})

# %% tags=["parameters"]
steps = 16  # T, the number of time steps for which the network sees a digit
epochs = 8  # passes over the training set
samples = None  # how many training samples are used; None for all
tested = None  # how many test samples
width = 1.0  # of all layers, relative to the LeNet of the paper

# %% [markdown]
# ## The data
#
# The 1,797 digits that come with scikit-learn, enlarged to 16 by 16 pixels: nothing has to be downloaded. A fifth of
# them is kept for the test.

# %%
digits = load("digits")
train = jax.device_put(training.Data(digits.train.samples[:samples], digits.train.labels[:samples]))
test = jax.device_put(training.Data(digits.test.samples[:tested], digits.test.labels[:tested]))

figure, panels = plt.subplots(1, 8, figsize=(8, 1.3), layout="constrained")
for panel, image, label in zip(panels, train.images, train.labels, strict=False):
    panel.imshow(image[..., 0], cmap="gray_r")
    panel.set_title(int(label))
    panel.axis("off")
plt.show()

# %% [markdown]
# ## The network
#
# Two convolutions, each followed by a spiking average pool, a dense layer, and a readout: one membrane for every
# class that adds up and never fires. The class with the highest potential is the answer. `functionalize` turns the
# network into a pure function and two dictionaries: the weights, which training changes, and the model_state (leaks,
# thresholds).

# %%
model = models.create(
    "lenet",
    input_shape=(16, 16, 1),
    num_classes=10,
    neurons=neurons.spikebp(leak=0.99),
    width=width,
    rngs=nnx.Rngs(0),
)
apply, params, model_state = models.functionalize(model)
{name: layer["kernel"].shape for name, layer in params.items()}

# %% [markdown]
# ## Training
#
# Three functions say what is learned: how an image becomes spikes (each pixel fires at random, the brighter the more
# often), what the loss is, and how weights are updated. `training.fit` does the rest; rows of numbers go to a list.


# %%
def prepare(key, images):
    return encoding.poisson(key, images.astype(jnp.float32) / 255, steps)


def loss(output, labels):
    return losses.squared_error(output.logits, labels)


schedule = optax.cosine_decay_schedule(1e-3, epochs * len(train.labels) // 16)  # the learning rate falls to 0
optimizer = optax.adam(schedule)
step = training.make_train_step(training.backpropagation(apply, loss), optimizer, prepare, batch_size=16)
evaluate = training.make_evaluate(apply, prepare, batch_size=120)

# %%
rows = training.MetricsList()
state = training.fit(
    training.init_state(params, model_state, optimizer, seed=0),
    step,
    train,
    batch_size=16,
    epochs=epochs,
    evaluate=lambda state: {"test_accuracy": float(evaluate(state, *test).accuracy[-1])},
    metrics=rows,
    progress=False,
)
print(f"test accuracy after {epochs} epochs: {rows.rows[-1]['test_accuracy']:.2%}")

# %%
viz.training_curve({"LeNet": rows.rows})

# %% [markdown]
# Left, the training loss (on a logarithmic axis) falls with every pass over the data. Right, the accuracy on training
# samples (dotted) and on test samples, which the network has never learned from.
#
# ## One digit goes through
#
# With `record=True` the network returns the spikes of all layers. Here is everything it does about one test digit.

# %%
number = 3
spikes_in = prepare(jax.random.key(1), test.images[number : number + 1])
output, _ = apply(state.params, state.model_state, spikes_in, record=True)
viz.raster(
    {name: np.asarray(spikes[:, 0]) for name, spikes in output.spikes.items()},
    np.asarray(output.potentials[:, 0]),
    image=digits.test.samples[number],
    label=int(test.labels[number]),
    neurons=40,
)

# %% [markdown]
# Each dot is a spike: time runs to the right, every line is a neuron, layers follow from top to bottom. At the bottom
# are the ten potentials of the readout: that of the answer leaves the others behind.
#
# ## Everything in one pass
#
# `make_profile` sends a whole data set through the network and counts. It wants the encoder in pieces of time, and
# the list of the network's synapses.


# %%
def encode(key, images, start, steps):
    return encoding.poisson(key, images.astype(jnp.float32) / 255, steps, start=start)


observe = analysis.make_profile(apply, encode, models.connections(model), steps=steps, chunk=steps, batch_size=120)
observed = observe(state.params, state.model_state, jax.random.key(2), *test)

# %% [markdown]
# ### Who fires, how much?

# %%
viz.spikes_per_layer(
    {name: float(layer.spikes.mean()) for name, layer in observed.layers.items()},
    {name: layer.neurons for name, layer in observed.layers.items()},
    steps=steps,
)

# %% [markdown]
# Left, spikes that each layer sends for one digit; right, which part of its neurons fires in a time step.
#
# ### How soon does it know?
#
# The readout may be asked at any step. This is the accuracy if it is asked after 1, 2, 3, ... steps.

# %%
viz.accuracy_over_time({"test": observed.answers.accuracy})

# %%
within = analysis.steps_needed(observed.answers.accuracy, observed.answers.accuracy[-1] - 0.01)
print(f"within one percent of the final accuracy after {within} of {steps} steps")

# %% [markdown]
# After one step the network guesses, since hardly a spike has come through all layers. Then the accuracy climbs
# steeply. Whoever is in a hurry stops early, which no ordinary network offers.
#
# ### What does it confuse?

# %%
viz.confusion(evaluate(state, *test).confusion)

# %% [markdown]
# Rows are the true digits, columns the answers: off the diagonal are the mistakes.
#
# ### What would it cost on a chip?
#
# An ordinary network multiplies and adds for every synapse (MAC). A spiking one only adds (AC), and only where a
# spike arrives, but again at every time step. With the energies of both operations in a 45 nm chip (32-bit integers)
# and the spikes that we counted, and leaving out what the neurons themselves compute and what memory costs:

# %%
report = analysis.energy(observed)
print(report)

# %% [markdown]
# `ratio` above 1 means that the spiking network needs less energy than the same network with ReLU. The last two
# columns say how many spikes a synapse carries per step, and at how many both would be equal.

# %%
viz.energy_bars(
    {
        "same network with ReLU": {row.name: row.relu / 1000 for row in report.layers if row.weighted},
        "spiking": {row.name: row.spiking / 1000 for row in report.layers if row.weighted},
    }
)

# %% [markdown]
# The same as a picture, one pair of bars for each layer with weights; note the logarithmic axis. The neurons' own
# arithmetic is counted by `analysis.energy(observed, neurons=True)`, and memory, which often costs more than
# arithmetic, by `analysis.energy(observed, memory="32 kB")`.
#
# Next: [many networks at once](05_a_sweep.ipynb).
