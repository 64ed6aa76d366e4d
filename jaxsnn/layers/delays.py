"""Dense synapses with learned delays.

    I_t[j] = sum_i sum_d w_ij phi(d - p_ij) x_(t-d)[i]

Each synapse has a delay p in time steps, a trained number. In training phi spreads it over neighbouring steps, which
gives it a gradient: a Gaussian of width sigma whose weights sum to 1. Evaluation rounds the delay to a whole step.

Source: Hammouamri et al. (2024), ICLR, arXiv 2306.17670 (dilated convolutions with learnable spacings).
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx

from jaxsnn.layers.neurons import Constant
from jaxsnn.layers.synapses import NO_PADS, normal_kernel
from jaxsnn.storage import Storage
from jaxsnn.synapses import Connection
from jaxsnn.typing import Array, DTypeLike, Shape, accumulator


class DelayedDense(nnx.Module):
    """Dense synapses, each with a learned delay: `[T, B, ...]`, flattened, to `[T, B, features]`.

    The parameter `delay` `[inputs, features]` is in time steps and starts uniform in [0, `longest`]; values outside act
    as the ends of that range. `sigma` is part of the model's state: lower it during training, as the authors do. The
    inputs of the last `longest` steps go on to the next chunk of time.

    Args:
      inputs, features: of input and output.
      longest: largest delay in time steps.
      rngs: for weights and delays.
      sigma: width of the Gaussian in time steps.
      init_scale, param_dtype: as in `Conv`.

    Raises:
      ValueError: if `longest` or `sigma` is not positive.
    """

    def __init__(
        self,
        inputs: int,
        features: int,
        longest: int,
        *,
        rngs: nnx.Rngs,
        sigma: float = 0.5,
        init_scale: float = 2.0,
        param_dtype: DTypeLike = jnp.float32,
    ):
        if longest < 1 or not sigma > 0:
            raise ValueError(f"delays need longest >= 1 and sigma > 0 time steps, got {longest} and {sigma}")
        wide = accumulator(param_dtype)
        self.kernel = normal_kernel(rngs, (inputs, features), init_scale, param_dtype)
        start = jax.random.uniform(rngs.params(), (inputs, features), wide, 0.0, longest)
        self.delay, self.sigma, self.longest = nnx.Param(start), Constant(jnp.asarray(sigma, wide)), longest

    def taps(self, *, train: bool) -> Array:
        """The kernel over time, `[longest + 1, inputs, features]`: tap d acts on the input of d steps before."""
        kernel = self.kernel[...]
        delay = jnp.clip(self.delay[...], 0, self.longest)
        steps = jnp.arange(self.longest + 1, dtype=delay.dtype).reshape(-1, 1, 1)
        if not train:
            return jnp.where(steps == jnp.round(delay)[None], kernel[None], jnp.zeros_like(kernel)[None])
        shares = jax.nn.softmax(-0.5 * jnp.square((steps - delay[None]) / self.sigma[...]), 0)
        return (shares * kernel[None]).astype(kernel.dtype)

    def __call__(self, x: Array, *, storage: Storage = "floats", mask: Array | None = None) -> Array:
        return self.over_time(x, None, mask=mask, train=False)[0]

    def over_time(
        self, x: Array, past: Array | None, *, mask: Array | None = None, train: bool = False
    ) -> tuple[Array, Array]:
        """Currents, and the inputs that later steps need.

        Args:
          x: `[T, B, ...]`.
          past: inputs of the `longest` steps before, `[longest, B, inputs]`; None for zeros.
          mask: `[B, ...]`, dropout of the layer before.
          train: spread each delay over neighbouring steps.
        """
        if mask is not None:
            x = x * mask[None].astype(x.dtype)
        x = x.reshape(*x.shape[:2], -1)
        past = jnp.zeros((self.longest, *x.shape[1:]), x.dtype) if past is None else past
        x = jnp.concatenate([past, x])
        currents = jax.lax.conv_general_dilated(
            x.swapaxes(0, 1),
            self.taps(train=train)[::-1].astype(x.dtype),
            (1,),
            [(0, 0)],
            dimension_numbers=("NWC", "WIO", "NWC"),
            preferred_element_type=accumulator(x.dtype),
        )
        return currents.swapaxes(0, 1).astype(x.dtype), x[-self.longest :]

    def connection(self, name: str, source: str, target: str, input_shape: Shape) -> Connection:
        kernel = self.kernel.get_value().shape
        if math.prod(input_shape) != kernel[0]:
            raise ValueError(
                f"{name} has weights for {kernel[0]} inputs, but {source} sends {list(input_shape)}, "
                f"{math.prod(input_shape)} numbers"
            )
        return Connection(name, source, target, "dense", kernel, 1, NO_PADS, input_shape, kernel[1:])
