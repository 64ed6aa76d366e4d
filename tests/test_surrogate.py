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


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("s2nn", 0.0, 1.0),
        ("leaky_k_relu", 0.0, 0.0),
        ("boxcar", 0.25, 0.0),
        ("boxcar", -0.25, 0.0),
        ("boxcar", 0.24, 2.0),
    ],
)
def test_derivative_at_a_kink(name, x, expected):
    """S2NN: beta / (x + 1) from the threshold on. Leaky k-ReLU: the slope above it. Boxcar: within its width."""
    assert SURROGATES[name].derivative(jnp.float32(x), jnp.float32(2.0)) == expected


@every
def test_slope_is_a_traced_argument_without_gradient(spike):
    slopes, sides = jnp.asarray([0.5, 2.0, 8.0]), jnp.asarray([-0.03, 0.03])
    gradients = jax.jit(jax.vmap(jax.vmap(jax.grad(spike), (0, None)), (None, 0)))(sides, slopes)
    assert len(set(map(tuple, np.asarray(gradients)))) == 3
    assert jax.grad(spike, argnums=1)(jnp.float32(0.1), jnp.float32(2.0)) == 0


# The slopes at which the sources of the docstrings, or the libraries that spread them, use each: SuperSpike's 25 as in
# snnTorch, arctan's 2 and the logistic function's 4 as in SpikingJelly, a Gaussian of standard deviation 0.4. The
# rest are compared with SpikingJelly's and Norse's own in tests/peers; their slopes are SLOPES.
DEFAULTS = {
    "straight_through": lambda x: 1.0,
    "boxcar": lambda x: float(abs(x) < 0.5),
    "triangle": lambda x: max(0.0, 1 - abs(x)),
    "fast_sigmoid": lambda x: 1 / (1 + 25 * abs(x)) ** 2,
    "arctan": lambda x: 1 / (1 + (math.pi * x) ** 2),
    "sigmoid": lambda x: 1 / math.cosh(2 * x) ** 2,
    "gaussian": lambda x: math.exp(-0.5 * (x / 0.4) ** 2) / (0.4 * math.sqrt(2 * math.pi)),
}


SLOPES = {
    **{"piecewise_exp": 1, "soft_sign": 2, "super_spike": 1, "sign_log_abs": 1, "piecewise_leaky_relu": 1, "s2nn": 4},
    **{"squarewave_fourier": 1 / 8, "q_pseudo_spike": 2, "leaky_k_relu": 1, "fake_numerical": 0.3},
    **{"log_tailed_relu": 1, "circ": 1},
}


@every
def test_default_slope_and_partial(spike):
    x = np.asarray([-1.2, -0.45, 0.0, 0.01, 0.3, 0.7], np.float32)
    found = jax.vmap(jax.grad(spike))(x)
    if spike.name in DEFAULTS:
        np.testing.assert_allclose(found, [DEFAULTS[spike.name](float(value)) for value in x], rtol=1e-5)
    else:
        assert spike.slope == SLOPES[spike.name]
    np.testing.assert_array_equal(found, jax.vmap(jax.grad(functools.partial(spike, slope=spike.slope)))(x))


@every
def test_inclusive_fires_at_the_threshold_and_height_scales(spike):
    x = jnp.asarray([-0.7, -0.0, 0.0, 0.2])
    np.testing.assert_array_equal(spike(x, inclusive=True), [0, 1, 1, 1])
    grad = jax.vmap(jax.grad(spike))
    np.testing.assert_array_equal(jax.vmap(jax.grad(functools.partial(spike, inclusive=True)))(x), grad(x))
    np.testing.assert_allclose(jax.vmap(jax.grad(functools.partial(spike, height=0.3)))(x), 0.3 * grad(x), rtol=1e-6)


SECOND = {
    "piecewise_leaky_relu": {"leak": 0.2},
    "squarewave_fourier": {"terms": 3},
    "s2nn": {"beta": 0.4},
    "q_pseudo_spike": {"power": 3.5},
    "leaky_k_relu": {"leak": 0.3},
    "log_tailed_relu": {"leak": 0.3},
}


@pytest.mark.parametrize("name", SECOND)
def test_second_numbers_belong_to_primitive_and_derivative_alike(name, x64):
    spike, x, k, h = SURROGATES[name], jnp.asarray(GRID, jnp.float64), jnp.float64(1.3), 1e-6
    primitive = functools.partial(spike.primitive, **SECOND[name])
    slopes = (primitive(x + h, k) - primitive(x - h, k)) / (2 * h)
    found = jax.vmap(jax.grad(lambda x: spike(x, k, **SECOND[name])))(x)
    np.testing.assert_allclose(found, slopes, atol=1e-5)
    assert np.abs(found - jax.vmap(jax.grad(lambda x: spike(x, k)))(x)).max() > 1e-3


def test_unknown_numbers_are_refused():
    with pytest.raises(TypeError, match=r"surrogate 's2nn' has no leak: it has slope, height, beta"):
        SURROGATES["s2nn"](0.1, leak=0.1)
    with pytest.raises(TypeError, match=r"surrogate 'arctan' has no leak: it has slope, height"):
        SURROGATES["arctan"](0.1, leak=0.1)


def test_integer_potential_is_refused():
    with pytest.raises(TypeError, match=r"needs a floating potential, got dtype int32; convert"):
        SURROGATES["arctan"](jnp.arange(3))
