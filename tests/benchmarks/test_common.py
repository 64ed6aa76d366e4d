import math
from pathlib import Path

import jax
import pytest

from benchmarks import common, roofline, train_step

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
    assert roofline.operations(network) == pytest.approx(2 * (3 * 194.7e6 - first), rel=1e-3)


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
