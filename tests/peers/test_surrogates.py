"""Derivatives of our surrogates, by the table of docs/equivalence.md, and those of other libraries."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import SURROGATES
from tests.peers import recorded

OURS = {
    "PiecewiseQuadratic": lambda alpha: ("triangle", alpha, {}),
    "PiecewiseExp": lambda alpha: ("piecewise_exp", alpha, {}),
    "Sigmoid": lambda alpha: ("sigmoid", alpha, {}),
    "SoftSign": lambda alpha: ("soft_sign", alpha, {}),
    "SuperSpike": lambda alpha: ("super_spike", alpha, {}),
    "ATan": lambda alpha: ("arctan", alpha, {}),
    "NonzeroSignLogAbs": lambda alpha: ("sign_log_abs", alpha, {}),
    "Erf": lambda alpha: ("gaussian", math.sqrt(2) * alpha, {}),
    "PiecewiseLeakyReLU": lambda w, c: ("piecewise_leaky_relu", 1 / w, {"leak": c}),
    "SquarewaveFourierSeries": lambda n, T_period: ("squarewave_fourier", 1 / T_period, {"terms": n - 1}),
    "S2NN": lambda alpha, beta: ("s2nn", alpha, {"beta": beta}),
    "QPseudoSpike": lambda alpha: ("q_pseudo_spike", 2 / (alpha - 1), {"power": alpha}),
    "LeakyKReLU": lambda leak, k: ("leaky_k_relu", k, {"leak": leak}),
    "FakeNumericalGradient": lambda alpha: ("fake_numerical", alpha, {}),
    "LogTailedReLU": lambda alpha: ("log_tailed_relu", 1, {"leak": alpha}),
    "DeterministicPass": lambda: ("straight_through", 1, {}),
    "Rect": lambda alpha: ("boxcar", alpha, {}),
    "straight_through_estimator": lambda: ("straight_through", 1, {}),
    "fast_sigmoid": lambda slope: ("fast_sigmoid", slope, {}),
    "atan": lambda alpha: ("arctan", alpha, {}),
    "sigmoid": lambda slope: ("sigmoid", slope, {}),
    "heaviside": lambda: ("leaky_k_relu", 1, {}),
    "super": lambda alpha: ("super_spike", 1, {}),
    "triangle": lambda alpha: ("triangle", 1, {"height": alpha}),
    "tanh": lambda alpha=None, k=None: ("sigmoid", 2 * (alpha or k), {"height": 2 / (alpha or k)}),
    "circ": lambda alpha: ("circ", 1 / alpha, {}),
    "heavi_erfc": lambda alpha: ("gaussian", math.sqrt(2) * alpha, {"height": 2 / alpha}),
    "boxcar": lambda width, height: ("boxcar", 1 / width, {"height": height * width}),
    "triangular": lambda k: ("triangle", k, {"height": 1 / k}),
    "arctan": lambda k: ("arctan", 2 * k, {"height": 1 / (k * math.pi)}),
    "superspike": lambda k: ("fast_sigmoid", k, {}),
}


@pytest.mark.parametrize("case", recorded.cases("surrogate"), ids=str)
def test_derivatives_are_theirs(case, x64):
    name, slope, more = OURS[case.name](**case.arguments)
    spike = partial(SURROGATES[name], slope=slope, **more)
    found = jax.vmap(jax.grad(spike))(jnp.asarray(case.arrays["points"]))
    single = case.arrays["d_x"].dtype == np.float32 or case.name == "heavi_erfc"  # whose root of pi is float32
    rtol = 1e-6 if single else 1e-10
    np.testing.assert_allclose(found, case.arrays["d_x"], rtol=rtol, atol=1e-14)


def test_every_surrogate_is_somewhere_else_too():
    """So that each of ours is compared with another's."""
    compared = {OURS[case.name](**case.arguments)[0] for case in recorded.cases("surrogate")}
    assert compared == set(SURROGATES)
