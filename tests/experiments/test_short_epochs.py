"""Fewer time steps in the first epochs: each step is that of a run with so many steps."""

import jax
import numpy as np
import pytest

from jaxsnn import training
from jaxsnn.data import load
from jaxsnn.lab.build import build
from jaxsnn.lab.splits import split
from tests.experiments.test_run import small

FIELDS = {"gradient": "bptt", "encoding": "direct", "norm": "bn", "epochs": 3, "limit": 64, "batch_size": 32}


@pytest.mark.thorough
def test_each_step_has_the_time_steps_of_its_epoch(tmp_path):
    data = load("digits")
    config = small(tmp_path, time_steps=3, short_epochs=1, short_steps=2, **FIELDS)
    mixed, few, many = (
        build(c, data) for c in (config, config.replace(short_epochs=0, time_steps=2), config.replace(short_epochs=0))
    )
    fitting, order = split(config, data).fitting, training.epoch_order(0, 0, 64)
    state, step = mixed.start(0), jax.jit(mixed.step)
    for number, program in enumerate((few, few, many, many)):  # two steps to an epoch
        after = step(state, *fitting, order)
        assert int(after.step) == number + 1
        expected = jax.jit(program.step)(state, *fitting, order)
        for a, b in zip(jax.tree.leaves(after.params), jax.tree.leaves(expected.params), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
        state = after
    other = jax.jit(few.step)(state, *fitting, order)
    moved = [
        np.abs(a - b).max()
        for a, b in zip(*map(jax.tree.leaves, (other.params, step(state, *fitting, order).params)), strict=True)
    ]
    assert max(moved) > 1e-4  # so that the steps can be told apart


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"short_epochs": 1, "short_steps": 3},
            "short_epochs train with fewer time steps .* got short_steps=3, time_steps=3",
        ),
        ({"short_epochs": 4}, "short_epochs=4 are more than epochs=3"),
        ({"short_epochs": 1, "encoding": "events", "dataset": "nmnist"}, "of samples that are no frames"),
    ],
)
def test_bad_values(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        small(tmp_path, **{"time_steps": 3, **FIELDS} | changes)
