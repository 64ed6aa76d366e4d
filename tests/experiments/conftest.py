import jax
import pytest


@pytest.fixture(autouse=True)
def optax_promotes():
    """Optax's schedules rely on ordinary dtype promotion."""
    with jax.numpy_dtype_promotion("standard"):
        yield
