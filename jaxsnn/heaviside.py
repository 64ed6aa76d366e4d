"""A spike function as a record: the step forward, a pseudo-derivative backward; its members are in `surrogate.py`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from jaxsnn.typing import Array, ArrayLike

Derivative = Callable[..., Array]


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _heaviside(derivative: Derivative, inclusive: bool, x: Array, slope: Array) -> Array:
    return fires(x, inclusive=inclusive)


def fires(x: Array, *, inclusive: bool = False) -> Array:
    """The step of every surrogate without its pseudo-derivative: ones where `x > 0`, or `x >= 0`, else zeros."""
    return ((x >= 0) if inclusive else (x > 0)).astype(x.dtype)


def _heaviside_forward(
    derivative: Derivative, inclusive: bool, x: Array, slope: Array
) -> tuple[Array, tuple[Array, Array]]:
    return fires(x, inclusive=inclusive), (x, slope)


def _heaviside_backward(
    derivative: Derivative, inclusive: bool, residuals: tuple[Array, Array], g: Array
) -> tuple[Array, Array]:
    x, slope = residuals
    return g * derivative(x, slope), jnp.zeros_like(slope)


_heaviside.defvjp(_heaviside_forward, _heaviside_backward)


@dataclass(frozen=True)
class Surrogate:
    """A spike function: Heaviside forward, `derivative` backward.

    Attributes:
      name: key in `SURROGATES`.
      primitive: `(x, slope, **more) -> y`, the function whose derivative is used.
      derivative: `(x, slope, **more) -> dy/dx`; `more` are further keywords with defaults, where it has any.
      slope: default steepness, in 1 / units of the membrane potential.
    """

    name: str
    primitive: Derivative
    derivative: Derivative
    slope: float

    @property
    def more(self) -> Mapping[str, float]:
        """Further numbers of the derivative, with their defaults."""
        return getattr(self.derivative, "__kwdefaults__", None) or {}

    def __call__(
        self,
        x: ArrayLike,
        slope: ArrayLike | None = None,
        *,
        inclusive: bool = False,
        height: float | None = None,
        **more: float,
    ) -> Array:
        """Spikes in {0, 1} where `x > 0`, in the shape and dtype of `x`.

        Args:
          x: potential minus threshold, any shape, floating.
          slope: steepness of the pseudo-derivative, scalar or broadcastable to `x`; an ordinary array that may be
            traced and vmapped (its own gradient is zero). `None` takes the surrogate's default.
          inclusive: spikes where `x >= 0`, as SpikingJelly fires.
          height: factor on the pseudo-derivative, e.g. the dampening 0.3 of Bellec et al. 2018; None for 1.
          more: further numbers of the derivative, e.g. `leak` of `piecewise_leaky_relu`.

        Raises:
          TypeError: if `x` is not floating, or the derivative has no such number.
        """
        x = jnp.asarray(x)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise TypeError(
                f"surrogate {self.name!r} needs a floating potential, got dtype {x.dtype}; "
                "convert with x.astype('float32')"
            )
        if unknown := sorted(set(more) - set(self.more)):
            known = ", ".join(("slope", "height", *self.more))
            raise TypeError(f"surrogate {self.name!r} has no {', '.join(unknown)}: it has {known}")
        derivative = partial(self.derivative, **more) if more else self.derivative
        if height is not None:
            derivative = partial(_scaled, derivative, height)
        return _heaviside(derivative, inclusive, x, jnp.asarray(self.slope if slope is None else slope, x.dtype))


def _scaled(derivative: Derivative, height: float, x: Array, slope: Array) -> Array:
    return height * derivative(x, slope)
