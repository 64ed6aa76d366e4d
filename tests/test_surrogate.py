import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import SURROGATES

GRID = np.linspace(-2.03, 1.97, 81, dtype=np.float32)  # misses the kinks of boxcar and triangle
every = pytest.mark.parametrize("spike", SURROGATES.values(), ids=SURROGATES)


@every
@pytest.mark.parametrize("slope", [0.7, 3.0])
def test_backward_is_the_derivative_of_the_primitive(spike, slope):
    slopes = jnp.full(GRID.shape, slope, jnp.float32)
    expected = jax.vmap(jax.grad(spike.primitive))(jnp.asarray(GRID), slopes)
    actual = jax.vmap(jax.grad(spike))(jnp.asarray(GRID), slopes)
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=1e-6)


@every
def test_derivative_is_that_of_finite_differences(spike, x64):
    x, k, h = jnp.asarray(GRID, jnp.float64), jnp.float64(1.3), 1e-6
    slope = (spike.primitive(x + h, k) - spike.primitive(x - h, k)) / (2 * h)
    np.testing.assert_allclose(spike.derivative(x, k), slope, atol=1e-5)


@every
def test_forward_is_a_strict_heaviside(spike):
    np.testing.assert_array_equal(spike(jnp.asarray([-1.0, -0.0, 0.0, 1e-6, 3.0])), [0, 0, 0, 1, 1])


@every
def test_slope_is_a_traced_argument_without_gradient(spike):
    slopes = jnp.asarray([0.5, 2.0, 8.0])
    gradients = jax.jit(jax.vmap(jax.grad(spike), (None, 0)))(jnp.float32(0.03), slopes)
    assert len(set(np.asarray(gradients))) == 3
    assert jax.grad(spike, argnums=1)(jnp.float32(0.1), jnp.float32(2.0)) == 0


# The slopes at which the sources of the docstrings, or the libraries that spread them, use each: SuperSpike's 25 as in
# snnTorch, arctan's 2 and the logistic function's 4 as in SpikingJelly, a Gaussian of standard deviation 0.4.
DEFAULTS = {
    "straight_through": lambda x: 1.0,
    "boxcar": lambda x: float(abs(x) < 0.5),
    "triangle": lambda x: max(0.0, 1 - abs(x)),
    "fast_sigmoid": lambda x: 1 / (1 + 25 * abs(x)) ** 2,
    "arctan": lambda x: 1 / (1 + (math.pi * x) ** 2),
    "sigmoid": lambda x: 1 / math.cosh(2 * x) ** 2,
    "gaussian": lambda x: math.exp(-0.5 * (x / 0.4) ** 2) / (0.4 * math.sqrt(2 * math.pi)),
}


@every
def test_default_slope_and_partial(spike):
    x = np.asarray([-1.2, -0.45, 0.0, 0.01, 0.3, 0.7], np.float32)
    found = jax.vmap(jax.grad(spike))(x)
    np.testing.assert_allclose(found, [DEFAULTS[spike.name](float(value)) for value in x], rtol=1e-5)
    np.testing.assert_array_equal(found, jax.vmap(jax.grad(functools.partial(spike, slope=spike.slope)))(x))
    assert set(DEFAULTS) == set(SURROGATES)


def test_integer_potential_is_refused():
    with pytest.raises(TypeError, match=r"needs a floating potential, got dtype int32; convert"):
        SURROGATES["arctan"](jnp.arange(3))
