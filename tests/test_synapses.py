import time
from functools import partial

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from jaxsnn import storage, synapses
from jaxsnn.synapses import convolution, im2col, winograd

PADDING = st.sampled_from(["SAME", "VALID", 0, 1, 2])
SIZE = st.tuples(st.integers(4, 8), st.integers(4, 8))


def with_gradients(functions, inputs, g):
    """Of each function its value and its gradients, for cotangents `g`; one program for all."""

    @jax.jit
    def each(inputs, g):
        pairs = [jax.vjp(function, *inputs) for function in functions]
        return [(y, *pull(g.astype(y.dtype))) for y, pull in pairs]

    return each(inputs, g)


def same_as_xlas(x_shape, kernel_shape, stride, padding, piece_bytes, monkeypatch):
    monkeypatch.setattr(im2col, "TILE_BYTES", piece_bytes)
    monkeypatch.setattr(winograd, "TILE_BYTES", piece_bytes)
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], x_shape, jnp.float64)
    kernel = jax.random.normal(keys[1], kernel_shape, jnp.float64)
    pads = convolution.resolve_padding(x_shape[2:4], kernel_shape[:2], stride, padding)

    def ours(x, kernel):
        return synapses.conv(x, kernel, stride=stride, padding=padding)

    def xlas(x, kernel):
        return synapses.over_time(lambda x: convolution._lax_conv(convolution.Grid(stride, pads), x, kernel), x)

    g = jax.random.normal(keys[2], jax.eval_shape(ours, x, kernel).shape, jnp.float64)
    for a, b in zip(*with_gradients((ours, xlas), (x, kernel), g), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


@settings(deadline=None, max_examples=6)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    SIZE,
    st.sampled_from([1, 3]),
    st.integers(1, 4),
    st.integers(1, 3),
    PADDING,
    st.sampled_from([1, 400, 10**6]),
)
def test_product_convolution_is_xlas(lead, size, channels, window, stride, padding, piece_bytes):
    """Values and both gradients, for every stride, padding and piece."""
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        same_as_xlas((*lead, *size, channels), (window, window, channels, 2), stride, padding, piece_bytes, patch)


@settings(deadline=None, max_examples=12)
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.integers(1, 4),
    st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2),
    st.tuples(st.integers(4, 6), st.integers(4, 6)),
)
def test_errors_reach_the_inputs_by_every_tap(window, stride, pads, size):
    """Windows smaller and larger than the stride, inputs that no window reads, paddings wider than a window."""
    with jax.enable_x64(True):
        grid = im2col.output_size(size, window, stride, pads)
        g, kernel = (
            jax.random.normal(jax.random.key(seed), shape, jnp.float64)
            for seed, shape in enumerate([(2, *grid, 3), (*window, 2, 3)])
        )
        expected = np.zeros((2, size[0] + sum(pads[0]), size[1] + sum(pads[1]), 2))
        for row, column in np.ndindex(*grid):
            here = [slice(stride * n, stride * n + taps) for n, taps in zip((row, column), window, strict=True)]
            expected[:, *here] += np.einsum("nf,ijcf->nijc", g[:, row, column], kernel)
        inside = [slice(before, before + n) for (before, _), n in zip(pads, size, strict=True)]
        found = im2col.input_gradient(stride, pads, g, kernel, size)
        np.testing.assert_allclose(found, expected[:, *inside], rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=6)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 5)),
    SIZE,
    st.tuples(st.integers(2, 3), st.integers(1, 3)),
    st.tuples(st.integers(3, 5), st.integers(1, 4)),
    PADDING,
    st.sampled_from([1, 10_000, 10**6]),
)
def test_winograd_is_the_convolution(lead, size, channels, window, padding, piece_bytes):
    """Stride 1: sizes that tiles fit and do not fit, every padding and piece."""
    if min(size) < 5:  # what "VALID" leaves must not be empty
        size = (size[0] + 1, size[1] + 1)
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        assert convolution._winograd(1, (*window, *channels))
        same_as_xlas((*lead, *size, channels[0]), (*window, *channels), 1, padding, piece_bytes, patch)


@pytest.mark.parametrize(("size", "pairs"), [((7, 6), True), ((6, 7), False), ((1, 2), True)])
def test_two_columns_at_once_for_few_features(size, pairs):
    """LeNet's second layer, forward and both gradients; an odd width goes column by column."""
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        assert winograd._few((5, 5, 3, 4), ((2, 2), (2, 2)), size[1]) == pairs
        same_as_xlas((2, 2, *size, 3), (5, 5, 3, 4), 1, "SAME", 10_000, patch)


@pytest.mark.parametrize(("window", "height", "fewer"), [(3, 8, 6 / 12), (5, 6, 6 / 10), (5, 8, 8 / 20)])
def test_winograd_is_used_and_rounds_little(window, height, fewer):
    """On CPU: half the products for 3x3; for 5x5 6 instead of 10, or 8 instead of 20 where such tiles fit."""
    x = jax.random.bernoulli(jax.random.key(0), 0.3, (2, 2, height, 8, 64)).astype(jnp.float32)
    kernel = jax.random.normal(jax.random.key(1), (window, window, 64, 64)) * 0.05
    operations = jax.jit(synapses.conv).lower(x, kernel).compile().cost_analysis()["flops"]
    assert operations < 2 * 4 * height * 8 * 64 * 64 * window**2 * (fewer + 0.15)
    pads = convolution.resolve_padding((height, 8), (window, window), 1, "SAME")

    def exact(x, kernel):
        return synapses.over_time(lambda x: convolution._lax_conv(convolution.Grid(1, pads), x, kernel), x)

    g = jax.random.normal(jax.random.key(2), x.shape)
    for ours, theirs in zip(*with_gradients((synapses.conv, exact), (x, kernel), g), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5 * np.abs(theirs).max())


@pytest.mark.parametrize(("samples", "width"), [(1, 3), (7, 1), (8, 2), (9, 2), (40, 3)])
def test_bits_and_bytes_hold_spikes(samples, width):
    x = np.random.default_rng(samples).integers(0, 2, (samples, width)).astype(np.float32)
    sizes = {"bits": -(-samples // 8) * width, "bytes": samples * width, "floats": 4 * samples * width}

    @jax.jit
    def through(x):
        kept = {how: storage.store(x, how) for how in sizes}
        return kept, [storage.restore(stored, how, samples, x.dtype) for how, stored in kept.items()]

    kept, restored = through(x)
    assert {how: stored.nbytes for how, stored in kept.items()} == sizes
    for found in restored:
        np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize(("window", "channels", "how"), [(3, 2, "bits"), (2, 1, "bytes"), (1, 2, "signed")])
def test_how_spikes_are_kept_changes_nothing(window, channels, how):
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(1), 3)
        x = jax.random.randint(keys[0], (2, 3, 6, 6, channels), -(how == "signed"), 2).astype(jnp.float64)
        kernel = jax.random.normal(keys[1], (window, window, channels, 4), jnp.float64)
        flat = (x.reshape(2, 3, -1), jax.random.normal(keys[2], (36 * channels, 5), jnp.float64))
        small = "bits" if how == "bits" else "bytes"
        for synapse, inputs in ((synapses.conv, (x, kernel)), (synapses.dense, flat)):
            ways = [lambda x, k, f=synapse, kept=kept: jnp.sin(f(x, k, storage=kept)) for kept in (small, "floats")]
            g = jnp.ones(jax.eval_shape(ways[0], *inputs).shape)
            for a, b in zip(*with_gradients(ways, inputs, g), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-13)


@pytest.mark.parametrize("storage", ["bits", "bytes", "floats"])
@pytest.mark.parametrize("window", [1, 3, 5, None])
def test_a_mask_is_the_masked_input(window, storage):
    """Values and gradients as if the input had been multiplied; None: a dense synapse."""
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(1), 3)
        x = jax.random.bernoulli(keys[0], 0.5, (4, 3, 6, 6, 2)).astype(jnp.float64)
        mask = jax.random.bernoulli(keys[1], 0.7, x.shape[1:]).astype(jnp.float64) / 0.7
        if window is None:
            x, mask, synapse = x.reshape(4, 3, -1), mask.reshape(3, -1), synapses.dense
        else:
            synapse = synapses.conv
        shape = (72, 5) if window is None else (window, window, 2, 5)
        kernel = jax.random.normal(keys[2], shape, jnp.float64)
        masked = lambda x, k: jnp.sum(jnp.sin(synapse(x, k, storage=storage, mask=mask)))  # noqa: E731
        plain = lambda x, k: jnp.sum(jnp.sin(synapse(x * mask[None], k)))  # noqa: E731
        for a, b in zip(*with_gradients((masked, plain), (x, kernel), jnp.float64(1)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("storage", "share"), [("bits", 1 / 8), ("bytes", 1)])
@pytest.mark.parametrize("dropout", [False, True])
def test_what_the_backward_pass_keeps(storage, share, dropout):
    """Under dropout the spikes and, once for all steps, the mask."""
    x, kernel = jnp.ones((4, 2, 6, 6, 3)), jnp.ones((3, 3, 3, 2))
    mask = jnp.ones(x.shape[1:]) if dropout else None
    _, pull = jax.vjp(lambda k: synapses.conv(x, k, storage=storage, mask=mask), kernel)
    stored = sum(leaf.nbytes for leaf in jax.tree.leaves(pull) if hasattr(leaf, "nbytes"))
    assert stored <= x.size * share + kernel.nbytes + 64 + (mask.nbytes if dropout else 0)


@pytest.mark.parametrize("channels", [1, 3, 32])
def test_bfloat16_rounds_inputs_and_results_not_sums(channels):
    """Against float32 on the rounded numbers: one rounding of the result is all that may differ (2^-8)."""
    keys = jax.random.split(jax.random.key(2), 3)
    x = jax.random.bernoulli(keys[0], 0.3, (2, 2, 6, 6, channels)).astype(jnp.bfloat16)
    kernel = jax.random.normal(keys[1], (3, 3, channels, 32))
    g = jax.random.normal(keys[2], (2, 2, 6, 6, 32), jnp.bfloat16)
    rounded = kernel.astype(jnp.bfloat16).astype(jnp.float32)
    (found,) = with_gradients([synapses.conv], (x, kernel), g)
    (exact,) = with_gradients([synapses.conv], (x.astype(jnp.float32), rounded), g)
    assert [a.dtype for a in found] == [jnp.bfloat16, jnp.bfloat16, jnp.float32]
    for a, b in zip(found, exact, strict=True):
        np.testing.assert_allclose(np.asarray(a, np.float32), b, rtol=2**-8, atol=2e-5)


@pytest.mark.parametrize(("window", "channels", "stride"), [(3, 8, 1), (4, 8, 1), (5, 20, 1), (5, 1, 1), (3, 8, 2)])
def test_exact_currents_of_integer_weights(window, channels, stride):
    """Quantised weights and spikes give whole numbers, so that a potential at V_th is at V_th: it does not fire."""
    generator = np.random.default_rng(window)
    kernel = generator.integers(-127, 128, (window, window, channels, 16))
    x = generator.integers(0, 2, (2, 3, 12, 12, channels))
    currents = jax.jit(partial(synapses.conv, stride=stride, precision="exact"))
    y, pull = jax.vjp(currents, jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32))
    pads = convolution.resolve_padding((12, 12), (window, window), stride, "SAME")
    padded = np.pad(x, ((0, 0), (0, 0), *pads, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (window, window), (2, 3))[:, :, ::stride, ::stride]
    whole = np.einsum("tbhwcij,ijcf->tbhwf", windows, kernel)
    np.testing.assert_array_equal(y, whole)
    at_threshold = y - jnp.asarray(whole, jnp.float32) + 5 > 5  # potentials that are V_th = 5
    assert not at_threshold.any()
    g = generator.integers(-9, 10, y.shape)
    g_x, g_kernel = pull(jnp.asarray(g, jnp.float32))
    np.testing.assert_array_equal(g_kernel, np.einsum("tbhwcij,tbhwf->ijcf", windows, g))
    np.testing.assert_array_equal(g_x, np.rint(g_x))
    assert np.sum(np.asarray(g_x, np.float64) * x) == np.sum(g * whole)  # <A^T g, x> is <g, A x>


def test_exact_products_of_integer_weights():
    generator = np.random.default_rng(0)
    kernel, x = generator.integers(-127, 128, (500, 9)), generator.integers(0, 2, (2, 3, 500))
    y = synapses.dense(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32), precision="exact")
    np.testing.assert_array_equal(y, x @ kernel)
    for synapse, shapes in ((synapses.dense, ((1, 1, 2), (2, 3))), (synapses.conv, ((1, 1, 3, 3, 2), (3, 3, 2, 1)))):
        with pytest.raises(ValueError, match="precision must be one of default, exact, got 'high'"):
            synapse(*map(jnp.ones, shapes), precision="high")


def test_average_pool_by_hand():
    x = jnp.arange(16.0).reshape(1, 1, 4, 4, 1)
    np.testing.assert_array_equal(synapses.average_pool(x)[0, 0, :, :, 0], [[2.5, 4.5], [10.5, 12.5]])
    odd = jnp.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)), constant_values=99)
    np.testing.assert_array_equal(synapses.average_pool(odd), synapses.average_pool(x))


@pytest.mark.parametrize("window", [1, 2, 3])
def test_average_pool_and_its_gradient_are_the_mean(x64, window):
    def mean(x):
        return x.reshape(2, 3, 6 // window, window, 6 // window, window, 5).mean((3, 5))

    x = jax.random.normal(jax.random.key(0), (2, 3, 6, 6, 5))
    pool = partial(synapses.average_pool, window=window)
    g = jax.random.normal(jax.random.key(1), jax.eval_shape(pool, x).shape)
    for a, b in zip(*with_gradients((pool, mean), (x,), g), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    both = jax.jit(lambda x: (pool(x), mean(x)))
    np.testing.assert_allclose(*both(np.arange(2 * 3 * 36 * 5).reshape(2, 3, 6, 6, 5) % 7), rtol=1e-6)
    np.testing.assert_array_equal(*both(x.astype(jnp.bfloat16)))  # rounded once, not at every sum


def test_time_and_batch_do_not_mix():
    x = jax.random.normal(jax.random.key(0), (3, 2, 4, 4, 2))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 2, 5))
    conv = jax.jit(synapses.conv)
    np.testing.assert_allclose(conv(x, kernel)[2:, 1:], conv(x[2:, 1:], kernel), rtol=1e-5, atol=1e-6)


def test_bad_input():
    x = jnp.zeros((1, 1, 5, 4, 2))
    with pytest.raises(ValueError, match="input has 2 channels, the kernel .* expects 3"):
        synapses.conv(x, jnp.zeros((3, 3, 3, 1)))
    with pytest.raises(ValueError, match="padding must be 'SAME', 'VALID', a number .*, got 'full'"):
        synapses.conv(x, jnp.zeros((3, 3, 2, 1)), padding="full")
    with pytest.raises(ValueError, match="must be 'floats', 'bytes' or 'bits', got 'nibbles'"):
        synapses.conv(x, jnp.zeros((3, 3, 2, 1)), storage="nibbles")
    with pytest.raises(ValueError, match="average pool of 2x2 needs maps of that size at least, got 1x4"):
        synapses.average_pool(x[:, :, :1])


@pytest.mark.parametrize("window", [3, 5])
def test_the_weight_gradient_is_not_slow_in_a_scan(window):
    """XLA's own is many times slower inside a loop than outside on CPU."""
    x = jax.random.bernoulli(jax.random.key(0), 0.3, (1, 8, 16, 16, 32)).astype(jnp.float32)
    g = jax.random.normal(jax.random.key(1), x.shape)
    kernel = jnp.zeros((window, window, 32, 32))

    def gradient(x, g):
        return jax.vjp(lambda kernel: synapses.conv(x, kernel), kernel)[1](g)[0]

    def outside(x, g):
        return sum(gradient(x * scale, g) for scale in (1.0, 2.0, 3.0, 4.0))

    def inside(x, g):
        scales = jnp.asarray([1.0, 2.0, 3.0, 4.0])
        return jax.lax.scan(lambda total, scale: (total + gradient(x * scale, g), None), kernel, scales)[0]

    def smallest(function):
        times = []
        for _ in range(7):
            began = time.perf_counter()
            jax.block_until_ready(function(x, g))
            times.append(time.perf_counter() - began)
        return min(times)

    inside, outside = jax.jit(inside), jax.jit(outside)
    np.testing.assert_allclose(inside(x, g), outside(x, g), rtol=1e-3, atol=1e-2)
    assert smallest(inside) < 3 * smallest(outside)


@pytest.mark.parametrize(
    ("groups", "dilation", "stride", "padding"),
    [(2, 1, 1, 1), (4, 1, 2, ((0, 1), (2, 0))), (1, 2, 1, "SAME"), (2, 2, 2, 2), (1, 1, 2, ((0, 1), (1, 0)))],
)
def test_grouped_and_dilated_convolution_by_hand(groups, dilation, stride, padding):
    """Against loops over taps and groups, with both gradients, from bytes and under "exact"."""
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(0), 3)
        x = jax.random.bernoulli(keys[0], 0.4, (2, 2, 6, 7, 4)).astype(jnp.float64)
        kernel = jax.random.normal(keys[1], (3, 3, 4 // groups, 8), jnp.float64)
        span = 2 * dilation + 1
        pads = synapses.resolve_padding((6, 7), (span, span), stride, padding)

        def by_hand(x, kernel):
            padded = jnp.pad(x, ((0, 0), (0, 0), *pads, (0, 0)))
            rows, columns = ((n + sum(p) - span) // stride + 1 for n, p in zip((6, 7), pads, strict=True))
            total = 0.0
            for i in range(3):
                for j in range(3):
                    part = padded[:, :, i * dilation :, j * dilation :][:, :, ::stride, ::stride]
                    part = part[:, :, :rows, :columns].reshape(2, 2, rows, columns, groups, -1)
                    weights = kernel[i, j].reshape(-1, groups, 8 // groups)
                    total += jnp.einsum("tbhwgc,cgf->tbhwgf", part, weights).reshape(2, 2, rows, columns, 8)
            return total

        g = jax.random.normal(keys[2], jax.eval_shape(by_hand, x, kernel).shape, jnp.float64)

        @jax.jit
        def all_of(x, kernel):
            options = {"stride": stride, "padding": padding, "groups": groups, "dilation": dilation}
            ways = [
                by_hand,
                lambda x, kernel: synapses.conv(x, kernel, storage="bytes", **options),
                lambda x, kernel: synapses.conv(x, kernel, precision="exact", **options),
            ]
            results = []
            for way in ways:
                y, pull = jax.vjp(way, x, kernel)
                results.append((y, *pull(g)))
            return results

        expected, *found = all_of(x, kernel)
        for way in found:
            for a, b in zip(way, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("window", "kept"), [(2, "floats"), ((2, 3), "floats"), (2, "bytes"), (2, "bits")])
def test_max_pool_is_xlas(window, kept):
    """Values, and the gradient, which goes to the first of equal values; odd rows are left out."""
    sides = (window, window) if isinstance(window, int) else window
    x = jax.random.normal(jax.random.key(0), (2, 3, 5, 7, 2))
    x = jnp.round(x) if kept == "floats" else (x > 0.3).astype(jnp.float32)  # with ties

    def xlas(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, *sides, 1), (1, 1, *sides, 1), "VALID")

    g = jax.random.normal(jax.random.key(1), jax.eval_shape(xlas, x).shape)
    (y, pull), (expected, pull_theirs) = (
        jax.vjp(jax.jit(f), x) for f in (lambda x: synapses.max_pool(x, window, storage=kept), xlas)
    )
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(pull(g)[0], pull_theirs(g)[0])


def test_pools_of_windows_that_are_not_square():
    x = jax.random.normal(jax.random.key(0), (2, 1, 4, 6, 2))
    means = jax.jit(lambda x: synapses.average_pool(x, (2, 3)))(x)
    np.testing.assert_allclose(means, x.reshape(2, 1, 2, 2, 2, 3, 2).mean((3, 5)), rtol=1e-6)
    gradient = jax.jit(jax.grad(lambda x: (synapses.average_pool(x, (2, 3)) ** 2).sum()))(x)
    np.testing.assert_allclose(gradient, means.repeat(2, 2).repeat(3, 3) / 3, rtol=1e-5)
    with pytest.raises(ValueError, match="max pool of 5x2 needs maps of that size at least, got 4x6"):
        synapses.max_pool(x, (5, 2))


def test_geometry_that_does_not_fit():
    x = jnp.zeros((1, 1, 4, 4, 4))
    with pytest.raises(ValueError, match="input has 4 channels, .* expects 1 in each of 3 groups"):
        synapses.conv(x, jnp.zeros((3, 3, 1, 6)), groups=3)
    with pytest.raises(ValueError, match="6 features cannot be divided into 4 groups"):
        synapses.conv(x, jnp.zeros((3, 3, 1, 6)), groups=4)
    with pytest.raises(ValueError, match="a number of pixels, or ..above, below., .left, right.., got .1, 2."):
        synapses.conv(x, jnp.zeros((3, 3, 4, 6)), padding=(1, 2))
