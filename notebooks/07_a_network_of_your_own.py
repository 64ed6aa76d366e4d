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
# # 7. A network of your own
#
# Networks of the field are in a table (`models.MODELS`): VGG, ResNet with several kinds of joins, Spikformer. A network
# that is not there is put together layer by layer. Here: convolutions with batch normalisation, parametric LIF neurons,
# a max pool, a residual block, and a layer that no library has. It learns the digits that come with scikit-learn.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax
from flax import nnx

from jaxsnn import analysis, encoding, losses, models, neurons, training, viz
from jaxsnn.cells import CELLS
from jaxsnn.data import load
from jaxsnn.synapses import Connection

plt.rcParams.update({"figure.dpi": 72, "axes.spines.top": False, "axes.spines.right": False})

# %% tags=["parameters"]
steps = 4  # T, the number of time steps
epochs = 6  # passes over the training set
samples = None  # how many training samples are used; None for all
tested = None  # how many test samples

# %% [markdown]
# ## A layer of your own
#
# Synapses are a module with two methods: `__call__` makes currents `[T, B, ...]` of its input, and `connection` says as
# plain data who reaches whom, so that operations and energy can be counted. This layer shifts every other channel by
# one pixel, which costs no multiplication, and lets a 1x1 convolution behind it see its neighbours.


# %%
class Shift(nnx.Module):
    relays = "as sent"  # spikes stay spikes

    def __call__(self, x, *, storage="floats", mask=None):
        x = x if mask is None else x * mask[None]
        return jnp.concatenate([x[..., ::2], jnp.roll(x[..., 1::2], 1, axis=3)], -1)

    def connection(self, name, source, target, input_shape):
        return Connection(name, source, target, "subsample", (), 1, ((0, 0), (0, 0)), input_shape, input_shape)


# %% [markdown]
# ## Fifteen lines
#
# `Builder` names the layers, keeps sizes, and gives each its norm and neurons. `net.here()` is a place in the network
# that a later layer can receive from.

# %%
plif = neurons.of_cell(CELLS["plif"], learn=("leak",), leak_first=True)
net = models.Builder(
    input_shape=(16, 16, 1),
    num_classes=10,
    init_scale=2.0,
    rngs=nnx.Rngs(0),
    neurons=plif,
    norm="bn",
    pool="max",
    readout="mean",
    static_input=True,
)
net.conv(16)
net.pool()
start = net.here()
net.add("shift", Shift(), None)
net.conv(16, kernel_size=1)
net.conv(16, groups=4)
net.join("join", ("around", start))  # spikes of the block and of its input are added
net.pool()
net.dense(64)
model = net.finish()
apply, params, model_state = models.functionalize(model)
[f"{row.name} {row.shape}" for row in model.rows]

# %% [markdown]
# What the layers know of each other is a list of connections. Energy, operations and conversion read it.

# %%
[(c.source, c.name, c.kind, c.output_shape) for c in models.connections(model)]

# %% [markdown]
# ## Training
#
# The image itself is the input current of every step ("direct input"), so that the first convolution is computed once,
# not T times (`static_input`). The running statistics of the norms are part of the training state.

# %%
digits = load("digits")
train = jax.device_put(training.Data(digits.train.samples[:samples], digits.train.labels[:samples]))
test = jax.device_put(training.Data(digits.test.samples[:tested], digits.test.labels[:tested]))


def prepare(key, images):
    return encoding.direct(images.astype(jnp.float32) / 255, steps)


def loss(output, labels):
    return losses.rate_cross_entropy(output.potentials, labels)


optimizer = optax.adam(optax.cosine_decay_schedule(2e-3, epochs * len(train.labels) // 16))
step = training.make_train_step(training.backpropagation(apply, loss), optimizer, prepare, batch_size=16)
evaluate = training.make_evaluate(apply, prepare, batch_size=120)
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
viz.training_curve({"a network of your own": rows.rows})

# %% [markdown]
# ## What was learned about time
#
# Each layer of PLIF neurons has learned a leak of its own; all started at 0.5.

# %%
learned = {name: p["neurons"]["leak_logit"] for name, p in state.params.items() if "neurons" in p}
{name: round(float(jax.nn.sigmoid(raw)), 3) for name, raw in learned.items()}

# %% [markdown]
# ## On a chip
#
# Norms cost nothing at run time: `models.fold` moves them into weights and biases, exactly.

# %%
folded, weights, constants = models.fold(model, state.params, state.model_state)
run = models.functionalize(folded)[0]
x = prepare(None, test.images[:8])
same = jnp.abs(run(weights, constants, x)[0].logits - apply(state.params, state.model_state, x)[0].logits).max()
print(f"largest difference of the logits: {float(same):.1e}")

# %%
activity = analysis.activity(run, weights, constants, x)
{name: round(layer.rate, 3) for name, layer in activity.items()}
