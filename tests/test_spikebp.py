"""The paper's rule on a spike train, against its equations written out with NumPy."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import integrate_and_fire, leaky_integrator, lif, neurons, spikebp, unroll
from jaxsnn.compiling import compiler_options


def currents(length=11, seed=0, shape=(2, 6), dtype=jnp.float64):
    return 0.7 * jax.random.normal(jax.random.key(seed), (length, *shape), dtype)


def pieces(length, chunk):
    return [slice(i, min(i + chunk, length)) for i in range(0, length, chunk)]


def run(params, x, chunk=None, **variant):
    """All spikes and the last state, with the train handed over in pieces."""
    state, spikes = spikebp.init(params, x.shape[1:], x.dtype), []
    for piece in pieces(len(x), chunk or len(x)):
        state, out = spikebp.lif(params, state, x[piece], **variant)
        spikes.append(out)
    return jnp.concatenate(spikes), state


def by_hand(spikes, g, leak, threshold, leak_correction=True, leak_backward="straight_through"):
    """(E8) and (E9), or their variants (E12), as they are written."""
    steps = len(spikes)
    filtered = sum(leak ** (steps - 1 - t) * spikes[t] for t in range(steps))
    count = spikes.sum(0)
    d = (filtered > 1e-3) / threshold
    if leak_correction:
        d = d + np.log(leak) * filtered / np.maximum(count, 1) / threshold
    back = leak if leak_backward == "true" else 1.0
    gv, g_currents = np.zeros_like(g[0]), np.zeros_like(g)
    for t in reversed(range(steps)):
        gv = spikes[t] * (g[t] * d) + (1 - spikes[t]) * back * gv
        g_currents[t] = gv
    return d, g_currents


VARIANTS = [
    {"leak_correction": correction, "leak_backward": backward}
    for correction in (True, False)
    for backward in ("straight_through", "true")
]


@pytest.mark.parametrize(
    ("leak", "threshold", "variant"),
    [(0.99, 1.0, {}), (0.8, 0.6, {}), (1.0, 1.3, {}), (0.3, 0.2, {})]
    + [(0.8, 0.6, variant) for variant in VARIANTS]
    + [(0.3, 0.2, VARIANTS[3])],
)
def test_gradient_is_the_papers_or_that_of_a_variant(x64, leak, threshold, variant):
    x, params = currents(seed=3), lif.LIFParams(leak, threshold)
    g = np.asarray(jax.random.normal(jax.random.key(1), x.shape, jnp.float64))

    @jax.jit
    def ours(x, g):
        (spikes, state), pull = jax.vjp(lambda x: run(params, x, **variant), x)
        return spikes, state, pull((g, jax.tree.map(jnp.zeros_like, state)))[0]

    spikes, state, actual = ours(x, g)
    d, expected = by_hand(np.asarray(spikes), g, leak, threshold, **variant)
    correction = {name: value for name, value in variant.items() if name == "leak_correction"}
    np.testing.assert_allclose(spikebp.derivative(params, state, **correction), d, rtol=1e-12)
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)
    assert np.abs(expected).max() > 0


def test_forward_is_the_cell(x64):
    x, params = currents(40), lif.LIFParams(0.9, 0.5)
    spikes, state = run(params, x)
    cell = unroll(partial(lif.step, params), lif.init(params, x.shape[1:], x.dtype), x)
    np.testing.assert_array_equal(spikes, cell.outputs)
    np.testing.assert_allclose(state.potential, cell.state.potential, rtol=1e-14)
    np.testing.assert_array_equal(state.spike_count, spikes.sum(0))


@pytest.mark.parametrize("pack_spikes", [False, True])
def test_a_train_of_one_neuron(x64, pack_spikes):
    """Trains `[T]` without any further axis."""
    params, x = lif.LIFParams(0.9, 0.5), currents(11, shape=())

    def loss(x):
        train = spikebp.lif(params, spikebp.init(params, x.shape[1:], x.dtype), x, pack_spikes=pack_spikes)[1]
        return jnp.sum(train * jnp.arange(11.0).reshape(11, *[1] * (x.ndim - 1)))

    alone = jax.grad(loss)(x)
    assert jnp.abs(alone).max() > 0
    np.testing.assert_allclose(alone, jax.grad(loss)(x[:, None])[:, 0], rtol=1e-12)


@pytest.mark.parametrize(("length", "chunk", "variant"), [*zip((6, 5, 3, 1), (2, 4, 1, 3), VARIANTS, strict=True)])
def test_pieces_have_the_gradient_of_the_whole(length, chunk, variant, x64):
    @jax.jit
    def both(x, leak):
        weights = jax.random.normal(jax.random.key(9), x.shape, jnp.float64)

        def loss(x, chunk=None):
            spikes, state = run(lif.LIFParams(leak, 0.6), x, chunk, **variant)
            return jnp.sum(weights * spikes) + jnp.sum(jnp.square(state.potential))

        return jax.value_and_grad(loss)(x, chunk), jax.value_and_grad(loss)(x)

    for seed, leak in enumerate((0.5, 0.8, 0.99, 1.0)):
        chex.assert_trees_all_close(*both(currents(length, seed), jnp.float64(leak)), rtol=1e-12, atol=1e-14)


def test_pieces_within_a_scan_and_rematerialised(x64):
    x, params, variant = currents(12), lif.LIFParams(0.95, 0.6), VARIANTS[3]

    def loss(x):
        body = jax.checkpoint(lambda state, x: spikebp.lif(params, state, x, **variant))
        _, spikes = jax.lax.scan(body, spikebp.init(params, x.shape[1:], x.dtype), x.reshape(3, 4, *x.shape[1:]))
        return jnp.sum(jnp.sin(spikes.reshape(x.shape) + x))

    whole = lambda x: jnp.sum(jnp.sin(run(params, x, **variant)[0] + x))  # noqa: E731
    chex.assert_trees_all_close(jax.value_and_grad(loss)(x), jax.value_and_grad(whole)(x), rtol=1e-12)


def test_silent_neurons_pass_nothing_and_nothing_passes_after_the_last_spike(x64):
    params = lif.LIFParams(0.99)
    x = jnp.asarray([[0.1, 0.4], [0.1, 0.9], [0.1, 0.2], [0.1, 0.2]])
    spikes, _ = run(params, x)
    np.testing.assert_array_equal(spikes, [[0, 0], [0, 1], [0, 0], [0, 0]])
    g = jax.grad(lambda x: run(params, x)[0].sum())(x)
    assert (g[:, 0] == 0).all()
    assert (g[2:, 1] == 0).all()
    np.testing.assert_allclose(g[0, 1], g[1, 1])  # between spikes the error flows back unchanged, not leaked


def test_bracket_bounds_of_the_papers_setting(x64):
    """For leak 0.99 and T = 100 the derivative of every neuron that fired lies in [0.98995, 1)."""
    params = lif.LIFParams(0.99)
    x = 1.5 * jax.random.normal(jax.random.key(0), (100, 1, 500), jnp.float64)
    _, state = run(params, x)
    d = np.asarray(spikebp.derivative(params, state))[np.asarray(state.spike_count) > 0]
    assert len(d) > 400
    assert d.min() >= 0.98995 - 1e-12  # 1 + ln(0.99) with a spike at every step ... a single late one
    assert d.max() < 1


def test_leak_and_threshold_are_traced_and_have_zero_gradient():
    x = currents(8, dtype=jnp.float32)
    loss = lambda leak, threshold: run(lif.LIFParams(leak, threshold), x)[0].sum()  # noqa: E731
    assert jax.grad(loss, (0, 1))(jnp.float32(0.9), jnp.float32(0.5)) == (0, 0)
    swept = jax.jit(jax.vmap(loss, (0, 0)))(jnp.asarray([0.9, 0.5]), jnp.asarray([0.5, 0.9]))
    np.testing.assert_allclose(swept, [loss(0.9, 0.5), loss(0.5, 0.9)])


def test_pool_has_derivative_one(x64):
    x, params = jnp.abs(currents(9)), integrate_and_fire.IFParams(0.75)
    state = integrate_and_fire.init(params, x.shape[1:], x.dtype)
    spikes, pull = jax.vjp(lambda x: spikebp.pool(params, state, x)[1], x)
    cell = unroll(partial(integrate_and_fire.step, params), state, x).outputs
    np.testing.assert_array_equal(spikes, cell)
    g, expected = np.asarray(currents(9, 5)), np.zeros(x.shape)
    gv = np.zeros(x.shape[1:])
    for t in reversed(range(9)):
        gv = np.where(spikes[t] > 0, g[t], gv)
        expected[t] = gv
    np.testing.assert_allclose(pull(jnp.asarray(g))[0], expected, rtol=1e-13)


def test_pool_threshold_is_strict():
    """Three spikes of four in one step do not fire (E3)."""
    params = integrate_and_fire.IFParams(0.75)
    _, spikes = spikebp.pool(params, integrate_and_fire.init(params, (2,)), jnp.asarray([[0.75, 1.0], [0.25, 0.0]]))
    np.testing.assert_array_equal(spikes, [[0, 1], [1, 0]])


def test_readout_leaks_forward_and_not_backward(x64):
    x, params = currents(6), leaky_integrator.LeakyIntegratorParams(0.9)
    state = leaky_integrator.init(params, x.shape[1:], x.dtype)
    out, pull = jax.vjp(lambda x: spikebp.readout(params, state, x)[1], x)
    np.testing.assert_allclose(out[-1], sum(0.9 ** (6 - t) * x[t] for t in range(6)), rtol=1e-12)
    g = currents(6, 7)
    np.testing.assert_allclose(pull(g)[0], np.cumsum(g[::-1], 0)[::-1], rtol=1e-12)


def test_readout_with_the_true_leak_in_pieces(x64):
    """gI_t = leak^(T-t) g for a loss on the last potential; the leak itself still has no gradient."""
    x, g = currents(6), currents(1, 7)[0]
    rest = leaky_integrator.init(leaky_integrator.LeakyIntegratorParams(0.9), x.shape[1:], x.dtype)

    def loss(leak, x, chunk):
        params, state = leaky_integrator.LeakyIntegratorParams(leak), rest
        for piece in pieces(6, chunk):
            state, out = spikebp.readout(params, state, x[piece], leak_backward="true")
        return jnp.sum(out[-1] * g)

    for chunk in (6, 4):
        g_leak, g_x = jax.grad(loss, (0, 1))(0.9, x, chunk)
        assert g_leak == 0
        np.testing.assert_allclose(g_x, [0.9 ** (6 - t) * g for t in range(6)], rtol=1e-12)


@pytest.mark.parametrize(("begin", "per_neuron"), [(lambda state: state, 8), (spikebp.unfinished, 0)])
def test_residuals_are_one_byte_per_spike_and_the_counts_before_them(begin, per_neuron):
    x, params = currents(64, dtype=jnp.float32), lif.LIFParams(0.99, jnp.float32(1))
    state = begin(spikebp.init(params, x.shape[1:]))
    _, pull = jax.vjp(lambda x: spikebp.lif(params, state, x)[1], x)
    stored = sum(leaf.nbytes for leaf in jax.tree.leaves(pull) if hasattr(leaf, "nbytes"))
    neurons = x[0].size
    assert stored <= x.size + per_neuron * neurons + 64, stored


def test_a_layer_that_starts_at_rest_keeps_its_spikes_alone():
    """Of a whole program, one byte per spike: counted again from them, nothing else of a layer waits for the error."""
    steps, neurons = 2, 2**18
    params = lif.LIFParams(0.9, jnp.float32(0.5))

    def needed(layers):
        def loss(x):
            for _ in range(layers):
                x = spikebp.lif(params, spikebp.init(params, x.shape[1:]), 1.5 * x)[1]
            return jnp.sum(x * jnp.arange(1.0, steps + 1)[:, None, None])

        lowered = jax.jit(jax.grad(loss)).lower(jax.ShapeDtypeStruct((steps, 1, neurons), jnp.float32))
        return lowered.compile(compiler_options=compiler_options()).memory_analysis().temp_size_in_bytes

    assert needed(6) - needed(3) <= 3 * steps * neurons * 1.01


@pytest.mark.parametrize(("length", "chunk", "variant"), [*zip((5, 4, 2, 1), (2, 4, 1, 3), VARIANTS, strict=True)])
def test_an_unfinished_train_that_is_finished_is_the_whole(length, chunk, variant, x64):
    """Also where it goes on after `finish`, and the loss uses the potential."""
    params = lif.LIFParams(0.8, 0.6)

    def loss(x, begin=lambda state: state, finish=lambda spikes, state: (spikes, state)):
        weights = jax.random.normal(jax.random.key(9), x.shape, jnp.float64)
        state, trains = spikebp.init(params, x.shape[1:], x.dtype), []
        for part in (x[:length], x[length:]):
            state, spikes = begin(state), []
            for piece in pieces(len(part), chunk):
                state, out = spikebp.lif(params, state, part[piece], **variant)
                spikes.append(out)
            train, state = finish(jnp.concatenate(spikes), state)
            assert type(state) is spikebp.SpikeBPState
            trains.append(train)
        return jnp.sum(weights * jnp.concatenate(trains)) + jnp.sum(jnp.square(state.potential))

    finished = partial(loss, begin=spikebp.unfinished, finish=spikebp.finish)
    both = jax.jit(lambda x: (jax.value_and_grad(finished)(x), jax.value_and_grad(loss)(x)))
    for seed in range(3):
        chex.assert_trees_all_close(*both(currents(length + 3, seed)), rtol=1e-12, atol=1e-14)


def test_leak_and_threshold_of_every_channel(x64):
    x, leak, threshold = (
        currents(9, shape=(2, 4, 4, 3)),
        jnp.asarray([[[[1.0, 0.9, 0.5]]]]),
        jnp.asarray([[[[0.3, 1.0, 0.6]]]]),
    )
    gradient = jax.jit(
        jax.value_and_grad(lambda x, leak, threshold: (x * run(lif.LIFParams(leak, threshold), x)[0]).sum())
    )
    together = gradient(x, leak, threshold)
    for i in range(3):
        _, alone = gradient(x[..., i : i + 1], leak[0, 0, 0, i], threshold[0, 0, 0, i])
        np.testing.assert_allclose(together[1][..., i : i + 1], alone, rtol=1e-12)
    assert together[0] != 0


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (jnp.zeros((0, 2)), "T must be an integer >= 1, got 0"),
        (jnp.zeros((5, 3)), r"shape \(3,\), but the neurons' state has \(2,\)"),
        (jnp.zeros(()), "time-major"),
    ],
)
def test_bad_input(x, message):
    with pytest.raises(ValueError, match=message):
        spikebp.lif(lif.LIFParams(), spikebp.init(lif.LIFParams(), (2,)), x)
    with pytest.raises(ValueError, match=r"leak must lie in \(0, 1\], got 0"):
        spikebp.init(lif.LIFParams(0.0), (2,))


def test_unknown_leak_backward():
    rest = spikebp.init(lif.LIFParams(), (2,))
    calls = (partial(spikebp.lif, lif.LIFParams(), rest), partial(spikebp.readout, lif.LIFParams(), rest))
    for call in calls:
        with pytest.raises(ValueError, match="leak_backward must be 'straight_through' or 'true', got 'none'"):
            call(jnp.ones((3, 2)), leak_backward="none")
    with pytest.raises(ValueError, match="leak_backward must be 'straight_through' or 'true', got True"):
        neurons.spikebp(leak_backward=True)
