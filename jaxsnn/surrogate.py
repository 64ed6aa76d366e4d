"""Surrogate gradients: a Heaviside step forward, a pseudo-derivative backward.

Forward, every surrogate is the same strict step `1[x > 0]` of `x = potential - threshold`. Backward, the derivative of
a smooth (or piecewise smooth) *primitive* stands in for the Dirac delta (Neftci et al. 2019, arXiv 1901.09948). There
is one `custom_vjp`, in `heaviside.py`; the derivatives are a table, `SURROGATES`. Below, k is the slope.

    >>> import jax, functools
    >>> spike = functools.partial(arctan, slope=4.0)
    >>> float(spike(0.1)), float(jax.grad(spike)(0.0))
    (1.0, 2.0)

Not here, since they are no steps: SpikingJelly's PoissonPass (random spikes) and MultiLevelSpikeCount (counts).
docs/equivalence.md has the names of other libraries.
"""

import math

import jax
import jax.numpy as jnp

from jaxsnn.heaviside import Surrogate
from jaxsnn.typing import Array


def _boxcar_derivative(x: Array, slope: Array) -> Array:
    return jnp.where(jnp.abs(x) * slope < 0.5, slope, jnp.zeros_like(slope))


def _triangle_primitive(x: Array, slope: Array) -> Array:
    y = jnp.clip(slope * x, -1, 1)
    return 0.5 + y - 0.5 * y * jnp.abs(y)


def _fast_sigmoid_primitive(x: Array, slope: Array) -> Array:
    return x / (1 + slope * jnp.abs(x))


def _fast_sigmoid_derivative(x: Array, slope: Array) -> Array:
    return 1 / jnp.square(1 + slope * jnp.abs(x))


def _arctan_primitive(x: Array, slope: Array) -> Array:
    return jnp.arctan(0.5 * math.pi * slope * x) / math.pi + 0.5


def _arctan_derivative(x: Array, slope: Array) -> Array:
    return 0.5 * slope / (1 + jnp.square(0.5 * math.pi * slope * x))


def _sigmoid_derivative(x: Array, slope: Array) -> Array:
    y = jax.nn.sigmoid(slope * x)
    return slope * y * (1 - y)


def _gaussian_primitive(x: Array, slope: Array) -> Array:
    return 0.5 * (1 + jax.lax.erf(slope * x / math.sqrt(2.0)))


def _gaussian_derivative(x: Array, slope: Array) -> Array:
    return slope / math.sqrt(2 * math.pi) * jnp.exp(-0.5 * jnp.square(slope * x))


def _piecewise_leaky_relu_primitive(x: Array, slope: Array, *, leak: float = 0.01) -> Array:
    y = slope * x
    inside = jnp.clip(y, -1, 1)
    return 0.5 + 0.5 * inside + leak * (y - inside) / slope


def _piecewise_leaky_relu_derivative(x: Array, slope: Array, *, leak: float = 0.01) -> Array:
    return jnp.where(jnp.abs(slope * x) < 1, 0.5 * slope, leak)


def _fourier_primitive(x: Array, slope: Array, *, terms: int = 1) -> Array:
    waves = [jnp.sin(2 * math.pi * n * slope * x) / n for n in range(1, 2 * terms, 2)]
    return 0.5 + 2 / math.pi * sum(waves, jnp.zeros_like(x))


def _fourier_derivative(x: Array, slope: Array, *, terms: int = 1) -> Array:
    waves = [jnp.cos(2 * math.pi * n * slope * x) for n in range(1, 2 * terms, 2)]
    return 4 * slope * sum(waves, jnp.zeros_like(x))


def _s2nn_primitive(x: Array, slope: Array, *, beta: float = 1.0) -> Array:
    return jnp.where(x < 0, jax.nn.sigmoid(slope * x), 0.5 + beta * jnp.log1p(jnp.maximum(x, 0)))


def _s2nn_derivative(x: Array, slope: Array, *, beta: float = 1.0) -> Array:
    return jnp.where(x < 0, _sigmoid_derivative(x, slope), beta / (jnp.maximum(x, 0) + 1))


def _q_primitive(x: Array, slope: Array, *, power: float = 2.0) -> Array:
    return jnp.sign(x) * (1 - (1 + slope * jnp.abs(x)) ** (1 - power)) / (slope * (power - 1))


def _q_derivative(x: Array, slope: Array, *, power: float = 2.0) -> Array:
    return (1 + slope * jnp.abs(x)) ** -power


def _leaky_relu_primitive(x: Array, slope: Array, *, leak: float = 0.0) -> Array:
    return jnp.where(x > 0, slope, leak) * x


def _leaky_relu_derivative(x: Array, slope: Array, *, leak: float = 0.0) -> Array:
    return jnp.where(x > 0, slope, leak)


def _fake_numerical_primitive(x: Array, slope: Array) -> Array:
    y = slope * jnp.abs(x)
    return jnp.sign(x) * jnp.where(y < 1, y, 1 + jnp.log(jnp.maximum(y, 1)))


def _log_tailed_relu_primitive(x: Array, slope: Array, *, leak: float = 0.0) -> Array:
    y = slope * x
    return jnp.where(y > 1, 1 + jnp.log(jnp.maximum(y, 1)), jnp.where(y > 0, y, leak * y))


def _log_tailed_relu_derivative(x: Array, slope: Array, *, leak: float = 0.0) -> Array:
    return slope * jnp.where(x > 0, 1 / jnp.maximum(slope * x, 1), leak)


straight_through = Surrogate("straight_through", lambda x, k: k * x, lambda x, k: k * jnp.ones_like(x), 1.0)
"""Derivative `slope` everywhere (Bengio et al. 2013, arXiv 1308.3432); primitive `slope x`."""

boxcar = Surrogate("boxcar", lambda x, k: jnp.clip(k * x + 0.5, 0, 1), _boxcar_derivative, 1.0)
"""Derivative `slope` within `|x| < 1 / (2 slope)`, else 0; primitive `clip(slope x + 1/2, 0, 1)`."""

triangle = Surrogate("triangle", _triangle_primitive, lambda x, k: k * jnp.maximum(1 - jnp.abs(k * x), 0), 1.0)
"""Derivative `slope max(0, 1 - |slope x|)`, the triangle of Bellec et al. 2018 (arXiv 1803.09574)."""

fast_sigmoid = Surrogate("fast_sigmoid", _fast_sigmoid_primitive, _fast_sigmoid_derivative, 25.0)
"""Derivative `1 / (1 + slope |x|)^2` of `x / (1 + slope |x|)`: SuperSpike (Zenke & Ganguli 2018, arXiv 1705.11146)."""

arctan = Surrogate("arctan", _arctan_primitive, _arctan_derivative, 2.0)
"""Derivative `slope/2 / (1 + (pi/2 slope x)^2)` (Fang et al. 2021, arXiv 2007.05785)."""

sigmoid = Surrogate("sigmoid", lambda x, k: jax.nn.sigmoid(k * x), _sigmoid_derivative, 4.0)
"""Derivative of the logistic function `1 / (1 + exp(-slope x))`."""

gaussian = Surrogate("gaussian", _gaussian_primitive, _gaussian_derivative, 2.5)
"""Gaussian density with standard deviation `1 / slope`; primitive its distribution function."""

piecewise_exp = Surrogate(
    "piecewise_exp",
    lambda x, k: 0.5 - 0.5 * jnp.sign(x) * jnp.expm1(-k * jnp.abs(x)),
    lambda x, k: 0.5 * k * jnp.exp(-k * jnp.abs(x)),
    1.0,
)
"""Derivative `k/2 exp(-k |x|)` (Shrestha & Orchard 2018, SLAYER, arXiv 1810.08646)."""

soft_sign = Surrogate(
    "soft_sign",
    lambda x, k: 0.5 + 0.5 * jax.nn.soft_sign(k * x),
    lambda x, k: 0.5 * k * _fast_sigmoid_derivative(x, k),
    2.0,
)
"""Derivative `k/2 / (1 + k |x|)^2`, that of `fast_sigmoid` at the height of a primitive from 0 to 1."""

super_spike = Surrogate(
    "super_spike",
    lambda x, k: k * jax.nn.soft_sign(x),
    lambda x, k: k / jnp.square(1 + jnp.abs(x)),
    1.0,
)
"""Derivative `k / (1 + |x|)^2`: here k is the height, as in SpikingJelly's SuperSpike."""

sign_log_abs = Surrogate(
    "sign_log_abs",
    lambda x, k: jnp.sign(x) * jnp.log1p(k * jnp.abs(x)),
    lambda x, k: k / (1 + k * jnp.abs(x)),
    1.0,
)
"""Derivative `k / (1 + k |x|)`, whose tails are heavy: SpikingJelly's NonzeroSignLogAbs."""

piecewise_leaky_relu = Surrogate(
    "piecewise_leaky_relu", _piecewise_leaky_relu_primitive, _piecewise_leaky_relu_derivative, 1.0
)
"""Derivative `k/2` where `|x| < 1 / k`, else `leak`, 0.01."""

squarewave_fourier = Surrogate("squarewave_fourier", _fourier_primitive, _fourier_derivative, 0.125)
"""Derivative `4 k (cos(w x) + cos(3 w x) + ...)` with `w = 2 pi k`: the first `terms`, 1, of a square wave of period
`1 / k`."""

s2nn = Surrogate("s2nn", _s2nn_primitive, _s2nn_derivative, 4.0)
"""Derivative of the logistic function below the threshold, `beta / (1 + x)` above it (Suetake et al. 2022, S2NN,
arXiv 2201.10879)."""

q_pseudo_spike = Surrogate("q_pseudo_spike", _q_primitive, _q_derivative, 2.0)
"""Derivative `(1 + k |x|)^-power`, power 2 (Herranz-Celotti & Rouat 2022, arXiv 2202.00282, where `k = 2 / (power -
1)`)."""

leaky_k_relu = Surrogate("leaky_k_relu", _leaky_relu_primitive, _leaky_relu_derivative, 1.0)
"""Derivative k above the threshold, `leak`, 0, below it: without a leak silent neurons get no gradient."""

fake_numerical = Surrogate(
    "fake_numerical", _fake_numerical_primitive, lambda x, k: k / jnp.maximum(k * jnp.abs(x), 1), 0.3
)
"""Derivative `1 / |x|`, at most k: the slope of the chord from 0 to x of a step by 1."""

log_tailed_relu = Surrogate("log_tailed_relu", _log_tailed_relu_primitive, _log_tailed_relu_derivative, 1.0)
"""Derivative k where `0 < k x <= 1`, `1 / x` above, `leak k`, 0, below (Cai et al. 2017, arXiv 1702.00953)."""

circ = Surrogate("circ", lambda x, k: x / jnp.sqrt(1 + jnp.square(k * x)), lambda x, k: (1 + (k * x) ** 2) ** -1.5, 1.0)
"""Derivative `(1 + (k x)^2)^(-3/2)`: Norse's circ."""

SURROGATES: dict[str, Surrogate] = {s.name: s for s in list(globals().values()) if isinstance(s, Surrogate)}
"""Name to surrogate: those above."""
