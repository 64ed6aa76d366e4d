from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxsnn import losses

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
    assert loss.readout in ("last", "mean")


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
