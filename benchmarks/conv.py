"""Is our convolution faster than XLA's on this machine? (W1's second layer: 5x5, 20 to 50 channels, 3,200 of 14x14)

    python -m benchmarks.conv

Prints the smallest of 5 times in milliseconds, forward and for both gradients; nothing is written.
"""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxsnn import synapses


def smallest(function: Callable, *args: jax.Array) -> float:
    """Milliseconds of the fastest of 5 calls, after an untimed one."""
    compiled = jax.jit(function)
    jax.block_until_ready(compiled(*args))
    times = []
    for _ in range(5):
        began = time.perf_counter()
        jax.block_until_ready(compiled(*args))
        times.append(1e3 * (time.perf_counter() - began))
    return min(times)


def main() -> None:
    """Times both and prints a table."""
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.bernoulli(keys[0], 0.2, (50, 64, 14, 14, 20)).astype(jnp.float32)
    kernel = jax.random.normal(keys[1], (5, 5, 20, 50))
    g = jax.random.normal(keys[2], (50, 64, 14, 14, 50))

    def xla(x: jax.Array, kernel: jax.Array) -> jax.Array:
        merged = x.reshape(-1, *x.shape[2:])
        y = jax.lax.conv_general_dilated(merged, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return y.reshape(*x.shape[:2], *y.shape[1:])

    print(f"{jax.default_backend()}, jax {jax.__version__}\n{'':8}{'forward':>10}{'weights':>10}{'input':>10}  [ms]")
    for name, conv in (("XLA", xla), ("ours", synapses.conv)):
        times = (
            smallest(conv, x, kernel),
            smallest(lambda x, kernel, g, conv=conv: jax.vjp(lambda k: conv(x, k), kernel)[1](g), x, kernel, g),
            smallest(lambda x, kernel, g, conv=conv: jax.vjp(lambda x: conv(x, kernel), x)[1](g), x, kernel, g),
        )
        print(f"{name:8}" + "".join(f"{t:10.0f}" for t in times))


if __name__ == "__main__":
    main()
