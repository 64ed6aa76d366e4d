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
    np.testing.assert_allclose(losses.potential_cross_entropy(potentials, LABELS), whole, rtol=1e-6)
    rates = optax.softmax_cross_entropy_with_integer_labels(potentials.mean(0), LABELS).mean()
    np.testing.assert_allclose(losses.rate_cross_entropy(potentials, LABELS), rates, rtol=1e-6)


@pytest.mark.parametrize("labels", [jnp.ones(4), jnp.ones((4, 3), jnp.int32)])
def test_labels_must_be_class_numbers(labels):
    with pytest.raises(ValueError, match=r"labels must be class numbers: integers of shape \[B\], got"):
        losses.squared_error(jnp.zeros((4, 3)), labels)
