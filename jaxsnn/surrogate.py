"""Surrogate gradients: a Heaviside step forward, a pseudo-derivative backward.

Forward, every surrogate is the same strict step `1[x > 0]` of `x = potential - threshold`. Backward, the derivative of
a smooth (or piecewise smooth) *primitive* stands in for the Dirac delta (Neftci et al. 2019, arXiv 1901.09948). There
is one `custom_vjp`; the derivatives are a table, `SURROGATES`.

    >>> import jax, functools
    >>> spike = functools.partial(arctan, slope=4.0)
    >>> float(spike(0.1)), float(jax.grad(spike)(0.0))
    (1.0, 2.0)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from jaxsnn.typing import Array, ArrayLike

Derivative = Callable[[Array, Array], Array]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _heaviside(derivative: Derivative, x: Array, slope: Array) -> Array:
    return (x > 0).astype(x.dtype)


def _heaviside_forward(derivative: Derivative, x: Array, slope: Array) -> tuple[Array, tuple[Array, Array]]:
    return _heaviside(derivative, x, slope), (x, slope)


def _heaviside_backward(derivative: Derivative, residuals: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, slope = residuals
    return g * derivative(x, slope), jnp.zeros_like(slope)


_heaviside.defvjp(_heaviside_forward, _heaviside_backward)


@dataclass(frozen=True)
class Surrogate:
    """A spike function: Heaviside forward, `derivative` backward.

    Attributes:
      name: key in `SURROGATES`.
      primitive: `(x, slope) -> y`, the function whose derivative is used.
      derivative: `(x, slope) -> dy/dx`.
      slope: default steepness, in 1 / units of the membrane potential.
    """

    name: str
    primitive: Derivative
    derivative: Derivative
    slope: float

    def __call__(self, x: ArrayLike, slope: ArrayLike | None = None) -> Array:
        """Spikes in {0, 1} where `x > 0`, in the shape and dtype of `x`.

        Args:
          x: potential minus threshold, any shape, floating.
          slope: steepness of the pseudo-derivative, scalar or broadcastable to `x`; an ordinary array that may be
            traced and vmapped (its own gradient is zero). `None` takes the surrogate's default.

        Raises:
          TypeError: if `x` is not floating.
        """
        x = jnp.asarray(x)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise TypeError(
                f"surrogate {self.name!r} needs a floating potential, got dtype {x.dtype}; "
                "convert with x.astype('float32')"
            )
        return _heaviside(self.derivative, x, jnp.asarray(self.slope if slope is None else slope, x.dtype))


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

SURROGATES: dict[str, Surrogate] = {
    s.name: s for s in (straight_through, boxcar, triangle, fast_sigmoid, arctan, sigmoid, gaussian)
}
