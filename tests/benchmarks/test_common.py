import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import common, roofline, train_step, workloads
from jaxsnn import startup, synapses
from jaxsnn.synapses.convolution import products

ROOT = Path(__file__).parents[2]
NORMED = ("conv1", "conv2", "fc1")


@pytest.mark.parametrize("workload", ["W1", "W2", "W4", "W5", "tiny-W4", "tiny-W5"])
def test_the_plans_are_our_networks(workload):
    """Same weights, in the same order, and two numbers per feature for each norm; a wrong order cannot be filled in."""
    network = workloads.NETWORKS[workload]
    params = jax.eval_shape(lambda: train_step.network(network, "arctan")[1])
    flat = list(workloads.flat(network))
    assert [one.shape for one in workloads.weights(network)] == [layer.shape for layer in flat if layer.weights]
    parameters = sum(layer.weights + 2 * layer.features * layer.norm for layer in flat)
    assert parameters == sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def test_neurons_and_operations_of_the_residual_network_by_hand():
    network = workloads.NETWORKS["W4"]._replace(steps=1, batch=1)
    maps = {16: 1024, 32: 256, 64: 64, 128: 16}
    neurons = sum(width * size * (5 if width == 16 else 4) for width, size in maps.items())
    assert sum(layer.neurons for layer in workloads.flat(network)) == neurons + network.classes
    in_blocks = 9 * (4 * 16 * 16 * 1024 + sum((w // 2 + 3 * w) * w * maps[w] for w in (32, 64, 128)))
    others = sum(w // 2 * w * maps[w] for w in (32, 64, 128)) + 128 * 10
    expected = 2 * (2 * 9 * 3 * 16 * 1024 + 3 * (in_blocks + others))
    assert roofline.operations(network, filtering=False) == expected
    repeated = roofline.operations(network._replace(steps=4), filtering=False)
    assert repeated == 2 * (2 * 9 * 3 * 16 * 1024 + 4 * 3 * (in_blocks + others))


def test_a_step_moves_weights_and_running_statistics():
    """Of a smaller network than W4, which would compile for seconds."""
    workload = workloads.NETWORKS["tiny"]._replace(**workloads.DIRECT)
    step, trained, arguments = train_step.build(workload, "arctan")
    assert set(trained.moments) == {(name, "norm", kind) for name in NORMED for kind in ("mean", "var")}
    before = jax.tree.map(np.asarray, trained)
    after, loss = step.compiled(trained, *arguments)
    assert np.isfinite(loss)
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert not np.array_equal(old, new)


def test_a_step_of_the_small_recurrent_network_lowers_the_loss():
    step, trained, arguments = train_step.build(workloads.NETWORKS["tiny-W5"], "arctan")
    losses = []
    for _ in range(2):
        trained, loss = step.compiled(trained, *arguments)
        losses.append(float(loss))
    assert losses[1] < losses[0]


@pytest.mark.thorough
def test_the_small_residual_network_is_traced_with_and_without_the_stem_once():
    workload = workloads.NETWORKS["tiny-W4"]
    for once in (True, False):
        apply, params, state = train_step.network(workload, "arctan", once=once)
        step = train_step.train_step(apply, state)
        after, _ = jax.eval_shape(step, train_step.start(params, state), *train_step.shapes(workload))
        assert len(after.moments) == 2 * 20


def test_vgg9_has_as_many_neurons_and_operations_as_counted_by_hand():
    network = workloads.NETWORKS["W2"]._replace(steps=1, batch=1)
    assert sum(layer.neurons for layer in workloads.layers(network)) == 275_456 + network.classes
    first = 3 * 64 * 9 * 32 * 32
    assert roofline.operations(network, filtering=False) == pytest.approx(2 * (3 * 194.7e6 - first), rel=1e-3)


def test_the_operations_that_are_done_are_those_of_the_compiled_program():
    """For 3x3 half as many as the definition has, as XLA counts what it compiled (with the transforms of the tiles)."""
    for size, kernel in (((16, 16), (3, 3, 64, 64)), ((14, 14), (5, 5, 20, 50)), ((8, 8), (2, 2, 8, 8))):
        x, weights = jnp.ones((1, 1, *size, kernel[2])), jnp.ones(kernel)
        counted = jax.jit(synapses.conv).lower(x, weights).compile().cost_analysis()["flops"]
        done = 2 * products(size, kernel)
        assert done <= counted <= 1.35 * done, (size, kernel)
    network = workloads.NETWORKS["W2"]
    assert 0.45 < roofline.operations(network, filtering=True) / roofline.operations(network, filtering=False) < 0.6


def test_tuned_is_what_makefile_and_commands_set(monkeypatch):
    assert common.TUNED == startup.MALLOC
    assert f"GLIBC_TUNABLES ?= {common.TUNED}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")
    monkeypatch.setenv("GLIBC_TUNABLES", common.TUNED)
    assert common.malloc() == "tuned"
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    assert common.malloc() == "other"


def test_without_git_the_code_is_named_by_its_sources(monkeypatch):
    monkeypatch.setattr(common.shutil, "which", lambda _: None)
    assert common.commit() == f"sources-{common.sources()}"


def test_a_train_step_is_measured(monkeypatch):
    monkeypatch.setattr(roofline, "machine", lambda: (1e9, 1e9))
    result = train_step.measure(workloads.NETWORKS["tiny"], repeats=2)
    assert result["n"] == 2
    assert 0 < result["min_ms"] <= result["median_ms"] <= result["max_ms"]
    assert {"trace_s", "compile_s", "temporary_mb", "process_peak_mb"} <= result.keys()
    full_speed = max(result["products_ms"], result["memory_ms"])
    assert result["times_full_speed"] == pytest.approx(result["median_ms"] / full_speed, rel=0.1)
