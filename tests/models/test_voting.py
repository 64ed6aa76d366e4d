"""Output neurons that fire: votes per class, rates as logits, losses on the first spike, one operation per spike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import analysis, losses, models, neurons

LABELS = jnp.asarray([0, 2, 1, 2])
X = jax.random.normal(jax.random.key(0), (6, 4, 5))


def network(votes, readout="mean", make=neurons.lif):
    options = {"input_shape": (5,), "num_classes": 3, "neurons": make(0.9, 1.5), "votes": votes, "readout": readout}
    net = models.Builder(init_scale=8.0, rngs=nnx.Rngs(0), **options)
    net.dense(7)
    model = net.finish()
    return model, *models.functionalize(model)


@pytest.mark.parametrize("make", [neurons.lif, neurons.spikebp])
@pytest.mark.parametrize("votes", [1, 4])
def test_logits_are_mean_firing_rates_of_the_neurons_of_a_class(votes, make):
    model, apply, params, state = network(votes, make=make)

    def loss(params):
        output, _ = apply(params, state, X, record=True)
        return losses.rate_mse(output.potentials, LABELS), output

    (_, output), slopes = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    spikes = np.asarray(output.spikes["fc2"])
    assert set(np.unique(spikes)) == {0, 1}
    each = spikes.reshape(6, 4, 3, votes).mean(-1)
    np.testing.assert_allclose(output.potentials, each, rtol=1e-6)
    np.testing.assert_allclose(output.logits, each.mean(0), rtol=1e-6)
    assert all(np.abs(slope).max() > 0 for slope in jax.tree.leaves(slopes))
    assert params["fc2"]["kernel"].shape == (7, 3 * votes)
    operations = analysis.synaptic_operations(output.spikes | {"input": np.asarray(X)}, models.connections(model))
    np.testing.assert_array_equal(operations["voting"], spikes.sum((0, 2)))


@pytest.mark.parametrize(("loss", "rate"), [(losses.first_spike_cross_entropy, 0.3), (losses.first_spike_mse, 2.0)])
def test_the_first_spike_can_be_learned(loss, rate):
    """Gradient steps on one batch: the labelled class comes to fire first."""
    _, apply, params, state = network(1, "first_spike")

    @jax.jit
    def step(params, _):
        def objective(params):
            output, _ = apply(params, state, X)
            return loss(output.potentials, LABELS), jnp.mean(jnp.argmax(output.logits, -1) == LABELS)

        (value, right), slopes = jax.value_and_grad(objective, has_aux=True)(params)
        return jax.tree.map(lambda p, g: p - rate * g, params, slopes), (value, right)

    _, (values, right) = jax.lax.scan(step, params, None, 150)
    assert values[-10:].min() < 0.7 * values[0]
    assert right[-10:].max() > right[0]


def test_votes_cannot_be_negative():
    with pytest.raises(ValueError, match="votes must be a number of output neurons per class, 0 .*, got -1"):
        network(-1)
