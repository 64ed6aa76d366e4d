import jax
import jax.numpy as jnp
import pytest

from benchmarks import scaling

PROGRAM = """
  %all-reduce.1 = (f32[3,4]{1,0}, s32[]) all-reduce(%a, %b), replica_groups={{0,1}}
  ROOT %psum = u8[2,16]{1,0} reduce-scatter(%c), dimensions={0}
  %start = f32[5]{0} all-reduce-start(%d)
  %fusion = f32[100]{0} fusion(%all-reduce.1), kind=kLoop
"""


def test_traffic_of_a_program_written_by_hand():
    assert scaling.traffic(PROGRAM) == pytest.approx({"all-reduce": (48 + 4 + 20) / 1e6, "reduce-scatter": 32 / 1e6})
    assert scaling.traffic(jax.jit(jnp.sum).lower(jnp.ones(3)).compile().as_text()) == {}


def test_estimate_by_hand():
    """LeNet at 28 x 28: weights and multiply-accumulates counted on paper, taps in the padding left out."""
    weights = 25 * 20 + 25 * 20 * 50 + 7 * 7 * 50 * 200 + 200 * 10
    macs = (5 * 28 - 6) ** 2 * 20 + (5 * 14 - 6) ** 2 * 20 * 50 + 7 * 7 * 50 * 200 + 2000
    workload = scaling.Workload("lenet", (28, 28, 1), 10, 8)
    found = scaling.estimate(workload, 4, 2, tflops=0.5, gigabytes=2.0, latency=1e-4)
    assert found.parameters == weights
    assert found.gradient_mb == pytest.approx(4e-6 * weights)
    assert found.compute_ms == pytest.approx(1e3 * 6 * macs * 10 * 2 / 0.5e12)
    assert found.communicate_ms == pytest.approx(1e3 * (2 * 3 / 4 * 4 * weights / 2e9 + 6 * 1e-4))
    assert found.efficiency == pytest.approx(found.compute_ms / (found.compute_ms + found.communicate_ms))


def test_one_device_has_nothing_to_sum():
    found = scaling.estimate(scaling.WORKLOADS["VGG9, CIFAR-10"], 1, 1, tflops=1, gigabytes=1, latency=1)
    assert found.communicate_ms == 0
    assert found.efficiency == 1
