"""Linear synapses over time: convolution, dense, average pool. No bias, no state.

They run on merged time and batch: `[T, B, ...]` as `[T * B, ...]`, one large product instead of T small ones.

The convolution carries its own gradients. On a CPU, XLA's convolution is slow where SNNs need it (its weight gradient
for 5x5 kernels on 14x14 maps takes 14 times as long as the product below), so there it is an im2col product in chunks
that stay in the cache; elsewhere it is `lax.conv_general_dilated`. The platform is chosen when the program is lowered.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from jaxsnn.typing import Array, Shape

CHUNK_BYTES = 2**22
"""Size of one im2col chunk on CPU; 1 to 8 MB measured equally good."""

Padding = str | int
Pads = tuple[tuple[int, int], tuple[int, int]]


def over_time(synapse: Callable[[Array], Array], x: Array) -> Array:
    """Applies a synapse on `[N, ...]` to `[T, B, ...]` with N = T * B: the one place where time and batch are merged.

    Time stays the slow axis, so merging copies nothing; inside `shard_map` (how this library runs data-parallel) it is
    local to a device. A batch sharded by `jit` alone would be gathered here.
    """
    y = synapse(x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]))
    return y.reshape(*x.shape[:2], *y.shape[1:])


def dense(x: Array, kernel: Array, *, spikes: bool = False) -> Array:
    """`[T, B, in]` times `[in, out]` is `[T, B, out]`.

    Args:
      x: spikes or currents.
      kernel: `[in, out]`.
      spikes: whether all of `x` are whole numbers in [-128, 127], as spikes are: then the backward pass keeps them in
        one byte each. (Where they are not, gradients would be wrong.)
    """
    return over_time(lambda x: _dense(spikes, x, kernel), x)


def average_pool(x: Array, window: int = 2) -> Array:
    """Mean over windows of `window` x `window`, without overlap: `[T, B, H, W, C]` to `[T, B, H/window, W/window, C]`.

    Raises:
      ValueError: if H or W is not a multiple of `window`.
    """
    *lead, height, width, channels = x.shape
    if height % window or width % window:
        raise ValueError(f"average pool of {window}x{window} needs H and W divisible by {window}, got {height}x{width}")
    return x.reshape(*lead, height // window, window, width // window, window, channels).mean((-4, -2))


def conv(x: Array, kernel: Array, *, stride: int = 1, padding: Padding = "SAME", spikes: bool = False) -> Array:
    """Two-dimensional convolution (cross-correlation) at every step: `[T, B, H, W, C]` to `[T, B, H', W', out]`.

    Args:
      x: spikes or currents.
      kernel: `[kh, kw, C, out]` (HWIO).
      stride: of the output grid, the same in both directions.
      padding: `"SAME"`, `"VALID"`, or the number of zero rows and columns on every side.
      spikes: as in `dense`.

    Raises:
      ValueError: if the channels of `x` and `kernel` disagree, or `padding` is unknown.
    """
    if x.shape[-1] != kernel.shape[2]:
        raise ValueError(f"conv: input has {x.shape[-1]} channels, the kernel {kernel.shape} expects {kernel.shape[2]}")
    pads = _pads(x.shape[-3:-1], kernel.shape[:2], stride, padding)
    return over_time(lambda x: _conv(stride, pads, spikes, x, kernel), x)


def _pads(size: Shape, window: Shape, stride: int, padding: Padding) -> Pads:
    if isinstance(padding, int):
        return ((padding, padding), (padding, padding))
    if padding not in ("SAME", "VALID"):
        raise ValueError(f"padding must be 'SAME', 'VALID' or a number of pixels, got {padding!r}")
    return tuple(lax.padtype_to_pads(size, window, (stride, stride), padding))  # type: ignore[return-value]


def _keep(spikes: bool, x: Array) -> Array:
    return x.astype(jnp.int8) if spikes else x


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _dense(spikes: bool, x: Array, kernel: Array) -> Array:
    return x @ kernel


def _dense_forward(spikes, x, kernel):
    return x @ kernel, (_keep(spikes, x), kernel)


def _dense_backward(spikes, residuals, g):
    x, kernel = residuals
    return g @ kernel.T, x.astype(g.dtype).T @ g


_dense.defvjp(_dense_forward, _dense_backward)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _conv(stride: int, pads: Pads, spikes: bool, x: Array, kernel: Array) -> Array:
    return lax.platform_dependent(
        x, kernel, cpu=partial(_product_conv, stride, pads), default=partial(_lax_conv, stride, pads)
    )


def _conv_forward(stride, pads, spikes, x, kernel):
    return _conv(stride, pads, spikes, x, kernel), (_keep(spikes, x), kernel)


def _conv_backward(stride, pads, spikes, residuals, g):
    x, kernel = residuals
    return lax.platform_dependent(
        x,
        kernel,
        g,
        cpu=partial(_product_gradients, stride, pads),
        default=lambda x, kernel, g: jax.vjp(partial(_lax_conv, stride, pads), x.astype(g.dtype), kernel)[1](g),
    )


_conv.defvjp(_conv_forward, _conv_backward)


def _lax_conv(stride: int, pads: Pads, x: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _columns(x: Array, window: Shape, stride: int, pads: Pads, axis: int = -1) -> Array:
    """Every window of `[N, H, W, C]` as a row: `[N, H', W', kh * kw * C]` (im2col); `axis=0` puts the window first."""
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (*pads[0], 0), (*pads[1], 0), (0, 0, 0)))
    height, width = ((n - k) // stride + 1 for n, k in zip(x.shape[1:3], window, strict=True))
    rows, columns = (slice(stride * (n - 1) + 1) for n in (height, width))
    return jnp.concatenate(
        [x[:, i:, j:][:, rows, columns][:, ::stride, ::stride] for i in range(window[0]) for j in range(window[1])],
        axis,
    )


def _chunk(kernel: Array, pixels: int) -> int:
    """How many samples fit into one im2col chunk."""
    return max(1, CHUNK_BYTES // (pixels * kernel[..., 0].size * kernel.dtype.itemsize))


def _split(n: int, x: Array) -> tuple[Array, Array]:
    whole = len(x) - len(x) % n
    return x[:whole].reshape(whole // n, n, *x.shape[1:]), x[whole:]


def _product_conv(stride: int, pads: Pads, x: Array, kernel: Array) -> Array:
    if x.shape[-1] == 1:  # rows of one window of one channel are too short for a product; XLA's own is faster
        return _lax_conv(stride, pads, x, kernel)
    window, matrix = kernel.shape[:2], kernel.reshape(-1, kernel.shape[-1])

    def piece(x: Array) -> Array:
        return _columns(x, window, stride, pads) @ matrix

    shape = jax.eval_shape(piece, x).shape
    pieces, rest = _split(min(len(x), _chunk(kernel, shape[1] * shape[2])), x)
    y = lax.map(piece, pieces).reshape(-1, *shape[1:])
    return jnp.concatenate([y, piece(rest)]) if len(rest) else y


def _product_gradients(stride: int, pads: Pads, x: Array, kernel: Array, g: Array) -> tuple[Array, Array]:
    window = kernel.shape[:2]
    # input: the cotangent, spread over the stride, convolved with the kernel turned round
    grid = [n + sum(p) - k + 1 for n, p, k in zip(x.shape[1:3], pads, window, strict=True)]
    spread = [(0, n - (stride * (m - 1) + 1), stride - 1) for n, m in zip(grid, g.shape[1:3], strict=True)]
    back = tuple((k - 1 - p[0], k - 1 - p[1]) for k, p in zip(window, pads, strict=True))
    turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    g_x = _product_conv(1, back, lax.pad(g, jnp.zeros((), g.dtype), ((0, 0, 0), *spread, (0, 0, 0))), turned)  # type: ignore[arg-type]

    def piece(total: Array, xg: tuple[Array, Array]) -> tuple[Array, None]:
        inputs, errors = xg[0].astype(g.dtype), xg[1].reshape(-1, g.shape[-1])
        if x.shape[-1] == 1:  # the window as the slow axis: contiguous copies, 2x
            columns = _columns(inputs, window, stride, pads, axis=0).reshape(-1, len(errors))
            return total + (columns @ errors).T, None
        return total + errors.T @ _columns(inputs, window, stride, pads).reshape(len(errors), -1), None

    n = min(len(x), _chunk(kernel, g.shape[1] * g.shape[2]))
    (xs, x_rest), (gs, g_rest) = _split(n, x), _split(n, g)
    total, _ = lax.scan(piece, jnp.zeros((g.shape[-1], kernel[..., 0].size), g.dtype), (xs, gs))
    if len(x_rest):
        total, _ = piece(total, (x_rest, g_rest))
    return g_x, total.T.reshape(kernel.shape)
