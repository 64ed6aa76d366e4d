"""Is our convolution faster than XLA's on this machine? (W1's second layer: 5x5, 20 to 50 channels, 3,200 of 14x14)

    python -m benchmarks.conv

Prints the smallest of 5 times in milliseconds, forward and for both gradients, of XLA's, of ours, and of ours with one
output column per product instead of two; below, how fast products of 50 and 100 columns are, and a large square one.
Nothing is written.
"""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxsnn import synapses
from jaxsnn.synapses import winograd


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
    few = winograd.FEW
    for name, conv, winograd.FEW in (("XLA", xla, few), ("ours", synapses.conv, few), ("1 column", synapses.conv, 0)):
        times = (
            smallest(conv, x, kernel),
            smallest(lambda x, kernel, g, conv=conv: jax.vjp(lambda k: conv(x, k), kernel)[1](g), x, kernel, g),
            smallest(lambda x, kernel, g, conv=conv: jax.vjp(lambda x: conv(x, kernel), x)[1](g), x, kernel, g),
        )
        print(f"{name:8}" + "".join(f"{t:10.0f}" for t in times))
    for rows, inner, columns in ((18816, 100, 50), (9408, 120, 100), (2048, 2048, 2048)):
        a, b = jnp.ones((rows, inner)), jnp.ones((inner, columns))
        gigaflops = 2e-6 * rows * inner * columns / smallest(jnp.matmul, a, b)
        print(f"product {rows} x {inner} x {columns}: {gigaflops:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
