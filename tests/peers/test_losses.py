"""Losses and encodings equal those of other libraries on recorded inputs (benchmarks/peers/vectors_losses.py)."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import encoding, losses
from jaxsnn.layers import Voting

RECORDED = np.load(Path(__file__).parent / "losses.npz")
STEPS, CLASSES, VOTES = 5, 3, 2


def counted(votes, labels):
    """The sum over the neurons of a class is so many times their mean."""
    return losses.count_cross_entropy(VOTES * Voting(CLASSES)(votes), labels)


def smoothed(loss, smoothing):
    return lambda x, labels: loss(x, losses.smooth(labels, smoothing, CLASSES))


def silence(spikes, _):
    penalty = losses.rate_penalty({"fc1": spikes.sum(0)}, STEPS, lower=2 / STEPS)
    return CLASSES * STEPS**2 * penalty[0]  # counts, and a sum over neurons


EQUAL = {
    "ce_rate_loss": ("potentials", losses.per_step_cross_entropy),
    "ce_count_loss": ("potentials", losses.count_cross_entropy),
    "ce_max_membrane_loss": ("potentials", losses.max_cross_entropy),
    "mse_count_loss": ("spikes", lambda x, y: STEPS * losses.rate_mse(x, y, correct=0.8, incorrect=0.2)),
    "mse_membrane_loss": ("potentials", losses.per_step_mse),
    "ce_temporal_loss": ("spikes", losses.first_spike_cross_entropy),
    "mse_temporal_loss": ("spikes", losses.first_spike_mse),
    "ce_count_loss of a population": ("votes", counted),
    "cross_entropy of the mean": ("potentials", losses.rate_cross_entropy),
    "cross_entropy, smoothed": ("potentials", smoothed(losses.rate_cross_entropy, 0.1)),
    "mse_loss of the rate": ("spikes", losses.rate_mse),
    "cross_entropy of the sum of softmax": ("potentials", losses.softmax_sum_cross_entropy),
    "tet": ("potentials", losses.tet),
    "integral_crossentropy": ("potentials", smoothed(losses.count_cross_entropy, 0.3)),
    "mse_spikerate": ("spikes", partial(losses.rate_mse, correct=0.1 * STEPS)),
    "silence_reg of a sample": ("spikes", silence),
}


def test_every_recorded_loss_has_its_equal():
    assert {name.removesuffix("/value") for name in RECORDED if name.endswith("/value")} == set(EQUAL)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", EQUAL)
def test_values_and_gradients(x64, name, dtype):
    outputs, loss = EQUAL[name]
    slope = RECORDED[f"{name}/slope"]
    x = jnp.asarray(RECORDED[outputs][:, : slope.shape[1]], dtype)
    labels = jnp.asarray(RECORDED["labels"][: slope.shape[1]])
    value, found = jax.jit(jax.value_and_grad(loss))(x, labels)
    exact = dtype == np.float64 and RECORDED[f"{name}/value"].dtype == np.float64
    options = {"rtol": 1e-10, "atol": 1e-12} if exact else {"rtol": 1e-5, "atol": 1e-6}
    assert (value.dtype, found.dtype) == (dtype, dtype)
    np.testing.assert_allclose(value, RECORDED[f"{name}/value"], **options)
    np.testing.assert_allclose(found, slope, **options)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_encodings(x64, dtype):
    """The spikes are the same; SpikingJelly's phases take intensities below 1 - 2^-8."""
    x = jnp.asarray(RECORDED["intensities"], dtype)
    changes = jnp.asarray(RECORDED["potentials"], dtype).swapaxes(0, 1)
    found = {
        "latency": encoding.latency(x, STEPS, smallest=0.2),
        "LatencyEncoder": encoding.latency(x, STEPS, smallest=0.0),
        "delta": encoding.delta(changes, threshold=1.0),
        "WeightedPhaseEncoder": encoding.phase(jnp.floor(255 * x) / 256, 8, weighted=False),
    }
    assert {name.removesuffix("/spikes") for name in RECORDED if name.endswith("/spikes")} == set(found)
    for name, spikes in found.items():
        np.testing.assert_array_equal(spikes, RECORDED[f"{name}/spikes"], err_msg=name)
