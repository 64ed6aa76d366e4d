from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxsnn import losses, models

LABELS = jnp.asarray([1, 0, 2, 1])


def test_squared_error_is_a_sum():
    logits = jnp.zeros((4, 3))
    assert losses.squared_error(logits, LABELS) == 4
    assert losses.squared_error(logits + 1, LABELS) == 8


def test_cross_entropies_are_optax_means():
    potentials = jax.random.normal(jax.random.key(0), (5, 4, 3))
    whole = optax.softmax_cross_entropy_with_integer_labels(potentials, jnp.broadcast_to(LABELS, (5, 4))).mean()
    np.testing.assert_allclose(losses.per_step_cross_entropy(potentials, LABELS), whole, rtol=1e-6)
    rates = optax.softmax_cross_entropy_with_integer_labels(potentials.mean(0), LABELS).mean()
    np.testing.assert_allclose(losses.rate_cross_entropy(potentials, LABELS), rates, rtol=1e-6)


@pytest.mark.parametrize("labels", [jnp.ones(4), jnp.ones((4, 3), jnp.int32)])
def test_labels_must_be_class_numbers(labels):
    with pytest.raises(ValueError, match=r"labels must be class numbers: integers of shape \[N\], got"):
        losses.squared_error(jnp.zeros((4, 3)), labels)


def test_probabilities_must_be_of_all_classes():
    with pytest.raises(ValueError, match="labels hold probabilities of 2 classes, the output has 3"):
        losses.rate_mse(jnp.zeros((1, 4, 3)), jnp.ones((4, 2)))


class Output(NamedTuple):
    logits: jax.Array
    potentials: jax.Array


OUTPUT = Output(jnp.zeros((4, 3)), jnp.zeros((2, 4, 3)))


@pytest.mark.parametrize("name", losses.LOSSES)
@pytest.mark.parametrize("labels", [[1, 2, 3, 1], [0, -1, 0, 0]])
def test_labels_outside_the_classes_are_refused(name, labels):
    """Labels from 1 on were trained as a target of zeros; only eagerly, since traced labels are not known."""
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\), the classes of the output, got .*start at 0"):
        losses.LOSSES[name].function(OUTPUT, jnp.asarray(labels))
    assert jnp.isfinite(jax.jit(losses.LOSSES[name].function)(OUTPUT, jnp.asarray(labels)))


@pytest.mark.parametrize("name", losses.LOSSES)
def test_a_loss_is_put_together_from_parts_of_a_batch_as_it_says(name):
    loss = losses.LOSSES[name]
    potentials = jax.random.normal(jax.random.key(0), (3, 4, 3))
    whole, *parts = (
        loss.function(Output(potentials[-1, part], potentials[:, part]), LABELS[part])
        for part in (slice(4), slice(2), slice(2, 4))
    )
    together = sum(parts) / 2 if loss.reduction == "mean" else sum(parts)
    assert float(together) == pytest.approx(float(whole), rel=1e-6)
    assert loss.readout in models.READOUTS


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("name", losses.LOSSES)
def test_narrow_outputs_are_added_up_in_float32(name, dtype):
    """The same as of the same numbers in float32; 2,000 steps of which 257 fire are no 256."""
    spikes = (jnp.arange(2000)[:, None, None] < jnp.asarray([[[257, 3, 900]]])).astype(dtype).repeat(4, 1)
    narrow = Output(spikes.mean(0) * 3, spikes)
    wide = Output(*(x.astype(jnp.float32) for x in narrow))
    value = losses.LOSSES[name].function(narrow, LABELS)
    assert value.dtype == jnp.float32
    assert float(value) == float(losses.LOSSES[name].function(wide, LABELS))


@pytest.mark.parametrize("name", losses.LOSSES)
def test_probabilities_are_taken_as_class_numbers_are(name):
    potentials = jnp.round(jax.random.uniform(jax.random.key(0), (3, 4, 3)))
    output, function = Output(potentials[-1], potentials), losses.LOSSES[name].function
    assert float(function(output, jax.nn.one_hot(LABELS, 3))) == float(function(output, LABELS)) > 0


def test_smoothed_labels():
    expected = np.asarray([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.1, 0.8, 0.1]])
    for labels in (LABELS, jax.nn.one_hot(LABELS, 3)):
        np.testing.assert_allclose(losses.smooth(labels, 0.3, 3), expected, rtol=1e-6)


def test_tet_is_a_mixture_of_cross_entropy_and_distance(x64):
    potentials = jax.random.normal(jax.random.key(0), (5, 4, 3), jnp.float64)
    log = np.asarray(potentials) - np.log(np.exp(potentials).sum(-1, keepdims=True))
    entropy = -np.mean([log[:, b, label] for b, label in enumerate(LABELS)])
    expected = 0.7 * entropy + 0.3 * np.mean((np.asarray(potentials) - 0.5) ** 2)
    np.testing.assert_allclose(losses.tet(potentials, LABELS, tet_lambda=0.3, tet_target=0.5), expected, rtol=1e-12)


def test_first_spikes_and_their_gradient():
    """Neurons that fire twice, once and never: the gradient is -1 at the first spike, or at the last step."""
    spikes = jnp.asarray([[0, 0, 0], [1, 0, 0], [0, 0, 0], [1, 1, 0]], jnp.float32)[:, None]
    times, back = jax.vjp(losses.first_spike_times, spikes)
    assert times.tolist() == [[1, 3, 3]]
    (slopes,) = back(jnp.asarray([[1.0, 2.0, 3.0]]))
    assert slopes[:, 0].tolist() == [[0, 0, 0], [-1, 0, 0], [0, 0, 0], [0, -2, -3]]


def test_rates_outside_their_bounds_are_penalised(x64):
    """Two layers, of two neurons and of maps; bounds that meet are a target."""
    counts = {"fc": jnp.asarray([[0.0, 5.0], [2.0, 10.0]]), "conv": jnp.full((2, 1, 1, 4), 3.0)}
    penalty = losses.rate_penalty(counts, 10, lower=0.1, upper=0.4)
    np.testing.assert_allclose(penalty, [(0.1**2 + 0.1**2) / 2, 0.6**2 / 2], rtol=1e-12)
    target = losses.rate_penalty(counts, 10, lower=0.2, upper=0.2)
    np.testing.assert_allclose(target, [(0.2**2 + 0.3**2) / 2 + 0.1**2, 0.8**2 / 2 + 0.1**2], rtol=1e-12)
    with pytest.raises(ValueError, match="no spikes were counted: call the network with count=True"):
        losses.rate_penalty({}, 10)
