import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from jaxsnn import synapses


@settings(deadline=None, max_examples=10)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(4, 8), st.integers(4, 8)),
    st.sampled_from([1, 3]),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from(["SAME", "VALID", 0, 1, 2]),
    st.sampled_from([1, 400, 10**6]),
)
def test_product_convolution_is_xlas(lead, size, channels, window, stride, padding, chunk_bytes):
    """Values and both gradients, for every stride, padding and chunk."""
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        patch.setattr(synapses, "CHUNK_BYTES", chunk_bytes)
        keys = jax.random.split(jax.random.key(0), 3)
        x = jax.random.normal(keys[0], (*lead, *size, channels), jnp.float64)
        kernel = jax.random.normal(keys[1], (window, window, channels, 2), jnp.float64)
        pads = synapses._pads(size, (window, window), stride, padding)
        actual, pull = jax.vjp(lambda x, k: synapses.conv(x, k, stride=stride, padding=padding), x, kernel)
        expected, pull_expected = jax.vjp(
            lambda x, k: synapses.over_time(lambda x: synapses._lax_conv(stride, pads, x, k), x), x, kernel
        )
        g = jax.random.normal(keys[2], actual.shape, jnp.float64)
        for a, b in zip((actual, *pull(g)), (expected, *pull_expected(g)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=8)
@given(st.integers(1, 3), st.sampled_from([1, 2]), st.booleans())
def test_spikes_in_one_byte_change_nothing(window, channels, signed):
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(1), 3)
        x = jax.random.randint(keys[0], (2, 3, 6, 6, channels), -signed, 2).astype(jnp.float64)
        kernel = jax.random.normal(keys[1], (window, window, channels, 4), jnp.float64)
        flat = (x.reshape(2, 3, -1), jax.random.normal(keys[2], (36 * channels, 5), jnp.float64))
        for synapse, inputs in ((synapses.conv, (x, kernel)), (synapses.dense, flat)):
            bytes_, floats = (
                jax.grad(lambda x, k, kept=kept, f=synapse: jnp.sum(jnp.sin(f(x, k, spikes=kept))), (0, 1))(*inputs)
                for kept in (True, False)
            )
            for a, b in zip(bytes_, floats, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-13)


def test_spikes_are_kept_in_one_byte():
    x, kernel = jnp.ones((4, 2, 6, 6, 3)), jnp.ones((3, 3, 3, 2))
    _, pull = jax.vjp(lambda k: synapses.conv(x, k, spikes=True), kernel)
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(pull) if hasattr(leaf, "nbytes")) <= x.size + kernel.nbytes + 64


def test_average_pool_by_hand():
    x = jnp.arange(16.0).reshape(1, 1, 4, 4, 1)
    np.testing.assert_array_equal(synapses.average_pool(x)[0, 0, :, :, 0], [[2.5, 4.5], [10.5, 12.5]])


def test_time_and_batch_do_not_mix():
    x = jax.random.normal(jax.random.key(0), (3, 2, 4, 4, 2))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 2, 5))
    y = synapses.conv(x, kernel)
    np.testing.assert_allclose(y[2:, 1:], synapses.conv(x[2:, 1:], kernel), rtol=1e-5, atol=1e-6)


def test_bad_input():
    x = jnp.zeros((1, 1, 5, 4, 2))
    with pytest.raises(ValueError, match="input has 2 channels, the kernel .* expects 3"):
        synapses.conv(x, jnp.zeros((3, 3, 3, 1)))
    with pytest.raises(ValueError, match="padding must be 'SAME', 'VALID' or a number of pixels, got 'full'"):
        synapses.conv(x, jnp.zeros((3, 3, 2, 1)), padding="full")
    with pytest.raises(ValueError, match="needs H and W divisible by 2, got 5x4"):
        synapses.average_pool(x)
