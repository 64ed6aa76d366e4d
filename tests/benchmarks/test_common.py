import math
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from benchmarks import common, roofline, train_step
from jaxsnn import synapses
from jaxsnn.synapses.convolution import products

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("workload", ["W1", "W2"])
def test_the_plans_are_our_networks(workload):
    network = common.NETWORKS[workload]
    params = jax.eval_shape(lambda: train_step.network(network)[1])
    ours = [math.prod(kernel.shape) for kernel in jax.tree.leaves(params)]
    assert [layer.weights for layer in common.layers(network) if layer.weights] == ours


def test_vgg9_has_as_many_neurons_and_operations_as_counted_by_hand():
    network = common.NETWORKS["W2"]._replace(steps=1, batch=1)
    assert sum(layer.neurons for layer in common.layers(network)) == 275_456 + common.CLASSES
    first = 3 * 64 * 9 * 32 * 32
    assert roofline.operations(network, filtering=False) == pytest.approx(2 * (3 * 194.7e6 - first), rel=1e-3)


def test_the_operations_that_are_done_are_those_of_the_compiled_program():
    """For 3x3 half as many as the definition has, as XLA counts what it compiled (with the transforms of the tiles)."""
    for size, kernel in (((16, 16), (3, 3, 64, 64)), ((14, 14), (5, 5, 20, 50)), ((8, 8), (2, 2, 8, 8))):
        x, weights = jnp.ones((1, 1, *size, kernel[2])), jnp.ones(kernel)
        counted = jax.jit(synapses.conv).lower(x, weights).compile().cost_analysis()["flops"]
        done = 2 * products(size, kernel)
        assert done <= counted <= 1.35 * done, (size, kernel)
    network = common.NETWORKS["W2"]
    assert 0.45 < roofline.operations(network, filtering=True) / roofline.operations(network, filtering=False) < 0.6


def test_tuned_is_what_the_makefile_sets(monkeypatch):
    assert f"GLIBC_TUNABLES ?= {common.TUNED}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")
    monkeypatch.setenv("GLIBC_TUNABLES", common.TUNED)
    assert common.malloc() == "tuned"
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    assert common.malloc() == "other"


def test_a_train_step_is_measured():
    result = train_step.measure(common.NETWORKS["tiny"], "spikebp", time_chunk=0, repeats=2)
    assert result["n"] == 2
    assert 0 < result["min_ms"] <= result["median_ms"] <= result["max_ms"]
    assert {"trace_s", "compile_s", "temporary_mb", "process_peak_mb"} <= result.keys()
