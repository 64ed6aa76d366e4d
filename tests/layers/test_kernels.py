"""Kernels have the numbers of the scan, refuse what they do not differentiate, and lower without an accelerator."""

import contextlib
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import SURROGATES, neurons
from jaxsnn.cells import CELLS, integrate_and_fire, lif
from jaxsnn.neurons import bptt
from jaxsnn.spikebp import finish, unfinished
from jaxsnn.surrogate import arctan

STEPS, SHAPE = 6, (2, 3, 5)
RESETS = {"hard": {}, "soft": {}, "none": {}, "delayed": {}, "value": {"v_reset": 0.2}}
ORDERS = [(r, first) for r, first in itertools.product(RESETS, (False, True)) if not (r == "delayed" and first)]
FEW = [
    ("arctan", "hard", False),
    ("sigmoid", "soft", True),
    ("triangle", "delayed", False),
    ("s2nn", "value", True),
    ("boxcar", "none", False),
]
thorough = partial(pytest.param, marks=pytest.mark.thorough)
ALL = [*FEW, *(thorough(n, *o) for n, o in itertools.product(SURROGATES, ORDERS) if (n, *o) not in FEW)]


def trains(dtype=jnp.float32, shape=SHAPE):
    """Currents, cotangents of the spikes and of the last potential, the first potential."""
    keys = jax.random.split(jax.random.key(3), 4)
    currents, weights = (jax.random.normal(key, (STEPS, *shape)) for key in keys[:2])
    last, first = (jax.random.normal(key, shape) for key in keys[2:])
    return (0.5 + currents).astype(dtype), weights, last, 0.3 * first


def gradients(neuron, dtype=jnp.float32, params=None, shape=SHAPE, chunk=STEPS):
    """A function of currents and first potential, to its spikes, last carry and gradients."""
    currents, weights, last, first = trains(dtype, shape)
    params = neuron.params if params is None else params

    def loss(currents, first):
        carry = unfinished(neuron.init(params, shape, jnp.float32)._replace(potential=first))
        parts = []
        for start in range(0, STEPS, chunk):
            carry, spikes = neuron.run(params, carry, currents[start : start + chunk])
            assert spikes.dtype == dtype
            parts.append(spikes)
        spikes, carry = finish(jnp.concatenate(parts), carry)
        return (spikes.astype(jnp.float32) * weights).sum() + (carry.potential * last).sum(), (spikes, carry)

    return jax.value_and_grad(loss, (0, 1), has_aux=True), (currents, first)


def same(found, expected, tolerance=2e-6):
    """To the rounding of the largest number: where large terms cancel, small gradients have their error."""

    def check(a, b):
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max()))

    jax.tree.map(check, found, expected)


def check_like_the_scan(make, **more):
    found, expected = (
        jax.jit(run)(*args) for run, args in (gradients(make(kernel=kernel), **more) for kernel in ("pallas", "scan"))
    )
    (_, (spikes, _)), (g_currents, g_first) = expected
    assert 0.02 < np.mean(np.asarray(spikes, np.float32)) < 0.98
    assert np.any(g_currents)
    assert np.any(g_first)
    same(found, expected)


@pytest.mark.parametrize(("name", "reset", "leak_first"), ALL)
def test_surrogates_resets_and_orders_are_those_of_the_scan(name, reset, leak_first):
    spike = partial(SURROGATES[name], slope=1.7)
    options = {"reset": reset, "leak_first": leak_first, **RESETS[reset]}
    check_like_the_scan(lambda kernel: neurons.lif(0.8, spike=spike, kernel=kernel, **options).hidden)


@pytest.mark.parametrize(
    "options",
    [
        {"detach_reset": False, "spike": partial(arctan, inclusive=True, height=0.3)},
        {"scale_input": True, "threshold": 0.2},
        {"leak": np.linspace(0.5, 0.9, 5).reshape(1, 1, 5), "threshold": np.linspace(0.7, 1.2, 15).reshape(1, 3, 5)},
    ],
    ids=["attached", "scaled", "per neuron"],
)
def test_options_are_those_of_the_scan(options):
    check_like_the_scan(lambda kernel: neurons.lif(kernel=kernel, **options).hidden)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, thorough(jnp.float32)])
@pytest.mark.parametrize("make", [neurons.lif, neurons.spikebp])
def test_pools_pieces_and_narrow_currents_are_those_of_the_scan(make, dtype):
    check_like_the_scan(lambda kernel: make(kernel=kernel).pool, dtype=dtype)
    check_like_the_scan(lambda kernel: make(kernel=kernel, pack_spikes=True).hidden, dtype=dtype, chunk=4)


@pytest.mark.parametrize(
    "options", [{"leak_backward": "true"}, {"leak_correction": False, "leak": np.full((1, 1, 5), 0.8)}]
)
def test_variants_of_the_rule_are_those_of_the_scan(options):
    check_like_the_scan(lambda kernel: neurons.spikebp(kernel=kernel, **options).hidden)


def test_more_than_one_block_of_neurons():
    check_like_the_scan(lambda kernel: neurons.lif(0.8, kernel=kernel).hidden, shape=(3, 400))


def test_inclusive_fires_at_the_threshold():
    for inclusive in (False, True):
        neuron = neurons.lif(1.0, spike=partial(arctan, inclusive=inclusive), kernel="pallas").hidden
        carry = neuron.init(neuron.params, (1, 2), jnp.float32)
        _, spikes = neuron.run(neuron.params, carry, jnp.ones((1, 1, 2)))
        assert np.all(np.asarray(spikes) == inclusive)


def test_a_population_maps_over_slopes_and_leaks():
    def spread(slope, leak, kernel):
        neuron = neurons.lif(spike=partial(arctan, slope=slope), kernel=kernel).hidden
        run, args = gradients(neuron, params=lif.LIFParams(leak, 1.0))
        return run(*args)

    slopes, leaks = jnp.asarray([1.0, 2.0, 4.0]), jnp.asarray([0.5, 0.8, 0.9])
    found, expected = (
        jax.jit(jax.vmap(partial(spread, kernel=kernel)))(slopes, leaks) for kernel in ("pallas", "scan")
    )
    same(found, expected)


def on_no_gpu():
    """jax from 0.12 on asks for the kind of a GPU that is not here."""
    try:
        from jax.sharding import AbstractDevice, AbstractMesh, use_abstract_mesh

        gpu = AbstractDevice(device_kind="NVIDIA H100 80GB HBM3", num_cores=132, platform="gpu")
        return use_abstract_mesh(AbstractMesh((), (), abstract_device=gpu))
    except (ImportError, TypeError):
        return contextlib.nullcontext()


def check_lowers(neuron, **more):
    run, args = gradients(neuron, **more)
    for platform, target in (("cuda", "triton"), ("tpu", "tpu_custom_call")):
        with on_no_gpu() if platform == "cuda" else contextlib.nullcontext():
            text = jax.jit(run).trace(*args).lower(lowering_platforms=(platform,)).as_text()
        calls = [line for line in text.splitlines() if "custom_call" in line and target in line]
        assert len(calls) == 2, f"one kernel forward, one backward, not {len(calls)}, on {platform}"


# jax 0.12 announces that it will drop Triton (docs/decisions/0020)
lowers = pytest.mark.filterwarnings("ignore:The Pallas Triton backend is deprecated:DeprecationWarning")


@lowers
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_one_kernel_forward_and_one_backward_lower_for_accelerators(dtype):
    check_lowers(neurons.lif(kernel="pallas").hidden, dtype=dtype)
    check_lowers(neurons.spikebp(kernel="pallas", leak=np.full((1, 1, 5), 0.9)).hidden, dtype=dtype)


@lowers
@pytest.mark.parametrize("name", [n if n == "q_pseudo_spike" else thorough(n) for n in SURROGATES])
def test_every_surrogate_lowers_for_accelerators(name):
    check_lowers(neurons.lif(spike=SURROGATES[name], reset="soft", kernel="pallas").hidden)


def test_gradients_of_parameters_are_refused_not_zero():
    for name in ("leak", "threshold"):
        neuron = neurons.lif(kernel="pallas").hidden
        carry, currents = neuron.init(neuron.params, SHAPE, jnp.float32), trains()[0]

        def loss(value, neuron=neuron, carry=carry, currents=currents, name=name):
            return neuron.run(neuron.params._replace(**{name: value}), carry, currents)[1].sum()

        assert np.isfinite(loss(0.9))
        with pytest.raises(ValueError, match=f"no gradient of {name}: .*kernel='scan'"):
            jax.jit(jax.grad(loss))(0.9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: neurons.lif(kernel="cuda"), "kernel must be one of scan, pallas, got 'cuda'"),
        (lambda: neurons.spikebp(kernel="cuda"), "kernel must be one of scan, pallas, got 'cuda'"),
        (lambda: neurons.lif(kernel="pallas", remat=True), "remat goes with kernel='scan'"),
        (lambda: neurons.of_cell(CELLS["adlif"], kernel="pallas"), "lif and integrate_and_fire, got a cell with"),
        (lambda: bptt(lif.CELL, lambda x: x, kernel="pallas"), "a surrogate of jaxsnn.surrogate"),
        (lambda: bptt(lif.CELL, partial(arctan, slope=np.ones(5)), kernel="pallas"), "one slope"),
    ],
)
def test_what_kernels_cannot_do_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_integrate_and_fire_is_a_lif_without_leak():
    check_like_the_scan(lambda kernel: bptt(integrate_and_fire.cell(reset="soft"), kernel=kernel))
