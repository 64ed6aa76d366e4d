"""The paper's networks at full width: a few steps of the recipe as it is, and eight samples learnt by heart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.presets import made_up
from experiments import cifar10
from jaxsnn.lab import build
from jaxsnn.lab.splits import split

pytestmark = pytest.mark.slow


def start(config, samples):
    data = made_up(config, samples + config.data.validation)
    blocks = np.random.default_rng(1).integers(0, 256, (len(data.train.samples), 4, 4, 3)).astype(np.uint8)
    patches = blocks.repeat(8, 1).repeat(8, 2)  # white noise all looks alike
    data = data._replace(train=data.train._replace(samples=patches))
    program, sets = build.build(config, data), split(config, data)
    return jax.jit(program.step, donate_argnums=0), program.start(0), sets.fitting


@pytest.mark.parametrize("name", ["cifar10_vgg9", "cifar10_resnet9", "cifar10_resnet11"])
def test_full_presets_run_a_few_steps(name):
    """T = 100, dropout, augmentation, SGD, weight decay; only the batch is smaller."""
    config = cifar10.PRESETS[name]().replace(batch_size=2, validation=2)
    step, state, data = start(config, 4)
    before = jax.device_get(state.params)
    for _ in range(3):
        state = step(state, *data, jnp.arange(4))
    assert np.isfinite(state.totals.loss)
    assert int(state.totals.bad_step) == -1
    for old, new in zip(*map(jax.tree.leaves, (before, state.params)), strict=True):
        assert (old != new).any()  # by weight decay at least


@pytest.mark.parametrize("name", ["cifar10_vgg9", "cifar10_resnet11"])
def test_full_networks_learn_eight_samples_by_heart(name):
    """The paper's rule on fresh Poisson spikes at every step; the loss of eight samples starts at 8 or above."""
    config = cifar10.PRESETS[name]().replace(
        time_steps=12,
        batch_size=8,
        validation=8,
        optimizer="adam",
        lr=3e-4,
        schedule="constant",
        weight_decay=0.0,
        dropout=0.0,
        shift=0,
        flip=False,
        init_gain=2.0,
    )
    step, state, data = start(config, 8)
    for _ in range(80):
        before = state.totals._replace(loss=jnp.copy(state.totals.loss), correct=jnp.copy(state.totals.correct))
        state = step(state, *data, jnp.arange(8))
    assert float(state.totals.loss - before.loss) < 1.0
    assert int(state.totals.correct - before.correct) == 8
