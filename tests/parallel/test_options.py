"""Losses, mixed labels, penalties, running means and micro-batches on eight fake devices: the numbers of one."""

import pytest

from tests.parallel import eight_devices

PROGRAM = """
import json
import jax
import jax.numpy as jnp
from experiments import digits
from jaxsnn import models, training
from jaxsnn.data import load
from jaxsnn.lab import build
from jaxsnn.lab.splits import split
from jaxsnn.models import MODELS


def dense(*, rngs, **options):
    net = models.Builder(init_scale=6.0, rngs=rngs, **options)
    net.dense(16)
    return net.finish()


MODELS["dense"] = dense
common = {"model": "dense", "gradient": "bptt", "time_steps": 3, "limit": 64, "batch_size": 16, "encoding": "direct",
          "shift": 1, "cutout": 2, "mixup": 0.4, "label_smoothing": 0.1, "rate_weight": 0.5, "rate_lower": 0.3,
          "clip": 1.0, "ema": 0.9, "surrogate": "arctan"}
result = {"devices": jax.device_count()}
for loss, votes in (("squared_error", 0), ("first_spike_mse", 1)):
    states = []
    for devices in (1, 8):
        spread = {"data_parallel": devices, "micro_batch": devices // 8}  # 2 samples on each of eight, one by one
        config = digits.digits().replace(loss=loss, votes=votes, **spread, **common)
        data = load("digits")
        program, sets = build.build(config, data), split(config, data)
        state, order = program.start(0), training.epoch_order(0, 0, 64)
        state = jax.jit(program.step)(state, *sets.fitting, order)
        states.append(jax.device_get(state))
    one, many = states
    change = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), one.weights[0], many.weights[0])
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), one.weights[0], program.start(0).params)
    result[loss] = [max(jax.tree.leaves(change)), min(jax.tree.leaves(moved))]
    result[loss + " loss"] = [float(one.totals.loss), float(many.totals.loss)]
print(json.dumps(result))
"""


@pytest.mark.thorough
def test_numbers_do_not_depend_on_the_number_of_devices():
    result = eight_devices.run(PROGRAM)
    assert result.pop("devices") == 8
    for name, (first, second) in result.items():
        if name.endswith("loss"):
            assert abs(first / second - 1) < 1e-5, name
        else:
            assert first < 1e-4 * second, name
